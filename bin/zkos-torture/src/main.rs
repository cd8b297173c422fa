//! Kills a node under load, again and again, and looks for what is lost. See the library of this crate.

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};
use zkos_torture::{Options, run};

/// Kill a node under load again and again, restart it, and compare what it had acknowledged with what it has
#[derive(Debug, Parser)]
#[command(name = "zkos-torture", version)]
struct Cli {
    /// Times that the node is killed
    #[arg(long, default_value_t = 100)]
    cycles: u64,
    /// Decides moments, databases, order; the same seed makes the same choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The node's program; default: `zkos` beside this one
    #[arg(long)]
    zkos: Option<PathBuf>,
    /// Directory with `bin/anvil`, `zkos-l1-state.json` and `deployment.json`
    #[arg(long, default_value = "etc/l1")]
    l1: PathBuf,
    /// Sending accounts
    #[arg(long, default_value_t = 16)]
    accounts: usize,
    /// Stop the node in order and check all databases after this many cycles
    #[arg(long, default_value_t = 20)]
    verify_every: u64,
    /// Where databases, logs and the journal go; default: a new directory, deleted if nothing is wrong
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Cli { cycles, seed, zkos, l1, accounts, verify_every, dir } = Cli::parse();
    let zkos = zkos.or_else(|| Some(std::env::current_exe().ok()?.with_file_name("zkos")));
    let Some(zkos) = zkos else {
        eprintln!("Error: name the program with --zkos");
        return ExitCode::FAILURE;
    };
    let options = Options { cycles, seed, zkos, l1, accounts, verify_every, dir };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(options));
    for failure in &outcome.failures {
        eprintln!("FAILURE: {failure}");
    }
    if let Some(kept) = &outcome.kept {
        eprintln!("everything is kept in {}", kept.display());
    }
    println!("{outcome}");
    if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
