//! Precompiles and system hooks as a [`PrecompilesMap`].
//!
//! Every intercepted address of the protocol is an entry of the map, so that a node's author can add, wrap,
//! replace or remove entries in the usual way. The frame loop asks the map for every call and runs what it
//! finds. A built-in entry holds no logic: it leaves its request in the [`Port`] it shares with the loop and
//! reads a block hash through its internals. The database behind these internals ([`Loan`]) sees the request
//! and runs the hook on the executor itself, with its native meter and journal, so that a wrapped hook does
//! exactly what the hook does.

use super::{
    env::ZkEvmEnv,
    loan::{self, Loan},
    tx::ZkTxEnv,
};
use crate::{
    ExecutionSpec, StateView,
    error::{Fatal, Halt},
    hooks::{self, Hook},
    vm::{CallKind, CallRequest, CallResult, Vm},
};
use alloy_evm::{
    EvmInternals,
    precompiles::{DynPrecompile, Precompile, PrecompileInput, PrecompilesMap},
};
use alloy_primitives::{Address, Bytes, U256};
use core::cell::RefCell;
use revm::{
    Database,
    context::{Journal, JournalTr},
    interpreter::InstructionResult,
    precompile::{
        PrecompileError, PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult,
        PrecompileStatus, Precompiles,
    },
};
use std::{borrow::Cow, rc::Rc};
use zkos_primitives::{BASE_TOKEN_ADDRESS, CONTRACT_DEPLOYER_ADDRESS, L1_MESSENGER_ADDRESS};

/// A call to a built-in hook on its way into the executor.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) hook: Hook,
    pub(super) kind: CallKind,
    pub(super) is_static: bool,
    pub(super) caller: Address,
    pub(super) value: U256,
    pub(super) input: Bytes,
    pub(super) gas: u64,
}

/// Where built-in entries and the frame loop exchange requests and results.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) request: RefCell<Option<Request>>,
    pub(super) response: RefCell<Option<CallResult>>,
}

/// The map of the protocol's precompiles and hooks under some rules.
pub(super) fn protocol_map(spec: &ExecutionSpec, port: &Rc<Port>) -> PrecompilesMap {
    let hooks = [
        (CONTRACT_DEPLOYER_ADDRESS, "contract deployer"),
        (L1_MESSENGER_ADDRESS, "L1 messenger"),
        (BASE_TOKEN_ADDRESS, "base token"),
    ];
    let precompiles = hooks::precompile_addresses(spec).map(|address| (address, "precompile"));
    let entries = hooks.into_iter().chain(precompiles).filter_map(|(address, name)| {
        let hook = Hook::at(&address, spec)?;
        Some((address, entry(hook, name, port.clone())))
    });
    empty_map().with_extended_precompiles(entries)
}

pub(super) fn empty_map() -> PrecompilesMap {
    PrecompilesMap::new(Cow::Owned(Precompiles::default()))
}

/// Entry of a hook. Marked as stateful: a cached result would skip its native price.
fn entry(hook: Hook, name: &'static str, port: Rc<Port>) -> DynPrecompile {
    DynPrecompile::new_stateful(PrecompileId::custom(name), move |mut input| {
        port.request.replace(Some(Request {
            hook,
            kind: match (input.is_direct_call(), input.is_static) {
                (false, _) => CallKind::DelegateCall,
                (true, true) => CallKind::StaticCall,
                (true, false) => CallKind::Call,
            },
            is_static: input.is_static,
            caller: input.caller,
            value: input.value,
            input: Bytes::copy_from_slice(input.data),
            gas: input.gas,
        }));
        // The loan takes the request and leaves the response.
        let rung = input.internals_mut().db_mut().block_hash(0);
        port.request.take();
        match port.response.take() {
            Some(result) => Ok(output(result, input.gas, input.reservoir)),
            None => Err(PrecompileError::Fatal(match rung {
                Ok(_) => format!("{name} called outside of its executor"),
                Err(error) => format!("{name}: {error}"),
            })),
        }
    })
}

fn output(result: CallResult, limit: u64, reservoir: u64) -> PrecompileOutput {
    let used = limit.saturating_sub(result.gas_left);
    match result.result {
        InstructionResult::Revert => PrecompileOutput::revert(used, result.output, reservoir),
        InstructionResult::PrecompileOOG => {
            PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir)
        }
        ok if ok.is_ok() => PrecompileOutput::new(used, result.output, reservoir),
        _ => PrecompileOutput::halt(PrecompileHalt::other_static("invalid input"), reservoir),
    }
}

fn result(output: &PrecompileOutput, limit: u64) -> CallResult {
    let Some(gas_left) = limit.checked_sub(output.gas_used) else {
        return CallResult::failed(InstructionResult::PrecompileOOG, 0);
    };
    let bytes = output.bytes.clone();
    match &output.status {
        PrecompileStatus::Success => CallResult::success(gas_left, bytes),
        PrecompileStatus::Revert => {
            CallResult { result: InstructionResult::Revert, gas_left, output: bytes }
        }
        PrecompileStatus::Halt(reason) if reason.is_oog() => {
            CallResult::failed(InstructionResult::PrecompileOOG, 0)
        }
        PrecompileStatus::Halt(_) => CallResult::failed(InstructionResult::PrecompileError, 0),
    }
}

/// The map while a transaction runs, and what its entries may see.
#[derive(Debug)]
pub(crate) struct PrecompileHost {
    pub(super) map: PrecompilesMap,
    pub(super) port: Rc<Port>,
    pub(super) env: Rc<ZkEvmEnv>,
    pub(super) tx: ZkTxEnv,
}

impl PrecompileHost {
    /// Runs the entry at the callee, if there is one.
    pub(crate) fn run<S: StateView>(
        &self,
        vm: &mut Vm<S>,
        request: &CallRequest,
        data: &[u8],
        gas: u64,
    ) -> Result<Option<CallResult>, Halt> {
        let Some(precompile) = self.map.get(&request.callee) else { return Ok(None) };
        let target_address = match request.kind {
            CallKind::DelegateCall | CallKind::CallCode => request.caller,
            _ => request.callee,
        };
        let caller = match request.kind {
            CallKind::DelegateCall => request.callers_caller,
            _ => request.caller,
        };
        let mut journal = Journal::new(Loan::new(vm, &self.port));
        loan::lend_transient(&mut journal);
        let call = |journal: &mut Journal<Loan<'_, S>>| -> PrecompileResult {
            let (block, cfg) = (&self.env.block_env, &self.env.cfg_env);
            precompile.call(PrecompileInput {
                data,
                gas,
                reservoir: 0,
                caller,
                value: request.value,
                target_address,
                is_static: request.is_static,
                bytecode_address: request.callee,
                internals: EvmInternals::new(journal, block, cfg, &self.tx),
            })
        };
        let output = call(&mut journal);
        if let Some(halt) = journal.database.halt.take() {
            return Err(halt);
        }
        let output = output.map_err(|error| {
            Halt::Fatal(Box::new(Fatal::Precompile(request.callee, error.to_string())))
        })?;
        let result = result(&output, gas);
        if result.is_ok() {
            loan::settle(journal, request.callee, output.gas_refunded)?;
        }
        Ok(Some(result))
    }
}
