//! What is noted while a transaction is executed again.

use alloy_primitives::{Address, Bytes, U256, map::AddressSet};
use alloy_rpc_types_trace::otterscan::TraceEntry;
use revm::{
    context_interface::CreateScheme,
    inspector::Inspector,
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};
use zkos_executor::TraceContext;

/// Address that a creation is about to create at.
fn created_address(context: &TraceContext, inputs: &CreateInputs) -> Address {
    let caller = context.journaled_state.inner.state.get(&inputs.caller());
    inputs.created_address(caller.map(|account| account.info.nonce).unwrap_or_default())
}

/// Frames and self-destructs as Otterscan draws them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallTree {
    entries: Vec<TraceEntry>,
    /// Entries of the open frames.
    open: Vec<usize>,
}

impl CallTree {
    pub(crate) fn into_entries(self) -> Vec<TraceEntry> {
        self.entries
    }

    fn push(&mut self, kind: &str, from: Address, to: Address, value: Option<U256>, input: Bytes) {
        self.entries.push(TraceEntry {
            r#type: kind.to_owned(),
            depth: self.open.len() as u32,
            from,
            to,
            value,
            input,
            output: Bytes::new(),
        });
    }

    fn enter(&mut self, kind: &str, from: Address, to: Address, value: Option<U256>, input: Bytes) {
        self.push(kind, from, to, value, input);
        self.open.push(self.entries.len() - 1);
    }

    fn leave(&mut self, output: &Bytes) {
        if let Some(entry) = self.open.pop().and_then(|index| self.entries.get_mut(index)) {
            entry.output = output.clone();
        }
    }
}

impl Inspector<TraceContext> for CallTree {
    fn call(&mut self, context: &mut TraceContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let (caller, target) = (inputs.caller, inputs.target_address);
        let code = inputs.bytecode_address;
        // A frame that runs other code in the caller's place is shown as the caller's call of that code.
        let (kind, from, to, value) = match inputs.scheme {
            CallScheme::Call => ("CALL", caller, target, Some(inputs.call_value())),
            CallScheme::CallCode => ("CALLCODE", target, code, Some(inputs.call_value())),
            CallScheme::DelegateCall => ("DELEGATECALL", target, code, None),
            CallScheme::StaticCall => ("STATICCALL", caller, target, None),
        };
        let input = inputs.input.bytes(context);
        self.enter(kind, from, to, value, input);
        None
    }

    fn call_end(&mut self, _: &mut TraceContext, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(&outcome.result.output);
    }

    fn create(
        &mut self,
        context: &mut TraceContext,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        let kind = match inputs.scheme() {
            CreateScheme::Create2 { .. } => "CREATE2",
            _ => "CREATE",
        };
        let to = created_address(context, inputs);
        let (value, input) = (Some(inputs.value()), inputs.init_code().clone());
        self.enter(kind, inputs.caller(), to, value, input);
        None
    }

    fn create_end(&mut self, _: &mut TraceContext, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(&outcome.result.output);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.push("SELFDESTRUCT", contract, target, Some(value), Bytes::new());
    }
}

/// Return data of the outermost frame.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    depth: usize,
    pub(crate) data: Bytes,
}

impl Output {
    fn leave(&mut self, output: &Bytes) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.data = output.clone();
        }
    }
}

impl Inspector<TraceContext> for Output {
    fn call(&mut self, _: &mut TraceContext, _: &mut CallInputs) -> Option<CallOutcome> {
        self.depth += 1;
        None
    }

    fn call_end(&mut self, _: &mut TraceContext, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(&outcome.result.output);
    }

    fn create(&mut self, _: &mut TraceContext, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.depth += 1;
        None
    }

    fn create_end(&mut self, _: &mut TraceContext, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(&outcome.result.output);
    }
}

/// Addresses that take part in a transaction, and the contracts that it leaves behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    /// Callers and callees of all frames, those that were reverted included; created contracts; beneficiaries.
    pub(crate) addresses: AddressSet,
    /// Contract and creator of each creation that was not reverted, so far.
    pub(crate) created: Vec<(Address, Address)>,
    /// Number of creations at the start of each open frame.
    marks: Vec<usize>,
}

impl Touched {
    fn leave(&mut self, success: bool) {
        let mark = self.marks.pop().unwrap_or_default();
        if !success {
            self.created.truncate(mark);
        }
    }
}

impl Inspector<TraceContext> for Touched {
    fn call(&mut self, _: &mut TraceContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.addresses.extend([inputs.caller, inputs.target_address, inputs.bytecode_address]);
        self.marks.push(self.created.len());
        None
    }

    fn call_end(&mut self, _: &mut TraceContext, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn create(
        &mut self,
        context: &mut TraceContext,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.addresses.extend([inputs.caller(), created_address(context, inputs)]);
        self.marks.push(self.created.len());
        None
    }

    fn create_end(
        &mut self,
        _: &mut TraceContext,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        let success = outcome.result.result.is_ok();
        self.leave(success);
        if let Some(contract) = outcome.address.filter(|_| success) {
            self.created.push((contract, inputs.caller()));
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, _: U256) {
        self.addresses.extend([contract, target]);
    }
}
