//! Order of the keys: which leaf holds a key, and which is its predecessor.
//!
//! An entry is the first 8 bytes of a key and the index of its leaf; the whole key is in the leaf,
//! which is read in any case. Entries never change, and a leaf index is given out in ascending
//! order, so the entries of a range of leaves make a *run*: a sorted, immutable file, searched
//! through a cache of bounded size. Entries since the last checkpoint are sorted in memory; a
//! checkpoint makes a run of them, together with those older runs that are not much larger, so
//! that there are few. What a truncation cuts off is an upper limit on the indices of a run.
//!
//! Nothing here is trusted: an entry is compared with the leaf to which it leads, a predecessor with
//! its leaf's successor. When the files are damaged, the index is sorted again from the leaves.

mod merge;
mod run;
mod sorted;

pub(crate) use merge::{Merge, Merged};
pub(crate) use run::{RunRecord, run_number};

use crate::{
    Damage, DamageCause, Leaf, TreeError, TreeStore,
    hash::RawHash,
    pages::{LEAVES_FILE, PAGE_BYTES, PAGE_LEAVES},
};
use alloy_primitives::B256;
use merge::sorted_groups;
use run::Run;
use sorted::SortedKeys;
use std::sync::Arc;

/// A guess among some dozens of numbers is mostly right to this many.
const NEAR: usize = 4;

/// A run is merged with newer entries unless it has more than this many times as many.
const RATIO: u64 = 4;

/// Start of a key with the index of its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) prefix: u64,
    pub(crate) index: u64,
}

impl Entry {
    pub(crate) fn new(key: &RawHash, index: u64) -> Self {
        Self { prefix: prefix(key), index }
    }

    /// Summed up over entries, tells whether two sets of them are equal.
    pub(crate) fn digest(self) -> u64 {
        let mut x = self.prefix ^ self.index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

fn prefix(key: &RawHash) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("a key has more than 8 bytes"))
}

/// How many of `len` ascending numbers are not above `bound`. Hashed keys are evenly spread, so the
/// place is guessed and searched nearby, in a few cache lines, where a plain binary search would
/// load one after the other from all over.
fn upper_bound(len: usize, at: impl Fn(usize) -> u64, bound: u64) -> usize {
    let Some(end) = len.checked_sub(1) else { return 0 };
    upper_bound_near(guess(bound, at(0), at(end), end), len, at, bound)
}

/// Where a number stands between the first and the last of some that are evenly spread.
fn guess(number: u64, first: u64, last: u64, count: usize) -> usize {
    let share = number.saturating_sub(first) as f64 / last.saturating_sub(first).max(1) as f64;
    ((share * count as f64) as usize).min(count)
}

