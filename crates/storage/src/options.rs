use std::{fmt, sync::Arc, time::Duration};

/// Moments of a write at which a [`WriteHook`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteStep {
    /// Before anything is written.
    Before,
    /// After a synced write. An error here is what a disk reports that has taken the data and failed to sync: it may be there after a restart or not.
    Synced,
}

/// Called around every write batch with the name of the database; an error makes the write fail. For fault injection by tests.
pub type WriteHook = Arc<dyn Fn(&'static str, WriteStep) -> std::io::Result<()> + Send + Sync>;

/// Sizes and delays of the storage. The defaults suit a node with 4 GiB of memory.
#[derive(Clone)]
pub struct StorageOptions {
    /// How long the first block of a log group waits for others. Zero: the group is what has queued up during the previous sync.
    pub group_commit_delay: Duration,
    /// Blocks in one log group at most.
    pub group_commit_blocks: usize,
    /// Bytes in one log group at most (a larger block makes a group alone).
    pub group_commit_bytes: usize,
    /// Blocks that may wait for the log before `append` blocks.
    pub max_undurable_blocks: u64,
    /// Blocks that may wait for the derived databases before `append` blocks.
    pub max_unflushed_blocks: u64,
    /// Blocks that one flush of the derived databases merges at most.
    pub flush_blocks: usize,
    /// Recent blocks kept in memory. Blocks that are not flushed or not canonical are kept beyond it.
    pub recent_blocks: usize,
    /// Transactions in the recent blocks at most: full blocks leave memory earlier.
    pub recent_transactions: usize,
    /// Slots in the cache over the `state` database.
    pub state_cache_slots: usize,
    /// Decoded account records in the cache over the `preimages` database.
    pub account_cache_entries: usize,
    /// Bytes of bytecode and other preimages in the cache over the `preimages` database.
    pub preimage_cache_bytes: usize,
    /// Bytes of the block cache that all databases share.
    pub block_cache_bytes: usize,
    /// Bytes of unwritten data per database before it is written to a table.
    pub write_buffer_bytes: usize,
    /// Bytes of journals per database before what they hold is written to tables. It is what a start after a kill reads again.
    pub journal_bytes: usize,
    /// Blocks below the head whose state stays readable; `None` keeps the state of all blocks. Blocks that are not final, or that somebody holds ([`hold_pruning`](crate::BlockchainProvider::hold_pruning)), are not pruned.
    pub state_history_blocks: Option<u64>,
    /// Capacity of the canonical-state broadcast; a receiver further behind lags.
    pub notification_capacity: usize,
    /// Fault injection; `None` outside tests.
    pub write_hook: Option<WriteHook>,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            group_commit_delay: Duration::ZERO,
            group_commit_blocks: 128,
            group_commit_bytes: 16 << 20,
            max_undurable_blocks: 64,
            max_unflushed_blocks: 256,
            flush_blocks: 64,
            recent_blocks: 256,
            recent_transactions: 100_000,
            state_cache_slots: 512 * 1024,
            account_cache_entries: 128 * 1024,
            preimage_cache_bytes: 64 << 20,
            block_cache_bytes: 256 << 20,
            write_buffer_bytes: 64 << 20,
            journal_bytes: 16 << 20,
            state_history_blocks: None,
            notification_capacity: 256,
            write_hook: None,
        }
    }
}

impl StorageOptions {
    /// Small sizes, for tests.
    pub fn small() -> Self {
        Self {
            recent_blocks: 8,
            state_cache_slots: 1024,
            account_cache_entries: 256,
            preimage_cache_bytes: 1 << 20,
            block_cache_bytes: 4 << 20,
            write_buffer_bytes: 1 << 20,
            ..Self::default()
        }
    }
}

impl fmt::Debug for StorageOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group_commit_delay,
            group_commit_blocks,
            group_commit_bytes,
            max_undurable_blocks,
            max_unflushed_blocks,
            flush_blocks,
            recent_blocks,
            recent_transactions,
            state_cache_slots,
            account_cache_entries,
            preimage_cache_bytes,
            block_cache_bytes,
            write_buffer_bytes,
            journal_bytes,
            state_history_blocks,
            notification_capacity,
            write_hook,
        } = self;
        f.debug_struct("StorageOptions")
            .field("group_commit_delay", group_commit_delay)
            .field("group_commit_blocks", group_commit_blocks)
            .field("group_commit_bytes", group_commit_bytes)
            .field("max_undurable_blocks", max_undurable_blocks)
            .field("max_unflushed_blocks", max_unflushed_blocks)
            .field("flush_blocks", flush_blocks)
            .field("recent_blocks", recent_blocks)
            .field("recent_transactions", recent_transactions)
            .field("state_cache_slots", state_cache_slots)
            .field("account_cache_entries", account_cache_entries)
            .field("preimage_cache_bytes", preimage_cache_bytes)
            .field("block_cache_bytes", block_cache_bytes)
            .field("write_buffer_bytes", write_buffer_bytes)
            .field("journal_bytes", journal_bytes)
            .field("state_history_blocks", state_history_blocks)
            .field("notification_capacity", notification_capacity)
            .field("write_hook", &write_hook.is_some())
            .finish()
    }
}
