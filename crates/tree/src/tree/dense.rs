//! The latest version: leaves, their order, all hashes.

use crate::{
    Damage, DamageCause, Leaf, MAX_GUARD_KEY, MIN_GUARD_KEY, TreeError, TreeOutput, TreeTimes,
    changes::{Changes, LinkChange, ValueChange},
    hash::{RawHash, empty_hashes},
    index::{Entry, Found, KeyIndex},
    levels::{Levels, nodes_at},
    log::Restored,
    pages::{LEAVES_FILE, LeafPages, PAGE_BYTES, PAGE_HEIGHT, PAGE_LEAVES, hash_raw_pages},
};
use alloy_primitives::B256;
use rayon::prelude::*;
use std::time::Instant;

/// Below this many keys a second thread costs more than it saves.
const PARALLEL_KEYS: usize = 1024;

/// Keys that one thread looks up at a time.
const KEYS_PER_TASK: usize = 256;

/// Pages that are read at a time when all are read.
const PAGES_PER_READ: u64 = 512;

/// Leaves, their order, and all hashes. Without leaves before genesis; with both guards from then
/// on.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) pages: LeafPages,
    pub(crate) index: KeyIndex,
    pub(crate) levels: Levels,
    /// A change was begun and not ended, because of an error that nothing foresaw.
    broken: bool,
}

/// A new leaf on its way into the sorted list.
struct Inserted {
    key: B256,
    index: u64,
    below: u64,
}

fn read_leaf(pages: &LeafPages, levels: &Levels, index: u64) -> Result<Leaf, TreeError> {
    let page = index / PAGE_LEAVES as u64;
    pages.with(page, levels.node(PAGE_HEIGHT, page), |page| *page.leaf(index))
}

impl Dense {
    /// Checks every page against the node above it and sorts the leaves.
    pub(crate) fn build(pages: LeafPages, nodes: Vec<RawHash>) -> Result<Self, TreeError> {
        let entries = check_pages(&pages, &nodes, |leaf, index| Entry::new(leaf.raw_key(), index))?;
        let levels = Levels::build(nodes);
        let key_of = |index| read_leaf(&pages, &levels, index).map(|leaf| *leaf.raw_key());
        let index = KeyIndex::build(entries, key_of)?;
        pages.trim();
        Ok(Self { pages, index, levels, broken: false })
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) const fn leaf_count(&self) -> u64 {
        self.pages.leaf_count()
    }

    pub(crate) fn output(&self) -> TreeOutput {
        TreeOutput { root: self.levels.root().into(), leaf_count: self.leaf_count() }
    }

    /// A leaf below the leaf count.
    pub(crate) fn leaf(&self, index: u64) -> Result<Leaf, TreeError> {
        read_leaf(&self.pages, &self.levels, index)
    }

    /// The node at a height and position, empty ones included.
    pub(crate) fn node(&self, height: usize, position: u64) -> Result<RawHash, TreeError> {
        if position >= nodes_at(height, self.leaf_count()) {
            return Ok(empty_hashes()[height]);
        }
        if height >= PAGE_HEIGHT {
            return Ok(*self.levels.node(height, position));
        }
        let page = position >> (PAGE_HEIGHT - height);
        let node = self.levels.node(PAGE_HEIGHT, page);
        self.pages.with(page, node, |page| page.node(height, position))
    }

    /// Looks a key up among the first `leaf_count` leaves.
    pub(crate) fn find(&self, key: &B256, leaf_count: u64) -> Result<Found, TreeError> {
        let key_of = |index| self.leaf(index).map(|leaf| *leaf.raw_key());
        self.index.find(&key.0, leaf_count, &key_of)
    }

    /// Looks keys up among the first `leaf_count` leaves.
    pub(crate) fn find_all(&self, keys: &[B256], leaf_count: u64) -> Result<Vec<Found>, TreeError> {
        map_all(keys, |key| self.find(key, leaf_count))
    }

