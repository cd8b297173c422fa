use clap::Args;
use std::path::PathBuf;

/// A local chain in one process group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Development")]
pub struct DevArgs {
    /// Start anvil with the shipped L1 state on a free port and settle there
    #[arg(id = "dev", long = "dev", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub dev: bool,
    /// The anvil program; default: `etc/l1/bin/anvil`, then `anvil` from PATH
    #[arg(id = "dev.anvil", long = "dev.anvil", value_name = "PROGRAM")]
    pub anvil: Option<PathBuf>,
    /// L1 state that anvil loads; default: the one that is part of the binary
    #[arg(id = "dev.l1-state", long = "dev.l1-state", value_name = "FILE")]
    pub l1_state: Option<PathBuf>,
}
