//! State: databases `state` and `preimages`, and what lies in memory above them.
//!
//! A read at block N looks into, in this order: the overlay (values written by blocks that are not flushed), the cache of latest flushed values, and the disk. On disk
//! column `storage` holds the latest flushed value per flat key, column `data` every value ever written under `flat key || block number`; reads below the flushed height
//! seek in `data`: one seek, whatever the number of blocks. Where old state is pruned, `data` lacks the values that no block from `first_block` on can see, column
//! `block_keys` lists the keys that each block wrote, and `account_refs` of `preimages` the values that name an account's record, for the pruning.
//!
//! The flush moves the disk state on while it is read. Three facts keep readers right:
//! - `flushing_to` is raised before a flush writes. A reader at N that has read `storage` and then finds `flushing_to > N` cannot trust the value and takes it from `data`.
//! - A value leaves the overlay only after the flush has written it, and under the lock of its key it enters the cache as valid since its block.
//! - A value read from `storage` enters the cache only if under the lock of the cache `flushing_to` is still what it was before the read: so no later value can have
//!   entered and left the cache meanwhile.

mod cache;
mod history;
mod overlay;
mod provider;
mod refs;
#[cfg(test)]
mod tests;

pub(crate) use history::{Continue, Removed, split as split_history_key, stored_first};
pub(crate) use provider::BlockState;

use crate::{
    StorageError, StorageOptions,
    codec::{decode_word, read_u64, unversioned, versioned},
    db::{ChainMarker, Column, ColumnKind, Database, DbEnv, join},
    metrics::StateMetrics,
};
use alloy_primitives::{B256, Bytes, map::B256Set};
use cache::{AccountCache, CachedSlot, PreimageCache, SlotCache};
use overlay::Overlay;
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use zkos_primitives::{ACCOUNT_PROPERTIES_LEN, AccountProperties, GenesisState};
use zkos_storage_api::{ExecutedBlock, ProviderResult};

/// Name of the database of values.
pub const STATE_DATABASE: &str = "state";
/// Name of the database of preimages.
pub const PREIMAGES_DATABASE: &str = "preimages";

const FLAT_KEY_LEN: usize = 32;

/// Latest flushed value by flat key.
pub(crate) const STORAGE: &str = "storage";
/// Every value by `flat key || block number`.
pub(crate) const DATA: &str = "data";
/// Flat keys that a block wrote, by block number. Only where old state is pruned.
const BLOCK_KEYS: &str = "block_keys";
/// Values that name an account record, by `record hash || flat key || block number`. Only where old state is pruned.
const ACCOUNT_REFS: &str = "account_refs";
const META: &str = "meta";
const STATE_HEAD_KEY: &[u8] = b"latest_block";
const PREIMAGES_HEAD_KEY: &[u8] = b"block";

/// First block whose state is readable; absent: 0.
const FIRST_KEY: &[u8] = b"first_block";
/// First block for which all account records are there; absent: 0.
const PREIMAGES_FIRST_KEY: &[u8] = b"first_block";
/// First block from which on every block has an entry in `block_keys`.
const LISTED_FROM_KEY: &[u8] = b"block_keys_from";

const STATE_COLUMNS: [Column; 4] = [
    Column::new(STORAGE, ColumnKind::Point),
    Column::new(DATA, ColumnKind::Prefix(FLAT_KEY_LEN)),
    Column::new(BLOCK_KEYS, ColumnKind::Log),
    Column::new(META, ColumnKind::Log),
];
const PREIMAGES_COLUMNS: [Column; 3] = [
    Column::new(STORAGE, ColumnKind::Point),
    Column::new(ACCOUNT_REFS, ColumnKind::Prefix(FLAT_KEY_LEN)),
    Column::new(META, ColumnKind::Log),
];

