//! Kills a node under load, again and again, and looks for what is lost.
//!
//! *What it is for.* One cycle: the node runs, accounts send transfers and every receipt that the node shows is noted with its block; at a moment that the seed decides the
//! node is killed with SIGKILL, sometimes while it is still starting; sometimes derived databases are deleted then; the node is started again, and what it had shown is asked for
//! again. Now and then, and at the end, the node is stopped in order and `zkos db verify` looks at all databases. At last all derived databases are deleted, filled again
//! by executing every block, and compared with what they were: the same block hashes, the same contents.
//!
//! *What it must not do.* It knows nothing of the inside of the node: the program, its JSON-RPC and its `db` commands are all that it uses.

mod journal;
mod load;
mod process;
mod rng;
mod rpc;

use eyre::{Result, WrapErr, bail, ensure};
use journal::{Journal, compare};
use load::Accounts;
use process::{L1, Node, rich_key, wait_for};
use rng::Rng;
use serde_json::Value;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// What can be deleted and is refilled.
const DERIVED_DATABASES: [&str; 4] = ["state", "preimages", "repository", "tree"];
/// Longest time under load before the kill.
const LONGEST_RUN: Duration = Duration::from_millis(2_500);
/// Longest time from the start of the process to a kill during start-up.
const LONGEST_START: Duration = Duration::from_millis(1_500);
/// How many kills out of a hundred come during start-up.
const START_KILLS: u64 = 20;
/// How many restarts out of a hundred find databases deleted.
const DELETIONS: u64 = 30;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Times that the node is killed.
    pub cycles: u64,
    /// Decides moments and databases.
    pub seed: u64,
    /// The node's program.
    pub zkos: PathBuf,
    /// Directory with `bin/anvil`, `zkos-l1-state.json` and `deployment.json`.
    pub l1: PathBuf,
    /// Sending accounts.
    pub accounts: usize,
    /// Cycles between two checks of all databases.
    pub verify_every: u64,
    /// Where everything goes; `None`: a new directory, deleted if nothing is wrong.
    pub dir: Option<PathBuf>,
}

/// What came of it. Displayed as one line.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Kills and restarts that were gone through.
    pub cycles: u64,
    /// Acknowledged transactions and blocks that were not there later.
    pub lost: u64,
    /// Acknowledged transactions and blocks that were another later, and differences after the replay from scratch.
    pub divergent: u64,
    /// Time that everything took.
    pub seconds: u64,
    /// Acknowledged transactions.
    pub acknowledged: u64,
    /// Last block.
    pub blocks: u64,
    /// What went wrong, in words.
    pub failures: Vec<String>,
    /// The directory, if it was not deleted.
    pub kept: Option<PathBuf>,
}

impl Outcome {
    /// Whether all cycles were gone through and nothing was wrong.
    pub const fn is_success(&self) -> bool {
        self.lost == 0 && self.divergent == 0 && self.failures.is_empty()
    }

    fn add(&mut self, difference: journal::Difference) {
        self.lost += difference.lost.len() as u64;
        self.divergent += difference.divergent.len() as u64;
        self.failures.extend(difference.lost.into_iter().map(|what| format!("lost: {what}")));
        self.failures
            .extend(difference.divergent.into_iter().map(|what| format!("divergent: {what}")));
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycles, lost, divergent, seconds, .. } = self;
        write!(f, "cycles={cycles} lost={lost} divergent={divergent} seconds={seconds}")
    }
}

/// Goes through all cycles. Failures are in the outcome.
pub async fn run(options: Options) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    let (dir, temporary) = match work_dir(&options) {
        Ok(found) => found,
        Err(error) => {
            outcome.failures.push(format!("{error:#}"));
            return outcome;
        }
    };
    if let Err(error) = torture(&options, &dir, &mut outcome).await {
        outcome.failures.push(format!("{error:#}"));
    }
    outcome.seconds = started.elapsed().as_secs();
    match temporary {
        // Dropped: deleted.
        Some(_) if outcome.is_success() => {}
        Some(temporary) => outcome.kept = Some(temporary.keep()),
        None => outcome.kept = Some(dir),
    }
    outcome
}

