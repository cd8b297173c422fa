//! `eth_call`.

use super::{EthApi, request::CallRequest, state_view::SimulationState};
use crate::{EthApiError, EthResult, RpcNodeCore};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use revm::interpreter::InstructionResult;
use std::time::{SystemTime, UNIX_EPOCH};
use zkos_executor::{MAX_BLOCK_GAS_LIMIT, Simulated};
use zkos_primitives::{BlockContext, RecoveredTx};
use zkos_storage_api::{StateProvider, StateProviderBox, StateProviderFactory};
use zksync_os_interface::{
    error::InvalidTransaction,
    types::{ExecutionOutput, ExecutionResult},
};

/// Native of computation up to which a call runs on the thread that received it: some 100 microseconds at most. A view function of a token takes half of it.
const SHORT_CALL_NATIVE: u64 = 1 << 21;
/// Longest input of a call that runs there, bytes.
const SHORT_CALL_INPUT: usize = 4096;

/// Everything that a simulation runs on.
pub(super) struct Simulation {
    pub(super) context: BlockContext,
    pub(super) state: SimulationState,
    pub(super) request: CallRequest,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Context of the block that an id names. `pending` is a block after the head, with the head's prices and the time of now.
    pub(crate) fn context_at(&self, id: BlockId) -> EthResult<BlockContext> {
        let (number, hash) = self.resolve(id)?.ok_or(EthApiError::BlockNotFound(id))?;
        self.context_of(number, hash, id.is_pending())
    }

    fn context_of(&self, number: u64, hash: B256, pending: bool) -> EthResult<BlockContext> {
        let context = self.cache().block_context(number, hash)?;
        let context = match context {
            Some(context) => (*context).clone(),
            None if number == 0 => {
                let spec = self.node().chain_spec();
                spec.genesis().block_context(spec.chain_id(), spec.genesis_execution_version())
            }
            None => return Err(EthApiError::BlockNotFound(number.into())),
        };
        if !pending {
            return Ok(context);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs());
        Ok(BlockContext {
            block_number: context.block_number + 1,
            block_hashes: context.block_hashes.next(hash),
            timestamp: now.unwrap_or_default().max(context.timestamp),
            ..context
        })
    }

    /// State and context of the same block, also when the head moves meanwhile.
    pub(crate) fn state_and_context(
        &self,
        id: BlockId,
    ) -> EthResult<(StateProviderBox, BlockContext)> {
        if !id.is_latest() && !id.is_pending() {
            return Ok((self.state_at(Some(id))?, self.context_at(id)?));
        }
        let state = self.provider().latest()?;
        let number = state.block_number();
        let hash = self.cache().canonical_hash(number)?.ok_or(EthApiError::BlockNotFound(id))?;
        let context = self.context_of(number, hash, id.is_pending())?;
        Ok((state, context))
    }