    /// Applies the entries of one version to leaves and order; the hashes are left behind, see
    /// [`Self::rehash`]. Changes nothing if it fails, save for what [`Self::is_broken`] tells.
    pub(crate) fn apply(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
        times: &mut TreeTimes,
    ) -> Result<Changes, TreeError> {
        if self.leaf_count() == 0 {
            return self.apply_genesis(version, entries, times);
        }
        let started = Instant::now();
        let plan = self.plan(version, entries)?;
        times.locate += started.elapsed();
        let started = Instant::now();
        self.broken = true;
        let changes = self.execute(plan)?;
        self.broken = false;
        times.change += started.elapsed();
        Ok(changes)
    }

    /// Finds out what entries change, and brings all pages that are to be changed into memory.
    fn plan(&self, version: u64, entries: &[(B256, B256)]) -> Result<Plan, TreeError> {
        let leaf_count = self.leaf_count();
        let located = map_all(entries, |(key, _)| {
            let found = self.find(key, leaf_count)?;
            let (Found::Exact(index) | Found::Below(index)) = found;
            Ok((found, self.leaf(index)?))
        })?;
        self.leaf(leaf_count - 1)?;

        let mut updated = Vec::with_capacity(entries.len());
        let mut values = Vec::with_capacity(entries.len());
        let mut inserted = Vec::new();
        let mut added = Vec::new();
        for ((key, value), (found, leaf)) in entries.iter().zip(&located) {
            if *key == MIN_GUARD_KEY || *key == MAX_GUARD_KEY {
                return Err(TreeError::GuardKey { version, key: *key });
            }
            match *found {
                Found::Exact(index) => {
                    updated.push((index, *key));
                    let old = leaf.value();
                    if old != *value {
                        values.push(ValueChange { index, old, new: *value });
                    }
                }
                Found::Below(below) => {
                    let index = leaf_count + added.len() as u64;
                    inserted.push(Inserted { key: *key, index, below });
                    added.push(Leaf::new(*key, *value, 0));
                }
            }
        }
        updated.sort_unstable();
        inserted.sort_unstable_by_key(|inserted| inserted.key);
        let repeated = updated.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].1);
        let repeated = repeated.or_else(|| {
            inserted.windows(2).find(|pair| pair[0].key == pair[1].key).map(|pair| pair[0].key)
        });
        if let Some(key) = repeated {
            return Err(TreeError::DuplicateKey { version, key });
        }
        values.sort_unstable_by_key(|change| change.index);
        let changes = Changes { leaf_count, values, links: Vec::new(), added };
        Ok(Plan { changes, inserted })
    }

    fn execute(&mut self, plan: Plan) -> Result<Changes, TreeError> {
        let Plan { mut changes, inserted } = plan;
        let Self { pages, index, levels, .. } = self;
        for ValueChange { index, new, .. } in &changes.values {
            pages.leaf_mut(*index).set_value(new);
        }
        for leaf in &changes.added {
            pages.push(*leaf);
        }
        // New keys between the same two old ones stand together once sorted.
        for run in inserted.chunk_by(|a, b| a.below == b.below) {
            let below = run[0].below;
            let after = pages.leaf_mut(below).next();
            changes.links.push(LinkChange { index: below, old: after, new: run[0].index });
            let mut last = below;
            for leaf in run {
                pages.leaf_mut(last).set_next(leaf.index);
                last = leaf.index;
            }
            pages.leaf_mut(last).set_next(after);
        }
        for (leaf, index) in changes.added.iter_mut().zip(changes.leaf_count..) {
            *leaf = *pages.leaf_mut(index);
        }
        let key_of = |index| read_leaf(pages, levels, index).map(|leaf| *leaf.raw_key());
        for leaf in &inserted {
            index.insert(&leaf.key.0, leaf.index, &key_of)?;
        }
        Ok(changes)
    }

    fn apply_genesis(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
        times: &mut TreeTimes,
    ) -> Result<Changes, TreeError> {
        for (index, guard) in (0..).zip(Leaf::guards()) {
            self.pages.push(guard);
            let key_of =
                |index| read_leaf(&self.pages, &self.levels, index).map(|leaf| *leaf.raw_key());
            self.index.insert(guard.raw_key(), index, &key_of)?;
        }
        match self.apply(version, entries, times) {
            Ok(changes) => {
                let guards = (0..2).map(|index| *self.pages.leaf_mut(index));
                let added = guards.chain(changes.added).collect();
                Ok(Changes { added, ..Changes::default() })
            }
            Err(error) => {
                if !self.broken {
                    self.cut(0)?;
                }
                Err(error)
            }
        }
    }

    /// Hashes what has changed.
    pub(crate) fn rehash(&mut self) {
        let changed = self.pages.rehash();
        self.levels.update(self.pages.page_count(), &changed);
    }

    /// Goes back to how the tree was before the given versions, hashes included. Their pages are
    /// still in memory.
    pub(crate) fn revert<'a>(
        &mut self,
        newest_first: impl Iterator<Item = &'a Changes>,
    ) -> Result<(), TreeError> {
        self.broken = true;
        for changes in newest_first {
            self.cut(changes.leaf_count)?;
            for ValueChange { index, old, .. } in &changes.values {
                self.pages.leaf_mut(*index).set_value(old);
            }
            for LinkChange { index, old, .. } in &changes.links {
                self.pages.leaf_mut(*index).set_next(*old);
            }
        }
        self.rehash();
        self.broken = false;
        Ok(())
    }

    /// Brings all pages into memory that [`Self::restore`] will ask for.
    pub(crate) fn prepare_restore(
        &self,
        leaf_count: u64,
        restored: &[Restored],
    ) -> Result<(), TreeError> {
        let cut = (leaf_count - 1..self.leaf_count()).into_par_iter();
        cut.chain(restored.par_iter().map(|leaf| leaf.index))
            .try_for_each(|index| self.leaf(index).map(drop))
    }

    /// Cuts the leaves down to a number and puts older content into some of those that stay, hashes
    /// included.
    pub(crate) fn restore(
        &mut self,
        leaf_count: u64,
        restored: &[Restored],
    ) -> Result<(), TreeError> {
        self.broken = true;
        self.cut(leaf_count)?;
        for Restored { index, value, next } in restored {
            let leaf = self.pages.leaf_mut(*index);
            leaf.set_value(value);
            leaf.set_next(*next);
        }
        self.rehash();
        self.broken = false;
        Ok(())
    }

    fn cut(&mut self, leaf_count: u64) -> Result<(), TreeError> {
        let Self { pages, index, levels, .. } = self;
        if leaf_count == 0 {
            *index = KeyIndex::default();
            pages.truncate(0);
            return Ok(());
        }
        let key_of = |index| read_leaf(pages, levels, index).map(|leaf| *leaf.raw_key());
        for cut in leaf_count..pages.leaf_count() {
            index.remove(&key_of(cut)?, &key_of)?;
        }
        pages.truncate(leaf_count);
        // The right edge has moved, so what is above the last leaf is to be hashed in any case.
        pages.leaf_mut(leaf_count - 1);
        Ok(())
    }

    /// Reads and hashes everything, and walks the sorted list.
    pub(crate) fn verify(&self, version: u64, recorded: B256) -> Result<(), TreeError> {
        let nodes = self.levels.page_nodes();
        let take = |leaf: &Leaf, index| (Entry::new(leaf.raw_key(), index), leaf.next());
        let (entries, next): (Vec<Entry>, Vec<u64>) =
            check_pages(&self.pages, nodes, take)?.into_iter().unzip();
        let found = B256::new(Levels::build(nodes.to_vec()).root());
        if found != recorded {
            let cause = DamageCause::Root { version, recorded, found };
            return Err(Damage::new(LEAVES_FILE, 0, cause).into());
        }
        let key_of = |index| self.leaf(index).map(|leaf| *leaf.raw_key());
        let sorted = KeyIndex::build(entries, key_of)?;
        self.pages.trim();
        let mut expected = 0;
        for (index, known) in sorted.sorted().zip(self.index.sorted()) {
            if index != expected || index != known {
                let offset = index / PAGE_LEAVES as u64 * PAGE_BYTES as u64;
                let cause = DamageCause::BrokenList { index };
                return Err(Damage::new(LEAVES_FILE, offset, cause).into());
            }
            expected = next[index as usize];
        }
        Ok(())
    }
}

