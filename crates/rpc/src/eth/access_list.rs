//! `eth_createAccessList`.

use super::EthApi;
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    error::end_text,
    trace::{Observer, RecordedSteps},
};
use alloy_consensus::Transaction as _;
use alloy_eips::{
    BlockId,
    eip2930::{AccessList, AccessListItem, AccessListResult},
};
use alloy_primitives::{Address, B256, U256, address};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use revm::inspector::NoOpInspector;
use zksync_os_interface::types::ExecutionResult;

/// A list changes gas, and gas may change what is touched; this many rounds are tried until the list stays the same.
const MAX_ROUNDS: usize = 8;
/// Precompiles stand up to here.
const LAST_PRECOMPILE: Address = address!("000000000000000000000000000000000000000a");

impl<N: RpcNodeCore> EthApi<N> {
    /// Answers `eth_createAccessList`: what a transaction touches, and the gas it uses when it says so beforehand.
    pub async fn create_access_list(
        &self,
        request: TransactionRequest,
        id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> EthResult<AccessListResult> {
        self.spawn_call(move |this| {
            let id = id.unwrap_or_else(BlockId::pending);
            let mut simulation = this.prepare_simulation(request, id, state_overrides, None)?;
            let mut gas = simulation.gas_cap(this.config().gas_cap);
            gas = match simulation.request.gas() {
                Some(asked) => gas.min(asked),
                None => gas.min(simulation.gas_allowance()?),
            };
            let mut list = simulation.request.access_list().unwrap_or_default();
            let mut rounds = 0;
            loop {
                simulation.request.set_access_list(list.clone());
                let tx = simulation.request.transaction(gas);
                let mut observer = Observer::new(NoOpInspector, RecordedSteps::default());
                let simulated = this
                    .node()
                    .evm_config()
                    .simulate_with_inspector(
                        &simulation.context,
                        &tx,
                        &mut simulation.state,
                        &mut observer,
                    )?
                    .map_err(EthApiError::InvalidTransaction)?;
                let touched = observer.take_touched();
                let output = simulated.output;
                let created = output.contract_address;
                let known = [Some(tx.signer()), tx.to(), created];
                let mut found = AccessList(
                    touched
                        .slots
                        .into_iter()
                        // Warm anyway, unless one of their slots has to be named.
                        .filter(|(address, slots)| {
                            !slots.is_empty()
                                || !(known.contains(&Some(*address))
                                    || *address == simulation.context.coinbase
                                    || is_precompile(address))
                        })
                        .map(|(address, slots)| AccessListItem {
                            address,
                            storage_keys: slots.into_iter().map(B256::from).collect(),
                        })
                        .collect(),
                );
                found.0.sort_unstable_by_key(|item| item.address);
                rounds += 1;
                if found == list || rounds == MAX_ROUNDS {
                    let error = match output.execution_result {
                        ExecutionResult::Success(_) => None,
                        ExecutionResult::Revert(data) => Some(end_text(simulated.end, &data)),
                    };
                    let gas_used = U256::from(output.gas_used);
                    return Ok(AccessListResult { access_list: found, gas_used, error });
                }
                list = found;
            }
        })
        .await
    }
}

fn is_precompile(address: &Address) -> bool {
    !address.is_zero() && *address <= LAST_PRECOMPILE
}
