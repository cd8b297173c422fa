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
//! derived, and touches files only through a [`TreeStore`], a directory of its own.
//!
//! # How data moves through it
//!
//! * [`MerkleTree::extend`] takes the net storage writes of one block, in the block's write order.
//!   Known keys are updated in place, unknown ones are appended in the order in which they stand in
//!   the list, the sorted list is relinked, and only the nodes above changed leaves are hashed,
//!   height by height, several lanes at a time. [`MerkleTree::extend_batch`] hashes once for several
//!   blocks.
//! * Leaves are a flat array in a file, sixteen to a page, behind a cache of bounded size. Everything
//!   from the node above a page (height 4) up to the root is in memory, in one flat array per
//!   height, so a page that is read is hashed and compared with its node: a damaged or stale page
//!   can't get into a root.
//! * The order of the keys is in an index: sorted, immutable files of (start of the key, leaf), each
//!   for a range of leaves, behind a cache of bounded size, and in memory what came since the last
//!   checkpoint. Its answers are compared with the leaves, so a wrong one can't get into a root. It
//!   follows from the leaves and is made anew where it is damaged. A general key-value store in its
//!   place takes more processor time to find and add the keys of a block (6.3 µs per key were
//!   measured at 4 million leaves) than the whole update does here (3.6 µs, index and hashing
//!   included), and would have to be kept in step with the log.
//! * A change is first in the log, as old and new contents of the leaves, which serves both to redo
//!   and to undo it. Pages, nodes and index are written by checkpoints only, in order of position, by
//!   a thread of its own while the tree goes on. Opening reads all leaves, redoes the log, and
//!   compares the root with the recorded one; what a crash explains is repaired, anything else is
//!   [`TreeError::Damaged`], and the tree has to be built again from the blocks
//!   ([`MerkleTree::open_or_reset`]).
//! * A version (one per block, version 0 is genesis) stays as long as the log leads back to it.
//!   [`MerkleTree::view`] looks at it through what has changed since, [`MerkleTree::truncate`] goes
//!   back for good, [`MerkleTree::retain_from`] forgets.
//! * A [`BatchProof`] is everything that somebody without the tree needs to check what a block
//!   read, and to get from the old root to the new one. It has a byte form for hostile channels.

mod cache;
mod changes;
mod codec;
mod error;
mod hash;
mod index;
mod leaf;
mod levels;
mod log;
mod manifest;
mod pages;
mod proof;
mod store;
mod tree;
mod versions;
mod view;

pub use codec::CodecError;
pub use error::{Damage, DamageCause, TreeError};
pub use hash::{empty_subtree_hash, hash_node};
pub use leaf::{LEAF_BYTES, Leaf, MAX_GUARD_INDEX, MAX_GUARD_KEY, MIN_GUARD_INDEX, MIN_GUARD_KEY};
pub use proof::{
    BatchProof, KeyProof, LeafProof, NeighborProof, Operation, ProofError, VerifiedBatch,
};
#[cfg(any(test, feature = "test-utils"))]
pub use store::{CrashStore, Survival};
pub use store::{
    FsStore, InMemoryStore, TreeFile, TreeStore, TreeVersion, copy_files, is_tree_file,
};
pub use tree::{MerkleTree, Opened, Rebuild, TreeOptions, TreeTimes, TreeUsage};
pub use view::{Lookup, TreeView};

pub(crate) use versions::VersionRecord;

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
