//! The state Merkle tree of a ZKsync OS chain.
//!
//! # What it is for
//!
//! The whole state of a chain is one flat map from 32-byte keys to 32-byte values. This crate keeps
//! that map as an append-only, left-packed binary Merkle tree of depth 64 over blake2s, in which
//! the leaves also form a linked list sorted by key. From it come the root that settles on L1,
//! proofs of single keys for RPC clients, and the witness of a block for the prover.
//!
//! # What it must not do
//!
//! It knows nothing about blocks beyond a version number, nothing about accounts or how keys are
//! derived, and does no I/O: persistence is behind [`TreeStore`].
//!
//! # How data moves through it
//!
//! * [`MerkleTree::extend`] takes the net storage writes of one block, in the block's write order.
//!   Known keys are updated in place, unknown ones are appended in the order in which they stand in
//!   the list, the sorted list is relinked, and only the nodes above changed leaves are hashed,
//!   height by height, several lanes at a time.
//! * Leaves and all heights live in memory as flat arrays, so a node is found by arithmetic. The
//!   store holds leaves only; the heights are hashed again at open and the root is compared with
//!   the recorded one.
//! * A version (one per block, version 0 is genesis) is kept as an [`UndoRecord`]: the leaves that
//!   it replaced. [`MerkleTree::view`] looks at an older version through the undo records between
//!   it and the latest one, [`MerkleTree::truncate`] goes back for good,
//!   [`MerkleTree::retain_from`] forgets.
//! * A [`BatchProof`] is everything that somebody without the tree needs to check what a block
//!   read, and to get from the old root to the new one. It has a byte form for hostile channels.

mod codec;
mod error;
mod hash;
mod index;
mod leaf;
mod levels;
mod proof;
mod store;
mod tree;
mod view;

pub use codec::CodecError;
pub use error::{Corruption, TreeError};
pub use hash::{empty_subtree_hash, hash_node};
pub use leaf::{LEAF_BYTES, Leaf, MAX_GUARD_INDEX, MAX_GUARD_KEY, MIN_GUARD_INDEX, MIN_GUARD_KEY};
pub use proof::{
    BatchProof, KeyProof, LeafProof, NeighborProof, Operation, ProofError, VerifiedBatch,
};
pub use store::{
    InMemoryStore, Manifest, StoreError, TreeStore, TreeUpdate, UndoRecord, VersionRecord,
};
pub use tree::MerkleTree;
pub use view::{Lookup, TreeView};

use alloy_primitives::B256;

/// Height of the root; leaves have height 0. The tree has room for `2^64` leaves.
pub const TREE_DEPTH: usize = 64;

/// Commitment to one version of the tree. The leaf count belongs to it: it decides where the next
/// new key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeOutput {
    /// Hash of the node at height 64.
    pub root: B256,
    /// Number of leaves, the two guards included. Equals the index of the next new leaf.
    pub leaf_count: u64,
}
