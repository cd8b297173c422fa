use metrics::{Counter, Gauge, Histogram};
use metrics_derive::Metrics;

/// Metrics of the index.
#[derive(Metrics, Clone)]
#[metrics(scope = "otterscan")]
pub(crate) struct IndexMetrics {
    /// Last block in the index
    pub(crate) index_block: Gauge,
    /// Canonical blocks that are not in the index yet
    pub(crate) index_behind_blocks: Gauge,
    /// Time to bring one run of blocks into the index, seconds
    pub(crate) index_seconds: Histogram,
    /// Blocks brought into the index
    pub(crate) index_blocks_total: Counter,
    /// Pairs of address and transaction brought into the index
    pub(crate) index_entries_total: Counter,
}
