//! Errors of the tree.

use crate::{CodecError, ProofError, StoreError};
use alloy_primitives::B256;

/// Why the tree refused an operation. The tree is unchanged after any of these.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Versions must be applied without gaps, from 0 on.
    #[error("version {got} can't be applied: the next version is {expected}")]
    VersionGap {
        /// The next version that can be applied.
        expected: u64,
        /// The version given.
        got: u64,
    },
    /// A version that is already there was given again with entries that lead to another root.
    #[error("version {version} has root {recorded}, the given entries lead to {computed:?}")]
    VersionMismatch {
        /// The version.
        version: u64,
        /// Root of the version in the tree.
        recorded: B256,
        /// Root after the given entries; `None` if the history to compute it is pruned.
        computed: Option<B256>,
    },
    /// The version is not in the tree.
    #[error("version {version} is not in the tree, latest is {latest:?}")]
    UnknownVersion {
        /// The version asked for.
        version: u64,
        /// Latest version, `None` for a tree without genesis.
        latest: Option<u64>,
    },
    /// The history that is needed to look at the version was given up.
    #[error("version {version} is pruned, oldest is {oldest}")]
    HistoryPruned {
        /// The version asked for.
        version: u64,
        /// The oldest version that can still be looked at.
        oldest: u64,
    },
    /// One version writes a key twice.
    #[error("key {key} is written twice in version {version}")]
    DuplicateKey {
        /// The version.
        version: u64,
        /// The key.
        key: B256,
    },
    /// The key is that of a guard leaf.
    #[error("guard key {key} is written in version {version}")]
    GuardKey {
        /// The version.
        version: u64,
        /// The key.
        key: B256,
    },
    /// The store failed.
    #[error("tree store: {operation} failed")]
    Store {
        /// What was asked of the store.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: StoreError,
    },
    /// What the store holds contradicts itself.
    #[error("tree store is corrupt: {0}")]
    Corrupt(#[from] Corruption),
    /// A proof made by this tree did not verify.
    #[error("own proof of version {version} does not verify")]
    OwnProof {
        /// The version that the proof is about.
        version: u64,
        /// What is wrong with it.
        #[source]
        source: ProofError,
    },
}

/// How the contents of a store contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// A record that must be there is missing.
    #[error("{record} of version {version} is missing")]
    MissingRecord {
        /// Name of the record.
        record: &'static str,
        /// The version.
        version: u64,
    },
    /// Number of leaves differs from the recorded one.
    #[error("{found} leaves where {recorded} are recorded")]
    LeafCount {
        /// According to the manifest or a record.
        recorded: u64,
        /// According to the leaves.
        found: u64,
    },
    /// The root of the leaves differs from the recorded one.
    #[error("root of version {version} is recorded as {recorded}, leaves give {found}")]
    Root {
        /// The version.
        version: u64,
        /// According to the manifest or a record.
        recorded: B256,
        /// According to the leaves.
        found: B256,
    },
    /// The list of leaves is not sorted by key or does not visit every leaf.
    #[error("sorted list of leaves is broken at leaf {index}")]
    BrokenList {
        /// Where.
        index: u64,
    },
    /// An undo record names a leaf that its version can't have.
    #[error("undo record of version {version} names leaf {index}")]
    UndoLeaf {
        /// The version.
        version: u64,
        /// The leaf.
        index: u64,
    },
    /// A record can't be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl TreeError {
    /// For `map_err` on calls to the store.
    pub(crate) fn store(operation: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { operation, source }
    }
}
