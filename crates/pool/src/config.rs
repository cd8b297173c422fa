//! Limits of the pool.

/// Limit of one sub-pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubPoolLimit {
    /// Most transactions.
    pub max_txs: usize,
    /// Most bytes in memory.
    pub max_size: usize,
}

impl SubPoolLimit {
    /// A limit.
    pub const fn new(max_txs: usize, max_size: usize) -> Self {
        Self { max_txs, max_size }
    }

    /// True if `txs` transactions of `size` bytes together are too much.
    pub const fn is_exceeded(&self, txs: usize, size: usize) -> bool {
        txs > self.max_txs || size > self.max_size
    }
}

impl Default for SubPoolLimit {
    fn default() -> Self {
        Self::new(200_000, 512 * 1024 * 1024)
    }
}

/// Configuration of a [`crate::Pool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Limit of the pending sub-pool.
    pub pending_limit: SubPoolLimit,
    /// Limit of the basefee sub-pool.
    pub basefee_limit: SubPoolLimit,
    /// Limit of the queued sub-pool.
    pub queued_limit: SubPoolLimit,
    /// Most transactions of one sender. Local and private transactions are exempt.
    pub max_account_slots: usize,
    /// By how many percent a replacement must raise both fee cap and tip.
    pub price_bump: u128,
    /// Messages that a listener may leave unread before further ones are dropped for it.
    pub listener_buffer: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            pending_limit: SubPoolLimit::default(),
            basefee_limit: SubPoolLimit::default(),
            queued_limit: SubPoolLimit::default(),
            max_account_slots: 20_000,
            price_bump: 10,
            listener_buffer: 4096,
        }
    }
}
