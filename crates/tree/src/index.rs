//! Order of the keys: which leaf holds a key, and which is its predecessor.

use crate::{Corruption, Leaf, hash::RawHash};
use rayon::prelude::*;

/// Most entries in a chunk; a full one is split in two.
const CHUNK: usize = 256;

/// Index of a leaf with the first bytes of its key. The whole key is in the leaf and is read only
/// when the first bytes are equal, which for hashed keys means: for the key searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    prefix: u64,
    index: u64,
}

impl Entry {
    fn new(key: &RawHash, index: u64) -> Self {
        Self { prefix: prefix(key), index }
    }
}

fn prefix(key: &RawHash) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("a key has more than 8 bytes"))
}

/// Number of entries whose key is not above `key`.
fn count_not_above(entries: &[Entry], key: &RawHash, leaves: &[Leaf]) -> usize {
    let prefix = prefix(key);
    // Comparing numbers only lets the compiler search without branches. Whole keys are compared
    // where that is not enough: for the key itself, for hashed keys.
    let below = entries.partition_point(|entry| entry.prefix < prefix);
    let equal = entries[below..].iter().take_while(|entry| entry.prefix == prefix).count();
    let not_above = |entry: &Entry| leaves[entry.index as usize].raw_key() <= key;
    below + entries[below..below + equal].partition_point(not_above)
}

/// Part of a chunk in which a key is to be searched, and how many entries are before it. Hashed
/// keys are evenly spread, so the part is a few cache lines where a plain binary search would load
/// one after the other from all over the chunk. For keys that are not evenly spread the part grows
/// until it is right.
fn narrow(chunk: &[Entry], prefix: u64) -> (usize, &[Entry]) {
    let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return (0, chunk) };
    let span = u128::from(last.prefix - first.prefix) + 1;
    let offset = u128::from(prefix.clamp(first.prefix, last.prefix) - first.prefix);
    let guess = (offset * chunk.len() as u128 / span) as usize;
    let mut reach = 8;
    loop {
        let (start, end) = (guess.saturating_sub(reach), (guess + reach).min(chunk.len()));
        // Equal prefixes must lie within the part.
        let starts_below = start == 0 || chunk[start].prefix < prefix;
        let ends_above = end == chunk.len() || chunk[end - 1].prefix > prefix;
        if starts_below && ends_above {
            return (start, &chunk[start..end]);
        }
        reach *= 4;
    }
}

/// All leaf indices sorted by key: sorted chunks of bounded size under one sorted array of their
/// first entries. 16 bytes per key, two binary searches per look-up, no dependence on how keys are
/// distributed.
///
/// Never empty in use: the first guard's key is below every other.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    /// First entry of each chunk.
    fences: Vec<Entry>,
    /// Never holds an empty chunk.
    chunks: Vec<Vec<Entry>>,
}

/// What the index knows about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The leaf with this index holds the key.
    Exact(u64),
    /// No leaf holds the key; the one with this index has the largest key below it.
    Below(u64),
}

impl KeyIndex {
    /// Sorts the leaves, and checks that the list that they form visits all of them in that order.
    pub(crate) fn build(leaves: &[Leaf]) -> Result<Self, Corruption> {
        let mut entries: Vec<Entry> = leaves
            .par_iter()
            .enumerate()
            .map(|(i, leaf)| Entry::new(leaf.raw_key(), i as u64))
            .collect();
        entries.par_sort_unstable_by(|a, b| {
            a.prefix.cmp(&b.prefix).then_with(|| {
                leaves[a.index as usize].raw_key().cmp(leaves[b.index as usize].raw_key())
            })
        });
        let broken = entries.par_windows(2).find_any(|pair| {
            let leaf = &leaves[pair[0].index as usize];
            leaf.next() != pair[1].index
                || leaf.raw_key() == leaves[pair[1].index as usize].raw_key()
        });
        if let Some(pair) = broken {
            return Err(Corruption::BrokenList { index: pair[0].index });
        }
        // Room for a third more before the first splits.
        let chunks: Vec<_> = entries
            .chunks(CHUNK / 4 * 3)
            .map(|entries| {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.extend_from_slice(entries);
                chunk
            })
            .collect();
        Ok(Self { fences: chunks.iter().map(|chunk| chunk[0]).collect(), chunks })
    }

    /// Position of the last entry whose key is not above `key`.
    fn position(&self, key: &RawHash, leaves: &[Leaf]) -> (usize, usize) {
        // The smallest possible key is always in the index, so neither count is zero.
        let chunk = count_not_above(&self.fences, key, leaves) - 1;
        let (before, part) = narrow(&self.chunks[chunk], prefix(key));
        (chunk, before + count_not_above(part, key, leaves) - 1)
    }

