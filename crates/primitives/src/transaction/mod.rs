//! Transactions: the envelope, the types that come from L1, their ABI and JSON forms.

pub mod abi;
pub mod envelope;
mod json;
pub mod l1;

#[cfg(test)]
mod malformed;
#[cfg(test)]
pub(crate) mod tests;

pub use abi::{CanonicalTransaction, CanonicalTxError};
pub use envelope::{RecoveredTx, ZkTxEnvelope, ZkTxType};
pub use l1::{
    L1_PRIORITY_TX_TYPE_ID, TxFromL1, TxL1Priority, TxUpgrade, UPGRADE_TX_TYPE_ID,
    extend_rolling_hash, priority_operations_hash,
};
