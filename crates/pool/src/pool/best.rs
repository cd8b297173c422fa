//! The live iterator over pending transactions.

use super::PoolInner;
use crate::{
    BestTransactions, InvalidPoolTransactionError, Priority, TransactionOrdering,
    ValidPoolTransaction, pool::txpool::TxPool,
};
use alloy_primitives::{Address, map::AddressMap};
use std::{cmp::Ordering, collections::BinaryHeap, fmt, sync::Arc};

/// A transaction in the heap: the better, the greater.
struct Candidate<T, P> {
    priority: Priority<P>,
    tx: Arc<ValidPoolTransaction<T>>,
}

impl<T, P: Ord> Ord for Candidate<T, P> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.priority.cmp(&other.priority);
        order.then_with(|| other.tx.submission_id.cmp(&self.tx.submission_id))
    }
}

impl<T, P: Ord> PartialOrd for Candidate<T, P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T, P: Ord> PartialEq for Candidate<T, P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T, P: Ord> Eq for Candidate<T, P> {}

/// Where the iterator is with a sender.
#[derive(Debug, Clone, Copy)]
enum Progress {
    /// A transaction of the sender is in the heap.
    Offered,
    /// All before this nonce were yielded; there was none with it that could go.
    WaitsFor(u64),
    /// Left out.
    Excluded,
}

/// See [`BestTransactions`] for what it promises.
pub(crate) struct BestPoolTransactions<V, O: TransactionOrdering> {
    pool: Arc<PoolInner<V, O>>,
    base_fee: u64,
    heap: BinaryHeap<Candidate<O::Transaction, O::PriorityValue>>,
    progress: AddressMap<Progress>,
    /// Promotions of the pool that were seen.
    promotions_seen: u64,
    updates: bool,
}

impl<V, O: TransactionOrdering> fmt::Debug for BestPoolTransactions<V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BestPoolTransactions")
            .field("base_fee", &self.base_fee)
            .field("heap", &self.heap.len())
            .finish_non_exhaustive()
    }
}

impl<V, O> BestPoolTransactions<V, O>
where
    V: Send + Sync + 'static,
    O: TransactionOrdering,
{
    pub(crate) fn new(pool: Arc<PoolInner<V, O>>, base_fee: u64) -> Self {
        let mut this = Self {
            pool: pool.clone(),
            base_fee,
            heap: BinaryHeap::new(),
            progress: AddressMap::default(),
            promotions_seen: 0,
            updates: true,
        };
        this.offer_heads(&pool.txs.read());
        this
    }

    /// Offers the first pending transactions of all senders that were not seen yet, or that wait for them.
    fn offer_heads(&mut self, txs: &TxPool<O::Transaction>) {
        self.promotions_seen = txs.promotions_end();
        let mut candidates = std::mem::take(&mut self.heap).into_vec();
        for head in txs.pending_heads() {
            let sender = head.sender();
            let found = match self.progress.get(&sender) {
                None => Some(head),
                Some(Progress::WaitsFor(nonce)) => {
                    txs.pending_at(sender, (*nonce).max(head.nonce()))
                }
                Some(Progress::Offered | Progress::Excluded) => None,
            };
            if let Some(tx) = found
                && let Some(candidate) = self.candidate(tx)
            {
                candidates.push(candidate);
                self.progress.insert(sender, Progress::Offered);
            }
        }
        self.heap = BinaryHeap::from(candidates);
    }

    fn candidate(
        &self,
        tx: &Arc<ValidPoolTransaction<O::Transaction>>,
    ) -> Option<Candidate<O::Transaction, O::PriorityValue>> {
        (tx.max_fee_per_gas() >= u128::from(self.base_fee)).then(|| Candidate {
            priority: self.pool.ordering.priority(&tx.transaction, self.base_fee),
            tx: tx.clone(),
        })
    }

    /// Takes in what became pending since the last look.
    fn catch_up(&mut self, txs: &TxPool<O::Transaction>) {
        if !self.updates || txs.promotions_end() == self.promotions_seen {
            return;
        }
        let Some(promotions) = txs.promotions_since(self.promotions_seen) else {
            return self.offer_heads(txs);
        };
        for tx in promotions {
            let (sender, nonce) = (tx.sender(), tx.nonce());
            let is_head = txs.account_nonce(sender) == Some(nonce);
            let wanted = match self.progress.get(&sender) {
                None => is_head,
                Some(Progress::WaitsFor(next)) => *next == nonce || (is_head && nonce > *next),
                Some(Progress::Offered | Progress::Excluded) => false,
            };
            if wanted
                && let Some(tx) = txs.pending_at(sender, nonce)
                && let Some(candidate) = self.candidate(tx)
            {
                self.heap.push(candidate);
                self.progress.insert(sender, Progress::Offered);
            }
        }
        self.promotions_seen = txs.promotions_end();
    }

    /// Offers the sender's transaction with `nonce`, or remembers to wait for it.
    fn advance(&mut self, txs: &TxPool<O::Transaction>, sender: Address, nonce: u64) {
        let candidate = txs.pending_at(sender, nonce).and_then(|tx| self.candidate(tx));
        let progress = match candidate {
            Some(candidate) => {
                self.heap.push(candidate);
                Progress::Offered
            }
            None => Progress::WaitsFor(nonce),
        };
        self.progress.insert(sender, progress);
    }
}

impl<V, O> Iterator for BestPoolTransactions<V, O>
where
    V: Send + Sync + 'static,
    O: TransactionOrdering,
{
    type Item = Arc<ValidPoolTransaction<O::Transaction>>;

    fn next(&mut self) -> Option<Self::Item> {
        let pool = self.pool.clone();
        let txs = pool.txs.read();
        self.catch_up(&txs);
        while let Some(Candidate { tx, .. }) = self.heap.pop() {
            let (sender, nonce) = (tx.sender(), tx.nonce());
            if matches!(self.progress.get(&sender), Some(Progress::Excluded)) {
                continue;
            }
            // Since it was offered it may have been included, replaced, parked or removed.
            match txs.pending_at(sender, nonce) {
                Some(current) if Arc::ptr_eq(current, &tx) => {
                    match nonce.checked_add(1) {
                        Some(next) => self.advance(&txs, sender, next),
                        None => {
                            self.progress.insert(sender, Progress::Excluded);
                        }
                    }
                    return Some(tx);
                }
                Some(_) => self.advance(&txs, sender, nonce),
                None => {
                    let account_nonce = txs.account_nonce(sender).unwrap_or(nonce);
                    self.advance(&txs, sender, nonce.max(account_nonce));
                }
            }
        }
        None
    }
}

impl<V, O> BestTransactions for BestPoolTransactions<V, O>
where
    V: Send + Sync + 'static,
    O: TransactionOrdering,
{
    fn mark_invalid(&mut self, transaction: &Self::Item, _kind: &InvalidPoolTransactionError) {
        self.progress.insert(transaction.sender(), Progress::Excluded);
    }

    fn no_updates(&mut self) {
        self.updates = false;
    }
}
