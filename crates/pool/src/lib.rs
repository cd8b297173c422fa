//! The transaction pool, with reth's vocabulary.
//!
//! *What it is for.* It keeps the transactions that users submitted until they are in a block: validated against static rules and state, one per sender and nonce, in
//! three sub-pools: *pending* (executable now), *basefee* (fee cap below the base fee), *queued* (nonce gap, balance too low, or behind such a transaction).
//!
//! *What it must not do.* It never holds transactions that come from L1, executes nothing, and decides nothing about blocks: block production walks
//! [`TransactionPool::best_transactions`] and reports back by removing transactions and by canonical-state updates.
//!
//! *How a transaction moves through it.* RPC recovers the signer once and calls [`TransactionPool::add_transaction`]. The [`TransactionValidator`] runs without any lock of
//! the pool; then one short critical section inserts the transaction and moves those it affects between the sub-pools; listeners are told afterwards.
//! [`maintain_transaction_pool`] feeds canonical notifications back and keeps a backup file, from which the pool is restored at start.

mod backup;
mod config;
mod error;
mod listeners;
mod maintain;
mod metrics;
mod ordering;
mod pool;
mod traits;
mod transaction;
mod validate;

pub use backup::{BackupError, load_backup, restore_backup, save_backup};
pub use config::{PoolConfig, SubPoolLimit};
pub use error::{InvalidPoolTransactionError, PoolError, PoolErrorKind, PoolResult};
pub use listeners::{NewTransactionEvent, TransactionEvent, TransactionEvents};
pub use maintain::{MaintainPoolConfig, maintain_transaction_pool};
pub use ordering::{CoinbaseTipOrdering, Priority, TransactionOrdering};
pub use pool::{Pool, SubPool};
pub use traits::{
    AddedTransactionOutcome, AllPoolTransactions, BestTransactions, BestTransactionsAttributes,
    BlockInfo, CanonicalStateUpdate, ChangedAccount, PoolSize, TransactionOrigin, TransactionPool,
    TransactionPoolExt,
};
pub use transaction::{PoolTransaction, ValidPoolTransaction, ZkPooledTransaction};
pub use validate::{
    StatelessCheck, TransactionValidationOutcome, TransactionValidator, ZkTransactionValidator,
    ZkTransactionValidatorBuilder, intrinsic_gas,
};

/// The pool of a node: stock validator over a provider, ordered by tip.
pub type ZkTransactionPool<P> =
    Pool<ZkTransactionValidator<P>, CoinbaseTipOrdering<ZkPooledTransaction>>;

#[cfg(test)]
mod tests;
