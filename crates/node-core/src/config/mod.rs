//! The node's configuration and the layers it is read from: flag > environment > TOML file > zkstack directory > default.

mod env;
mod file;
mod layers;
mod reference;
mod zkstack;

pub use env::env_names;
pub use layers::{ConfigError, EffectiveValue, Layers, Source};
pub use reference::reference;

use crate::{
    DataDir,
    args::{
        BatcherArgs, ChainArgs, DatadirArgs, DevArgs, L1Args, L1SenderArgs, LogArgs, MetricsArgs,
        OtterscanArgs, ProverArgs, PruneArgs, RpcServerArgs, SequencerArgs, StatusArgs, TreeArgs,
        TxPoolArgs,
    },
};
use clap::Args;
use std::{net::Ipv4Addr, path::PathBuf};

/// Everything that can be configured. reth: `NodeConfig`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct NodeConfig {
    /// Data directory.
    #[command(flatten)]
    pub datadir: DatadirArgs,
    /// Chain.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// JSON-RPC server.
    #[command(flatten)]
    pub rpc: RpcServerArgs,
    /// Index for Otterscan.
    #[command(flatten)]
    pub otterscan: OtterscanArgs,
    /// Transaction pool.
    #[command(flatten)]
    pub txpool: TxPoolArgs,
    /// Block production.
    #[command(flatten)]
    pub sequencer: SequencerArgs,
    /// L1 connection.
    #[command(flatten)]
    pub l1: L1Args,
    /// L1 transactions.
    #[command(flatten)]
    pub l1_sender: L1SenderArgs,
    /// Batching.
    #[command(flatten)]
    pub batcher: BatcherArgs,
    /// Provers.
    #[command(flatten)]
    pub prover: ProverArgs,
    /// State tree.
    #[command(flatten)]
    pub tree: TreeArgs,
    /// Pruning.
    #[command(flatten)]
    pub prune: PruneArgs,
    /// Prometheus endpoint.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// Status endpoint.
    #[command(flatten)]
    pub status: StatusArgs,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// Local development.
    #[command(flatten)]
    pub dev: DevArgs,
}

impl NodeConfig {
    /// The data directory.
    pub fn data_dir(&self) -> DataDir {
        DataDir::new(&self.datadir.datadir)
    }

    /// Sets the data directory.
    #[must_use]
    pub fn with_datadir(mut self, datadir: impl Into<PathBuf>) -> Self {
        self.datadir.datadir = datadir.into();
        self
    }

    /// Lets every listener pick a free port on loopback.
    #[must_use]
    pub fn with_unused_ports(mut self) -> Self {
        self.rpc.http_addr = Ipv4Addr::LOCALHOST.into();
        self.rpc.http_port = 0;
        self.metrics.port = 0;
        self.status.address = (Ipv4Addr::LOCALHOST, 0).into();
        self
    }

    /// Where blocks that failed to execute are dumped.
    pub fn block_dump_path(&self) -> PathBuf {
        self.sequencer.block_dump_path.clone().unwrap_or_else(|| self.data_dir().block_dumps())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        config: NodeConfig,
    }

    #[test]
    fn parsed_defaults_equal_default() {
        assert_eq!(Cli::parse_from(["zkos"]).config, NodeConfig::default());
    }

    #[test]
    fn flags_parse() {
        let config = Cli::parse_from([
            "zkos",
            "--http.port=1",
            "--http.api=eth,net",
            "--sequencer.block-time=1s",
            "--batcher.enabled=false",
            "--otterscan.index",
            "--dev",
            "--l1-sender.pubdata-mode=validium",
        ])
        .config;
        assert_eq!(config.rpc.http_port, 1);
        assert!(config.rpc.http_api.contains("net") && !config.rpc.http_api.contains("zks"));
        assert_eq!(config.sequencer.block_time.as_secs(), 1);
        assert!(!config.batcher.enabled && config.dev.dev && config.otterscan.index);
    }
}
