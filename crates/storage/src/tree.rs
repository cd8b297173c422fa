//! Where the Merkle tree lies: the directory `tree`, with files of the tree's own (see `zkos-tree`) and the file `chain`, which says which chain they belong to.

use crate::{FORMAT_VERSION, Measure, OnProgress, StorageError, db::ChainMarker};
use alloy_primitives::B256;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use zkos_tree::{FsStore, TreeError, TreeFile, TreeStore, TreeVersion};

/// Name of the directory.
pub const TREE_DATABASE: &str = "tree";

/// File with the marker of the chain.
const CHAIN_FILE: &str = "chain";

/// The directory of the tree, checked to belong to the chain.
#[derive(Debug)]
pub struct TreeDirectory {
    files: FsStore,
}

fn io_error(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::Io { action, path, source }
}

impl TreeDirectory {
    /// Opens (creates) `dir/tree` and checks that it belongs to `marker`.
    pub(crate) fn open(dir: &Path, marker: &ChainMarker) -> Result<Self, StorageError> {
        let path = dir.join(TREE_DATABASE);
        remove_first_format(&path)?;
        let files = FsStore::open(&path).map_err(io_error("create", path.clone()))?;
        let chain = path.join(CHAIN_FILE);
        match fs::read(&chain) {
            Ok(found) => check(dir, marker, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The marker comes before everything else.
                let names = files.files().map_err(io_error("list", path.clone()))?;
                if names.iter().any(|name| zkos_tree::is_tree_file(name)) {
                    return Err(unmarked(dir));
                }
                write_marker(&path, marker)?;
            }
            Err(error) => return Err(io_error("read", chain)(error)),
        }
        Ok(Self { files })
    }

    /// Makes a consistent copy at `to`, which must not exist, also while a tree works on the directory. Returns the version that the copy holds, with its root and leaf count; `None` for an
    /// empty tree.
    ///
    /// # Errors
    /// When the copy cannot be made, or the files are damaged.
    pub fn copy_to(
        &self,
        to: &Path,
        progress: &mut OnProgress<'_>,
    ) -> Result<Option<TreeVersion>, StorageError> {
        let copy = FsStore::open(to).map_err(io_error("create", to.to_owned()))?;
        let chain = self.files.path().join(CHAIN_FILE);
        fs::copy(&chain, to.join(CHAIN_FILE)).map_err(io_error("copy", chain))?;
        let mut copied = |done, of| {
            progress(Measure { what: "bytes of the state tree copied", done, of: Some(of) });
        };
        zkos_tree::copy_files(&self.files, &copy, &mut copied)
            .map_err(|error| tree_error(to, error))
    }
}

/// Error of the tree as one of the storage.
fn tree_error(path: &Path, error: TreeError) -> StorageError {
    match error {
        TreeError::Io { operation, file, source } => {
            StorageError::Io { action: operation, path: path.join(file), source }
        }
        TreeError::Damaged(damage) => zkos_storage_api::ProviderError::Corrupt {
            database: TREE_DATABASE,
            key: damage.file.clone(),
            reason: damage.to_string(),
        }
        .into(),
        other => zkos_storage_api::ProviderError::Database {
            database: TREE_DATABASE,
            message: other.to_string(),
        }
        .into(),
    }
}

fn unmarked(dir: &Path) -> StorageError {
    StorageError::Unmarked { database: TREE_DATABASE, path: dir.to_owned() }
}

fn check(dir: &Path, marker: &ChainMarker, found: &[u8]) -> Result<(), StorageError> {
    if found == marker.encode() {
        return Ok(());
    }
    let parts = || {
        let (version, rest) = found.split_first_chunk()?;
        let (chain, genesis) = rest.split_first_chunk()?;
        let genesis: [u8; 32] = genesis.try_into().ok()?;
        Some((u32::from_be_bytes(*version), u64::from_be_bytes(*chain), B256::from(genesis)))
    };
    let (version, found_chain, found_genesis) = parts().ok_or_else(|| unmarked(dir))?;
    if version > FORMAT_VERSION {
        return Err(StorageError::NewerFormat {
            database: TREE_DATABASE,
            path: dir.to_owned(),
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    Err(StorageError::ForeignChain {
        database: TREE_DATABASE,
        path: dir.to_owned(),
        found_chain,
        found_genesis,
        chain: marker.chain_id,
        genesis: marker.genesis,
    })
}

/// Writes the marker so that it is there in whole or not at all.
fn write_marker(path: &Path, marker: &ChainMarker) -> Result<(), StorageError> {
    let (partial, chain) = (path.join("chain.partial"), path.join(CHAIN_FILE));
    fs::write(&partial, marker.encode()).map_err(io_error("write", partial.clone()))?;
    let sync = |path: &Path| fs::File::open(path).and_then(|file| file.sync_all());
    sync(&partial).map_err(io_error("sync", partial.clone()))?;
    fs::rename(&partial, &chain).map_err(io_error("create", chain))?;
    sync(path).map_err(io_error("sync", path.to_owned()))
}

/// The first versions of this program kept the tree in RocksDB. It is derived, so it is built again from the block log.
fn remove_first_format(path: &Path) -> Result<(), StorageError> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    tracing::warn!(target: "storage", path = %path.display(), "state tree of an earlier format is removed and built again");
    rocksdb::DB::destroy(&rocksdb::Options::default(), path).map_err(|error| {
        zkos_storage_api::ProviderError::Database {
            database: TREE_DATABASE,
            message: error.to_string(),
        }
        .into()
    })
}

impl TreeStore for TreeDirectory {
    fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>> {
        self.files.open_file(name)
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.files.remove_file(name)
    }

    fn files(&self) -> io::Result<Vec<String>> {
        self.files.files()
    }

    fn sync(&self) -> io::Result<()> {
        TreeStore::sync(&self.files)
    }
}
