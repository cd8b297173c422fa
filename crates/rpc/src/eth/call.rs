//! `eth_call`.

use super::{EthApi, request::CallRequest, state_view::SimulationState};
use crate::{EthApiError, EthResult, RpcNodeCore};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use std::time::{SystemTime, UNIX_EPOCH};
use zkos_primitives::{BlockContext, RecoveredTx};
use zkos_storage_api::{StateProvider, StateProviderBox, StateProviderFactory};
use zksync_os_interface::{
    error::InvalidTransaction,
    types::{ExecutionOutput, ExecutionResult, TxOutput},
};

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
    ) -> EthResult<Result<TxOutput, InvalidTransaction>> {
        let tx: RecoveredTx = simulation.request.transaction(gas_limit);
        self.node()
            .evm_config()
            .simulate(&simulation.context, &tx, &mut simulation.state)
            .map_err(EthApiError::internal)
    }

    /// Answers `eth_call`.
    pub async fn call(
        &self,
        request: TransactionRequest,
        id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> EthResult<Bytes> {
        self.spawn_call(move |this| {
            let id = id.unwrap_or_default();
            let mut simulation =
                this.prepare_simulation(request, id, state_overrides, block_overrides)?;
            let cap = simulation.gas_cap(this.config().gas_cap);
            let mut gas = simulation.request.gas().map_or(cap, |gas| gas.min(cap));
            if simulation.request.gas().is_none() {
                gas = gas.min(simulation.gas_allowance()?);
            }
            let output =
                this.simulate(&mut simulation, gas)?.map_err(EthApiError::InvalidTransaction)?;
            into_return_data(output)
        })
        .await
    }
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

/// Return data of a success (deployed code for a creation), or the revert.
pub(super) fn into_return_data(output: TxOutput) -> EthResult<Bytes> {
    match output.execution_result {
        ExecutionResult::Success(
            ExecutionOutput::Call(data) | ExecutionOutput::Create(data, _),
        ) => Ok(data.into()),
        ExecutionResult::Revert(data) => Err(EthApiError::Reverted(data.into())),
    }
}

pub(super) fn apply_block_overrides(
    context: &mut BlockContext,
    overrides: BlockOverrides,
) -> EthResult<()> {
    if let Some(number) = overrides.number {
        context.block_number = number
            .try_into()
            .map_err(|_| EthApiError::invalid_params("block override `number` is too high"))?;
    }
    if let Some(time) = overrides.time {
        context.timestamp = time;
    }
    if let Some(gas_limit) = overrides.gas_limit {
        context.gas_limit = gas_limit;
    }
    if let Some(coinbase) = overrides.coinbase {
        context.coinbase = coinbase;
    }
    if let Some(random) = overrides.random {
        context.mix_hash = random.into();
    }
    if let Some(base_fee) = overrides.base_fee {
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
