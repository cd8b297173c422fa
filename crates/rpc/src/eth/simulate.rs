//! `eth_simulateV1`.

use super::{
    EthApi,
    bundle::{Start, session_transaction},
    call::apply_block_overrides,
};
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    error::{halt_text, invalid_transaction_text, revert_text},
    trace::{CallWatcher, Observer, RecordedSteps, Rules, Session},
    types::{RpcBlock, rpc_block, rpc_log, transaction_meta},
};
use alloy_eips::BlockId;
use alloy_primitives::U256;
use alloy_rpc_types_eth::simulate::{
    SimBlock, SimCallResult, SimulateError, SimulatePayload, SimulatedBlock,
};
use revm::interpreter::InstructionResult;
use zkos_primitives::{BlockContext, BlockOutput, RecoveredTx, ZkBlock, ZkBlockBody};
use zkos_storage_api::{RecoveredZkBlock, StateProvider};
use zksync_os_interface::{
    error::InvalidTransaction,
    types::{ExecutionOutput, ExecutionResult, TxOutput},
};

/// One executed call.
struct Call {
    tx: RecoveredTx,
    output: TxOutput,
    end: InstructionResult,
    watcher: CallWatcher,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Answers `eth_simulateV1`: imagined blocks on top of a block, with overrides, and what their calls did.
    pub async fn simulate_v1(
        &self,
        payload: SimulatePayload,
        id: Option<BlockId>,
    ) -> EthResult<Vec<SimulatedBlock<RpcBlock>>> {
        self.spawn_trace(move |this| this.simulate_v1_blocking(payload, id.unwrap_or_default()))
            .await
    }

    fn simulate_v1_blocking(
        &self,
        payload: SimulatePayload,
        id: BlockId,
    ) -> EthResult<Vec<SimulatedBlock<RpcBlock>>> {
        if payload.block_state_calls.is_empty() {
            return Err(EthApiError::invalid_params("calls are empty"));
        }
        // There is no pending block: its context would be one block ahead.
        let id = if id.is_pending() { BlockId::latest() } else { id };
        let (state, mut parent) = self.state_and_context(id)?;
        let parent_number = state.block_number();
        let hash = self.cache().canonical_hash(parent_number)?;
        let mut parent_hash = hash.ok_or(EthApiError::BlockNotFound(id))?;
        // The stored context of genesis is not that of a block of the chain.
        parent.chain_id = self.node().chain_spec().chain_id();
        parent.block_number = parent_number;
        let blocks =
            fill_gaps(&parent, payload.block_state_calls, self.config().max_simulate_blocks)?;

        let mut start = Start { state: super::SimulationState::new(state), context: parent };
        let mut budget = self.config().gas_cap;
        let mut results = Vec::with_capacity(blocks.len());
        let options = Options {
            validation: payload.validation,
            transfers: payload.trace_transfers,
            full: payload.return_full_transactions,
        };
        for block in blocks {
            let mut context = BlockContext {
                block_hashes: start.context.block_hashes.next(parent_hash),
                ..start.context.clone()
            };
            let overrides = block.block_overrides.unwrap_or_default();
            let base_fee = overrides.base_fee;
            apply_block_overrides(&mut context, overrides)?;
            if base_fee.is_none() && !options.validation {
                // Calls that say nothing about fees are free.
                context.eip1559_basefee = U256::ZERO;
            }
            if let Some(overrides) = block.state_overrides {
                start.state.apply_overrides(overrides)?;
            }
            let (calls, output) =
                self.simulate_block(&mut start, &context, block.calls, options, &mut budget)?;
            parent_hash = output.block_hash;
            results.push(simulated_block(calls, output, options));
            // The next block goes on with the fees of the chain, not with those of an override.
            let (base_fee, coinbase, gas_limit) =
                (start.context.eip1559_basefee, start.context.coinbase, start.context.gas_limit);
            start.context =
                BlockContext { eip1559_basefee: base_fee, coinbase, gas_limit, ..context };
        }
        Ok(results)
    }

