//! Candidates of users, out of the pool.

use alloy_primitives::{Address, TxHash, map::AddressMap};
use std::sync::Arc;
use tokio::sync::mpsc;
use zkos_pool::{
    BestTransactions, BestTransactionsAttributes, InvalidPoolTransactionError, TransactionPool,
    ValidPoolTransaction,
};

/// A candidate as the pool yields it.
pub(crate) type Candidate<Pool> = Arc<ValidPoolTransaction<<Pool as TransactionPool>::Transaction>>;

/// Senders remembered before a look at what can be forgotten.
const MAX_EXECUTED: usize = 100_000;

/// Next nonce of a sender after a block that the pool may not know yet.
#[derive(Debug, Clone, Copy)]
struct Executed {
    next_nonce: u64,
    block: u64,
}

/// Walks the pool's best transactions across blocks.
///
/// The pool learns of a block when it is canonical, a little after the next one was begun. So one live iterator serves many blocks (what it yielded it does not yield again), and
/// what was executed is remembered until the pool knows it, for the times when the iterator is made anew.
pub(crate) struct Selection<Pool: TransactionPool> {
    pool: Pool,
    base_fee: u64,
    best: Option<Box<dyn BestTransactions<Item = Candidate<Pool>>>>,
    /// Taken out of the iterator but not executed.
    peeked: Option<Candidate<Pool>>,
    pending: mpsc::Receiver<TxHash>,
    executed: AddressMap<Executed>,
    /// Senders were left out of the iterator since it was made.
    excluded: bool,
    /// Head for which the iterator was made.
    made_at: u64,
}

impl<Pool: TransactionPool> std::fmt::Debug for Selection<Pool> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selection").field("base_fee", &self.base_fee).finish_non_exhaustive()
    }
}

impl<Pool: TransactionPool> Selection<Pool> {
    pub(crate) fn new(pool: Pool, base_fee: u64) -> Self {
        let pending = pool.pending_transactions_listener();
        Self {
            pool,
            base_fee,
            best: None,
            peeked: None,
            pending,
            executed: AddressMap::default(),
            excluded: false,
            made_at: 0,
        }
    }

    /// Begins with the block after `head`. Senders that were left out get another chance, because the state has changed.
    pub(crate) fn begin_block(&mut self, head: u64) {
        if self.excluded && self.made_at != head {
            self.best = None;
        }
        // It may have been dropped or replaced since.
        if self.peeked.as_ref().is_some_and(|tx| !self.pool.contains(tx.hash())) {
            self.peeked = None;
            self.best = None;
        }
        if self.best.is_none() {
            self.made_at = head;
        }
        if self.executed.len() > MAX_EXECUTED {
            self.forget_known();
        }
    }

    fn forget_known(&mut self) {
        let known = self.pool.block_info().last_seen_block_number;
        self.executed.retain(|_, executed| executed.block > known);
        // The iterator remembers every sender it met, too.
        self.best = None;
    }

    /// Whether there is a candidate now.
    pub(crate) fn has_next(&mut self) -> bool {
        if self.peeked.is_none() {
            self.peeked = self.next();
        }
        self.peeked.is_some()
    }

    /// The next candidate.
    pub(crate) fn next(&mut self) -> Option<Candidate<Pool>> {
        if let Some(peeked) = self.peeked.take() {
            return Some(peeked);
        }
        let (pool, base_fee, excluded) = (&self.pool, self.base_fee, &mut self.excluded);
        let best = self.best.get_or_insert_with(|| {
            *excluded = false;
            pool.best_transactions_with_attributes(BestTransactionsAttributes::base_fee(base_fee))
        });
        loop {
            let candidate = best.next()?;
            let stale = self
                .executed
                .get(&candidate.sender())
                .is_some_and(|executed| candidate.nonce() < executed.next_nonce);
            if !stale {
                return Some(candidate);
            }
        }
    }

    /// Keeps a candidate for the next block.
    pub(crate) fn put_back(&mut self, candidate: Candidate<Pool>) {
        self.peeked = Some(candidate);
    }

    /// Leaves the sender of a candidate out until the next block.
    pub(crate) fn skip_sender(&mut self, candidate: &Candidate<Pool>) {
        self.excluded = true;
        if let Some(best) = &mut self.best {
            // The pool only looks at the sender.
            best.mark_invalid(candidate, &InvalidPoolTransactionError::TxTypeNotSupported);
        }
    }

    /// Remembers an executed transaction.
    pub(crate) fn included(&mut self, sender: Address, nonce: u64, block: u64) {
        self.executed.insert(sender, Executed { next_nonce: nonce.saturating_add(1), block });
    }

    /// Takes transactions out of the pool.
    pub(crate) fn purge(&self, hashes: Vec<TxHash>) {
        if !hashes.is_empty() {
            self.pool.remove_transactions(hashes);
        }
    }

    /// Waits until transactions have become executable. Cancel-safe.
    pub(crate) async fn arrived(&mut self) {
        if self.pending.recv().await.is_none() {
            // The pool is gone: shutdown.
            return std::future::pending().await;
        }
        // The hashes only wake us up.
        while self.pending.try_recv().is_ok() {}
    }
}
