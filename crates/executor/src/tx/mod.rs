//! Transactions as the state transition sees them.

mod abi;
mod rlp;

use crate::error::AbortReason;
use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844, transaction::Recovered};
use alloy_eips::{Encodable2718, eip2930::AccessListItem, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::borrow::Cow;
use zkos_primitives::{CanonicalTransaction, TxFromL1, ZkTxEnvelope};
use zksync_os_interface::{error::InvalidTransaction, traits::EncodedTx};

/// Origin of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxKind {
    /// Signed by a user.
    L2,
    /// L1 priority transaction (0x7f).
    L1Priority,
    /// Protocol upgrade (0x7e).
    Upgrade,
}

/// What a run that verifies signatures needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignatureData {
    pub(crate) signing_hash: B256,
    pub(crate) r: U256,
    pub(crate) s: U256,
    pub(crate) odd_y: bool,
}

/// A decoded transaction.
#[derive(Debug, Clone)]
pub(crate) struct VmTx<'a> {
    pub(crate) kind: TxKind,
    pub(crate) hash: B256,
    /// Length of the bytes the VM would hash: raw transaction, or params sequence plus one word.
    pub(crate) hashed_len: usize,
    pub(crate) from: Address,
    /// `None` creates a contract.
    pub(crate) to: Option<Address>,
    pub(crate) nonce: u64,
    pub(crate) gas_limit: u64,
    pub(crate) max_fee: U256,
    pub(crate) max_priority_fee: U256,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) access_list: Cow<'a, [AccessListItem]>,
    /// Present for type 0x04 only.
    pub(crate) authorizations: Option<Cow<'a, [SignedAuthorization]>>,
    /// L1 transactions: gas per pubdata byte.
    pub(crate) gas_per_pubdata: u64,
    /// L1 transactions: total deposit.
    pub(crate) deposit: U256,
    /// L1 transactions: receiver of what is left of the deposit.
    pub(crate) refund_recipient: Address,
    pub(crate) signature: Option<SignatureData>,
}

/// Failure to decode a transaction.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// Rejected with a result.
    Invalid(InvalidTransaction),
    /// No result is possible.
    Abort(AbortReason),
}

impl From<InvalidTransaction> for DecodeError {
    fn from(error: InvalidTransaction) -> Self {
        Self::Invalid(error)
    }
}

impl VmTx<'static> {
    /// Decodes the form the official interface hands over.
    ///
    /// `verify` makes it keep what is needed to verify the signature.
    pub(crate) fn decode(tx: &EncodedTx, chain_id: u64, verify: bool) -> Result<Self, DecodeError> {
        match tx {
            _ if tx.bytes().is_empty() => Err(DecodeError::Abort(AbortReason::EmptyTransaction)),
            EncodedTx::Rlp(bytes, signer) => Ok(rlp::decode(bytes, *signer, chain_id, verify)?),
            EncodedTx::Abi(bytes) => abi::decode(bytes),
        }
    }
}

impl<'a> VmTx<'a> {
    /// Takes over a transaction that was decoded and recovered before.
    pub(crate) fn from_recovered(
        tx: Recovered<&'a ZkTxEnvelope>,
        chain_id: u64,
        verify: bool,
    ) -> Result<Self, InvalidTransaction> {
        match tx.into_parts() {
            (ZkTxEnvelope::Ethereum(inner), signer) => {
                Self::from_ethereum(inner, signer, chain_id, verify)
            }
            (ZkTxEnvelope::L1(inner), _) => {
                Self::from_l1(inner.inner(), inner.hash(), TxKind::L1Priority)
            }
            (ZkTxEnvelope::Upgrade(inner), _) => {
                Self::from_l1(inner.inner(), inner.hash(), TxKind::Upgrade)
            }
        }
    }

    fn from_ethereum(
        tx: &'a EthereumTxEnvelope<TxEip4844>,
        signer: Address,
        chain_id: u64,
        verify: bool,
    ) -> Result<Self, InvalidTransaction> {
        let hashed_len = tx.encode_2718_len();
        if hashed_len > rlp::MAX_LEN || tx.is_eip4844() {
            return Err(InvalidTransaction::InvalidEncoding);
        }
        let authorizations = if let EthereumTxEnvelope::Eip7702(inner) = tx {
            let list = inner.tx().authorization_list.as_slice();
            if list.is_empty() {
                return Err(InvalidTransaction::AuthListIsEmpty);
            }
            Some(Cow::Borrowed(list))
        } else {
            None
        };
        match tx.chain_id() {
            Some(id) if id != chain_id => {
                return Err(if tx.is_legacy() {
                    InvalidTransaction::InvalidEncoding
                } else {
                    InvalidTransaction::InvalidChainId
                });
            }
            _ => {}
        }
        let signature = tx.signature();
        let max_fee = tx.max_fee_per_gas();
        Ok(Self {
            kind: TxKind::L2,
            hash: *tx.tx_hash(),
            hashed_len,
            from: signer,
            to: tx.to(),
            nonce: tx.nonce(),
            gas_limit: tx.gas_limit(),
            max_fee: U256::from(max_fee),
            max_priority_fee: U256::from(tx.max_priority_fee_per_gas().unwrap_or(max_fee)),
            value: tx.value(),
            input: tx.input().clone(),
            access_list: tx
                .access_list()
                .map_or(Cow::Borrowed(&[][..]), |list| Cow::Borrowed(list.0.as_slice())),
            authorizations,
            gas_per_pubdata: 0,
            deposit: U256::ZERO,
            refund_recipient: Address::ZERO,
            signature: verify.then(|| SignatureData {
                signing_hash: tx.signature_hash(),
                r: signature.r(),
                s: signature.s(),
                odd_y: signature.v(),
            }),
        })
    }

    fn from_l1<const TYPE: u8>(
        tx: &TxFromL1<TYPE>,
        hash: B256,
        kind: TxKind,
    ) -> Result<Self, InvalidTransaction> {
        // The VM reads this field as 32 bits.
        if u32::try_from(tx.gas_per_pubdata_byte_limit).is_err() {
            return Err(InvalidTransaction::InvalidEncoding);
        }
        Ok(Self {
            kind,
            hash,
            hashed_len: CanonicalTransaction::from(tx).abi_encoded_len() + 32,
            from: tx.from,
            to: Some(tx.to),
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee: U256::from(tx.max_fee_per_gas),
            max_priority_fee: U256::from(tx.max_priority_fee_per_gas),
            value: tx.value,
            input: tx.input.clone(),
            access_list: Cow::Borrowed(&[]),
            authorizations: None,
            gas_per_pubdata: tx.gas_per_pubdata_byte_limit,
            deposit: tx.to_mint,
            refund_recipient: tx.refund_recipient,
            signature: None,
        })
    }

    /// Gas of the calldata: 4 per zero byte, 16 per other byte.
    pub(crate) fn calldata_gas(&self) -> u64 {
        let zeros = self.input.iter().filter(|byte| **byte == 0).count() as u64;
        let others = self.input.len() as u64 - zeros;
        zeros * 4 + others * 16
    }
}