    /// Collects what a simulation needs: context and state of a block, overrides, the checked request.
    pub(super) fn prepare_simulation(
        &self,
        request: TransactionRequest,
        id: BlockId,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> EthResult<Simulation> {
        let (state, mut context) = self.state_and_context(id)?;
        // Genesis was not executed as a block of the chain: its stored context has chain id 0.
        context.chain_id = self.node().chain_spec().chain_id();
        if let Some(overrides) = block_overrides {
            apply_block_overrides(&mut context, *overrides)?;
        }
        let mut state = SimulationState::new(state);
        if let Some(overrides) = state_overrides {
            state.apply_overrides(overrides)?;
        }
        let request =
            CallRequest::new(request, &context, |from| Ok(state.read_account(from)?.nonce))?;
        if request.fees().max_fee() == 0 {
            // A call that says nothing about fees is free, whatever the base fee is.
            context.eip1559_basefee = U256::ZERO;
        }
        Ok(Simulation { context, state, request })
    }

    /// Executes one transaction on top of a state; nothing is kept.
    pub(super) fn simulate(
        &self,
        simulation: &mut Simulation,
        gas_limit: u64,
    ) -> EthResult<Result<Simulated, InvalidTransaction>> {
        let tx: RecoveredTx = simulation.request.transaction(gas_limit);
        self.node()
            .evm_config()
            .simulate(&simulation.context, &tx, &mut simulation.state)
            .map_err(EthApiError::from)
    }

    /// Answers `eth_call`.
    pub async fn call(
        &self,
        request: TransactionRequest,
        id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> EthResult<Bytes> {
        let id = id.unwrap_or_default();
        if state_overrides.is_none() && block_overrides.is_none() && may_be_short(&request) {
            let call = || self.short_call(request.clone(), id).transpose();
            if let Some(result) = self.inner.calls.at_once(call).await {
                return result;
            }
        }
        self.spawn_call(move |this| {
            let mut simulation =
                this.prepare_simulation(request, id, state_overrides, block_overrides)?;
            let gas = this.call_gas(&mut simulation)?;
            let output = this.simulate(&mut simulation, gas)?;
            into_return_data(output.map_err(EthApiError::InvalidTransaction)?)
        })
        .await
    }

    /// Answers `eth_call`, unless it computes for long. Most calls of wallets and pages are view functions, and for those the way to another thread and back takes longer
    /// than the call.
    fn short_call(&self, request: TransactionRequest, id: BlockId) -> EthResult<Option<Bytes>> {
        let mut simulation = self.prepare_simulation(request, id, None, None)?;
        let gas = self.call_gas(&mut simulation)?;
        let tx = simulation.request.transaction(gas);
        let output = self.node().evm_config().simulate_bounded(
            &simulation.context,
            &tx,
            &mut simulation.state,
            SHORT_CALL_NATIVE,
        );
        match output? {
            Some(output) => {
                into_return_data(output.map_err(EthApiError::InvalidTransaction)?).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Gas that a call has: what was asked for, within what the node and the sender's balance allow.
    fn call_gas(&self, simulation: &mut Simulation) -> EthResult<u64> {
        let cap = simulation.gas_cap(self.config().gas_cap);
        Ok(match simulation.request.gas() {
            Some(gas) => gas.min(cap),
            None => cap.min(simulation.gas_allowance()?),
        })
    }
}

/// Whether a request is worth a try on the receiving thread: nothing in it costs time that native does not measure.
fn may_be_short(request: &TransactionRequest) -> bool {
    request.input.input().is_none_or(|input| input.len() <= SHORT_CALL_INPUT)
        && request.access_list.is_none()
        && request.authorization_list.is_none()
}

impl Simulation {
    /// Largest gas limit that a transaction may have here.
    pub(super) fn gas_cap(&self, configured: u64) -> u64 {
        configured.min(self.context.gas_limit)
    }

    /// Gas that the sender's balance pays for, after the value. Unbounded when the sender does not pay.
    pub(super) fn gas_allowance(&mut self) -> EthResult<u64> {
        if !self.request.pays_from_balance() {
            return Ok(u64::MAX);
        }
        let balance = self.state.read_account(self.request.from())?.balance;
        self.request.gas_allowance(balance)
    }
}

/// Return data of a success (deployed code for a creation), or the revert or halt.
pub(super) fn into_return_data(simulated: Simulated) -> EthResult<Bytes> {
    match simulated.output.execution_result {
        ExecutionResult::Success(
            ExecutionOutput::Call(data) | ExecutionOutput::Create(data, _),
        ) => Ok(data.into()),
        ExecutionResult::Revert(data) if simulated.end == InstructionResult::Revert => {
            Err(EthApiError::Reverted(data.into()))
        }
        ExecutionResult::Revert(_) => Err(EthApiError::Halted(simulated.end)),
    }
}

pub(super) fn apply_block_overrides(
    context: &mut BlockContext,
    overrides: BlockOverrides,
) -> EthResult<()> {
    let too_high =
        |field| Err(EthApiError::invalid_params(format!("block override `{field}` is too high")));
    if let Some(number) = overrides.number {
        let Ok(number) = number.try_into() else { return too_high("number") };
        context.block_number = number;
    }
    if let Some(time) = overrides.time {
        context.timestamp = time;
    }
    if let Some(gas_limit) = overrides.gas_limit {
        if gas_limit > MAX_BLOCK_GAS_LIMIT {
            return too_high("gasLimit");
        }
        context.gas_limit = gas_limit;
    }
    if let Some(coinbase) = overrides.coinbase {
        context.coinbase = coinbase;
    }
    if let Some(random) = overrides.random {
        context.mix_hash = random.into();
    }
    if let Some(base_fee) = overrides.base_fee {
        if base_fee > U256::from(u64::MAX) {
            return too_high("baseFeePerGas");
        }
        context.eip1559_basefee = base_fee;
    }
    if let Some(hashes) = overrides.block_hash {
        for (number, hash) in hashes {
            let distance = context.block_number.checked_sub(number);
            if let Some(distance @ 1..=256) = distance {
                context.block_hashes.0[256 - distance as usize] = B256::into(hash);
            }
        }
    }
    Ok(())
}