    /// Looks a key up among the first `leaf_count` leaves; later ones count as absent.
    pub(crate) fn find(&self, key: &RawHash, leaves: &[Leaf], leaf_count: u64) -> Found {
        let (mut chunk, mut pos) = self.position(key, leaves);
        loop {
            let entry = self.chunks[chunk][pos];
            if entry.index < leaf_count {
                return if leaves[entry.index as usize].raw_key() == key {
                    Found::Exact(entry.index)
                } else {
                    Found::Below(entry.index)
                };
            }
            // Ends at the first guard at the latest, which every version has.
            if pos > 0 {
                pos -= 1;
            } else {
                chunk -= 1;
                pos = self.chunks[chunk].len() - 1;
            }
        }
    }

    /// Adds a key that is not in the index.
    pub(crate) fn insert(&mut self, key: &RawHash, index: u64, leaves: &[Leaf]) {
        let entry = Entry::new(key, index);
        if self.chunks.is_empty() {
            self.fences.push(entry);
            self.chunks.push(vec![entry]);
            return;
        }
        let (mut chunk, mut pos) = self.position(key, leaves);
        if self.chunks[chunk].len() == CHUNK {
            let mut upper = Vec::with_capacity(CHUNK);
            upper.extend(self.chunks[chunk].drain(CHUNK / 2..));
            self.fences.insert(chunk + 1, upper[0]);
            self.chunks.insert(chunk + 1, upper);
            if pos >= CHUNK / 2 {
                chunk += 1;
                pos -= CHUNK / 2;
            }
        }
        self.chunks[chunk].insert(pos + 1, entry);
    }

    /// Removes a key that is in the index.
    pub(crate) fn remove(&mut self, key: &RawHash, leaves: &[Leaf]) {
        let (chunk, pos) = self.position(key, leaves);
        debug_assert_eq!(leaves[self.chunks[chunk][pos].index as usize].raw_key(), key);
        self.chunks[chunk].remove(pos);
        match self.chunks[chunk].first() {
            Some(first) => self.fences[chunk] = *first,
            None => {
                self.chunks.remove(chunk);
                self.fences.remove(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys that often share their first eight bytes.
    fn key(seed: u16) -> RawHash {
        let mut key = [0; 32];
        key[7] = (seed >> 8) as u8;
        key[30..].copy_from_slice(&seed.to_be_bytes());
        key
    }

    fn check(index: &KeyIndex, leaves: &[Leaf], model: &BTreeMap<RawHash, u64>, probe: &RawHash) {
        let expected = model
            .range(..=*probe)
            .next_back()
            .map(|(found, &i)| if found == probe { Found::Exact(i) } else { Found::Below(i) });
        assert_eq!(Some(index.find(probe, leaves, u64::MAX)), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn behaves_like_a_sorted_map(seeds in prop::collection::vec(any::<u16>(), 1..2000), remove in any::<u16>()) {
            let mut leaves = vec![Leaf::new(B256::ZERO, B256::ZERO, 0)];
            let mut model = BTreeMap::from([([0; 32], 0)]);
            let mut index = KeyIndex::default();
            index.insert(&[0; 32], 0, &leaves);
            for seed in &seeds {
                let key = key(*seed);
                if model.contains_key(&key) { continue; }
                let next = leaves.len() as u64;
                leaves.push(Leaf::new(B256::new(key), B256::ZERO, 0));
                index.insert(&key, next, &leaves);
                model.insert(key, next);
            }
            for probe in (0..=u16::MAX).step_by(97) {
                check(&index, &leaves, &model, &key(probe));
            }
            let kept = 1 + u64::from(remove) % leaves.len() as u64;
            let cut: BTreeMap<_, _> = model.iter().filter(|(_, i)| **i < kept).map(|(k, i)| (*k, *i)).collect();
            for probe in (0..=u16::MAX).step_by(499) {
                let probe = key(probe);
                let early = index.find(&probe, &leaves, kept);
                let (found, &i) = cut.range(..=probe).next_back().expect("the smallest key stays");
                prop_assert_eq!(early, if *found == probe { Found::Exact(i) } else { Found::Below(i) });
            }
            for i in (kept..leaves.len() as u64).rev() {
                index.remove(leaves[i as usize].raw_key(), &leaves);
            }
            for probe in (0..=u16::MAX).step_by(97) {
                check(&index, &leaves, &cut, &key(probe));
            }
            prop_assert_eq!(index.chunks.iter().map(Vec::len).sum::<usize>(), cut.len());
        }
    }
}
