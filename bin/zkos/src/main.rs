//! The `zkos` program: a node for ZKsync OS chains, and its tools. Wiring only.

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

use cli::{Command, Parsed};
use std::process::ExitCode;
use tracing::warn;
use tracing_subscriber::{EnvFilter, fmt};
use zkos_node::CliRunner;
use zkos_node_core::args::{LogArgs, LogFormat};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> eyre::Result<()> {
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let Parsed { cli, effective, suspicious_variables } = cli::parse(std::env::args_os(), vars)?;
    // Two TLS stacks may be linked; the first use must not have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli.command {
        Command::Node(command) => {
            init_logs(&command.config.log)?;
            for name in suspicious_variables {
                warn!(target: "zkos::cli", name, "environment variable is read by no option; a typing error, or not supported");
            }
            CliRunner::try_default_runtime()?
                .run_command_until_exit(|ctx| node::run(ctx, command.config))
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
            init_logs(&LogArgs { filter: "warn".to_owned(), ..LogArgs::default() })?;
            db::run(command)
        }
        Command::Deposit(command) => {
            init_logs(&LogArgs { filter: "warn".to_owned(), ..LogArgs::default() })?;
            CliRunner::try_default_runtime()?.block_on(deposit::run(command))
        }
        Command::VerifyBatch(command) => {
            init_logs(&LogArgs { filter: "warn".to_owned(), ..LogArgs::default() })?;
            verify_batch::run(&command, CliRunner::try_default_runtime()?)
        }
    }
}

fn init_logs(args: &LogArgs) -> eyre::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)?,
        Err(_) => EnvFilter::try_new(&args.filter)?,
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Terminal => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(args.color && terminal).init();
        }
    }
    Ok(())
}
