//! 0x8006: force deployments of protocol upgrades.

use super::{Failure, HOOK_BASE_GAS, HookCall, HookResult, charge, word_to_u32};
use crate::{StateView, journal::Access, native, vm::Vm};
use alloy_primitives::{Address, B256, Bytes};
use revm::interpreter::Gas;
use zkos_primitives::{COMPLEX_UPGRADER_ADDRESS, bytecode::MAX_CODE_SIZE};

/// `setBytecodeDetailsEVM(address,bytes32,uint32,bytes32)`
const SET_BYTECODE_DETAILS: [u8; 4] = [0xf6, 0xec, 0xa0, 0xb0];
/// Gas per byte of force-deployed code.
const GAS_PER_BYTE: u64 = 50;

pub(super) fn run<S: StateView>(vm: &mut Vm<S>, call: &HookCall<'_>, gas: &mut Gas) -> HookResult {
    if !call.value.is_zero() {
        return Err(Failure::Revert);
    }
    charge(vm, gas, HOOK_BASE_GAS, native::HOOK_BASE)?;
    let (selector, arguments) = call.input.split_first_chunk::<4>().ok_or(Failure::Revert)?;
    if *selector != SET_BYTECODE_DETAILS
        || call.is_static
        || call.caller != COMPLEX_UPGRADER_ADDRESS
        || arguments.len() < 128
        || arguments[..12].iter().any(|byte| *byte != 0)
    {
        return Err(Failure::Revert);
    }
    let address = Address::from_slice(&arguments[12..32]);
    let code_hash = B256::from_slice(&arguments[32..64]);
    let code_len = word_to_u32(&arguments[64..96]).ok_or(Failure::Revert)?;
    let observable_hash = B256::from_slice(&arguments[96..128]);
    if code_len as usize > MAX_CODE_SIZE {
        return Err(Failure::Revert);
    }
    charge(vm, gas, GAS_PER_BYTE * u64::from(code_len), 0)?;
    let id = vm.journal.access(address, Access::Evm, gas)?;
    vm.journal.force_deploy(id, code_hash, code_len, observable_hash)?;
    Ok(Bytes::new())
}
