//! Fees of produced blocks.

use alloy_primitives::U256;
use zkos_node_core::args::SequencerArgs;

/// Native units that one gas buys at the base fee.
pub const NATIVE_PER_GAS: u64 = 100;
/// Default price of a native unit, wei.
pub const DEFAULT_NATIVE_PRICE: u128 = 1_000_000;
/// Default price of a byte of pubdata, wei: 500 native units. A transfer with 21,000 gas can afford its pubdata at this price.
pub const DEFAULT_PUBDATA_PRICE: u128 = 500_000_000;

/// Prices that go into the context of a block, all in wei. Constant for a run of the node; a model that follows L1 replaces this structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeModel {
    /// Base fee per gas.
    pub base_fee: u64,
    /// Price per unit of native.
    pub native_price: u128,
    /// Price per byte of pubdata.
    pub pubdata_price: u128,
}

impl FeeModel {
    /// Overrides where given, else the defaults; the base fee follows the native price.
    pub fn from_args(args: &SequencerArgs) -> Self {
        let native_price = args.native_price_override.unwrap_or(DEFAULT_NATIVE_PRICE);
        let derived = native_price.saturating_mul(u128::from(NATIVE_PER_GAS));
        Self {
            base_fee: args
                .base_fee_override
                .unwrap_or_else(|| u64::try_from(derived).unwrap_or(u64::MAX)),
            native_price,
            pubdata_price: args.pubdata_price_override.unwrap_or(DEFAULT_PUBDATA_PRICE),
        }
    }

    /// Base fee as the context holds it.
    pub fn base_fee_word(&self) -> U256 {
        U256::from(self.base_fee)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_fee_follows_the_native_price() {
        let mut args = SequencerArgs::default();
        assert_eq!(FeeModel::from_args(&args).base_fee, 100_000_000);
        args.native_price_override = Some(7);
        assert_eq!(FeeModel::from_args(&args).base_fee, 700);
        args.base_fee_override = Some(9);
        args.pubdata_price_override = Some(0);
        let fees = FeeModel::from_args(&args);
        assert_eq!((fees.base_fee, fees.native_price, fees.pubdata_price), (9, 7, 0));
    }
}
