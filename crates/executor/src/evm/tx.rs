//! Transaction environment.

use crate::tx::VmTx;
use alloy_consensus::{
    EthereumTxEnvelope, Signed, Transaction as _, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy, Typed2718, transaction::Recovered,
};
use alloy_eips::eip2930::AccessList;
use alloy_evm::{FromRecoveredTx, FromTxWithEncoded, IntoTxEnv, TransactionEnvMut};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use revm::{
    context::{Transaction, TxEnv},
    context_interface::{either::Either, transaction::SignedAuthorization},
};
use std::{borrow::Cow, sync::Arc};
use zkos_primitives::ZkTxEnvelope;
use zksync_os_interface::error::InvalidTransaction;

/// A transaction of any type the chain can hold, with its sender.
///
/// Gas limit, nonce and access list may be changed through [`TransactionEnvMut`]; the price of hashing stays
/// that of the original encoding.
#[derive(Debug, Clone)]
pub struct ZkTxEnv {
    base: TxEnv,
    envelope: Arc<ZkTxEnvelope>,
}

impl ZkTxEnv {
    /// revm's view of the transaction.
    pub const fn base(&self) -> &TxEnv {
        &self.base
    }

    /// The transaction itself.
    pub fn envelope(&self) -> &ZkTxEnvelope {
        &self.envelope
    }

    /// What the executor runs.
    pub(super) fn vm_tx(
        &self,
        chain_id: u64,
        verify: bool,
    ) -> Result<VmTx<'_>, InvalidTransaction> {
        // A request without a chain id is meant for any chain.
        let chain_id = match self.base.chain_id {
            Some(_) => chain_id,
            None => self.envelope.chain_id().unwrap_or(chain_id),
        };
        let recovered = Recovered::new_unchecked(&*self.envelope, self.base.caller);
        let mut tx = VmTx::from_recovered(recovered, chain_id, verify)?;
        tx.gas_limit = self.base.gas_limit;
        tx.nonce = self.base.nonce;
        tx.access_list = Cow::Borrowed(&self.base.access_list.0);
        Ok(tx)
    }
}

impl FromRecoveredTx<ZkTxEnvelope> for ZkTxEnv {
    fn from_recovered_tx(tx: &ZkTxEnvelope, sender: Address) -> Self {
        let base = TxEnv {
            tx_type: tx.ty(),
            caller: sender,
            gas_limit: tx.gas_limit(),
            gas_price: tx.max_fee_per_gas(),
            kind: tx.kind(),
            value: tx.value(),
            data: tx.input().clone(),
            nonce: tx.nonce(),
            chain_id: tx.chain_id(),
            access_list: tx.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: tx.max_priority_fee_per_gas(),
            blob_hashes: tx.blob_versioned_hashes().unwrap_or_default().to_vec(),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
            authorization_list: tx
                .authorization_list()
                .unwrap_or_default()
                .iter()
                .cloned()
                .map(Either::Left)
                .collect(),
        };
        Self { base, envelope: Arc::new(tx.clone()) }
    }
}

impl FromTxWithEncoded<ZkTxEnvelope> for ZkTxEnv {
    fn from_encoded_tx(tx: &ZkTxEnvelope, sender: Address, _encoded: Bytes) -> Self {
        Self::from_recovered_tx(tx, sender)
    }
}

/// A call request: priced as if it were signed with a signature of full length.
///
/// Only signed authorizations can be kept. A list with recovered ones, like a blob transaction, is refused when
/// it is executed ([`InvalidTransaction::InvalidEncoding`]).
impl From<TxEnv> for ZkTxEnv {
    fn from(base: TxEnv) -> Self {
        let signature = Signature::new(U256::MAX, U256::MAX, true);
        let chain_id = base.chain_id.unwrap_or_default();
        let TxEnv { gas_limit, gas_price, kind, value, nonce, .. } = base;
        let input = base.data.clone();
        let access_list = base.access_list.clone();
        let max_priority_fee_per_gas = base.gas_priority_fee.unwrap_or(gas_price);
        let signed: Option<Vec<SignedAuthorization>> =
            base.authorization_list.iter().map(|entry| entry.as_ref().left().cloned()).collect();
        let hash = B256::ZERO;
        let envelope: EthereumTxEnvelope<TxEip4844> = match (base.tx_type, signed) {
            (0, _) => {
                let chain_id = base.chain_id;
                let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to: kind, value, input };
                Signed::new_unchecked(tx, signature, hash).into()
            }
            (1, _) => {
                let tx = TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price,
                    gas_limit,
                    to: kind,
                    value,
                    access_list,
                    input,
                };
                Signed::new_unchecked(tx, signature, hash).into()
            }
            (2, _) => {
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: gas_price,
                    max_priority_fee_per_gas,
                    to: kind,
                    value,
                    access_list,
                    input,
                };
                Signed::new_unchecked(tx, signature, hash).into()
            }
            (4, Some(authorization_list)) if kind.is_call() => {
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: gas_price,
                    max_priority_fee_per_gas,
                    to: kind.to().copied().unwrap_or_default(),
                    value,
                    access_list,
                    authorization_list,
                    input,
                };
                Signed::new_unchecked(tx, signature, hash).into()
            }
            // The state transition knows no other type and refuses this one.
            _ => Signed::new_unchecked(TxEip4844::default(), signature, hash).into(),
        };
        Self { base, envelope: Arc::new(envelope.into()) }
    }
}

impl IntoTxEnv<Self> for ZkTxEnv {
    fn into_tx_env(self) -> Self {
        self
    }
}

impl TransactionEnvMut for ZkTxEnv {
    fn set_gas_limit(&mut self, gas_limit: u64) {
        self.base.gas_limit = gas_limit;
    }

    fn set_nonce(&mut self, nonce: u64) {
        self.base.nonce = nonce;
    }

    fn set_access_list(&mut self, access_list: AccessList) {
        self.base.set_access_list(access_list);
    }
}

impl Transaction for ZkTxEnv {
    type AccessListItem<'a> = <TxEnv as Transaction>::AccessListItem<'a>;
    type Authorization<'a> = <TxEnv as Transaction>::Authorization<'a>;

    fn tx_type(&self) -> u8 {
        self.base.tx_type
    }
    fn caller(&self) -> Address {
        self.base.caller
    }
    fn gas_limit(&self) -> u64 {
        self.base.gas_limit
    }
    fn value(&self) -> U256 {
        self.base.value
    }
    fn input(&self) -> &Bytes {
        &self.base.data
    }
    fn nonce(&self) -> u64 {
        self.base.nonce
    }
    fn kind(&self) -> TxKind {
        self.base.kind
    }
    fn chain_id(&self) -> Option<u64> {
        self.base.chain_id
    }
    fn gas_price(&self) -> u128 {
        self.base.gas_price
    }
    fn access_list(&self) -> Option<impl Iterator<Item = Self::AccessListItem<'_>>> {
        self.base.access_list()
    }
    fn blob_versioned_hashes(&self) -> &[B256] {
        &self.base.blob_hashes
    }
    fn max_fee_per_blob_gas(&self) -> u128 {
        self.base.max_fee_per_blob_gas
    }
    fn authorization_list_len(&self) -> usize {
        self.base.authorization_list.len()
    }
    fn authorization_list(&self) -> impl Iterator<Item = Self::Authorization<'_>> {
        self.base.authorization_list()
    }
    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.base.gas_priority_fee
    }
}