/// [`upper_bound`] with a guess. For numbers that are not evenly spread the part that is searched
/// grows until it is right.
fn upper_bound_near(guess: usize, len: usize, at: impl Fn(usize) -> u64, bound: u64) -> usize {
    let (guess, mut reach) = (guess.min(len), NEAR);
    // The answer is from low to high.
    let (mut low, mut high) = loop {
        let (low, high) = (guess.saturating_sub(reach), guess.saturating_add(reach).min(len));
        let starts_below = low.checked_sub(1).is_none_or(|before| at(before) <= bound);
        if starts_below && (high == len || at(high) > bound) {
            break (low, high);
        }
        reach = reach.saturating_mul(4);
    };
    while low < high {
        let middle = usize::midpoint(low, high);
        if at(middle) <= bound {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Entries that may answer a search: those that share the prefix of the key, and the next lower ones
/// that share theirs.
#[derive(Debug)]
pub(crate) struct Candidates {
    prefix: u64,
    equal: Ties,
    below_prefix: u64,
    below: Ties,
}

/// Leaves whose keys begin alike: one, unless somebody searched for such keys.
#[derive(Debug, Default)]
struct Ties {
    first: Option<u64>,
    others: Vec<u64>,
}

impl Ties {
    fn push(&mut self, index: u64) {
        match self.first {
            None => self.first = Some(index),
            Some(_) => self.others.push(index),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

impl Candidates {
    fn new(prefix: u64) -> Self {
        Self { prefix, equal: Ties::default(), below_prefix: 0, below: Ties::default() }
    }

    const fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Takes an entry, in descending order of prefixes from the searched one on. False once no
    /// further entry can matter.
    fn offer(&mut self, entry: Entry) -> bool {
        let Entry { prefix, index } = entry;
        if prefix == self.prefix {
            self.equal.push(index);
            return true;
        }
        if self.below.first.is_none() || prefix > self.below_prefix {
            self.below_prefix = prefix;
            self.below = Ties { first: Some(index), others: Vec::new() };
            return true;
        }
        if prefix == self.below_prefix {
            self.below.push(index);
            return true;
        }
        false
    }
}

/// Reads leaves.
pub(crate) trait ReadLeaves {
    /// A leaf below the leaf count.
    fn read(&self, index: u64) -> Result<Leaf, TreeError>;

    /// Has the processor fetch leaves that are about to be read, several at a time; read one after
    /// the other, each would be waited for.
    fn fetch(&self, indices: impl Iterator<Item = u64>);
}

/// What is known about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The leaf with this index holds the key.
    Exact(u64),
    /// No leaf holds the key; the one with this index has the largest key below it.
    Below(u64),
}

/// A run and the leaves that count in it.
#[derive(Clone, Debug)]
struct Layer {
    run: Arc<Run>,
    /// Entries of leaves from here on have been cut off.
    limit: u64,
}

impl Layer {
    fn record(&self) -> RunRecord {
        RunRecord { limit: self.limit, ..self.run.record() }
    }

    fn len(&self) -> u64 {
        self.limit.saturating_sub(self.run.record().first)
    }
}

/// Entries of which a checkpoint is making a run.
#[derive(Debug)]
struct Frozen {
    entries: Arc<SortedKeys>,
    limit: u64,
}

/// All leaves by key.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    /// Of successive ranges of leaves from the first on, in general large to small.
    layers: Vec<Layer>,
    frozen: Option<Frozen>,
    recent: SortedKeys,
    /// Entries of leaves below this are in runs.
    base: u64,
    /// Number of the next run.
    next_run: u64,
    /// Bytes of runs in memory.
    cache_bytes: usize,
}

impl KeyIndex {
    /// The index of the first `leaf_count` leaves, of which nothing is known yet.
    pub(crate) const fn unknown(leaf_count: u64, next_run: u64, cache_bytes: usize) -> Self {
        Self {
            layers: Vec::new(),
            frozen: None,
            recent: SortedKeys::new(),
            base: leaf_count,
            next_run,
            cache_bytes,
        }
    }

    /// Opens the runs of the first `leaf_count` leaves.
    pub(crate) fn open(
        store: &impl TreeStore,
        records: &[RunRecord],
        leaf_count: u64,
        next_run: u64,
        cache_bytes: usize,
    ) -> Result<Self, TreeError> {
        let mut index = Self::unknown(leaf_count, next_run, cache_bytes);
        let mut end = 0;
        for record in records {
            if record.first != end || record.limit < end {
                let cause = DamageCause::Sequence;
                return Err(Damage::new(run::run_name(record.number), 0, cause).into());
            }
            end = record.limit;
            let run = Arc::new(Run::open(store, *record)?);
            index.layers.push(Layer { run, limit: record.limit });
        }
        if end != leaf_count {
            return Err(Damage::new(run::PREFIX, 0, DamageCause::Sequence).into());
        }
        Ok(index)
    }

    /// The runs, for the manifest.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        self.layers.iter().map(Layer::record).collect()
    }

    /// Memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.entries.memory_bytes());
        let runs: usize = self.layers.iter().map(|layer| layer.run.memory_bytes()).sum();
        self.recent.memory_bytes() + frozen + runs
    }

    /// Looks keys up among the first `leaf_count` leaves; later ones count as absent. Gives the leaves
    /// as well that were found. Each step is done for all keys before the next, so that what the
    /// processor has to wait for it waits for once: give some dozens at a time.
    pub(crate) fn find(
        &self,
        keys: &[B256],
        leaf_count: u64,
        leaves: &impl ReadLeaves,
    ) -> Result<Vec<(Found, Leaf)>, TreeError> {
        let mut search = Search {
            keys,
            candidates: keys.iter().map(|key| Candidates::new(prefix(&key.0))).collect(),
            open: (0..keys.len()).collect(),
            found: vec![None; keys.len()],
        };
        // Most keys that exist are in the first and largest run.
        for layer in &self.layers {
            if layer.run.record().first < leaf_count {
                layer.run.seek(
                    layer.limit.min(leaf_count),
                    &mut search.candidates,
                    &search.open,
                )?;
                search.take_exact(leaves)?;
            }
        }
        let frozen = self.frozen.as_ref();
        for entries in frozen.iter().map(|frozen| &*frozen.entries).chain([&self.recent]) {
            entries.fetch(search.open.iter().map(|at| search.candidates[*at].prefix()));
        }
        for at in &search.open {
            let candidates = &mut search.candidates[*at];
            if let Some(frozen) = frozen {
                frozen.entries.seek(frozen.limit.min(leaf_count), candidates);
            }
            self.recent.seek(leaf_count, candidates);
        }
        search.take_exact(leaves)?;
        search.take_below(leaves)?;
        search.found.into_iter().map(|found| found.ok_or_else(|| contradiction(0))).collect()
    }

    /// Adds the key of a leaf behind the last one.
    pub(crate) fn insert(&mut self, key: &RawHash, index: u64) {
        self.recent.insert(Entry::new(key, index));
    }

    /// Forgets the leaves from an index on.
    pub(crate) fn truncate(&mut self, leaf_count: u64) {
        self.recent.truncate(leaf_count);
        if let Some(frozen) = &mut self.frozen {
            frozen.limit = frozen.limit.min(leaf_count);
        }
        self.base = self.base.min(leaf_count);
        for layer in &mut self.layers {
            layer.limit = layer.limit.min(leaf_count);
        }
        self.layers.retain(|layer| layer.len() > 0);
    }

    /// Gives up parts of runs while there are too many in memory.
    pub(crate) fn trim(&self) {
        let total: u64 = self.layers.iter().map(|layer| layer.run.record().entries).sum();
        for layer in &self.layers {
            let share = layer.run.record().entries as f64 / total.max(1) as f64;
            layer.run.trim((self.cache_bytes as f64 * share) as usize);
        }
    }

    /// Hands the entries since the last checkpoint to the next one, which makes a run of them.
    /// [`Self::merged`] or [`Self::not_merged`] follows.
    pub(crate) fn freeze(&mut self, leaf_count: u64) -> Merge {
        let entries = Arc::new(std::mem::take(&mut self.recent));
        let mut kept = self.layers.len();
        if entries.len() > 0 {
            let mut len = entries.len() as u64;
            while let Some(layer) = kept.checked_sub(1).map(|last| &self.layers[last])
                && layer.len() <= RATIO * len
            {
                len += layer.len();
                kept -= 1;
            }
            self.frozen = Some(Frozen { entries: entries.clone(), limit: leaf_count });
        }
        let number = self.next_run;
        self.next_run += 1;
        Merge::new(number, &self.layers[..kept], &self.layers[kept..], entries, leaf_count)
    }

    /// A checkpoint has made a run.
    pub(crate) fn merged(&mut self, merged: Merged) {
        let Some(Frozen { limit, .. }) = self.frozen.take() else { return };
        if let Some(run) = merged.into_run() {
            // Those of which it is made. They may be gone already.
            let RunRecord { first, limit: end, .. } = run.record();
            self.layers.retain(|layer| layer.run.record().first < first);
            self.base = self.base.max(end.min(limit));
            let layer = Layer { run: Arc::new(run), limit: end.min(limit) };
            if layer.len() > 0 {
                self.layers.push(layer);
            }
        }
    }

    /// A checkpoint has failed.
    pub(crate) fn not_merged(&mut self) {
        let Some(Frozen { entries, limit }) = self.frozen.take() else { return };
        for entry in entries.iter().filter(|entry| entry.index < limit) {
            self.recent.insert(entry);
        }
    }

    /// Sums up [`Entry::digest`] of all entries, reading all files.
    pub(crate) fn digest(&self) -> Result<u64, TreeError> {
        let mut sum = self.recent.iter().map(Entry::digest).fold(0, u64::wrapping_add);
        for layer in &self.layers {
            sum = sum.wrapping_add(layer.run.digest(layer.limit)?);
        }
        if let Some(Frozen { entries, limit }) = &self.frozen {
            let entries = entries.iter().filter(|entry| entry.index < *limit);
            sum = entries.map(Entry::digest).fold(sum, u64::wrapping_add);
        }
        Ok(sum)
    }

    /// Makes the runs anew. `keys` gives the entries of a range of leaves.
    pub(crate) fn rebuild(
        &mut self,
        store: &impl TreeStore,
        keys: impl Fn(std::ops::Range<u64>) -> Result<Vec<Entry>, TreeError>,
    ) -> Result<(), TreeError> {
        /// Leaves that are sorted in memory at a time.
        const PART: u64 = 1 << 22;
        self.layers.clear();
        for first in (0..self.base).step_by(PART as usize) {
            let end = self.base.min(first + PART);
            let run = merge::sort(store, self.next_run, first, keys(first..end)?)?;
            self.next_run += 1;
            self.layers.push(Layer { run: Arc::new(run), limit: end });
        }
        if self.layers.len() > 1 {
            let none = Arc::<SortedKeys>::default();
            let merge = Merge::new(self.next_run, &[], &self.layers, none, self.base);
            self.next_run += 1;
            if let Some(run) = merge.write(store)?.into_run() {
                self.layers = vec![Layer { limit: self.base, run: Arc::new(run) }];
            }
        }
        Ok(())
    }

    /// All entries in the order of their keys, to `visit`; reads all files. Whole keys are asked for
    /// where their starts do not decide.
    pub(crate) fn for_each_sorted(
        &self,
        key_of: impl Fn(u64) -> Result<RawHash, TreeError>,
        mut visit: impl FnMut(Entry) -> Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        let frozen = self.frozen.as_ref().map(|frozen| (&*frozen.entries, frozen.limit));
        let memory = frozen.into_iter().chain([(&self.recent, u64::MAX)]);
        sorted_groups(&self.layers, memory, |group| {
            if let [entry] = group {
                return visit(*entry);
            }
            let keyed: Result<Vec<_>, TreeError> =
                group.iter().map(|entry| Ok((key_of(entry.index)?, *entry))).collect();
            let mut keyed = keyed?;
            keyed.sort_unstable();
            if let Some(same) = keyed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(contradiction(same[1].1.index));
            }
            keyed.into_iter().try_for_each(|(_, entry)| visit(entry))
        })
    }
}

/// Keys on the way to their leaves.
struct Search<'a> {
    keys: &'a [B256],
    candidates: Vec<Candidates>,
    /// Places of the keys that have not been found.
    open: Vec<usize>,
    found: Vec<Option<(Found, Leaf)>>,
}

