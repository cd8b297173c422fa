use crate::{ExecutedBlock, ProviderResult};
use alloy_primitives::BlockNumber;
use tokio::sync::watch;

/// How far each database has come. All are block numbers, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageHeads {
    /// Write-ahead log.
    pub wal: BlockNumber,
    /// State (values and preimages).
    pub state: BlockNumber,
    /// Blocks, transactions and receipts.
    pub repository: BlockNumber,
}

/// The way in for blocks. Only the engine holds one.
#[auto_impl::auto_impl(&, Arc)]
pub trait BlockWriter: Send + Sync {
    /// Heads at the moment of the call.
    fn heads(&self) -> StorageHeads;

    /// Takes a block: queues it for the log (unless it is there already, then the contents are compared), and makes its state readable through `pending`.
    /// Blocks while too many blocks are not yet durable or not yet flushed.
    ///
    /// # Errors
    /// `OutOfOrder` on a gap, `Mismatch` when a block that is already stored differs, `WriterStopped` when the log can't be written.
    fn append(&self, block: ExecutedBlock) -> ProviderResult<()>;

    /// Last block whose log record is synced to disk. The sender side closes when the log has failed.
    fn durable_block(&self) -> watch::Receiver<BlockNumber>;

    /// Makes every block up to `number` visible to readers and notifies subscribers. Must be durable already.
    fn set_canonical_head(&self, number: BlockNumber) -> ProviderResult<()>;

    /// Waits until everything appended so far is in the log and in the derived databases.
    fn flush(&self) -> ProviderResult<()>;
}

/// The way in for what settlement knows.
#[auto_impl::auto_impl(&, Arc)]
pub trait ForkChoiceWriter: Send + Sync {
    /// Sets the last block of the last committed batch. May go down after a revert on L1.
    fn set_safe_block(&self, number: BlockNumber);
    /// Sets the last block of the last executed batch.
    fn set_finalized_block(&self, number: BlockNumber);
}
