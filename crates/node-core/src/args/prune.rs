use clap::{Args, value_parser};

/// Fewest blocks whose state is kept: start-up executes recent blocks again, and clients ask for them.
const MIN_STATE_HISTORY_BLOCKS: u64 = 256;

/// What is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Pruning")]
pub struct PruneArgs {
    /// Keep the state of this many blocks below the head only (256 at least), and of all blocks that are not final or that an execution extension has not finished; default: the state of all blocks
    #[arg(id = "prune.state-history-blocks", long = "prune.state-history-blocks", value_name = "N", value_parser = value_parser!(u64).range(MIN_STATE_HISTORY_BLOCKS..))]
    pub state_history_blocks: Option<u64>,
}
