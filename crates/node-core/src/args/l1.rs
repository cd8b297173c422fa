use super::{SecretKey, SensitiveUrl, parse_duration};
use alloy_primitives::Address;
use clap::{Args, ValueEnum};
use std::{fmt, time::Duration};
use zkos_primitives::{PubdataMode, blobs::SidecarForm};

/// Which form of KZG proofs goes beside blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BlobSidecarChoice {
    /// What L1 takes, found out at start and corrected by its refusals.
    #[default]
    Auto,
    /// One proof per blob: networks before the Osaka fork.
    Eip4844,
    /// Cell proofs: networks since the Osaka fork.
    Eip7594,
}

impl BlobSidecarChoice {
    /// The forced form, if any.
    pub const fn form(self) -> Option<SidecarForm> {
        match self {
            Self::Auto => None,
            Self::Eip4844 => Some(SidecarForm::Eip4844),
            Self::Eip7594 => Some(SidecarForm::Eip7594),
        }
    }
}

impl fmt::Display for BlobSidecarChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Eip4844 => "eip4844",
            Self::Eip7594 => "eip7594",
        })
    }
}

/// Connection to L1 and what is watched there.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "L1")]
pub struct L1Args {
    /// JSON-RPC endpoint of the settlement layer
    #[arg(
        id = "l1.rpc-url",
        long = "l1.rpc-url",
        value_name = "URL",
        default_value = "http://localhost:8545"
    )]
    pub rpc_url: SensitiveUrl,
    /// Bridgehub; default: the one of the shipped local L1
    #[arg(id = "l1.bridgehub-address", long = "l1.bridgehub-address", value_name = "ADDRESS")]
    pub bridgehub_address: Option<Address>,
    /// Contract that bytecodes of protocol upgrades are published in; default: the one that L1 names (since protocol v31), or that of the shipped local L1
    #[arg(
        id = "l1.bytecode-supplier-address",
        long = "l1.bytecode-supplier-address",
        value_name = "ADDRESS"
    )]
    pub bytecode_supplier_address: Option<Address>,
    /// How often L1 is polled
    #[arg(id = "l1.poll-interval", long = "l1.poll-interval", value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub poll_interval: Duration,
    /// L1 blocks asked for in one log query
    #[arg(
        id = "l1.max-blocks-to-process",
        long = "l1.max-blocks-to-process",
        value_name = "N",
        default_value_t = 1000
    )]
    pub max_blocks_to_process: u64,
    /// L1 blocks on top of an event before it is believed
    #[arg(
        id = "l1.confirmations",
        long = "l1.confirmations",
        value_name = "N",
        default_value_t = 0
    )]
    pub confirmations: u64,
    /// How long an unreachable L1 is retried at start
    #[arg(id = "l1.startup-timeout", long = "l1.startup-timeout", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub startup_timeout: Duration,
    /// Proofs sent beside blobs: `eip4844` (networks before the Osaka fork), `eip7594` (since then), or `auto` to find out and to follow what L1 says
    #[arg(id = "l1.blob-sidecar", long = "l1.blob-sidecar", value_name = "FORM", default_value_t = BlobSidecarChoice::Auto, ignore_case = true)]
    pub blob_sidecar: BlobSidecarChoice,
}

impl Default for L1Args {
    fn default() -> Self {
        Self {
            rpc_url: SensitiveUrl::from(url::Url::parse("http://localhost:8545").expect("valid")),
            bridgehub_address: None,
            bytecode_supplier_address: None,
            poll_interval: Duration::from_millis(100),
            max_blocks_to_process: 1000,
            confirmations: 0,
            startup_timeout: Duration::from_secs(30),
            blob_sidecar: BlobSidecarChoice::Auto,
        }
    }
}

/// Transactions that the operators send to L1.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "L1 sender")]
pub struct L1SenderArgs {
    /// Key that commits batches; default: the commit operator of the shipped local L1
    #[arg(
        id = "l1-sender.operator-commit-key",
        long = "l1-sender.operator-commit-key",
        value_name = "KEY",
        hide_default_value = true
    )]
    pub operator_commit_key: Option<SecretKey>,
    /// Key that proves batches; default: the prove operator of the shipped local L1
    #[arg(
        id = "l1-sender.operator-prove-key",
        long = "l1-sender.operator-prove-key",
        value_name = "KEY",
        hide_default_value = true
    )]
    pub operator_prove_key: Option<SecretKey>,
    /// Key that executes batches; default: the execute operator of the shipped local L1
    #[arg(
        id = "l1-sender.operator-execute-key",
        long = "l1-sender.operator-execute-key",
        value_name = "KEY",
        hide_default_value = true
    )]
    pub operator_execute_key: Option<SecretKey>,
    /// Cap on the fee per gas, gwei
    #[arg(
        id = "l1-sender.max-fee-per-gas-gwei",
        long = "l1-sender.max-fee-per-gas-gwei",
        value_name = "GWEI",
        default_value_t = 200
    )]
    pub max_fee_per_gas_gwei: u64,
    /// Cap on the priority fee per gas, gwei
    #[arg(
        id = "l1-sender.max-priority-fee-per-gas-gwei",
        long = "l1-sender.max-priority-fee-per-gas-gwei",
        value_name = "GWEI",
        default_value_t = 2
    )]
    pub max_priority_fee_per_gas_gwei: u64,
    /// Cap on the fee per blob gas, gwei
    #[arg(
        id = "l1-sender.max-fee-per-blob-gas-gwei",
        long = "l1-sender.max-fee-per-blob-gas-gwei",
        value_name = "GWEI",
        default_value_t = 200
    )]
    pub max_fee_per_blob_gas_gwei: u64,
    /// L1 transactions of one operator in flight at once
    #[arg(
        id = "l1-sender.command-limit",
        long = "l1-sender.command-limit",
        value_name = "N",
        default_value_t = 16
    )]
    pub command_limit: usize,
    /// How often receipts are asked for
    #[arg(id = "l1-sender.poll-interval", long = "l1-sender.poll-interval", value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub poll_interval: Duration,
    /// A transaction that is not mined after this time is replaced with higher fees
    #[arg(id = "l1-sender.transaction-timeout", long = "l1-sender.transaction-timeout", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub transaction_timeout: Duration,
    /// Where pubdata goes: calldata, blobs or validium; must match the chain on L1. Default: what the chain on L1 says
    #[arg(id = "l1-sender.pubdata-mode", long = "l1-sender.pubdata-mode", value_name = "MODE")]
    pub pubdata_mode: Option<PubdataMode>,
}

impl Default for L1SenderArgs {
    fn default() -> Self {
        Self {
            operator_commit_key: None,
            operator_prove_key: None,
            operator_execute_key: None,
            max_fee_per_gas_gwei: 200,
            max_priority_fee_per_gas_gwei: 2,
            max_fee_per_blob_gas_gwei: 200,
            command_limit: 16,
            poll_interval: Duration::from_millis(100),
            transaction_timeout: Duration::from_secs(60),
            pubdata_mode: None,
        }
    }
}
