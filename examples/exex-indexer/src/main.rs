//! A `zkos` node that writes ERC-20 transfers into SQLite while it runs. The README beside this crate tells how to use it and how to write one's own.

mod exex;
mod index;
mod transfer;

use std::{path::PathBuf, process::ExitCode};

/// Options besides the node's own: flags, environment variables (`ZKOS_ERC20_FILE`) and keys of the TOML file alike.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "ERC-20 index")]
struct Erc20Args {
    /// SQLite file of the index; default: erc20.sqlite in the data directory
    #[arg(id = "erc20.file", long = "erc20.file", value_name = "FILE")]
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    zkos::run_with(|builder, args: Erc20Args| {
        builder.install_exex("erc20-indexer", move |ctx| exex::init(ctx, args.file))
    })
}
