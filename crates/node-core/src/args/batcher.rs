use super::parse_duration;
use clap::Args;
use std::time::Duration;

/// Batching and settlement.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Batcher")]
pub struct BatcherArgs {
    /// Batch and settle
    #[arg(id = "batcher.enabled", long = "batcher.enabled", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub enabled: bool,
    /// A batch is sealed this long after its first block
    #[arg(id = "batcher.batch-timeout", long = "batcher.batch-timeout", value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub batch_timeout: Duration,
    /// Blocks in a batch
    #[arg(
        id = "batcher.blocks-per-batch-limit",
        long = "batcher.blocks-per-batch-limit",
        value_name = "N",
        default_value_t = 100
    )]
    pub blocks_per_batch_limit: u64,
    /// Transactions in a batch
    #[arg(
        id = "batcher.tx-per-batch-limit",
        long = "batcher.tx-per-batch-limit",
        value_name = "N",
        default_value_t = 10_000
    )]
    pub tx_per_batch_limit: u64,
    /// Sealed batches that may wait for settlement before block production is slowed
    #[arg(
        id = "batcher.max-unsettled-batches",
        long = "batcher.max-unsettled-batches",
        value_name = "N",
        default_value_t = 64
    )]
    pub max_unsettled_batches: usize,
    /// Settled blocks of which the state tree still knows how it was, so that their batches can be verified by others
    #[arg(
        id = "batcher.input-history-blocks",
        long = "batcher.input-history-blocks",
        value_name = "N",
        default_value_t = 4096
    )]
    pub input_history_blocks: u64,
}

impl Default for BatcherArgs {
    fn default() -> Self {
        Self {
            enabled: true,
            batch_timeout: Duration::from_secs(1),
            blocks_per_batch_limit: 100,
            tx_per_batch_limit: 10_000,
            max_unsettled_batches: 64,
            input_history_blocks: 4096,
        }
    }
}

/// Provers that the node itself plays.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Prover API")]
pub struct ProverArgs {
    /// Run fake FRI provers
    #[arg(id = "prover.fake-fri.enabled", long = "prover.fake-fri.enabled", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub fake_fri_enabled: bool,
    /// Fake FRI provers at work at once
    #[arg(
        id = "prover.fake-fri.workers",
        long = "prover.fake-fri.workers",
        value_name = "N",
        default_value_t = 5
    )]
    pub fake_fri_workers: usize,
    /// Time a fake FRI proof takes
    #[arg(id = "prover.fake-fri.compute-time", long = "prover.fake-fri.compute-time", value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub fake_fri_compute_time: Duration,
    /// Age of a batch before a fake FRI prover takes it
    #[arg(id = "prover.fake-fri.min-age", long = "prover.fake-fri.min-age", value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    pub fake_fri_min_age: Duration,
    /// Run the fake SNARK prover
    #[arg(id = "prover.fake-snark.enabled", long = "prover.fake-snark.enabled", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub fake_snark_enabled: bool,
    /// Age of a batch at which the fake SNARK prover takes it
    #[arg(id = "prover.fake-snark.max-batch-age", long = "prover.fake-snark.max-batch-age", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub fake_snark_max_batch_age: Duration,
    /// Batches in one SNARK proof
    #[arg(
        id = "prover.max-fris-per-snark",
        long = "prover.max-fris-per-snark",
        value_name = "N",
        default_value_t = 10
    )]
    pub max_fris_per_snark: usize,
}

impl Default for ProverArgs {
    fn default() -> Self {
        Self {
            fake_fri_enabled: true,
            fake_fri_workers: 5,
            fake_fri_compute_time: Duration::from_secs(2),
            fake_fri_min_age: Duration::from_secs(3),
            fake_snark_enabled: true,
            fake_snark_max_batch_age: Duration::from_secs(10),
            max_fris_per_snark: 10,
        }
    }
}
