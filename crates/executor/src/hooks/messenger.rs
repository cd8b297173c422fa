//! 0x8008: messages to L1.

use super::{
    Failure, HOOK_BASE_GAS, HookCall, HookResult, charge, emit_event, emit_message, word_to_u32,
};
use crate::{StateView, native, vm::Vm};
use alloy_primitives::{Address, B256, Bytes, b256};
use revm::interpreter::Gas;
use zkos_primitives::L1_MESSENGER_ADDRESS;

/// `sendToL1(bytes)`
const SEND_TO_L1: [u8; 4] = [0x62, 0xf8, 0x4b, 0x24];
/// `L1MessageSent(address indexed,bytes32 indexed,bytes)`
const L1_MESSAGE_SENT: B256 =
    b256!("3a36e47291f4201faf137fab081d92295bce2d53be2c6ca68ba82c7faa9ce241");

pub(super) fn run<S: StateView>(vm: &mut Vm<S>, call: &HookCall<'_>, gas: &mut Gas) -> HookResult {
    if !call.value.is_zero() {
        return Err(Failure::Revert);
    }
    charge(vm, gas, HOOK_BASE_GAS, native::HOOK_BASE)?;
    match call.input.split_first_chunk::<4>() {
        Some((&SEND_TO_L1, tail)) if !call.is_static => {
            send(vm, gas, call.caller, tail).map(|hash| Bytes::copy_from_slice(hash.as_slice()))
        }
        _ => Err(Failure::Revert),
    }
}

/// Sends the message that `tail` (strict ABI encoding of one `bytes`) carries.
pub(super) fn send<S: StateView>(
    vm: &mut Vm<S>,
    gas: &mut Gas,
    caller: Address,
    tail: &[u8],
) -> Result<B256, Failure> {
    let message = strict_bytes(tail).ok_or(Failure::Revert)?;
    let hash = emit_message(vm, gas, caller, message)?;
    emit_event(
        vm,
        gas,
        L1_MESSENGER_ADDRESS,
        vec![L1_MESSAGE_SENT, caller.into_word(), hash],
        Bytes::copy_from_slice(tail),
    )?;
    Ok(hash)
}

fn strict_bytes(tail: &[u8]) -> Option<&[u8]> {
    if tail.len() < 64 || !tail.len().is_multiple_of(32) || word_to_u32(&tail[..32])? != 32 {
        return None;
    }
    let len = word_to_u32(&tail[32..64])? as usize;
    tail[64..].get(..len)
}
