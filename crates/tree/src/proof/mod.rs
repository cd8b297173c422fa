//! Proofs and their verification, which needs no tree.

mod batch;
mod key;

pub use batch::{BatchProof, Operation, VerifiedBatch};
pub use key::{KeyProof, LeafProof, NeighborProof};

use alloy_primitives::B256;

/// Why a proof is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A path has more hashes than the tree has heights.
    #[error("path of leaf {index} has {len} hashes")]
    PathTooLong {
        /// The leaf.
        index: u64,
        /// Number of hashes.
        len: usize,
    },
    /// The proof leads to another root.
    #[error("proof leads to root {found}, expected {expected}")]
    RootMismatch {
        /// The trusted root.
        expected: B256,
        /// Root according to the proof.
        found: B256,
    },
    /// The leaf of an operation is not the one of the key.
    #[error("leaf {index} does not hold key {key}")]
    WrongLeaf {
        /// The key.
        key: B256,
        /// The leaf.
        index: u64,
    },
    /// The key is not strictly between the two neighbours.
    #[error("key {key} does not lie between its neighbours at {left} and {right}")]
    NotBetween {
        /// The key.
        key: B256,
        /// Index of the left neighbour.
        left: u64,
        /// Index of the right neighbour.
        right: u64,
    },
    /// The left neighbour does not point to the right one.
    #[error("leaf {left} does not point to leaf {right}")]
    NotNeighbors {
        /// Index of the left neighbour.
        left: u64,
        /// Index of the right neighbour.
        right: u64,
    },
    /// Number of operations and number of keys differ.
    #[error("{operations} operations for {keys} keys")]
    OperationCount {
        /// In the proof.
        operations: usize,
        /// Asked for.
        keys: usize,
    },
    /// A leaf that the operations need is not in the proof.
    #[error("leaf {index} is not in the proof")]
    MissingLeaf {
        /// The leaf.
        index: u64,
    },
    /// Leaves are not in ascending order, or lie beyond the last one.
    #[error("leaf {index} is out of place")]
    LeafOrder {
        /// The leaf.
        index: u64,
    },
    /// A key is written twice.
    #[error("key {key} is written twice")]
    DuplicateKey {
        /// The key.
        key: B256,
    },
    /// The key of a guard leaf is written.
    #[error("guard key {key} is written")]
    GuardKey {
        /// The key.
        key: B256,
    },
    /// The proof has fewer hashes than the way to the root needs.
    #[error("proof has only {len} hashes")]
    MissingHashes {
        /// Number of hashes.
        len: usize,
    },
    /// The proof has hashes that nothing needs.
    #[error("proof has {left} hashes too many")]
    UnusedHashes {
        /// How many.
        left: usize,
    },
    /// No tree has that many leaves: fewer than the guards, or more than fit.
    #[error("impossible leaf count {leaf_count}")]
    LeafCount {
        /// The count.
        leaf_count: u64,
    },
    /// The proof of the first version must be empty, and nothing can be read before it.
    #[error("proof of the first version is not empty")]
    GenesisNotEmpty,
}
