//! Metrics of the pool.

use crate::PoolSize;
use metrics::{Counter, Gauge};
use metrics_derive::Metrics;

#[derive(Metrics, Clone)]
#[metrics(scope = "transaction_pool")]
pub(crate) struct PoolMetrics {
    /// Transactions that entered the pool
    pub(crate) inserted_transactions: Counter,
    /// Transactions that were refused
    pub(crate) invalid_transactions: Counter,
    /// Transactions that were removed because they are in a block
    pub(crate) mined_transactions: Counter,
    /// Transactions that were removed for another reason
    pub(crate) removed_transactions: Counter,
    /// Transactions that took the place of another
    pub(crate) replaced_transactions: Counter,
    /// Times that canonical notifications were lost and all accounts read anew
    pub(crate) resyncs: Counter,
    /// Transactions executable now
    pub(crate) pending_pool_transactions: Gauge,
    /// Bytes of transactions executable now
    pub(crate) pending_pool_size_bytes: Gauge,
    /// Transactions with a fee cap below the base fee
    pub(crate) basefee_pool_transactions: Gauge,
    /// Bytes of transactions with a fee cap below the base fee
    pub(crate) basefee_pool_size_bytes: Gauge,
    /// Transactions that wait for a nonce or for funds
    pub(crate) queued_pool_transactions: Gauge,
    /// Bytes of transactions that wait for a nonce or for funds
    pub(crate) queued_pool_size_bytes: Gauge,
}

impl PoolMetrics {
    pub(crate) fn set_size(&self, size: &PoolSize) {
        self.pending_pool_transactions.set(size.pending as f64);
        self.pending_pool_size_bytes.set(size.pending_size as f64);
        self.basefee_pool_transactions.set(size.basefee as f64);
        self.basefee_pool_size_bytes.set(size.basefee_size as f64);
        self.queued_pool_transactions.set(size.queued as f64);
        self.queued_pool_size_bytes.set(size.queued_size as f64);
    }
}
