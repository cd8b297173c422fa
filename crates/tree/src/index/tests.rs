use super::*;
use crate::InMemoryStore;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Keys that often share their first eight bytes.
fn key(seed: u16) -> B256 {
    let mut key = B256::ZERO;
    key[7] = (seed >> 8) as u8;
    key[30..].copy_from_slice(&seed.to_be_bytes());
    key
}

/// What happens to an index.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u16>),
    /// Keeps this share of the leaves, in 256ths.
    Truncate(u8),
    /// A checkpoint, during which something happens.
    Merge(Vec<u16>, Option<u8>),
    FailedMerge(Vec<u16>, Option<u8>),
    Reopen,
    Rebuild,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::vec(any::<u16>(), 0..400);
    let cut = || prop::option::of(any::<u8>());
    let step = prop_oneof![
        3 => keys().prop_map(Step::Insert),
        1 => any::<u8>().prop_map(Step::Truncate),
        4 => (keys(), cut()).prop_map(|(keys, cut)| Step::Merge(keys, cut)),
        1 => (keys(), cut()).prop_map(|(keys, cut)| Step::FailedMerge(keys, cut)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ];
    prop::collection::vec(step, 1..12)
}

struct Model {
    store: InMemoryStore,
    index: KeyIndex,
    keys: Vec<B256>,
    sorted: BTreeMap<B256, u64>,
}

impl Model {
    fn new() -> Self {
        let mut index = KeyIndex::unknown(0, 0, 4096);
        index.insert(&[0; 32], 0);
        let (store, keys) = (InMemoryStore::new(), vec![B256::ZERO]);
        Self { store, index, keys, sorted: BTreeMap::from([(B256::ZERO, 0)]) }
    }

    fn insert(&mut self, seeds: &[u16]) {
        for key in seeds.iter().map(|seed| key(*seed)) {
            if !self.sorted.contains_key(&key) {
                let index = self.keys.len() as u64;
                self.index.insert(&key.0, index);
                self.keys.push(key);
                self.sorted.insert(key, index);
            }
        }
    }

    fn truncate(&mut self, share: u8) {
        let kept = (self.keys.len() * usize::from(share) / 256).max(1);
        self.index.truncate(kept as u64);
        self.keys.truncate(kept);
        self.sorted.retain(|_, index| *index < kept as u64);
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.keys.iter().zip(0..).map(|(key, index)| Entry::new(&key.0, index))
    }

    fn leaf(&self, index: u64) -> Result<Leaf, TreeError> {
        Ok(Leaf::new(self.keys[index as usize], B256::ZERO, 0))
    }

    fn merge(&mut self, seeds: &[u16], cut: Option<u8>, fails: bool) {
        let merge = self.index.freeze(self.keys.len() as u64);
        let merged = merge.write(&self.store).expect("memory");
        self.insert(seeds);
        if let Some(share) = cut {
            self.truncate(share);
            self.insert(seeds);
        }
        self.check();
        if fails {
            self.index.not_merged();
        } else {
            self.index.merged(merged);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Insert(seeds) => self.insert(seeds),
            Step::Truncate(share) => self.truncate(*share),
            Step::Merge(seeds, cut) => self.merge(seeds, *cut, false),
            Step::FailedMerge(seeds, cut) => self.merge(seeds, *cut, true),
            Step::Reopen => {
                self.merge(&[], None, false);
                let (records, count) = (self.index.records(), self.keys.len() as u64);
                self.index =
                    KeyIndex::open(&self.store, &records, count, self.index.next_run, 4096)
                        .expect("own files");
            }
            Step::Rebuild => {
                let entries: Vec<Entry> = self.entries().collect();
                self.index
                    .rebuild(&self.store, |range| {
                        Ok(entries[range.start as usize..range.end as usize].to_vec())
                    })
                    .expect("memory");
            }
        }
        self.index.trim();
    }

