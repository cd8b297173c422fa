//! Copies of a tree that is at work.

use super::{TreeFile, TreeStore};
use crate::{
    Damage, DamageCause, TreeError, TreeOutput,
    index::run_number,
    log::{self, segment_number},
    manifest::{MANIFEST_FILE, Manifest},
    pages::LEAVES_FILE,
    tree::{CONDEMNED_FILE, NODES_FILE},
    versions::VERSIONS_FILE,
};

/// How often a copy is begun again because a checkpoint came in between.
const ATTEMPTS: u32 = 10;

/// Bytes that are copied at a time.
const PART: u64 = 1 << 20;

/// A version with what it commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeVersion {
    /// The version.
    pub version: u64,
    /// Its root and leaf count.
    pub output: TreeOutput,
}

/// True for the names that a tree gives to its files.
pub fn is_tree_file(name: &str) -> bool {
    [MANIFEST_FILE, LEAVES_FILE, NODES_FILE, VERSIONS_FILE, CONDEMNED_FILE].contains(&name)
        || segment_number(name).is_some()
        || run_number(name).is_some()
}

/// Copies the files of a tree, which may be at work on them meanwhile, into an empty store. Returns
/// the version that the copy will have when it is opened, `None` for a tree without genesis.
///
/// Pages are copied before the log: whatever a checkpoint does to them has been in the log before,
/// so that opening the copy repairs it as it would after a crash. `progress` is told how many of how
/// many bytes are copied.
pub fn copy_files(
    from: &impl TreeStore,
    to: &impl TreeStore,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<TreeVersion>, TreeError> {
    if !names(from)?.iter().any(|name| name == MANIFEST_FILE) {
        return Ok(None);
    }
    for _ in 0..ATTEMPTS {
        if let Some(manifest) = try_copy(from, to, progress)? {
            let latest = log::latest(to, manifest.segment, manifest.sequence, manifest.latest)?;
            return Ok(
                latest.map(|latest| TreeVersion { version: latest.version, output: latest.output })
            );
        }
        remove_all(to)?;
    }
    let source = std::io::Error::other("the tree wrote checkpoint after checkpoint meanwhile");
    Err(TreeError::Io { operation: "copy", file: String::new(), source })
}

fn open(store: &impl TreeStore, name: &str) -> Result<Box<dyn TreeFile>, TreeError> {
    store.open_file(name).map_err(TreeError::io("open", name))
}

fn names(store: &impl TreeStore) -> Result<Vec<String>, TreeError> {
    let mut names = store.files().map_err(TreeError::io("list", ""))?;
    names.retain(|name| is_tree_file(name));
    names.sort();
    Ok(names)
}

fn remove_all(store: &impl TreeStore) -> Result<(), TreeError> {
    for name in names(store)? {
        store.remove_file(&name).map_err(TreeError::io("remove", &name))?;
    }
    Ok(())
}

/// `None` if a checkpoint was finished meanwhile.
fn try_copy(
    from: &impl TreeStore,
    to: &impl TreeStore,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Manifest>, TreeError> {
    let file = open(from, MANIFEST_FILE)?;
    let read = || {
        let missing = || Damage::new(MANIFEST_FILE, 0, DamageCause::Checksum).into();
        Manifest::read(&*file)?.ok_or_else::<TreeError, _>(missing)
    };
    let manifest = read()?;
    let (logs, others): (Vec<String>, Vec<String>) = names(from)?
        .into_iter()
        .filter(|name| name != MANIFEST_FILE)
        .partition(|name| segment_number(name).is_some());
    let names = || others.iter().chain(&logs);
    let sizes: Result<Vec<u64>, _> = names()
        .map(|name| open(from, name)?.size().map_err(TreeError::io("look at", name)))
        .collect();
    // Files may grow meanwhile.
    let (mut done, of) = (0, sizes?.iter().sum::<u64>());
    for name in names() {
        copy_file(from, to, name, &mut |bytes| {
            done += bytes;
            progress(done, of.max(done));
        })?;
    }
    // Only a finished checkpoint removes files. A file of the log that was begun meanwhile is not
    // needed: pages are only written when what came before is in older files.
    if read()? != manifest {
        return Ok(None);
    }
    let copy = open(to, MANIFEST_FILE)?;
    manifest.write(&*copy)?;
    to.sync().map_err(TreeError::io("sync", ""))?;
    Ok(Some(manifest))
}

fn copy_file(
    from: &impl TreeStore,
    to: &impl TreeStore,
    name: &str,
    copied: &mut dyn FnMut(u64),
) -> Result<(), TreeError> {
    let (source, copy) = (open(from, name)?, open(to, name)?);
    let size = source.size().map_err(TreeError::io("look at", name))?;
    let mut buffer = vec![0; PART.min(size) as usize];
    for offset in (0..size).step_by(PART as usize) {
        let part = &mut buffer[..PART.min(size - offset) as usize];
        source.read_exact_at(part, offset).map_err(TreeError::read(name, offset))?;
        copy.write_all_at(part, offset).map_err(TreeError::io("write", name))?;
        copied(part.len() as u64);
    }
    copy.sync().map_err(TreeError::io("sync", name))
}
