//! Consistent copies of all databases.
//!
//! A checkpoint is a directory with a copy of each database and the file [`CHECKPOINT_FILE`]. The derived databases are copied before the log, so that the log is never behind
//! them; what they lack is refilled at the first start. The index of addresses is left out: it can be filled while the node runs. Tables are hard links where the file system
//! allows it, which makes a copy on the same file system quick and small.

use super::{Measure, OnProgress, io_error, remove_database, remove_directory};
use crate::{
    OTS_INDEX_DATABASE, PREIMAGES_DATABASE, REPOSITORY_DATABASE, STATE_DATABASE, StorageError,
    TREE_DATABASE, WAL_DATABASE,
    db::Database,
    lock::DirLock,
    repository, state,
    tree::TreeDirectory,
    wal::{HeightFile, Wal},
};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Name of the description in a checkpoint.
pub const CHECKPOINT_FILE: &str = "checkpoint.json";
/// Format number of the description that this build writes and reads.
const CHECKPOINT_FORMAT: u32 = 1;
/// Where a restore gathers the files.
const GATHERED: &str = "restoring.partial";
/// Its name once all files are there and the databases are exchanged: as long as it exists the data directory is not whole.
const STAGING: &str = "restoring";
/// All databases, the log last.
const DATABASES: [&str; 5] =
    [STATE_DATABASE, REPOSITORY_DATABASE, PREIMAGES_DATABASE, TREE_DATABASE, WAL_DATABASE];

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointManifest {
    /// Format of this description.
    pub format: u32,
    /// Version of the program that made the copy.
    pub program_version: String,
    /// When it was made, seconds since 1970.
    pub created_at: u64,
    /// Chain id.
    pub chain_id: u64,
    /// Fingerprint of the genesis, as in the databases.
    pub genesis: B256,
    /// Last block of the log.
    pub block: u64,
    /// Its hash.
    pub block_hash: B256,
    /// Last block of database `state`.
    pub state_block: Option<u64>,
    /// First block whose state database `state` can answer.
    pub first_state_block: u64,
    /// Last block of database `preimages`.
    pub preimages_block: Option<u64>,
    /// Last block of database `repository`.
    pub repository_block: Option<u64>,
    /// State tree: the copy has this version, or has gone on from it.
    pub tree: Option<TreeCommitment>,
    /// All files, by path.
    pub files: Vec<FileEntry>,
}

/// A version of the state tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeCommitment {
    /// Version: the block.
    pub version: u64,
    /// Root hash.
    pub root: B256,
    /// Number of leaves, guards included.
    pub leaf_count: u64,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the checkpoint, with slashes.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// CRC-32 of the content: against accidents, not against forgery.
    pub crc32: u32,
}

impl CheckpointManifest {
    /// Reads the description of a checkpoint.
    ///
    /// # Errors
    /// When `path` is no checkpoint, or one of a later version.
    pub fn read(path: &Path) -> Result<Self, StorageError> {
        let file = path.join(CHECKPOINT_FILE);
        let text = std::fs::read(&file).map_err(|source| io_error("read", file.clone())(source))?;
        let bad = |reason: String| StorageError::Checkpoint { path: path.to_owned(), reason };
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| bad(format!("{CHECKPOINT_FILE} is malformed: {error}")))?;
        match value["format"].as_u64() {
            Some(format) if format == u64::from(CHECKPOINT_FORMAT) => {}
            Some(format) => {
                return Err(bad(format!(
                    "it has format {format}, this version reads {CHECKPOINT_FORMAT}"
                )));
            }
            None => return Err(bad(format!("{CHECKPOINT_FILE} has no format number"))),
        }
        serde_json::from_value(value)
            .map_err(|error| bad(format!("{CHECKPOINT_FILE} is malformed: {error}")))
    }

    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Copies the databases of a data directory that no process has open to `to`, which must not exist. `progress` is told how far it is.
