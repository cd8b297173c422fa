//! The write-ahead log of blocks: database `block_replay_wal`.
//!
//! One record per block, spread over columns, keyed by block number (8 bytes big endian); column `latest` holds the number of the last one. A group of records and the
//! new `latest` are one synced batch: a crash leaves whole groups only.

mod height;
mod record;
mod writer;

pub use height::HEIGHT_FILE;

pub(crate) use height::HeightFile;
pub(crate) use writer::WalWriter;

use crate::{
    StorageError,
    db::{ChainMarker, Column, ColumnKind, Database, DbEnv},
    journal,
};
use alloy_primitives::B256;
use parking_lot::Mutex;
use record::RecordError;
use rocksdb::WriteBatch;
use std::{path::Path, sync::Arc};
use zkos_primitives::{BLOCK_HASHES_LEN, BlockHashes, ReplayRecord};
use zkos_storage_api::{ProviderError, ProviderResult, may_use_disk, not_in_memory};

/// Name of the database.
pub const WAL_DATABASE: &str = "block_replay_wal";

const LATEST: &str = "latest";
const LATEST_KEY: &[u8] = b"latest_block";

/// The log as its readers see it, and the raw write of a group.
#[derive(Debug)]
pub(crate) struct Wal {
    db: Arc<Database>,
    // Hash window of the block that a sequential reader asks for next.
    read_window: Mutex<Option<(u64, BlockHashes)>>,
}

/// What a batch of records wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupCommit {
    pub(crate) blocks: usize,
    pub(crate) bytes: usize,
    pub(crate) last: u64,
}

/// Hashes by which a stored block is compared with a given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHashes {
    pub(crate) block_hash: B256,
    pub(crate) output_hash: B256,
}

impl Wal {
    pub(crate) fn open(
        env: &DbEnv,
        dir: &Path,
        marker: &ChainMarker,
    ) -> Result<Self, StorageError> {
        let mut columns =
            record::RECORD_COLUMNS.map(|name| Column::new(name, ColumnKind::Log)).to_vec();
        columns.push(Column::new(LATEST, ColumnKind::Log));
        Ok(Self::new(Database::open(env, dir, WAL_DATABASE, &columns, marker)?))
    }

    /// Opens the log in `dir` for reading; error if it ends before block `durable`. Opening it for writing removes what lies behind a damaged place of its journal.
    pub(crate) fn check_end(dir: &Path, durable: u64) -> Result<Self, StorageError> {
        let log = Self::new(Arc::new(Database::open_read_only(dir, WAL_DATABASE)?));
        let found = log.latest()?.unwrap_or_default();
        if found >= durable {
            return Ok(log);
        }
        let journals = journal::scan(log.db.path()).unwrap_or_default();
        let journal = journals.first().map(|damage| format!("{damage}; ")).unwrap_or_default();
        let witness = dir.join(HEIGHT_FILE).display().to_string();
        Err(StorageError::LogCut { path: dir.to_owned(), found, durable, witness, journal })
    }

    pub(crate) const fn new(db: Arc<Database>) -> Self {
        Self { db, read_window: Mutex::new(None) }
    }

    /// Number of the last record; `None` in an empty log.
    pub(crate) fn latest(&self) -> ProviderResult<Option<u64>> {
        let Some(value) = self.db.get(LATEST, LATEST_KEY)? else { return Ok(None) };
        record::unseal(LATEST, LATEST_KEY, &value)
            .and_then(|payload| record::number_of(LATEST, payload))
            .map(Some)
            .map_err(|error| self.db.corrupt(LATEST_KEY, error.to_string()))
    }

