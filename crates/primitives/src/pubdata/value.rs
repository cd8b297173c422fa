//! Compressed change of a 256-bit value.

use super::{PubdataError, Reader};
use alloy_primitives::U256;

/// Longest number that a metadata byte can announce.
const MAX_LEN: usize = 31;

/// How a value changes. The metadata byte is `(length << 3) | type`, followed by `length` bytes of
/// the number without leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueDiff {
    /// The new value in full: no number, 32 bytes follow.
    Nothing(U256),
    /// Added to the old value.
    Add(U256),
    /// Subtracted from the old value.
    Sub(U256),
    /// The new value without its leading zeros.
    Transform(U256),
}

impl ValueDiff {
    /// The shortest form; among equally short ones the first in the order of the variants.
    pub fn new(old: U256, new: U256) -> Self {
        let change = if new >= old { Self::Add(new - old) } else { Self::Sub(old - new) };
        let transform = Self::Transform(new);
        let best = if change.encoded_len() <= transform.encoded_len() { change } else { transform };
        if best.number_len() > MAX_LEN { Self::Nothing(new) } else { best }
    }

    /// The value after the change.
    pub fn apply(&self, old: U256) -> Result<U256, PubdataError> {
        match *self {
            Self::Nothing(new) | Self::Transform(new) => Ok(new),
            Self::Add(number) => old.checked_add(number).ok_or(PubdataError::Overflow),
            Self::Sub(number) => old.checked_sub(number).ok_or(PubdataError::Overflow),
        }
    }

    /// Length of the encoding in bytes.
    pub fn encoded_len(&self) -> usize {
        1 + self.number_len()
    }

    /// Appends the encoding to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let len = self.number_len();
        let (kind, number) = match *self {
            Self::Nothing(new) => {
                out.push(0);
                out.extend_from_slice(&new.to_be_bytes::<32>());
                return;
            }
            Self::Add(number) => (1, number),
            Self::Sub(number) => (2, number),
            Self::Transform(number) => (3, number),
        };
        debug_assert!(len <= MAX_LEN);
        out.push((len as u8) << 3 | kind);
        out.extend_from_slice(&number.to_be_bytes::<32>()[32 - len..]);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PubdataError> {
        let metadata = reader.byte()?;
        let len = usize::from(metadata >> 3);
        if metadata == 0 {
            return Ok(Self::Nothing(U256::from_be_bytes(reader.array::<32>()?)));
        }
        let make = match metadata & 0b111 {
            1 => Self::Add,
            2 => Self::Sub,
            3 => Self::Transform,
            _ => return Err(PubdataError::Metadata(metadata)),
        };
        let bytes = reader.take(len)?;
        if bytes.first() == Some(&0) {
            return Err(PubdataError::Number);
        }
        Ok(make(U256::from_be_slice(bytes)))
    }

    fn number_len(&self) -> usize {
        match self {
            Self::Nothing(_) => 32,
            Self::Add(number) | Self::Sub(number) | Self::Transform(number) => number.byte_len(),
        }
    }
}

/// Length of the encoding of the change from `old` to `new` in bytes.
pub fn value_diff_length(old: U256, new: U256) -> usize {
    ValueDiff::new(old, new).encoded_len()
}
