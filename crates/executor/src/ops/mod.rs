//! Instruction table: every opcode with its gas and native price.
//!
//! Constant prices stand in the table and are charged by [`step`] before the instruction runs, native
//! first. Instructions whose price depends on operands, memory or state charge the rest themselves, in the
//! order of ZKsync OS, because a failing instruction keeps the native it charged before it failed.

mod memory;
mod state;

use crate::{native, spec::ExecutionSpec, vm::Vm};
use revm::{
    bytecode::opcode as op,
    interpreter::{
        InstructionContext, InstructionResult, Interpreter,
        instructions::{arithmetic, bitwise, control, stack},
        interpreter::EthInterpreter,
        interpreter_types::Jumps,
    },
};

/// Context of an instruction.
pub(crate) type Ctx<'a, S> = InstructionContext<'a, Vm<S>, EthInterpreter>;
/// Result of an instruction.
pub(crate) type OpResult = Result<(), InstructionResult>;

/// One entry of the table.
pub(crate) struct Op<S> {
    run: fn(Ctx<'_, S>) -> OpResult,
    gas: u16,
    native: u16,
}

impl<S> Copy for Op<S> {}
impl<S> Clone for Op<S> {
    fn clone(&self) -> Self {
        *self
    }
}

/// The table of all opcodes.
pub(crate) type OpTable<S> = [Op<S>; 256];

/// Executes one instruction.
#[inline(always)]
pub(crate) fn step<S>(
    interpreter: &mut Interpreter,
    table: &OpTable<S>,
    vm: &mut Vm<S>,
) -> OpResult {
    let entry = table[interpreter.bytecode.opcode() as usize];
    interpreter.bytecode.relative_jump(1);
    if !vm.journal.native.try_charge(u64::from(entry.native)) {
        return Err(vm.fail(crate::error::Halt::OutOfNative));
    }
    if interpreter.gas.record_cost_unsafe(u64::from(entry.gas)) {
        return Err(InstructionResult::OutOfGas);
    }
    (entry.run)(InstructionContext { interpreter, host: vm })
}

macro_rules! pop {
    ($interpreter:expr, $($x:ident),+) => {
        let Some([$($x),+]) = $interpreter.stack.popn() else {
            return Err(InstructionResult::StackUnderflow);
        };
    };
}
macro_rules! top {
    ($interpreter:expr, $x:ident) => {
        let Some(([], $x)) = $interpreter.stack.popn_top::<0>() else {
            return Err(InstructionResult::StackUnderflow);
        };
    };
}
macro_rules! push {
    ($interpreter:expr, $value:expr) => {
        if !$interpreter.stack.push($value) {
            return Err(InstructionResult::StackOverflow);
        }
    };
}
pub(crate) use {pop, push, top};

fn unknown<S>(_: Ctx<'_, S>) -> OpResult {
    Err(InstructionResult::OpcodeNotFound)
}

fn stop<S>(_: Ctx<'_, S>) -> OpResult {
    Err(InstructionResult::Stop)
}

fn jumpdest<S>(_: Ctx<'_, S>) -> OpResult {
    Ok(())
}

/// Builds the table.
pub(crate) fn table<S: crate::StateView>(spec: &ExecutionSpec) -> OpTable<S> {
    let mut table = [Op { run: unknown::<S>, gas: 0, native: native::STEP as u16 }; 256];
    let mut set = |code: u8, gas: u16, native: u16, run: fn(Ctx<'_, S>) -> OpResult| {
        table[code as usize] = Op { run, gas, native: native + native::STEP as u16 };
    };
    set(op::STOP, 0, 0, stop);
    set(op::ADD, 3, 140, arithmetic::add);
    set(op::MUL, 5, 400, arithmetic::mul);
    set(op::SUB, 3, 140, arithmetic::sub);
    set(op::DIV, 5, 1500, arithmetic::div);
    set(op::SDIV, 5, 1000, arithmetic::sdiv);
    set(op::MOD, 5, 1300, arithmetic::rem);
    set(op::SMOD, 5, 800, arithmetic::smod);
    set(op::ADDMOD, 8, spec.addmod_native, arithmetic::addmod);
    set(op::MULMOD, 8, spec.mulmod_native, arithmetic::mulmod);
    set(op::EXP, 0, 0, state::exp);
    set(op::SIGNEXTEND, 5, 400, arithmetic::signextend);
    set(op::LT, 3, 190, bitwise::lt);
    set(op::GT, 3, 190, bitwise::gt);
    set(op::SLT, 3, 430, bitwise::slt);
    set(op::SGT, 3, 430, bitwise::sgt);
    set(op::EQ, 3, 500, bitwise::eq);
    set(op::ISZERO, 3, 300, bitwise::iszero);
    set(op::AND, 3, 100, bitwise::bitand);
    set(op::OR, 3, 90, bitwise::bitor);
    set(op::XOR, 3, 90, bitwise::bitxor);
    set(op::NOT, 3, 60, bitwise::not);
    set(op::BYTE, 3, 160, bitwise::byte);
    set(op::SHL, 3, 240, bitwise::shl);
    set(op::SHR, 3, 240, bitwise::shr);
    set(op::SAR, 3, 400, bitwise::sar);
    set(op::KECCAK256, 0, 0, memory::keccak256);
    set(op::ADDRESS, 2, 60, state::address);
    set(op::BALANCE, 0, 60, state::balance);
    set(op::ORIGIN, 2, 60, state::origin);
    set(op::CALLER, 2, 60, state::caller);
    set(op::CALLVALUE, 2, 60, state::callvalue);
    set(op::CALLDATALOAD, 3, 280, memory::calldataload);
    set(op::CALLDATASIZE, 2, 40, memory::calldatasize);
    set(op::CALLDATACOPY, 0, 0, memory::calldatacopy);
    set(op::CODESIZE, 2, 40, memory::codesize);
    set(op::CODECOPY, 0, 0, memory::codecopy);
    set(op::GASPRICE, 2, 60, state::gasprice);
    set(op::EXTCODESIZE, 0, 60, state::extcodesize);
    set(op::EXTCODECOPY, 0, 0, state::extcodecopy);
    set(op::RETURNDATASIZE, 2, 60, memory::returndatasize);
    set(op::RETURNDATACOPY, 0, 0, memory::returndatacopy);
    set(op::EXTCODEHASH, 0, 60, state::extcodehash);
    set(op::BLOCKHASH, 20, 60, state::blockhash);
    set(op::COINBASE, 2, 60, state::coinbase);
    set(op::TIMESTAMP, 2, 60, state::timestamp);
    set(op::NUMBER, 2, 60, state::number);
    set(op::DIFFICULTY, 2, 40, state::difficulty);
    set(op::GASLIMIT, 2, 60, state::gaslimit);
    set(op::CHAINID, 2, 60, state::chainid);
    set(op::SELFBALANCE, 5, 60, state::selfbalance);
    set(op::BASEFEE, 2, 60, state::basefee);
    set(op::BLOBHASH, 3, 40, state::blobhash);
    set(op::BLOBBASEFEE, 2, 40, state::blobbasefee);
    set(op::POP, 2, 40, stack::pop);
    set(op::MLOAD, 3, 250, memory::mload);
    set(op::MSTORE, 3, 250, memory::mstore);
    set(op::MSTORE8, 3, 250, memory::mstore8);
    set(op::SLOAD, 0, 100, state::sload);
    set(op::SSTORE, 0, 100, state::sstore);
    set(op::JUMP, 8, 70, control::jump);
    set(op::JUMPI, 10, 300, control::jumpi);
    set(op::PC, 2, 40, control::pc);
    set(op::MSIZE, 2, 40, memory::msize);
    set(op::GAS, 2, 60, state::gas);
    set(op::JUMPDEST, 1, 40, jumpdest);
    set(op::TLOAD, 0, 100, state::tload);
    set(op::TSTORE, 0, 100, state::tstore);
    set(op::MCOPY, 0, 0, memory::mcopy);
    set(op::PUSH0, 2, 50, stack::push0);
    macro_rules! pushes {
        ($($n:literal: $native:literal),* $(,)?) => {
            $(set(op::PUSH0 + $n, 3, $native, stack::push::<$n, _, _>);)*
        };
    }
    pushes!(
        1: 60, 2: 120, 3: 140, 4: 140, 5: 150, 6: 160, 7: 170, 8: 180, 9: 190, 10: 200, 11: 210,
        12: 210, 13: 220, 14: 230, 15: 240, 16: 240, 17: 240, 18: 240, 19: 240, 20: 240, 21: 250,
        22: 260, 23: 260, 24: 260, 25: 260, 26: 270, 27: 280, 28: 280, 29: 290, 30: 290, 31: 300,
        32: 300,
    );
    macro_rules! dups_and_swaps {
        ($($n:literal),*) => {
            $(
                set(op::DUP1 + $n - 1, 3, 60, stack::dup::<$n, _, _>);
                set(op::SWAP1 + $n - 1, 3, 90, stack::swap::<$n, _, _>);
            )*
        };
    }
    dups_and_swaps!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    set(op::LOG0, 0, 50, state::log::<0, S>);
    set(op::LOG1, 0, 50, state::log::<1, S>);
    set(op::LOG2, 0, 50, state::log::<2, S>);
    set(op::LOG3, 0, 50, state::log::<3, S>);
    set(op::LOG4, 0, 50, state::log::<4, S>);
    set(op::CREATE, 32_000, 25_000, state::create::<false, S>);
    set(op::CREATE2, 32_000, 25_000, state::create::<true, S>);
    set(op::CALL, 0, 1500, state::call::<{ op::CALL }, S>);
    set(op::CALLCODE, 0, 1500, state::call::<{ op::CALLCODE }, S>);
    set(op::DELEGATECALL, 0, 1500, state::call::<{ op::DELEGATECALL }, S>);
    set(op::STATICCALL, 0, 1500, state::call::<{ op::STATICCALL }, S>);
    set(op::RETURN, 0, 40, memory::ret);
    set(op::REVERT, 0, 50, memory::revert);
    set(op::SELFDESTRUCT, 5_000, 100, state::selfdestruct);
    table
}
