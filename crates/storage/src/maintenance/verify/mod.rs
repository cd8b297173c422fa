//! Checks of all databases against themselves and against each other, without executing anything.
//!
//! * `block_replay_wal`: every record decodes and passes its checksums, there is no gap, and each record goes on from the one before (hashes, timestamps, L1 ids)
//! * `repository`: each block is the one of the log, headers hash to their block hashes, receipts add up, every index entry leads where it should and none is left over
//! * `state`: the latest values are the newest ones of the history, nothing lies above the head
//! * `preimages`: every preimage has the hash under which it lies
//! * `tree`: the leaves hash to the recorded root and hold the values of the state at that version
//!
//! Reading everything makes RocksDB check every table block, too. A running node does not matter, except that its tree cannot be opened.

mod repository;
mod state;
mod tree;
mod wal;

use super::{Measure, OnProgress, TreeCommitment};
use crate::{
    PREIMAGES_DATABASE, REPOSITORY_DATABASE, STATE_DATABASE, StorageError, TREE_DATABASE,
    WAL_DATABASE,
    db::{ChainMarker, Database},
    journal,
    lock::DirLock,
    wal::{HEIGHT_FILE, HeightFile},
};
use alloy_primitives::B256;
use std::{fmt, path::Path, sync::Arc};
use zkos_storage_api::{ProviderError, ProviderResult};

/// Problems that are told; the others are counted.
const TOLD: usize = 100;
/// Entries between two calls of the progress function.
const PROGRESS_STEP: u64 = 10_000;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the database.
    pub database: &'static str,
    /// What is wrong, with block, key or file.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.database, self.what)
    }
}

/// Keccak-256 over the contents of the derived databases. Two directories with the same blocks have the same digests, however they came to them; `history` only where
/// the same old state is pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// Latest values.
    pub state: Option<B256>,
    /// Values of all blocks.
    pub history: Option<B256>,
    /// Preimages.
    pub preimages: Option<B256>,
    /// Blocks and receipts.
    pub repository: Option<B256>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Last block of the log.
    pub wal_block: Option<u64>,
    /// Last block of `state`.
    pub state_block: Option<u64>,
    /// First block whose state is readable.
    pub first_state_block: u64,
    /// Last block of `preimages`.
    pub preimages_block: Option<u64>,
    /// Last block of `repository`.
    pub repository_block: Option<u64>,
    /// State tree.
    pub tree: Option<TreeCommitment>,
    /// What was read, and how many of it.
    pub counts: Vec<(&'static str, u64)>,
    /// Contents.
    pub digests: Digests,
    /// What was not looked at, and why.
    pub skipped: Vec<String>,
    /// The first hundred problems.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
}

impl VerifyReport {
    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, database: &'static str, what: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(Problem { database, what: what.into() });
        }
    }

    /// Gives the value, or makes the error a problem.
    fn check<T>(&mut self, database: &'static str, result: ProviderResult<T>) -> Option<T> {
        result.map_err(|error| self.problem(database, text(error))).ok()
    }
}

/// What is wrong, without the name of the database.
fn text(error: ProviderError) -> String {
    match error {
        ProviderError::Database { message, .. } => message,
        ProviderError::Corrupt { key, reason, .. } => format!("key 0x{key}: {reason}"),
        other => other.to_string(),
    }
}

/// Calls a function now and then.
struct Counter<'a, 'b> {
    measure: Measure,
    tell: &'a mut OnProgress<'b>,
}

impl<'a, 'b> Counter<'a, 'b> {
    fn new(what: &'static str, of: Option<u64>, tell: &'a mut OnProgress<'b>) -> Self {
        Self { measure: Measure { what, done: 0, of }, tell }
    }

    fn step(&mut self) {
        self.measure.done += 1;
        if self.measure.done.is_multiple_of(PROGRESS_STEP) {
            (self.tell)(self.measure);
        }
    }
}

/// Entries of columns, estimated; `None` if that fails, which is no finding.
fn estimate(database: &Database, columns: &[&str]) -> Option<u64> {
    let stats = database.stats().ok()?;
    let of = stats.columns.iter().filter(|column| columns.contains(&column.name.as_str()));
    Some(of.map(|column| column.estimated_keys).sum())
}

