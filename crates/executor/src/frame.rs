//! The frame loop: opens, runs and closes frames of one transaction.

use crate::{
    StateView,
    error::Halt,
    evm::PrecompileHost,
    hooks::{self, Hook, HookCall},
    journal::{AccId, Access, Checkpoint, Journal},
    native,
    ops::{self, OpTable},
    trace::{FrameInfo, Tracer},
    vm::{CallKind, CallRequest, CallResult, Vm},
};
use alloy_primitives::{Address, Bytes, U256};
use core::{cell::RefCell, ops::Range};
use revm::{
    bytecode::Bytecode,
    interpreter::{
        CallInput, Gas, InstructionResult, Interpreter, SharedMemory,
        interpreter::{ExtBytecode, InputsImpl},
    },
};
use std::rc::Rc;
use zkos_primitives::bytecode::{MAX_CODE_SIZE, delegation_target};

/// Greatest number of frames above the entry frame.
const MAX_DEPTH: usize = 1024;
/// Bytes of return data that all frames of a transaction may produce together.
const RETURN_MEMORY: u64 = 1 << 28;
/// Buffer capacity kept between transactions.
const KEEP_MEMORY: usize = 1 << 20;

const CALL_VALUE_GAS: u64 = 9_000;
const CALL_STIPEND: u64 = 2_300;
const NEW_ACCOUNT_GAS: u64 = 25_000;
const CODE_DEPOSIT_GAS: u64 = 200;

struct Frame {
    interpreter: Interpreter,
    checkpoint: Checkpoint,
    /// Address that a creation frame creates.
    creates: Option<Address>,
    /// Memory range of the caller that takes the return data.
    return_range: Range<usize>,
    info: Option<FrameInfo>,
}

/// Executes transactions' frames on a [`Vm`]; keeps its allocations between transactions.
pub(crate) struct Runner<S> {
    pub(crate) vm: Vm<S>,
    table: Box<OpTable<S>>,
    frames: Vec<Frame>,
    depth: usize,
    memory: Rc<RefCell<Vec<u8>>>,
    return_memory: u64,
    /// Replaces the protocol's own list of precompiles and hooks.
    pub(crate) host: Option<Box<PrecompileHost>>,
}

impl<S> core::fmt::Debug for Runner<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runner").field("depth", &self.depth).finish_non_exhaustive()
    }
}

enum Opened {
    /// A frame was pushed.
    Frame,
    /// The call is over already.
    Done(CallResult),
    /// The caller could not pay for looking at the callee.
    CallerOutOfGas,
}

/// What the caller needs to know of the callee.
struct Callee {
    code: Bytecode,
    has_code_environment: bool,
    nonce: u64,
    code_len: u32,
    balance: U256,
}

impl<S: StateView> Runner<S> {
    pub(crate) fn new(vm: Vm<S>) -> Self {
        Self {
            table: Box::new(ops::table(vm.env.spec)),
            vm,
            frames: Vec::new(),
            depth: 0,
            memory: Rc::new(RefCell::new(Vec::with_capacity(4096))),
            return_memory: 0,
            host: None,
        }
    }

    pub(crate) const fn journal(&mut self) -> &mut Journal<S> {
        &mut self.vm.journal
    }

    /// Drops a transaction that ended in an error, so that another one can follow.
    pub(crate) fn abandon(&mut self) {
        self.vm.request = None;
        self.vm.halt = None;
        self.vm.journal.rollback_all();
    }

    /// Runs a call or creation from the outermost level until it ends.
    pub(crate) fn execute<T: Tracer<S>>(
        &mut self,
        request: CallRequest,
        tracer: &mut T,
    ) -> Result<CallResult, Halt> {
        self.depth = 0;
        self.return_memory = 0;
        {
            let mut memory = self.memory.borrow_mut();
            memory.clear();
            memory.shrink_to(KEEP_MEMORY);
        }
        match self.open(request, true, tracer)? {
            Opened::Frame => {}
            Opened::Done(result) => return Ok(result),
            Opened::CallerOutOfGas => {
                return Ok(CallResult::failed(InstructionResult::OutOfGas, 0));
            }
        }
        loop {
            let mut result = self.run_frame(tracer);
            if result == InstructionResult::Suspend
                && let Some(request) = self.vm.request.take()
            {
                let creates = request.kind.is_create().then_some(request.callee);
                let range = request.return_range.clone();
                match self.open(request, false, tracer)? {
                    Opened::Frame => continue,
                    Opened::Done(done) => {
                        self.deliver(done, creates, range);
                        continue;
                    }
                    Opened::CallerOutOfGas => result = InstructionResult::OutOfGas,
                }
            }
            if let Some(halt) = self.vm.halt.take() {
                self.unwind(&halt, tracer);
                return Err(halt);
            }
            let (closed, creates, range) = match self.close(result, tracer) {
                Ok(closed) => closed,
                Err(halt) => {
                    self.unwind(&halt, tracer);
                    return Err(halt);
                }
            };
            if self.depth == 0 {
                return Ok(closed);
            }
            self.deliver(closed, creates, range);
        }
    }