    fn check(&self) {
        let digest = self.entries().map(Entry::digest).fold(0, u64::wrapping_add);
        assert_eq!(self.index.digest().expect("own files"), digest);
        let mut sorted = Vec::new();
        let key_of = |index: u64| Ok(self.keys[index as usize].0);
        let visit = |entry: Entry| {
            sorted.push(entry.index);
            Ok(())
        };
        self.index.for_each_sorted(key_of, visit).expect("own files");
        assert!(sorted.iter().eq(self.sorted.values()));
        let count = self.keys.len() as u64;
        for limit in [count, count.div_ceil(3)] {
            let known: BTreeMap<[u8; 32], u64> = self
                .sorted
                .iter()
                .filter(|(_, index)| **index < limit)
                .map(|(key, index)| (key.0, *index))
                .collect();
            let probes = (0..=u16::MAX).step_by(211).map(key).chain(self.keys.iter().copied());
            let probes: Vec<B256> = probes.collect();
            // Alone and in company.
            let (alone, others) = probes.split_at(probes.len().min(99));
            for probes in alone.chunks(1).chain(others.chunks(40)) {
                let answers = self.index.find(probes, limit, self).expect("own files");
                assert_eq!(answers.len(), probes.len());
                for (probe, (answer, leaf)) in probes.iter().zip(answers) {
                    let (key, index) = known.range(..=probe.0).next_back().expect("zero is there");
                    let expected = match *key == probe.0 {
                        true => Found::Exact(*index),
                        false => Found::Below(*index),
                    };
                    assert_eq!(answer, expected);
                    let (Found::Exact(index) | Found::Below(index)) = answer;
                    assert_eq!(leaf, self.leaf(index).expect("known"));
                }
            }
        }
    }
}

impl ReadLeaves for Model {
    fn read(&self, index: u64) -> Result<Leaf, TreeError> {
        self.leaf(index)
    }

    fn fetch(&self, _: impl Iterator<Item = u64>) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_like_a_sorted_map(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
            model.check();
        }
    }

    #[test]
    fn upper_bound_counts(mut numbers in prop::collection::vec(any::<u64>(), 0..300), extra in any::<u64>(), near in any::<bool>()) {
        if near {
            numbers.iter_mut().for_each(|number| *number %= 50);
        }
        numbers.sort_unstable();
        for bound in numbers.iter().copied().chain([0, extra, u64::MAX, 25]) {
            let expected = numbers.partition_point(|number| *number <= bound);
            prop_assert_eq!(upper_bound(numbers.len(), |i| numbers[i], bound), expected);
        }
    }
}

#[test]
fn few_runs() {
    let mut model = Model::new();
    for round in 0..200u64 {
        let first = model.keys.len() as u64;
        for index in first..first + 100 {
            let word = crate::hash::hash_bytes(&index.to_be_bytes());
            model.index.insert(&word, index);
            model.keys.push(word.into());
            model.sorted.insert(word.into(), index);
        }
        let merge = model.index.freeze(model.keys.len() as u64);
        let merged = merge.write(&model.store).expect("memory");
        model.index.merged(merged);
        assert!(model.index.layers.len() <= 5, "{} runs", model.index.layers.len());
        if round % 60 == 0 {
            model.check();
        }
    }
    model.check();
    assert!(model.index.recent.len() == 0);
}

#[test]
fn damage_of_a_run_is_named() {
    let mut model = Model::new();
    model.insert(&(0..2000).map(|seed| seed * 31).collect::<Vec<_>>());
    model.merge(&[], None, false);
    let (records, count) = (model.index.records(), model.keys.len() as u64);
    let name = run::run_name(records[0].number);
    let file = model.store.open_file(&name).expect("memory");
    let size = file.size().expect("memory");
    let open = || KeyIndex::open(&model.store, &records, count, 9, 4096);
    for position in (0..size).step_by(37) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).expect("memory");
        file.write_all_at(&[byte[0] ^ 1], position).expect("memory");
        match open().and_then(|index| index.digest()) {
            Err(TreeError::Damaged(damage)) => {
                assert_eq!((&damage.file, damage.cause), (&name, DamageCause::Checksum));
                let unit = if position / 1024 < records[0].entries.div_ceil(63) { 1024 } else { 1 };
                assert!(
                    damage.offset <= position && (unit == 1 || position < damage.offset + 1024)
                );
            }
            other => panic!("byte {position}: {:?}", other.map(drop)),
        }
        file.write_all_at(&byte, position).expect("memory");
    }
    open().and_then(|index| index.digest()).expect("whole again");
    file.set_size(size - 1).expect("memory");
    assert!(matches!(open(), Err(TreeError::Damaged(_))));
}
