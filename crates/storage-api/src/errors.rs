use alloy_eips::{BlockHashOrNumber, BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, BlockNumber};

/// Result of a provider call.
pub type ProviderResult<T> = Result<T, ProviderError>;

/// Why a provider could not answer.
#[derive(Debug, thiserror::Error, Clone)]
#[non_exhaustive]
pub enum ProviderError {
    /// The database failed (I/O, corruption reported by the engine). Contains the database name and its message.
    #[error("database {database}: {message}")]
    Database {
        /// Name of the database (`block_replay_wal`, `state`, ...).
        database: &'static str,
        /// The engine's message.
        message: String,
    },
    /// A stored value does not decode or fails its checksum. Never served as data.
    #[error("corrupt record in {database}, key 0x{key}: {reason}")]
    Corrupt {
        /// Name of the database.
        database: &'static str,
        /// Key of the record, hex without prefix.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// State of this block is not available (pruned or not yet executed).
    #[error("state of block {number} is not available (available: {first} to {last})")]
    StateNotAvailable {
        /// Block asked for.
        number: BlockNumber,
        /// First block with state, inclusive.
        first: BlockNumber,
        /// Last block with state, inclusive.
        last: BlockNumber,
    },
    /// A block that must exist does not.
    #[error("block {0} not found")]
    BlockNotFound(BlockHashOrNumber),
    /// A block was appended out of order.
    #[error("block {number} appended out of order, expected {expected}")]
    OutOfOrder {
        /// Number of the block.
        number: BlockNumber,
        /// Number that the log expects next.
        expected: BlockNumber,
    },
    /// A block that is already stored was appended with other content.
    #[error("block {number} differs from the stored one: stored {stored}, given {given}")]
    Mismatch {
        /// Number of the block.
        number: BlockNumber,
        /// Hash of the stored block (or its output hash).
        stored: B256,
        /// Hash of the given one.
        given: B256,
    },
    /// The database belongs to another chain or was written by a newer version.
    #[error("{0}")]
    Incompatible(String),
    /// The writer has stopped; the reason was reported by it.
    #[error("block writer has stopped: {0}")]
    WriterStopped(String),
    /// The answer lies on disk, and the asking thread may not wait for it (see [`try_in_memory`](crate::try_in_memory)).
    #[error("not in memory")]
    NotInMemory,
}

impl ProviderError {
    /// Error for a block id that names no block. Tags always name one, so only a number or a hash is told.
    pub fn block_id_not_found(id: BlockId) -> Self {
        Self::BlockNotFound(match id {
            BlockId::Hash(hash) => hash.block_hash.into(),
            BlockId::Number(BlockNumberOrTag::Number(number)) => number.into(),
            BlockId::Number(_) => 0.into(),
        })
    }
}
