//! 0x800a: withdrawals of the base token.

use super::{
    Failure, HOOK_BASE_GAS, HookCall, HookResult, charge, emit_event, messenger, word_to_u32,
};
use crate::{StateView, journal::Access, native, vm::Vm};
use alloy_primitives::{Address, B256, Bytes, U256, b256};
use revm::interpreter::Gas;
use zkos_primitives::BASE_TOKEN_ADDRESS;

/// `withdraw(address)`
const WITHDRAW: [u8; 4] = [0x51, 0xcf, 0xf8, 0xd9];
/// `withdrawWithMessage(address,bytes)`
const WITHDRAW_WITH_MESSAGE: [u8; 4] = [0x84, 0xbc, 0x3e, 0xb0];
/// `finalizeEthWithdrawal(uint256,uint256,uint16,bytes,bytes32[])`
const FINALIZE: [u8; 4] = [0x6c, 0x09, 0x60, 0xf9];
/// `Withdrawal(address indexed,address indexed,uint256)`
const WITHDRAWAL: B256 = b256!("2717ead6b9200dd235aad468c9809ea400fe33ac69b5bfaa6d3e90fc922b6398");
/// `WithdrawalWithMessage(address indexed,address indexed,uint256,bytes)`
const WITHDRAWAL_WITH_MESSAGE: B256 =
    b256!("c405fe8958410bbaf0c73b7a0c3e20859e86ca168a4c9b0def9c54d2555a306b");

pub(super) fn run<S: StateView>(vm: &mut Vm<S>, call: &HookCall<'_>, gas: &mut Gas) -> HookResult {
    charge(vm, gas, HOOK_BASE_GAS, native::HOOK_BASE)?;
    match call.input.split_first_chunk::<4>() {
        Some((&WITHDRAW, _)) if !call.is_static => withdraw(vm, call, gas),
        Some((&WITHDRAW_WITH_MESSAGE, _)) if !call.is_static => {
            withdraw_with_message(vm, call, gas)
        }
        _ => Err(Failure::Revert),
    }
}

fn burn<S: StateView>(vm: &mut Vm<S>, gas: &mut Gas, amount: U256) -> Result<(), Failure> {
    let id = vm.journal.access(BASE_TOKEN_ADDRESS, Access::Evm, gas)?;
    vm.journal.native.charge(native::WRITE_ACCOUNT)?;
    vm.journal.debit(id, amount)?;
    Ok(())
}

/// The receiver argument, whose word must not have dirty upper bytes.
fn receiver(input: &[u8]) -> Option<Address> {
    input[4..16].iter().all(|byte| *byte == 0).then(|| Address::from_slice(&input[16..36]))
}

fn push_padded(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(32), 0);
}

/// `abi.encode(bytes)` of the message.
fn encode_message(message: &[u8]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(96 + message.len());
    tail.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    tail.extend_from_slice(&U256::from(message.len()).to_be_bytes::<32>());
    push_padded(&mut tail, message);
    tail
}

fn withdraw<S: StateView>(vm: &mut Vm<S>, call: &HookCall<'_>, gas: &mut Gas) -> HookResult {
    if call.input.len() < 36 {
        return Err(Failure::Revert);
    }
    burn(vm, gas, call.value)?;
    let receiver = receiver(call.input).ok_or(Failure::Revert)?;
    let mut message = Vec::with_capacity(56);
    message.extend_from_slice(&FINALIZE);
    message.extend_from_slice(receiver.as_slice());
    message.extend_from_slice(&call.value.to_be_bytes::<32>());
    messenger::send(vm, gas, BASE_TOKEN_ADDRESS, &encode_message(&message))?;
    emit_event(
        vm,
        gas,
        BASE_TOKEN_ADDRESS,
        vec![WITHDRAWAL, call.caller.into_word(), receiver.into_word()],
        Bytes::copy_from_slice(&call.value.to_be_bytes::<32>()),
    )?;
    Ok(Bytes::new())
}

/// The `bytes` argument of `withdrawWithMessage`; its offset may point anywhere inside the calldata.
fn additional_data(input: &[u8]) -> Option<&[u8]> {
    let offset = word_to_u32(&input[36..68])?;
    let start = offset.checked_add(36)? as usize;
    let len = word_to_u32(input.get(start - 32..start)?)?;
    let end = (start as u32).checked_add(len)? as usize;
    input.get(start..end)
}

fn withdraw_with_message<S: StateView>(
    vm: &mut Vm<S>,
    call: &HookCall<'_>,
    gas: &mut Gas,
) -> HookResult {
    if call.input.len() < 68 {
        return Err(Failure::Revert);
    }
    let data = additional_data(call.input).ok_or(Failure::Revert)?;
    let receiver = receiver(call.input).ok_or(Failure::Revert)?;
    burn(vm, gas, call.value)?;
    let mut message = Vec::with_capacity(76 + data.len());
    message.extend_from_slice(&FINALIZE);
    message.extend_from_slice(receiver.as_slice());
    message.extend_from_slice(&call.value.to_be_bytes::<32>());
    message.extend_from_slice(call.caller.as_slice());
    message.extend_from_slice(data);
    let tail = encode_message(&message);
    vm.journal.native.charge(native::COPY_BASE + tail.len() as u64)?;
    messenger::send(vm, gas, BASE_TOKEN_ADDRESS, &tail)?;

    let mut event = Vec::with_capacity(128 + data.len());
    event.extend_from_slice(&call.value.to_be_bytes::<32>());
    event.extend_from_slice(&U256::from(64).to_be_bytes::<32>());
    event.extend_from_slice(&U256::from(data.len()).to_be_bytes::<32>());
    push_padded(&mut event, data);
    vm.journal.native.charge(native::COPY_BASE + event.len() as u64)?;
    emit_event(
        vm,
        gas,
        BASE_TOKEN_ADDRESS,
        vec![WITHDRAWAL_WITH_MESSAGE, call.caller.into_word(), receiver.into_word()],
        event.into(),
    )?;
    Ok(Bytes::new())
}