impl Search<'_> {
    /// Keys that are in one of their leaves.
    fn take_exact(&mut self, leaves: &impl ReadLeaves) -> Result<(), TreeError> {
        let Self { keys, candidates, open, found } = self;
        leaves.fetch(open.iter().flat_map(|at| candidates[*at].equal.iter()));
        let mut left = Vec::with_capacity(open.len());
        for at in open.drain(..) {
            for index in candidates[at].equal.iter() {
                let leaf = leaves.read(index)?;
                if *leaf.raw_key() == keys[at].0 {
                    found[at] = Some((Found::Exact(index), leaf));
                    break;
                }
            }
            if found[at].is_none() {
                left.push(at);
            }
        }
        *open = left;
        Ok(())
    }

    /// The largest keys below those that are in no leaf.
    fn take_below(&mut self, leaves: &impl ReadLeaves) -> Result<(), TreeError> {
        let Self { keys, candidates, open, found } = self;
        leaves.fetch(open.iter().flat_map(|at| candidates[*at].below.iter()));
        for at in open.drain(..) {
            let mut best: Option<(u64, Leaf)> = None;
            // What begins like the key is above what does not.
            for ties in [&candidates[at].equal, &candidates[at].below] {
                for index in ties.iter() {
                    let leaf = leaves.read(index)?;
                    if leaf.raw_key() < &keys[at].0
                        && best.is_none_or(|(_, best)| best.raw_key() < leaf.raw_key())
                    {
                        best = Some((index, leaf));
                    }
                }
                if best.is_some() {
                    break;
                }
            }
            found[at] = best.map(|(index, leaf)| (Found::Below(index), leaf));
        }
        Ok(())
    }
}

/// Index and leaves do not fit together.
pub(crate) fn contradiction(leaf: u64) -> TreeError {
    let offset = leaf / PAGE_LEAVES as u64 * PAGE_BYTES as u64;
    Damage::new(LEAVES_FILE, offset, DamageCause::KeyIndex { index: leaf }).into()
}

#[cfg(test)]
mod tests;
