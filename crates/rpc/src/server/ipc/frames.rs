use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are asked of the socket at once.
const READ: usize = 16 * 1024;

/// Why there is no further frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A request is larger than allowed.
    #[error("request of more than {0} bytes")]
    TooLarge(usize),
    /// Neither an object nor an array begins where a request should; where the next one begins is not known then.
    #[error("not JSON")]
    NotJson,
}

/// Cuts a stream of bytes into JSON objects and arrays. Clients may put newlines between them or nothing at all, so that brackets are counted.
#[derive(Debug)]
pub(super) struct Frames<R> {
    reader: R,
    buffer: Vec<u8>,
    max: usize,
    /// Bytes of the buffer that were looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames of up to `max` bytes.
    pub(super) const fn new(reader: R, max: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            max,
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// The next frame; `None` at the end of the stream. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if self.buffer.len() > self.max {
                return Err(FrameError::TooLarge(self.max));
            }
            self.buffer.reserve(READ);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// A frame that is in the buffer as a whole.
    fn cut(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.depth == 0 {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..blank);
            self.scanned = 0;
        }
        while let Some(byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => self.depth -= 1,
                _ if self.depth == 0 => return Err(FrameError::NotJson),
                _ => {}
            }
            if self.depth == 0 {
                let rest = self.buffer.split_off(self.scanned);
                let frame = std::mem::replace(&mut self.buffer, rest);
                self.scanned = 0;
                return if frame.len() > self.max {
                    Err(FrameError::TooLarge(self.max))
                } else {
                    Ok(Some(frame))
                };
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a stream that comes in pieces.
    async fn frames(pieces: &[&[u8]], max: usize) -> (Vec<String>, Option<String>) {
        let mut builder = tokio_test_reader(pieces);
        let mut frames = Frames::new(&mut builder, max);
        let mut found = Vec::new();
        loop {
            match frames.next().await {
                Ok(Some(frame)) => found.push(String::from_utf8(frame).unwrap()),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }

    /// A reader that gives the pieces one by one.
    fn tokio_test_reader<'a>(pieces: &'a [&'a [u8]]) -> impl AsyncRead + Unpin + 'a {
        let empty: Box<dyn AsyncRead + Unpin + 'a> = Box::new(tokio::io::empty());
        pieces.iter().rev().fold(empty, |rest, piece| Box::new(AsyncReadExt::chain(*piece, rest)))
    }

    #[tokio::test]
    async fn values_are_cut_apart() {
        let whole: &[&[u8]] = &[b" {\"a\":[1,{}]}{}\n\n[{\"b\":\"}\\\"{\"}]\t{\"c\":1}"];
        let expected = ["{\"a\":[1,{}]}", "{}", "[{\"b\":\"}\\\"{\"}]", "{\"c\":1}"];
        assert_eq!(frames(whole, 100).await, (expected.map(String::from).to_vec(), None));
        let bytes: Vec<&[u8]> = whole[0].chunks(1).collect();
        assert_eq!(frames(&bytes, 100).await, (expected.map(String::from).to_vec(), None));
        // An unfinished one at the end is none.
        assert_eq!(frames(&[b"{}{\"a\":"], 100).await, (vec!["{}".to_owned()], None));
        // Wrong brackets are the parser's business.
        assert_eq!(frames(&[b"{]{}"], 100).await.0, ["{]", "{}"]);
    }

    #[tokio::test]
    async fn what_is_no_request_ends_the_stream() {
        for garbage in [&b"{}GET / HTTP/1.1\r\n"[..], b"{}}", b"{}\"{}\"", b"{}\xff\xfe", b"{}7"] {
            let (found, error) = frames(&[garbage], 100).await;
            assert_eq!((found.len(), error.as_deref()), (1, Some("not JSON")), "{garbage:?}");
        }
        let (found, error) = frames(&[b"{}", b"{\"a\":\"0123", b"456789\"}"], 12).await;
        assert_eq!((found.len(), error.as_deref()), (1, Some("request of more than 12 bytes")));
        // Found before the end has come.
        let endless: Vec<&[u8]> = std::iter::once(&b"["[..]).chain([&b"[[[["[..]; 8]).collect();
        assert!(frames(&endless, 12).await.1.is_some());
    }
}
