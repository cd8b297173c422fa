//! Instructions on memory, calldata, code and return data.

use super::{Ctx, OpResult, pop, push, top};
use crate::{error::Halt, native, vm::Vm};
use alloy_primitives::{B256, U256, keccak256 as hash};
use core::ops::Range;
use revm::interpreter::{
    CallInput, InstructionResult, Interpreter,
    interpreter_types::{InputsTr, LegacyBytecode, MemoryTr},
};

/// One buffer of 128 MiB serves all frames of a transaction; it may never be full.
const HEAP_SIZE: usize = 1 << 27;
/// Largest end of a memory range.
const MAX_MEMORY_END: usize = u32::MAX as usize - 31;
/// Largest gas amount that fits the internal unit.
const MAX_GAS: u64 = u64::MAX / 256;

/// Charges gas and native together: native first.
#[inline]
pub(super) fn charge<S>(
    interpreter: &mut Interpreter,
    vm: &mut Vm<S>,
    gas: u64,
    native: u64,
) -> OpResult {
    if gas > MAX_GAS {
        return Err(InstructionResult::OutOfGas);
    }
    if !vm.journal.native.try_charge(native) {
        return Err(vm.fail(Halt::OutOfNative));
    }
    if interpreter.gas.record_regular_cost(gas) { Ok(()) } else { Err(InstructionResult::OutOfGas) }
}

pub(super) fn to_usize(value: U256) -> Result<usize, InstructionResult> {
    usize::try_from(value).map_err(|_| InstructionResult::InvalidOperandOOG)
}

/// Offset and length of a range; the offset of an empty range is ignored.
pub(super) fn range(offset: U256, len: U256) -> Result<(usize, usize), InstructionResult> {
    if len.is_zero() { Ok((0, 0)) } else { Ok((to_usize(offset)?, to_usize(len)?)) }
}

/// Grows memory so that `offset..offset + len` exists.
#[inline]
pub(super) fn grow<S>(
    interpreter: &mut Interpreter,
    vm: &mut Vm<S>,
    offset: usize,
    len: usize,
) -> OpResult {
    let end = offset.saturating_add(len);
    if end <= interpreter.memory.len() {
        return Ok(());
    }
    grow_slow(interpreter, vm, end)
}

#[inline(never)]
fn grow_slow<S>(interpreter: &mut Interpreter, vm: &mut Vm<S>, end: usize) -> OpResult {
    if end > MAX_MEMORY_END {
        return Err(InstructionResult::MemoryLimitOOG);
    }
    let old = interpreter.memory.len();
    let new = end.next_multiple_of(32);
    let words = (new / 32) as u64;
    let total = 3 * words + words * words / 512;
    let paid = interpreter.gas.memory().expansion_cost;
    charge(interpreter, vm, total.saturating_sub(paid), native::HEAP_BASE + (new - old) as u64)?;
    let memory_gas = interpreter.gas.memory_mut();
    memory_gas.words_num = new / 32;
    memory_gas.expansion_cost = total;
    if interpreter.memory.local_memory_offset() + new >= HEAP_SIZE {
        return Err(InstructionResult::MemoryOOG);
    }
    interpreter.memory.resize(new);
    Ok(())
}

/// Gas and native of copying `len` bytes, without the base gas of the instruction.
pub(super) fn copy_cost(len: usize) -> Result<(u64, u64), InstructionResult> {
    let len = len as u64;
    let words = len.div_ceil(32);
    let gas = words.checked_mul(3).ok_or(InstructionResult::OutOfGas)?;
    let native = len.checked_add(native::COPY_BASE).ok_or(InstructionResult::OutOfGas)?;
    Ok((gas, native))
}

fn charge_copy<S>(
    interpreter: &mut Interpreter,
    vm: &mut Vm<S>,
    len: usize,
    extra_native: u64,
) -> OpResult {
    let (gas, native) = copy_cost(len)?;
    charge(interpreter, vm, gas + 3, native.saturating_add(extra_native))
}

pub(super) fn keccak256<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    let Some(([offset], top)) = interpreter.stack.popn_top::<1>() else {
        return Err(InstructionResult::StackUnderflow);
    };
    let (offset, len) = range(offset, *top)?;
    charge(interpreter, host, 0, native::KECCAK_BASE)?;
    let digest = if len == 0 {
        charge(interpreter, host, 30, 0)?;
        alloy_primitives::KECCAK256_EMPTY
    } else {
        grow(interpreter, host, offset, len)?;
        charge(interpreter, host, 30 + 6 * (len as u64).div_ceil(32), native::keccak(len))?;
        hash(&*interpreter.memory.slice_len(offset, len))
    };
    top!(interpreter, top);
    *top = digest.into();
    Ok(())
}

