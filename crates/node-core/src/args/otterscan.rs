use clap::Args;

/// What Otterscan needs beyond the databases of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Otterscan")]
pub struct OtterscanArgs {
    /// Keep an index of the transactions of every address, for the address pages of Otterscan; every block is executed a second time for it
    #[arg(id = "otterscan.index", long = "otterscan.index", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub index: bool,
}
