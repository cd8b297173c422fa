use metrics::{Counter, Gauge, Histogram};
use metrics_derive::Metrics;

/// Metrics of batching.
#[derive(Metrics, Clone)]
#[metrics(scope = "batcher")]
pub(crate) struct BatcherMetrics {
    /// Last block in the state tree
    pub(crate) tree_block: Gauge,
    /// Time to bring one run of blocks into the state tree, seconds
    pub(crate) tree_update_seconds: Histogram,
    /// Time that updates of the state tree waited for a checkpoint because the next one was due before it was finished, seconds
    pub(crate) tree_checkpoint_wait_seconds: Gauge,
    /// Checkpoints of the state tree since the start
    pub(crate) tree_checkpoints: Gauge,
    /// Memory of cached leaves of the state tree, bytes
    pub(crate) tree_cached_bytes: Gauge,
    /// Of these, leaves that wait for a checkpoint, bytes
    pub(crate) tree_unwritten_bytes: Gauge,
    /// Memory of the key index of the state tree, bytes
    pub(crate) tree_key_index_bytes: Gauge,
    /// Batches sealed
    pub(crate) sealed_batches_total: Counter,
    /// Last sealed batch
    pub(crate) sealed_batch: Gauge,
    /// Blocks in a batch
    pub(crate) blocks_per_batch: Histogram,
    /// Transactions in a batch
    pub(crate) transactions_per_batch: Histogram,
    /// Pubdata of a batch, bytes
    pub(crate) pubdata_per_batch_bytes: Histogram,
    /// Last batch with a FRI proof
    pub(crate) fri_proved_batch: Gauge,
    /// Last committed batch
    pub(crate) committed_batch: Gauge,
    /// Last proved batch
    pub(crate) proved_batch: Gauge,
    /// Last executed batch
    pub(crate) executed_batch: Gauge,
    /// Time from sealing to execution on L1, seconds
    pub(crate) settlement_seconds: Histogram,
}