    fn simulate_block(
        &self,
        start: &mut Start,
        context: &BlockContext,
        requests: Vec<alloy_rpc_types_eth::TransactionRequest>,
        options: Options,
        budget: &mut u64,
    ) -> EthResult<(Vec<Call>, BlockOutput)> {
        let rules = if options.validation { Rules::Block } else { Rules::Simulation };
        let mut session = Session::new(self.node().evm_config(), context, &mut start.state, rules)?;
        let mut calls = Vec::with_capacity(requests.len());
        for request in requests {
            let left = session.gas_left();
            if request.gas.is_some_and(|gas| gas > left) {
                return Err(EthApiError::Simulation {
                    code: -38015,
                    message: format!("block gas limit reached: {left} left"),
                });
            }
            let tx = session_transaction(&session, request, context, *budget)?;
            let mut observer =
                Observer::new(CallWatcher::new(options.transfers), RecordedSteps::default());
            let (output, watcher) = session
                .inspect(&tx, &mut observer, |watcher, _, _| Ok(std::mem::take(watcher)))?
                .map_err(|error| invalid(&error))?;
            *budget = budget.saturating_sub(output.gas_used);
            calls.push(Call { tx, output, end: session.last_end(), watcher });
        }
        let (output, overlay) = session.finish()?;
        start.state.apply(&overlay);
        let mut output = output;
        start.state.add_preimages(std::mem::take(&mut output.published_preimages));
        Ok((calls, output))
    }
}

#[derive(Debug, Clone, Copy)]
struct Options {
    validation: bool,
    transfers: bool,
    full: bool,
}

/// Gives every block a number and a time, and puts empty blocks where numbers were left out.
fn fill_gaps(
    parent: &BlockContext,
    blocks: Vec<SimBlock>,
    max_blocks: u64,
) -> EthResult<Vec<SimBlock>> {
    let fail = |code, message: String| Err(EthApiError::Simulation { code, message });
    let too_many = || fail(-38026, format!("more than {max_blocks} blocks"));
    let (mut number, mut time) = (parent.block_number, parent.timestamp);
    let mut filled = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        let mut overrides = block.block_overrides.take().unwrap_or_default();
        let wanted = match overrides.number {
            None => number.saturating_add(1),
            Some(wanted) => match u64::try_from(wanted) {
                Ok(wanted) if wanted > number => wanted,
                _ => {
                    return fail(
                        -38020,
                        format!("block numbers must be in order: {wanted} <= {number}"),
                    );
                }
            },
        };
        if wanted - parent.block_number > max_blocks {
            return too_many();
        }
        while number + 1 < wanted {
            number += 1;
            time = time.saturating_add(1);
            filled.push(numbered(SimBlock::default(), Default::default(), number, time));
        }
        let at = overrides.time.unwrap_or_else(|| time.saturating_add(1));
        if at <= time {
            return fail(-38021, format!("block timestamps must be in order: {at} <= {time}"));
        }
        (number, time) = (wanted, at);
        overrides.time = None;
        filled.push(numbered(block, overrides, number, time));
    }
    Ok(filled)
}

fn numbered(
    mut block: SimBlock,
    mut overrides: alloy_rpc_types_eth::BlockOverrides,
    number: u64,
    time: u64,
) -> SimBlock {
    overrides.number = Some(U256::from(number));
    overrides.time = Some(time);
    block.block_overrides = Some(overrides);
    block
}

fn invalid(error: &InvalidTransaction) -> EthApiError {
    use InvalidTransaction as I;
    let code = match error {
        I::NonceTooLow { .. } => -38010,
        I::NonceTooHigh { .. } => -38011,
        I::BaseFeeGreaterThanMaxFee | I::GasPriceLessThanBasefee => -38012,
        I::CallGasCostMoreThanGasLimit
        | I::OutOfGasDuringValidation
        | I::OutOfNativeResourcesDuringValidation
        | I::EIP7623IntrinsicGasIsTooLow => -38013,
        I::LackOfFundForMaxFee { .. } => -38014,
        I::CallerGasLimitMoreThanBlock | I::BlockGasLimitReached => -38015,
        I::RejectCallerWithCode => -38024,
        I::CreateInitCodeSizeLimit => -38025,
        _ => -32000,
    };
    EthApiError::Simulation { code, message: invalid_transaction_text(error) }
}

