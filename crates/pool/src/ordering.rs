//! Order in which pending transactions are offered to block production.

use crate::PoolTransaction;
use std::{fmt, marker::PhantomData};

/// Priority of a transaction. One that can't be executed at the base fee comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority<T> {
    /// None at this base fee.
    None,
    /// The higher, the earlier.
    Value(T),
}

/// Gives priorities. Among equals the transaction that came first goes first.
pub trait TransactionOrdering: fmt::Debug + Send + Sync + 'static {
    /// Type of the priority.
    type PriorityValue: Ord + Clone + fmt::Debug + Send + Sync;
    /// Transaction it orders.
    type Transaction: PoolTransaction;

    /// Priority at a base fee in wei per gas.
    fn priority(
        &self,
        transaction: &Self::Transaction,
        base_fee: u64,
    ) -> Priority<Self::PriorityValue>;
}

/// Orders by what the block's beneficiary gets per gas on top of the base fee.
pub struct CoinbaseTipOrdering<T>(PhantomData<fn() -> T>);

impl<T> Default for CoinbaseTipOrdering<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for CoinbaseTipOrdering<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for CoinbaseTipOrdering<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoinbaseTipOrdering")
    }
}

impl<T: PoolTransaction> TransactionOrdering for CoinbaseTipOrdering<T> {
    type PriorityValue = u128;
    type Transaction = T;

    fn priority(&self, transaction: &T, base_fee: u64) -> Priority<u128> {
        transaction.effective_tip_per_gas(base_fee).map_or(Priority::None, Priority::Value)
    }
}
