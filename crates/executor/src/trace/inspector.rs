//! revm inspectors on our frame loop.
//!
//! Inspectors expect revm's context. They get one that is kept in step with the journal: depth, logs, the
//! accounts of open frames, whatever the transaction changed so far (as it stood before the running
//! instruction), and the last storage access. Nothing flows back: an inspector that tries to override a call
//! is ignored.

use super::{FrameInfo, Tracer};
use crate::{
    StateView,
    env::BlockEnv as Env,
    evm::account_info,
    journal::Change,
    vm::{CallKind, CallResult, Vm},
};
use alloy_primitives::{Address, Bytes, U256};
use revm::{
    Context, MainContext,
    bytecode::opcode as op,
    context::JournalEntry,
    context_interface::CreateScheme,
    database_interface::EmptyDB,
    handler::MainnetContext,
    inspector::Inspector,
    interpreter::{
        CallInput, CallInputs, CallOutcome, CallScheme, CallValue, CreateInputs, CreateOutcome,
        FrameInput, Gas, InstructionResult, Interpreter, InterpreterAction, InterpreterResult,
        interpreter_types::{Jumps, LoopControl},
    },
    state::{Account, AccountInfo, EvmStorageSlot},
};

/// Context that inspectors are called with.
pub type TraceContext = MainnetContext<EmptyDB>;

/// Calls a revm inspector from the frame loop.
pub(crate) struct InspectorTracer<'a, I> {
    inspector: &'a mut I,
    context: TraceContext,
    /// Inputs of the open frames.
    inputs: Vec<FrameInput>,
    logs_seen: usize,
    /// Changes of the journal that the context shows, with their index there, and how many were looked at.
    shown: Vec<(usize, Change)>,
    looked_at: usize,
    /// Opcode of the running instruction and the stack words it may consume.
    opcode: u8,
    key: U256,
}

impl<'a, I> InspectorTracer<'a, I> {
    pub(crate) fn new(inspector: &'a mut I, env: &Env) -> Self {
        let mut context: TraceContext = Context::mainnet();
        context.cfg.chain_id = env.chain_id;
        context.cfg.set_spec_and_mainnet_gas_params(env.spec.hardfork);
        context.block.number = U256::from(env.number);
        context.block.beneficiary = env.coinbase;
        context.block.timestamp = U256::from(env.timestamp);
        context.block.gas_limit = env.gas_limit;
        context.block.basefee = u64::try_from(env.base_fee).unwrap_or(u64::MAX);
        context.block.prevrandao = Some(env.spec.prev_randao.into());
        context
            .journaled_state
            .inner
            .warm_addresses
            .set_precompile_addresses(&crate::hooks::precompile_addresses(env.spec).collect());
        Self {
            inspector,
            context,
            inputs: Vec::new(),
            logs_seen: 0,
            shown: Vec::new(),
            looked_at: 0,
            opcode: 0,
            key: U256::ZERO,
        }
    }

    fn shadow<S: StateView>(&mut self, vm: &mut Vm<S>, address: Address) -> Option<&mut Account> {
        let id = vm.journal.peek(address).ok()?;
        let account = *vm.journal.account(id);
        let code = vm.journal.load_code(&account).ok();
        let info = AccountInfo { code, ..account_info(&account) };
        let state = &mut self.context.journaled_state.inner.state;
        let account = state.entry(address).or_default();
        account.info = info;
        Some(account)
    }
}

fn call_gas(limit: u64, left: u64, refund: i64) -> Gas {
    let mut gas = Gas::new(limit);
    gas.set_remaining(left.min(limit));
    gas.set_refund(refund);
    gas
}

