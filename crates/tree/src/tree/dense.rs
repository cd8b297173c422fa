//! The latest version: leaves, their order, all hashes.

use crate::{
    Damage, DamageCause, Leaf, MAX_GUARD_KEY, MIN_GUARD_KEY, TreeError, TreeOutput, TreeStore,
    TreeTimes,
    changes::{Changes, LinkChange, ValueChange},
    hash::{RawHash, empty_hashes},
    index::{Entry, Found, KeyIndex, ReadLeaves, contradiction},
    levels::{Levels, nodes_at},
    log::Restored,
    pages::{
        LEAVES_FILE, LeafPages, LeafReader, PAGE_BYTES, PAGE_HEIGHT, PAGE_LEAVES, hash_raw_pages,
    },
    tree::options::Progress,
};
use alloy_primitives::B256;
use rayon::prelude::*;
use std::{ops::Range, time::Instant};

/// Below this many keys a second thread costs more than it saves.
pub(super) const PARALLEL_KEYS: usize = 1024;

/// Keys that are looked up together, see [`KeyIndex::find`].
const KEYS_AT_ONCE: usize = 64;

/// Such groups that one thread looks up at a time.
const GROUPS_PER_TASK: usize = 4;

/// Pages that are read at a time when all are read.
const PAGES_PER_READ: u64 = 512;

/// Reads that are under way at a time when all pages are read.
const READS_AT_ONCE: usize = 64;

/// What errors call the files of the index.
const INDEX: &str = "keys-";

