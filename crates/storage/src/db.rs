use crate::{
    StorageError, StorageOptions, journal,
    options::{WriteHook, WriteStep},
};
use alloy_primitives::{B256, hex};
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor,
    CompactOptions, DB, DBCompressionType, DBPinnableSlice, DBRawIterator, ErrorKind, Options,
    ReadOptions, ReadTier, SliceTransform, WriteBatch, WriteOptions, checkpoint::Checkpoint,
    properties,
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::ScopedJoinHandle,
};
use zkos_storage_api::{ProviderError, ProviderResult, may_use_disk, not_in_memory};

/// Highest format number that this build writes and reads. Goes up when an old build could not read what a new one writes.
pub const FORMAT_VERSION: u32 = 1;

/// Key of the marker in the default column of every database.
const MARKER_KEY: &[u8] = b"zkos_marker";

/// What a column is used for; decides its tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Read by whole keys: bloom filter.
    Point,
    /// Keys in ascending order that are mostly read once: no filter.
    Log,
    /// Read by seeking inside a prefix of the given length: filter over prefixes.
    Prefix(usize),
}

/// Name and use of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }
}

/// Which chain the databases belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainMarker {
    pub(crate) chain_id: u64,
    pub(crate) genesis: B256,
}

impl ChainMarker {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(44);
        out.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        out.extend_from_slice(&self.chain_id.to_be_bytes());
        out.extend_from_slice(self.genesis.as_slice());
        out
    }

    /// Marker with the format number before it; `None` when the bytes are none.
    fn decode(bytes: &[u8]) -> Option<(u32, Self)> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let (chain, genesis) = rest.split_first_chunk::<8>()?;
        let genesis: [u8; 32] = genesis.try_into().ok()?;
        let marker = Self { chain_id: u64::from_be_bytes(*chain), genesis: B256::from(genesis) };
        Some((u32::from_be_bytes(*version), marker))
    }
}

/// What the databases of one directory share.
#[derive(Clone)]
pub(crate) struct DbEnv {
    cache: Cache,
    write_buffer_bytes: usize,
    journal_bytes: usize,
    write_hook: Option<WriteHook>,
}

impl fmt::Debug for DbEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbEnv").finish_non_exhaustive()
    }
}

impl DbEnv {
    pub(crate) fn new(options: &StorageOptions) -> Self {
        Self {
            cache: Cache::new_lru_cache(options.block_cache_bytes),
            write_buffer_bytes: options.write_buffer_bytes,
            journal_bytes: options.journal_bytes,
            write_hook: options.write_hook.clone(),
        }
    }

    fn column_options(&self, kind: ColumnKind) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        match kind {
            ColumnKind::Point => table.set_bloom_filter(10.0, false),
            ColumnKind::Log => table.set_block_size(64 * 1024),
            ColumnKind::Prefix(len) => {
                table.set_bloom_filter(10.0, false);
                table.set_whole_key_filtering(false);
                options.set_prefix_extractor(SliceTransform::create_fixed_prefix(len));
            }
        }
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(self.write_buffer_bytes);
        options
    }

    fn db_options(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_background_jobs(2);
        options.set_db_write_buffer_size(self.write_buffer_bytes);
        // Without it a column that is written little keeps every journal since its last table alive, and the start after a kill reads them all.
        options.set_max_total_wal_size(self.journal_bytes as u64);
        options.set_max_open_files(512);
        options.set_keep_log_file_num(2);
        options.set_bytes_per_sync(1 << 20);
        options.set_paranoid_checks(true);
        options
    }
}

/// One RocksDB database with its name, for errors.
pub(crate) struct Database {
    name: &'static str,
    path: PathBuf,
    db: DB,
    write_hook: Option<WriteHook>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("name", &self.name).field("path", &self.path).finish()
    }
}

