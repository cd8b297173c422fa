//! Stored records and their byte forms.

use crate::{
    CodecError, LEAF_BYTES, Leaf, TREE_DEPTH,
    codec::{Reader, put_len},
};
use alloy_primitives::B256;

const MANIFEST_FORMAT: u8 = 1;
const VERSION_FORMAT: u8 = 1;
const UNDO_FORMAT: u8 = 1;

/// Tag of the hash function in the manifest: blake2s-256.
const BLAKE2S: u8 = 1;

/// State of the stored tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Latest version.
    pub version: u64,
    /// Oldest version that undo records lead back to.
    pub oldest_version: u64,
    /// Number of leaves of the latest version, guards included.
    pub leaf_count: u64,
    /// Root of the latest version.
    pub root: B256,
}

impl Manifest {
    /// Format byte 1, depth of the tree (`u8`, 64), hash function (`u8`, 1 = blake2s), version,
    /// oldest version, leaf count (`u64` little endian each), root (32 bytes): 59 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MANIFEST_FORMAT, TREE_DEPTH as u8, BLAKE2S];
        for number in [self.version, self.oldest_version, self.leaf_count] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(self.root.as_slice());
        out
    }

    /// Reads [`Manifest::encode`]; refuses a tree of another shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("manifest", bytes, MANIFEST_FORMAT)?;
        if reader.u8()? != TREE_DEPTH as u8 {
            return Err(reader.bad_field("depth"));
        }
        if reader.u8()? != BLAKE2S {
            return Err(reader.bad_field("hash function"));
        }
        let manifest = Self {
            version: reader.u64()?,
            oldest_version: reader.u64()?,
            leaf_count: reader.u64()?,
            root: reader.b256()?,
        };
        reader.finish()?;
        Ok(manifest)
    }
}

/// What is remembered of a version for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// Root; `None` for a version in the middle of a burst, whose hashing was skipped. It can be
    /// computed while undo records reach the version.
    pub root: Option<B256>,
    /// Number of leaves, guards included.
    pub leaf_count: u64,
    /// Digest of the entries that made the version, by which it is recognised when it is given
    /// again.
    pub entries_digest: B256,
}

impl VersionRecord {
    /// Format byte 1, flag (`u8`: 1 if a root is there), root (32 bytes, zero if not there), leaf
    /// count (`u64` little endian), digest (32 bytes): 74 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION_FORMAT, self.root.is_some().into()];
        out.extend_from_slice(self.root.unwrap_or_default().as_slice());
        out.extend_from_slice(&self.leaf_count.to_le_bytes());
        out.extend_from_slice(self.entries_digest.as_slice());
        out
    }

    /// Reads [`VersionRecord::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("version record", bytes, VERSION_FORMAT)?;
        let has_root = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(reader.bad_field("flag")),
        };
        let root = reader.b256()?;
        let record = Self {
            root: has_root.then_some(root),
            leaf_count: reader.u64()?,
            entries_digest: reader.b256()?,
        };
        reader.finish()?;
        Ok(record)
    }
}

/// What leads from a version back to the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoRecord {
    /// Number of leaves before the version.
    pub leaf_count: u64,
    /// Leaves that the version changed, as they were before it, ascending by index. New leaves are
    /// not in it.
    pub leaves: Vec<(u64, Leaf)>,
}

impl UndoRecord {
    const ITEM: usize = 8 + LEAF_BYTES;

    /// Format byte 1, leaf count (`u64` little endian), number of leaves (`u32` little endian),
    /// then per leaf its index (`u64` little endian) and 72 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(13 + self.leaves.len() * Self::ITEM);
        out.push(UNDO_FORMAT);
        out.extend_from_slice(&self.leaf_count.to_le_bytes());
        put_len(&mut out, self.leaves.len());
        for (index, leaf) in &self.leaves {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(leaf.as_bytes());
        }
        out
    }

    /// Reads [`UndoRecord::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("undo record", bytes, UNDO_FORMAT)?;
        let leaf_count = reader.u64()?;
        let len = reader.list_len(Self::ITEM)?;
        let mut leaves = Vec::with_capacity(len);
        for _ in 0..len {
            leaves.push((reader.u64()?, Leaf::from_bytes(reader.array()?)));
        }
        reader.finish()?;
        Ok(Self { leaf_count, leaves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf() -> impl Strategy<Value = Leaf> {
        (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(key, value, next)| Leaf::new(key.into(), value.into(), next))
    }

    proptest! {
        #[test]
        fn manifest_round_trip(version: u64, oldest_version: u64, leaf_count: u64, root: [u8; 32]) {
            let manifest = Manifest { version, oldest_version, leaf_count, root: root.into() };
            let bytes = manifest.encode();
            prop_assert_eq!(bytes.len(), 59);
            prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        }

        #[test]
        fn version_record_round_trip(root: Option<[u8; 32]>, leaf_count: u64, digest: [u8; 32]) {
            let record = VersionRecord { root: root.map(Into::into), leaf_count, entries_digest: digest.into() };
            let bytes = record.encode();
            prop_assert_eq!(bytes.len(), 74);
            prop_assert_eq!(VersionRecord::decode(&bytes), Ok(record));
        }

        #[test]
        fn undo_record_round_trip(leaf_count: u64, leaves in prop::collection::vec((any::<u64>(), leaf()), 0..20)) {
            let record = UndoRecord { leaf_count, leaves };
            let bytes = record.encode();
            prop_assert_eq!(UndoRecord::decode(&bytes), Ok(record));
            for cut in 0..bytes.len() {
                prop_assert!(UndoRecord::decode(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn noise_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::decode(&bytes);
            let _ = VersionRecord::decode(&bytes);
            let _ = UndoRecord::decode(&bytes);
        }
    }

    #[test]
    fn another_tree_is_refused() {
        let manifest = Manifest { version: 1, oldest_version: 0, leaf_count: 2, root: B256::ZERO };
        for (position, field) in [(1, "depth"), (2, "hash function")] {
            let mut bytes = manifest.encode();
            bytes[position] += 1;
            assert_eq!(
                Manifest::decode(&bytes),
                Err(CodecError::BadField { what: "manifest", field })
            );
        }
    }

    #[test]
    fn huge_length_is_refused() {
        let mut bytes = UndoRecord::default().encode();
        bytes[9..13].fill(0xff);
        assert_eq!(UndoRecord::decode(&bytes), Err(CodecError::Truncated { what: "undo record" }));
    }
}
