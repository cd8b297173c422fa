//! Why the engine stops.

use alloy_primitives::B256;
use std::path::PathBuf;
use zkos_node_core::execution::ReplayError;
use zkos_primitives::{ProtocolVersion, ReplayDecodeError};
use zkos_storage_api::ProviderError;

/// Where the block was dumped, as part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpPath(pub Option<PathBuf>);

impl std::fmt::Display for DumpPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "dumped to {}", path.display()),
            None => f.write_str("the dump could not be written"),
        }
    }
}

/// A fatal error of the engine: no further block can be produced or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Storage failed or contradicts itself.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A stored or imported block did not execute, or gave another result than its record says.
    #[error("{error} ({dump})")]
    Replay {
        /// What went wrong.
        error: Box<ReplayError>,
        /// Where the block is.
        dump: DumpPath,
    },
    /// Executing a block that was being produced failed.
    #[error("block {number} can't be produced: {error} ({dump})")]
    Production {
        /// Number of the block.
        number: u64,
        /// What went wrong.
        error: Box<zkos_executor::ExecutionError>,
        /// Where the block is.
        dump: DumpPath,
    },
    /// A transaction from L1 is not valid, so L1 and this node disagree about the rules.
    #[error("transaction {tx_hash} from L1 is invalid in block {number}: {reason} ({dump})")]
    InvalidL1Transaction {
        /// Number of the block.
        number: u64,
        /// Hash of the transaction.
        tx_hash: B256,
        /// The rejection.
        reason: String,
        /// Where the block is.
        dump: DumpPath,
    },
    /// A priority transaction does not fit an empty block; all later ones wait behind it.
    #[error(
        "priority transaction {tx_hash} does not fit an empty block ({reason}); raise the block limits ({dump})"
    )]
    L1TransactionTooLarge {
        /// Hash of the transaction.
        tx_hash: B256,
        /// The limit it breaks.
        reason: String,
        /// Where the block is.
        dump: DumpPath,
    },
    /// Priority transactions did not arrive in the order of their ids.
    #[error("priority transaction {found} arrived from L1, expected {expected}")]
    L1TransactionGap {
        /// Id that must come next.
        expected: u64,
        /// Id that came.
        found: u64,
    },
    /// Something that is neither a priority nor an upgrade transaction was sent as one.
    #[error("transaction {0} was handed over as one from L1, but users sign its type")]
    NotFromL1(B256),
    /// No execution version belongs to the protocol version.
    #[error("this node can't execute protocol version {0}; install a newer release")]
    UnsupportedProtocolVersion(ProtocolVersion),
    /// An imported record does not follow the head.
    #[error("record of block {number} was imported, expected block {expected}")]
    ImportGap {
        /// Block of the record.
        number: u64,
        /// Block that must come next.
        expected: u64,
    },
    /// An imported record belongs to another chain or another parent.
    #[error("record of block {number} does not fit this chain: {reason}")]
    ImportMismatch {
        /// Block of the record.
        number: u64,
        /// What differs.
        reason: String,
    },
    /// A sender in an imported record did not sign.
    #[error("record of block {number}: {error}")]
    ImportSenders {
        /// Block of the record.
        number: u64,
        /// Which one.
        error: ReplayDecodeError,
    },
    /// The log is shorter than what was derived from it, although it is written first.
    #[error(
        "write-ahead log ends at block {wal}, but {database} has block {derived}; restore block_replay_wal or delete {database}"
    )]
    WalBehind {
        /// Last block of the log.
        wal: u64,
        /// Database that is ahead.
        database: &'static str,
        /// Its last block.
        derived: u64,
    },
    /// The task behind the engine that waits for durability has stopped; it reported why.
    #[error("block pipeline has stopped")]
    PipelineStopped,
    /// The write-ahead log stopped while blocks waited for it.
    #[error("write-ahead log stopped before block {0} was durable")]
    NotDurable(u64),
    /// A thread could not be started.
    #[error("engine thread did not start: {0}")]
    Thread(#[from] std::io::Error),
    /// Start-up recovery died.
    #[error("recovery died: {0}")]
    RecoveryDied(String),
}
