//! Metrics of the engine.

use metrics::{Counter, Gauge, Histogram};
use metrics_derive::Metrics;

/// Metrics of block production and import.
#[derive(Metrics, Clone)]
#[metrics(scope = "engine")]
pub(crate) struct EngineMetrics {
    /// Last executed block.
    pub(crate) executed_block: Gauge,
    /// Last canonical block.
    pub(crate) canonical_block: Gauge,
    /// Transactions in executed blocks.
    pub(crate) transactions: Counter,
    /// Gas used by executed blocks.
    pub(crate) gas_used: Counter,
    /// Pubdata of executed blocks, bytes.
    pub(crate) pubdata_bytes: Counter,
    /// Transactions per block.
    pub(crate) block_transactions: Histogram,
    /// Gas per block.
    pub(crate) block_gas: Histogram,
    /// Seconds between the first transaction of a block and its seal.
    pub(crate) block_open_seconds: Histogram,
    /// Seconds spent on executing transactions of a block.
    pub(crate) execution_seconds: Histogram,
    /// Seconds from seal to hand-over to storage: assembling, hashing, queueing.
    pub(crate) seal_seconds: Histogram,
    /// Seconds between hand-over to storage and canonical.
    pub(crate) canonical_seconds: Histogram,
    /// Executed blocks that are not canonical yet.
    pub(crate) in_flight_blocks: Gauge,
    /// Transactions from L1 that wait for a block.
    pub(crate) l1_queue: Gauge,
}

/// Counts a sealed block by reason.
pub(crate) fn count_seal(reason: super::SealReason) {
    metrics::counter!("engine_seal_reason_total", "reason" => reason.as_str()).increment(1);
}

/// Counts a refused transaction of a user by error and by what was done with it.
pub(crate) fn count_refused(error: String, action: &'static str) {
    metrics::counter!("engine_refused_transactions_total", "error" => error, "action" => action)
        .increment(1);
}
