//! Speed, memory and writes of a tree on disk, in blocks of 20,000 written keys of which 4,000 are
//! new.
//!
//! Prints, for trees of growing size, what a hundred blocks cost in the long run, checkpoints
//! included; then lets criterion measure single operations. Sizes in millions of leaves come from
//! `ZKOS_TREE_BENCH_MILLIONS` (default `1,4,16`), the directory from `TMPDIR`.
#![allow(missing_docs)]

use alloy_primitives::B256;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use zkos_tree::{
    BatchProof, FsStore, MerkleTree, TreeFile, TreeOptions, TreeStore, TreeTimes, hash_node,
};

type Entries = Vec<(B256, B256)>;

const UPDATES: u64 = 16_000;
const INSERTS: u64 = 4_000;
const KEYS: u64 = UPDATES + INSERTS;
const BLOCKS: u64 = 100;

/// A directory that counts the bytes written.
#[derive(Debug)]
struct Counting {
    inner: FsStore,
    written: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile {
    inner: Box<dyn TreeFile>,
    written: Arc<AtomicU64>,
}

impl TreeStore for Counting {
    fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>> {
        let inner = self.inner.open_file(name)?;
        Ok(Box::new(CountingFile { inner, written: self.written.clone() }))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.inner.remove_file(name)
    }

    fn files(&self) -> io::Result<Vec<String>> {
        self.inner.files()
    }

