use clap::Args;
use std::path::PathBuf;

/// Where data lives.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Data directory")]
pub struct DatadirArgs {
    /// Directory of all databases
    #[arg(id = "datadir", long = "datadir", value_name = "DIR", default_value = "./db/node1")]
    pub datadir: PathBuf,
}

impl Default for DatadirArgs {
    fn default() -> Self {
        Self { datadir: "./db/node1".into() }
    }
}

/// Which chain.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Chain")]
pub struct ChainArgs {
    /// L2 chain id
    #[arg(id = "chain.id", long = "chain.id", value_name = "ID", default_value_t = 270)]
    pub chain_id: u64,
    /// Genesis file; without it the genesis of the local chain, which is part of the binary
    #[arg(id = "chain.genesis", long = "chain.genesis", value_name = "FILE")]
    pub genesis: Option<PathBuf>,
}

impl Default for ChainArgs {
    fn default() -> Self {
        Self { chain_id: 270, genesis: None }
    }
}
