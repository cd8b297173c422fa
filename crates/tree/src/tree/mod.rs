//! The tree: versions, their application, and the way back.

mod checkpoint;
mod dense;
mod open;
pub(crate) mod options;

pub(crate) use dense::Dense;
pub use open::{Opened, Rebuild};
pub use options::{TreeOptions, TreeTimes, TreeUsage};

use crate::{
    BatchProof, Damage, DamageCause, KeyProof, Leaf, TreeError, TreeFile, TreeOutput, TreeStore,
    TreeView,
    changes::{LinkChange, ValueChange},
    hash::entries_digest,
    log::{Batch, Frame, Log, Restored},
    manifest::{Latest, Manifest},
    versions::{VersionRecord, Versions},
};
use alloy_primitives::B256;
use checkpoint::Running;
use dense::PARALLEL_KEYS;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// Name of the file with the nodes above pages.
pub(crate) const NODES_FILE: &str = "nodes";

/// Name of the file that tells of damage met at work.
pub(crate) const CONDEMNED_FILE: &str = "condemned";

/// The state tree of a chain, in the files of a store.
///
/// Writing needs `&mut self`, everything else `&self`: share it behind a read-write lock. Every
/// method that changes the tree is atomic: when it fails, the tree has not changed.
#[derive(Debug)]
pub struct MerkleTree<S> {
    /// First, so that it is over before anything else goes.
    running: Option<Running<S>>,
    store: Arc<S>,
    options: TreeOptions,
    /// `None` before version 0.
    latest: Option<Latest>,
    dense: Dense,
    log: Log,
    versions: Versions,
    nodes: Arc<dyn TreeFile>,
    manifest: Arc<dyn TreeFile>,
    /// As in the file.
    checkpoint: Manifest,
    /// What was wrong with the key index when the tree was opened.
    index_damage: Option<Damage>,
    /// What is on disk is not known any more.
    halted: bool,
    times: TreeTimes,
}

impl<S: TreeStore> MerkleTree<S> {
    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What was wrong with the key index when the tree was opened, which has made it anew.
    pub const fn index_damage(&self) -> Option<&Damage> {
        self.index_damage.as_ref()
    }

    /// Latest version, `None` before genesis.
    pub fn latest_version(&self) -> Option<u64> {
        self.latest.map(|latest| latest.version)
    }

    /// Oldest version that can be looked at and gone back to, `None` before genesis.
    pub fn oldest_version(&self) -> Option<u64> {
        self.latest.map(|latest| latest.oldest)
    }

    /// Root and leaf count of the latest version, `None` before genesis.
    pub fn latest(&self) -> Option<TreeOutput> {
        self.latest.map(|latest| latest.output)
    }

    /// Root and leaf count of a version. Known for every version, pruned or not; except that the
    /// root of a version in the middle of an [`extend_batch`](Self::extend_batch) is computed on
    /// the way back through the log.
    pub fn output(&self, version: u64) -> Result<TreeOutput, TreeError> {
        let latest = self.known(version)?;
        if version == latest.version {
            return Ok(latest.output);
        }
        let record = self.versions.get(version)?;
        match record.root {
            Some(root) => Ok(TreeOutput { root, leaf_count: record.leaf_count }),
            None => Ok(self.view(version)?.output()),
        }
    }

    /// Root of a version, see [`output`](Self::output).
    pub fn root(&self, version: u64) -> Result<B256, TreeError> {
        self.output(version).map(|output| output.root)
    }

    /// Number of leaves of a version, guards included.
    pub fn leaf_count(&self, version: u64) -> Result<u64, TreeError> {
        let latest = self.known(version)?;
        if version == latest.version {
            Ok(latest.output.leaf_count)
        } else {
            Ok(self.versions.get(version)?.leaf_count)
        }
    }

    /// Applies one version: the net storage writes of a block as (key, value), in write order.
    /// Version 0 holds the genesis entries over the two guards. No entries make a version with the
    /// root of the one before.
    ///
    /// A version that is there already is compared: entries that lead to the same root are fine.
    pub fn extend(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
    ) -> Result<TreeOutput, TreeError> {
        self.extend_batch(version, &[entries])
    }