/// Values and preimages of all blocks.
pub(crate) struct StateStore {
    values: Arc<Database>,
    preimages: Arc<Database>,
    overlay: Overlay,
    slots: SlotCache,
    accounts: AccountCache,
    preimage_cache: PreimageCache,
    /// Block whose state column `storage` holds.
    flushed: AtomicU64,
    /// Block whose state column `storage` holds when the running flush is done.
    flushing_to: AtomicU64,
    /// Last block whose preimages are in the database.
    preimages_head: AtomicU64,
    /// First block whose state is readable.
    first: AtomicU64,
    /// First block for which all account records are there.
    preimages_first: AtomicU64,
    /// Keeps flush and pruning from writing and removing the same record at once.
    preimages_gate: Mutex<()>,
    /// Whether flushes write `block_keys` and `account_refs`.
    lists_keys: bool,
    metrics: StateMetrics,
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore")
            .field("flushed", &self.flushed)
            .field("preimages_head", &self.preimages_head)
            .finish_non_exhaustive()
    }
}

impl StateStore {
    /// Opens both databases and writes the state of block 0 into what is empty.
    pub(crate) fn open(
        env: &DbEnv,
        dir: &Path,
        marker: &ChainMarker,
        genesis: &GenesisState,
        options: &StorageOptions,
    ) -> Result<Self, StorageError> {
        let (values, preimages) = std::thread::scope(|scope| {
            let preimages = scope
                .spawn(|| Database::open(env, dir, PREIMAGES_DATABASE, &PREIMAGES_COLUMNS, marker));
            let values = Database::open(env, dir, STATE_DATABASE, &STATE_COLUMNS, marker);
            (values, join(preimages))
        });
        let (values, preimages) = (values?, preimages?);
        let preimages_head = match read_u64(&preimages, META, PREIMAGES_HEAD_KEY)? {
            Some(head) => head,
            None => {
                let mut batch = WriteBatch::default();
                for (hash, bytes) in &genesis.preimages {
                    batch.put_cf(preimages.column(STORAGE)?, hash, versioned(bytes));
                }
                put_head(&preimages, &mut batch, PREIMAGES_HEAD_KEY, 0)?;
                preimages.write(batch, true)?;
                0
            }
        };
        let head = match read_u64(&values, META, STATE_HEAD_KEY)? {
            Some(head) => head,
            None => {
                let mut batch = WriteBatch::default();
                for (key, value) in &genesis.entries {
                    let value = versioned(value.as_slice());
                    batch.put_cf(values.column(STORAGE)?, key, &value);
                    batch.put_cf(values.column(DATA)?, history_key(key, 0), &value);
                }
                put_head(&values, &mut batch, STATE_HEAD_KEY, 0)?;
                values.write(batch, true)?;
                0
            }
        };
        let preimages_first = read_u64(&preimages, META, PREIMAGES_FIRST_KEY)?.unwrap_or_default();
        // After a loss of power the one may have forgotten what the other remembers.
        let first = read_u64(&values, META, FIRST_KEY)?.unwrap_or_default().max(preimages_first);
        let lists_keys = options.state_history_blocks.is_some();
        history::start_or_stop_lists(&values, head, lists_keys)?;
        refs::start_or_stop_refs(&preimages, head, preimages_head, lists_keys)?;
        Ok(Self {
            values,
            preimages,
            overlay: Overlay::new(),
            slots: SlotCache::new(options.state_cache_slots),
            accounts: AccountCache::new(options.account_cache_entries),
            preimage_cache: PreimageCache::new(options.preimage_cache_bytes),
            flushed: AtomicU64::new(head),
            flushing_to: AtomicU64::new(head),
            preimages_head: AtomicU64::new(preimages_head),
            first: AtomicU64::new(first),
            preimages_first: AtomicU64::new(preimages_first),
            preimages_gate: Mutex::new(()),
            lists_keys,
            metrics: StateMetrics::default(),
        })
    }

    /// Last block that both databases have.
    pub(crate) fn head(&self) -> u64 {
        self.flushed.load(Ordering::SeqCst).min(self.preimages_head.load(Ordering::SeqCst))
    }

    /// Makes what a block wrote readable at its number and above.
    pub(crate) fn insert(&self, block: &ExecutedBlock) {
        self.overlay.insert(block.number(), &block.output, &block.record);
    }

