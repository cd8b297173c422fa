//! Validation: may a transaction enter the pool?

mod zk;

pub use zk::{
    StatelessCheck, ZkTransactionValidator, ZkTransactionValidatorBuilder, intrinsic_gas,
};

use crate::{BlockInfo, InvalidPoolTransactionError, PoolTransaction, TransactionOrigin};
use alloy_primitives::{TxHash, U256};
use std::{fmt, future::Future};

/// What validation found.
#[derive(Debug)]
pub enum TransactionValidationOutcome<T> {
    /// The transaction is good.
    Valid {
        /// The transaction.
        transaction: T,
        /// Balance of the sender in wei.
        balance: U256,
        /// Nonce of the sender.
        state_nonce: u64,
    },
    /// The transaction is bad.
    Invalid(T, InvalidPoolTransactionError),
    /// The transaction could not be checked; nothing is known about it.
    Error(TxHash, Box<dyn std::error::Error + Send + Sync>),
}

/// Checks transactions. The pool holds no lock while it runs.
pub trait TransactionValidator: fmt::Debug + Send + Sync + 'static {
    /// Transaction it checks.
    type Transaction: PoolTransaction;

    /// Checks a transaction.
    fn validate_transaction(
        &self,
        origin: TransactionOrigin,
        transaction: Self::Transaction,
    ) -> impl Future<Output = TransactionValidationOutcome<Self::Transaction>> + Send;

    /// Checks transactions against one state; the outcomes are in their order.
    fn validate_transactions(
        &self,
        origin: TransactionOrigin,
        transactions: Vec<Self::Transaction>,
    ) -> impl Future<Output = Vec<TransactionValidationOutcome<Self::Transaction>>> + Send {
        async move {
            let mut outcomes = Vec::with_capacity(transactions.len());
            for transaction in transactions {
                outcomes.push(self.validate_transaction(origin, transaction).await);
            }
            outcomes
        }
    }

    /// The conditions of the next block changed.
    fn on_new_head_block(&self, _info: &BlockInfo) {}
}
