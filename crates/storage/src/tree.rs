//! The stored form of the Merkle tree: database `tree`.
//!
//! | column | key | value |
//! |---|---|---|
//! | `manifest` | `manifest` | [`Manifest`] |
//! | `leaves` | leaf index | [`Leaf`] |
//! | `versions` | version | [`VersionRecord`] |
//! | `undo` | version | [`UndoRecord`] |
//!
//! Numbers in keys are 8 bytes big endian. Every value starts with a format byte of its own. An update is one batch, not synced: after a crash the database holds a prefix
//! of the updates, and the rest comes again by replay.

use crate::{
    StorageError,
    db::{ChainMarker, Column, ColumnKind, Database, DbEnv},
};
use rocksdb::{IteratorMode, WriteBatch};
use std::{ops::Range, path::Path, sync::Arc};
use zkos_storage_api::{ProviderError, ProviderResult};
use zkos_tree::{
    CodecError, Leaf, Manifest, StoreError, TreeStore, TreeUpdate, UndoRecord, VersionRecord,
};

/// Name of the database.
pub const TREE_DATABASE: &str = "tree";

const MANIFEST: &str = "manifest";
const MANIFEST_KEY: &[u8] = b"manifest";
const LEAVES: &str = "leaves";
const VERSIONS: &str = "versions";
const UNDO: &str = "undo";

const COLUMNS: [Column; 4] = [
    Column::new(MANIFEST, ColumnKind::Log),
    Column::new(LEAVES, ColumnKind::Log),
    Column::new(VERSIONS, ColumnKind::Log),
    Column::new(UNDO, ColumnKind::Log),
];

/// Persistence of the tree in RocksDB.
#[derive(Debug)]
pub struct RocksTreeStore {
    db: Arc<Database>,
}

impl RocksTreeStore {
    pub(crate) fn open(
        env: &DbEnv,
        dir: &Path,
        marker: &ChainMarker,
    ) -> Result<Self, StorageError> {
        Ok(Self { db: Database::open(env, dir, TREE_DATABASE, &COLUMNS, marker)? })
    }

    pub(crate) const fn database(&self) -> &Arc<Database> {
        &self.db
    }

    fn read<T>(
        &self,
        column: &'static str,
        key: impl AsRef<[u8]>,
        decode: impl FnOnce(&[u8]) -> Result<T, CodecError>,
    ) -> ProviderResult<Option<T>> {
        let key = key.as_ref();
        self.db
            .get(column, key)?
            .map(|value| decode(&value).map_err(|error| self.corrupt(column, key, &error)))
            .transpose()
    }

    fn corrupt(&self, column: &str, key: &[u8], error: &dyn std::fmt::Display) -> ProviderError {
        self.db.corrupt(key, format!("column {column}: {error}"))
    }

    fn all_leaves(&self) -> ProviderResult<Vec<Leaf>> {
        let count =
            self.read(MANIFEST, MANIFEST_KEY, Manifest::decode)?.map_or(0, |m| m.leaf_count);
        let mut leaves = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        let iterator = self.db.raw().iterator_cf(self.db.column(LEAVES)?, IteratorMode::Start);
        for item in iterator {
            let (key, value) = item.map_err(|error| self.db.error(&error))?;
            if *key != (leaves.len() as u64).to_be_bytes() {
                let reason = format!("leaf {} is missing before it", leaves.len());
                return Err(self.corrupt(LEAVES, &key, &reason));
            }
            leaves.push(Leaf::decode(&value).map_err(|error| self.corrupt(LEAVES, &key, &error))?);
        }
        if leaves.len() as u64 != count {
            let reason = format!("there are {} leaves, the manifest says {count}", leaves.len());
            return Err(self.corrupt(LEAVES, MANIFEST_KEY, &reason));
        }
        Ok(leaves)
    }

    fn write(&self, update: &TreeUpdate) -> ProviderResult<()> {
        let TreeUpdate {
            manifest,
            leaves,
            removed_leaves,
            versions,
            removed_versions,
            undo,
            removed_undo,
        } = update;
        let mut batch = WriteBatch::default();
        batch.put_cf(self.db.column(MANIFEST)?, MANIFEST_KEY, manifest.encode());
        let column = self.db.column(LEAVES)?;
        for (index, leaf) in leaves {
            batch.put_cf(column, index.to_be_bytes(), leaf.encode());
        }
        remove(&mut batch, column, removed_leaves);
        let column = self.db.column(VERSIONS)?;
        for (version, record) in versions {
            batch.put_cf(column, version.to_be_bytes(), record.encode());
        }
        remove(&mut batch, column, removed_versions);
        let column = self.db.column(UNDO)?;
        for (version, record) in undo {
            batch.put_cf(column, version.to_be_bytes(), record.encode());
        }
        remove(&mut batch, column, removed_undo);
        self.db.write(batch, false)
    }
}

/// Long runs become one range deletion, short ones (the usual pruning by one version) plain deletions, which cost readers less.
const RANGE_DELETION_FROM: u64 = 64;

fn remove(batch: &mut WriteBatch, column: &rocksdb::ColumnFamily, keys: &Range<u64>) {
    if keys.is_empty() {
        return;
    }
    if keys.end - keys.start >= RANGE_DELETION_FROM {
        batch.delete_range_cf(column, keys.start.to_be_bytes(), keys.end.to_be_bytes());
    } else {
        for key in keys.clone() {
            batch.delete_cf(column, key.to_be_bytes());
        }
    }
}

impl TreeStore for RocksTreeStore {
    fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        Ok(self.read(MANIFEST, MANIFEST_KEY, Manifest::decode)?)
    }

    fn leaves(&self) -> Result<Vec<Leaf>, StoreError> {
        Ok(self.all_leaves()?)
    }

    fn version_record(&self, version: u64) -> Result<Option<VersionRecord>, StoreError> {
        Ok(self.read(VERSIONS, version.to_be_bytes(), VersionRecord::decode)?)
    }

    fn undo_record(&self, version: u64) -> Result<Option<UndoRecord>, StoreError> {
        Ok(self.read(UNDO, version.to_be_bytes(), UndoRecord::decode)?)
    }

    fn apply(&self, update: TreeUpdate) -> Result<(), StoreError> {
        Ok(self.write(&update)?)
    }
}