/// What entries change.
struct Plan {
    /// Links are not there yet.
    changes: Changes,
    /// By key.
    inserted: Vec<Inserted>,
}

fn map_all<T: Sync, U: Send>(
    items: &[T],
    map: impl Fn(&T) -> Result<U, TreeError> + Send + Sync,
) -> Result<Vec<U>, TreeError> {
    if items.len() < PARALLEL_KEYS {
        items.iter().map(map).collect()
    } else {
        items.par_iter().with_min_len(KEYS_PER_TASK).map(map).collect()
    }
}

/// Reads all pages and compares their hashes with the nodes above; gives what is taken of each leaf
/// and its index.
fn check_pages<T: Clone + Send>(
    pages: &LeafPages,
    nodes: &[RawHash],
    take: impl Fn(&Leaf, u64) -> T + Sync,
) -> Result<Vec<T>, TreeError> {
    let leaf_count = pages.leaf_count();
    let check = |part: u64| {
        let first = part * PAGES_PER_READ;
        let range = first..(first + PAGES_PER_READ).min(pages.page_count());
        let bytes = pages.read_raw(range.clone())?;
        for ((page, found), node) in range.zip(hash_raw_pages(&bytes)).zip(&nodes[first as usize..])
        {
            if found != *node {
                let offset = page * PAGE_BYTES as u64;
                return Err(Damage::new(LEAVES_FILE, offset, DamageCause::PageHash).into());
            }
        }
        let leaves = bytes.as_chunks::<{ crate::LEAF_BYTES }>().0;
        let indices = first * PAGE_LEAVES as u64..leaf_count;
        Ok(indices.zip(leaves).map(|(index, leaf)| take(&Leaf::from_bytes(*leaf), index)).collect())
    };
    let parts = (0..pages.page_count().div_ceil(PAGES_PER_READ)).into_par_iter().map(check);
    let parts: Vec<Vec<T>> = parts.collect::<Result<_, TreeError>>()?;
    Ok(parts.concat())
}