    /// Value of a flat key at the end of block `number`, which must have been inserted (or flushed).
    pub(crate) fn read(&self, key: B256, number: u64) -> ProviderResult<Option<B256>> {
        if let Some(value) = self.overlay.slot(&key, number) {
            self.metrics.overlay_hits.increment(1);
            return Ok(Some(value));
        }
        if let Some(slot) = self.slots.get(&key)
            && slot.since <= number
        {
            self.metrics.cache_hits.increment(1);
            return Ok(slot.value);
        }
        let flushing_to = self.flushing_to.load(Ordering::SeqCst);
        if flushing_to <= number {
            let value = self.read_latest(&key)?;
            self.metrics.disk_reads.increment(1);
            let unchanged = || self.flushing_to.load(Ordering::SeqCst) == flushing_to;
            if unchanged() {
                self.slots.put_if(key, CachedSlot { since: flushing_to, value }, unchanged);
                return Ok(value);
            }
            if self.flushing_to.load(Ordering::SeqCst) <= number {
                return Ok(value);
            }
        }
        let value = self.read_history(&key, number)?;
        self.metrics.history_reads.increment(1);
        Ok(value)
    }

    fn read_latest(&self, key: &B256) -> ProviderResult<Option<B256>> {
        self.values
            .get(STORAGE, key)?
            .map(|value| decode_word(&self.values, key.as_slice(), &value))
            .transpose()
    }

