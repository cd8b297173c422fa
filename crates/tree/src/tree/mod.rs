//! The tree: versions, their application, and the way back.

mod dense;

pub(crate) use dense::Dense;

use crate::{
    BatchProof, Corruption, KeyProof, Manifest, TreeError, TreeOutput, TreeStore, TreeUpdate,
    TreeView, VersionRecord, hash::entries_digest,
};
use alloy_primitives::B256;
use dense::fold_undo;

/// The state tree of a chain, in memory, over a store.
///
/// Writing needs `&mut self`, everything else `&self`: share it behind a read-write lock. Every
/// method that changes the tree is atomic: when it fails, neither memory nor the store has changed.
#[derive(Debug)]
pub struct MerkleTree<S> {
    store: S,
    /// As stored; `None` before version 0.
    manifest: Option<Manifest>,
    dense: Dense,
}

impl<S: TreeStore> MerkleTree<S> {
    /// Loads the tree: reads all leaves, hashes them and compares the root with the recorded one.
    pub fn open(store: S) -> Result<Self, TreeError> {
        let manifest = store.manifest().map_err(TreeError::store("reading the manifest"))?;
        let Some(recorded) = manifest else {
            return Ok(Self { store, manifest: None, dense: Dense::default() });
        };
        let leaves = store.leaves().map_err(TreeError::store("reading the leaves"))?;
        let found = leaves.len() as u64;
        if found != recorded.leaf_count || found < 2 {
            return Err(Corruption::LeafCount { recorded: recorded.leaf_count, found }.into());
        }
        let dense = Dense::build(leaves)?;
        let found = dense.output().root;
        if found != recorded.root {
            let Manifest { version, root: recorded, .. } = recorded;
            return Err(Corruption::Root { version, recorded, found }.into());
        }
        Ok(Self { store, manifest, dense })
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Latest version, `None` before genesis.
    pub fn latest_version(&self) -> Option<u64> {
        self.manifest.map(|manifest| manifest.version)
    }

    /// Oldest version that can be looked at and gone back to, `None` before genesis.
    pub fn oldest_version(&self) -> Option<u64> {
        self.manifest.map(|manifest| manifest.oldest_version)
    }

    /// Root and leaf count of the latest version, `None` before genesis.
    pub fn latest(&self) -> Option<TreeOutput> {
        self.manifest
            .map(|manifest| TreeOutput { root: manifest.root, leaf_count: manifest.leaf_count })
    }

    /// Root and leaf count of a version. Known for every version, pruned or not; except that the
    /// root of a version in the middle of an [`extend_batch`](Self::extend_batch) is computed on
    /// the way back through undo records.
    pub fn output(&self, version: u64) -> Result<TreeOutput, TreeError> {
        let manifest = self.known(version)?;
        if version == manifest.version {
            return Ok(TreeOutput { root: manifest.root, leaf_count: manifest.leaf_count });
        }
        let record = self.record(version)?;
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
        let manifest = self.known(version)?;
        if version == manifest.version {
            Ok(manifest.leaf_count)
        } else {
            Ok(self.record(version)?.leaf_count)
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
        let mut undo = Vec::with_capacity(versions.len());
        let mut records = Vec::with_capacity(versions.len());
        for (version, entries) in (first..).zip(versions) {
            let entries = entries.as_ref();
            match self.dense.apply(version, entries) {
                Ok(record) => undo.push(record),
                Err(error) => {
                    self.dense.revert(&undo);
                    return Err(error);
                }
            }
            let entries_digest = entries_digest(entries);
            records.push((
                version,
                VersionRecord { root: None, leaf_count: self.dense.leaf_count(), entries_digest },
            ));
        }
        let written = self.dense.rehash(&undo);
        let output = self.dense.output();
        if let Some((_, record)) = records.last_mut() {
            record.root = Some(output.root);
        }
        let manifest = Manifest {
            version: first + versions.len() as u64 - 1,
            oldest_version: self.oldest_version().unwrap_or(0),
            leaf_count: output.leaf_count,
            root: output.root,
        };
        let update = TreeUpdate {
            leaves: written
                .iter()
                .map(|index| (*index, self.dense.leaves[*index as usize]))
                .collect(),
            versions: records,
            // There is no way back from version 0.
            undo: (first..).zip(undo.iter().cloned()).filter(|(version, _)| *version > 0).collect(),
            ..TreeUpdate::new(manifest)
        };
        if let Err(source) = self.store.apply(update) {
            self.dense.revert(&undo);
            return Err(TreeError::Store { operation: "storing versions", source });
        }
        self.manifest = Some(manifest);
        Ok(output)
    }

    /// Checks that entries lead to a version that is there already.
    fn compare(&self, version: u64, entries: &[(B256, B256)]) -> Result<(), TreeError> {
        if self.record(version)?.entries_digest == entries_digest(entries) {
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
                    (view.prove_batch(&[], &keys), Some(view.output()))
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
        let manifest = self.known(version)?;
        if version == manifest.version {
            return self.output(version);
        }
        // Computes and checks the root before anything is changed.
        let view = self.view(version)?;
        let output = view.output();
        let old = view.into_changed_leaves();
        let manifest =
            Manifest { version, leaf_count: output.leaf_count, root: output.root, ..manifest };
        let later = version + 1..self.latest_version().unwrap_or(version) + 1;
        let update = TreeUpdate {
            leaves: old.iter().map(|(index, leaf)| (*index, *leaf)).collect(),
            removed_leaves: output.leaf_count..self.dense.leaf_count(),
            removed_versions: later.clone(),
            removed_undo: later,
            ..TreeUpdate::new(manifest)
        };
        self.store.apply(update).map_err(TreeError::store("truncating"))?;
        self.dense.restore(output.leaf_count, &old);
        self.manifest = Some(manifest);
        Ok(output)
    }

    /// Gives up the way back to versions before the given one. Their roots stay known.
    pub fn retain_from(&mut self, version: u64) -> Result<(), TreeError> {
        let manifest = self.known(version)?;
        if version <= manifest.oldest_version {
            return Ok(());
        }
        let removed_undo = manifest.oldest_version + 1..version + 1;
        let manifest = Manifest { oldest_version: version, ..manifest };
        self.store
            .apply(TreeUpdate { removed_undo, ..TreeUpdate::new(manifest) })
            .map_err(TreeError::store("pruning"))?;
        self.manifest = Some(manifest);
        Ok(())
    }

    /// The tree as it was at a version. Costs, for an older one, reading the undo records after it
    /// and hashing what they changed: ask one view for all that is needed of a version.
    pub fn view(&self, version: u64) -> Result<TreeView<'_>, TreeError> {
        let manifest = self.known(version)?;
        if version < manifest.oldest_version {
            return Err(TreeError::HistoryPruned { version, oldest: manifest.oldest_version });
        }
        if version == manifest.version {
            return Ok(TreeView::latest(&self.dense, version));
        }
        let record = self.record(version)?;
        let leaf_count = record.leaf_count;
        let mut old = std::collections::BTreeMap::new();
        let mut later_count = self.dense.leaf_count();
        for later in (version + 1..=manifest.version).rev() {
            let undo = self
                .store
                .undo_record(later)
                .map_err(TreeError::store("reading an undo record"))?
                .ok_or(Corruption::MissingRecord { record: "undo record", version: later })?;
            if undo.leaf_count > later_count {
                return Err(Corruption::LeafCount {
                    recorded: undo.leaf_count,
                    found: later_count,
                }
                .into());
            }
            if let Some((index, _)) =
                undo.leaves.iter().find(|(index, _)| *index >= undo.leaf_count)
            {
                return Err(Corruption::UndoLeaf { version: later, index: *index }.into());
            }
            later_count = undo.leaf_count;
            old.extend(fold_undo(leaf_count, [&undo]));
        }
        if later_count != leaf_count || leaf_count < 2 {
            return Err(Corruption::LeafCount { recorded: leaf_count, found: later_count }.into());
        }
        let view = TreeView::historic(&self.dense, version, leaf_count, old);
        match record.root {
            Some(recorded) if recorded != view.root() => {
                Err(Corruption::Root { version, recorded, found: view.root() }.into())
            }
            _ => Ok(view),
        }
    }

    /// Value of a key in the latest version; `None` if it was never written.
    pub fn get(&self, key: &B256) -> Option<B256> {
        self.manifest.and_then(|manifest| TreeView::latest(&self.dense, manifest.version).get(key))
    }

    /// Proofs of keys at a version, in the order of the keys.
    pub fn prove(&self, version: u64, keys: &[B256]) -> Result<Vec<KeyProof>, TreeError> {
        let view = self.view(version)?;
        Ok(keys.iter().map(|key| view.prove(key)).collect())
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
        Ok(self.view(version)?.prove_batch(reads, writes))
    }

    /// The manifest, if the version is in the tree.
    fn known(&self, version: u64) -> Result<Manifest, TreeError> {
        self.manifest
            .filter(|manifest| version <= manifest.version)
            .ok_or(TreeError::UnknownVersion { version, latest: self.latest_version() })
    }

    fn record(&self, version: u64) -> Result<VersionRecord, TreeError> {
        self.store
            .version_record(version)
            .map_err(TreeError::store("reading a version record"))?
            .ok_or_else(|| Corruption::MissingRecord { record: "version record", version }.into())
    }
}