    /// Tells the tracer that every open frame is over.
    fn unwind<T: Tracer<S>>(&mut self, halt: &Halt, tracer: &mut T) {
        if !T::ENABLED {
            return;
        }
        let result = match halt {
            Halt::OutOfGas | Halt::OutOfNative => InstructionResult::OutOfGas,
            Halt::Fatal(_) => InstructionResult::FatalExternalError,
        };
        while self.depth > 0 {
            self.depth -= 1;
            if let Some(info) = self.frames[self.depth].info.take() {
                let outcome = CallResult::failed(result, 0);
                tracer.frame_end(&mut self.vm, self.depth, &info, &outcome);
            }
        }
    }

    #[inline]
    fn run_frame<T: Tracer<S>>(&mut self, tracer: &mut T) -> InstructionResult {
        let frame = &mut self.frames[self.depth - 1];
        let vm = &mut self.vm;
        vm.in_constructor = frame.creates.is_some();
        let interpreter = &mut frame.interpreter;
        loop {
            if T::ENABLED {
                tracer.step(vm, interpreter);
            }
            let result = ops::step(interpreter, &self.table, vm);
            if T::ENABLED {
                tracer.step_end(vm, interpreter, result);
            }
            if let Err(result) = result {
                return result;
            }
        }
    }

    /// Hands the result of a call or creation to the frame that asked for it.
    fn deliver(&mut self, done: CallResult, creates: Option<Address>, range: Range<usize>) {
        let interpreter = &mut self.frames[self.depth - 1].interpreter;
        interpreter.memory.free_child_context();
        interpreter.gas.erase_cost(done.gas_left);
        let ok = done.is_ok();
        let word = match creates {
            Some(address) if ok => address.into_word().into(),
            _ => U256::from(u8::from(ok && creates.is_none())),
        };
        let _ = interpreter.stack.push(word);
        if creates.is_none() {
            let len = range.len().min(done.output.len());
            if len != 0 {
                interpreter.memory.set(range.start, &done.output[..len]);
            }
        }
        interpreter.return_data.0 = done.output;
    }

    /// Reads the callee (and its delegate) under the rules of the caller.
    fn read_callee(
        &mut self,
        callee: Address,
        access: Access,
        gas: &mut Gas,
    ) -> Result<Callee, Halt> {
        let journal = &mut self.vm.journal;
        let id = journal.access(callee, access, gas)?;
        let code = journal.fetch_code(id)?;
        let (id, code): (AccId, Bytecode) = if journal.account(id).is_delegated() {
            let target = delegation_target(code.original_byte_slice()).unwrap_or(Address::ZERO);
            let id = journal.access(target, access, gas)?;
            (id, journal.fetch_code(id)?)
        } else {
            (id, code)
        };
        let account = journal.account(id);
        Ok(Callee {
            code,
            has_code_environment: account.execution_environment() != 0,
            nonce: account.nonce,
            code_len: account.unpadded_code_len,
            balance: account.balance,
        })
    }

    fn open<T: Tracer<S>>(
        &mut self,
        request: CallRequest,
        entry: bool,
        tracer: &mut T,
    ) -> Result<Opened, Halt> {
        let create = request.kind.is_create();
        let mut caller_gas =
            if entry { Gas::new(request.gas) } else { self.frames[self.depth - 1].interpreter.gas };
        let access = if entry || create { Access::Free } else { Access::Evm };
        let callee = match self.read_callee(request.callee, access, &mut caller_gas) {
            Ok(callee) => callee,
            Err(Halt::OutOfGas) => return Ok(Opened::CallerOutOfGas),
            Err(halt) => {
                self.unwind(&halt, tracer);
                return Err(halt);
            }
        };

        let transfers = !request.value.is_zero() && request.kind != CallKind::DelegateCall;
        let child_gas = if entry {
            request.gas
        } else {
            match pass_gas(&mut caller_gas, &request, &callee, transfers) {
                Some(gas) => {
                    self.frames[self.depth - 1].interpreter.gas = caller_gas;
                    gas
                }
                None => return Ok(Opened::CallerOutOfGas),
            }
        };
        let info = if T::ENABLED {
            let info = FrameInfo::new(&request, child_gas, &self.memory, &callee.code);
            tracer.frame_start(&mut self.vm, self.depth, &info);
            Some(info)
        } else {
            None
        };
        match self.enter(request, entry, callee, transfers, child_gas, info.as_ref()) {
            Ok(Some(done)) => {
                if let Some(info) = &info {
                    tracer.frame_end(&mut self.vm, self.depth, info, &done);
                }
                Ok(Opened::Done(done))
            }
            Ok(None) => {
                if T::ENABLED {
                    let frame = &mut self.frames[self.depth - 1];
                    tracer.initialize(&mut self.vm, &mut frame.interpreter);
                }
                Ok(Opened::Frame)
            }
            Err(halt) => {
                if let Some(info) = &info {
                    let failed = CallResult::failed(InstructionResult::OutOfGas, 0);
                    tracer.frame_end(&mut self.vm, self.depth, info, &failed);
                }
                self.unwind(&halt, tracer);
                Err(halt)
            }
        }
    }

