//! Reading of the crate's own byte formats. Every format starts with a format byte; integers are
//! little endian; lists are a `u32` count followed by items of a fixed size.

use alloy_primitives::B256;

/// The bytes are not a record of this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The format byte is not one that this version of the crate knows.
    #[error("{what}: unknown format byte {got}")]
    UnknownFormat {
        /// Name of the record.
        what: &'static str,
        /// The byte found.
        got: u8,
    },
    /// The input ends too early, or a list claims more items than the input could hold.
    #[error("{what}: input is truncated")]
    Truncated {
        /// Name of the record.
        what: &'static str,
    },
    /// Bytes are left after the record.
    #[error("{what}: {left} bytes left over")]
    TrailingBytes {
        /// Name of the record.
        what: &'static str,
        /// How many.
        left: usize,
    },
    /// A field holds a value that no encoder writes.
    #[error("{what}: bad value in field {field}")]
    BadField {
        /// Name of the record.
        what: &'static str,
        /// Name of the field.
        field: &'static str,
    },
}

/// A cursor over one record.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts a record and checks its format byte.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8], format: u8) -> Result<Self, CodecError> {
        let mut reader = Self { what, bytes };
        match reader.u8()? {
            got if got == format => Ok(reader),
            got => Err(CodecError::UnknownFormat { what, got }),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, tail) =
            self.bytes.split_first_chunk::<N>().ok_or(CodecError::Truncated { what: self.what })?;
        self.bytes = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn b256(&mut self) -> Result<B256, CodecError> {
        self.array().map(B256::new)
    }

    /// Length of a list whose items take `item_size` bytes each. Refuses a length that the rest of
    /// the input can't hold, so that allocating for it is bounded by the size of the input.
    pub(crate) fn list_len(&mut self, item_size: usize) -> Result<usize, CodecError> {
        let len = self.u32()? as usize;
        match len.checked_mul(item_size) {
            Some(size) if size <= self.bytes.len() => Ok(len),
            _ => Err(CodecError::Truncated { what: self.what }),
        }
    }

    pub(crate) fn bad_field(&self, field: &'static str) -> CodecError {
        CodecError::BadField { what: self.what, field }
    }

    pub(crate) fn finish(self) -> Result<(), CodecError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(CodecError::TrailingBytes { what: self.what, left }),
        }
    }
}

/// Appends a list length. Lists of this crate are bounded by the writes of one block, far below
/// `u32::MAX`.
///
/// # Panics
/// If the list has more than `u32::MAX` items.
pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).unwrap_or_else(|_| panic!("list of {len} items can't be encoded"));
    out.extend_from_slice(&len.to_le_bytes());
}