impl Database {
    /// Opens (creates) `dir/name` and checks that it belongs to `marker`. Columns that this build does not know are kept.
    pub(crate) fn open(
        env: &DbEnv,
        dir: &Path,
        name: &'static str,
        columns: &[Column],
        marker: &ChainMarker,
    ) -> Result<Arc<Self>, StorageError> {
        let path = dir.join(name);
        let fresh = !path.join("CURRENT").exists();
        if fresh && let Some(file) = left_over(&path) {
            // The engine would begin anew and remove what is there.
            return Err(StorageError::Incomplete { database: name, path, file });
        }
        std::fs::create_dir_all(&path).map_err(|source| StorageError::Io {
            action: "create",
            path: path.clone(),
            source,
        })?;
        let options = env.db_options();
        let existing = if fresh {
            Vec::new()
        } else {
            DB::list_cf(&options, &path).map_err(|error| open_error(name, &path, &error))?
        };
        let known = columns.iter().map(|column| {
            ColumnFamilyDescriptor::new(column.name, env.column_options(column.kind))
        });
        let unknown = existing
            .iter()
            .filter(|cf| *cf != "default" && !columns.iter().any(|column| column.name == *cf))
            .map(|cf| ColumnFamilyDescriptor::new(cf, env.column_options(ColumnKind::Log)));
        let default = std::iter::once(ColumnFamilyDescriptor::new(
            "default",
            env.column_options(ColumnKind::Log),
        ));
        let db = DB::open_cf_descriptors(&options, &path, default.chain(known).chain(unknown))
            .map_err(|error| open_error(name, &path, &error))?;
        let this = Self { name, path, db, write_hook: env.write_hook.clone() };
        this.check_marker(dir, marker, columns)?;
        Ok(Arc::new(this))
    }

    /// Opens an existing database for reading, without lock and without marker check; for tools.
    pub(crate) fn open_read_only(dir: &Path, name: &'static str) -> Result<Self, StorageError> {
        let path = dir.join(name);
        if !path.join("CURRENT").exists() {
            return Err(StorageError::Missing { database: name, path: dir.to_owned() });
        }
        // A running node may delete tables between the reading of the manifest and the opening of the tables: the next attempt finds a newer manifest.
        let mut attempts = 1;
        loop {
            match open_tables(&path) {
                Ok(db) => return Ok(Self { name, path, db, write_hook: None }),
                Err(error) if attempts == READ_ONLY_ATTEMPTS => {
                    return Err(open_error(name, &path, &error));
                }
                Err(_) => attempts += 1,
            }
        }
    }

    /// Opens an existing database with all its columns, without marker check; for tools that hold the lock of the directory.
    pub(crate) fn open_existing(dir: &Path, name: &'static str) -> Result<Self, StorageError> {
        let path = dir.join(name);
        if !path.join("CURRENT").exists() {
            return Err(StorageError::Missing { database: name, path: dir.to_owned() });
        }
        let options = Options::default();
        let db = DB::list_cf(&options, &path)
            .and_then(|columns| DB::open_cf(&options, &path, columns))
            .map_err(|error| open_error(name, &path, &error))?;
        Ok(Self { name, path, db, write_hook: None })
    }

    /// Chain that the database belongs to.
    pub(crate) fn marker(&self) -> ProviderResult<ChainMarker> {
        let found = self.db.get(MARKER_KEY).map_err(|error| self.error(&error))?;
        found
            .as_deref()
            .and_then(ChainMarker::decode)
            .map(|(_, marker)| marker)
            .ok_or_else(|| self.corrupt(MARKER_KEY, "marker is missing or malformed"))
    }

