//! What `eth_simulateV1` wants to know of a call: its logs in order, if asked for with transfers of the base token among them.

use alloy_primitives::{Address, B256, Log, U256};
use revm::{
    inspector::Inspector,
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};
use revm_inspectors::transfer::{TRANSFER_EVENT_TOPIC, TRANSFER_LOG_EMITTER};
use zkos_executor::TraceContext;

/// Watches one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallWatcher {
    transfers: bool,
    /// Number of logs at the start of each open frame.
    marks: Vec<usize>,
    /// Logs that stayed.
    pub(crate) logs: Vec<Log>,
}

impl CallWatcher {
    /// Watches, with transfers of the base token as logs.
    pub(crate) fn new(transfers: bool) -> Self {
        Self { transfers, ..Default::default() }
    }

    fn enter(&mut self) {
        self.marks.push(self.logs.len());
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.transfers && !value.is_zero() {
            let topics = vec![TRANSFER_EVENT_TOPIC, from.into_word(), to.into_word()];
            let data = B256::from(value).into();
            self.logs.push(Log::new_unchecked(TRANSFER_LOG_EMITTER, topics, data));
        }
    }

    fn leave(&mut self, succeeded: bool) {
        let mark = self.marks.pop().unwrap_or_default();
        if !succeeded {
            self.logs.truncate(mark);
        }
    }
}

impl Inspector<TraceContext> for CallWatcher {
    fn call(&mut self, _: &mut TraceContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.enter();
        if inputs.scheme == CallScheme::Call
            && let Some(value) = inputs.transfer_value()
        {
            self.transfer(inputs.caller, inputs.target_address, value);
        }
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
        self.enter();
        let nonce = context.journaled_state.inner.state.get(&inputs.caller());
        let nonce = nonce.map(|account| account.info.nonce).unwrap_or_default();
        self.transfer(inputs.caller(), inputs.created_address(nonce), inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut TraceContext, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn log(&mut self, _: &mut TraceContext, log: Log) {
        self.logs.push(log);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