    fn sync(&self) -> io::Result<()> {
        TreeStore::sync(&self.inner)
    }
}

impl TreeFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.inner.write_all_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.inner.set_size(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Uniform words without the cost of a hash.
fn word(seed: u64) -> B256 {
    let mut word = B256::ZERO;
    for (part, n) in word.chunks_exact_mut(8).zip(0..) {
        part.copy_from_slice(&mix(4 * seed + n).to_be_bytes());
    }
    word
}

/// A tree that grows block by block. Keys are made from their number, so that the tree is all that
/// takes memory.
struct Chain {
    tree: MerkleTree<Counting>,
    keys: u64,
    values: u64,
    written: Arc<AtomicU64>,
    dir: tempfile::TempDir,
}

impl Chain {
    fn new(size: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let written = Arc::<AtomicU64>::default();
        let inner = FsStore::open(dir.path()).expect("a directory");
        let store = Counting { inner, written: written.clone() };
        let tree = MerkleTree::open(store).expect("an empty directory opens");
        let mut chain = Self { tree, keys: 0, values: 1 << 40, written, dir };
        while chain.keys < size {
            let entries = chain.inserts(200_000.min(size - chain.keys));
            chain.extend(&entries);
        }
        chain.tree.checkpoint().expect("the disk has room");
        chain
    }

    fn value(&mut self) -> B256 {
        self.values += 1;
        word(self.values)
    }

    fn inserts(&mut self, count: u64) -> Entries {
        self.keys += count;
        (self.keys - count..self.keys).map(|key| (word(key), self.value())).collect()
    }

    fn block(&mut self) -> Entries {
        let old = self.keys;
        let mut entries = self.inserts(INSERTS);
        // A stride keeps updated keys distinct; their leaves are all over the tree.
        let (start, stride) = (mix(self.values) % old, old / UPDATES);
        for i in 0..UPDATES {
            let key = word((start + i * stride + mix(i ^ self.values) % stride) % old);
            entries.push((key, self.value()));
        }
        entries
    }

    fn extend(&mut self, entries: &[(B256, B256)]) -> Duration {
        let next = self.tree.latest_version().map_or(0, |latest| latest + 1);
        let started = Instant::now();
        self.tree.extend(next, entries).expect("valid entries");
        started.elapsed()
    }

    /// Runs many blocks, keeps the history of ten, and prints what a key costs.
    fn report(&mut self) {
        let before = (self.tree.times(), self.written.load(Ordering::Relaxed));
        let mut cpu = Duration::ZERO;
        let (mut total, mut slowest) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..BLOCKS {
            let entries = self.block();
            let started = cpu_time();
            let elapsed = self.extend(&entries);
            cpu += cpu_time() - started;
            total += elapsed;
            slowest = slowest.max(elapsed);
            let latest = self.tree.latest_version().expect("just added");
            self.tree.retain_from(latest.saturating_sub(10)).expect("known");
        }
        let keys = (BLOCKS * KEYS) as f64;
        let per_key = |after: Duration, before: Duration| (after - before).as_nanos() as f64 / keys;
        let after = self.tree.times();
        let TreeTimes { locate, change, hash, log, checkpoint } = before.0;
        println!(
            "{:.1}M leaves: {:.0} keys/s; per key {:.0} ns = locate {:.0} + change {:.0} + hash {:.0} + log {:.0} + checkpoint {:.0}; slowest block {slowest:.0?}; CPU time of all threads {:.0} ns per key",
            self.keys as f64 / 1e6,
            keys / total.as_secs_f64(),
            total.as_nanos() as f64 / keys,
            per_key(after.locate, locate),
            per_key(after.change, change),
            per_key(after.hash, hash),
            per_key(after.log, log),
            per_key(after.checkpoint, checkpoint),
            per_key(cpu, Duration::ZERO),
        );
        let usage = self.tree.usage();
        println!(
            "    {:.0} bytes written per key; memory {} MB resident, of it pages {} MB, key index {} MB",
            (self.written.load(Ordering::Relaxed) - before.1) as f64 / keys,
            resident_bytes() >> 20,
            usage.cached_pages_bytes >> 20,
            usage.key_index_bytes >> 20,
        );
    }

    /// Closes and opens the tree, and prints how long that takes.
    fn reopen(self) {
        let Self { tree, dir, .. } = self;
        let latest = tree.latest();
        let log = tree.usage().log_bytes;
        drop(tree);
        let started = Instant::now();
        let store = FsStore::open(dir.path()).expect("a directory");
        let tree = MerkleTree::open_with(store, TreeOptions::default()).expect("own files");
        let opened = started.elapsed();
        assert_eq!(tree.latest(), latest);
        let started = Instant::now();
        tree.verify().expect("own files");
        println!(
            "    opened in {opened:.2?} with {} MB of log to redo; verified in {:.2?}",
            log >> 20,
            started.elapsed()
        );
    }
}

/// Processor time of this process, which is what the work costs also on a busy machine.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn sizes() -> Vec<u64> {
    let list = std::env::var("ZKOS_TREE_BENCH_MILLIONS").unwrap_or_else(|_| "1,4,16".to_owned());
    list.split(',').map(|size| size.trim().parse::<u64>().expect("a number") * 1_000_000).collect()
}

fn benches(criterion: &mut Criterion) {
    let (left, right) = (word(1), word(2));
    criterion
        .bench_function("one_node", |bencher| bencher.iter(|| hash_node(black_box(&left), &right)));
    for size in sizes() {
        let mut chain = Chain::new(size);
        chain.report();

        let mut group = criterion.benchmark_group(format!("{}M_leaves", size / 1_000_000));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(2));
        group.throughput(Throughput::Elements(KEYS));
        group.bench_function("extend", |bencher| {
            bencher.iter_custom(|blocks| {
                let extend = |_| {
                    let entries = chain.block();
                    chain.extend(&entries)
                };
                (0..blocks).map(extend).sum()
            });
        });

        let previous = chain.tree.latest().expect("genesis is there");
        let latest = chain.tree.latest_version().expect("genesis is there");
        let entries = chain.block();
        let writes: Vec<B256> = entries.iter().map(|(key, _)| *key).collect();
        let prove = |tree: &MerkleTree<Counting>| {
            tree.prove_batch(latest, &[], &writes).expect("history is kept")
        };
        let proof = prove(&chain.tree);
        group.bench_function("prove_block", |bencher| bencher.iter(|| prove(&chain.tree)));
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
            bencher.iter(|| prove(&chain.tree));
        });

        let view = chain.tree.view(latest + 1).expect("latest");
        group.throughput(Throughput::Elements(100));
        group.bench_function("prove_keys", |bencher| {
            bencher.iter(|| {
                let keys = writes[..100].iter();
                keys.map(|key| view.prove(key).expect("own files")).collect::<Vec<_>>()
            });
        });
        group.finish();
        chain.reopen();
    }
}

criterion_group!(tree, benches);
criterion_main!(tree);