    /// Makes a consistent copy of the database at `to`, which must not exist. Tables are hard links where the file system allows it.
    pub(crate) fn checkpoint(&self, to: &Path) -> ProviderResult<()> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(to))
            .map_err(|error| self.error(&error))
    }

    /// Where the database lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn check_marker(
        &self,
        dir: &Path,
        marker: &ChainMarker,
        columns: &[Column],
    ) -> Result<(), StorageError> {
        if self.has_marker(dir, marker)? {
            return Ok(());
        }
        for column in columns {
            if self.last_key(column.name)?.is_some() {
                return Err(StorageError::Unmarked { database: self.name, path: dir.to_owned() });
            }
        }
        let mut batch = WriteBatch::default();
        batch.put(MARKER_KEY, marker.encode());
        Ok(self.write(batch, true)?)
    }

    /// Whether the database has a marker, which must then be of this chain and of a format that this build knows.
    pub(crate) fn has_marker(
        &self,
        dir: &Path,
        marker: &ChainMarker,
    ) -> Result<bool, StorageError> {
        let found = self.db.get(MARKER_KEY).map_err(|error| self.error(&error))?;
        let Some(found) = found else { return Ok(false) };
        let (version, found) = ChainMarker::decode(&found)
            .ok_or_else(|| self.corrupt(MARKER_KEY, "marker has a wrong length"))?;
        if version > FORMAT_VERSION {
            return Err(StorageError::NewerFormat {
                database: self.name,
                path: dir.to_owned(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if found != *marker {
            return Err(StorageError::ForeignChain {
                database: self.name,
                path: dir.to_owned(),
                found_chain: found.chain_id,
                found_genesis: found.genesis,
                chain: marker.chain_id,
                genesis: marker.genesis,
            });
        }
        Ok(true)
    }

    /// Name of the database.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The engine underneath, for iterators and snapshots.
    pub(crate) const fn raw(&self) -> &DB {
        &self.db
    }

    /// Handle of a column.
    pub(crate) fn column(&self, name: &'static str) -> ProviderResult<&ColumnFamily> {
        self.db.cf_handle(name).ok_or_else(|| ProviderError::Database {
            database: self.name,
            message: format!("column {name} is missing"),
        })
    }

    /// Value of a key. A thread that may not wait for the disk gets what lies in write buffers and block cache.
    pub(crate) fn get(
        &self,
        column: &'static str,
        key: impl AsRef<[u8]>,
    ) -> ProviderResult<Option<DBPinnableSlice<'_>>> {
        let mut options = ReadOptions::default();
        if !may_use_disk() {
            options.set_read_tier(ReadTier::BlockCache);
        }
        let value = self.db.get_pinned_cf_opt(self.column(column)?, key, &options);
        value.map_err(|error| match error.kind() {
            ErrorKind::Incomplete if !may_use_disk() => not_in_memory(),
            _ => self.error(&error),
        })
    }

    /// Last key of a column.
    pub(crate) fn last_key(&self, column: &'static str) -> ProviderResult<Option<Vec<u8>>> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        let mut iterator = self.db.raw_iterator_cf_opt(self.column(column)?, options);
        iterator.seek_to_last();
        let key = iterator.key().map(<[u8]>::to_vec);
        iterator.status().map_err(|error| self.error(&error))?;
        Ok(key)
    }

    /// Applies a batch; with `sync` it is on disk when this returns.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> ProviderResult<()> {
        self.call_hook(WriteStep::Before)?;
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(batch, &options).map_err(|error| self.error(&error))?;
        if sync { self.call_hook(WriteStep::Synced) } else { Ok(()) }
    }

    fn call_hook(&self, step: WriteStep) -> ProviderResult<()> {
        let Some(hook) = &self.write_hook else { return Ok(()) };
        hook(self.name, step).map_err(|error| ProviderError::Database {
            database: self.name,
            message: error.to_string(),
        })
    }

    /// Syncs everything written so far.
    pub(crate) fn sync(&self) -> ProviderResult<()> {
        self.db.flush_wal(true).map_err(|error| self.error(&error))
    }

    /// Converts an error of the engine.
    pub(crate) fn error(&self, error: &rocksdb::Error) -> ProviderError {
        db_error(self.name, error)
    }

    /// Error for a value that must not be there as it is.
    pub(crate) fn corrupt(
        &self,
        key: impl AsRef<[u8]>,
        reason: impl Into<String>,
    ) -> ProviderError {
        ProviderError::Corrupt { database: self.name, key: hex::encode(key), reason: reason.into() }
    }

    /// Sizes per column.
    pub(crate) fn stats(&self) -> ProviderResult<DatabaseStats> {
        let names = DB::list_cf(&Options::default(), &self.path).map_err(|e| self.error(&e))?;
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let Some(cf) = self.db.cf_handle(&name) else { continue };
            let property = |property: &properties::PropName| {
                self.db
                    .property_int_value_cf(cf, property)
                    .map(Option::unwrap_or_default)
                    .map_err(|error| self.error(&error))
            };
            columns.push(ColumnStats {
                table_bytes: property(properties::TOTAL_SST_FILES_SIZE)?,
                live_bytes: property(properties::ESTIMATE_LIVE_DATA_SIZE)?,
                memory_bytes: property(properties::CUR_SIZE_ALL_MEM_TABLES)?,
                estimated_keys: property(properties::ESTIMATE_NUM_KEYS)?,
                name,
            });
        }
        Ok(DatabaseStats {
            name: self.name,
            path: self.path.clone(),
            columns,
            file_bytes: directory_bytes(&self.path),
        })
    }

    /// Calls `visit` with every entry of a column in ascending order of keys, past the block cache. Checksums of the tables are checked.
    pub(crate) fn for_each(
        &self,
        column: &'static str,
        mut visit: impl FnMut(&[u8], &[u8]) -> ProviderResult<()>,
    ) -> ProviderResult<()> {
        let mut iterator = self.raw_iterator(column)?;
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            visit(key, value)?;
            iterator.next();
        }
        iterator.status().map_err(|error| self.error(&error))
    }

    /// Iterator over a whole column that leaves the block cache alone.
    pub(crate) fn raw_iterator(&self, column: &'static str) -> ProviderResult<DBRawIterator<'_>> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        Ok(self.db.raw_iterator_cf_opt(self.column(column)?, options))
    }

    /// Rewrites all tables of a column in their most compact form.
    #[allow(dead_code, reason = "used by tests; the maintenance command follows")]
    pub(crate) fn compact(&self, column: &'static str) -> ProviderResult<()> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt::<&[u8], &[u8]>(self.column(column)?, None, None, &options);
        Ok(())
    }
}

