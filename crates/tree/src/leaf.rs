//! A leaf and its byte form.

use crate::hash::{RawHash, hash_bytes};
use alloy_primitives::{B256, hex};
use std::fmt;

/// Size of the hashed form of a leaf.
pub const LEAF_BYTES: usize = 72;

/// Index of the guard leaf with the smallest key.
pub const MIN_GUARD_INDEX: u64 = 0;
/// Index of the guard leaf with the largest key.
pub const MAX_GUARD_INDEX: u64 = 1;
/// Key of the first guard: below every key of the state, so that every key has a predecessor.
pub const MIN_GUARD_KEY: B256 = B256::ZERO;
/// Key of the second guard: above every key of the state, so that every key has a successor.
pub const MAX_GUARD_KEY: B256 = B256::repeat_byte(0xff);

/// A leaf: key, value, and the index of the leaf with the next larger key.
///
/// Held as the 72 bytes that are hashed, `key || value || next` with `next` in little endian, so
/// that a range of leaves is hashed and stored as it lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Leaf([u8; LEAF_BYTES]);

impl Leaf {
    /// What an unoccupied position holds.
    pub(crate) const EMPTY: Self = Self([0; LEAF_BYTES]);

    /// A leaf from its parts.
    pub fn new(key: B256, value: B256, next: u64) -> Self {
        let mut bytes = [0; LEAF_BYTES];
        bytes[..32].copy_from_slice(key.as_slice());
        bytes[32..64].copy_from_slice(value.as_slice());
        bytes[64..].copy_from_slice(&next.to_le_bytes());
        Self(bytes)
    }

    /// A leaf from the bytes that are hashed.
    pub const fn from_bytes(bytes: [u8; LEAF_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes that are hashed.
    pub const fn as_bytes(&self) -> &[u8; LEAF_BYTES] {
        &self.0
    }

    /// The key.
    pub fn key(&self) -> B256 {
        B256::new(*self.raw_key())
    }

    pub(crate) fn raw_key(&self) -> &RawHash {
        self.0.first_chunk().expect("a leaf is longer than its key")
    }

    /// The value; 32 zero bytes for a slot that was written and is zero now.
    pub fn value(&self) -> B256 {
        B256::from_slice(&self.0[32..64])
    }

    /// Index of the leaf with the next larger key. The last guard points to itself.
    pub fn next(&self) -> u64 {
        u64::from_le_bytes(*self.0.last_chunk().expect("a leaf is longer than its link"))
    }

    /// Hash of the leaf, the node of height 0.
    pub fn hash(&self) -> B256 {
        hash_bytes(&self.0).into()
    }

    pub(crate) fn set_value(&mut self, value: &B256) {
        self.0[32..64].copy_from_slice(value.as_slice());
    }

    pub(crate) fn set_next(&mut self, next: u64) {
        self.0[64..].copy_from_slice(&next.to_le_bytes());
    }

    /// Leaves of a tree without entries.
    pub(crate) fn guards() -> [Self; 2] {
        [
            Self::new(MIN_GUARD_KEY, B256::ZERO, MAX_GUARD_INDEX),
            Self::new(MAX_GUARD_KEY, B256::ZERO, MAX_GUARD_INDEX),
        ]
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("key", &hex::encode(self.raw_key()))
            .field("value", &hex::encode(&self.0[32..64]))
            .field("next", &self.next())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn guard_hashes() {
        let [min, max] = Leaf::guards();
        assert_eq!(
            min.hash(),
            b256!("9903897e51baa96a5ea51b4c194d3e0c6bcf20947cce9fd646dfb4bf754c8d28")
        );
        assert_eq!(
            max.hash(),
            b256!("b35299e7564e05e335094c02064bccf83d58745b417874b1fee3f523ec2007a9")
        );
    }

    #[test]
    fn parts() {
        let mut leaf = Leaf::new(B256::repeat_byte(1), B256::repeat_byte(2), 0x0102_0304_0506_0708);
        assert_eq!(
            (leaf.key(), leaf.value(), leaf.next()),
            (B256::repeat_byte(1), B256::repeat_byte(2), 0x0102_0304_0506_0708)
        );
        leaf.set_value(&B256::repeat_byte(3));
        leaf.set_next(9);
        assert_eq!(leaf, Leaf::new(B256::repeat_byte(1), B256::repeat_byte(3), 9));
    }
}
