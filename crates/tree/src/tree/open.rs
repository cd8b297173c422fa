//! From the files to the tree.

use super::{
    CONDEMNED_FILE, MerkleTree, NODES_FILE, TreeOptions,
    checkpoint::remove_runs,
    dense::{Dense, redo},
    options::Progress,
};
use crate::{
    Damage, DamageCause, TreeError, TreeStore,
    hash::RawHash,
    index::{KeyIndex, run_number},
    is_tree_file,
    levels::{Levels, nodes_at},
    log::{Frame, Log, LogFile},
    manifest::{Latest, MANIFEST_FILE, Manifest},
    pages::{LEAVES_FILE, LeafPages, PAGE_HEIGHT},
    versions::{VERSIONS_FILE, Versions},
};
use std::sync::Arc;

/// A tree that was opened at any price.
#[derive(Debug)]
pub struct Opened<S> {
    /// The tree; empty if it has to be built again.
    pub tree: MerkleTree<S>,
    /// What is to be done.
    pub rebuild: Option<Rebuild>,
}

/// The files were damaged and have been removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// The first version that has to be given again; those after it follow.
    pub from: u64,
    /// What was found.
    pub damage: Damage,
}

impl<S: TreeStore> MerkleTree<S> {
    /// Opens the tree, see [`open_with`](Self::open_with), with sizes for a full node.
    pub fn open(store: S) -> Result<Self, TreeError> {
        Self::open_with(store, TreeOptions::default())
    }

    /// Opens the tree of a store, or begins one. Reads all leaves and the key index, redoes what
    /// stands in the log since the last checkpoint, and compares the root with the recorded one. A
    /// key index that is damaged is made anew, see [`index_damage`](Self::index_damage).
    ///
    /// After a crash the tree may be some versions behind: what follows
    /// [`latest_version`](Self::latest_version) is to be given again.
    ///
    /// # Errors
    /// [`TreeError::Damaged`] if the files do not hold what was written, which no crash explains.
    pub fn open_with(store: S, options: TreeOptions) -> Result<Self, TreeError> {
        Ok(load(&store, options, &mut |_, _| {})?.into_tree(store, options))
    }

    /// Removes the tree of a store, which is not to be open: for damage that was found later than at
    /// open, in old versions or by [`verify`](Self::verify).
    pub fn reset(store: &S) -> Result<(), TreeError> {
        reset(store)
    }