fn work_dir(options: &Options) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(dir) = &options.dir {
        std::fs::create_dir_all(dir).wrap_err_with(|| format!("can't create {}", dir.display()))?;
        return Ok((dir.clone(), None));
    }
    let dir = tempfile::Builder::new().prefix("zkos-torture").tempdir()?;
    Ok((dir.path().to_owned(), Some(dir)))
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(|error| error.into_inner())
}

async fn torture(options: &Options, dir: &Path, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(options.seed);
    let l1 = L1::start(&options.l1, dir).await?;
    let zkos = std::path::absolute(&options.zkos)?;
    let mut node = Node::new(zkos, dir, l1.port)?;
    node.spawn()?;
    node.wait_ready().await?;
    let accounts = Accounts::new(&node.rpc, &rich_key(&options.l1)?, options.accounts).await?;
    accounts.fund(&node.rpc).await?;
    let journal = Arc::new(Mutex::new(Journal::create(&dir.join("journal"))?));

    for cycle in 1..=options.cycles {
        lock(&journal).mark();
        run_and_kill(&mut node, &accounts, &journal, &mut rng).await?;
        let deleted =
            if rng.chance(DELETIONS) { delete_some(&node, &mut rng)? } else { Vec::new() };
        let restarted = Instant::now();
        node.spawn()?;
        if rng.chance(START_KILLS) {
            tokio::time::sleep(rng.duration(LONGEST_START)).await;
            node.kill()?;
            node.spawn()?;
        }
        node.wait_ready().await?;
        let elapsed = restarted.elapsed();
        look(&node, &journal, &mut rng, false, outcome).await?;
        outcome.cycles = cycle;
        if options.verify_every > 0 && cycle.is_multiple_of(options.verify_every) {
            node.stop().await?;
            verify(&node)?;
            node.spawn()?;
            node.wait_ready().await?;
        }
        let acknowledged = lock(&journal).len();
        eprintln!(
            "cycle {cycle}: block {}, {acknowledged} receipts, deleted [{}], restart {:.1} s, lost {}, divergent {}",
            lock(&journal).head(),
            deleted.join(" "),
            elapsed.as_secs_f64(),
            outcome.lost,
            outcome.divergent
        );
    }
    outcome.acknowledged = lock(&journal).len() as u64;
    settle(&node, &accounts).await?;
    replay_from_scratch(&mut node, &journal, &mut rng, outcome).await
}

/// Puts the node under load and kills it. Returns once the senders have noticed.
async fn run_and_kill(
    node: &mut Node,
    accounts: &Accounts,
    journal: &Arc<Mutex<Journal>>,
    rng: &mut Rng,
) -> Result<()> {
    let before = lock(journal).len();
    let mut senders = accounts.send(&node.rpc, journal);
    // In full flow: receipts come in.
    wait_for("receipts", || async { (lock(journal).len() > before).then_some(()) }).await?;
    tokio::time::sleep(rng.duration(LONGEST_RUN)).await;
    node.check_alive()?;
    // A sender that stopped earlier has met an error of a living node.
    if let Some(ended) = senders.try_join_next() {
        ended?.wrap_err("an account can't send any more")?;
        bail!("an account has stopped sending");
    }
    node.kill()?;
    while let Some(ended) = senders.join_next().await {
        // The error is that of a connection to a killed node.
        ensure!(ended?.is_err(), "an account has stopped sending");
    }
    Ok(())
}

