//! A minimal HTTP/1.1 client: POST with a JSON body over one keep-alive connection.

use eyre::{Result, WrapErr, bail, ensure, eyre};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Host, Url};

/// Largest response that is read, bytes.
const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// A loopback endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    addresses: Vec<SocketAddr>,
    head: String,
}

impl Target {
    /// Checks a URL: plain HTTP, and no address outside this machine.
    pub(crate) fn new(url: &Url) -> Result<Self> {
        ensure!(url.scheme() == "http", "only http:// endpoints are supported, got {url}");
        let port = url.port_or_known_default().ok_or_else(|| eyre!("{url} has no port"))?;
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => vec![(IpAddr::V4(ip), port).into()],
            Some(Host::Ipv6(ip)) => vec![(IpAddr::V6(ip), port).into()],
            Some(Host::Domain("localhost")) => ("localhost", port).to_socket_addrs()?.collect(),
            _ => bail!("{url} is not on this machine; load is only put on loopback addresses"),
        };
        ensure!(
            !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()),
            "{url} is not on this machine; load is only put on loopback addresses"
        );
        let host = url.host_str().unwrap_or("localhost");
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\ncontent-length: ",
            url.path()
        );
        Ok(Self { addresses, head })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.addresses.as_slice())
            .await
            .wrap_err_with(|| format!("can't connect to {:?}", self.addresses))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            head: self.head.clone(),
            request: Vec::new(),
            buffer: Vec::new(),
            body: Vec::new(),
        })
    }
}

/// A keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    head: String,
    request: Vec<u8>,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// Sends a body and returns the body of the response. Any status is accepted: JSON-RPC errors come with some.
    pub(crate) async fn post(&mut self, body: &[u8]) -> Result<&[u8]> {
        self.request.clear();
        self.request.extend_from_slice(self.head.as_bytes());
        self.request.extend_from_slice(body.len().to_string().as_bytes());
        self.request.extend_from_slice(b"\r\n\r\n");
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;

        self.buffer.clear();
        self.body.clear();
        let head_end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        match body_length(&self.buffer[..head_end])? {
            BodyLength::Known(length) => {
                ensure!(length <= MAX_RESPONSE, "response of {length} bytes");
                while self.buffer.len() < head_end + length {
                    self.fill().await?;
                }
                self.body.extend_from_slice(&self.buffer[head_end..head_end + length]);
            }
            BodyLength::Chunked => self.read_chunks(head_end).await?,
        }
        Ok(&self.body)
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<()> {
        loop {
            let line_end = loop {
                if let Some(end) = find(&self.buffer[at..], b"\r\n") {
                    break at + end;
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&self.buffer[at..line_end])?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).wrap_err("chunk size")?;
            ensure!(self.body.len().saturating_add(size) <= MAX_RESPONSE, "response is too big");
            let start = line_end + 2;
            while self.buffer.len() < start + size + 2 {
                self.fill().await?;
            }
            self.body.extend_from_slice(&self.buffer[start..start + size]);
            at = start + size + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        ensure!(self.buffer.len() <= 2 * MAX_RESPONSE, "response is too big");
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the node closed the connection");
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum BodyLength {
    Known(usize),
    Chunked,
}

fn body_length(head: &[u8]) -> Result<BodyLength> {
    let head = std::str::from_utf8(head)?;
    ensure!(head.starts_with("HTTP/1."), "not an HTTP response");
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(BodyLength::Known(value.parse().wrap_err("content-length")?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            return Ok(BodyLength::Chunked);
        }
    }
    bail!("response without length")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_loopback() {
        for good in [
            "http://127.0.0.1:1",
            "http://localhost:8545",
            "http://[::1]:3",
            "http://127.9.9.9:5/path",
        ] {
            assert!(Target::new(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1:1",
            "http://example.com",
            "https://127.0.0.1:1",
            "http://0.0.0.0:1",
            "http://localhost.example:1",
        ] {
            assert!(Target::new(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths() {
        let known = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(body_length(known).unwrap(), BodyLength::Known(12));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(body_length(chunked).unwrap(), BodyLength::Chunked);
        assert!(body_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(body_length(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn reads_split_known_and_chunked_bodies() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let responses: [&[&[u8]]; 2] = [
                &[b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r\n\r\nhe", b"llo"],
                &[
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nwor\r",
                    b"\n2\r\nld\r\n0\r\n\r\n",
                ],
            ];
            let mut seen = Vec::new();
            for parts in responses {
                while !seen.ends_with(b"ping") {
                    assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
                }
                seen.clear();
                for part in parts {
                    stream.write_all(part).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        });
        let target = Target::new(&format!("http://{address}").parse().unwrap()).unwrap();
        let mut connection = target.connect().await.unwrap();
        assert_eq!(connection.post(b"ping").await.unwrap(), b"hello");
        assert_eq!(connection.post(b"ping").await.unwrap(), b"world");
        server.await.unwrap();
        assert!(connection.post(b"ping").await.is_err());
    }
}
