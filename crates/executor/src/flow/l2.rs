//! Transactions signed by users.

use super::{Budget, Mode, Processed, Rejection, SIMULATION_NATIVE_PER_GAS, authorization, pay};
use crate::{
    StateView,
    error::{AbortReason, Halt},
    frame::Runner,
    journal::Access,
    native,
    trace::Tracer,
    tx::VmTx,
    vm::{CallKind, CallRequest, TxEnv},
};
use alloy_consensus::crypto::secp256k1::recover_signer_unchecked;
use alloy_primitives::{Address, Bytes, Signature, U256};
use revm::interpreter::{CallInput, Gas, InstructionResult};
use zkos_primitives::bytecode::MAX_INITCODE_SIZE;
use zksync_os_interface::error::InvalidTransaction;

/// Bytes of pubdata that fees cost: coinbase and sender.
const INTRINSIC_PUBDATA: u64 = 65;
/// Intrinsic gas without the recovery of the signer.
const INTRINSIC_GAS: u64 = 18_000;
const ECRECOVER_GAS: u64 = 3_000;
const CREATE_GAS: u64 = 32_000;
const INITCODE_WORD_GAS: u64 = 2;
const AUTHORIZATION_GAS: u64 = 25_000;

/// Half the order of secp256k1.
pub(super) const SECP256K1_HALF_ORDER: U256 = U256::from_limbs([
    0xdfe92f46681b20a0,
    0x5d576e7357a4501d,
    0xffffffffffffffff,
    0x7fffffffffffffff,
]);

fn spend(gas: &mut Gas, amount: u64) -> Result<(), Halt> {
    if gas.record_regular_cost(amount) { Ok(()) } else { Err(Halt::OutOfGas) }
}

fn to_u64_saturated(value: U256) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Effective gas price, after the checks on the fee fields.
fn gas_price(tx: &VmTx<'_>, base_fee: U256) -> Result<U256, InvalidTransaction> {
    if tx.max_priority_fee > tx.max_fee {
        return Err(InvalidTransaction::PriorityFeeGreaterThanMaxFee);
    }
    if base_fee > tx.max_fee {
        return Err(InvalidTransaction::BaseFeeGreaterThanMaxFee);
    }
    Ok(base_fee + tx.max_priority_fee.min(tx.max_fee - base_fee))
}

