//! Reads: how many requests per second a node answers, method by method, and how long it takes from sending a transaction to its receipt.
//!
//! `prepare` makes a history to ask about (a token, a block of many transactions, blocks with logs) and writes down what there is; `run` asks. The two may meet different
//! runs of a node, so that the history can be made quickly and the answers be given by a node as it is usually configured.

mod cpu;
mod measure;
mod prepare;

use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Measures reads of a local node
#[derive(Debug, Subcommand)]
pub(crate) enum Reads {
    /// Make a history to ask about
    Prepare(PrepareArgs),
    /// Ask, and measure
    Run(RunArgs),
}

/// Which node, and who pays.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// HTTP JSON-RPC endpoint; loopback only
    #[arg(long, value_name = "URL")]
    rpc_url: url::Url,
    /// Private key of an account with ether
    #[arg(long, value_name = "KEY", hide_env_values = true, env = "ZKOS_LOAD_RICH_KEY")]
    rich_key: B256,
    /// File that says what the history holds
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The whole run ends after this time
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Blocks with a token transfer each
    #[arg(long, value_name = "N", default_value_t = 0)]
    blocks: u64,
    /// Transactions of one block
    #[arg(long, value_name = "N", default_value_t = 0)]
    transactions: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Numbers of connections to measure with
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [1, 16])]
    connections: Vec<usize>,
    /// How long each method is asked, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    duration: u64,
    /// Process of the node; its CPU time per request is measured, too
    #[arg(long, value_name = "PID")]
    node_pid: Option<u32>,
    /// Transactions that are sent one after the other
    #[arg(long, value_name = "N", default_value_t = 100)]
    sends: u64,
}

/// What there is to ask about.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    /// An ERC-20 token.
    token: Option<Address>,
    /// Blocks in which the token was transferred: first and last.
    logs: Option<(u64, u64)>,
    /// Transactions of one block.
    transactions: Vec<B256>,
}

impl Manifest {
    fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .wrap_err_with(|| format!("can't read {}", path.display()))?;
        serde_json::from_str(&text).wrap_err_with(|| format!("{} is no manifest", path.display()))
    }

    fn save(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_vec(self)?)
            .wrap_err_with(|| format!("can't write {}", path.display()))
    }
}

/// Who holds some of the token, by number.
fn holder(number: u64) -> Address {
    Address::left_padding_from(&(0x1_0000_0000 + number % 256).to_be_bytes())
}

impl Reads {
    /// Does what was asked for, within its time.
    pub(crate) async fn execute(self) -> Result<()> {
        let seconds = match &self {
            Self::Prepare(args) => args.node.seconds,
            Self::Run(args) => args.node.seconds,
        };
        let work = async {
            match self {
                Self::Prepare(args) => prepare::prepare(&args).await,
                Self::Run(args) => measure::run(&args).await,
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds), work)
            .await
            .wrap_err_with(|| format!("not done after {seconds} s"))?
    }
}