    /// Second half of opening a frame, after resources were split: `Some` if it is over at once.
    fn enter(
        &mut self,
        request: CallRequest,
        entry: bool,
        callee: Callee,
        transfers: bool,
        child_gas: u64,
        info: Option<&FrameInfo>,
    ) -> Result<Option<CallResult>, Halt> {
        let create = request.kind.is_create();
        let failed = |result| Ok(Some(CallResult::failed(result, child_gas)));
        if self.depth > MAX_DEPTH {
            return failed(InstructionResult::CallTooDeep);
        }
        let journal = &mut self.vm.journal;
        if transfers {
            let id = journal.access_free(request.caller)?;
            if journal.account(id).balance < request.value {
                return failed(InstructionResult::OutOfFunds);
            }
        }
        if create {
            if !entry {
                let id = journal.access_free(request.caller)?;
                if journal.increment_nonce(id)?.is_none() {
                    return failed(InstructionResult::NonceOverflow);
                }
            }
            if callee.code_len != 0 || callee.nonce != 0 {
                return Ok(Some(CallResult::failed(InstructionResult::CreateCollision, 0)));
            }
        }

        let checkpoint = journal.checkpoint();
        if transfers {
            let target =
                if request.kind == CallKind::CallCode { request.caller } else { request.callee };
            let outcome = journal.transfer(
                request.caller,
                target,
                request.value,
                Access::Free,
                &mut Gas::new(0),
            )?;
            if let Err(reason) = outcome {
                if entry && !create {
                    return Err(reason.into());
                }
                journal.rollback(checkpoint);
                return failed(InstructionResult::OverflowPayment);
            }
        }

        if !create && let Some(result) = self.intercept(&request, child_gas)? {
            self.use_return_memory(result.output.len())?;
            if !result.is_ok() {
                self.vm.journal.rollback(checkpoint);
            }
            return Ok(Some(result));
        }
        let journal = &mut self.vm.journal;
        if !create && !callee.has_code_environment {
            return Ok(Some(CallResult::success(child_gas, Bytes::new())));
        }

        let mut target_address = request.callee;
        let mut caller_address = request.caller;
        match request.kind {
            CallKind::DelegateCall => {
                target_address = request.caller;
                caller_address = request.callers_caller;
            }
            CallKind::CallCode => target_address = request.caller,
            _ => {}
        }
        let (code, input) = if create {
            let CallInput::Bytes(init) = request.input else {
                return failed(InstructionResult::FatalExternalError);
            };
            journal.native.charge(native::ANALYSIS_PER_BYTE * init.len() as u64)?;
            let id = journal.access_free(request.callee)?;
            journal.increment_nonce(id)?;
            (Bytecode::new_legacy(init), CallInput::Bytes(Bytes::new()))
        } else {
            (callee.code, request.input)
        };
        let inputs = InputsImpl {
            target_address,
            bytecode_address: (!create).then_some(request.callee),
            caller_address,
            input,
            call_value: request.value,
            depth: self.depth,
        };
        let memory = if self.depth == 0 {
            SharedMemory::new_with_buffer(self.memory.clone())
        } else {
            self.frames[self.depth - 1].interpreter.memory.new_child_context()
        };
        let code = ExtBytecode::new(code);
        if self.depth == self.frames.len() {
            self.frames.push(Frame {
                interpreter: Interpreter::new(
                    memory,
                    code,
                    inputs,
                    request.is_static,
                    self.vm.env.spec.hardfork,
                    child_gas,
                ),
                checkpoint,
                creates: create.then_some(request.callee),
                return_range: request.return_range,
                info: info.cloned(),
            });
        } else {
            let frame = &mut self.frames[self.depth];
            frame.interpreter.clear(
                memory,
                code,
                inputs,
                request.is_static,
                self.vm.env.spec.hardfork,
                child_gas,
                0,
            );
            frame.checkpoint = checkpoint;
            frame.creates = create.then_some(request.callee);
            frame.return_range = request.return_range;
            frame.info = info.cloned();
        }
        self.depth += 1;
        Ok(None)
    }

