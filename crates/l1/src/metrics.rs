//! Metrics of this crate.

use metrics::{Counter, Gauge, Histogram};
use metrics_derive::Metrics;

/// Requests to the L1 node.
#[derive(Metrics, Clone)]
#[metrics(scope = "l1_provider")]
pub(crate) struct L1ProviderMetrics {
    /// HTTP requests sent to L1, retries included
    pub(crate) requests_total: Counter,
    /// Requests that met a transient fault
    pub(crate) transient_errors_total: Counter,
    /// Requests that were sent again
    pub(crate) retries_total: Counter,
    /// Duration of one HTTP request to L1
    pub(crate) request_duration_seconds: Histogram,
}

/// The watcher's progress.
#[derive(Metrics, Clone)]
#[metrics(scope = "l1_watcher")]
pub(crate) struct L1WatcherMetrics {
    /// Last L1 block whose events were processed
    pub(crate) scanned_block: Gauge,
    /// Head of L1 as the watcher sees it (confirmations deducted)
    pub(crate) head_block: Gauge,
    /// Id of the next priority transaction to deliver
    pub(crate) next_priority_id: Gauge,
    /// Last committed batch
    pub(crate) committed_batch: Gauge,
    /// Last proved batch
    pub(crate) proved_batch: Gauge,
    /// Last executed batch
    pub(crate) executed_batch: Gauge,
    /// Reorganisations of L1 met
    pub(crate) reorgs_total: Counter,
    /// Polls that failed
    pub(crate) poll_errors_total: Counter,
    /// 1 while L1 can't be read
    pub(crate) unreachable: Gauge,
}

/// One operator key; labelled with its address.
#[derive(Metrics, Clone)]
#[metrics(scope = "l1_sender")]
pub(crate) struct L1SenderMetrics {
    /// Balance of the operator, ether
    pub(crate) balance: Gauge,
    /// Next nonce of the operator
    pub(crate) nonce: Gauge,
    /// Transactions sent and not yet mined
    pub(crate) parallel_transactions: Gauge,
    /// Fee paid per transaction, ether
    pub(crate) l1_transaction_fee_ether: Histogram,
    /// Gas used per transaction
    pub(crate) gas_used: Histogram,
    /// Last max fee per gas offered, wei
    pub(crate) max_fee_per_gas: Gauge,
    /// Last priority fee per gas offered, wei
    pub(crate) max_priority_fee_per_gas: Gauge,
    /// Transactions sent again with higher fees
    pub(crate) replacements_total: Counter,
    /// Transactions sent again unchanged
    pub(crate) rebroadcasts_total: Counter,
    /// Transactions mined with status 0
    pub(crate) reverts_total: Counter,
    /// 1 while the fee cap is below what L1 asks
    pub(crate) fee_capped: Gauge,
    /// Failed requests of the sender's loop
    pub(crate) errors_total: Counter,
}
