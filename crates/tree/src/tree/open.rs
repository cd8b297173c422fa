//! From the files to the tree.

use super::{
    MerkleTree, NODES_FILE, TreeOptions,
    dense::{Dense, redo},
};
use crate::{
    Damage, DamageCause, TreeError, TreeStore,
    hash::RawHash,
    is_tree_file,
    levels::nodes_at,
    log::{Frame, Log},
    manifest::{Latest, MANIFEST_FILE, Manifest},
    pages::{LEAVES_FILE, LeafPages, PAGE_HEIGHT},
    versions::{VERSIONS_FILE, Versions},
};

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

    /// Opens the tree of a store, or begins one. Reads all leaves, redoes what stands in the log
    /// since the last checkpoint, and compares the root with the recorded one.
    ///
    /// After a crash the tree may be some versions behind: what follows
    /// [`latest_version`](Self::latest_version) is to be given again.
    ///
    /// # Errors
    /// [`TreeError::Damaged`] if the files do not hold what was written, which no crash explains.
    pub fn open_with(store: S, options: TreeOptions) -> Result<Self, TreeError> {
        Ok(load(&store, options)?.into_tree(store, options))
    }

    /// Removes the tree of a store, which is not to be open: for damage that was found later than at
    /// open, in old versions or by [`verify`](Self::verify).
    pub fn reset(store: &S) -> Result<(), TreeError> {
        reset(store)
    }

    /// Opens the tree; if it is damaged, removes it and begins an empty one, which the caller has to
    /// fill by giving all versions again.
    pub fn open_or_reset(store: S, options: TreeOptions) -> Result<Opened<S>, TreeError> {
        match load(&store, options) {
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
}

impl Loaded {
    fn into_tree<S>(self, store: S, options: TreeOptions) -> MerkleTree<S> {
        let Self { latest, dense, log, versions, nodes, manifest, checkpoint } = self;
        let (halted, times) = (false, Default::default());
        MerkleTree {
            store,
            options,
            latest,
            dense,
            log,
            versions,
            nodes,
            manifest,
            checkpoint,
            halted,
            times,
        }
    }
}

/// Removes all files of a tree.
fn reset(store: &impl TreeStore) -> Result<(), TreeError> {
    let mut names = store.files().map_err(TreeError::io("list", ""))?;
    names.retain(|name| is_tree_file(name));
    // Without a manifest the rest is known to be worthless, should this be interrupted.
    names.sort_by_key(|name| name != MANIFEST_FILE);
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

fn load(store: &impl TreeStore, options: TreeOptions) -> Result<Loaded, TreeError> {
    let open = |name: &str| store.open_file(name).map_err(TreeError::io("open", name));
    let names = store.files().map_err(TreeError::io("list", ""))?;
    let manifest = open(MANIFEST_FILE)?;
    let checkpoint = load_manifest(store, &*manifest, &names)?;
    if checkpoint == Manifest::FIRST {
        Log::begin(store)?;
    }
    let leaf_count = checkpoint.latest.map_or(0, |latest| latest.output.leaf_count);

    let version_count = checkpoint.latest.map_or(0, |latest| latest.version.saturating_add(1));
    let mut versions = Versions::open(open(VERSIONS_FILE)?, version_count)?;
    let nodes = open(NODES_FILE)?;
    let mut page_nodes = read_nodes(&*nodes, leaf_count)?;
    let leaves = open(LEAVES_FILE)?;
    let size = leaves.size().map_err(TreeError::io("look at", LEAVES_FILE))?;
    if leaf_count.checked_mul(crate::LEAF_BYTES as u64).is_none_or(|needed| size < needed) {
        return Err(Damage::new(LEAVES_FILE, size, DamageCause::Truncated).into());
    }
    let mut pages = LeafPages::new(leaves, leaf_count, options.cache_bytes);

    let mut latest = checkpoint.latest;
    let log =
        Log::open(store, checkpoint.segment, checkpoint.sequence, |place, version, frame| {
            let damage = || place.damage(DamageCause::Sequence);
            let connected = match frame {
                Frame::Version { record, changes } => {
                    let next = latest.map_or(0, |latest| latest.version + 1);
                    if version != next || changes.leaf_count_after() != record.leaf_count {
                        return Err(damage().into());
                    }
                    versions.insert(version, record);
                    let connected = redo::version(&mut pages, &changes)?;
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
                    redo::truncation(&mut pages, output.leaf_count, &restored)?
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

    page_nodes.resize(pages.page_count() as usize, [0; 32]);
    for (page, node) in pages.rehash() {
        page_nodes[page as usize] = node;
    }
    let dense = Dense::build(pages, page_nodes)?;
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
    Ok(Loaded { latest, dense, log, versions, nodes, manifest, checkpoint })
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
