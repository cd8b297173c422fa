use super::{Counter, OnProgress, VerifyReport};
use crate::{
    REPOSITORY_DATABASE,
    db::Database,
    repository::{
        BLOCK_DATA, HASH_TO_NUMBER, NONCE_TO_HASH, NUMBER_TO_HASH, RECEIPTS, Repository, TX_META,
        stored_head,
    },
};
use alloy_consensus::{Transaction, TxReceipt};
use alloy_primitives::{Bloom, Keccak256};
use std::sync::Arc;
use zkos_primitives::{ReplayRecord, header_hash};
use zkos_storage_api::ProviderResult;

/// Compares blocks, receipts and indexes with the log, block by block.
pub(super) struct RepositoryCheck {
    db: Arc<Database>,
    repository: Repository,
    head: u64,
    transactions: u64,
    nonces: u64,
}

impl RepositoryCheck {
    pub(super) fn new(db: Arc<Database>, report: &mut VerifyReport) -> Option<Self> {
        let head = report.check(REPOSITORY_DATABASE, stored_head(&db))?;
        report.repository_block = head;
        let Some(head) = head else {
            report.problem(REPOSITORY_DATABASE, "it names no last block");
            return None;
        };
        let repository = Repository::over(db.clone(), head);
        Some(Self { db, repository, head, transactions: 0, nonces: 0 })
    }

    /// Looks at the block of a record.
    pub(super) fn block(&mut self, record: &ReplayRecord, report: &mut VerifyReport) {
        let number = record.block_number();
        if number > self.head {
            return;
        }
        match self.differences(record) {
            Ok(found) => {
                for what in found {
                    report.problem(REPOSITORY_DATABASE, format!("block {number}: {what}"));
                }
            }
            Err(error) => report
                .problem(REPOSITORY_DATABASE, format!("block {number}: {}", super::text(error))),
        }
    }

    fn differences(&mut self, record: &ReplayRecord) -> ProviderResult<Vec<String>> {
        let mut found = Vec::new();
        let number = record.block_number();
        let hash = record.block_hash;
        self.transactions += record.transactions.len() as u64;
        let Some(block) = self.repository.block(number)? else {
            return Ok(vec!["it is missing".to_owned()]);
        };
        if block.hash() != hash {
            found.push(format!("it is {}, in the block log {hash}", block.hash()));
        }
        let header = block.header();
        if header_hash(header) != block.hash() || header.number != number {
            found.push(format!("its header has hash {}", header_hash(header)));
        }
        if number > 0 && header.parent_hash != record.block_context.block_hashes.parent() {
            found.push(format!("its parent {} is not the block before it", header.parent_hash));
        }
        if self.repository.block_hash(number)? != Some(hash)
            || self.repository.block_number(hash)? != Some(number)
        {
            found.push("number and hash do not lead to each other".to_owned());
        }
        let stored = &block.body().transactions;
        if !stored.iter().map(|tx| tx.hash()).eq(record.transactions.iter().map(|tx| tx.hash()))
            || block.senders() != record.senders
        {
            found.push("its transactions are not those of the block log".to_owned());
        }
        for ((index, tx), sender) in (0u32..).zip(&record.transactions).zip(&record.senders) {
            let hash = *tx.hash();
            if self.repository.transaction(hash)? != Some((number, index)) {
                found.push(format!("transaction {hash} is not found by its hash"));
            }
            if !tx.is_from_l1() {
                self.nonces += 1;
                if self.repository.nonce(*sender, tx.nonce())? != Some(hash) {
                    found.push(format!("transaction {hash} is not found by sender and nonce"));
                }
            }
        }
        let Some(receipts) = self.repository.receipts(number)? else {
            found.push("its receipts are missing".to_owned());
            return Ok(found);
        };
        let types = receipts.iter().map(|receipt| receipt.tx_type);
        if !types.eq(record.transactions.iter().map(|tx| tx.tx_type())) {
            found.push("its receipts are not those of its transactions".to_owned());
        }
        let rising = receipts
            .windows(2)
            .all(|pair| pair[0].cumulative_gas_used <= pair[1].cumulative_gas_used);
        let gas = receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);
        if gas != header.gas_used || !rising {
            found.push(format!("its receipts used {gas} gas, its header says {}", header.gas_used));
        }
        let bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        if bloom != header.logs_bloom {
            found.push("the logs of its receipts do not give the bloom of its header".to_owned());
        }
        Ok(found)
    }

    /// Reads all columns: nothing may be there that belongs to no block.
    pub(super) fn finish(self, report: &mut VerifyReport, tell: &mut OnProgress<'_>) {
        let mut digest = Keccak256::new();
        let blocks = self.head.saturating_add(1);
        let expected = [
            (BLOCK_DATA, blocks),
            (RECEIPTS, blocks),
            (NUMBER_TO_HASH, blocks),
            (HASH_TO_NUMBER, blocks),
            (TX_META, self.transactions),
            (NONCE_TO_HASH, self.nonces),
        ];
        let all = expected.iter().map(|(_, expected)| expected).sum();
        let mut progress = Counter::new("repository entries", Some(all), tell);
        for (column, expected) in expected {
            let mut count = 0;
            let read = self.db.for_each(column, |key, value| {
                count += 1;
                progress.step();
                if matches!(column, BLOCK_DATA | RECEIPTS) {
                    digest.update(key);
                    digest.update(value);
                }
                Ok(())
            });
            report.check(REPOSITORY_DATABASE, read);
            report.counts.push((column, count));
            // With a log that is behind or damaged the transactions could not be counted.
            let counted = report.wal_block.is_some_and(|log| log >= self.head);
            if count != expected && counted {
                report.problem(
                    REPOSITORY_DATABASE,
                    format!("column {column} has {count} entries, the blocks need {expected}"),
                );
            }
        }
        report.digests.repository = Some(digest.finalize());
    }
}
