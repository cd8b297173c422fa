use super::parse_duration;
use clap::Args;
use std::time::Duration;

/// Transaction pool limits.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Transaction pool")]
pub struct TxPoolArgs {
    /// Transactions in each sub-pool
    #[arg(
        id = "txpool.max-count",
        long = "txpool.max-count",
        value_name = "N",
        default_value_t = 200_000
    )]
    pub max_count: usize,
    /// Megabytes in each sub-pool
    #[arg(
        id = "txpool.max-size",
        long = "txpool.max-size",
        value_name = "MB",
        default_value_t = 512
    )]
    pub max_size: usize,
    /// Transactions of one sender
    #[arg(
        id = "txpool.max-account-slots",
        long = "txpool.max-account-slots",
        value_name = "N",
        default_value_t = 20_000
    )]
    pub max_account_slots: usize,
    /// Bump of fee and tip that a replacement needs, percent
    #[arg(
        id = "txpool.pricebump",
        long = "txpool.pricebump",
        value_name = "PERCENT",
        default_value_t = 10
    )]
    pub price_bump: u128,
    /// Largest encoded transaction, bytes
    #[arg(id = "txpool.max-tx-input-bytes", long = "txpool.max-tx-input-bytes", value_name = "BYTES", default_value_t = 128 * 1024)]
    pub max_tx_input_bytes: usize,
    /// Queued transactions (nonce gap) are dropped after this time
    #[arg(id = "txpool.lifetime", long = "txpool.lifetime", value_name = "TIME", default_value = "3h", value_parser = parse_duration)]
    pub lifetime: Duration,
    /// Keep no backup file of pending transactions
    #[arg(id = "txpool.disable-transactions-backup", long = "txpool.disable-transactions-backup", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub disable_transactions_backup: bool,
}

impl Default for TxPoolArgs {
    fn default() -> Self {
        Self {
            max_count: 200_000,
            max_size: 512,
            max_account_slots: 20_000,
            price_bump: 10,
            max_tx_input_bytes: 128 * 1024,
            lifetime: Duration::from_secs(3 * 60 * 60),
            disable_transactions_backup: false,
        }
    }
}
