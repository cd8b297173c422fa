//! The `zkos` program as a library: the command line, the one builder chain, and the tools. Wiring only.
//!
//! A program that is this node with more in it is a few lines. It has every command and option of `zkos` and its own options besides, which may also come from the environment
//! and the TOML file:
//!
//! ```no_run
//! #[derive(Debug, clap::Args)]
//! struct IndexerArgs {
//!     /// Where the index is kept
//!     #[arg(long = "indexer.file")]
//!     file: Option<std::path::PathBuf>,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     zkos::run_with(|builder, args: IndexerArgs| {
//!         builder.install_exex("indexer", move |ctx| async move {
//!             println!("index in {:?}, starting after block {}", args.file, ctx.head.number);
//!             Ok(std::future::pending())
//!         })
//!     })
//! }
//! ```

mod batches;
mod cli;
mod db;
mod deposit;
mod dev;
mod local_chain;
mod node;
mod settlement;
mod upgrades;
mod verify_batch;

pub use cli::NoArgs;

use clap::Args;
use cli::{Command, Parsed};
use std::{fmt, process::ExitCode};
use tracing::warn;
use tracing_subscriber::{EnvFilter, fmt as log_format};
use zkos_node::{CliRunner, ZkNodeBuilder};
use zkos_node_core::{
    NodeConfig,
    args::{LogArgs, LogFormat},
    progress,
};

/// What tools log: problems, and how far they are.
const TOOL_LOG: &str = "warn,progress=info";

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    run_with(|builder, _: NoArgs| builder)
}

/// [`run`] with a node that `extend` adds hooks, RPC methods or execution extensions to. `Ext` are its options, named like the node's: `--group.option`.
// reth: `Cli::<_, Ext>::parse().run(|builder, ext| ..)`, which launches itself; here the node's own settlement is installed and launched around it.
pub fn run_with<Ext: Args + fmt::Debug + 'static>(
    extend: impl FnOnce(ZkNodeBuilder, Ext) -> ZkNodeBuilder + 'static,
) -> ExitCode {
    match try_run(extend) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<Ext: Args + fmt::Debug + 'static>(
    extend: impl FnOnce(ZkNodeBuilder, Ext) -> ZkNodeBuilder + 'static,
) -> eyre::Result<()> {
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let Parsed { cli, effective, suspicious_variables } =
        cli::parse::<Ext>(std::env::args_os(), vars)?;
    // Two TLS stacks may be linked; the first use must not have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli.command {
        Command::Node(command) => {
            init_logs(&command.config.log)?;
            for name in suspicious_variables {
                warn!(target: "zkos::cli", name, "environment variable is read by no option; a typing error, or not supported");
            }
            let cli::NodeCommand { config, files: _, ext } = *command;
            run_node(config, Box::new(|builder| extend(builder, ext)))
        }
        Command::Config(_) => {
            for value in effective {
                let shown = value.value.as_deref().unwrap_or("-");
                println!("{:<45} {:<45} # {}", value.key, shown, value.source);
            }
            for name in suspicious_variables {
                eprintln!("warning: environment variable {name} is read by no option");
            }
            Ok(())
        }
        Command::Db(command) => {
            init_logs(&LogArgs { filter: TOOL_LOG.to_owned(), ..LogArgs::default() })?;
            db::run(command)
        }
        Command::Deposit(command) => {
            init_logs(&LogArgs { filter: TOOL_LOG.to_owned(), ..LogArgs::default() })?;
            CliRunner::try_default_runtime()?.block_on(deposit::run(command))
        }
        Command::VerifyBatch(command) => {
            init_logs(&LogArgs { filter: TOOL_LOG.to_owned(), ..LogArgs::default() })?;
            verify_batch::run(&command, CliRunner::try_default_runtime()?)
        }
    }
}

fn run_node(config: NodeConfig, extend: node::Extend) -> eyre::Result<()> {
    CliRunner::try_default_runtime()?.run_command_until_exit(|ctx| node::run(ctx, config, extend))
}

fn init_logs(args: &LogArgs) -> eyre::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)?,
        Err(_) => EnvFilter::try_new(&args.filter)?,
    };
    let builder = log_format().with_env_filter(filter).with_writer(progress::log_writer);
    match args.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Terminal => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(args.color && terminal).init();
            progress::draw_bars();
        }
    }
    Ok(())
}
