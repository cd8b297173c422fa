//! Block environment copied out of a block context.

use crate::error::ExecutionError;
use alloy_primitives::{Address, B256, U256};
use zksync_os_interface::traits::AnyBlockContext;

/// Largest block gas limit the protocol can represent (gas is kept in units of 1/256).
pub const MAX_BLOCK_GAS_LIMIT: u64 = u64::MAX / 256;

/// Values of the block context that execution uses.
#[derive(Debug, Clone)]
pub(crate) struct BlockEnv {
    pub(crate) chain_id: u64,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: U256,
    pub(crate) pubdata_price: U256,
    pub(crate) native_price: U256,
    pub(crate) coinbase: Address,
    pub(crate) gas_limit: u64,
    pub(crate) pubdata_limit: u64,
    /// Hash of block `number - 256 + i` at index `i`.
    pub(crate) block_hashes: Box<[U256; 256]>,
}

impl BlockEnv {
    pub(crate) fn new(context: &impl AnyBlockContext) -> Result<Self, ExecutionError> {
        let invalid = |reason| ExecutionError::InvalidContext {
            block_number: context.block_number(),
            reason,
        };
        if context.gas_limit() > MAX_BLOCK_GAS_LIMIT {
            return Err(invalid("gas limit exceeds 2^56 - 1"));
        }
        if context.eip1559_basefee() > U256::from(u64::MAX) {
            return Err(invalid("base fee exceeds u64"));
        }
        Ok(Self {
            chain_id: context.chain_id(),
            number: context.block_number(),
            timestamp: context.timestamp(),
            base_fee: context.eip1559_basefee(),
            pubdata_price: context.pubdata_price(),
            native_price: context.native_price(),
            coinbase: context.coinbase(),
            gas_limit: context.gas_limit(),
            pubdata_limit: context.pubdata_limit(),
            block_hashes: Box::new(*context.block_hashes()),
        })
    }

    /// Hash of the parent block.
    pub(crate) fn parent_hash(&self) -> B256 {
        B256::from(self.block_hashes[255])
    }

    /// BLOCKHASH: zero unless `number` is one of the 256 predecessors.
    pub(crate) fn block_hash(&self, number: u64) -> U256 {
        match self.number.checked_sub(number) {
            Some(age @ 1..=256) => self.block_hashes[256 - age as usize],
            _ => U256::ZERO,
        }
    }
}