    /// Record of a block; `None` when there is none. All columns are read from one snapshot.
    pub(crate) fn record(&self, number: u64) -> ProviderResult<Option<ReplayRecord>> {
        if !may_use_disk() {
            // A record is big, and mostly read once.
            return Err(not_in_memory());
        }
        let key = number.to_be_bytes();
        let snapshot = self.db.raw().snapshot();
        let mut values: Vec<Option<Vec<u8>>> = Vec::with_capacity(record::RECORD_COLUMNS.len());
        for column in record::RECORD_COLUMNS {
            let value = snapshot
                .get_cf(self.db.column(column)?, key)
                .map_err(|error| self.db.error(&error))?;
            values.push(value);
        }
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut slices: [&[u8]; 10] = [&[]; 10];
        for ((slice, value), column) in slices.iter_mut().zip(&values).zip(record::RECORD_COLUMNS) {
            *slice = value
                .as_deref()
                .ok_or_else(|| self.db.corrupt(key, format!("column {column} has no value")))?;
        }
        let decoded =
            record::decode(number, slices).map_err(|error| self.corrupt(number, &error))?;
        let mut record = decoded.record;
        if decoded.hashes_derived {
            record.block_context.block_hashes = self.window(number)?;
        }
        let next = record.block_context.block_hashes.next(record.block_hash);
        *self.read_window.lock() = Some((number.saturating_add(1), next));
        Ok(Some(record))
    }

    /// Hashes by which a stored block is known.
    pub(crate) fn hashes(&self, number: u64) -> ProviderResult<Option<RecordHashes>> {
        let Some(block_hash) = self.word(record::CANONICAL_HASH, number)? else { return Ok(None) };
        let output_hash = self.word(record::OUTPUT_HASH, number)?.ok_or_else(|| {
            self.db.corrupt(
                number.to_be_bytes(),
                format!("column {} has no value", record::OUTPUT_HASH),
            )
        })?;
        Ok(Some(RecordHashes { block_hash, output_hash }))
    }

    fn word(&self, column: &'static str, number: u64) -> ProviderResult<Option<B256>> {
        let key = number.to_be_bytes();
        let Some(value) = self.db.get(column, key)? else { return Ok(None) };
        record::unseal(column, &key, &value)
            .and_then(|payload| record::word_of(column, payload))
            .map(Some)
            .map_err(|error| self.corrupt(number, &error))
    }

    /// Hashes of the 256 blocks before `number`, from the records.
    fn window(&self, number: u64) -> ProviderResult<BlockHashes> {
        if let Some((cached, window)) = &*self.read_window.lock()
            && *cached == number
        {
            return Ok(window.clone());
        }
        let first = number.saturating_sub(BLOCK_HASHES_LEN as u64);
        let mut hashes = Vec::with_capacity(BLOCK_HASHES_LEN);
        let mut iterator = self.db.raw().raw_iterator_cf(self.db.column(record::CANONICAL_HASH)?);
        iterator.seek(first.to_be_bytes());
        for block in first..number {
            let key = block.to_be_bytes();
            let Some((found, value)) = iterator.item().filter(|(found, _)| *found == key) else {
                iterator.status().map_err(|error| self.db.error(&error))?;
                return Err(self.db.corrupt(key, "the hash of this block is missing"));
            };
            let hash = record::unseal(record::CANONICAL_HASH, found, value)
                .and_then(|payload| record::word_of(record::CANONICAL_HASH, payload))
                .map_err(|error| self.corrupt(block, &error))?;
            hashes.push(hash);
            iterator.next();
        }
        Ok(BlockHashes::from_newest_first(hashes.into_iter().rev()))
    }

    /// Writes consecutive records and `latest`, synced, as one batch. `window` is the hash window of the first one and is moved on. The caller has checked the numbers.
    pub(crate) fn write_group(
        &self,
        records: &[Arc<ReplayRecord>],
        window: &mut BlockHashes,
    ) -> ProviderResult<Option<GroupCommit>> {
        let Some(last) = records.last().map(|record| record.block_number()) else {
            return Ok(None);
        };
        let mut next_window = window.clone();
        let mut batch = WriteBatch::default();
        for record in records {
            let key = record.block_number().to_be_bytes();
            let values = record::encode(record, &next_window);
            for (column, value) in record::RECORD_COLUMNS.into_iter().zip(values) {
                batch.put_cf(self.db.column(column)?, key, value);
            }
            next_window = next_window.next(record.block_hash);
        }
        let latest = record::seal(LATEST, LATEST_KEY, &last.to_be_bytes());
        batch.put_cf(self.db.column(LATEST)?, LATEST_KEY, latest);
        let bytes = batch.size_in_bytes();
        self.db.write(batch, true)?;
        *window = next_window;
        Ok(Some(GroupCommit { blocks: records.len(), bytes, last }))
    }