    /// Opens the tree; if it is damaged, removes it and begins an empty one, which the caller has to
    /// fill by giving all versions again. `progress` is told how many of how many leaves have been
    /// read.
    pub fn open_or_reset(
        store: S,
        options: TreeOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Opened<S>, TreeError> {
        match load(&store, options, progress) {
            Ok(loaded) => Ok(Opened { tree: loaded.into_tree(store, options), rebuild: None }),
            Err(TreeError::Damaged(damage)) => {
                reset(&store)?;
                let tree = Self::open_with(store, options)?;
                Ok(Opened { tree, rebuild: Some(Rebuild { from: 0, damage }) })
            }
            Err(error) => Err(error),
        }
    }
}

struct Loaded {
    latest: Option<Latest>,
    dense: Dense,
    log: Log,
    versions: Versions,
    nodes: Box<dyn crate::TreeFile>,
    manifest: Box<dyn crate::TreeFile>,
    checkpoint: Manifest,
    index_damage: Option<Damage>,
}

impl Loaded {
    fn into_tree<S>(self, store: S, options: TreeOptions) -> MerkleTree<S> {
        let Self { latest, dense, log, versions, nodes, manifest, checkpoint, index_damage } = self;
        let (halted, times) = (false, Default::default());
        MerkleTree {
            running: None,
            store: Arc::new(store),
            options,
            latest,
            dense,
            log,
            versions,
            nodes: nodes.into(),
            manifest: manifest.into(),
            checkpoint,
            index_damage,
            halted,
            times,
        }
    }
}

/// Removes all files of a tree.
fn reset(store: &impl TreeStore) -> Result<(), TreeError> {
    let mut names = store.files().map_err(TreeError::io("list", ""))?;
    names.retain(|name| is_tree_file(name));
    // Without a manifest the rest is known to be worthless, should this be interrupted. The mark goes
    // last.
    names.sort_by_key(|name| (name != MANIFEST_FILE, name == CONDEMNED_FILE));
    for name in names {
        store.remove_file(&name).map_err(TreeError::io("remove", &name))?;
        if name == MANIFEST_FILE {
            store.sync().map_err(TreeError::io("sync", ""))?;
        }
    }
    store.sync().map_err(TreeError::io("sync", ""))
}

/// Reads the manifest, or begins a tree where there is none.
fn load_manifest(
    store: &impl TreeStore,
    file: &dyn crate::TreeFile,
    names: &[String],
) -> Result<Manifest, TreeError> {
    if let Some(manifest) = Manifest::read(file)? {
        return Ok(manifest);
    }
    // The other files are made when the first manifest is on disk.
    if names.iter().any(|name| is_tree_file(name) && name != MANIFEST_FILE) {
        return Err(Damage::new(MANIFEST_FILE, 0, DamageCause::Checksum).into());
    }
    let first = Manifest::FIRST;
    first.write(file)?;
    store.sync().map_err(TreeError::io("sync", ""))?;
    Ok(first)
}

/// The damage with which a tree was marked.
fn condemned(store: &impl TreeStore) -> Result<Damage, TreeError> {
    let io = |operation| TreeError::io(operation, CONDEMNED_FILE);
    let file = store.open_file(CONDEMNED_FILE).map_err(io("open"))?;
    let mut text = vec![0; file.size().map_err(io("look at"))?.min(1 << 12) as usize];
    file.read_exact_at(&mut text, 0).map_err(io("read"))?;
    let found = String::from_utf8_lossy(&text).into_owned();
    Ok(Damage::new(CONDEMNED_FILE, 0, DamageCause::Condemned(found)))
}

/// The runs of the key index, or an index that knows nothing with what is wrong.
fn open_index(
    store: &impl TreeStore,
    checkpoint: &Manifest,
    leaf_count: u64,
    names: &[String],
    options: TreeOptions,
) -> Result<Result<KeyIndex, (Damage, KeyIndex)>, TreeError> {
    let last = names.iter().filter_map(|name| run_number(name)).max();
    let (next_run, cache) = (last.map_or(0, |last| last + 1), options.index_bytes());
    match KeyIndex::open(store, &checkpoint.runs, leaf_count, next_run, cache) {
        Ok(index) => Ok(Ok(index)),
        Err(TreeError::Damaged(damage)) => {
            Ok(Err((damage, KeyIndex::unknown(leaf_count, next_run, cache))))
        }
        Err(error) => Err(error),
    }
}

fn load(
    store: &impl TreeStore,
    options: TreeOptions,
    progress: &mut Progress<'_>,
) -> Result<Loaded, TreeError> {
    let open = |name: &str| store.open_file(name).map_err(TreeError::io("open", name));
    let names = store.files().map_err(TreeError::io("list", ""))?;
    if names.iter().any(|name| name == CONDEMNED_FILE) {
        return Err(condemned(store)?.into());
    }
    let manifest = open(MANIFEST_FILE)?;
    let mut checkpoint = load_manifest(store, &*manifest, &names)?;
    if checkpoint == Manifest::FIRST {
        Log::begin(store)?;
    }
    let leaf_count = checkpoint.latest.map_or(0, |latest| latest.output.leaf_count);

    let version_count = checkpoint.latest.map_or(0, |latest| latest.version.saturating_add(1));
    let mut versions = Versions::open(open(VERSIONS_FILE)?, version_count)?;
    let nodes = open(NODES_FILE)?;
    let page_nodes = read_nodes(&*nodes, leaf_count)?;
    let leaves = open(LEAVES_FILE)?;
    let size = leaves.size().map_err(TreeError::io("look at", LEAVES_FILE))?;
    if leaf_count.checked_mul(crate::LEAF_BYTES as u64).is_none_or(|needed| size < needed) {
        return Err(Damage::new(LEAVES_FILE, size, DamageCause::Truncated).into());
    }
    let mut pages = LeafPages::new(leaves, leaf_count, options.page_bytes());
    let mut index = open_index(store, &checkpoint, leaf_count, &names, options)?;

    let mut latest = checkpoint.latest;
    let log =
        Log::open(store, checkpoint.segment, checkpoint.sequence, |place, version, frame| {
            let damage = || place.damage(DamageCause::Sequence);
            let (Ok(index) | Err((_, index))) = &mut index;
            let connected = match frame {
                Frame::Version { record, changes } => {
                    let next = latest.map_or(0, |latest| latest.version + 1);
                    if version != next || changes.leaf_count_after() != record.leaf_count {
                        return Err(damage().into());
                    }
                    versions.insert(version, record);
                    let connected = redo::version(&mut pages, index, &changes)?;
                    let output = crate::TreeOutput {
                        // That of the last version of an update is always there.
                        root: record.root.unwrap_or_default(),
                        leaf_count: record.leaf_count,
                    };
                    let oldest = latest.map_or(0, |latest| latest.oldest);
                    latest = Some(Latest { version, oldest, output });
                    connected
                }
                Frame::Truncation { output, restored } => {
                    let before =
                        latest.filter(|latest| latest.version >= version).ok_or_else(damage)?;
                    versions.forget_after(version);
                    latest = Some(Latest { version, output, ..before });
                    redo::truncation(&mut pages, index, output.leaf_count, &restored)?
                }
                Frame::Pruning => {
                    let before =
                        latest.filter(|latest| latest.version >= version).ok_or_else(damage)?;
                    latest = Some(Latest { oldest: version, ..before });
                    Ok(())
                }
            };
            connected.map_err(|redo::Unconnected| damage().into())
        })?;

    versions.check(version_count.min(latest.map_or(0, |latest| latest.version + 1)))?;
    // From the nodes in the file, then with what the log has changed.
    let mut levels = Levels::build(page_nodes);
    pages.rehash(&mut levels);
    let (dense, index_damage) = Dense::build(store, pages, levels, index, progress)?;
    if let Some(Latest { version, oldest, output }) = latest {
        let found = dense.output();
        if found != output {
            let cause = DamageCause::Root { version, recorded: output.root, found: found.root };
            return Err(Damage::new(NODES_FILE, 0, cause).into());
        }
        if let Some(version) = log.missing(oldest + 1..=version) {
            return Err(Damage::new("log", 0, DamageCause::MissingVersion { version }).into());
        }
    }
    if index_damage.is_some() {
        // The new runs are those of the state that the log leads to.
        log.files_from(checkpoint.segment).iter().try_for_each(LogFile::sync)?;
        store.sync().map_err(TreeError::io("sync", ""))?;
        checkpoint.generation += 1;
        checkpoint.runs = dense.index.records();
        checkpoint.write(&*manifest)?;
    }
    remove_runs(store, &checkpoint)?;
    Ok(Loaded { latest, dense, log, versions, nodes, manifest, checkpoint, index_damage })
}

/// The nodes above pages, as in the file.
fn read_nodes(file: &dyn crate::TreeFile, leaf_count: u64) -> Result<Vec<RawHash>, TreeError> {
    let count = nodes_at(PAGE_HEIGHT, leaf_count);
    let size = file.size().map_err(TreeError::io("look at", NODES_FILE))?;
    if size / 32 < count {
        return Err(Damage::new(NODES_FILE, size, DamageCause::Truncated).into());
    }
    let mut nodes = vec![[0; 32]; count as usize];
    file.read_exact_at(nodes.as_flattened_mut(), 0).map_err(TreeError::read(NODES_FILE, 0))?;
    Ok(nodes)
}
