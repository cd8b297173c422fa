//! `eth_estimateGas`.

use super::{
    EthApi,
    call::{Simulation, into_return_data},
};
use crate::{EthApiError, EthResult, RpcNodeCore, error::is_out_of_gas};
use alloy_eips::BlockId;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use zksync_os_interface::error::InvalidTransaction;

/// Gas that a call with value hands to its callee on top.
const CALL_STIPEND: u64 = 2300;
/// The search ends when the bounds are closer than this part of the upper one.
const ERROR_RATIO: f64 = 0.015;
/// No priority transaction is estimated below this.
const L1_GAS_FLOOR: u64 = 200_000;

/// How one trial ended.
enum Trial {
    /// It went through.
    Enough,
    /// More gas could help.
    TooLow,
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Answers `eth_estimateGas`.
    pub async fn estimate_gas(
        &self,
        request: TransactionRequest,
        id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> EthResult<u64> {
        self.spawn_call(move |this| {
            let id = id.unwrap_or_else(BlockId::pending);
            let mut simulation =
                this.prepare_simulation(request, id, state_overrides, block_overrides)?;
            // Pubdata may get dearer until the transaction is included.
            simulation.context.pubdata_price = scale(
                simulation.context.pubdata_price,
                this.config().estimate_gas_pubdata_price_factor,
            );
            this.search_gas(&mut simulation)
        })
        .await
    }

    fn search_gas(&self, simulation: &mut Simulation) -> EthResult<u64> {
        let cap = simulation.gas_cap(self.config().gas_cap);
        let allowance = simulation.gas_allowance()?;
        let floor = if simulation.request.is_l1() { L1_GAS_FLOOR } else { 0 };
        let mut high = simulation.request.gas().map_or(cap, |gas| gas.min(cap)).min(allowance);

        // With the highest limit first: what fails here fails with every limit.
        let simulated = match self.simulate(simulation, high)? {
            Ok(simulated) if is_out_of_gas(simulated.end) => {
                return Err(EthApiError::GasRequiredExceedsAllowance(high));
            }
            Ok(simulated) => simulated,
            Err(error) if is_gas_too_low(&error) => {
                return Err(EthApiError::GasRequiredExceedsAllowance(high));
            }
            Err(error) => return Err(EthApiError::InvalidTransaction(error)),
        };
        let used = simulated.output.gas_used.max(floor);
        let refunded = simulated.output.gas_refunded;
        into_return_data(simulated)?;

        let mut low = used.saturating_sub(1);
        // Most transactions need what they use, and a little more while they run.
        let optimistic =
            used.saturating_add(refunded).saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
        if optimistic < high {
            match self.trial(simulation, optimistic)? {
                Trial::Enough => high = optimistic,
                Trial::TooLow => low = optimistic,
            }
        }
        // The first step is aimed low, because the upper bound is mostly far too high.
        let mut middle = used.saturating_mul(3).min(low.midpoint(high)).max(low.saturating_add(1));
        while low + 1 < high && (high - low) as f64 / high as f64 >= ERROR_RATIO {
            match self.trial(simulation, middle)? {
                Trial::Enough => high = middle,
                Trial::TooLow => low = middle,
            }
            middle = low.midpoint(high);
        }
        Ok(high.max(floor))
    }

    fn trial(&self, simulation: &mut Simulation, gas: u64) -> EthResult<Trial> {
        match self.simulate(simulation, gas)? {
            Ok(simulated) if simulated.output.is_success() => Ok(Trial::Enough),
            Ok(_) => Ok(Trial::TooLow),
            Err(error) if is_gas_too_low(&error) => Ok(Trial::TooLow),
            Err(error) => Err(EthApiError::InvalidTransaction(error)),
        }
    }
}

const fn is_gas_too_low(error: &InvalidTransaction) -> bool {
    matches!(
        error,
        InvalidTransaction::CallGasCostMoreThanGasLimit
            | InvalidTransaction::OutOfGasDuringValidation
            | InvalidTransaction::OutOfNativeResourcesDuringValidation
            | InvalidTransaction::EIP7623IntrinsicGasIsTooLow
    )
}

/// A price times a factor, with three decimals of the factor.
fn scale(price: U256, factor: f64) -> U256 {
    let thousandths = (factor.clamp(0.0, 1_000_000.0) * 1000.0).round() as u64;
    price.saturating_mul(U256::from(thousandths)) / U256::from(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor() {
        assert_eq!(scale(U256::from(10), 1.5), U256::from(15));
        assert_eq!(scale(U256::from(10), 1.0), U256::from(10));
        assert_eq!(scale(U256::MAX, 1.0), U256::MAX / U256::from(1000));
        assert_eq!(scale(U256::from(10), f64::NAN), U256::ZERO);
    }
}
