//! Load program: sends signed native transfers to a local node over JSON-RPC and measures how fast they are included.
//!
//! *What it is for.* One program for every node under comparison: it uses nothing but standard `eth_` methods, signs everything before the clock starts, and keeps its own work
//! per transaction small (prepared request bodies, keep-alive connections, a minimal HTTP client).
//!
//! *What it must not do.* It talks to loopback addresses only, and it ends after `--seconds` whatever the node does.
//!
//! *What else it does.* `zkos-load reads` measures answers instead of inclusion, see [`reads`].
//!
//! *How a run goes.* Accounts are derived from the rich key, funded where needed, the transfers are signed, then every connection submits the transfers of its accounts in
//! the order of nonces. A transfer counts as included when the sender's nonce at `latest` has passed it.

mod accounts;
mod http;
mod reads;
mod report;
mod rpc;

use accounts::{Accounts, Fees};
use alloy_primitives::B256;
use clap::{Args as ClapArgs, Parser, Subcommand};
use eyre::{Result, WrapErr, bail, ensure};
use http::Target;
use reads::Reads;
use report::{Latencies, Report};
use rpc::Rpc;
use std::{
    collections::VecDeque,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{runtime::Builder, sync::watch};

/// How often inclusion is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The run ends when nothing was included for this long after the last submission (a refused transfer blocks those behind it).
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// Sends native transfers to a local node and measures how fast they are included
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    transfers: Option<Args>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure reads instead of transfers
    #[command(subcommand)]
    Reads(Reads),
}

