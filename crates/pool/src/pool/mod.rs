//! The pool itself.

mod best;
mod txpool;

pub use txpool::SubPool;

use crate::{
    AddedTransactionOutcome, AllPoolTransactions, BestTransactions, BestTransactionsAttributes,
    BlockInfo, CanonicalStateUpdate, NewTransactionEvent, PoolConfig, PoolError, PoolErrorKind,
    PoolResult, PoolSize, PoolTransaction, TransactionEvent, TransactionEvents,
    TransactionOrdering, TransactionOrigin, TransactionPool, TransactionPoolExt,
    TransactionValidationOutcome, TransactionValidator, ValidPoolTransaction, listeners::Listeners,
    metrics::PoolMetrics,
};
use alloy_primitives::{Address, TxHash, U256};
use best::BestPoolTransactions;
use parking_lot::RwLock;
use std::{fmt, sync::Arc, time::Instant};
use tokio::sync::mpsc::Receiver;
use txpool::{Changes, Inserted, TxPool};
use zkos_primitives::ZkTxEnvelope;

/// reth: `Pool`. Cheap to clone; clones share the transactions.
pub struct Pool<V, O: TransactionOrdering> {
    inner: Arc<PoolInner<V, O>>,
}

/// What the clones share. One lock, held for a microsecond per transaction and never while validating or telling listeners.
pub(crate) struct PoolInner<V, O: TransactionOrdering> {
    validator: V,
    pub(crate) ordering: O,
    pub(crate) txs: RwLock<TxPool<O::Transaction>>,
    listeners: Listeners<O::Transaction>,
    metrics: PoolMetrics,
}

impl<V, O: TransactionOrdering> Clone for Pool<V, O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<V: fmt::Debug, O: TransactionOrdering> fmt::Debug for Pool<V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("validator", &self.inner.validator)
            .field("ordering", &self.inner.ordering)
            .finish_non_exhaustive()
    }
}

impl<V, O> Pool<V, O>
where
    V: TransactionValidator,
    O: TransactionOrdering<Transaction = V::Transaction>,
{
    /// An empty pool.
    pub fn new(validator: V, ordering: O, config: PoolConfig) -> Self {
        Self {
            inner: Arc::new(PoolInner {
                validator,
                ordering,
                listeners: Listeners::new(config.listener_buffer),
                txs: RwLock::new(TxPool::new(config)),
                metrics: PoolMetrics::default(),
            }),
        }
    }

    /// The validator.
    pub fn validator(&self) -> &V {
        &self.inner.validator
    }

    /// Inserts what was validated, all under one lock, and tells the listeners afterwards.
    fn insert(
        &self,
        origin: TransactionOrigin,
        outcomes: Vec<TransactionValidationOutcome<V::Transaction>>,
    ) -> Vec<PoolResult<AddedTransactionOutcome>> {
        let timestamp = Instant::now();
        let mut candidates = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            candidates.push(Self::candidate(origin, timestamp, outcome));
        }
        let inserted: Vec<PoolResult<Inserted<V::Transaction>>> = {
            let mut txs = self.inner.txs.write();
            let mut insert = |(tx, nonce, balance): (ValidPoolTransaction<_>, u64, U256)| {
                let hash = *tx.hash();
                txs.insert(tx, nonce, balance).map_err(|kind| PoolError { hash, kind })
            };
            candidates.into_iter().map(|candidate| candidate.and_then(&mut insert)).collect()
        };
        inserted.into_iter().map(|result| self.report(result)).collect()
    }

    #[allow(clippy::type_complexity)]
    fn candidate(
        origin: TransactionOrigin,
        timestamp: Instant,
        outcome: TransactionValidationOutcome<V::Transaction>,
    ) -> PoolResult<(ValidPoolTransaction<V::Transaction>, u64, U256)> {
        match outcome {
            TransactionValidationOutcome::Valid { transaction, balance, state_nonce } => {
                let tx = ValidPoolTransaction { transaction, origin, timestamp, submission_id: 0 };
                Ok((tx, state_nonce, balance))
            }
            TransactionValidationOutcome::Invalid(tx, error) => {
                Err(PoolError::new(*tx.hash(), error))
            }
            TransactionValidationOutcome::Error(hash, error) => {
                Err(PoolError::new(hash, PoolErrorKind::Other(error)))
            }
        }
    }

    fn report(
        &self,
        result: PoolResult<Inserted<V::Transaction>>,
    ) -> PoolResult<AddedTransactionOutcome> {
        let Inserted { tx, sub_pool, replaced, changes } = match result {
            Ok(inserted) => inserted,
            Err(error) => {
                self.inner.metrics.invalid_transactions.increment(1);
                return Err(error);
            }
        };
        self.inner.metrics.inserted_transactions.increment(1);
        if let Some(old) = replaced {
            self.inner.metrics.replaced_transactions.increment(1);
            self.inner.listeners.notify_event(*old.hash(), TransactionEvent::Replaced(*tx.hash()));
        }
        self.inner.listeners.notify_new(sub_pool, &tx);
        self.notify(changes);
        Ok(AddedTransactionOutcome { hash: *tx.hash(), sub_pool })
    }

    fn notify(&self, changes: Changes<V::Transaction>) {
        let listeners = &self.inner.listeners;
        for tx in &changes.demoted {
            listeners.notify_event(*tx.hash(), TransactionEvent::Queued);
        }
        for tx in &changes.promoted {
            listeners.notify_pending(*tx.hash());
        }
        for tx in &changes.discarded {
            listeners.notify_event(*tx.hash(), TransactionEvent::Discarded);
        }
        self.inner.metrics.removed_transactions.increment(changes.discarded.len() as u64);
    }

    #[cfg(test)]
    pub(crate) fn assert_invariants(&self) {
        self.inner.txs.read().assert_invariants();
    }
}

