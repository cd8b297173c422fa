use super::{Counter, OnProgress, VerifyReport, repository::RepositoryCheck};
use crate::{WAL_DATABASE, db::Database, wal::Wal};
use std::sync::Arc;
use zkos_primitives::{BlockHashes, ReplayRecord};

/// Reads the log from the beginning and, beside it, the blocks that were made of it.
pub(super) fn verify(
    log: Arc<Database>,
    blocks: Option<Arc<Database>>,
    durable: Option<u64>,
    report: &mut VerifyReport,
    tell: &mut OnProgress<'_>,
) {
    let marker = report.check(WAL_DATABASE, log.marker());
    let wal = Wal::new(log);
    let latest = match report.check(WAL_DATABASE, wal.latest()) {
        Some(Some(latest)) => latest,
        Some(None) => {
            report.problem(WAL_DATABASE, "it is empty");
            return;
        }
        // The pointer is damaged: the records may be there nevertheless.
        None => durable.unwrap_or_default(),
    };
    report.wal_block = Some(latest);
    let mut repository = blocks.and_then(|blocks| RepositoryCheck::new(blocks, report));
    let mut previous: Option<Previous> = None;
    let mut transactions = 0;
    let mut progress = Counter::new("blocks", Some(latest.saturating_add(1)), tell);
    for number in 0..=latest {
        match report.check(WAL_DATABASE, wal.record(number)) {
            Some(Some(record)) => {
                transactions += record.transactions.len() as u64;
                if let Some(previous) = &previous {
                    for what in previous.compare(&record) {
                        report.problem(WAL_DATABASE, format!("block {number}: {what}"));
                    }
                }
                if let Some(marker) = marker
                    && number > 0
                    && record.block_context.chain_id != marker.chain_id
                {
                    let found = record.block_context.chain_id;
                    report.problem(WAL_DATABASE, format!("block {number}: it is of chain {found}"));
                }
                if let Some(repository) = &mut repository {
                    repository.block(&record, report);
                }
                previous = Some(Previous::of(&record));
            }
            Some(None) => {
                report.problem(WAL_DATABASE, format!("block {number}: there is no record"));
                previous = None;
            }
            None => previous = None,
        }
        progress.step();
    }
    if let Some(Some((column, last))) = report.check(WAL_DATABASE, wal.beyond(latest)) {
        report.problem(
            WAL_DATABASE,
            format!("column {column} ends with key {last} instead of block {latest}"),
        );
    }
    report.counts.push(("blocks", latest.saturating_add(1)));
    report.counts.push(("transactions", transactions));
    if let Some(repository) = repository {
        repository.finish(report, tell);
    }
}

/// What the next record must go on from.
struct Previous {
    next_hashes: BlockHashes,
    timestamp: u64,
    next_l1_id: u64,
    genesis: bool,
}

impl Previous {
    fn of(record: &ReplayRecord) -> Self {
        let from_l1 = record.transactions.iter().filter(|tx| tx.as_l1().is_some()).count();
        Self {
            next_hashes: record.block_context.block_hashes.next(record.block_hash),
            timestamp: record.block_context.timestamp,
            next_l1_id: record.starting_l1_priority_id + from_l1 as u64,
            genesis: record.block_number() == 0,
        }
    }

    fn compare(&self, record: &ReplayRecord) -> Vec<String> {
        let mut found = Vec::new();
        let context = &record.block_context;
        if context.block_hashes.parent() != self.next_hashes.parent() {
            found.push(format!(
                "its parent is {}, the block before it is {}",
                context.block_hashes.parent(),
                self.next_hashes.parent()
            ));
        } else if context.block_hashes != self.next_hashes {
            found.push("its window of block hashes is not that of the blocks before it".to_owned());
        }
        if record.previous_block_timestamp != self.timestamp {
            found.push(format!(
                "it goes on from timestamp {}, the block before it has {}",
                record.previous_block_timestamp, self.timestamp
            ));
        }
        if context.timestamp < self.timestamp {
            found.push(format!("its timestamp {} is before {}", context.timestamp, self.timestamp));
        }
        if record.starting_l1_priority_id != self.next_l1_id && !self.genesis {
            found.push(format!(
                "it begins at L1 transaction {}, the block before it ended before {}",
                record.starting_l1_priority_id, self.next_l1_id
            ));
        }
        found
    }
}
