//! Params sequence of L1 priority and upgrade transactions.

use super::{DecodeError, TxKind, VmTx};
use crate::error::AbortReason;
use alloy_primitives::{Address, U256, keccak256};
use std::borrow::Cow;
use zkos_primitives::{CanonicalTransaction, L1_PRIORITY_TX_TYPE_ID, UPGRADE_TX_TYPE_ID};
use zksync_os_interface::error::InvalidTransaction;

fn address(word: U256) -> Option<Address> {
    (word.bit_len() <= 160).then(|| Address::from_word(word.into()))
}

fn require(condition: bool) -> Result<(), InvalidTransaction> {
    if condition { Ok(()) } else { Err(InvalidTransaction::InvalidEncoding) }
}

pub(super) fn decode(bytes: &[u8]) -> Result<VmTx<'static>, DecodeError> {
    let invalid = || InvalidTransaction::InvalidEncoding;
    let tx = CanonicalTransaction::abi_decode(bytes).map_err(|_| invalid())?;
    let kind = if tx.tx_type == U256::from(L1_PRIORITY_TX_TYPE_ID) {
        TxKind::L1Priority
    } else if tx.tx_type == U256::from(UPGRADE_TX_TYPE_ID) {
        TxKind::Upgrade
    } else {
        return Err(invalid().into());
    };
    let from = address(tx.from).ok_or_else(invalid)?;
    let to = address(tx.to).ok_or_else(invalid)?;
    let gas_limit = u64::try_from(tx.gas_limit).map_err(|_| invalid())?;
    let gas_per_pubdata = u32::try_from(tx.gas_per_pubdata_byte_limit).map_err(|_| invalid())?;
    require(tx.paymaster.is_zero())?;
    require(tx.reserved[2].is_zero() && tx.reserved[3].is_zero())?;
    require(tx.signature.is_empty() && tx.paymaster_input.is_empty())?;
    require(tx.reserved_dynamic.is_empty())?;
    let refund_recipient =
        address(tx.reserved[1]).ok_or(DecodeError::Abort(AbortReason::RefundRecipientTooLarge))?;
    let mut preimage = Vec::with_capacity(32 + bytes.len());
    preimage.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    preimage.extend_from_slice(bytes);
    Ok(VmTx {
        kind,
        hash: keccak256(&preimage),
        hashed_len: preimage.len(),
        from,
        to: Some(to),
        nonce: u64::try_from(tx.nonce).unwrap_or(u64::MAX),
        gas_limit,
        max_fee: tx.max_fee_per_gas,
        max_priority_fee: tx.max_priority_fee_per_gas,
        value: tx.value,
        input: tx.data,
        access_list: Cow::Borrowed(&[]),
        authorizations: None,
        gas_per_pubdata: u64::from(gas_per_pubdata),
        deposit: tx.reserved[0],
        refund_recipient,
        signature: None,
    })
}
