//! The pool as the rest of the node sees it.

use crate::{
    InvalidPoolTransactionError, NewTransactionEvent, PoolResult, PoolTransaction, SubPool,
    TransactionEvents, ValidPoolTransaction,
};
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256, TxHash, U256};
use std::{fmt, future::Future, sync::Arc};
use tokio::sync::mpsc::Receiver;
use zkos_primitives::ZkTxEnvelope;

/// Where a transaction came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TransactionOrigin {
    /// The operator: the backup file, or a call inside the node. Exempt from the limit per sender.
    Local,
    /// A user, through RPC.
    #[default]
    External,
    /// The operator, not to be shown to others.
    Private,
}

impl TransactionOrigin {
    /// True unless the transaction came from a user.
    pub const fn is_local(self) -> bool {
        !matches!(self, Self::External)
    }
}

/// What became of an added transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedTransactionOutcome {
    /// Hash of the transaction.
    pub hash: TxHash,
    /// Sub-pool it is in.
    pub sub_pool: SubPool,
}

impl AddedTransactionOutcome {
    /// True if the transaction is executable now.
    pub fn is_pending(&self) -> bool {
        self.sub_pool == SubPool::Pending
    }
}

/// Numbers and bytes of the sub-pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSize {
    /// Transactions executable now.
    pub pending: usize,
    /// Their bytes.
    pub pending_size: usize,
    /// Transactions with a fee cap below the base fee.
    pub basefee: usize,
    /// Their bytes.
    pub basefee_size: usize,
    /// Transactions that wait for something else.
    pub queued: usize,
    /// Their bytes.
    pub queued_size: usize,
    /// All transactions.
    pub total: usize,
}

/// All transactions of the pool.
#[derive(Debug, Clone)]
pub struct AllPoolTransactions<T> {
    /// Executable now.
    pub pending: Vec<Arc<ValidPoolTransaction<T>>>,
    /// All others.
    pub queued: Vec<Arc<ValidPoolTransaction<T>>>,
}

impl<T> Default for AllPoolTransactions<T> {
    fn default() -> Self {
        Self { pending: Vec::new(), queued: Vec::new() }
    }
}

/// What the pool knows of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockInfo {
    /// Last block the pool has seen.
    pub last_seen_block_number: u64,
    /// Its hash.
    pub last_seen_block_hash: B256,
    /// Gas limit of the next block.
    pub block_gas_limit: u64,
    /// Base fee of the next block, in wei per gas.
    pub pending_basefee: u64,
}

/// Conditions of the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BestTransactionsAttributes {
    /// Base fee in wei per gas.
    pub basefee: u64,
}

impl BestTransactionsAttributes {
    /// A base fee.
    pub const fn base_fee(basefee: u64) -> Self {
        Self { basefee }
    }
}

/// Pending transactions in the order in which a block should take them: best first, each sender's in the order of nonces.
///
/// The iterator is live: transactions that become pending after it was made are offered too, and one that left the pool is not. `None` means that there is nothing
/// *now*; it may be asked again. A transaction that was yielded and is not in the chain yet stays in the pool, but is not yielded twice.
pub trait BestTransactions: Iterator + Send {
    /// Leaves out the sender of `transaction` from now on: its later transactions could not be executed without this one.
    fn mark_invalid(&mut self, transaction: &Self::Item, kind: &InvalidPoolTransactionError);
    /// Stops looking at transactions that become pending from now on.
    fn no_updates(&mut self);
}

impl<T: BestTransactions + ?Sized> BestTransactions for Box<T> {
    fn mark_invalid(&mut self, transaction: &Self::Item, kind: &InvalidPoolTransactionError) {
        (**self).mark_invalid(transaction, kind);
    }

    fn no_updates(&mut self) {
        (**self).no_updates();
    }
}

