//! Calls that build on each other: `eth_callMany`, and bundles for tracers.

use super::{
    EthApi,
    call::{apply_block_overrides, into_return_data},
    request::CallRequest,
    state_view::SimulationState,
};
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    trace::{Rules, Session},
};
use alloy_eips::BlockId;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{
    Bundle, EthCallResponse, StateContext, TransactionRequest, state::StateOverride,
};
use zkos_primitives::{BlockContext, RecoveredTx};

/// Where calls start: a state and the context of its block.
pub(crate) struct Start {
    pub(crate) state: SimulationState,
    pub(crate) context: BlockContext,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// State and context after a block.
    pub(crate) fn start_after(&self, id: BlockId) -> EthResult<Start> {
        let (state, mut context) = self.state_and_context(id)?;
        // Genesis was not executed as a block of the chain: its stored context has chain id 0.
        context.chain_id = self.node().chain_spec().chain_id();
        Ok(Start { state: SimulationState::new(state), context })
    }

    /// State before a transaction of a block, and the context of the block. An index behind the last transaction means the state after the block.
    pub(crate) fn start_within(&self, id: BlockId, index: Option<usize>) -> EthResult<Start> {
        let Some(index) = index else { return self.start_after(id) };
        let found = self.block_and_receipts(id)?.ok_or(EthApiError::BlockNotFound(id))?;
        if index >= found.block.body().transactions.len() {
            return self.start_after(id);
        }
        let state = self.state_before_transaction(&found, index)?;
        Ok(Start { state, context: self.context_at(found.block.hash().into())? })
    }

    /// Runs bundles, one imagined block after the other; `each` executes one call.
    pub(crate) fn run_bundles<T>(
        &self,
        start: Start,
        bundles: Vec<Bundle>,
        mut each: impl FnMut(&mut Session<'_>, EthResult<RecoveredTx>) -> EthResult<T>,
    ) -> EthResult<Vec<Vec<T>>> {
        let Start { mut state, context: mut base } = start;
        let mut budget = self.config().gas_cap;
        let mut results = Vec::with_capacity(bundles.len());
        for bundle in bundles {
            let mut context = base.clone();
            if let Some(overrides) = bundle.block_override {
                apply_block_overrides(&mut context, overrides)?;
            }
            if bundle.transactions.iter().any(is_free) {
                context.eip1559_basefee = U256::ZERO;
            }
            // Base of the next bundle.
            base.block_number = context.block_number.saturating_add(1);
            base.timestamp = context.timestamp.saturating_add(1);
            let evm_config = self.node().evm_config();
            let mut session = Session::new(evm_config, &context, &mut state, Rules::Simulation)?;
            let mut calls = Vec::with_capacity(bundle.transactions.len());
            for request in bundle.transactions {
                let before = session.gas_left();
                let tx = session_transaction(&session, request, &context, budget);
                calls.push(each(&mut session, tx)?);
                budget = budget.saturating_sub(before.saturating_sub(session.gas_left()));
            }
            let (output, overlay) = session.finish()?;
            state.apply(&overlay);
            state.add_preimages(output.published_preimages);
            results.push(calls);
        }
        Ok(results)
    }

    /// Answers `eth_callMany`.
    pub async fn call_many(
        &self,
        bundles: Vec<Bundle>,
        state_context: Option<StateContext>,
        state_overrides: Option<StateOverride>,
    ) -> EthResult<Vec<Vec<EthCallResponse>>> {
        if bundles.iter().all(|bundle| bundle.transactions.is_empty()) {
            return Err(EthApiError::invalid_params("bundles are empty"));
        }
        self.spawn_trace(move |this| {
            let mut start = this.bundle_start(state_context)?;
            if let Some(overrides) = state_overrides {
                start.state.apply_overrides(overrides)?;
            }
            this.run_bundles(start, bundles, |session, tx| {
                let result = tx.and_then(|tx| {
                    let executed = session.execute(&tx)?;
                    into_return_data(executed.map_err(EthApiError::InvalidTransaction)?)
                });
                match result {
                    Ok(value) => Ok(EthCallResponse { value: Some(value), error: None }),
                    Err(error @ (EthApiError::Internal(_) | EthApiError::Provider(_))) => {
                        Err(error)
                    }
                    Err(error) => {
                        Ok(EthCallResponse { value: None, error: Some(error.to_string()) })
                    }
                }
            })
        })
        .await
    }

    /// The start that a [`StateContext`] names; the head when it names none.
    pub(crate) fn bundle_start(&self, context: Option<StateContext>) -> EthResult<Start> {
        let context = context.unwrap_or_default();
        let id = context.block_number.unwrap_or_default();
        let index = context.transaction_index.unwrap_or_default().index();
        self.start_within(id, index)
    }
}

fn is_free(request: &TransactionRequest) -> bool {
    let fees = [request.gas_price, request.max_fee_per_gas, request.max_priority_fee_per_gas];
    fees.into_iter().flatten().all(|fee| fee == 0)
}

/// The transaction of a call in a session, with at most `budget` gas.
pub(super) fn session_transaction(
    session: &Session<'_>,
    request: TransactionRequest,
    context: &BlockContext,
    budget: u64,
) -> EthResult<RecoveredTx> {
    let request = CallRequest::new(request, context, |from| Ok(session.account(from)?.nonce))?;
    let mut gas = session.gas_left().min(budget);
    match request.gas() {
        Some(asked) => gas = gas.min(asked),
        None if request.pays_from_balance() => {
            let balance = session.account(request.from())?.balance;
            gas = gas.min(request.gas_allowance(balance)?);
        }
        None => {}
    }
    Ok(request.transaction(gas))
}
