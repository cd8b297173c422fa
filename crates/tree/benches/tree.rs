//! Speed, memory and writes of a tree on disk, in blocks of 20,000 written keys of which 4,000 are
//! new.
//!
//! Lets one tree grow through some sizes and prints at each what hundreds of blocks cost in the long
//! run, checkpoints included: keys per second, processor time per key (what the work costs also on
//! a busy machine), bytes written, memory. At the second size criterion also measures single
//! operations. Sizes in millions of leaves come from `ZKOS_TREE_BENCH_MILLIONS` (default `1,4,16`),
//! megabytes of cache from `ZKOS_TREE_BENCH_CACHE` (default: that of the node), the directory from
//! `TMPDIR`.
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
/// Enough for some checkpoints.
const BLOCKS: u64 = 400;

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
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let written = Arc::<AtomicU64>::default();
        let inner = FsStore::open(dir.path()).expect("a directory");
        let store = Counting { inner, written: written.clone() };
        let tree = MerkleTree::open_with(store, options()).expect("an empty directory opens");
        Self { tree, keys: 0, values: 1 << 40, written, dir }
    }

    fn grow(&mut self, size: u64) {
        let (started, cpu, first) = (Instant::now(), cpu_time(), self.keys);
        while self.keys < size {
            let entries = self.inserts(100_000.min(size - self.keys));
            self.extend(&entries);
            self.forget();
        }
        self.tree.checkpoint().expect("the disk has room");
        let keys = (self.keys - first).max(1) as f64;
        println!(
            "grown to {:.1}M leaves: {:.0} new keys/s, {:.0} ns of processor time per key",
            self.keys as f64 / 1e6,
            keys / started.elapsed().as_secs_f64(),
            (cpu_time() - cpu).as_nanos() as f64 / keys,
        );
    }

    /// Keeps the history of ten versions.
    fn forget(&mut self) {
        let latest = self.tree.latest_version().expect("there are versions");
        self.tree.retain_from(latest.saturating_sub(10)).expect("known");
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

    /// Runs many blocks, the last checkpoint included, and prints what a key costs.
    fn report(&mut self) {
        let before = (self.tree.times(), self.written.load(Ordering::Relaxed));
        let mut cpu = Duration::ZERO;
        let (mut total, mut slowest) = (Duration::ZERO, Duration::ZERO);
        for block in 1..=BLOCKS {
            let entries = self.block();
            let (started, cpu_before) = (Instant::now(), cpu_time());
            let elapsed = self.extend(&entries);
            self.forget();
            slowest = slowest.max(elapsed);
            if block == BLOCKS {
                self.tree.checkpoint().expect("the disk has room");
            }
            total += started.elapsed();
            cpu += cpu_time() - cpu_before;
        }
        let keys = (BLOCKS * KEYS) as f64;
        let per_key = |after: Duration, before: Duration| (after - before).as_nanos() as f64 / keys;
        let after = self.tree.times();
        let TreeTimes { locate, change, hash, log, checkpoint, wait, checkpoints } = before.0;
        println!(
            "{:.1}M leaves: {:.0} keys/s persisted, {:.0} ns of processor time per key (two processors: {:.0} keys/s)",
            self.keys as f64 / 1e6,
            keys / total.as_secs_f64(),
            per_key(cpu, Duration::ZERO),
            2e9 / per_key(cpu, Duration::ZERO),
        );
        println!(
            "    {:.0} ns per key = locate {:.0} + change {:.0} + hash {:.0} + log {:.0} + checkpoint {:.0} (the last one is waited for) + wait {:.0}; {} checkpoints; slowest block {slowest:.0?}",
            per_key(total, Duration::ZERO),
            per_key(after.locate, locate),
            per_key(after.change, change),
            per_key(after.hash, hash),
            per_key(after.log, log),
            per_key(after.checkpoint, checkpoint),
            per_key(after.wait, wait),
            after.checkpoints - checkpoints,
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
        println!("    {} MB of files", directory_bytes(dir.path()) >> 20);
        let started = Instant::now();
        let store = FsStore::open(dir.path()).expect("a directory");
        let tree = MerkleTree::open_with(store, options()).expect("own files");
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

/// Processor time of this process, ended threads included, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name of the program, which may hold anything: fields 14 and 15 of the line.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn directory_bytes(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("own directory").flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn options() -> TreeOptions {
    let mut options = TreeOptions::default();
    if let Ok(megabytes) = std::env::var("ZKOS_TREE_BENCH_CACHE") {
        options.cache_bytes = megabytes.parse::<usize>().expect("a number") << 20;
    }
    options
}

fn sizes() -> Vec<u64> {
    let list = std::env::var("ZKOS_TREE_BENCH_MILLIONS").unwrap_or_else(|_| "1,4,16".to_owned());
    list.split(',').map(|size| size.trim().parse::<u64>().expect("a number") * 1_000_000).collect()
}

fn benches(criterion: &mut Criterion) {
    let (left, right) = (word(1), word(2));
    criterion
        .bench_function("one_node", |bencher| bencher.iter(|| hash_node(black_box(&left), &right)));
    let mut chain = Chain::new();
    for (at, size) in sizes().into_iter().enumerate() {
        chain.grow(size);
        chain.report();
        if at == 1 {
            single(criterion, &mut chain);
        }
    }
    chain.reopen();
}

/// Single operations on a tree of some size.
fn single(criterion: &mut Criterion, chain: &mut Chain) {
    let mut group = criterion.benchmark_group(format!("{}M_leaves", chain.keys / 1_000_000));
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
        bencher.iter(|| proof.verify(Some(previous), &[], black_box(&entries)).expect("own proof"));
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
}

criterion_group!(tree, benches);
criterion_main!(tree);