/// A block object and the results of its calls.
fn simulated_block(
    calls: Vec<Call>,
    output: BlockOutput,
    options: Options,
) -> SimulatedBlock<RpcBlock> {
    let (transactions, senders): (Vec<_>, Vec<_>) =
        calls.iter().map(|call| call.tx.clone().into_parts()).unzip();
    let body = ZkBlockBody { transactions, ommers: Vec::new(), withdrawals: None };
    let block = ZkBlock::new(output.header, body);
    let block = RecoveredZkBlock::new(block, senders, output.block_hash);
    let mut log_index = 0;
    let mut results = Vec::with_capacity(calls.len());
    for (index, call) in calls.into_iter().enumerate() {
        let logs = if options.transfers { call.watcher.logs } else { call.output.logs };
        let logs = logs.into_iter().filter_map(|log| {
            let log = rpc_log(&transaction_meta(&block, index)?, log, log_index, false);
            log_index += 1;
            Some(log)
        });
        let logs = logs.collect();
        let (status, return_data, error) = match call.output.execution_result {
            ExecutionResult::Success(
                ExecutionOutput::Call(data) | ExecutionOutput::Create(data, _),
            ) => (true, data, None),
            ExecutionResult::Revert(data) => {
                let error = match call.end {
                    InstructionResult::Revert => SimulateError {
                        code: SimulateError::EXECUTION_REVERTED_CODE,
                        message: revert_text(&data),
                        data: Some(data.clone().into()),
                    },
                    halt => SimulateError {
                        code: SimulateError::VM_EXECUTION_ERROR_CODE,
                        message: halt_text(halt),
                        data: None,
                    },
                };
                (false, data, Some(error))
            }
        };
        results.push(SimCallResult {
            return_data: return_data.into(),
            logs,
            gas_used: call.output.gas_used,
            max_used_gas: Some(call.output.gas_used.saturating_add(call.output.gas_refunded)),
            status,
            error,
        });
    }
    SimulatedBlock { inner: rpc_block(&block, options.full), calls: results }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_rpc_types_eth::BlockOverrides;

    fn block(number: Option<u64>, time: Option<u64>) -> SimBlock {
        let number = number.map(U256::from);
        let overrides = BlockOverrides { number, time, ..Default::default() };
        SimBlock { block_overrides: Some(overrides), ..Default::default() }
    }

    fn fill(blocks: Vec<SimBlock>) -> Result<Vec<(u64, u64)>, i32> {
        let parent = BlockContext { block_number: 10, timestamp: 100, ..Default::default() };
        match fill_gaps(&parent, blocks, 5) {
            Ok(filled) => Ok(filled
                .into_iter()
                .map(|block| {
                    let overrides = block.block_overrides.unwrap();
                    (overrides.number.unwrap().to(), overrides.time.unwrap())
                })
                .collect()),
            Err(EthApiError::Simulation { code, .. }) => Err(code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn numbers_and_times_are_filled() {
        assert_eq!(
            fill(vec![block(None, None), block(Some(13), None), block(None, Some(200))]),
            Ok(vec![(11, 101), (12, 102), (13, 103), (14, 200)])
        );
        assert_eq!(fill(vec![block(Some(10), None)]), Err(-38020));
        assert_eq!(fill(vec![block(None, Some(100))]), Err(-38021));
        assert_eq!(fill(vec![block(Some(13), Some(102))]), Err(-38021));
        assert_eq!(fill(vec![block(Some(16), None)]), Err(-38026));
        assert_eq!(fill(vec![block(Some(15), None)]).unwrap().len(), 5);
    }
}