/// Leaves, their order, and all hashes. Without leaves before genesis; with both guards from then
/// on.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) pages: LeafPages,
    pub(crate) index: KeyIndex,
    pub(crate) levels: Levels,
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
    /// Checks every page against the node above it, and the index against the leaves; one that does
    /// not fit is made anew. Tells what was wrong with it. `levels` are up to date.
    pub(crate) fn build(
        store: &impl TreeStore,
        pages: LeafPages,
        levels: Levels,
        mut index: Result<KeyIndex, (Damage, KeyIndex)>,
        progress: &mut Progress<'_>,
    ) -> Result<(Self, Option<Damage>), TreeError> {
        let mut sum = 0u64;
        let leaf_count = pages.leaf_count();
        let nodes = levels.page_nodes();
        let digest = |leaf: &Leaf, index| Entry::new(leaf.raw_key(), index).digest();
        check_pages(&pages, nodes, 0..leaf_count, digest, |first, digests| {
            sum = digests.into_iter().fold(sum, u64::wrapping_add);
            progress(first, leaf_count);
        })?;
        if let Ok(found) = index {
            index = match found.digest() {
                Ok(digest) if digest == sum => Ok(found),
                Ok(_) => Err((Damage::new(INDEX, 0, DamageCause::Sequence), found)),
                Err(TreeError::Damaged(damage)) => Err((damage, found)),
                Err(error) => return Err(error),
            };
        }
        let (index, damage) = match index {
            Ok(index) => (index, None),
            Err((damage, mut index)) => {
                index.rebuild(store, |range| {
                    let mut entries = Vec::with_capacity((range.end - range.start) as usize);
                    let entry = |leaf: &Leaf, index| Entry::new(leaf.raw_key(), index);
                    check_pages(&pages, nodes, range, entry, |_, part| entries.extend(part))?;
                    Ok(entries)
                })?;
                if index.digest()? != sum {
                    return Err(damage.into());
                }
                (index, Some(damage))
            }
        };
        pages.trim();
        Ok((Self { pages, index, levels }, damage))
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

    fn leaves(&self) -> LeafReader<'_> {
        self.pages.reader(self.levels.page_nodes())
    }

    /// Looks keys up among the first `leaf_count` leaves.
    pub(crate) fn find_all(&self, keys: &[B256], leaf_count: u64) -> Result<Vec<Found>, TreeError> {
        let groups = map_groups(keys, |keys| {
            let found = self.index.find(keys, leaf_count, &self.leaves())?;
            Ok(found.into_iter().map(|(found, _)| found).collect())
        })?;
        Ok(groups.concat())
    }

    /// Looks up what entries write, with the leaves found; predecessors are compared with their
    /// successors, so that a wrong answer of the index does not get into a root.
    fn locate(&self, entries: &[(B256, B256)]) -> Result<Vec<(Found, Leaf)>, TreeError> {
        let (leaf_count, leaves) = (self.leaf_count(), self.leaves());
        let keys: Vec<B256> = entries.iter().map(|(key, _)| *key).collect();
        let located = self.index.find(&keys, leaf_count, &leaves)?;
        let below = located.iter().zip(&keys).filter_map(|((found, leaf), key)| match *found {
            Found::Below(below) => Some((below, leaf.next(), key)),
            Found::Exact(_) => None,
        });
        leaves.fetch(below.clone().map(|(_, next, _)| next).filter(|next| *next < leaf_count));
        for (below, next, key) in below {
            if next >= leaf_count || leaves.read(next)?.raw_key() <= &key.0 {
                return Err(contradiction(below));
            }
        }
        drop(leaves);
        Ok(located)
    }

    /// Gives up memory beyond the configured sizes.
    pub(crate) fn trim(&self) {
        self.pages.trim();
        self.index.trim();
    }

    /// Applies the entries of one version to leaves and order; the hashes are left behind, see
    /// [`Self::rehash`]. Changes nothing if it fails.
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
        let changes = self.execute(plan);
        times.change += started.elapsed();
        Ok(changes)
    }

    /// Finds out what entries change, and brings all pages that are to be changed into memory.
    fn plan(&self, version: u64, entries: &[(B256, B256)]) -> Result<Plan, TreeError> {
        let leaf_count = self.leaf_count();
        // The guards are in no entry, and the last one has no successor.
        let guard = entries.iter().find(|(key, _)| [MIN_GUARD_KEY, MAX_GUARD_KEY].contains(key));
        if let Some((key, _)) = guard {
            return Err(TreeError::GuardKey { version, key: *key });
        }
        let located = map_groups(entries, |entries| self.locate(entries))?;
        self.leaf(leaf_count - 1)?;

        let mut updated = Vec::with_capacity(entries.len());
        let mut inserted = Vec::new();
        let mut added = Vec::new();
        for ((key, value), (found, leaf)) in entries.iter().zip(located.iter().flatten()) {
            match *found {
                Found::Exact(index) => updated.push((index, key, value, leaf)),
                Found::Below(below) => {
                    let index = leaf_count + added.len() as u64;
                    inserted.push(Inserted { key: *key, index, below });
                    added.push(Leaf::new(*key, *value, 0));
                }
            }
        }
        updated.sort_unstable_by_key(|(index, ..)| *index);
        inserted.sort_unstable_by_key(|inserted| inserted.key);
        let repeated =
            updated.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| *pair[0].1);
        let repeated = repeated.or_else(|| {
            inserted.windows(2).find(|pair| pair[0].key == pair[1].key).map(|pair| pair[0].key)
        });
        if let Some(key) = repeated {
            return Err(TreeError::DuplicateKey { version, key });
        }
        let change = |(index, _, new, leaf): (u64, &B256, &B256, &Leaf)| {
            let old = leaf.value();
            (old != *new).then_some(ValueChange { index, old, new: *new })
        };
        let values = updated.into_iter().filter_map(change).collect();
        let changes = Changes { leaf_count, values, links: Vec::new(), added };
        Ok(Plan { changes, inserted })
    }

    fn execute(&mut self, plan: Plan) -> Changes {
        let Plan { mut changes, inserted } = plan;
        let Self { pages, index, .. } = self;
        for values in changes.values.chunks(KEYS_AT_ONCE) {
            pages.fetch(values.iter().map(|change| change.index));
            for ValueChange { index, new, .. } in values {
                pages.leaf_mut(*index).set_value(new);
            }
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
        for leaf in &inserted {
            index.insert(&leaf.key.0, leaf.index);
        }
        changes
    }

    fn apply_genesis(
        &mut self,
        version: u64,
        entries: &[(B256, B256)],
        times: &mut TreeTimes,
    ) -> Result<Changes, TreeError> {
        for (index, guard) in (0..).zip(Leaf::guards()) {
            self.pages.push(guard);
            self.index.insert(guard.raw_key(), index);
        }
        match self.apply(version, entries, times) {
            Ok(changes) => {
                let guards = (0..2).map(|index| *self.pages.leaf_mut(index));
                let added = guards.chain(changes.added).collect();
                Ok(Changes { added, ..Changes::default() })
            }
            Err(error) => {
                self.cut(0);
                Err(error)
            }
        }
    }

    /// Hashes what has changed.
    pub(crate) fn rehash(&mut self) {
        self.pages.rehash(&mut self.levels);
    }

    /// Goes back to how the tree was before the given versions, hashes included. Their pages are
    /// still in memory.
    pub(crate) fn revert<'a>(&mut self, newest_first: impl Iterator<Item = &'a Changes>) {
        for changes in newest_first {
            self.cut(changes.leaf_count);
            for ValueChange { index, old, .. } in &changes.values {
                self.pages.leaf_mut(*index).set_value(old);
            }
            for LinkChange { index, old, .. } in &changes.links {
                self.pages.leaf_mut(*index).set_next(*old);
            }
        }
        self.rehash();
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
    pub(crate) fn restore(&mut self, leaf_count: u64, restored: &[Restored]) {
        self.cut(leaf_count);
        for Restored { index, value, next } in restored {
            let leaf = self.pages.leaf_mut(*index);
            leaf.set_value(value);
            leaf.set_next(*next);
        }
        self.rehash();
    }

    fn cut(&mut self, leaf_count: u64) {
        self.index.truncate(leaf_count);
        self.pages.truncate(leaf_count);
        if leaf_count > 0 {
            // The right edge has moved, so what is above the last leaf is to be hashed in any case.
            self.pages.leaf_mut(leaf_count - 1);
        }
    }

    /// Reads and hashes everything, and walks the sorted list along the index.
    pub(crate) fn verify(
        &self,
        version: u64,
        recorded: B256,
        progress: &mut Progress<'_>,
    ) -> Result<(), TreeError> {
        let leaf_count = self.leaf_count();
        let nodes = self.levels.page_nodes();
        let mut leaves = Vec::with_capacity(leaf_count as usize);
        let take = |leaf: &Leaf, index| (Entry::new(leaf.raw_key(), index).prefix, leaf.next());
        check_pages(&self.pages, nodes, 0..leaf_count, take, |first, part| {
            leaves.extend(part);
            progress(first, leaf_count);
        })?;
        let found = B256::new(Levels::build(nodes.to_vec()).root());
        if found != recorded {
            let cause = DamageCause::Root { version, recorded, found };
            return Err(Damage::new(LEAVES_FILE, 0, cause).into());
        }
        // Every entry leads to a leaf with its key, and they are as many as leaves: the list visits
        // them all, in the order of their keys.
        let (mut visited, mut expected) = (0, 0);
        let key_of = |index| self.leaf(index).map(|leaf| *leaf.raw_key());
        self.index.for_each_sorted(key_of, |Entry { prefix, index }| {
            let leaf = leaves.get(index as usize).filter(|(found, _)| *found == prefix);
            let (_, next) = *leaf.ok_or_else(|| contradiction(index))?;
            if index != expected {
                let offset = index / PAGE_LEAVES as u64 * PAGE_BYTES as u64;
                let cause = DamageCause::BrokenList { index };
                return Err(Damage::new(LEAVES_FILE, offset, cause).into());
            }
            (visited, expected) = (visited + 1, next);
            Ok(())
        })?;
        self.trim();
        if visited == leaf_count { Ok(()) } else { Err(contradiction(expected)) }
    }
}