    /// Runs the precompile or hook at the callee, if there is one.
    fn intercept(&mut self, request: &CallRequest, gas: u64) -> Result<Option<CallResult>, Halt> {
        let hook = Hook::at(&request.callee, self.vm.env.spec);
        if hook.is_none() && self.host.is_none() {
            return Ok(None);
        }
        let memory = self.memory.borrow();
        let input = match &request.input {
            CallInput::Bytes(bytes) => bytes.as_ref(),
            CallInput::SharedBuffer(range) => memory.get(range.clone()).unwrap_or_default(),
        };
        if let Some(host) = &self.host {
            return host.run(&mut self.vm, request, input, gas);
        }
        let Some(hook) = hook else { return Ok(None) };
        let call = HookCall {
            kind: request.kind,
            is_static: request.is_static,
            caller: request.caller,
            value: request.value,
            input,
            gas,
        };
        hooks::run(&mut self.vm, hook, &call).map(Some)
    }

    const fn use_return_memory(&mut self, len: usize) -> Result<(), Halt> {
        self.return_memory += len as u64;
        if self.return_memory > RETURN_MEMORY { Err(Halt::OutOfNative) } else { Ok(()) }
    }

    /// Ends the innermost frame.
    #[allow(clippy::type_complexity)]
    fn close<T: Tracer<S>>(
        &mut self,
        mut result: InstructionResult,
        tracer: &mut T,
    ) -> Result<(CallResult, Option<Address>, Range<usize>), Halt> {
        let frame = &mut self.frames[self.depth - 1];
        let output_range = core::mem::take(&mut self.vm.output);
        let mut output = match result {
            InstructionResult::Return | InstructionResult::Revert if !output_range.is_empty() => {
                Bytes::copy_from_slice(&frame.interpreter.memory.slice_range(output_range))
            }
            _ => Bytes::new(),
        };
        if result.is_ok()
            && let Some(address) = frame.creates
        {
            let gas = &mut frame.interpreter.gas;
            if output.len() > MAX_CODE_SIZE {
                result = InstructionResult::CreateContractSizeLimit;
            } else if output.first() == Some(&0xef) {
                result = InstructionResult::CreateContractStartingWithEF;
            } else if !gas.record_regular_cost(CODE_DEPOSIT_GAS * output.len() as u64) {
                result = InstructionResult::OutOfGas;
            } else {
                self.vm.journal.deploy_code(address, core::mem::take(&mut output))?;
            }
            if !result.is_ok() {
                output = Bytes::new();
            }
        }
        let gas_left = match result {
            InstructionResult::Revert => frame.interpreter.gas.remaining(),
            other if other.is_ok() => frame.interpreter.gas.remaining(),
            _ => 0,
        };
        if !result.is_ok() {
            self.vm.journal.rollback(frame.checkpoint);
        }
        let creates = frame.creates;
        let range = core::mem::take(&mut frame.return_range);
        let info = frame.info.take();
        let len = output.len();
        let done = CallResult { result, gas_left, output };
        self.depth -= 1;
        if let Some(info) = &info {
            tracer.frame_end(&mut self.vm, self.depth, info, &done);
        }
        self.use_return_memory(len)?;
        Ok((done, creates, range))
    }
}

/// Charges the caller for value and a new account, applies the 63/64 rule; `None` if it cannot pay.
fn pass_gas(
    caller_gas: &mut Gas,
    request: &CallRequest,
    callee: &Callee,
    transfers: bool,
) -> Option<u64> {
    let mut stipend = 0;
    if !request.kind.is_create() && transfers {
        if !caller_gas.record_regular_cost(CALL_VALUE_GAS) {
            return None;
        }
        stipend = CALL_STIPEND;
        let empty = callee.nonce == 0 && callee.code_len == 0 && callee.balance.is_zero();
        if request.kind != CallKind::CallCode
            && empty
            && !caller_gas.record_regular_cost(NEW_ACCOUNT_GAS)
        {
            return None;
        }
    }
    let remaining = caller_gas.remaining();
    let passed = request.gas.min(remaining - remaining / 64);
    if !caller_gas.record_regular_cost(passed) {
        return None;
    }
    Some(passed + stipend)
}
