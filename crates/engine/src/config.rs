//! What the engine needs of the configuration.

use crate::FeeModel;
use alloy_primitives::Address;
use std::{path::PathBuf, time::Duration};
use zkos_node_core::NodeConfig;
use zkos_primitives::ProtocolVersion;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Chain id that goes into contexts.
    pub chain_id: u64,
    /// Time between the first included transaction of a block and its seal.
    pub block_time: Duration,
    /// Transactions in a block.
    pub max_transactions: usize,
    /// Gas limit of a block.
    pub gas_limit: u64,
    /// Pubdata limit of a block, bytes.
    pub pubdata_limit: u64,
    /// Receives the fees.
    pub fee_collector: Address,
    /// Prices.
    pub fees: FeeModel,
    /// Stop after that many produced blocks.
    pub max_blocks_to_produce: Option<u64>,
    /// Stored blocks that are executed again at each start, at least.
    pub min_blocks_to_replay: u64,
    /// Where blocks that failed are dumped.
    pub block_dump_path: PathBuf,
    /// Lowest protocol version of produced blocks; the head's is kept if it is later. Upgrade transactions raise it.
    pub protocol_version: Option<ProtocolVersion>,
    /// Executed blocks that may wait to become canonical.
    pub max_in_flight: usize,
}

impl EngineConfig {
    /// Settings out of the node's configuration.
    pub fn new(config: &NodeConfig) -> Self {
        let args = &config.sequencer;
        Self {
            chain_id: config.chain.chain_id,
            block_time: args.block_time,
            max_transactions: args.max_transactions_in_block.max(1),
            gas_limit: args.block_gas_limit,
            pubdata_limit: args.block_pubdata_limit_bytes,
            fee_collector: args.fee_collector_address,
            fees: FeeModel::from_args(args),
            max_blocks_to_produce: args.max_blocks_to_produce,
            min_blocks_to_replay: args.min_blocks_to_replay,
            block_dump_path: config.block_dump_path(),
            protocol_version: None,
            max_in_flight: 8,
        }
    }
}