#[derive(Debug, ClapArgs)]
struct Args {
    /// HTTP JSON-RPC endpoint; loopback only
    #[arg(long, value_name = "URL")]
    rpc_url: url::Url,
    /// Sending accounts
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    accounts: u64,
    /// Transfers in total
    #[arg(long, value_name = "M", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    txs: u64,
    /// The whole run, funding and signing included, ends after this time
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Private key of an account that can fund the others
    #[arg(long, value_name = "KEY", hide_env_values = true, env = "ZKOS_LOAD_RICH_KEY")]
    rich_key: B256,
    /// Expected chain id; default: what the node says
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// Connections that submit
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    connections: u64,
    /// Transactions per request; more than one makes batches
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Cli { command, transfers } = Cli::parse();
    let done = match (command, transfers) {
        // One thread, that what is measured has the other cores.
        (Some(Command::Reads(reads)), _) => {
            block_on(Builder::new_current_thread(), reads.execute())
        }
        (None, Some(transfers)) => block_on(Builder::new_multi_thread(), print_report(&transfers)),
        (None, None) => Err(eyre::eyre!("nothing to do, see --help")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(mut runtime: Builder, command: impl Future<Output = Result<()>>) -> Result<()> {
    runtime.enable_all().build()?.block_on(command)
}

async fn print_report(args: &Args) -> Result<()> {
    let limit = Duration::from_secs(args.seconds);
    let report = run(args, Instant::now() + limit).await?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    ensure!(report.included > 0, "no transaction was included");
    Ok(())
}

async fn run(args: &Args, deadline: Instant) -> Result<Report> {
    let target = Target::new(&args.rpc_url)?;
    let prepare = async {
        let mut rpc = Rpc::connect(&target).await?;
        let chain_id = rpc.chain_id().await?;
        if let Some(expected) = args.chain_id {
            ensure!(chain_id == expected, "the node has chain id {chain_id}, expected {expected}");
        }
        let mut accounts = Accounts::derive(args.rich_key, args.accounts, chain_id)?;
        let fees = Fees::from_node(&mut rpc, &accounts).await?;
        let per_account = args.txs.div_ceil(args.accounts);
        accounts.fund(&mut rpc, &fees, per_account).await.wrap_err("funding failed")?;
        accounts.load_nonces(&mut rpc).await?;
        let (count, batch) = (args.txs, args.batch as usize);
        let connections = args.connections.min(args.accounts) as usize;
        let queues = accounts.sign(&fees, count, connections, batch).await?;
        Ok::<_, eyre::Report>((rpc, accounts, queues))
    };
    let (mut rpc, accounts, queues) = match tokio::time::timeout_at(deadline.into(), prepare).await
    {
        Ok(prepared) => prepared?,
        Err(_) => bail!("the time limit passed while accounts were funded and transfers signed"),
    };

    let started = Instant::now();
    let mut submitters = Vec::new();
    for queue in queues {
        let target = target.clone();
        submitters.push(tokio::spawn(submit(target, queue, deadline)));
    }
    let (outstanding, expected) = watch::channel(Expected { count: args.txs, last: None });
    let watcher = watch_inclusion(&mut rpc, &accounts, expected, started, deadline);
    let submitting = async {
        let mut total = Submitted::default();
        for submitter in submitters {
            total.add(submitter.await??);
        }
        outstanding.send_replace(Expected { count: total.accepted, last: Some(Instant::now()) });
        Ok::<_, eyre::Report>((total, started.elapsed()))
    };
    let (submitted, (included, inclusion_time)) = tokio::try_join!(submitting, watcher)?;
    let (submitted, submission_time) = submitted;
    Ok(Report::new(
        submitted.accepted,
        submitted.rejected,
        submitted.first_error,
        included,
        args.txs,
        submission_time,
        inclusion_time,
        submitted.latencies,
    ))
}

/// What a connection has done.
#[derive(Debug, Default)]
struct Submitted {
    accepted: u64,
    rejected: u64,
    first_error: Option<String>,
    latencies: Latencies,
}

impl Submitted {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latencies.merge(other.latencies);
    }
}

/// A prepared request.
#[derive(Debug)]
struct Prepared {
    body: Vec<u8>,
    transactions: u64,
}

/// Submits requests one after the other on one connection, until they are done or the time is over.
async fn submit(
    target: Target,
    mut queue: VecDeque<Prepared>,
    deadline: Instant,
) -> Result<Submitted> {
    let mut done = Submitted::default();
    let mut connection = target.connect().await?;
    while let Some(request) = queue.pop_front() {
        let sent = Instant::now();
        let response = tokio::time::timeout_at(deadline.into(), connection.post(&request.body));
        let Ok(response) = response.await else { break };
        let response = response?;
        done.latencies.record(sent.elapsed());
        match rpc::first_error(response) {
            (0, _) => done.accepted += request.transactions,
            (errors, message) => {
                let errors = errors.min(request.transactions);
                done.rejected += errors;
                done.accepted += request.transactions - errors;
                done.first_error = done.first_error.take().or(message);
            }
        }
    }
    Ok(done)
}

/// What inclusion waits for.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// Transfers that the node took, or is to take.
    count: u64,
    /// When the last one was submitted.
    last: Option<Instant>,
}

/// Waits until all transfers are included, nothing moves any more, or the time is over. Returns their number and the time of the last progress.
async fn watch_inclusion(
    rpc: &mut Rpc,
    accounts: &Accounts,
    expected: watch::Receiver<Expected>,
    started: Instant,
    deadline: Instant,
) -> Result<(u64, Duration)> {
    let (mut included, mut last_progress) = (0, started);
    let mut mines_on_request = true;
    while Instant::now() < deadline {
        let counted = tokio::time::timeout_at(deadline.into(), accounts.included(rpc)).await;
        let Ok(counted) = counted else { break };
        let counted = counted?;
        if counted > included {
            (included, last_progress) = (counted, Instant::now());
        }
        let expected = *expected.borrow();
        let stalled =
            expected.last.is_some_and(|last| last.max(last_progress).elapsed() > STALL_LIMIT);
        if included >= expected.count || stalled {
            break;
        }
        // anvil's automine forgets transactions that arrive while it makes a block. Mining them is what it would do if it noticed.
        let idle = last_progress.elapsed() >= 2 * POLL_INTERVAL;
        if mines_on_request && idle && expected.last.is_some() {
            let mined = tokio::time::timeout_at(deadline.into(), rpc.mine()).await;
            mines_on_request = matches!(mined, Ok(Ok(())));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok((included, last_progress - started))
}
