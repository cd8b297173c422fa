//! Errors that an extension can meet on its notification stream.

use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, BlockNumber};
use zkos_node_core::execution::ReplayError;
use zkos_storage_api::ProviderError;

/// Why the notification stream failed. The stream ends after an error.
#[derive(Debug, thiserror::Error)]
pub enum ExExError {
    /// The head that the extension gave is not a block of the canonical chain: what it has stored belongs to another chain or to blocks that were taken back.
    #[error("head {} {} of the extension is not canonical, the canonical hash is {canonical}", head.number, head.hash)]
    HeadNotCanonical {
        /// What the extension gave.
        head: BlockNumHash,
        /// Canonical hash of that block.
        canonical: B256,
    },
    /// The state that a missed block was executed on is gone.
    #[error(
        "block {number} can't be executed again for the extension, because the state before it is pruned (kept from block {first}): \
         `zkos db rebuild state` lets the next start execute all blocks again"
    )]
    StatePruned {
        /// The block.
        number: BlockNumber,
        /// First block whose state is kept.
        first: BlockNumber,
    },
    /// A block could not be read.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A stored block could not be executed again, or gave another result.
    #[error(transparent)]
    Replay(#[from] Box<ReplayError>),
    /// The thread that executed stored blocks died.
    #[error("backfill of block {from} and later died: {reason}")]
    BackfillDied {
        /// First block of the range.
        from: u64,
        /// What the runtime says.
        reason: String,
    },
}