    /// A column that has a record of another block than `latest` at its end, and that block.
    pub(crate) fn beyond(&self, latest: u64) -> ProviderResult<Option<(&'static str, String)>> {
        for column in record::RECORD_COLUMNS {
            let last = self.db.last_key(column)?;
            if last.as_deref() != Some(&latest.to_be_bytes()) {
                let last = last.map_or_else(|| "nothing".to_owned(), alloy_primitives::hex::encode);
                return Ok(Some((column, last)));
            }
        }
        Ok(None)
    }

    /// The hash window that the record after `latest` has.
    pub(crate) fn next_window(&self, latest: u64) -> ProviderResult<BlockHashes> {
        self.window(latest.saturating_add(1))
    }

    /// The database underneath.
    pub(crate) const fn database(&self) -> &Arc<Database> {
        &self.db
    }

    fn corrupt(&self, number: u64, error: &RecordError) -> ProviderError {
        self.db.corrupt(number.to_be_bytes(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageOptions;
    use zkos_primitives::{Genesis, ZkChainSpec};
    use zkos_storage_api::{
        genesis_record,
        test_utils::{ChainBuilder, TestBlock},
    };

    fn filled(dir: &Path, blocks: u64) -> (Wal, Vec<Arc<ReplayRecord>>) {
        let genesis = Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap();
        let spec = ZkChainSpec::new(270, genesis).unwrap();
        let env = DbEnv::new(&StorageOptions::small());
        let marker = ChainMarker { chain_id: 270, genesis: B256::ZERO };
        let wal = Wal::open(&env, dir, &marker).unwrap();
        assert_eq!(wal.latest().unwrap(), None);
        let mut chain = ChainBuilder::new(&spec);
        let mut records = vec![Arc::new(genesis_record(&spec))];
        records.extend((0..blocks).map(|_| chain.next_block(TestBlock::default()).record));
        wal.write_group(&records, &mut BlockHashes::default()).unwrap();
        (wal, records)
    }

    fn overwrite(wal: &Wal, column: &'static str, key: &[u8], value: Option<&[u8]>) {
        let mut batch = WriteBatch::default();
        let column = wal.db.column(column).unwrap();
        match value {
            Some(value) => batch.put_cf(column, key, value),
            None => batch.delete_cf(column, key),
        }
        wal.db.write(batch, true).unwrap();
    }

    #[test]
    fn windows_longer_than_the_chain_and_shorter() {
        let dir = tempfile::tempdir().unwrap();
        let (wal, records) = filled(dir.path(), 300);
        assert_eq!(wal.latest().unwrap(), Some(300));
        for record in records.iter().rev() {
            assert_eq!(wal.record(record.block_number()).unwrap().as_ref(), Some(&**record));
        }
        for record in &records {
            assert_eq!(wal.record(record.block_number()).unwrap().as_ref(), Some(&**record));
        }
        assert_eq!(wal.record(301).unwrap(), None);
        let last = &records[300];
        let next = last.block_context.block_hashes.next(last.block_hash);
        assert_eq!(wal.next_window(300).unwrap(), next);
    }

    #[test]
    fn damaged_records_are_errors_that_name_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (wal, _) = filled(dir.path(), 4);
        let key = 3u64.to_be_bytes();
        let good = wal.db.get(record::TXS, key).unwrap().unwrap().to_vec();
        let mut flipped = good.clone();
        flipped[1] ^= 1;
        for value in [Some(flipped.as_slice()), Some(&good[..good.len() - 1]), Some(&[]), None] {
            overwrite(&wal, record::TXS, &key, value);
            let error = wal.record(3).unwrap_err().to_string();
            assert!(error.contains("block_replay_wal"), "{error}");
            assert!(error.contains("0000000000000003") && error.contains("txs"), "{error}");
        }
        overwrite(&wal, record::TXS, &key, Some(&good));
        wal.record(3).unwrap();
        // A missing hash shows in the records whose windows need it.
        overwrite(&wal, record::CANONICAL_HASH, &2u64.to_be_bytes(), None);
        *wal.read_window.lock() = None;
        assert!(wal.record(4).unwrap_err().to_string().contains("0000000000000002"));
        overwrite(&wal, LATEST, LATEST_KEY, Some(&[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]));
        assert!(wal.latest().unwrap_err().to_string().contains("checksum"));
    }
}