/// Deletes derived databases: as the tool does it, or with `rm`.
fn delete_some(node: &Node, rng: &mut Rng) -> Result<Vec<&'static str>> {
    let mask = 1 + rng.below((1 << DERIVED_DATABASES.len()) - 1);
    let chosen: Vec<&str> = DERIVED_DATABASES
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| name)
        .collect();
    if rng.chance(50) {
        let args: Vec<&str> = std::iter::once("rebuild").chain(chosen.iter().copied()).collect();
        node.db(&args)?;
    } else {
        for name in &chosen {
            let path = node.datadir.join(name);
            if path.exists() {
                std::fs::remove_dir_all(&path)
                    .wrap_err_with(|| format!("can't delete {}", path.display()))?;
            }
        }
    }
    Ok(chosen)
}

/// Compares what was acknowledged with what the node has now.
async fn look(
    node: &Node,
    journal: &Mutex<Journal>,
    rng: &mut Rng,
    all: bool,
    outcome: &mut Outcome,
) -> Result<()> {
    let (chosen, shown) = {
        let journal = lock(journal);
        (journal.choose(rng, all), journal.head())
    };
    let head = node.rpc.block_number().await?;
    if head < shown {
        outcome.lost += 1;
        outcome.failures.push(format!("lost: blocks {} to {shown}", head + 1));
    }
    outcome.add(compare(&node.rpc, &chosen).await?);
    let divergent = lock(journal).take_divergent();
    outcome.add(journal::Difference { divergent, ..Default::default() });
    Ok(())
}

/// Waits until nothing is under way.
async fn settle(node: &Node, accounts: &Accounts) -> Result<()> {
    let addresses = accounts.addresses();
    wait_for("the last transfers", || async {
        let pending = node.rpc.nonces(&addresses, "pending").await.ok()?;
        let latest = node.rpc.nonces(&addresses, "latest").await.ok()?;
        (pending == latest).then_some(())
    })
    .await
}

/// Runs `zkos db verify`, which fails when it finds something.
fn verify(node: &Node) -> Result<Value> {
    Ok(serde_json::from_str(&node.db(&["verify", "--json"])?)?)
}

/// Deletes everything that can be derived, lets the node execute all blocks again, and compares.
async fn replay_from_scratch(
    node: &mut Node,
    journal: &Mutex<Journal>,
    rng: &mut Rng,
    outcome: &mut Outcome,
) -> Result<()> {
    look(node, journal, rng, true, outcome).await?;
    let head = node.rpc.block_number().await?;
    outcome.blocks = head;
    let numbers: Vec<u64> = (0..=head).collect();
    let hashes = node.rpc.block_hashes(&numbers).await?;
    node.stop().await?;
    let before = verify(node)?;
    let args: Vec<&str> = std::iter::once("rebuild").chain(DERIVED_DATABASES).collect();
    node.db(&args)?;

    let started = Instant::now();
    node.spawn()?;
    node.wait_ready().await?;
    eprintln!("{head} blocks executed again in {:.1} s", started.elapsed().as_secs_f64());
    look(node, journal, rng, true, outcome).await?;
    let again = node.rpc.block_hashes(&numbers).await?;
    for ((number, before), after) in numbers.iter().zip(&hashes).zip(&again) {
        if before.is_none() || before != after {
            outcome.divergent += 1;
            outcome.failures.push(format!("divergent: block {number} {before:?} {after:?}"));
        }
    }
    ensure!(node.rpc.block_number().await? == head, "blocks were made while nothing was sent");
    node.stop().await?;
    let after = verify(node)?;
    let mut compared =
        vec!["walBlock", "stateBlock", "preimagesBlock", "repositoryBlock", "digests"];
    // The tree follows behind; its leaves have been compared with the state at whatever version it has.
    if before["tree"]["version"] == after["tree"]["version"] {
        compared.push("tree");
    }
    for key in compared {
        if before[key] != after[key] {
            outcome.divergent += 1;
            outcome.failures.push(format!(
                "divergent: {key} was {}, after the replay {}",
                before[key], after[key]
            ));
        }
    }
    Ok(())
}