impl<S: StateView, I: Inspector<TraceContext>> Tracer<S> for InspectorTracer<'_, I> {
    fn frame_start(&mut self, vm: &mut Vm<S>, depth: usize, info: &FrameInfo) {
        self.context.journaled_state.inner.depth = depth;
        self.context.tx.caller = vm.tx.origin;
        self.context.tx.gas_price = u128::try_from(vm.tx.gas_price).unwrap_or(u128::MAX);
        self.sync(vm);
        self.shadow(vm, info.callee);
        let enters_creation = depth == 0 && info.kind.is_create();
        if let Some(caller) = self.shadow(vm, info.caller)
            && enters_creation
        {
            // The nonce of a creating transaction was taken before the frame, revm takes it in the frame.
            caller.info.nonce = caller.info.nonce.saturating_sub(1);
        }
        let mut input = frame_input(info);
        let context = &mut self.context;
        let _ = self.inspector.frame_start(context, &mut input);
        match &mut input {
            FrameInput::Call(inputs) => drop(self.inspector.call(context, inputs)),
            FrameInput::Create(inputs) => drop(self.inspector.create(context, inputs)),
            FrameInput::Empty => {}
        }
        self.inputs.push(input);
        if enters_creation {
            self.shadow(vm, info.caller);
        }
    }

    fn initialize(&mut self, _: &mut Vm<S>, interpreter: &mut Interpreter) {
        self.context.journaled_state.inner.depth += 1;
        self.inspector.initialize_interp(interpreter, &mut self.context);
    }

    fn step(&mut self, vm: &mut Vm<S>, interpreter: &mut Interpreter) {
        self.sync(vm);
        self.opcode = interpreter.bytecode.opcode();
        self.key = interpreter.stack.peek(0).unwrap_or_default();
        self.inspector.step(interpreter, &mut self.context);
        discard_action(interpreter);
    }

    fn step_end(
        &mut self,
        vm: &mut Vm<S>,
        interpreter: &mut Interpreter,
        result: Result<(), InstructionResult>,
    ) {
        match result {
            Ok(()) => {
                if matches!(self.opcode, op::SLOAD | op::SSTORE) {
                    self.record_slot(vm, interpreter.input.target_address);
                }
            }
            Err(InstructionResult::Suspend) => {
                interpreter.bytecode.set_action(InterpreterAction::NewFrame(FrameInput::Empty));
            }
            Err(result) => {
                let output = match result {
                    InstructionResult::Return | InstructionResult::Revert
                        if !vm.output.is_empty() =>
                    {
                        Bytes::copy_from_slice(&interpreter.memory.slice_range(vm.output.clone()))
                    }
                    _ => Bytes::new(),
                };
                if !result.is_ok() && result != InstructionResult::Revert {
                    interpreter.gas.spend_all();
                }
                let gas = interpreter.gas;
                interpreter.bytecode.set_action(InterpreterAction::new_return(result, output, gas));
            }
        }
        while self.logs_seen < vm.journal.logs.len() {
            let log = vm.journal.logs[self.logs_seen].clone();
            self.logs_seen += 1;
            self.inspector.log_full(interpreter, &mut self.context, log);
        }
        self.inspector.step_end(interpreter, &mut self.context);
        if result == Err(InstructionResult::SelfDestruct)
            && let Some((contract, target, value)) = vm.last_selfdestruct.take()
        {
            self.inspector.selfdestruct(contract, target, value);
        }
        discard_action(interpreter);
    }

    fn frame_end(&mut self, vm: &mut Vm<S>, depth: usize, info: &FrameInfo, result: &CallResult) {
        // Logs of a frame that failed are gone; those of hooks were not seen by a step.
        self.logs_seen = self.logs_seen.min(vm.journal.logs.len());
        while self.logs_seen < vm.journal.logs.len() {
            let log = vm.journal.logs[self.logs_seen].clone();
            self.logs_seen += 1;
            self.inspector.log(&mut self.context, log);
        }
        self.sync(vm);
        self.context.journaled_state.inner.depth = depth;
        let gas = call_gas(info.gas, result.gas_left, vm.journal.refund);
        let mut output = InterpreterResult::new(result.result, result.output.clone(), gas);
        let context = &mut self.context;
        let Some(input) = self.inputs.pop() else { return };
        match &input {
            FrameInput::Call(inputs) => {
                let mut outcome = CallOutcome::new(output, info.return_range.clone());
                self.inspector.call_end(context, inputs, &mut outcome);
            }
            FrameInput::Create(inputs) => {
                if result.is_ok()
                    && let Ok(id) = vm.journal.peek(info.callee)
                {
                    let account = *vm.journal.account(id);
                    output.output =
                        vm.journal.load_code(&account).unwrap_or_default().original_bytes();
                }
                let address = result.is_ok().then_some(info.callee);
                let mut outcome = CreateOutcome::new(output, address);
                self.inspector.create_end(context, inputs, &mut outcome);
            }
            FrameInput::Empty => {}
        }
    }
}

