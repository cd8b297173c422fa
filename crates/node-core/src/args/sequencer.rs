use super::parse_duration;
use alloy_primitives::{Address, address};
use clap::Args;
use std::{path::PathBuf, time::Duration};

const DEFAULT_FEE_COLLECTOR: Address = address!("36615Cf349d7F6344891B1e7CA7C72883F5dc049");

/// Block production.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Sequencer")]
pub struct SequencerArgs {
    /// A block is sealed this long after its first transaction
    #[arg(id = "sequencer.block-time", long = "sequencer.block-time", value_name = "TIME", default_value = "250ms", value_parser = parse_duration)]
    pub block_time: Duration,
    /// Transactions in a block
    #[arg(
        id = "sequencer.max-transactions-in-block",
        long = "sequencer.max-transactions-in-block",
        value_name = "N",
        default_value_t = 5000
    )]
    pub max_transactions_in_block: usize,
    /// Gas limit of a block
    #[arg(
        id = "sequencer.block-gas-limit",
        long = "sequencer.block-gas-limit",
        value_name = "GAS",
        default_value_t = 100_000_000
    )]
    pub block_gas_limit: u64,
    /// Pubdata limit of a block and of a batch, bytes
    #[arg(
        id = "sequencer.block-pubdata-limit-bytes",
        long = "sequencer.block-pubdata-limit-bytes",
        value_name = "BYTES",
        default_value_t = 110_000
    )]
    pub block_pubdata_limit_bytes: u64,
    /// Where blocks that failed to execute are dumped; default: `block_dumps` in the data directory
    #[arg(
        id = "sequencer.block-dump-path",
        long = "sequencer.block-dump-path",
        value_name = "DIR"
    )]
    pub block_dump_path: Option<PathBuf>,
    /// Receives all fees
    #[arg(id = "sequencer.fee-collector-address", long = "sequencer.fee-collector-address", value_name = "ADDRESS", default_value_t = DEFAULT_FEE_COLLECTOR)]
    pub fee_collector_address: Address,
    /// Constant base fee, wei per gas; default: 100 native units per gas at the native price
    #[arg(
        id = "sequencer.base-fee-override",
        long = "sequencer.base-fee-override",
        value_name = "WEI"
    )]
    pub base_fee_override: Option<u64>,
    /// Constant price of pubdata, wei per byte
    #[arg(
        id = "sequencer.pubdata-price-override",
        long = "sequencer.pubdata-price-override",
        value_name = "WEI"
    )]
    pub pubdata_price_override: Option<u128>,
    /// Constant price of native, wei per unit; default: 1,000,000
    #[arg(
        id = "sequencer.native-price-override",
        long = "sequencer.native-price-override",
        value_name = "WEI"
    )]
    pub native_price_override: Option<u128>,
    /// Stop after that many produced blocks; 0 produces none
    #[arg(
        id = "sequencer.max-blocks-to-produce",
        long = "sequencer.max-blocks-to-produce",
        value_name = "N"
    )]
    pub max_blocks_to_produce: Option<u64>,
    /// Stored blocks that are executed again and compared at each start
    #[arg(
        id = "sequencer.min-blocks-to-replay",
        long = "sequencer.min-blocks-to-replay",
        value_name = "N",
        default_value_t = 10
    )]
    pub min_blocks_to_replay: u64,
}

impl Default for SequencerArgs {
    fn default() -> Self {
        Self {
            block_time: Duration::from_millis(250),
            max_transactions_in_block: 5000,
            block_gas_limit: 100_000_000,
            block_pubdata_limit_bytes: 110_000,
            block_dump_path: None,
            fee_collector_address: DEFAULT_FEE_COLLECTOR,
            base_fee_override: None,
            pubdata_price_override: None,
            native_price_override: None,
            max_blocks_to_produce: None,
            min_blocks_to_replay: 10,
        }
    }
}
