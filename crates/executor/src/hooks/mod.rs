//! Addresses whose calls are intercepted: precompiles and the three system hooks.

mod base_token;
mod deployer;
mod messenger;
mod precompiles;

pub(crate) use precompiles::Precompile;

use crate::{
    StateView,
    error::Halt,
    native,
    spec::ExecutionSpec,
    vm::{CallKind, CallResult, Vm},
};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use revm::interpreter::{Gas, InstructionResult};
use zkos_primitives::{BASE_TOKEN_ADDRESS, CONTRACT_DEPLOYER_ADDRESS, L1_MESSENGER_ADDRESS};
use zksync_os_interface::types::{L2ToL1Log, L2ToL1LogWithPreimage};

/// Gas charged on entry of a system hook.
const HOOK_BASE_GAS: u64 = 100;

/// What stands behind an intercepted address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Precompile(Precompile),
    Deployer,
    Messenger,
    BaseToken,
}

impl Hook {
    /// The hook of `address`, if it has one.
    #[inline]
    pub(crate) fn at(address: &Address, spec: &ExecutionSpec) -> Option<Self> {
        if address.0[..17].iter().any(|byte| *byte != 0) {
            return None;
        }
        if *address == CONTRACT_DEPLOYER_ADDRESS {
            Some(Self::Deployer)
        } else if *address == L1_MESSENGER_ADDRESS {
            Some(Self::Messenger)
        } else if *address == BASE_TOKEN_ADDRESS {
            Some(Self::BaseToken)
        } else {
            Precompile::at(address, spec).map(Self::Precompile)
        }
    }
}

/// Addresses of the precompiles that exist.
pub(crate) fn precompile_addresses(spec: &ExecutionSpec) -> impl Iterator<Item = Address> {
    spec.precompiles.iter().map(|(number, _)| Address::left_padding_from(&number.to_be_bytes()))
}

/// A call to a hook.
#[derive(Debug)]
pub(crate) struct HookCall<'a> {
    pub(crate) kind: CallKind,
    pub(crate) is_static: bool,
    pub(crate) caller: Address,
    pub(crate) value: U256,
    pub(crate) input: &'a [u8],
    pub(crate) gas: u64,
}

/// Why a hook did not succeed.
enum Failure {
    /// Revert with empty data; unused gas is returned.
    Revert,
    Halt(Halt),
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<crate::error::AbortReason> for Failure {
    fn from(reason: crate::error::AbortReason) -> Self {
        Self::Halt(reason.into())
    }
}

type HookResult = Result<Bytes, Failure>;

/// Runs a hook.
pub(crate) fn run<S: StateView>(
    vm: &mut Vm<S>,
    hook: Hook,
    call: &HookCall<'_>,
) -> Result<CallResult, Halt> {
    let mut gas = Gas::new(call.gas);
    let result = match hook {
        Hook::Precompile(precompile) => {
            return precompiles::run(&mut vm.journal.native, precompile, call);
        }
        _ if matches!(call.kind, CallKind::DelegateCall | CallKind::CallCode) => {
            Err(Failure::Revert)
        }
        Hook::Deployer => deployer::run(vm, call, &mut gas),
        Hook::Messenger => messenger::run(vm, call, &mut gas),
        Hook::BaseToken => base_token::run(vm, call, &mut gas),
    };
    match result {
        Ok(output) => Ok(CallResult::success(gas.remaining(), output)),
        Err(Failure::Revert) => Ok(CallResult::failed(InstructionResult::Revert, gas.remaining())),
        Err(Failure::Halt(Halt::OutOfGas)) => {
            Ok(CallResult::failed(InstructionResult::PrecompileOOG, 0))
        }
        Err(Failure::Halt(halt)) => Err(halt),
    }
}

fn charge<S>(vm: &mut Vm<S>, gas: &mut Gas, amount: u64, native: u64) -> Result<(), Halt>
where
    S: StateView,
{
    vm.journal.native.charge(native)?;
    if gas.record_regular_cost(amount) { Ok(()) } else { Err(Halt::OutOfGas) }
}

const fn keccak_gas(len: usize) -> u64 {
    30 + 6 * (len as u64).div_ceil(32)
}

/// Emits an event in the name of a hook.
fn emit_event<S: StateView>(
    vm: &mut Vm<S>,
    gas: &mut Gas,
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
) -> Result<(), Halt> {
    let amount = 375 + 375 * topics.len() as u64 + 8 * data.len() as u64;
    charge(vm, gas, amount, native::event(topics.len(), data.len()))?;
    vm.journal.logs.push(Log::new_unchecked(address, topics, data));
    Ok(())
}

/// Emits an L2 to L1 message of `sender`; returns the hash of the message.
fn emit_message<S: StateView>(
    vm: &mut Vm<S>,
    gas: &mut Gas,
    sender: Address,
    message: &[u8],
) -> Result<B256, Halt> {
    let len = message.len();
    charge(
        vm,
        gas,
        keccak_gas(88) + 3 * keccak_gas(64) + keccak_gas(len) + 375 + 8 * len as u64,
        native::keccak(88)
            + 3 * native::keccak(64)
            + native::keccak(len)
            + native::EVENT
            + native::EVENT_BYTE * len as u64,
    )?;
    charge(vm, gas, keccak_gas(len), native::keccak(len))?;
    let hash = keccak256(message);
    vm.journal.l2_to_l1_logs.push(L2ToL1LogWithPreimage {
        log: L2ToL1Log {
            l2_shard_id: 0,
            is_service: true,
            // Filled in when the transaction is included.
            tx_number_in_block: 0,
            sender: L1_MESSENGER_ADDRESS,
            key: sender.into_word(),
            value: hash,
        },
        preimage: Some(message.to_vec()),
    });
    Ok(hash)
}

/// Reads a big-endian word as `u32`.
fn word_to_u32(word: &[u8]) -> Option<u32> {
    u32::try_from(U256::from_be_slice(word)).ok()
}
