use metrics::{Counter, Gauge, Histogram};
use metrics_derive::Metrics;

/// Write-ahead log.
#[derive(Metrics, Clone)]
#[metrics(scope = "storage_wal")]
pub(crate) struct WalMetrics {
    /// Last durable block
    pub(crate) durable_block: Gauge,
    /// Blocks in a group commit
    pub(crate) group_blocks: Histogram,
    /// Bytes in a group commit
    pub(crate) group_bytes: Histogram,
    /// Duration of a group commit with its sync, in seconds
    pub(crate) commit_seconds: Histogram,
    /// Bytes written to the log
    pub(crate) written_bytes: Counter,
}

/// Flushes of the derived databases.
#[derive(Metrics, Clone)]
#[metrics(scope = "storage_flush")]
pub(crate) struct FlushMetrics {
    /// Last block in the derived databases
    pub(crate) flushed_block: Gauge,
    /// Blocks merged in a flush
    pub(crate) blocks: Histogram,
    /// Duration of a flush, in seconds
    pub(crate) seconds: Histogram,
    /// Slots written
    pub(crate) slots: Counter,
}

/// Removal of old state.
#[derive(Metrics, Clone)]
#[metrics(scope = "storage_prune")]
pub(crate) struct PruneMetrics {
    /// First block whose state is readable
    pub(crate) first_block: Gauge,
    /// Superseded values removed
    pub(crate) removed_values: Counter,
    /// Account records removed that no kept block names
    pub(crate) removed_records: Counter,
    /// Blocks whose state could be removed if no execution extension needed it
    pub(crate) held_blocks: Gauge,
    /// Duration of a step, in seconds
    pub(crate) seconds: Histogram,
}

/// Block production as storage sees it.
#[derive(Metrics, Clone)]
#[metrics(scope = "storage")]
pub(crate) struct AppendMetrics {
    /// Last appended block
    pub(crate) tip_block: Gauge,
    /// Canonical head
    pub(crate) canonical_block: Gauge,
    /// Duration of an append without waiting, in seconds
    pub(crate) append_seconds: Histogram,
    /// Time that an append waited for disk, in seconds
    pub(crate) back_pressure_seconds: Histogram,
    /// Blocks kept in memory
    pub(crate) recent_blocks: Gauge,
}

/// Reads of state.
#[derive(Metrics, Clone)]
#[metrics(scope = "storage_state")]
pub(crate) struct StateMetrics {
    /// Reads answered by the unflushed blocks
    pub(crate) overlay_hits: Counter,
    /// Reads answered by the cache
    pub(crate) cache_hits: Counter,
    /// Reads of the latest value from disk
    pub(crate) disk_reads: Counter,
    /// Reads of an older value from disk
    pub(crate) history_reads: Counter,
}