    /// Applies successive versions, `first` and on, in one update of the store, and hashes once:
    /// for syncing, where the roots in between are not asked for (asking is possible, see
    /// [`output`](Self::output)). Returns the last one.
    ///
    /// Versions at the start that are there already are compared. Without any versions, returns the
    /// latest one.
    pub fn extend_batch<E: AsRef<[(B256, B256)]>>(
        &mut self,
        first: u64,
        versions: &[E],
    ) -> Result<TreeOutput, TreeError> {
        let next = self.latest_version().map_or(0, |latest| latest + 1);
        if first > next {
            return Err(TreeError::VersionGap { expected: next, got: first });
        }
        let known = usize::try_from(next - first).unwrap_or(usize::MAX).min(versions.len());
        let (old, new) = versions.split_at(known);
        for (version, entries) in (first..).zip(old) {
            self.compare(version, entries.as_ref())?;
        }
        if new.is_empty() {
            let version = match known {
                0 => next
                    .checked_sub(1)
                    .ok_or(TreeError::UnknownVersion { version: first, latest: None })?,
                known => first + known as u64 - 1,
            };
            return self.output(version);
        }
        self.append(next, new)
    }

    fn append<E: AsRef<[(B256, B256)]>>(
        &mut self,
        first: u64,
        versions: &[E],
    ) -> Result<TreeOutput, TreeError> {
        self.writable()?;
        self.follow_checkpoints()?;
        let result = self.append_now(first, versions);
        self.dense.trim();
        result
    }

    fn append_now<E: AsRef<[(B256, B256)]>>(
        &mut self,
        first: u64,
        versions: &[E],
    ) -> Result<TreeOutput, TreeError> {
        let mut batch = Batch::default();
        for (version, entries) in (first..).zip(versions) {
            let entries = entries.as_ref();
            let mut apply = || self.dense.apply(version, entries, &mut self.times);
            let (applied, entries_digest) = match entries.len() < PARALLEL_KEYS {
                true => (apply(), entries_digest(entries)),
                false => rayon::join(apply, || entries_digest(entries)),
            };
            match applied {
                Ok(changes) => {
                    let leaf_count = changes.leaf_count_after();
                    let record = VersionRecord { root: None, leaf_count, entries_digest };
                    batch.push(version, Frame::Version { record, changes });
                }
                Err(error) => {
                    self.dense.revert(batch.changes().rev());
                    return Err(error);
                }
            }
        }
        let started = Instant::now();
        self.dense.rehash();
        let output = self.dense.output();
        self.times.hash += started.elapsed();
        if let Some(Frame::Version { record, .. }) = batch.last_mut() {
            record.root = Some(output.root);
        }
        let started = Instant::now();
        if let Err(error) = self.log(&batch) {
            self.dense.revert(batch.changes().rev());
            return Err(error);
        }
        self.times.log += started.elapsed();
        for (version, frame) in batch.versions() {
            if let Frame::Version { record, .. } = frame {
                self.versions.insert(version, *record);
            }
        }
        self.latest = Some(Latest {
            version: first + versions.len() as u64 - 1,
            oldest: self.oldest_version().unwrap_or(0),
            output,
        });
        Ok(output)
    }

    /// Checks that entries lead to a version that is there already.
    fn compare(&self, version: u64, entries: &[(B256, B256)]) -> Result<(), TreeError> {
        if self.versions.get(version)?.entries_digest == entries_digest(entries) {
            return Ok(());
        }
        // Other entries can still mean the same: known keys in another order, values that were
        // there before.
        let recorded = self.output(version)?;
        let computed = self.recompute(version, entries)?;
        if computed == Some(recorded) {
            return Ok(());
        }
        let computed = computed.map(|computed| computed.root);
        Err(TreeError::VersionMismatch { version, recorded: recorded.root, computed })
    }