impl<V, O> TransactionPool for Pool<V, O>
where
    V: TransactionValidator<Transaction: PoolTransaction<Consensus = ZkTxEnvelope>>,
    O: TransactionOrdering<Transaction = V::Transaction>,
{
    type Transaction = V::Transaction;

    fn pool_size(&self) -> PoolSize {
        self.inner.txs.read().size()
    }

    fn block_info(&self) -> BlockInfo {
        self.inner.txs.read().block_info()
    }

    async fn add_transaction(
        &self,
        origin: TransactionOrigin,
        transaction: Self::Transaction,
    ) -> PoolResult<AddedTransactionOutcome> {
        let hash = *transaction.hash();
        // Cheap, and a transaction that is sent again and again costs no state access.
        if self.inner.txs.read().get(&hash).is_some() {
            return Err(PoolError::new(hash, PoolErrorKind::AlreadyImported));
        }
        let outcome = self.inner.validator.validate_transaction(origin, transaction).await;
        let mut results = self.insert(origin, vec![outcome]);
        results.pop().unwrap_or_else(|| Err(PoolError::new(hash, PoolErrorKind::AlreadyImported)))
    }

    async fn add_transactions(
        &self,
        origin: TransactionOrigin,
        transactions: Vec<Self::Transaction>,
    ) -> Vec<PoolResult<AddedTransactionOutcome>> {
        let outcomes = self.inner.validator.validate_transactions(origin, transactions).await;
        self.insert(origin, outcomes)
    }

    fn pending_transactions_listener(&self) -> Receiver<TxHash> {
        self.inner.listeners.listen_pending()
    }

    fn new_transactions_listener(&self) -> Receiver<NewTransactionEvent<Self::Transaction>> {
        self.inner.listeners.listen_new()
    }

    fn transaction_event_listener(&self, hash: TxHash) -> Option<TransactionEvents> {
        // Under the lock, so that the transaction can't leave unseen in between.
        let txs = self.inner.txs.read();
        txs.get(&hash).map(|_| self.inner.listeners.listen_events(hash))
    }

    fn get(&self, hash: &TxHash) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>> {
        self.inner.txs.read().get(hash).cloned()
    }

    fn best_transactions(
        &self,
    ) -> Box<dyn BestTransactions<Item = Arc<ValidPoolTransaction<Self::Transaction>>>> {
        let base_fee = self.block_info().pending_basefee;
        self.best_transactions_with_attributes(BestTransactionsAttributes::base_fee(base_fee))
    }

    fn best_transactions_with_attributes(
        &self,
        attributes: BestTransactionsAttributes,
    ) -> Box<dyn BestTransactions<Item = Arc<ValidPoolTransaction<Self::Transaction>>>> {
        Box::new(BestPoolTransactions::new(self.inner.clone(), attributes.basefee))
    }

    fn all_transactions(&self) -> AllPoolTransactions<Self::Transaction> {
        let mut all = AllPoolTransactions::default();
        for (sub_pool, tx) in self.inner.txs.read().iter() {
            match sub_pool {
                SubPool::Pending => all.pending.push(tx.clone()),
                SubPool::BaseFee | SubPool::Queued => all.queued.push(tx.clone()),
            }
        }
        all
    }

    fn all_transaction_hashes(&self) -> Vec<TxHash> {
        self.inner.txs.read().hashes().copied().collect()
    }

    fn remove_transactions(
        &self,
        hashes: Vec<TxHash>,
    ) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>> {
        if hashes.is_empty() {
            return Vec::new();
        }
        let (removed, changes) = self.inner.txs.write().remove(&hashes);
        for tx in &removed {
            self.inner.listeners.notify_event(*tx.hash(), TransactionEvent::Discarded);
        }
        self.inner.metrics.removed_transactions.increment(removed.len() as u64);
        self.notify(changes);
        removed
    }

    fn get_transactions_by_sender(
        &self,
        sender: Address,
    ) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>> {
        self.inner.txs.read().by_sender(sender, 0).cloned().collect()
    }

    fn get_transaction_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>> {
        let txs = self.inner.txs.read();
        txs.by_sender(sender, nonce).next().filter(|tx| tx.nonce() == nonce).cloned()
    }

    fn get_highest_consecutive_transaction_by_sender(
        &self,
        sender: Address,
        on_chain_nonce: u64,
    ) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>> {
        let txs = self.inner.txs.read();
        let run = txs.by_sender(sender, on_chain_nonce).zip(on_chain_nonce..);
        run.take_while(|(tx, nonce)| tx.nonce() == *nonce).last().map(|(tx, _)| tx.clone())
    }

    fn unique_senders(&self) -> Vec<Address> {
        self.inner.txs.read().senders().copied().collect()
    }
}

