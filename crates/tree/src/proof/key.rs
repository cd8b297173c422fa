//! Proof of one key, in the form that `zks_getProof` serves.

use super::ProofError;
use crate::{
    Leaf, TREE_DEPTH,
    hash::{empty_hashes, hash_bytes, hash_pair},
};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

/// What a version stores under a key: the leaf with its path, or the two leaves between which the
/// key is missing.
///
/// The key itself is not part of the proof; the verifier derives it. Absence relies on the
/// committed tree being a sorted list, which the prover of the chain guarantees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum KeyProof {
    /// The key is there.
    Existing(LeafProof),
    /// The key was never written.
    NonExisting {
        /// Leaf with the largest key below.
        left_neighbor: NeighborProof,
        /// Leaf with the smallest key above.
        right_neighbor: NeighborProof,
    },
}

/// A leaf without its key, and the way to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeafProof {
    /// Index of the leaf.
    pub index: u64,
    /// Its value.
    pub value: B256,
    /// Index of the leaf with the next larger key.
    pub next_index: u64,
    /// Sibling hashes, leaf side first. Empty subtrees at the root side are left out; at least one
    /// hash is kept.
    pub siblings: Vec<B256>,
}

/// A leaf with its key, and the way to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NeighborProof {
    /// The leaf.
    #[serde(flatten)]
    pub leaf: LeafProof,
    /// Its key.
    pub leaf_key: B256,
}

impl LeafProof {
    /// The root to which the leaf leads if it has this key.
    pub fn recover_root(&self, key: &B256) -> Result<B256, ProofError> {
        if self.siblings.len() > TREE_DEPTH {
            return Err(ProofError::PathTooLong { index: self.index, len: self.siblings.len() });
        }
        let leaf = Leaf::new(*key, self.value, self.next_index);
        let mut hash = hash_bytes(leaf.as_bytes());
        for (height, empty) in empty_hashes()[..TREE_DEPTH].iter().enumerate() {
            let sibling = self.siblings.get(height).map_or(empty, |hash| &hash.0);
            hash = match (self.index >> height) & 1 {
                0 => hash_pair(&hash, sibling),
                _ => hash_pair(sibling, &hash),
            };
        }
        Ok(hash.into())
    }
}

impl NeighborProof {
    /// The root to which the leaf leads.
    pub fn recover_root(&self) -> Result<B256, ProofError> {
        self.leaf.recover_root(&self.leaf_key)
    }
}

impl KeyProof {
    /// The root of the tree for which this proof holds.
    pub fn recover_root(&self, key: &B256) -> Result<B256, ProofError> {
        match self {
            Self::Existing(leaf) => leaf.recover_root(key),
            Self::NonExisting { left_neighbor, right_neighbor } => {
                let (left, right) = (left_neighbor.leaf.index, right_neighbor.leaf.index);
                if !(left_neighbor.leaf_key < *key && *key < right_neighbor.leaf_key) {
                    return Err(ProofError::NotBetween { key: *key, left, right });
                }
                if left_neighbor.leaf.next_index != right {
                    return Err(ProofError::NotNeighbors { left, right });
                }
                let expected = left_neighbor.recover_root()?;
                match right_neighbor.recover_root()? {
                    found if found == expected => Ok(expected),
                    found => Err(ProofError::RootMismatch { expected, found }),
                }
            }
        }
    }

    /// Checks the proof against a trusted root. Returns the value, `None` for a key that was never
    /// written.
    pub fn verify(&self, key: &B256, root: &B256) -> Result<Option<B256>, ProofError> {
        match self.recover_root(key)? {
            found if found == *root => Ok(self.value()),
            found => Err(ProofError::RootMismatch { expected: *root, found }),
        }
    }

    /// The value that the proof claims.
    pub const fn value(&self) -> Option<B256> {
        match self {
            Self::Existing(leaf) => Some(leaf.value),
            Self::NonExisting { .. } => None,
        }
    }
}