impl<I> InspectorTracer<'_, I> {
    /// Shows what changed in the journal, or was rolled back, since the last time.
    ///
    /// Between two calls the journal never falls below the changes that were looked at and then grows again:
    /// only the end of a frame rolls back that far, and is followed by a call.
    fn sync<S: StateView>(&mut self, vm: &mut Vm<S>) {
        let now = vm.journal.changes();
        if now == self.looked_at {
            return;
        }
        while let Some((_, change)) = self.shown.pop_if(|(index, _)| *index >= now) {
            self.show(vm, change);
        }
        for index in self.looked_at..now {
            if let Some(change) = vm.journal.change(index) {
                self.shown.push((index, change));
                self.show(vm, change);
            }
        }
        self.looked_at = now;
    }

    fn show<S: StateView>(&mut self, vm: &mut Vm<S>, change: Change) {
        let (address, key) = match change {
            Change::Account(address) => (address, None),
            Change::Slot(address, key) => (address, Some(key)),
        };
        let Some(account) = self.shadow(vm, address) else { return };
        if let Some(key) = key
            && let Some((current, original, _)) = vm.journal.peek_slot(address, key)
        {
            account.storage.insert(key, slot(original, current));
        }
    }

    /// Writes the slot that an instruction just touched into the context, as its last journal entry.
    fn record_slot<S: StateView>(&mut self, vm: &mut Vm<S>, address: Address) {
        let Some((current, original, previous)) = vm.journal.peek_slot(address, self.key) else {
            return;
        };
        let key = self.key;
        let Some(account) = self.shadow(vm, address) else { return };
        account.storage.insert(key, slot(original, current));
        let entry = if self.opcode == op::SSTORE {
            JournalEntry::StorageChanged { key, had_value: previous, address }
        } else {
            JournalEntry::StorageWarmed { key, address }
        };
        self.context.journaled_state.inner.journal.push(entry);
    }
}

fn slot(original: U256, present: U256) -> EvmStorageSlot {
    EvmStorageSlot { present_value: present, ..EvmStorageSlot::new(original, Default::default()) }
}

fn discard_action(interpreter: &mut Interpreter) {
    if interpreter.bytecode.action().take().is_some() {
        interpreter.bytecode.reset_action();
    }
}

fn frame_input(info: &FrameInfo) -> FrameInput {
    let scheme = match info.kind {
        CallKind::Create(salt) => {
            let scheme = match salt {
                Some(salt) => CreateScheme::Create2 { salt },
                None => CreateScheme::Create,
            };
            return FrameInput::Create(Box::new(CreateInputs::new(
                info.caller,
                scheme,
                info.value,
                info.input.clone(),
                info.gas,
                0,
            )));
        }
        CallKind::Call => CallScheme::Call,
        CallKind::CallCode => CallScheme::CallCode,
        CallKind::DelegateCall => CallScheme::DelegateCall,
        CallKind::StaticCall => CallScheme::StaticCall,
    };
    let (target_address, caller) = match info.kind {
        CallKind::DelegateCall => (info.caller, info.callers_caller),
        CallKind::CallCode => (info.caller, info.caller),
        _ => (info.callee, info.caller),
    };
    let value = if info.kind == CallKind::DelegateCall {
        CallValue::Apparent(info.value)
    } else {
        CallValue::Transfer(info.value)
    };
    FrameInput::Call(Box::new(CallInputs {
        input: CallInput::Bytes(info.input.clone()),
        return_memory_offset: info.return_range.clone(),
        gas_limit: info.gas,
        reservoir: 0,
        bytecode_address: info.callee,
        known_bytecode: (info.code.hash_slow(), info.code.clone()),
        target_address,
        caller,
        value,
        scheme,
        is_static: info.is_static,
        charged_new_account_state_gas: false,
    }))
}