/// reth: `TransactionPool`, without what belongs to gossip and blobs.
pub trait TransactionPool: Clone + fmt::Debug + Send + Sync + 'static {
    /// Transaction of the pool.
    type Transaction: PoolTransaction<Consensus = ZkTxEnvelope>;

    /// Numbers and bytes of the sub-pools.
    fn pool_size(&self) -> PoolSize;
    /// What the pool knows of the chain.
    fn block_info(&self) -> BlockInfo;

    /// Validates and adds a transaction.
    fn add_transaction(
        &self,
        origin: TransactionOrigin,
        transaction: Self::Transaction,
    ) -> impl Future<Output = PoolResult<AddedTransactionOutcome>> + Send;

    /// Validates and adds transactions; the results are in their order.
    fn add_transactions(
        &self,
        origin: TransactionOrigin,
        transactions: Vec<Self::Transaction>,
    ) -> impl Future<Output = Vec<PoolResult<AddedTransactionOutcome>>> + Send;

    /// Validates and adds a transaction whose sender was recovered.
    fn add_consensus_transaction(
        &self,
        transaction: Recovered<ZkTxEnvelope>,
        origin: TransactionOrigin,
    ) -> impl Future<Output = PoolResult<AddedTransactionOutcome>> + Send {
        self.add_transaction(origin, Self::Transaction::from_recovered(transaction))
    }

    /// Hashes of transactions that become pending. A receiver that does not keep up misses some.
    fn pending_transactions_listener(&self) -> Receiver<TxHash>;
    /// Transactions that enter the pool, whatever the sub-pool. A receiver that does not keep up misses some.
    fn new_transactions_listener(&self) -> Receiver<NewTransactionEvent<Self::Transaction>>;
    /// What happens to one transaction; `None` if it is not in the pool.
    fn transaction_event_listener(&self, hash: TxHash) -> Option<TransactionEvents>;

    /// Transaction by hash.
    fn get(&self, hash: &TxHash) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>>;
    /// Transactions by hash; unknown ones are left out.
    fn get_all(&self, hashes: &[TxHash]) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>> {
        hashes.iter().filter_map(|hash| self.get(hash)).collect()
    }
    /// True if the transaction is in the pool.
    fn contains(&self, hash: &TxHash) -> bool {
        self.get(hash).is_some()
    }

    /// Pending transactions, best first, at the pool's base fee.
    #[allow(clippy::type_complexity)]
    fn best_transactions(
        &self,
    ) -> Box<dyn BestTransactions<Item = Arc<ValidPoolTransaction<Self::Transaction>>>>;
    /// Pending transactions, best first, under given conditions.
    #[allow(clippy::type_complexity)]
    fn best_transactions_with_attributes(
        &self,
        attributes: BestTransactionsAttributes,
    ) -> Box<dyn BestTransactions<Item = Arc<ValidPoolTransaction<Self::Transaction>>>>;

    /// Transactions executable now, in no particular order.
    fn pending_transactions(&self) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>> {
        self.all_transactions().pending
    }
    /// All other transactions, in no particular order.
    fn queued_transactions(&self) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>> {
        self.all_transactions().queued
    }
    /// All transactions, in no particular order.
    fn all_transactions(&self) -> AllPoolTransactions<Self::Transaction>;
    /// Hashes of all transactions.
    fn all_transaction_hashes(&self) -> Vec<TxHash>;

    /// Removes transactions and returns those that were there. Later ones of the same senders get a nonce gap.
    fn remove_transactions(
        &self,
        hashes: Vec<TxHash>,
    ) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>>;

    /// A sender's transactions, by nonce.
    fn get_transactions_by_sender(
        &self,
        sender: Address,
    ) -> Vec<Arc<ValidPoolTransaction<Self::Transaction>>>;
    /// A sender's transaction with a nonce.
    fn get_transaction_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>>;
    /// Last transaction of the gapless run of a sender's nonces that starts at `on_chain_nonce`.
    fn get_highest_consecutive_transaction_by_sender(
        &self,
        sender: Address,
        on_chain_nonce: u64,
    ) -> Option<Arc<ValidPoolTransaction<Self::Transaction>>>;
    /// All senders.
    fn unique_senders(&self) -> Vec<Address>;
}

/// Nonce and balance of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedAccount {
    /// The account.
    pub address: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
}

/// A new head of the chain.
#[derive(Debug, Clone, Default)]
pub struct CanonicalStateUpdate {
    /// The chain with the new head.
    pub block_info: BlockInfo,
    /// Accounts that changed since the last update.
    pub changed_accounts: Vec<ChangedAccount>,
    /// Transactions included since the last update.
    pub mined_transactions: Vec<TxHash>,
    /// True if nonces may have fallen: blocks were replaced, or updates were lost and the accounts are read anew.
    pub reset_accounts: bool,
}

/// What drives the pool from the chain's side.
pub trait TransactionPoolExt: TransactionPool {
    /// Sets the conditions of the next block. Raising or lowering the base fee moves transactions between the sub-pools.
    fn set_block_info(&self, info: BlockInfo);
    /// Takes in a new head.
    fn on_canonical_state_change(&self, update: CanonicalStateUpdate);
    /// Removes transactions that are not executable and were added before `deadline`; returns how many.
    fn evict_stale(&self, deadline: std::time::Instant) -> usize;
}