pub(super) fn process<S: StateView, T: Tracer<S>>(
    runner: &mut Runner<S>,
    tx: &VmTx<'_>,
    mode: Mode,
    tracer: &mut T,
) -> Result<Processed, Rejection> {
    let env = &runner.vm.env;
    if tx.gas_limit > env.gas_limit {
        return Err(InvalidTransaction::CallerGasLimitMoreThanBlock.into());
    }
    let gas_price = gas_price(tx, env.base_fee)?;
    if env.native_price.is_zero() {
        return Err(AbortReason::ZeroNativePrice.into());
    }
    let per_gas = if mode.simulate {
        SIMULATION_NATIVE_PER_GAS
    } else {
        to_u64_saturated(gas_price.div_ceil(env.native_price))
    };
    let per_pubdata = to_u64_saturated(env.pubdata_price / env.native_price);
    let (budget, enough) = Budget::new(tx.gas_limit, per_gas, per_pubdata, INTRINSIC_PUBDATA)?;
    if !enough {
        return Err(Halt::OutOfNative.into());
    }
    let coinbase = env.coinbase;
    let intrinsic_native = native::L2_INTRINSIC + tx.input.len() as u64;
    runner.journal().native = mode.meter(budget.main);
    runner.journal().native.charge(intrinsic_native)?;
    let intrinsic_gas = INTRINSIC_GAS.saturating_add(tx.calldata_gas());
    let mut gas = Gas::new(tx.gas_limit.checked_sub(intrinsic_gas).ok_or(Halt::OutOfGas)?);

    // Validation.
    let journal = runner.journal();
    let sender = journal.access_free(tx.from)?;
    if tx.to.is_none() {
        if tx.input.len() > MAX_INITCODE_SIZE {
            return Err(InvalidTransaction::CreateInitCodeSizeLimit.into());
        }
        let words = (tx.input.len() as u64).div_ceil(32);
        spend(&mut gas, CREATE_GAS + INITCODE_WORD_GAS * words)?;
    }
    if let Some(list) = &tx.authorizations {
        spend(&mut gas, AUTHORIZATION_GAS.saturating_mul(list.len() as u64))?;
    }
    runner.vm.tx = TxEnv { origin: tx.from, gas_price };
    let journal = runner.journal();
    for entry in tx.access_list.iter() {
        let id = journal.access(entry.address, Access::Listed, &mut gas)?;
        for key in &entry.storage_keys {
            journal.touch_slot(id, (*key).into(), &mut gas)?;
        }
    }
    journal.native.charge(2 * native::keccak(tx.hashed_len))?;

    let account = *journal.account(sender);
    // Accounts with an execution environment (delegated ones, and those deployed with empty code) pay EVM
    // gas for the accesses below.
    let access = if account.execution_environment() != 0 { Access::Evm } else { Access::Free };
    if !mode.simulate {
        if tx.nonce > account.nonce {
            return Err(
                InvalidTransaction::NonceTooHigh { tx: tx.nonce, state: account.nonce }.into()
            );
        }
        if tx.nonce < account.nonce {
            return Err(
                InvalidTransaction::NonceTooLow { tx: tx.nonce, state: account.nonce }.into()
            );
        }
        if account.unpadded_code_len != 0 && !account.is_delegated() {
            return Err(InvalidTransaction::RejectCallerWithCode.into());
        }
    }
    let fee = tx
        .max_fee
        .checked_mul(U256::from(tx.gas_limit))
        .and_then(|fee| fee.checked_add(tx.value))
        .ok_or(InvalidTransaction::OverflowPaymentInTransaction)?;
    journal.access(tx.from, access, &mut gas)?;
    if fee > account.balance {
        return Err(
            InvalidTransaction::LackOfFundForMaxFee { fee, balance: account.balance }.into()
        );
    }
    verify_signature(tx, mode, journal, &mut gas)?;

    journal.access(tx.from, access, &mut gas)?;
    let nonce =
        journal.increment_nonce(sender)?.ok_or(InvalidTransaction::NonceOverflowInTransaction)?;
    let prepaid =
        gas_price.checked_mul(U256::from(tx.gas_limit)).ok_or(AbortReason::FeeOverflow)?;
    journal.access(tx.from, access, &mut gas)?;
    journal.native.charge(native::WRITE_ACCOUNT)?;
    journal.debit(sender, prepaid)?;

    // Pubdata of validation: from the withheld part first.
    let validation_pubdata = journal.net_pubdata();
    let cost = budget.pubdata_cost(validation_pubdata)?;
    let from_withheld = cost.min(budget.withheld);
    let withheld = budget.withheld - from_withheld;
    let from_main = cost - from_withheld;
    journal.native.charge(from_main)?;

    if let Some(list) = &tx.authorizations {
        authorization::apply(runner, list)?;
    }

    // Execution.
    let journal = runner.journal();
    let snapshot = journal.checkpoint();
    let native_before = journal.native;
    let mut success;
    let mut end;
    let output;
    let mut created = None;
    let gas_left;
    match execute(runner, tx, nonce, gas.remaining(), tracer) {
        Ok(outcome) => {
            success = outcome.end.is_ok();
            end = outcome.end;
            output = outcome.output;
            created = outcome.created;
            gas_left = outcome.gas_left;
        }
        Err(Halt::Fatal(fatal)) => return Err(Rejection::Fatal(fatal)),
        Err(Halt::OutOfGas | Halt::OutOfNative) => {
            let journal = runner.journal();
            if journal.native.is_beyond_bound() {
                return Err(AbortReason::BeyondBound.into());
            }
            journal.rollback(snapshot);
            journal.native = native_before;
            success = false;
            end = InstructionResult::OutOfGas;
            output = Bytes::new();
            gas_left = 0;
        }
    }

    let journal = runner.journal();
    let native_left = journal.native.remaining().saturating_add(withheld);
    let mut pubdata = journal.net_pubdata();
    let mut pubdata_cost = budget.pubdata_cost(pubdata.saturating_sub(validation_pubdata))?;
    if native_left < pubdata_cost && success {
        success = false;
        end = InstructionResult::Revert;
    }
    if !success {
        journal.rollback(snapshot);
        created = None;
        pubdata = journal.net_pubdata();
        pubdata_cost = budget.pubdata_cost(pubdata.saturating_sub(validation_pubdata))?;
    }

    // The protocol subtracts without a check: pubdata of delegations that outlive a revert can exceed what
    // is left, and then the difference wraps around.
    let native_after = native_left.wrapping_sub(pubdata_cost);
    let refund = journal.refund;
    let computational_native_used = budget.main - journal.native.remaining() - from_main;
    let settled = budget.settle(tx.gas_limit, gas_left, refund, native_after);
    let returned = gas_price * U256::from(tx.gas_limit - settled.gas_used.min(tx.gas_limit));
    let earned = gas_price * U256::from(settled.gas_used);
    pay(runner, tx.from, returned)?;
    pay(runner, coinbase, earned)?;
    Ok(Processed {
        success,
        end,
        output,
        created,
        gas_used: settled.gas_used,
        gas_refunded: settled.refunded,
        computational_native_used,
        native_used: settled.native_used,
        pubdata_used: pubdata + INTRINSIC_PUBDATA,
    })
}