impl<V, O> TransactionPoolExt for Pool<V, O>
where
    V: TransactionValidator<Transaction: PoolTransaction<Consensus = ZkTxEnvelope>>,
    O: TransactionOrdering<Transaction = V::Transaction>,
{
    fn set_block_info(&self, info: BlockInfo) {
        self.inner.validator.on_new_head_block(&info);
        let changes = self.inner.txs.write().set_block_info(info);
        self.notify(changes);
    }

    fn on_canonical_state_change(&self, update: CanonicalStateUpdate) {
        self.inner.validator.on_new_head_block(&update.block_info);
        let (mined, changes, size) = {
            let mut txs = self.inner.txs.write();
            let (mined, changes) = txs.on_canonical_state_change(&update);
            (mined, changes, txs.size())
        };
        let block = update.block_info.last_seen_block_hash;
        for tx in &mined {
            self.inner.listeners.notify_event(*tx.hash(), TransactionEvent::Mined(block));
        }
        self.inner.metrics.mined_transactions.increment(mined.len() as u64);
        self.inner.metrics.set_size(&size);
        self.notify(changes);
    }

    fn evict_stale(&self, deadline: Instant) -> usize {
        let stale: Vec<TxHash> = {
            let txs = self.inner.txs.read();
            let parked = txs.iter().filter(|(sub_pool, _)| *sub_pool != SubPool::Pending);
            parked.filter(|(_, tx)| tx.timestamp < deadline).map(|(_, tx)| *tx.hash()).collect()
        };
        self.remove_transactions(stale).len()
    }
}