/// Checks the databases in `path`. Problems do not end the check; `progress` is told what is being read and how far it is.
///
/// # Errors
/// When there is no block log in `path`.
pub fn verify(path: &Path, progress: &mut OnProgress<'_>) -> Result<VerifyReport, StorageError> {
    if !path.join(WAL_DATABASE).exists() {
        return Err(StorageError::Missing { database: WAL_DATABASE, path: path.to_owned() });
    }
    let mut report = VerifyReport::default();
    // Held to the end: a node must not start under a check of the tree.
    let lock = match DirLock::acquire(path) {
        Ok(lock) => Some(lock),
        Err(StorageError::Locked { pid, .. }) => {
            report.skipped.push(format!("tree: process {pid} has it open"));
            None
        }
        Err(error) => return Err(error),
    };
    let height = match &lock {
        Some(_) => HeightFile::open(path)?.1,
        None => None,
    };
    // A block reaches the log, then the preimages, then values and repository: opened in the opposite order none seems to be ahead of what it needs.
    let values = open(path, STATE_DATABASE, &mut report);
    let blocks = open(path, REPOSITORY_DATABASE, &mut report);
    let preimages = open(path, PREIMAGES_DATABASE, &mut report);
    let log = open(path, WAL_DATABASE, &mut report);
    if lock.is_some() {
        check_journals(path, &mut report);
    }
    let marker = check_markers([&log, &values, &blocks, &preimages], &mut report);

    if let Some(log) = log {
        wal::verify(log, blocks, height, &mut report, progress);
    }
    if let Some(preimages) = preimages {
        state::verify_preimages(&preimages, &mut report, progress);
    }
    if let Some(values) = values {
        state::verify_values(&values, &mut report, progress);
        if let (Some(_), Some(marker)) = (&lock, marker) {
            tree::verify_stored(path, &marker, &values, &mut report, progress);
        }
    }
    check_heads(&mut report);
    if let (Some(height), Some(last)) = (height, report.wal_block)
        && last < height
    {
        report.problem(
            WAL_DATABASE,
            format!("it ends at block {last}, {HEIGHT_FILE} says that block {height} was durable"),
        );
    }
    Ok(report)
}

fn open(path: &Path, name: &'static str, report: &mut VerifyReport) -> Option<Arc<Database>> {
    match Database::open_read_only(path, name) {
        Ok(database) => Some(Arc::new(database)),
        Err(StorageError::Missing { .. }) if !path.join(name).exists() => {
            report.skipped.push(format!("{name}: there is none"));
            None
        }
        Err(error) => {
            report.problem(name, error.to_string());
            None
        }
    }
}

/// Journals of a stopped node. What a crash cut off is no problem, the block log excepted if it lacks a durable block, which is looked at separately.
fn check_journals(path: &Path, report: &mut VerifyReport) {
    for name in super::DERIVED_DATABASES.into_iter().chain([WAL_DATABASE]) {
        let damages = journal::scan(&path.join(name)).unwrap_or_default();
        for damage in damages {
            if damage.kind != journal::JournalDamageKind::Cut {
                report.problem(name, damage.to_string());
            }
        }
    }
}

fn check_markers(
    databases: [&Option<Arc<Database>>; 4],
    report: &mut VerifyReport,
) -> Option<ChainMarker> {
    let mut first: Option<ChainMarker> = None;
    for database in databases.into_iter().flatten() {
        let Some(marker) = report.check(database.name(), database.marker()) else { continue };
        match first {
            None => first = Some(marker),
            Some(first) if first != marker => report.problem(
                database.name(),
                format!(
                    "it belongs to chain {}, the block log to {}",
                    marker.chain_id, first.chain_id
                ),
            ),
            Some(_) => {}
        }
    }
    first
}

fn check_heads(report: &mut VerifyReport) {
    let Some(log) = report.wal_block else { return };
    let heads = [
        (STATE_DATABASE, report.state_block),
        (PREIMAGES_DATABASE, report.preimages_block),
        (REPOSITORY_DATABASE, report.repository_block),
        (TREE_DATABASE, report.tree.map(|tree| tree.version)),
    ];
    for (database, head) in heads {
        if let Some(head) = head.filter(|head| *head > log) {
            report.problem(database, format!("it has block {head}, the block log ends at {log}"));
        }
    }
}
