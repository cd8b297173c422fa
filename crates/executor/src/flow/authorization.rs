//! EIP-7702 authorization lists.

use super::{Rejection, l2::SECP256K1_HALF_ORDER};
use crate::{StateView, frame::Runner, native};
use alloy_consensus::crypto::secp256k1::recover_signer_unchecked;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Signature, U256, keccak256};
use alloy_rlp::Encodable;

/// Prefix of the signed message.
const MAGIC: u8 = 0x05;
/// Refund for an authority that is not empty.
const REFUND: i64 = 12_500;

/// Applies the list in order; an entry that does not hold is skipped.
pub(super) fn apply<S: StateView>(
    runner: &mut Runner<S>,
    list: &[SignedAuthorization],
) -> Result<(), Rejection> {
    list.iter().try_for_each(|entry| apply_one(runner, entry))
}

fn apply_one<S: StateView>(
    runner: &mut Runner<S>,
    entry: &SignedAuthorization,
) -> Result<(), Rejection> {
    let chain_id = U256::from(runner.vm.env.chain_id);
    let inner = entry.inner();
    if !inner.chain_id.is_zero() && inner.chain_id != chain_id
        || inner.nonce == u64::MAX
        || entry.s() > SECP256K1_HALF_ORDER
    {
        return Ok(());
    }
    let journal = runner.journal();
    let mut message = vec![MAGIC];
    inner.encode(&mut message);
    journal.native.charge(native::keccak(message.len()))?;
    if entry.y_parity() > 1 {
        return Ok(());
    }
    journal.native.charge(native::ECRECOVER)?;
    let signature = Signature::new(entry.r(), entry.s(), entry.y_parity() == 1);
    let Ok(authority) = recover_signer_unchecked(&signature, keccak256(&message)) else {
        return Ok(());
    };
    let id = journal.access_free(authority)?;
    let account = *journal.account(id);
    if account.unpadded_code_len != 0 && !account.is_delegated() || account.nonce != inner.nonce {
        return Ok(());
    }
    if account.nonce != 0 || account.unpadded_code_len != 0 || !account.balance.is_zero() {
        journal.refund += REFUND;
    }
    journal.set_delegation(id, inner.address)?;
    journal.access_free(authority)?;
    journal.increment_nonce(id)?;
    Ok(())
}