pub(super) fn calldataload<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    top!(interpreter, top);
    let mut word = B256::ZERO;
    let input = interpreter.input.input();
    let len = input.len();
    if let Ok(offset) = usize::try_from(*top)
        && offset < len
    {
        let count = (len - offset).min(32);
        match input {
            CallInput::Bytes(bytes) => {
                word[..count].copy_from_slice(&bytes[offset..offset + count]);
            }
            CallInput::SharedBuffer(range) => {
                let start = range.start + offset;
                let view = interpreter.memory.global_slice_range(start..start + count);
                word[..count].copy_from_slice(&view);
            }
        }
    }
    *top = word.into();
    Ok(())
}

pub(super) fn calldatasize<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    push!(interpreter, U256::from(interpreter.input.input().len()));
    Ok(())
}

pub(super) fn calldatacopy<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, target, source, len);
    let len = to_usize(len)?;
    charge_copy(interpreter, host, len, native::COPY_OP)?;
    if len == 0 {
        return Ok(());
    }
    let target = to_usize(target)?;
    grow(interpreter, host, target, len)?;
    let source = usize::try_from(source).unwrap_or(usize::MAX);
    match &interpreter.input.input {
        CallInput::Bytes(bytes) => interpreter.memory.set_data(target, source, len, bytes),
        CallInput::SharedBuffer(range) => {
            interpreter.memory.global_to_local_set_data(target, source, len, range.clone());
        }
    }
    Ok(())
}

pub(super) fn codesize<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    push!(interpreter, U256::from(interpreter.bytecode.bytecode_len()));
    Ok(())
}

pub(super) fn codecopy<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, target, source, len);
    let len = to_usize(len)?;
    charge_copy(interpreter, host, len, native::COPY_OP)?;
    if len == 0 {
        return Ok(());
    }
    let target = to_usize(target)?;
    grow(interpreter, host, target, len)?;
    let source = usize::try_from(source).unwrap_or(usize::MAX);
    interpreter.memory.set_data(target, source, len, interpreter.bytecode.bytecode_slice());
    Ok(())
}

pub(super) fn returndatasize<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    push!(interpreter, U256::from(interpreter.return_data.0.len()));
    Ok(())
}

pub(super) fn returndatacopy<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, target, source, len);
    let len = to_usize(len)?;
    charge_copy(interpreter, host, len, native::COPY_OP)?;
    let source = to_usize(source)?;
    match source.checked_add(len) {
        Some(end) if end <= interpreter.return_data.0.len() => {}
        _ => return Err(InstructionResult::OutOfOffset),
    }
    if len == 0 {
        return Ok(());
    }
    let target = to_usize(target)?;
    grow(interpreter, host, target, len)?;
    interpreter.memory.set_data(target, source, len, &interpreter.return_data.0);
    Ok(())
}

pub(super) fn mload<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let offset = to_usize(*top)?;
    grow(interpreter, host, offset, 32)?;
    let word = interpreter.memory.get_u256(offset);
    top!(interpreter, top);
    *top = word;
    Ok(())
}

pub(super) fn mstore<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, offset, value);
    let offset = to_usize(offset)?;
    grow(interpreter, host, offset, 32)?;
    interpreter.memory.set(offset, &value.to_be_bytes::<32>());
    Ok(())
}

pub(super) fn mstore8<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, offset, value);
    let offset = to_usize(offset)?;
    grow(interpreter, host, offset, 1)?;
    interpreter.memory.set_byte(offset, value.byte(0));
    Ok(())
}

pub(super) fn msize<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    push!(interpreter, U256::from(interpreter.memory.len()));
    Ok(())
}

pub(super) fn mcopy<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, target, source, len);
    let len = to_usize(len)?;
    charge_copy(interpreter, host, len, 0)?;
    if len == 0 {
        return Ok(());
    }
    let target = to_usize(target)?;
    let source = to_usize(source)?;
    grow(interpreter, host, target.max(source), len)?;
    interpreter.memory.copy(target, source, len);
    Ok(())
}

fn finish<S>(context: Ctx<'_, S>, result: InstructionResult) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, offset, len);
    let (offset, len) = range(offset, len)?;
    if len != 0 {
        grow(interpreter, host, offset, len)?;
    }
    host.output = Range { start: offset, end: offset + len };
    Err(result)
}

pub(super) fn ret<S>(context: Ctx<'_, S>) -> OpResult {
    finish(context, InstructionResult::Return)
}

pub(super) fn revert<S>(context: Ctx<'_, S>) -> OpResult {
    finish(context, InstructionResult::Revert)
}
