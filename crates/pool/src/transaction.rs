//! Transactions as the pool sees them.

use crate::TransactionOrigin;
use alloy_consensus::{
    InMemorySize, Transaction, Typed2718,
    transaction::{Recovered, TxHashRef},
};
use alloy_eips::{Encodable2718, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxHash, TxKind, U256};
use std::{fmt, time::Instant};
use zkos_primitives::ZkTxEnvelope;

/// What the pool needs of a transaction.
pub trait PoolTransaction:
    Transaction + InMemorySize + fmt::Debug + Clone + Send + Sync + 'static
{
    /// The transaction as it is in a block.
    type Consensus;

    /// Wraps a transaction whose sender is known.
    fn from_recovered(tx: Recovered<Self::Consensus>) -> Self;
    /// The transaction with its sender.
    fn clone_into_consensus(&self) -> Recovered<Self::Consensus>;
    /// Hash.
    fn hash(&self) -> &TxHash;
    /// Sender.
    fn sender(&self) -> Address;
    /// Most that the transaction can take from its sender: fee cap times gas limit plus value, in wei. Saturates.
    fn cost(&self) -> &U256;
    /// Length of the EIP-2718 encoding in bytes.
    fn encoded_length(&self) -> usize;
}

/// The pool's form of a transaction of the chain.
#[derive(Debug, Clone)]
pub struct ZkPooledTransaction {
    transaction: Recovered<ZkTxEnvelope>,
    cost: U256,
    encoded_length: usize,
}

impl ZkPooledTransaction {
    /// The transaction.
    pub fn transaction(&self) -> &ZkTxEnvelope {
        self.transaction.inner()
    }
}

impl PoolTransaction for ZkPooledTransaction {
    type Consensus = ZkTxEnvelope;

    fn from_recovered(transaction: Recovered<ZkTxEnvelope>) -> Self {
        let fee = U256::from(transaction.max_fee_per_gas()) * U256::from(transaction.gas_limit());
        let cost = fee.saturating_add(transaction.value());
        let encoded_length = transaction.encode_2718_len();
        Self { transaction, cost, encoded_length }
    }

    fn clone_into_consensus(&self) -> Recovered<ZkTxEnvelope> {
        self.transaction.clone()
    }

    fn hash(&self) -> &TxHash {
        self.transaction.tx_hash()
    }

    fn sender(&self) -> Address {
        self.transaction.signer()
    }

    fn cost(&self) -> &U256 {
        &self.cost
    }

    fn encoded_length(&self) -> usize {
        self.encoded_length
    }
}

impl InMemorySize for ZkPooledTransaction {
    fn size(&self) -> usize {
        self.transaction.inner().size() + size_of::<Self>()
    }
}

impl Typed2718 for ZkPooledTransaction {
    fn ty(&self) -> u8 {
        self.transaction.ty()
    }
}

impl Transaction for ZkPooledTransaction {
    fn chain_id(&self) -> Option<u64> {
        self.transaction.chain_id()
    }

    fn nonce(&self) -> u64 {
        self.transaction.nonce()
    }

    fn gas_limit(&self) -> u64 {
        self.transaction.gas_limit()
    }

    fn gas_price(&self) -> Option<u128> {
        self.transaction.gas_price()
    }

    fn max_fee_per_gas(&self) -> u128 {
        self.transaction.max_fee_per_gas()
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.transaction.max_priority_fee_per_gas()
    }

    fn max_fee_per_blob_gas(&self) -> Option<u128> {
        self.transaction.max_fee_per_blob_gas()
    }

    fn priority_fee_or_price(&self) -> u128 {
        self.transaction.priority_fee_or_price()
    }

    fn effective_gas_price(&self, base_fee: Option<u64>) -> u128 {
        Transaction::effective_gas_price(self.transaction.inner(), base_fee)
    }

    fn is_dynamic_fee(&self) -> bool {
        self.transaction.is_dynamic_fee()
    }

    fn kind(&self) -> TxKind {
        self.transaction.kind()
    }

    fn is_create(&self) -> bool {
        self.transaction.is_create()
    }

    fn value(&self) -> U256 {
        self.transaction.value()
    }

    fn input(&self) -> &Bytes {
        self.transaction.input()
    }

    fn access_list(&self) -> Option<&AccessList> {
        self.transaction.access_list()
    }

    fn blob_versioned_hashes(&self) -> Option<&[B256]> {
        self.transaction.blob_versioned_hashes()
    }

    fn authorization_list(&self) -> Option<&[SignedAuthorization]> {
        self.transaction.authorization_list()
    }
}

/// A validated transaction in the pool.
#[derive(Debug, Clone)]
pub struct ValidPoolTransaction<T> {
    /// The transaction.
    pub transaction: T,
    /// Where it came from.
    pub origin: TransactionOrigin,
    /// When it was added.
    pub timestamp: Instant,
    /// Rises with every transaction added: earlier ones go first among equals.
    pub submission_id: u64,
}

impl<T: PoolTransaction> ValidPoolTransaction<T> {
    /// Hash.
    pub fn hash(&self) -> &TxHash {
        self.transaction.hash()
    }

    /// Sender.
    pub fn sender(&self) -> Address {
        self.transaction.sender()
    }

    /// Nonce.
    pub fn nonce(&self) -> u64 {
        self.transaction.nonce()
    }

    /// Gas limit.
    pub fn gas_limit(&self) -> u64 {
        self.transaction.gas_limit()
    }

    /// Fee cap in wei per gas.
    pub fn max_fee_per_gas(&self) -> u128 {
        self.transaction.max_fee_per_gas()
    }

    /// Most that the transaction can take from its sender, in wei.
    pub fn cost(&self) -> &U256 {
        self.transaction.cost()
    }

    /// Length of the EIP-2718 encoding in bytes.
    pub fn encoded_length(&self) -> usize {
        self.transaction.encoded_length()
    }

    /// The transaction with its sender, as a block or RPC wants it.
    pub fn to_consensus(&self) -> Recovered<T::Consensus> {
        self.transaction.clone_into_consensus()
    }

    /// Bytes in memory, roughly.
    pub(crate) fn size(&self) -> usize {
        self.transaction.size() + size_of::<Self>() - size_of::<T>()
    }
}
