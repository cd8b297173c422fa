//! Errors of the tree.

use crate::{CodecError, ProofError};
use alloy_primitives::B256;
use std::{fmt, io};

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
    /// The file system refused. What was asked for has not happened and can be asked for again.
    #[error("can't {operation} {file} of the state tree")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Name of the file in the directory of the tree; empty for the directory itself.
        file: String,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what the tree has written. The tree has to be built again from the
    /// blocks: see [`MerkleTree::open_or_reset`](crate::MerkleTree::open_or_reset).
    #[error("state tree is damaged: {0}")]
    Damaged(#[from] Damage),
    /// A write failed in a way that leaves open what is on disk, so nothing more is written. Opening
    /// the tree again finds out.
    #[error("state tree can't go on after an earlier failed write: open it again")]
    Halted,
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

/// A place in a file of the tree that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("file {file}, offset {offset}: {cause}")]
pub struct Damage {
    /// Name of the file in the directory of the tree.
    pub file: String,
    /// Where, in bytes from the start of the file. Points at the unit (page, record) in which the
    /// damage is.
    pub offset: u64,
    /// What is wrong.
    pub cause: DamageCause,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageCause {
    /// The file ends too early, or is not there.
    Truncated,
    /// A checksum does not fit.
    Checksum,
    /// The checksum fits, the content does not: written by another version of this program.
    Format(CodecError),
    /// Records don't follow each other, or contradict what is recorded elsewhere.
    Sequence,
    /// Leaves do not hash to the node recorded for them.
    PageHash,
    /// The nodes do not hash to the root recorded for a version.
    Root {
        /// The version.
        version: u64,
        /// The root recorded.
        recorded: B256,
        /// The root found.
        found: B256,
    },
    /// The list of leaves is not sorted by key or does not visit every leaf.
    BrokenList {
        /// The leaf at which it breaks.
        index: u64,
    },
    /// The key index gives a leaf as predecessor of a key that is not, or gives none.
    KeyIndex {
        /// The leaf.
        index: u64,
    },
    /// The file was marked when damage was met at work, see
    /// [`MerkleTree::condemn`](crate::MerkleTree::condemn).
    Condemned(String),
    /// The history lacks a version that is to be kept.
    MissingVersion {
        /// The version.
        version: u64,
    },
}

impl fmt::Display for DamageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the file ends before"),
            Self::Checksum => f.write_str("checksum does not fit"),
            Self::Format(error) => error.fmt(f),
            Self::Sequence => f.write_str("record does not fit the one before or the manifest"),
            Self::PageHash => f.write_str("leaves do not hash to the node above them"),
            Self::Root { version, recorded, found } => {
                write!(
                    f,
                    "root of version {version} is recorded as {recorded}, leaves give {found}"
                )
            }
            Self::BrokenList { index } => write!(f, "sorted list breaks at leaf {index}"),
            Self::KeyIndex { index } => {
                write!(f, "key index and leaves contradict each other at leaf {index}")
            }
            Self::Condemned(found) => write!(f, "found at work: {found}"),
            Self::MissingVersion { version } => {
                write!(f, "history of version {version} is missing")
            }
        }
    }
}

impl Damage {
    /// Damage at a place of a file.
    pub fn new(file: impl Into<String>, offset: u64, cause: DamageCause) -> Self {
        Self { file: file.into(), offset, cause }
    }
}

impl TreeError {
    /// For `map_err` on file operations.
    pub(crate) fn io(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, file: file.to_owned(), source }
    }

    /// For `map_err` on reads of what must be there: an early end is damage.
    pub(crate) fn read(file: &str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                Damage::new(file, offset, DamageCause::Truncated).into()
            }
            _ => Self::Io { operation: "read", file: file.to_owned(), source },
        }
    }
}
