//! The latest version in memory.

use crate::{
    Corruption, Leaf, MAX_GUARD_KEY, MIN_GUARD_KEY, TreeError, TreeOutput, UndoRecord,
    index::{Found, KeyIndex},
    levels::Levels,
};
use alloy_primitives::B256;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Below this many keys a second thread costs more than it saves.
const PARALLEL_KEYS: usize = 1024;

/// Keys that one thread looks up at a time.
const KEYS_PER_TASK: usize = 256;

/// Leaves, their order, and all hashes. Without leaves before genesis; with both guards from then
/// on.
#[derive(Debug, Default)]
pub(crate) struct Dense {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) index: KeyIndex,
    pub(crate) levels: Levels,
}

/// A new leaf on its way into the sorted list.
struct Inserted {
    key: B256,
    index: u64,
    below: u64,
}

impl Dense {
    /// Orders and hashes stored leaves.
    pub(crate) fn build(leaves: Vec<Leaf>) -> Result<Self, Corruption> {
        let index = KeyIndex::build(&leaves)?;
        let levels = Levels::build(&leaves);
        Ok(Self { leaves, index, levels })
    }

    pub(crate) fn leaf_count(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn output(&self) -> TreeOutput {
        TreeOutput { root: self.levels.root().into(), leaf_count: self.leaf_count() }
    }

    /// Looks keys up among the first `leaf_count` leaves.
    pub(crate) fn find_all<T: Sync>(
        &self,
        items: &[T],
        key: impl Fn(&T) -> &B256 + Sync,
        leaf_count: u64,
    ) -> Vec<Found> {
        let find = |item: &T| self.index.find(&key(item).0, &self.leaves, leaf_count);
        if items.len() < PARALLEL_KEYS {
            items.iter().map(find).collect()
        } else {
            items.par_iter().with_min_len(KEYS_PER_TASK).map(find).collect()
        }
    }

    /// Applies the entries of one version to leaves and order; the hashes are left behind, see
    /// [`Self::rehash`]. Changes nothing if it fails.
    pub(crate) fn apply(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
    ) -> Result<UndoRecord, TreeError> {
        let leaf_count = self.leaf_count();
        if leaf_count == 0 {
            return self.apply_genesis(version, entries);
        }
        let found = self.find_all(entries, |(key, _)| key, leaf_count);

        let mut updated = Vec::with_capacity(entries.len());
        let mut changed = Vec::with_capacity(entries.len());
        let mut inserted = Vec::new();
        for ((key, value), found) in entries.iter().zip(&found) {
            if *key == MIN_GUARD_KEY || *key == MAX_GUARD_KEY {
                return Err(TreeError::GuardKey { version, key: *key });
            }
            match *found {
                Found::Exact(index) => {
                    updated.push(index);
                    if self.leaves[index as usize].value() != *value {
                        changed.push(index);
                    }
                }
                Found::Below(below) => {
                    let index = leaf_count + inserted.len() as u64;
                    inserted.push(Inserted { key: *key, index, below });
                    changed.push(below);
                }
            }
        }
        updated.sort_unstable();
        inserted.sort_unstable_by_key(|inserted| inserted.key);
        let repeated = updated
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| self.leaves[pair[0] as usize].key());
        let repeated = repeated.or_else(|| {
            inserted.windows(2).find(|pair| pair[0].key == pair[1].key).map(|pair| pair[0].key)
        });
        if let Some(key) = repeated {
            return Err(TreeError::DuplicateKey { version, key });
        }
        changed.sort_unstable();
        changed.dedup();
        let undo = UndoRecord {
            leaf_count,
            leaves: changed.iter().map(|index| (*index, self.leaves[*index as usize])).collect(),
        };

        for ((key, value), found) in entries.iter().zip(&found) {
            match *found {
                Found::Exact(index) => self.leaves[index as usize].set_value(value),
                Found::Below(_) => self.leaves.push(Leaf::new(*key, *value, 0)),
            }
        }
        // New keys between the same two old ones stand together once sorted.
        for run in inserted.chunk_by(|a, b| a.below == b.below) {
            let mut last = run[0].below as usize;
            let after = self.leaves[last].next();
            for leaf in run {
                self.leaves[last].set_next(leaf.index);
                last = leaf.index as usize;
            }
            self.leaves[last].set_next(after);
        }
        for leaf in &inserted {
            self.index.insert(&leaf.key.0, leaf.index, &self.leaves);
        }
        Ok(undo)
    }

    fn apply_genesis(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
    ) -> Result<UndoRecord, TreeError> {
        self.leaves.extend(Leaf::guards());
        for index in 0..self.leaf_count() {
            self.index.insert(self.leaves[index as usize].raw_key(), index, &self.leaves);
        }
        match self.apply(version, entries) {
            Ok(_) => Ok(UndoRecord::default()),
            Err(error) => {
                *self = Self::default();
                Err(error)
            }
        }
    }

    /// Hashes what the given versions (their undo records, oldest first) changed, and returns the
    /// indices of all leaves that they wrote, ascending.
    pub(crate) fn rehash(&mut self, undo: &[UndoRecord]) -> Vec<u64> {
        let Some(first) = undo.first() else { return Vec::new() };
        let mut dirty: Vec<u64> = undo
            .iter()
            .flat_map(|undo| &undo.leaves)
            .map(|(index, _)| *index)
            .filter(|index| *index < first.leaf_count)
            .collect();
        dirty.sort_unstable();
        dirty.dedup();
        dirty.extend(first.leaf_count..self.leaf_count());
        self.levels.update(&self.leaves, dirty.clone());
        dirty
    }

    /// Goes back to how the tree was before the given versions (their undo records, oldest first),
    /// hashes included.
    pub(crate) fn revert(&mut self, undo: &[UndoRecord]) {
        let Some(first) = undo.first() else { return };
        let leaf_count = first.leaf_count;
        self.restore(leaf_count, &fold_undo(leaf_count, undo.iter().rev()));
    }

    /// Cuts the leaves down to a number and puts older content into some of those that stay.
    pub(crate) fn restore(&mut self, leaf_count: u64, old: &BTreeMap<u64, Leaf>) {
        if leaf_count == 0 {
            *self = Self::default();
            return;
        }
        for index in leaf_count..self.leaf_count() {
            self.index.remove(self.leaves[index as usize].raw_key(), &self.leaves);
        }
        self.leaves.truncate(leaf_count as usize);
        let mut dirty = Vec::with_capacity(old.len() + 1);
        for (index, leaf) in old {
            self.leaves[*index as usize] = *leaf;
            dirty.push(*index);
        }
        // The right edge has moved, so what is above the last leaf is to be hashed in any case.
        if dirty.last() != Some(&(leaf_count - 1)) {
            dirty.push(leaf_count - 1);
        }
        self.levels.update(&self.leaves, dirty);
    }
}

/// Contents that the first `leaf_count` leaves had before the given versions, newest version first.
pub(crate) fn fold_undo<'a>(
    leaf_count: u64,
    newest_first: impl IntoIterator<Item = &'a UndoRecord>,
) -> BTreeMap<u64, Leaf> {
    let mut old = BTreeMap::new();
    for undo in newest_first {
        old.extend(undo.leaves.iter().filter(|(index, _)| *index < leaf_count).copied());
    }
    old
}
