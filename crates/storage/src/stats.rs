use crate::{
    OTS_INDEX_DATABASE, PREIMAGES_DATABASE, REPOSITORY_DATABASE, STATE_DATABASE, StorageError,
    WAL_DATABASE,
    db::{Database, DatabaseStats},
    repository, state,
    wal::Wal,
};
use std::{path::Path, sync::Arc};
use zkos_storage_api::StorageHeads;

/// Sizes and heads of the databases of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageStats {
    /// Databases that exist.
    pub databases: Vec<DatabaseStats>,
    /// Heads; `None` when a database that has one is missing or empty.
    pub heads: Option<StorageHeads>,
}

impl StorageStats {
    /// Number of blocks, block 0 included.
    pub fn blocks(&self) -> Option<u64> {
        self.heads.map(|heads| heads.wal.saturating_add(1))
    }

    /// Number of transactions in the repository, estimated from its index.
    pub fn transactions(&self) -> Option<u64> {
        let database = self
            .databases
            .iter()
            .find(|database| database.name == repository::REPOSITORY_DATABASE)?;
        let column = database.columns.iter().find(|column| column.name == repository::TX_META)?;
        Some(column.estimated_keys)
    }

    /// Reads a data directory without opening it for writing; a running node does not matter, but what it has in memory is not counted.
    ///
    /// # Errors
    /// When there is no block log in `path`, or a database is damaged.
    pub fn read(path: &Path) -> Result<Self, StorageError> {
        let open = |name| match Database::open_read_only(path, name) {
            Ok(database) => Ok(Some(Arc::new(database))),
            Err(StorageError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let log = Arc::new(Database::open_read_only(path, WAL_DATABASE)?);
        let preimages = open(PREIMAGES_DATABASE)?;
        let values = open(STATE_DATABASE)?;
        let blocks = open(REPOSITORY_DATABASE)?;
        let ots_index = open(OTS_INDEX_DATABASE)?;
        let state_head = |db: &Option<Arc<Database>>| match db {
            Some(db) => state::stored_head(db),
            None => Ok(None),
        };
        let repository_head = match &blocks {
            Some(db) => repository::stored_head(db)?,
            None => None,
        };
        let wal_head = Wal::new(log.clone()).latest()?;
        let heads = match (wal_head, state_head(&values)?, state_head(&preimages)?, repository_head)
        {
            (Some(wal), Some(values), Some(preimages), Some(repository)) => {
                Some(StorageHeads { wal, state: values.min(preimages), repository })
            }
            _ => None,
        };
        let databases = [Some(log), preimages, values, blocks, ots_index]
            .iter()
            .flatten()
            .map(|database| database.stats())
            .collect::<Result<_, _>>()?;
        Ok(Self { databases, heads })
    }
}