/// What entries change.
struct Plan {
    /// Links are not there yet.
    changes: Changes,
    /// By key.
    inserted: Vec<Inserted>,
}

/// What becomes of groups of items, on several threads if there are many.
fn map_groups<T: Sync, U: Send>(
    items: &[T],
    map: impl Fn(&[T]) -> Result<Vec<U>, TreeError> + Send + Sync,
) -> Result<Vec<Vec<U>>, TreeError> {
    if items.len() < PARALLEL_KEYS {
        items.chunks(KEYS_AT_ONCE).map(map).collect()
    } else {
        items.par_chunks(KEYS_AT_ONCE).with_min_len(GROUPS_PER_TASK).map(map).collect()
    }
}

/// Reads the pages of leaves and compares their hashes with the nodes above; `collect` gets the first
/// leaf of each part, in order, with what is taken of its leaves and their indices. The range begins
/// with a page.
fn check_pages<T: Send>(
    pages: &LeafPages,
    nodes: &[RawHash],
    leaves: Range<u64>,
    take: impl Fn(&Leaf, u64) -> T + Sync,
    mut collect: impl FnMut(u64, Vec<T>),
) -> Result<(), TreeError> {
    let end = nodes_at(PAGE_HEIGHT, leaves.end);
    let check = |first: u64| {
        let range = first..(first + PAGES_PER_READ).min(end);
        let bytes = pages.read_raw(range.clone())?;
        for ((page, found), node) in range.zip(hash_raw_pages(&bytes)).zip(&nodes[first as usize..])
        {
            if found != *node {
                let offset = page * PAGE_BYTES as u64;
                return Err(Damage::new(LEAVES_FILE, offset, DamageCause::PageHash).into());
            }
        }
        let indices = first * PAGE_LEAVES as u64..leaves.end;
        let content = bytes.as_chunks::<{ crate::LEAF_BYTES }>().0;
        Ok::<_, TreeError>(
            indices.zip(content).map(|(i, leaf)| take(&Leaf::from_bytes(*leaf), i)).collect(),
        )
    };
    let parts: Vec<u64> =
        (leaves.start / PAGE_LEAVES as u64..end).step_by(PAGES_PER_READ as usize).collect();
    // A few at a time, so that memory does not grow with the tree.
    for parts in parts.chunks(READS_AT_ONCE) {
        let read: Vec<Vec<T>> =
            parts.par_iter().map(|first| check(*first)).collect::<Result<_, _>>()?;
        for (first, taken) in parts.iter().zip(read) {
            collect(first * PAGE_LEAVES as u64, taken);
        }
    }
    Ok(())
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
        index: &mut KeyIndex,
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
            let place = pages.leaf_count();
            if !place.is_multiple_of(PAGE_LEAVES as u64) {
                pages.load_unchecked(place / PAGE_LEAVES as u64)?;
            }
            pages.push(*leaf);
            index.insert(leaf.raw_key(), place);
        }
        Ok(Ok(()))
    }

    pub(crate) fn truncation(
        pages: &mut LeafPages,
        index: &mut KeyIndex,
        leaf_count: u64,
        restored: &[Restored],
    ) -> Result<Result<(), Unconnected>, TreeError> {
        if leaf_count == 0 || leaf_count > pages.leaf_count() {
            return Ok(Err(Unconnected));
        }
        leaf_mut(pages, leaf_count - 1)?;
        pages.truncate(leaf_count);
        index.truncate(leaf_count);
        for Restored { index, value, next } in restored {
            let leaf = leaf_mut(pages, *index)?;
            leaf.set_value(value);
            leaf.set_next(*next);
        }
        Ok(Ok(()))
    }
}
