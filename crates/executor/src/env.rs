//! Block environment copied out of a block context.

use crate::{error::ExecutionError, spec::ExecutionSpec};
use alloy_primitives::{Address, B256, U256};
use zksync_os_interface::traits::AnyBlockContext;

/// Largest block gas limit the protocol can represent (gas is kept in units of 1/256).
pub const MAX_BLOCK_GAS_LIMIT: u64 = u64::MAX / 256;

/// Values of the block context that execution uses.
#[derive(Debug, Clone)]
pub(crate) struct BlockEnv {
    pub(crate) spec: &'static ExecutionSpec,
    pub(crate) chain_id: u64,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: U256,
    pub(crate) pubdata_price: U256,
    pub(crate) native_price: U256,
    pub(crate) coinbase: Address,
    pub(crate) gas_limit: u64,
    pub(crate) pubdata_limit: u64,
    /// Hash of block `number - 256 + i` at index `i`; none if the state is to be asked.
    pub(crate) block_hashes: Option<Box<[U256; 256]>>,
    pub(crate) parent_hash: B256,
}

impl BlockEnv {
    pub(crate) fn new(
        context: &impl AnyBlockContext,
        spec: &'static ExecutionSpec,
    ) -> Result<Self, ExecutionError> {
        let env = Self {
            spec,
            chain_id: context.chain_id(),
            number: context.block_number(),
            timestamp: context.timestamp(),
            base_fee: context.eip1559_basefee(),
            pubdata_price: context.pubdata_price(),
            native_price: context.native_price(),
            coinbase: context.coinbase(),
            gas_limit: context.gas_limit(),
            pubdata_limit: context.pubdata_limit(),
            block_hashes: Some(Box::new(*context.block_hashes())),
            parent_hash: B256::from(context.block_hashes()[255]),
        };
        env.check()?;
        Ok(env)
    }

    /// Refuses what the protocol cannot represent.
    pub(crate) fn check(&self) -> Result<(), ExecutionError> {
        let invalid =
            |reason| Err(ExecutionError::InvalidContext { block_number: self.number, reason });
        if self.gas_limit > MAX_BLOCK_GAS_LIMIT {
            return invalid("gas limit exceeds 2^56 - 1");
        }
        if self.base_fee > U256::from(u64::MAX) {
            return invalid("base fee exceeds u64");
        }
        Ok(())
    }
}