    /// What entries would have made of the version before; `None` if that is pruned.
    fn recompute(
        &self,
        version: u64,
        entries: &[(B256, B256)],
    ) -> Result<Option<TreeOutput>, TreeError> {
        let (proof, previous) = match version.checked_sub(1) {
            None => (BatchProof::default(), None),
            Some(previous) => match self.view(previous) {
                Ok(view) => {
                    let keys: Vec<B256> = entries.iter().map(|(key, _)| *key).collect();
                    (view.prove_batch(&[], &keys)?, Some(view.output()))
                }
                Err(TreeError::HistoryPruned { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let verified = proof
            .verify(previous, &[], entries)
            .map_err(|source| TreeError::OwnProof { version, source })?;
        Ok(Some(verified.output))
    }

    /// Goes back to a version for good: the versions after it are dropped.
    pub fn truncate(&mut self, version: u64) -> Result<TreeOutput, TreeError> {
        let latest = self.known(version)?;
        self.writable()?;
        if version == latest.version {
            return self.output(version);
        }
        // Computes and checks the root before anything is changed.
        let view = self.view(version)?;
        let output = view.output();
        let restored: Vec<Restored> = view
            .into_changed_leaves()
            .into_iter()
            .map(|(index, leaf)| Restored { index, value: leaf.value(), next: leaf.next() })
            .collect();
        self.dense.prepare_restore(output.leaf_count, &restored)?;
        let mut batch = Batch::default();
        batch.push(version, Frame::Truncation { output, restored: restored.clone() });
        self.log(&batch)?;
        self.dense.restore(output.leaf_count, &restored);
        self.dense.trim();
        self.versions.forget_after(version);
        self.latest = Some(Latest { version, output, ..latest });
        Ok(output)
    }

    /// Gives up the way back to versions before the given one. Their roots stay known. The next
    /// checkpoint makes room on disk.
    pub fn retain_from(&mut self, version: u64) -> Result<(), TreeError> {
        let latest = self.known(version)?;
        if version <= latest.oldest {
            return Ok(());
        }
        self.writable()?;
        let mut batch = Batch::default();
        batch.push(version, Frame::Pruning);
        self.log(&batch)?;
        self.log.forget_to(version);
        self.latest = Some(Latest { oldest: version, ..latest });
        Ok(())
    }

    /// Writes an update to the log that is applied afterwards.
    fn log(&mut self, batch: &Batch) -> Result<(), TreeError> {
        self.log.append(batch).map_err(|failed| {
            self.halted |= !failed.undone;
            failed.error
        })
    }

    /// The tree as it was at a version. Costs, for an older one, reading the log after it and
    /// hashing what was changed: ask one view for all that is needed of a version.
    pub fn view(&self, version: u64) -> Result<TreeView<'_>, TreeError> {
        let latest = self.known(version)?;
        if version < latest.oldest {
            return Err(TreeError::HistoryPruned { version, oldest: latest.oldest });
        }
        if version == latest.version {
            return Ok(TreeView::latest(&self.dense, version));
        }
        let record = self.versions.get(version)?;
        let damage = |later| Damage::new("log", 0, DamageCause::MissingVersion { version: later });
        let mut old: BTreeMap<u64, (Option<B256>, Option<u64>)> = BTreeMap::new();
        let mut leaf_count = latest.output.leaf_count;
        for later in (version + 1..=latest.version).rev() {
            let changes = self.log.changes(later)?;
            if changes.leaf_count_after() != leaf_count {
                return Err(damage(later).into());
            }
            leaf_count = changes.leaf_count;
            for ValueChange { index, old: value, .. } in changes.values {
                old.entry(index).or_default().0 = Some(value);
            }
            for LinkChange { index, old: next, .. } in changes.links {
                old.entry(index).or_default().1 = Some(next);
            }
        }
        if leaf_count != record.leaf_count || leaf_count < 2 {
            return Err(damage(version).into());
        }
        let mut leaves = BTreeMap::new();
        for (index, (value, next)) in old.range(..leaf_count) {
            let leaf = self.dense.leaf(*index)?;
            let (value, next) =
                (value.unwrap_or_else(|| leaf.value()), next.unwrap_or_else(|| leaf.next()));
            leaves.insert(*index, Leaf::new(leaf.key(), value, next));
        }
        let view = TreeView::historic(&self.dense, version, leaf_count, leaves)?;
        match record.root {
            Some(recorded) if recorded != view.root() => {
                let cause = DamageCause::Root { version, recorded, found: view.root() };
                Err(Damage::new("log", 0, cause).into())
            }
            _ => Ok(view),
        }
    }

    /// Value of a key in the latest version; `None` if it was never written.
    pub fn get(&self, key: &B256) -> Result<Option<B256>, TreeError> {
        match self.latest {
            Some(latest) => self.view(latest.version)?.get(key),
            None => Ok(None),
        }
    }

    /// Proofs of keys at a version, in the order of the keys.
    pub fn prove(&self, version: u64, keys: &[B256]) -> Result<Vec<KeyProof>, TreeError> {
        let view = self.view(version)?;
        keys.iter().map(|key| view.prove(key)).collect()
    }

    /// Witness of a block against the version **before** it: what the block read and wrote, each in
    /// the order in which the verifier will ask. The witness of version 0 is
    /// `BatchProof::default()`.
    pub fn prove_batch(
        &self,
        version: u64,
        reads: &[B256],
        writes: &[B256],
    ) -> Result<BatchProof, TreeError> {
        self.view(version)?.prove_batch(reads, writes)
    }

    /// Reads all files and computes everything anew: leaves up to the root, the sorted list along
    /// the key index, the records of all versions, the log of those that can be gone back to.
    /// Nothing is changed.
    pub fn verify(&self) -> Result<(), TreeError> {
        self.verify_with(&mut |_, _| {})
    }

    /// [`verify`](Self::verify) that tells how many of how many leaves have been read.
    pub fn verify_with(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), TreeError> {
        let Some(latest) = self.latest else { return Ok(()) };
        self.dense.verify(latest.version, latest.output.root, progress)?;
        for version in 0..=latest.version {
            self.versions.get(version)?;
        }
        for version in latest.oldest + 1..=latest.version {
            self.log.changes(version)?;
        }
        Ok(())
    }

    /// Marks the files as damaged, so that the next [`open_or_reset`](Self::open_or_reset) begins
    /// anew: for damage that was met at work, and in places that are not read at open.
    pub fn condemn(&mut self, damage: &Damage) -> Result<(), TreeError> {
        self.stop_checkpoint();
        self.halted = true;
        let file = self.store.open_file(CONDEMNED_FILE);
        let file = file.map_err(TreeError::io("create", CONDEMNED_FILE))?;
        let text = damage.to_string();
        file.write_all_at(text.as_bytes(), 0).map_err(TreeError::io("write", CONDEMNED_FILE))?;
        file.sync().map_err(TreeError::io("sync", CONDEMNED_FILE))?;
        self.store.sync().map_err(TreeError::io("sync", ""))
    }

    /// What the tree takes up now.
    pub fn usage(&self) -> TreeUsage {
        TreeUsage {
            cached_pages_bytes: self.dense.pages.resident_bytes(),
            unwritten_pages_bytes: self.dense.pages.dirty_bytes(),
            key_index_bytes: self.dense.index.memory_bytes(),
            log_bytes: self.log.current_bytes(),
        }
    }

    /// Where the time of updates went so far.
    pub const fn times(&self) -> TreeTimes {
        self.times
    }

    /// State of the versions, if the version is in the tree.
    fn known(&self, version: u64) -> Result<Latest, TreeError> {
        self.latest
            .filter(|latest| version <= latest.version)
            .ok_or_else(|| TreeError::UnknownVersion { version, latest: self.latest_version() })
    }

    fn writable(&self) -> Result<(), TreeError> {
        if self.halted { Err(TreeError::Halted) } else { Ok(()) }
    }
}
