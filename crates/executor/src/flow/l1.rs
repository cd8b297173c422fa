//! L1 priority and protocol upgrade transactions.

use super::{Budget, Mode, Processed, Rejection, SIMULATION_NATIVE_PER_GAS, pay};
use crate::{
    StateView,
    env::MAX_BLOCK_GAS_LIMIT,
    error::{AbortReason, Halt},
    frame::Runner,
    journal::Journal,
    native,
    trace::Tracer,
    tx::{TxKind, VmTx},
    vm::{CallKind, CallRequest, CallResult, TxEnv},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::interpreter::{CallInput, InstructionResult};
use zkos_primitives::BOOTLOADER_FORMAL_ADDRESS;
use zksync_os_interface::types::{L2ToL1Log, L2ToL1LogWithPreimage};

/// Bytes of pubdata of the result log, and of the coinbase and refund records.
const INTRINSIC_PUBDATA: u64 = 153;
const INTRINSIC_GAS: u64 = 21_000;
/// Wei per native unit.
const NATIVE_PRICE: u64 = 10;
/// Native per gas of upgrade transactions, which have no price.
const UPGRADE_NATIVE_PER_GAS: u64 = 10_000;

pub(super) fn process<S: StateView, T: Tracer<S>>(
    runner: &mut Runner<S>,
    tx: &VmTx<'_>,
    mode: Mode,
    tracer: &mut T,
) -> Result<Processed, Rejection> {
    let gas_price = tx.max_fee;
    let per_gas = match tx.kind {
        TxKind::Upgrade => UPGRADE_NATIVE_PER_GAS,
        _ if mode.simulate => SIMULATION_NATIVE_PER_GAS,
        _ => u64::try_from(gas_price.div_ceil(U256::from(NATIVE_PRICE)))
            .map_err(|_| AbortReason::NativeOverflow)?,
    };
    let per_pubdata = tx.gas_per_pubdata.checked_mul(per_gas).ok_or(AbortReason::NativeOverflow)?;
    let (budget, _) = Budget::new(tx.gas_limit, per_gas, per_pubdata, INTRINSIC_PUBDATA)?;
    let coinbase = runner.vm.env.coinbase;

    let intrinsic_native = native::L1_INTRINSIC + tx.input.len() as u64;
    let journal = runner.journal();
    // Too small a budget is clamped, and reported as if the intrinsic part had been paid in full.
    let main = budget.main.saturating_sub(intrinsic_native);
    journal.native = mode.meter(main);
    let gas = tx.gas_limit.saturating_sub(INTRINSIC_GAS).saturating_sub(tx.calldata_gas());
    if gas > MAX_BLOCK_GAS_LIMIT {
        return Err(AbortReason::GasOverflow.into());
    }

    let max_fee =
        gas_price.checked_mul(U256::from(tx.gas_limit)).ok_or(AbortReason::FeeOverflow)?;
    let needed = max_fee.checked_add(tx.value).ok_or(AbortReason::FeeOverflow)?;
    if tx.deposit < needed {
        return Err(AbortReason::DepositTooLow.into());
    }

    runner.vm.tx = TxEnv { origin: tx.from, gas_price };
    let snapshot = runner.journal().checkpoint();
    let mut before = runner.journal().native;
    let mut out_of_native = false;
    let (mut end, output, gas_left) = match run(runner, tx, gas, &mut before, tracer) {
        Ok(result) => (result.result, result.output, result.gas_left),
        Err(Halt::Fatal(fatal)) => return Err(Rejection::Fatal(fatal)),
        Err(Halt::OutOfGas | Halt::OutOfNative) => {
            if runner.journal().native.is_beyond_bound() {
                return Err(AbortReason::BeyondBound.into());
            }
            out_of_native = true;
            (InstructionResult::OutOfGas, Bytes::new(), 0)
        }
    };
    let mut success = end.is_ok();
    let journal = runner.journal();
    let withheld = if out_of_native {
        journal.rollback(snapshot);
        0
    } else {
        budget.withheld
    };
    let left = if out_of_native { 0 } else { journal.native.remaining() };
    let computational_native_used = intrinsic_native + main - left;
    let main_left = if out_of_native { before.remaining() } else { journal.native.remaining() };
    let native_left = main_left.saturating_add(withheld);
    let mut pubdata = journal.net_pubdata();
    let mut pubdata_cost = budget.pubdata_cost(pubdata)?;
    if native_left < pubdata_cost {
        if success {
            end = InstructionResult::Revert;
        }
        success = false;
    }
    if !success {
        journal.rollback(snapshot);
        pubdata = journal.net_pubdata();
        pubdata_cost = budget.pubdata_cost(pubdata)?;
    }
    let native_after = native_left.wrapping_sub(pubdata_cost);
    let refund = journal.refund;
    let settled = budget.settle(tx.gas_limit, gas_left, refund, native_after);

    if tx.kind == TxKind::Upgrade && !success {
        return Err(AbortReason::UpgradeFailed.into());
    }
    let fee = gas_price * U256::from(settled.gas_used);
    pay(runner, coinbase, fee)?;
    let spent = if success { fee + tx.value } else { fee };
    let rest = tx.deposit.checked_sub(spent).ok_or(AbortReason::DepositTooLow)?;
    if !rest.is_zero() {
        pay(runner, tx.refund_recipient, rest)?;
    }
    runner.journal().l2_to_l1_logs.push(L2ToL1LogWithPreimage {
        log: L2ToL1Log {
            l2_shard_id: 0,
            is_service: true,
            // Filled in when the transaction is included.
            tx_number_in_block: 0,
            sender: BOOTLOADER_FORMAL_ADDRESS,
            key: tx.hash,
            value: B256::with_last_byte(u8::from(success)),
        },
        preimage: None,
    });
    Ok(Processed {
        success,
        end,
        output,
        created: None,
        gas_used: settled.gas_used,
        gas_refunded: settled.refunded,
        computational_native_used,
        native_used: settled.native_used,
        pubdata_used: pubdata + INTRINSIC_PUBDATA,
    })
}

/// Credits the value of the transaction to its sender.
fn mint<S: StateView>(journal: &mut Journal<S>, tx: &VmTx<'_>) -> Result<(), Halt> {
    let id = journal.access_free(tx.from)?;
    journal.native.charge(native::WRITE_ACCOUNT)?;
    journal.credit(id, tx.value)?;
    Ok(())
}

/// Hash, mint and call. `before` follows the native left before the call itself.
fn run<S: StateView, T: Tracer<S>>(
    runner: &mut Runner<S>,
    tx: &VmTx<'_>,
    gas: u64,
    before: &mut native::NativeMeter,
    tracer: &mut T,
) -> Result<CallResult, Halt> {
    let journal = runner.journal();
    let hashed = journal.native.charge(native::keccak(tx.hashed_len));
    *before = journal.native;
    hashed?;
    if !tx.value.is_zero() {
        let minted = mint(journal, tx);
        *before = journal.native;
        minted?;
    }
    journal.access_free(tx.from)?;
    let Some(to) = tx.to else {
        return Ok(CallResult::failed(InstructionResult::OpcodeNotFound, 0));
    };
    let request = CallRequest {
        kind: CallKind::Call,
        is_static: false,
        caller: tx.from,
        callers_caller: Address::ZERO,
        callee: to,
        value: tx.value,
        gas,
        input: CallInput::Bytes(tx.input.clone()),
        return_range: 0..0,
    };
    runner.execute(request, tracer)
}
