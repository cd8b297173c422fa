//! Order of the keys: which leaf holds a key, and which is its predecessor.

use crate::{TreeError, hash::RawHash};
use rayon::prelude::*;

/// Most entries in a chunk; a full one is split in two.
const CHUNK: usize = 256;

/// Index of a leaf with the first bytes of its key. The whole key is in the leaf and is read only
/// when the first bytes are equal, which for hashed keys means: for the key searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    prefix: u64,
    index: u64,
}

impl Entry {
    pub(crate) fn new(key: &RawHash, index: u64) -> Self {
        Self { prefix: prefix(key), index }
    }
}

fn prefix(key: &RawHash) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("a key has more than 8 bytes"))
}

/// Number of entries whose key is not above `key`.
fn count_not_above(
    entries: &[Entry],
    key: &RawHash,
    key_of: &impl Fn(u64) -> Result<RawHash, TreeError>,
) -> Result<usize, TreeError> {
    let prefix = prefix(key);
    // Comparing numbers only lets the compiler search without branches. Whole keys are compared
    // where that is not enough: for the key itself, for hashed keys.
    let below = entries.partition_point(|entry| entry.prefix < prefix);
    let equal = entries[below..].iter().take_while(|entry| entry.prefix == prefix).count();
    let (mut low, mut high) = (below, below + equal);
    while low < high {
        let middle = usize::midpoint(low, high);
        if key_of(entries[middle].index)? <= *key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
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
    /// Sorts entries.
    pub(crate) fn build(
        mut entries: Vec<Entry>,
        key_of: impl Fn(u64) -> Result<RawHash, TreeError>,
    ) -> Result<Self, TreeError> {
        entries.par_sort_unstable_by_key(|entry| entry.prefix);
        for tied in entries.chunk_by_mut(|a, b| a.prefix == b.prefix).filter(|tied| tied.len() > 1)
        {
            let keyed: Result<Vec<_>, TreeError> =
                tied.iter().map(|entry| Ok((key_of(entry.index)?, *entry))).collect();
            let mut keyed = keyed?;
            keyed.sort_unstable_by_key(|(key, _)| *key);
            for (entry, (_, sorted)) in tied.iter_mut().zip(keyed) {
                *entry = sorted;
            }
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

    /// Memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.len() * (CHUNK + 1) * size_of::<Entry>() + self.chunks.capacity() * 24
    }

    /// Indices of the leaves in the order of their keys.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().flatten().map(|entry| entry.index)
    }

    /// Position of the last entry whose key is not above `key`.
    fn position(
        &self,
        key: &RawHash,
        key_of: &impl Fn(u64) -> Result<RawHash, TreeError>,
    ) -> Result<(usize, usize), TreeError> {
        // The smallest possible key is always in the index, so neither count is zero.
        let chunk = count_not_above(&self.fences, key, key_of)? - 1;
        let (before, part) = narrow(&self.chunks[chunk], prefix(key));
        Ok((chunk, before + count_not_above(part, key, key_of)? - 1))
    }

    /// Looks a key up among the first `leaf_count` leaves; later ones count as absent. Whole keys
    /// are asked for where their first bytes do not decide.
    pub(crate) fn find(
        &self,
        key: &RawHash,
        leaf_count: u64,
        key_of: &impl Fn(u64) -> Result<RawHash, TreeError>,
    ) -> Result<Found, TreeError> {
        let (mut chunk, mut pos) = self.position(key, key_of)?;
        let first = self.chunks[chunk][pos];
        if first.index < leaf_count && first.prefix == prefix(key) && key_of(first.index)? == *key {
            return Ok(Found::Exact(first.index));
        }
        loop {
            let entry = self.chunks[chunk][pos];
            if entry.index < leaf_count {
                return Ok(Found::Below(entry.index));
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
    pub(crate) fn insert(
        &mut self,
        key: &RawHash,
        index: u64,
        key_of: &impl Fn(u64) -> Result<RawHash, TreeError>,
    ) -> Result<(), TreeError> {
        let entry = Entry::new(key, index);
        if self.chunks.is_empty() {
            self.fences.push(entry);
            self.chunks.push(vec![entry]);
            return Ok(());
        }
        let (mut chunk, mut pos) = self.position(key, key_of)?;
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
        Ok(())
    }

    /// Removes a key that is in the index.
    pub(crate) fn remove(
        &mut self,
        key: &RawHash,
        key_of: &impl Fn(u64) -> Result<RawHash, TreeError>,
    ) -> Result<(), TreeError> {
        let (chunk, pos) = self.position(key, key_of)?;
        self.chunks[chunk].remove(pos);
        match self.chunks[chunk].first() {
            Some(first) => self.fences[chunk] = *first,
            None => {
                self.chunks.remove(chunk);
                self.fences.remove(chunk);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys that often share their first eight bytes.
    fn key(seed: u16) -> RawHash {
        let mut key = [0; 32];
        key[7] = (seed >> 8) as u8;
        key[30..].copy_from_slice(&seed.to_be_bytes());
        key
    }

    fn check(index: &KeyIndex, keys: &[RawHash], model: &BTreeMap<RawHash, u64>, probe: &RawHash) {
        let expected = model
            .range(..=*probe)
            .next_back()
            .map(|(found, &i)| if found == probe { Found::Exact(i) } else { Found::Below(i) });
        let key_of = |index: u64| Ok(keys[index as usize]);
        assert_eq!(index.find(probe, u64::MAX, &key_of).ok(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn behaves_like_a_sorted_map(seeds in prop::collection::vec(any::<u16>(), 1..2000), remove in any::<u16>()) {
            let mut keys = vec![[0; 32]];
            let mut model = BTreeMap::from([([0; 32], 0)]);
            let mut index = KeyIndex::default();
            index.insert(&[0; 32], 0, &|_| Ok([0; 32])).expect("keys are there");
            for seed in &seeds {
                let key = key(*seed);
                if model.contains_key(&key) { continue; }
                let next = keys.len() as u64;
                keys.push(key);
                index.insert(&key, next, &|index| Ok(keys[index as usize])).expect("keys are there");
                model.insert(key, next);
            }
            let key_of = |index: u64| Ok(keys[index as usize]);
            let entries = keys.iter().zip(0..).map(|(key, index)| Entry::new(key, index)).collect();
            let built = KeyIndex::build(entries, key_of).expect("keys are there");
            prop_assert!(built.sorted().eq(index.sorted()));
            prop_assert!(built.sorted().eq(model.values().copied()));
            for probe in (0..=u16::MAX).step_by(97) {
                check(&index, &keys, &model, &key(probe));
            }
            let kept = 1 + u64::from(remove) % keys.len() as u64;
            let cut: BTreeMap<_, _> = model.iter().filter(|(_, i)| **i < kept).map(|(k, i)| (*k, *i)).collect();
            for probe in (0..=u16::MAX).step_by(499) {
                let probe = key(probe);
                let early = index.find(&probe, kept, &key_of).expect("keys are there");
                let (found, &i) = cut.range(..=probe).next_back().expect("the smallest key stays");
                prop_assert_eq!(early, if *found == probe { Found::Exact(i) } else { Found::Below(i) });
            }
            for i in (kept..keys.len() as u64).rev() {
                index.remove(&keys[i as usize], &key_of).expect("keys are there");
            }
            for probe in (0..=u16::MAX).step_by(97) {
                check(&index, &keys, &cut, &key(probe));
            }
            prop_assert_eq!(index.chunks.iter().map(Vec::len).sum::<usize>(), cut.len());
        }
    }
}