/// Brings pages that may be half-way between two versions up to date from the log.
pub(crate) mod redo {
    use super::*;

    /// The frame does not follow from what was there before.
    #[derive(Debug)]
    pub(crate) struct Unconnected;

    fn leaf_mut(pages: &mut LeafPages, index: u64) -> Result<&mut Leaf, TreeError> {
        pages.load_unchecked(index / PAGE_LEAVES as u64)?;
        Ok(pages.leaf_mut(index))
    }

    pub(crate) fn version(
        pages: &mut LeafPages,
        changes: &Changes,
    ) -> Result<Result<(), Unconnected>, TreeError> {
        if changes.leaf_count != pages.leaf_count() {
            return Ok(Err(Unconnected));
        }
        for ValueChange { index, new, .. } in &changes.values {
            leaf_mut(pages, *index)?.set_value(new);
        }
        for LinkChange { index, new, .. } in &changes.links {
            leaf_mut(pages, *index)?.set_next(*new);
        }
        for leaf in &changes.added {
            let index = pages.leaf_count();
            if !index.is_multiple_of(PAGE_LEAVES as u64) {
                pages.load_unchecked(index / PAGE_LEAVES as u64)?;
            }
            pages.push(*leaf);
        }
        Ok(Ok(()))
    }

    pub(crate) fn truncation(
        pages: &mut LeafPages,
        leaf_count: u64,
        restored: &[Restored],
    ) -> Result<Result<(), Unconnected>, TreeError> {
        if leaf_count == 0 || leaf_count > pages.leaf_count() {
            return Ok(Err(Unconnected));
        }
        leaf_mut(pages, leaf_count - 1)?;
        pages.truncate(leaf_count);
        for Restored { index, value, next } in restored {
            let leaf = leaf_mut(pages, *index)?;
            leaf.set_value(value);
            leaf.set_next(*next);
        }
        Ok(Ok(()))
    }
}
