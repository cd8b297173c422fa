//! What watches a traced transaction besides the tracer that was asked for: which state it touches, and how much is recorded.

use alloy_primitives::{Address, Bytes, Log, U256, map::AddressMap};
use revm::{
    bytecode::opcode as op,
    inspector::Inspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
        interpreter_types::{InputsTr, Jumps, MemoryTr},
    },
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use zkos_executor::TraceContext;

/// Bytes that the tracers of one request may record. What is recorded is kept until the response is written, so this bounds the memory of a request.
const MAX_RECORDED_BYTES: usize = 128 * 1024 * 1024;
/// Estimated size of a recorded step without stack and memory, bytes.
const STEP_BYTES: usize = 256;
/// Estimated size of a recorded call or log without its data, bytes.
const CALL_BYTES: usize = 512;

/// Instructions between two looks at the clock.
const STEPS_PER_CLOCK_READ: u32 = 4096;

/// Why a tracer sees nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// More happened than may be recorded.
    Size,
    /// The time that the caller gave is over.
    Time,
}

/// What a tracer keeps of each executed instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RecordedSteps {
    /// Anything at all.
    pub(crate) steps: bool,
    /// The stack too.
    pub(crate) stack: bool,
    /// The memory too.
    pub(crate) memory: bool,
}

/// Accounts and slots that a transaction touched, and codes it deployed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    /// Slots read or written, by account; an account without slots was touched itself.
    pub(crate) slots: AddressMap<BTreeSet<U256>>,
    /// Codes of created contracts.
    pub(crate) codes: AddressMap<Bytes>,
}

impl Touched {
    /// Notes an account.
    pub(crate) fn account(&mut self, address: Address) {
        self.slots.entry(address).or_default();
    }
}

/// Forwards to a tracer until the budget of the request is spent; from then on the tracer sees nothing more and its result must not be used.
#[derive(Debug)]
pub(crate) struct Observer<I> {
    /// The tracer.
    pub(crate) inner: I,
    touched: Touched,
    recorded: RecordedSteps,
    left: usize,
    /// Time for each transaction.
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    steps_per_clock_read: u32,
    steps_to_clock: u32,
    exceeded: Option<Exceeded>,
}

impl<I> Observer<I> {
    /// Watches with a tracer that records so much of each instruction.
    pub(crate) fn new(inner: I, recorded: RecordedSteps) -> Self {
        Self {
            inner,
            touched: Touched::default(),
            recorded,
            left: MAX_RECORDED_BYTES,
            timeout: None,
            deadline: None,
            steps_per_clock_read: STEPS_PER_CLOCK_READ,
            steps_to_clock: STEPS_PER_CLOCK_READ,
            exceeded: None,
        }
    }

    /// Gives each transaction so much time; [`Self::start`] begins it.
    pub(crate) const fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Looks at the clock before each instruction, for a tracer that may take long over one.
    #[cfg(feature = "js-tracer")]
    pub(crate) const fn with_slow_tracer(mut self) -> Self {
        self.steps_per_clock_read = 1;
        self
    }

    /// A transaction begins.
    pub(crate) fn start(&mut self) {
        self.deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.steps_to_clock = self.steps_per_clock_read;
    }

    /// Why the result of the tracer must not be used.
    pub(crate) const fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// What was touched since the last call.
    pub(crate) fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    fn record(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                self.exceeded = self.exceeded.or(Some(Exceeded::Size));
            }
        }
        self.exceeded.is_none()
    }

    fn read_clock(&mut self) {
        self.steps_to_clock = self.steps_per_clock_read;
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.exceeded = self.exceeded.or(Some(Exceeded::Time));
        }
    }

    fn note_instruction(&mut self, interpreter: &Interpreter) {
        let word = |n| interpreter.stack.peek(n).ok();
        let address = |n| word(n).map(|word| Address::from_word(word.into()));
        match interpreter.bytecode.opcode() {
            op::SLOAD | op::SSTORE => {
                if let Some(slot) = word(0) {
                    let account = interpreter.input.target_address();
                    self.touched.slots.entry(account).or_default().insert(slot);
                }
            }
            op::BALANCE
            | op::EXTCODESIZE
            | op::EXTCODECOPY
            | op::EXTCODEHASH
            | op::SELFDESTRUCT => {
                if let Some(account) = address(0) {
                    self.touched.account(account);
                }
            }
            op::CALL | op::CALLCODE | op::DELEGATECALL | op::STATICCALL => {
                if let Some(account) = address(1) {
                    self.touched.account(account);
                }
            }
            _ => {}
        }
    }
}

impl<I: Inspector<TraceContext>> Inspector<TraceContext> for Observer<I> {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        if self.exceeded.is_none() {
            self.inner.initialize_interp(interpreter, context);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        self.note_instruction(interpreter);
        if self.recorded.steps {
            let stack = if self.recorded.stack { interpreter.stack.len() * 32 } else { 0 };
            let memory = if self.recorded.memory { interpreter.memory.size() } else { 0 };
            self.record(STEP_BYTES + stack + memory);
        }
        self.steps_to_clock -= 1;
        if self.steps_to_clock == 0 {
            self.read_clock();
        }
        if self.exceeded.is_none() {
            self.inner.step(interpreter, context);
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        if self.exceeded.is_none() {
            self.inner.step_end(interpreter, context);
        }
    }

    fn log(&mut self, context: &mut TraceContext, log: Log) {
        if self.record(CALL_BYTES + log.data.data.len()) {
            self.inner.log(context, log);
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext, log: Log) {
        if self.record(CALL_BYTES + log.data.data.len()) {
            self.inner.log_full(interpreter, context, log);
        }
    }

    fn frame_start(
        &mut self,
        context: &mut TraceContext,
        input: &mut FrameInput,
    ) -> Option<revm::handler::FrameResult> {
        if self.exceeded.is_some() { None } else { self.inner.frame_start(context, input) }
    }

    fn call(&mut self, context: &mut TraceContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        for address in [inputs.caller, inputs.target_address, inputs.bytecode_address] {
            self.touched.account(address);
        }
        self.read_clock();
        if self.record(CALL_BYTES + inputs.input.len()) {
            self.inner.call(context, inputs)
        } else {
            None
        }
    }

    fn call_end(
        &mut self,
        context: &mut TraceContext,
        inputs: &CallInputs,
        outcome: &mut CallOutcome,
    ) {
        if self.record(outcome.result.output.len()) {
            self.inner.call_end(context, inputs, outcome);
        }
    }

    fn create(
        &mut self,
        context: &mut TraceContext,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.touched.account(inputs.caller());
        self.read_clock();
        if self.record(CALL_BYTES + inputs.init_code().len()) {
            self.inner.create(context, inputs)
        } else {
            None
        }
    }

    fn create_end(
        &mut self,
        context: &mut TraceContext,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        if let Some(address) = outcome.address {
            self.touched.account(address);
            self.touched.codes.insert(address, outcome.result.output.clone());
        }
        if self.record(outcome.result.output.len()) {
            self.inner.create_end(context, inputs, outcome);
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        if self.exceeded.is_none() {
            self.inner.selfdestruct(contract, target, value);
        }
    }
}