///
/// # Errors
/// [`StorageError::Locked`] when a node runs on it: that node can make the copy itself.
pub fn create_offline(
    path: &Path,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<CheckpointManifest, StorageError> {
    if !path.join(WAL_DATABASE).join("CURRENT").exists() {
        return Err(StorageError::Missing { database: WAL_DATABASE, path: path.to_owned() });
    }
    let _lock = DirLock::acquire(path)?;
    let (_, height) = HeightFile::open(path)?;
    Wal::check_end(path, height.unwrap_or_default())?;
    let log = Database::open_existing(path, WAL_DATABASE)?;
    let mut databases = Vec::new();
    for name in [STATE_DATABASE, REPOSITORY_DATABASE, PREIMAGES_DATABASE] {
        match Database::open_existing(path, name) {
            Ok(database) => databases.push(Arc::new(database)),
            Err(StorageError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let tree = if path.join(TREE_DATABASE).exists() {
        Some(TreeDirectory::open(path, &log.marker()?)?)
    } else {
        None
    };
    databases.push(Arc::new(log));
    create(&databases.iter().collect::<Vec<_>>(), tree.as_ref(), to, progress)
}

/// Copies open databases to `to`. The log must be the last of `databases`.
pub(crate) fn create(
    databases: &[&Arc<Database>],
    tree: Option<&TreeDirectory>,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<CheckpointManifest, StorageError> {
    let bad =
        |reason: &str| StorageError::Checkpoint { path: to.to_owned(), reason: reason.to_owned() };
    if to.exists() {
        return Err(bad("it exists already, choose another name"));
    }
    let (Some(parent), Some(name)) = (to.parent(), to.file_name()) else {
        return Err(bad("it needs a name"));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    std::fs::create_dir_all(parent).map_err(io_error("create", parent.to_owned()))?;
    let partial = parent.join(format!("{}.partial", name.to_string_lossy()));
    remove_directory(&partial)?;
    std::fs::create_dir(&partial).map_err(io_error("create", partial.clone()))?;
    let result = fill(databases, tree, &partial, progress).and_then(|manifest| {
        std::fs::rename(&partial, to).map_err(io_error("create", to.to_owned()))?;
        sync_directory(parent)?;
        Ok(manifest)
    });
    if result.is_err()
        && let Err(error) = remove_directory(&partial)
    {
        tracing::warn!(target: "storage", %error, "an unfinished checkpoint is left behind");
    }
    result
}

fn fill(
    databases: &[&Arc<Database>],
    tree: Option<&TreeDirectory>,
    to: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<CheckpointManifest, StorageError> {
    let (log, derived) = databases.split_last().ok_or_else(|| StorageError::Checkpoint {
        path: to.to_owned(),
        reason: "there is no block log".to_owned(),
    })?;
    let marker = log.marker()?;
    for database in derived {
        database.checkpoint(&to.join(database.name()))?;
    }
    let tree = match tree {
        Some(files) => {
            let copied = files.copy_to(&to.join(TREE_DATABASE), progress)?;
            copied.map(|copied| TreeCommitment {
                version: copied.version,
                root: copied.output.root,
                leaf_count: copied.output.leaf_count,
            })
        }
        None => None,
    };
    log.checkpoint(&to.join(WAL_DATABASE))?;

    // What the copies hold is read from them: the databases have gone on meanwhile.
    let wal = Wal::new(Arc::new(Database::open_read_only(to, WAL_DATABASE)?));
    let missing = || StorageError::Missing { database: WAL_DATABASE, path: to.to_owned() };
    let block = wal.latest()?.ok_or_else(missing)?;
    let hashes = wal.hashes(block)?.ok_or_else(missing)?;
    drop(wal);
    let open = |name| match Database::open_read_only(to, name) {
        Ok(database) => Ok(Some(database)),
        Err(StorageError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let values = open(STATE_DATABASE)?;
    let (state_block, first_state_block) = match &values {
        Some(db) => (state::stored_head(db)?, state::stored_first(db)?),
        None => (None, 0),
    };
    let preimages_block = match open(PREIMAGES_DATABASE)? {
        Some(db) => state::stored_head(&db)?,
        None => None,
    };
    let repository_block = match open(REPOSITORY_DATABASE)? {
        Some(db) => repository::stored_head(&db)?,
        None => None,
    };
    drop(values);

    let mut paths = Vec::new();
    list_files(to, &mut paths)?;
    let mut measure = Measure {
        what: "bytes read for their checksums",
        done: 0,
        of: Some(paths.iter().map(|(_, bytes)| bytes).sum()),
    };
    let mut files = Vec::with_capacity(paths.len());
    for (path, _) in paths {
        let (bytes, crc32) = checksum(&path, &mut std::io::sink(), &mut |count| {
            measure.done += count;
            progress(measure);
        })?;
        let relative = path.strip_prefix(to).unwrap_or(&path);
        let path = relative
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect::<Vec<_>>()
            .join("/");
        files.push(FileEntry { path, bytes, crc32 });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = CheckpointManifest {
        format: CHECKPOINT_FORMAT,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
            .unwrap_or_default(),
        chain_id: marker.chain_id,
        genesis: marker.genesis,
        block,
        block_hash: hashes.block_hash,
        state_block,
        first_state_block,
        preimages_block,
        repository_block,
        tree,
        files,
    };
    let path = to.join(CHECKPOINT_FILE);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| StorageError::Checkpoint {
        path: to.to_owned(),
        reason: error.to_string(),
    })?;
    File::create(&path)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .map_err(io_error("write", path))?;
    sync_directory(to)?;
    Ok(manifest)
}

/// Files below a directory, with their sizes.
fn list_files(dir: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<(), StorageError> {
    let error = |source| io_error("read", dir.to_owned())(source);
    for entry in std::fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = entry.path();
        if path.is_dir() {
            list_files(&path, files)?;
            continue;
        }
        // Locks and texts of the engine are no data, and are written by whoever opens the database.
        let name = entry.file_name();
        if name == "LOCK" || name.to_string_lossy().starts_with("LOG") {
            continue;
        }
        let bytes = entry.metadata().map_err(error)?.len();
        files.push((path, bytes));
    }
    Ok(())
}

/// Reads a file, writes it to `copy` too, gives size and checksum. `read` is told of every piece.
fn checksum(
    path: &Path,
    copy: &mut impl Write,
    read: &mut dyn FnMut(u64),
) -> Result<(u64, u32), StorageError> {
    let error = |source| io_error("read", path.to_owned())(source);
    let mut file = File::open(path).map_err(error)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count =
            file.read(&mut buffer).map_err(|source| io_error("read", path.to_owned())(source))?;
        if count == 0 {
            return Ok((bytes, hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
        copy.write_all(&buffer[..count])
            .map_err(|source| io_error("copy", path.to_owned())(source))?;
        bytes += count as u64;
        read(count as u64);
    }
}

fn sync_directory(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path.to_owned()))
}

/// Puts the databases of a checkpoint into a data directory that no process has open. Every file is compared with its checksum before anything in the directory changes;
/// the checkpoint stays as it is. With `replace` databases that are there are deleted, without it they are an error. `progress` is told how far it is.
///
/// # Errors
/// When the checkpoint is damaged or of a later version, or the directory is in use or not empty.
pub fn restore(
    checkpoint: &Path,
    path: &Path,
    replace: bool,
    progress: &mut OnProgress<'_>,
) -> Result<CheckpointManifest, StorageError> {
    let manifest = CheckpointManifest::read(checkpoint)?;
    let bad = |reason: String| StorageError::Checkpoint { path: checkpoint.to_owned(), reason };
    let has = |name: &str| {
        let folder = format!("{name}/");
        manifest.files.iter().any(|file| file.path.starts_with(&folder))
    };
    if !has(WAL_DATABASE) {
        return Err(bad("it holds no block log".to_owned()));
    }
    std::fs::create_dir_all(path).map_err(io_error("create", path.to_owned()))?;
    let _lock = DirLock::acquire(path)?;
    let staging = path.join(STAGING);
    let interrupted = staging.exists();
    let occupied: Vec<&str> =
        DATABASES.into_iter().filter(|name| path.join(name).exists()).collect();
    if !occupied.is_empty() && !replace && !interrupted {
        return Err(bad(format!(
            "data directory {} holds {} already; name another one, or say that they are to be replaced",
            path.display(),
            occupied.join(", ")
        )));
    }
    let gathered = path.join(GATHERED);
    remove_directory(&gathered)?;
    let mut measure =
        Measure { what: "bytes copied and checked", done: 0, of: Some(manifest.bytes()) };
    for file in &manifest.files {
        let relative = safe_path(&file.path)
            .ok_or_else(|| bad(format!("{CHECKPOINT_FILE} names a file {:?}", file.path)))?;
        let target = gathered.join(&relative);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(io_error("create", parent.to_owned()))?;
        }
        let mut copy =
            File::create(&target).map_err(|source| io_error("create", target.clone())(source))?;
        let (bytes, crc32) = checksum(&checkpoint.join(&relative), &mut copy, &mut |count| {
            measure.done += count;
            progress(measure);
        })?;
        if (bytes, crc32) != (file.bytes, file.crc32) {
            remove_directory(&gathered)?;
            return Err(bad(format!(
                "file {} has {bytes} bytes and checksum {crc32:08x}, written were {} bytes with {:08x}",
                file.path, file.bytes, file.crc32
            )));
        }
        copy.sync_all().map_err(|source| io_error("sync", target.clone())(source))?;
    }
    remove_directory(&staging)?;
    std::fs::rename(&gathered, &staging).map_err(io_error("rename", gathered))?;
    for name in &occupied {
        remove_database(path, name)?;
    }
    // Not part of a checkpoint, and it would know blocks that the restored log does not have.
    remove_database(path, OTS_INDEX_DATABASE)?;
    for name in DATABASES.into_iter().filter(|name| has(name)) {
        let target = path.join(name);
        std::fs::rename(staging.join(name), &target).map_err(io_error("create", target.clone()))?;
    }
    let (mut height, _) = HeightFile::open(path)?;
    height.write(manifest.block)?;
    height.sync()?;
    sync_directory(path)?;
    remove_directory(&staging)?;
    Ok(manifest)
}

/// A relative path without detours.
fn safe_path(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().count() >= 2).then_some(path)
}

/// Error if a restore into this directory was interrupted.
pub(crate) fn check_not_restoring(path: &Path) -> Result<(), StorageError> {
    let staging = path.join(STAGING);
    if !staging.exists() {
        return Ok(());
    }
    Err(StorageError::Checkpoint {
        path: staging,
        reason: "restoring a checkpoint was interrupted; restore it again".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        assert_eq!(safe_path("state/000012.sst"), Some("state/000012.sst".into()));
        for bad in ["/etc/passwd", "state/../../x", "../x", "./state/x", "x", ""] {
            assert_eq!(safe_path(bad), None, "{bad}");
        }
    }
}
