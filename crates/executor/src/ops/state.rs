//! Instructions that read the environment or touch state, and those that open frames.

use super::{
    Ctx, OpResult,
    memory::{charge, copy_cost, grow, range},
    pop, push, top,
};
use crate::{
    StateView,
    error::Halt,
    journal::Access,
    native,
    vm::{CallKind, CallRequest},
};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use revm::{
    bytecode::opcode as op,
    interpreter::{
        CallInput, InstructionResult, instructions::utility::IntoAddress,
        interpreter_types::MemoryTr,
    },
};
use zkos_primitives::bytecode::MAX_INITCODE_SIZE;

macro_rules! attempt {
    ($host:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(halt) => return Err($host.fail(halt)),
        }
    };
}

macro_rules! getter {
    ($name:ident, |$interpreter:ident, $host:ident| $value:expr) => {
        pub(super) fn $name<S>(context: Ctx<'_, S>) -> OpResult {
            let Ctx { interpreter: $interpreter, host: $host } = context;
            let _ = &$host;
            push!($interpreter, $value);
            Ok(())
        }
    };
}

fn word(address: Address) -> U256 {
    address.into_word().into()
}

getter!(address, |interpreter, host| word(interpreter.input.target_address));
getter!(origin, |interpreter, host| word(host.tx.origin));
getter!(caller, |interpreter, host| word(interpreter.input.caller_address));
getter!(callvalue, |interpreter, host| interpreter.input.call_value);
getter!(gasprice, |interpreter, host| host.tx.gas_price);
getter!(coinbase, |interpreter, host| word(host.env.coinbase));
getter!(timestamp, |interpreter, host| U256::from(host.env.timestamp));
getter!(number, |interpreter, host| U256::from(host.env.number));
getter!(difficulty, |interpreter, host| host.env.spec.prev_randao);
getter!(gaslimit, |interpreter, host| U256::from(host.env.gas_limit));
getter!(chainid, |interpreter, host| U256::from(host.env.chain_id));
getter!(basefee, |interpreter, host| host.env.base_fee);
getter!(blobbasefee, |interpreter, host| host.env.spec.blob_base_fee);
getter!(gas, |interpreter, host| U256::from(interpreter.gas.remaining()));

pub(super) fn blobhash<S>(context: Ctx<'_, S>) -> OpResult {
    let interpreter = context.interpreter;
    top!(interpreter, top);
    *top = U256::ZERO;
    Ok(())
}

pub(super) fn blockhash<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let number = u64::try_from(*top).unwrap_or(u64::MAX);
    *top = attempt!(host, host.block_hash(number).map_err(Halt::from));
    Ok(())
}

pub(super) fn exp<S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    let Some(([base], top)) = interpreter.stack.popn_top::<1>() else {
        return Err(InstructionResult::StackUnderflow);
    };
    let exponent = *top;
    let bytes = exponent.bit_len().div_ceil(8) as u64;
    charge(interpreter, host, 10 + 50 * bytes, native::EXP_BASE + native::EXP_BYTE * bytes)?;
    top!(interpreter, top);
    *top = base.pow(exponent);
    Ok(())
}

pub(super) fn balance<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let address = top.into_address();
    let id = attempt!(host, host.journal.access(address, Access::Evm, &mut interpreter.gas));
    *top = host.journal.account(id).balance;
    Ok(())
}

pub(super) fn selfbalance<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    let id = attempt!(
        host,
        host.journal.warm_free(interpreter.input.target_address).map_err(Halt::from)
    );
    push!(interpreter, host.journal.account(id).balance);
    Ok(())
}

pub(super) fn extcodesize<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let address = top.into_address();
    let id = attempt!(host, host.journal.access(address, Access::Evm, &mut interpreter.gas));
    *top = U256::from(host.journal.account(id).observable_bytecode_len);
    Ok(())
}

pub(super) fn extcodehash<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let address = top.into_address();
    let id = attempt!(host, host.journal.access(address, Access::Evm, &mut interpreter.gas));
    let account = host.journal.account(id);
    *top = if account.nonce == 0 && account.balance.is_zero() && account.unpadded_code_len == 0 {
        U256::ZERO
    } else if account.observable_bytecode_hash.is_zero() {
        alloy_primitives::KECCAK256_EMPTY.into()
    } else {
        account.observable_bytecode_hash.into()
    };
    Ok(())
}

pub(super) fn extcodecopy<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, address, target, source, len);
    let (target, len) = range(target, len)?;
    if len != 0 {
        grow(interpreter, host, target, len)?;
    }
    let address = address.into_address();
    let id = attempt!(host, host.journal.access(address, Access::Evm, &mut interpreter.gas));
    let code = attempt!(host, host.journal.fetch_code(id));
    let (gas, native) = copy_cost(len)?;
    charge(interpreter, host, gas, native + native::COPY_OP)?;
    let source = usize::try_from(source).unwrap_or(usize::MAX);
    interpreter.memory.set_data(target, source, len, code.original_byte_slice());
    Ok(())
}

pub(super) fn sload<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let address = interpreter.input.target_address;
    *top = attempt!(host, host.journal.sload(address, *top, &mut interpreter.gas));
    Ok(())
}

pub(super) fn sstore<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    if interpreter.runtime_flag.is_static {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    if interpreter.gas.remaining() <= 2_300 {
        return Err(InstructionResult::ReentrancySentryOOG);
    }
    pop!(interpreter, key, value);
    let address = interpreter.input.target_address;
    attempt!(host, host.journal.sstore(address, key, value, &mut interpreter.gas));
    Ok(())
}

