//! Speed of the tree on blocks of 20,000 written keys, of which 4,000 are new.
#![allow(missing_docs)]

use alloy_primitives::B256;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc, time::Duration};
use zkos_tree::{BatchProof, InMemoryStore, MerkleTree};

type Tree = MerkleTree<Arc<InMemoryStore>>;
type Entries = Vec<(B256, B256)>;

const SIZES: [u64; 2] = [100_000, 1_000_000];
const UPDATES: u64 = 16_000;
const INSERTS: u64 = 4_000;

/// Uniform keys and values without the cost of a hash.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn word(&mut self) -> B256 {
        let mut word = B256::ZERO;
        for part in word.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes());
        }
        word
    }
}

/// A tree that grows block by block.
struct Chain {
    tree: Tree,
    keys: Vec<B256>,
    random: Random,
}

impl Chain {
    fn new(size: u64) -> Self {
        let mut random = Random(size);
        let entries: Entries = (0..size).map(|_| (random.word(), random.word())).collect();
        let mut tree = MerkleTree::open(Arc::default()).expect("an empty store opens");
        tree.extend(0, &entries).expect("random keys differ");
        Self { tree, keys: entries.into_iter().map(|(key, _)| key).collect(), random }
    }

    fn block(&mut self) -> Entries {
        let Self { keys, random, .. } = self;
        let old = keys.len() as u64;
        // A stride keeps updated keys distinct; their leaves are all over the tree.
        let (start, stride) = (random.next() % old, old / UPDATES);
        let mut entries = Entries::with_capacity((UPDATES + INSERTS) as usize);
        for i in 0..UPDATES {
            if i % (UPDATES / INSERTS) == 0 {
                let key = random.word();
                keys.push(key);
                entries.push((key, random.word()));
            }
            entries.push((keys[((start + i * stride) % old) as usize], random.word()));
        }
        entries
    }

    fn extend(&mut self, entries: &[(B256, B256)]) -> B256 {
        let next = self.tree.latest_version().expect("genesis is there") + 1;
        self.tree.extend(next, entries).expect("valid entries").root
    }
}

fn benches(criterion: &mut Criterion) {
    for size in SIZES {
        let mut chain = Chain::new(size);
        let mut group = criterion.benchmark_group(format!("{}k_leaves", size / 1000));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(1500));

        group.throughput(Throughput::Elements(UPDATES + INSERTS));
        let shared = std::cell::RefCell::new(&mut chain);
        group.bench_function("extend", |bencher| {
            let block = || shared.borrow_mut().block();
            let extend = |entries: Entries| (shared.borrow_mut().extend(&entries), entries);
            bencher.iter_batched(block, extend, BatchSize::PerIteration);
        });

        let previous = chain.tree.latest().expect("genesis is there");
        let entries = chain.block();
        let writes: Vec<B256> = entries.iter().map(|(key, _)| *key).collect();
        let latest = chain.tree.latest_version().expect("genesis is there");
        let prove = |tree: &Tree, version| {
            tree.prove_batch(version, &[], &writes).expect("history is kept")
        };
        let proof = prove(&chain.tree, latest);
        group.bench_function("prove_block", |bencher| bencher.iter(|| prove(&chain.tree, latest)));
        group.bench_function("verify_block", |bencher| {
            bencher.iter(|| {
                proof.verify(Some(previous), &[], black_box(&entries)).expect("own proof")
            });
        });
        let bytes = proof.encode();
        group.bench_function("decode_block_proof", |bencher| {
            bencher.iter(|| BatchProof::decode(black_box(&bytes)).expect("own encoding"));
        });
        chain.extend(&entries);
        group.bench_function("prove_block_one_version_back", |bencher| {
            bencher.iter(|| prove(&chain.tree, latest));
        });

        let view = chain.tree.view(latest + 1).expect("latest");
        group.throughput(Throughput::Elements(100));
        group.bench_function("prove_keys", |bencher| {
            bencher.iter(|| writes[..100].iter().map(|key| view.prove(key)).collect::<Vec<_>>());
        });

        group.throughput(Throughput::Elements(view.leaf_count()));
        group.bench_function("open", |bencher| {
            bencher.iter(|| MerkleTree::open(chain.tree.store().clone()).expect("own store"));
        });
        group.finish();
    }
}

criterion_group!(tree, benches);
criterion_main!(tree);