/// What a thread of a scope gives. Its panic goes on here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How often a database that another process changes is opened before its error is believed.
const READ_ONLY_ATTEMPTS: u32 = 5;

fn open_tables(path: &Path) -> Result<DB, rocksdb::Error> {
    let options = Options::default();
    let columns = DB::list_cf(&options, path)?;
    DB::open_cf_for_read_only(&options, path, columns, false)
}

/// A file of the engine in a directory that has no `CURRENT`.
fn left_over(path: &Path) -> Option<String> {
    std::fs::read_dir(path).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let data =
            name.starts_with("MANIFEST-") || name.ends_with(".sst") || name.ends_with(".log");
        data.then_some(name)
    })
}

/// Size of all files below a directory. What disappears meanwhile is not counted.
fn directory_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn open_error(database: &'static str, path: &Path, error: &rocksdb::Error) -> StorageError {
    // The engine's message about a journal says neither which one nor where.
    let places = journal::scan(path).unwrap_or_default();
    let message = places.iter().fold(error.to_string(), |text, damage| format!("{text}; {damage}"));
    StorageError::Open { database, path: path.to_owned(), message }
}

fn db_error(database: &'static str, error: &rocksdb::Error) -> ProviderError {
    ProviderError::Database { database, message: error.to_string() }
}

/// Sizes of one column, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnStats {
    /// Name of the column.
    pub name: String,
    /// Size of its tables on disk.
    pub table_bytes: u64,
    /// Estimate of what is not superseded in the tables.
    pub live_bytes: u64,
    /// Data in memory that is not in a table yet.
    pub memory_bytes: u64,
    /// Estimated number of keys.
    pub estimated_keys: u64,
}

/// Sizes of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Name of the database.
    pub name: &'static str,
    /// Where it lies.
    pub path: PathBuf,
    /// Its columns.
    pub columns: Vec<ColumnStats>,
    /// Size of all its files: tables, journals, descriptions.
    pub file_bytes: u64,
}

impl DatabaseStats {
    /// Size of all tables on disk, in bytes.
    pub fn table_bytes(&self) -> u64 {
        self.columns.iter().map(|column| column.table_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 1] = [Column::new("values", ColumnKind::Point)];
    const MARKER: ChainMarker = ChainMarker { chain_id: 270, genesis: B256::repeat_byte(1) };

    fn open(dir: &Path, marker: &ChainMarker) -> Result<Arc<Database>, StorageError> {
        Database::open(&DbEnv::new(&StorageOptions::small()), dir, "state", &COLUMNS, marker)
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), &MARKER).unwrap();
        let mut marker = MARKER.encode();
        marker[3] += 1;
        let mut batch = WriteBatch::default();
        batch.put(MARKER_KEY, &marker);
        db.write(batch, true).unwrap();
        drop(db);
        match open(dir.path(), &MARKER) {
            Err(StorageError::NewerFormat {
                database: "state", found: 2, supported: 1, ..
            }) => {}
            other => panic!("a newer database was opened: {other:?}"),
        }
    }

    #[test]
    fn data_without_marker_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), &MARKER).unwrap();
        let mut batch = WriteBatch::default();
        batch.delete(MARKER_KEY);
        batch.put_cf(db.column("values").unwrap(), b"key", b"value");
        db.write(batch, true).unwrap();
        drop(db);
        assert!(matches!(open(dir.path(), &MARKER), Err(StorageError::Unmarked { .. })));
    }

    #[test]
    fn unknown_columns_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), &MARKER).unwrap());
        let more = [COLUMNS[0], Column::new("later", ColumnKind::Log)];
        let env = DbEnv::new(&StorageOptions::small());
        let db = Database::open(&env, dir.path(), "state", &more, &MARKER).unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(db.column("later").unwrap(), b"key", b"value");
        db.write(batch, true).unwrap();
        drop(db);
        drop(open(dir.path(), &MARKER).unwrap());
        let db = Database::open(&env, dir.path(), "state", &more, &MARKER).unwrap();
        assert_eq!(&*db.get("later", b"key").unwrap().unwrap(), b"value");
        assert_eq!(db.last_key("later").unwrap().unwrap(), b"key");
    }
}
