//! The SQLite file.
//!
//! Rows and the block up to which they go are written in one transaction, so that the file is at every moment the index of a whole number of blocks: a killed node goes on
//! with the block after the last one in it.

use crate::transfer::Erc20Transfer;
use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, BlockNumber};
use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior, params, types::Type,
};
use std::{path::Path, time::Duration};
use zkos_exex::ExExNotification;
use zkos_storage_api::{Chain, ExecutedBlock};

/// Marks the file as ours, in its header: "erc2".
const APPLICATION_ID: i32 = 0x6572_6332;
/// Version of the schema below.
const SCHEMA_VERSION: i32 = 1;

// Addresses and hashes are text as RPC shows them, values are decimal text: SQLite's integers end at 63 bits.
const SCHEMA: &str = "
CREATE TABLE blocks (
    number    INTEGER PRIMARY KEY,
    hash      TEXT NOT NULL,
    timestamp INTEGER NOT NULL -- seconds since 1970
) STRICT;
CREATE TABLE transfers (
    block_number INTEGER NOT NULL REFERENCES blocks (number) ON DELETE CASCADE,
    log_index    INTEGER NOT NULL, -- within the block, as in eth_getLogs
    tx_hash      TEXT NOT NULL,
    token        TEXT NOT NULL COLLATE NOCASE,
    sender       TEXT NOT NULL COLLATE NOCASE,
    recipient    TEXT NOT NULL COLLATE NOCASE,
    value        TEXT NOT NULL,
    PRIMARY KEY (block_number, log_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_by_token ON transfers (token, block_number);
CREATE INDEX transfers_by_sender ON transfers (sender, block_number);
CREATE INDEX transfers_by_recipient ON transfers (recipient, block_number);
";

/// The index can't be used, or does not fit the chain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The file is a database of something else.
    #[error("the file is a database, but not of this index")]
    Foreign,
    /// The file was written by another release.
    #[error("the file has schema version {found}, this release reads {SCHEMA_VERSION}")]
    Version {
        /// What it has.
        found: i32,
    },
    /// The file is the index of another chain.
    #[error(
        "the file is the index of another chain: its genesis is {found}, the node's {expected}"
    )]
    OtherChain {
        /// Genesis hash in the file.
        found: String,
        /// Genesis hash of the node's chain.
        expected: B256,
    },
    /// A block is not the one that was indexed under its number, or does not follow it.
    #[error("block {number} is {indexed} in the index and {canonical} on the chain")]
    Mismatch {
        /// Number of the block.
        number: BlockNumber,
        /// Hash in the file.
        indexed: String,
        /// Hash on the chain.
        canonical: B256,
    },
    /// Blocks between the indexed and the new ones were not delivered.
    #[error("block {first} does not follow the last indexed block {last}")]
    Gap {
        /// First new block.
        first: BlockNumber,
        /// Last indexed block.
        last: BlockNumber,
    },
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    connection: Connection,
}

impl Index {
    /// Opens the index of the chain with this genesis; makes it if there is no file.
    ///
    /// # Errors
    /// The file can't be opened, or is not the index of this chain.
    pub(crate) fn open(path: &Path, genesis: B256) -> Result<Self, IndexError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        // Readers do not stop the node, nor the node them. What the last seconds before a power failure wrote may be missing then, but never a part of a transaction;
        // the node delivers it again.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let pragma = |name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let tables: i64 =
            tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (pragma("application_id")?, pragma("user_version")?) {
            (APPLICATION_ID, SCHEMA_VERSION) => {}
            (APPLICATION_ID, found) => return Err(IndexError::Version { found }),
            (0, 0) if tables == 0 => {
                tx.execute_batch(SCHEMA)?;
                tx.execute(
                    "INSERT INTO blocks (number, hash, timestamp) VALUES (0, ?1, 0)",
                    [genesis.to_string()],
                )?;
                tx.pragma_update(None, "application_id", APPLICATION_ID)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            _ => return Err(IndexError::Foreign),
        }
        match indexed_hash(&tx, 0)? {
            Some(found) if found == genesis.to_string() => {}
            found => {
                let found = found.unwrap_or_default();
                return Err(IndexError::OtherChain { found, expected: genesis });
            }
        }
        tx.commit()?;
        Ok(Self { connection })
    }

