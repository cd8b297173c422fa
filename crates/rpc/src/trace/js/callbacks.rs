use super::state::LiveState;
use alloy_primitives::{Address, U256};
use revm::{
    Context, MainContext,
    bytecode::opcode as op,
    handler::MainnetContext,
    inspector::Inspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, interpreter_types::Jumps,
    },
};
use revm_inspectors::tracing::js::JsInspector;
use std::mem;
use zkos_executor::TraceContext;

/// Runs the callbacks of a script in a context whose database is the state at this moment. The executor's own context has no database, and the inspector's
/// reads of storage pass over what the transaction itself changed.
pub(super) struct Callbacks<'i, 'a> {
    pub(super) inspector: &'i mut JsInspector,
    context: MainnetContext<LiveState<'a>>,
}

impl<'i, 'a> Callbacks<'i, 'a> {
    pub(super) fn new(inspector: &'i mut JsInspector, state: LiveState<'a>) -> Self {
        Self { inspector, context: Context::mainnet().with_db(state) }
    }

    pub(super) const fn state(&mut self) -> &mut LiveState<'a> {
        &mut self.context.journaled_state.database
    }

    fn run<T>(
        &mut self,
        outer: &mut TraceContext,
        f: impl FnOnce(&mut JsInspector, &mut MainnetContext<LiveState<'a>>) -> T,
    ) -> T {
        let outer = &mut outer.journaled_state.inner;
        let inner = &mut self.context.journaled_state.inner;
        inner.depth = outer.depth;
        if inner.warm_addresses.precompiles().is_empty() {
            inner.warm_addresses.set_precompile_addresses(outer.warm_addresses.precompiles());
        }
        mem::swap(&mut self.state().changes, &mut outer.state);
        let result = f(self.inspector, &mut self.context);
        mem::swap(&mut self.state().changes, &mut outer.state);
        // An account that the inspector loaded would hide its later changes.
        let inner = &mut self.context.journaled_state.inner;
        inner.state.clear();
        inner.journal.clear();
        result
    }
}

impl Inspector<TraceContext> for Callbacks<'_, '_> {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        let writes: Option<(Address, U256)> = match interpreter.bytecode.opcode() {
            op::SSTORE => interpreter.stack.peek(0).ok(),
            _ => None,
        }
        .map(|key| (interpreter.input.target_address, key));
        self.run(context, |inspector, context| {
            context.journaled_state.database.begin_instruction(writes);
            inspector.step(interpreter, context);
        });
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut TraceContext) {
        self.run(context, |inspector, context| inspector.step_end(interpreter, context));
        self.state().end_instruction();
    }

    fn call(&mut self, context: &mut TraceContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.run(context, |inspector, context| inspector.call(context, inputs))
    }

    fn call_end(
        &mut self,
        context: &mut TraceContext,
        inputs: &CallInputs,
        outcome: &mut CallOutcome,
    ) {
        self.run(context, |inspector, context| inspector.call_end(context, inputs, outcome));
    }

    fn create(
        &mut self,
        context: &mut TraceContext,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.run(context, |inspector, context| inspector.create(context, inputs))
    }

    fn create_end(
        &mut self,
        context: &mut TraceContext,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.run(context, |inspector, context| inspector.create_end(context, inputs, outcome));
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        Inspector::<TraceContext>::selfdestruct(self.inspector, contract, target, value);
    }
}
