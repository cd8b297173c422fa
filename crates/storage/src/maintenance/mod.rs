//! What is done to databases from outside of a running chain: checks, copies, removal.

mod checkpoint;
mod verify;

pub use checkpoint::{
    CHECKPOINT_FILE, CheckpointManifest, FileEntry, TreeCommitment, create_offline, restore,
};
pub(crate) use checkpoint::{check_not_restoring, create as create_checkpoint};
pub use verify::{Digests, Problem, VerifyReport, verify};

use crate::{
    OTS_INDEX_DATABASE, PREIMAGES_DATABASE, REPOSITORY_DATABASE, STATE_DATABASE, StorageError,
    TREE_DATABASE, WAL_DATABASE,
    lock::DirLock,
    wal::{HeightFile, Wal},
};
use alloy_primitives::BlockNumber;
use std::{
    io,
    path::{Path, PathBuf},
};

/// How far a long piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// What is counted, in the plural.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// Of how many, if that is known; may be an estimate.
    pub of: Option<u64>,
}

/// Is told now and then how far a long piece of work is.
pub type OnProgress<'a> = dyn FnMut(Measure) + 'a;

/// Databases that can be deleted: they are refilled from the block log.
pub const DERIVED_DATABASES: [&str; 5] =
    [STATE_DATABASE, PREIMAGES_DATABASE, REPOSITORY_DATABASE, TREE_DATABASE, OTS_INDEX_DATABASE];

/// Deletes derived databases of a data directory that no process has open; the next start of the node fills them again by executing the blocks of the log. Gives the last
/// block of the log.
///
/// # Errors
/// When the directory is in use, when a name is not one of [`DERIVED_DATABASES`], or when the log could not refill them because it is missing or damaged: nothing is deleted then.
pub fn rebuild(path: &Path, databases: &[&str]) -> Result<BlockNumber, StorageError> {
    if let Some(unknown) = databases.iter().find(|name| !DERIVED_DATABASES.contains(name)) {
        return Err(StorageError::NotDerived { database: (*unknown).to_owned() });
    }
    if !path.join(WAL_DATABASE).join("CURRENT").exists() {
        return Err(StorageError::Missing { database: WAL_DATABASE, path: path.to_owned() });
    }
    let _lock = DirLock::acquire(path)?;
    let (_, height) = HeightFile::open(path)?;
    let wal = Wal::check_end(path, height.unwrap_or_default())?;
    let missing = || StorageError::Missing { database: WAL_DATABASE, path: path.to_owned() };
    let latest = wal.latest()?.ok_or_else(missing)?;
    for database in databases {
        remove_database(path, database)?;
    }
    Ok(latest)
}

/// Deletes a database. It disappears at once: what is interrupted leaves a directory that nobody opens.
pub(crate) fn remove_database(path: &Path, database: &str) -> Result<(), StorageError> {
    let removed = path.join(format!("{database}.removed"));
    remove_directory(&removed)?;
    match std::fs::rename(path.join(database), &removed) {
        Ok(()) => remove_directory(&removed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io_error("remove", path.join(database))(source)),
    }
}

pub(crate) fn remove_directory(path: &Path) -> Result<(), StorageError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path.to_owned())(error))
        }
        _ => Ok(()),
    }
}

fn io_error(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::Io { action, path, source }
}