    /// The last indexed block.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn head(&mut self) -> Result<BlockNumHash, IndexError> {
        head(&self.connection.transaction()?)
    }

    /// Takes over what a notification says, all of it or nothing, and gives the last indexed block then. Blocks that are in the index already are compared and left as they are.
    ///
    /// # Errors
    /// The blocks do not fit those in the index; SQLite's.
    pub(crate) fn apply(
        &mut self,
        notification: &ExExNotification,
    ) -> Result<BlockNumHash, IndexError> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(old) = notification.reverted_chain() {
            revert(&tx, &old)?;
        }
        if let Some(new) = notification.committed_chain() {
            append(&tx, &new)?;
        }
        let head = head(&tx)?;
        tx.commit()?;
        Ok(head)
    }
}

fn head(tx: &Transaction<'_>) -> Result<BlockNumHash, IndexError> {
    let mut last =
        tx.prepare_cached("SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1")?;
    // The transaction that made the table put block 0 into it.
    Ok(last.query_row([], |row| {
        let hash: String = row.get(1)?;
        let hash = hash.parse::<B256>().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error))
        })?;
        Ok(BlockNumHash::new(row.get(0)?, hash))
    })?)
}

fn indexed_hash(tx: &Transaction<'_>, number: BlockNumber) -> Result<Option<String>, IndexError> {
    let mut query = tx.prepare_cached("SELECT hash FROM blocks WHERE number = ?1")?;
    Ok(query.query_row([number], |row| row.get(0)).optional()?)
}

/// Compares a block with the one that is indexed under its number, if any.
fn check(tx: &Transaction<'_>, number: BlockNumber, hash: B256) -> Result<bool, IndexError> {
    match indexed_hash(tx, number)? {
        None => Ok(false),
        Some(indexed) if indexed == hash.to_string() => Ok(true),
        Some(indexed) => Err(IndexError::Mismatch { number, indexed, canonical: hash }),
    }
}

fn append(tx: &Transaction<'_>, chain: &Chain) -> Result<(), IndexError> {
    for block in chain.blocks() {
        let number = block.number();
        if check(tx, number, block.hash())? {
            continue;
        }
        let parent = number.saturating_sub(1);
        if !check(tx, parent, block.block.header().parent_hash())? {
            return Err(IndexError::Gap { first: number, last: head(tx)?.number });
        }
        insert(tx, block)?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, block: &ExecutedBlock) -> Result<(), IndexError> {
    let number = block.number();
    let timestamp = block.block.header().timestamp();
    tx.prepare_cached("INSERT INTO blocks (number, hash, timestamp) VALUES (?1, ?2, ?3)")?
        .execute(params![number, block.hash().to_string(), timestamp])?;
    let mut row = tx.prepare_cached(
        "INSERT INTO transfers (block_number, log_index, tx_hash, token, sender, recipient, value)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut log_index = 0_u64;
    for (transaction, receipt) in block.record.transactions.iter().zip(block.receipts.iter()) {
        for log in &receipt.logs {
            if let Some(transfer) = Erc20Transfer::decode(log) {
                let Erc20Transfer { token, sender, recipient, value } = transfer;
                row.execute(params![
                    number,
                    log_index,
                    transaction.hash().to_string(),
                    token.to_string(),
                    sender.to_string(),
                    recipient.to_string(),
                    value.to_string(),
                ])?;
            }
            log_index += 1;
        }
    }
    Ok(())
}

/// Takes blocks out again, with their transfers.
fn revert(tx: &Transaction<'_>, chain: &Chain) -> Result<(), IndexError> {
    for block in chain.blocks() {
        check(tx, block.number(), block.hash())?;
    }
    tx.prepare_cached("DELETE FROM blocks WHERE number >= ?1")?
        .execute([chain.first().number()])?;
    Ok(())
}

#[cfg(test)]
mod tests;