fn verify_signature<S: StateView>(
    tx: &VmTx<'_>,
    mode: Mode,
    journal: &mut crate::journal::Journal<S>,
    gas: &mut Gas,
) -> Result<(), Rejection> {
    let signature = if mode.verify_signatures && !mode.simulate { tx.signature } else { None };
    if signature.is_some_and(|signature| signature.s > SECP256K1_HALF_ORDER) {
        return Err(InvalidTransaction::MalleableSignature.into());
    }
    journal.native.charge(native::ECRECOVER)?;
    spend(gas, ECRECOVER_GAS)?;
    if let Some(data) = signature {
        let signature = Signature::new(data.r, data.s, data.odd_y);
        let recovered =
            recover_signer_unchecked(&signature, data.signing_hash).unwrap_or(Address::ZERO);
        if recovered != tx.from || recovered.is_zero() {
            return Err(InvalidTransaction::IncorrectFrom { tx: tx.from, recovered }.into());
        }
    }
    Ok(())
}

struct Outcome {
    end: InstructionResult,
    output: Bytes,
    created: Option<Address>,
    gas_left: u64,
}

fn execute<S: StateView, T: Tracer<S>>(
    runner: &mut Runner<S>,
    tx: &VmTx<'_>,
    nonce: u64,
    gas: u64,
    tracer: &mut T,
) -> Result<Outcome, Halt> {
    let (kind, callee) = match tx.to {
        Some(to) => {
            runner.journal().access_free(tx.from)?;
            (CallKind::Call, to)
        }
        None => (CallKind::Create(None), tx.from.create(nonce)),
    };
    let request = CallRequest {
        kind,
        is_static: false,
        caller: tx.from,
        callers_caller: Address::ZERO,
        callee,
        value: tx.value,
        gas,
        input: CallInput::Bytes(tx.input.clone()),
        return_range: 0..0,
    };
    let result = runner.execute(request, tracer)?;
    let mut output = result.output;
    let mut created = None;
    if result.result.is_ok() && kind.is_create() {
        let journal = runner.journal();
        let id = journal.access_free(callee)?;
        output = journal.fetch_code(id)?.original_bytes();
        created = Some(callee);
    }
    Ok(Outcome { end: result.result, output, created, gas_left: result.gas_left })
}