pub(super) fn tload<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    top!(interpreter, top);
    let address = interpreter.input.target_address;
    *top = attempt!(host, host.journal.tload(address, *top, &mut interpreter.gas));
    Ok(())
}

pub(super) fn tstore<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    if interpreter.runtime_flag.is_static {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    pop!(interpreter, key, value);
    let address = interpreter.input.target_address;
    attempt!(host, host.journal.tstore(address, key, value, &mut interpreter.gas));
    Ok(())
}

pub(super) fn log<const N: usize, S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    if interpreter.runtime_flag.is_static {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    pop!(interpreter, offset, len);
    let (offset, len) = range(offset, len)?;
    let Some(topics) = interpreter.stack.popn::<N>() else {
        return Err(InstructionResult::StackUnderflow);
    };
    if len != 0 {
        grow(interpreter, host, offset, len)?;
    }
    charge(interpreter, host, 375 + 375 * N as u64 + 8 * len as u64, native::event(N, len))?;
    let data = if len == 0 {
        Bytes::new()
    } else {
        Bytes::copy_from_slice(&interpreter.memory.slice_len(offset, len))
    };
    host.journal.logs.push(Log::new_unchecked(
        interpreter.input.target_address,
        topics.into_iter().map(B256::from).collect(),
        data,
    ));
    Ok(())
}

pub(super) fn selfdestruct<S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    if interpreter.runtime_flag.is_static {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    pop!(interpreter, beneficiary);
    let beneficiary = beneficiary.into_address();
    let address = interpreter.input.target_address;
    let in_constructor = host.in_constructor;
    let (amount, was_empty) = attempt!(
        host,
        host.journal.self_destruct(address, beneficiary, in_constructor, &mut interpreter.gas)
    );
    if !amount.is_zero() && was_empty {
        charge(interpreter, host, 25_000, 0)?;
    }
    host.last_selfdestruct = Some((address, beneficiary, amount));
    Err(InstructionResult::SelfDestruct)
}

pub(super) fn create<const IS_CREATE2: bool, S: StateView>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    if interpreter.runtime_flag.is_static {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    pop!(interpreter, value, offset, len);
    let (offset, len) = range(offset, len)?;
    if len != 0 {
        grow(interpreter, host, offset, len)?;
    }
    if len > MAX_INITCODE_SIZE {
        return Err(InstructionResult::CreateInitCodeSizeLimit);
    }
    let words = (len as u64).div_ceil(32);
    charge(interpreter, host, words * if IS_CREATE2 { 2 + 6 } else { 2 }, 0)?;
    let salt = if IS_CREATE2 {
        pop!(interpreter, salt);
        Some(salt)
    } else {
        None
    };
    let caller = interpreter.input.target_address;
    let code = if len == 0 {
        Bytes::new()
    } else {
        Bytes::copy_from_slice(&interpreter.memory.slice_len(offset, len))
    };
    let callee = match salt {
        Some(salt) => {
            attempt!(host, host.journal.native.charge(native::keccak(len)));
            caller.create2(B256::from(salt), keccak256(&code))
        }
        None => {
            let id = attempt!(host, host.journal.access_free(caller));
            caller.create(host.journal.account(id).nonce)
        }
    };
    host.request = Some(CallRequest {
        kind: CallKind::Create(salt),
        is_static: false,
        caller,
        callers_caller: Address::ZERO,
        callee,
        value,
        gas: u64::MAX,
        input: CallInput::Bytes(code),
        return_range: 0..0,
    });
    Err(InstructionResult::Suspend)
}

pub(super) fn call<const KIND: u8, S>(context: Ctx<'_, S>) -> OpResult {
    let Ctx { interpreter, host } = context;
    pop!(interpreter, gas, callee);
    let value = match KIND {
        op::CALL => {
            pop!(interpreter, value);
            if interpreter.runtime_flag.is_static && !value.is_zero() {
                return Err(InstructionResult::CallNotAllowedInsideStatic);
            }
            value
        }
        op::CALLCODE => {
            pop!(interpreter, value);
            value
        }
        op::DELEGATECALL => interpreter.input.call_value,
        _ => U256::ZERO,
    };
    pop!(interpreter, in_offset, in_len, out_offset, out_len);
    let (in_offset, in_len) = range(in_offset, in_len)?;
    let (out_offset, out_len) = range(out_offset, out_len)?;
    if in_len != 0 {
        grow(interpreter, host, in_offset, in_len)?;
    }
    if out_len != 0 {
        grow(interpreter, host, out_offset, out_len)?;
    }
    let base = interpreter.memory.local_memory_offset();
    let start = if in_len == 0 { 0 } else { base + in_offset };
    host.request = Some(CallRequest {
        kind: match KIND {
            op::CALL => CallKind::Call,
            op::CALLCODE => CallKind::CallCode,
            op::DELEGATECALL => CallKind::DelegateCall,
            _ => CallKind::StaticCall,
        },
        is_static: interpreter.runtime_flag.is_static || KIND == op::STATICCALL,
        caller: interpreter.input.target_address,
        callers_caller: interpreter.input.caller_address,
        callee: callee.into_address(),
        value,
        gas: u64::try_from(gas).unwrap_or(u64::MAX),
        input: CallInput::SharedBuffer(start..start + in_len),
        return_range: out_offset..out_offset + out_len,
    });
    Err(InstructionResult::Suspend)
}