    /// Account record by its hash.
    pub(crate) fn account(&self, hash: B256) -> ProviderResult<Option<AccountProperties>> {
        if let Some(account) = self.accounts.get(&hash) {
            return Ok(Some(account));
        }
        let bytes = match self.overlay.preimage(&hash).or_else(|| self.preimage_cache.get(&hash)) {
            Some(bytes) => bytes,
            None => match self.preimage_from_disk(hash)? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        let account = AccountProperties::decode(&bytes)
            .map_err(|error| self.preimages.corrupt(hash, error.to_string()))?;
        self.accounts.put(hash, account);
        Ok(Some(account))
    }

    /// Preimage by its hash.
    pub(crate) fn preimage(&self, hash: B256) -> ProviderResult<Option<Bytes>> {
        if let Some(bytes) = self.overlay.preimage(&hash).or_else(|| self.preimage_cache.get(&hash))
        {
            return Ok(Some(bytes));
        }
        let bytes = self.preimage_from_disk(hash)?;
        if let Some(bytes) = &bytes {
            self.preimage_cache.put(hash, bytes.clone());
        }
        Ok(bytes)
    }

    fn preimage_from_disk(&self, hash: B256) -> ProviderResult<Option<Bytes>> {
        let Some(value) = self.preimages.get(STORAGE, hash)? else { return Ok(None) };
        let bytes = unversioned(&self.preimages, hash.as_slice(), &value)?;
        Ok(Some(Bytes::copy_from_slice(bytes)))
    }

    /// Error for a record that a flat key names at a kept block but that is nowhere.
    pub(crate) fn missing_preimage(
        &self,
        hash: B256,
        what: impl fmt::Display,
    ) -> zkos_storage_api::ProviderError {
        self.preimages.corrupt(hash, format!("{what} is missing"))
    }

    /// Writes consecutive inserted blocks to disk, as one batch per database. Blocks that a database has already are compared (values) or left out (preimages).
    /// Returns the number of slots written.
    pub(crate) fn flush(&self, blocks: &[ExecutedBlock]) -> ProviderResult<usize> {
        let Some(last) = blocks.last().map(ExecutedBlock::number) else { return Ok(0) };
        // Preimages first: values never name a preimage that is not there.
        self.flush_preimages(blocks, last)?;
        let slots = self.flush_values(blocks, last)?;
        self.forget(blocks, last);
        Ok(slots)
    }

    fn flush_preimages(&self, blocks: &[ExecutedBlock], last: u64) -> ProviderResult<()> {
        let head = self.preimages_head.load(Ordering::SeqCst);
        if last <= head {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        let mut seen = B256Set::default();
        let storage = self.preimages.column(STORAGE)?;
        for block in blocks.iter().filter(|block| block.number() > head) {
            for (hash, bytes) in overlay::preimages(&block.output, &block.record) {
                if seen.insert(hash) {
                    batch.put_cf(storage, hash, versioned(bytes.as_slice()));
                }
            }
            if self.lists_keys {
                refs::put_refs(&self.preimages, &mut batch, block.number(), &block.output)?;
            }
        }
        put_head(&self.preimages, &mut batch, PREIMAGES_HEAD_KEY, last)?;
        let gate = self.preimages_gate.lock();
        self.preimages.write(batch, false)?;
        drop(gate);
        self.preimages_head.store(last, Ordering::SeqCst);
        Ok(())
    }

    fn flush_values(&self, blocks: &[ExecutedBlock], last: u64) -> ProviderResult<usize> {
        let head = self.flushed.load(Ordering::SeqCst);
        for block in blocks.iter().filter(|block| block.number() <= head) {
            self.compare(block)?;
        }
        if last <= head {
            return Ok(0);
        }
        let (storage, data) = (self.values.column(STORAGE)?, self.values.column(DATA)?);
        let mut batch = WriteBatch::default();
        let mut latest = B256Set::default();
        let mut slots = 0;
        if self.lists_keys {
            history::put_lists(&self.values, &mut batch, blocks, head)?;
        }
        // Newest block first, so that the first value of a key is its latest.
        for block in blocks.iter().rev().filter(|block| block.number() > head) {
            for write in &block.output.storage_writes {
                let value = versioned(write.value.as_slice());
                batch.put_cf(data, history_key(&write.key, block.number()), &value);
                if latest.insert(write.key) {
                    batch.put_cf(storage, write.key, &value);
                }
                slots += 1;
            }
        }
        put_head(&self.values, &mut batch, STATE_HEAD_KEY, last)?;
        self.flushing_to.store(last, Ordering::SeqCst);
        self.values.write(batch, false)?;
        self.flushed.store(last, Ordering::SeqCst);
        Ok(slots)
    }

    /// Compares the writes of a block with those stored for it.
    fn compare(&self, block: &ExecutedBlock) -> ProviderResult<()> {
        for write in &block.output.storage_writes {
            let key = history_key(&write.key, block.number());
            let stored = self
                .values
                .get(DATA, key)?
                .map(|value| decode_word(&self.values, &key, &value))
                .transpose()?;
            if stored != Some(write.value) {
                let stored = stored.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
                let reason = format!(
                    "block {} wrote {} when executed again, stored is {stored}",
                    block.number(),
                    write.value
                );
                return Err(self.values.corrupt(key, reason));
            }
        }
        Ok(())
    }

    /// Moves what is on disk now from the overlay to the caches.
    fn forget(&self, blocks: &[ExecutedBlock], last: u64) {
        for block in blocks {
            for write in &block.output.storage_writes {
                self.overlay.remove_slot(&write.key, last, |since, value| {
                    let slot = CachedSlot { since, value: Some(value) };
                    self.slots.put_if(write.key, slot, || true);
                });
            }
            for (hash, _) in overlay::preimages(&block.output, &block.record) {
                let Some(bytes) = self.overlay.remove_preimage(&hash, last) else { continue };
                if bytes.len() == ACCOUNT_PROPERTIES_LEN
                    && let Ok(account) = AccountProperties::decode(&bytes)
                {
                    // Bytecode of this length is possible, but nobody looks it up as an account.
                    self.accounts.put(hash, account);
                }
                self.preimage_cache.put(hash, bytes);
            }
        }
    }

    /// The databases underneath.
    pub(crate) const fn databases(&self) -> [&Arc<Database>; 2] {
        [&self.preimages, &self.values]
    }
}

fn put_head(
    db: &Database,
    batch: &mut WriteBatch,
    key: &'static [u8],
    head: u64,
) -> ProviderResult<()> {
    batch.put_cf(db.column(META)?, key, versioned(&head.to_be_bytes()));
    Ok(())
}

/// Head that the meta column of an opened `state` or `preimages` database names; for tools.
pub(crate) fn stored_head(db: &Database) -> ProviderResult<Option<u64>> {
    let key = if db.name() == STATE_DATABASE { STATE_HEAD_KEY } else { PREIMAGES_HEAD_KEY };
    read_u64(db, META, key)
}

fn history_key(key: &B256, number: u64) -> [u8; FLAT_KEY_LEN + 8] {
    let mut out = [0; FLAT_KEY_LEN + 8];
    out[..FLAT_KEY_LEN].copy_from_slice(key.as_slice());
    out[FLAT_KEY_LEN..].copy_from_slice(&number.to_be_bytes());
    out
}
