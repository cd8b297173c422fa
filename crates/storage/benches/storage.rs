//! Reads of state, flushes, the log, and the opening of a long chain.
//!
//! `ZKOS_BENCH_BLOCKS` (default 100,000) is the length of the long chain, `ZKOS_BENCH_DIR` the place of the databases (default: the directory for temporary files).

#![allow(missing_docs)]

use alloy_primitives::{Address, B256, U256};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    cell::Cell,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use zkos_primitives::{AccountProperties, Genesis, ZkChainSpec};
use zkos_storage::{BlockchainProvider, Storage, StorageOptions, StorageStats};
use zkos_storage_api::{
    BlockWriter, ExecutedBlock, StateProviderFactory,
    test_utils::{ChainBuilder, TestBlock, test_transfer},
};

const CONTRACT: Address = Address::repeat_byte(0xc0);
/// Transfers in a full block.
const TRANSFERS: u64 = 1_000;
/// Slots of the state whose reads are measured.
const SLOTS: u64 = 200_000;

fn spec() -> ZkChainSpec {
    let json = format!(r#"{{"initial_contracts":[["{CONTRACT}","0x6001"]]}}"#);
    ZkChainSpec::new(270, Genesis::from_json(&json).unwrap()).unwrap()
}

fn slot(n: u64) -> B256 {
    B256::from(U256::from(n))
}

fn account(n: u64) -> Address {
    Address::left_padding_from(&(0x10_0000 + n).to_be_bytes())
}

fn temp() -> TempDir {
    match std::env::var_os("ZKOS_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

fn open(path: &Path, options: StorageOptions) -> BlockchainProvider {
    Storage::open(path, &spec(), options).unwrap().0
}

/// Every account sends once: as many account records are written as there are transfers.
fn transfers(builder: &mut ChainBuilder, round: u64, count: u64) -> ExecutedBlock {
    builder.next_block(TestBlock {
        transactions: (0..count).map(|n| test_transfer(account(n), round)).collect(),
        accounts: (0..count)
            .map(|n| {
                let balance = U256::from(1_000_000_000_000u64 - round * 21_000 - n);
                (account(n), AccountProperties::new_eoa(round + 1, balance))
            })
            .collect(),
        ..Default::default()
    })
}

fn wait_durable(provider: &BlockchainProvider, number: u64) {
    let durable = provider.durable_block();
    while *durable.borrow() < number {
        std::thread::yield_now();
    }
}

fn append(provider: &BlockchainProvider, block: ExecutedBlock) {
    let number = block.number();
    provider.append(block).unwrap();
    wait_durable(provider, number);
    provider.set_canonical_head(number).unwrap();
}

fn state_reads(c: &mut Criterion) {
    let dir = temp();
    let mut builder = ChainBuilder::new(&spec());
    let provider = open(dir.path(), StorageOptions::default());
    for chunk in 0..SLOTS / 10_000 {
        let storage =
            (0..10_000).map(|n| (CONTRACT, slot(chunk * 10_000 + n), slot(n + 1))).collect();
        append(&provider, builder.next_block(TestBlock { storage, ..Default::default() }));
    }
    provider.flush().unwrap();
    let mut group = c.benchmark_group("state_read");
    group.throughput(Throughput::Elements(1));
    let next = Cell::new(0u64);
    // A stride without a common divisor with the number of slots: every slot, in no order.
    let any_slot = || {
        next.set((next.get() + 7_919 * 13) % SLOTS);
        slot(next.get())
    };
    // Never flushed: the log is not synced as long as nobody waits, and the flush follows the log.
    let pending = {
        let storage = (0..10_000).map(|n| (CONTRACT, slot(n), slot(n + 2))).collect();
        builder.next_block(TestBlock { storage, ..Default::default() })
    };
    group.bench_function("cache", |b| {
        let state = provider.latest().unwrap();
        b.iter(|| state.storage(CONTRACT, any_slot()).unwrap());
    });
    drop(provider);
    let uncached = StorageOptions { state_cache_slots: 0, ..StorageOptions::default() };
    let provider = open(dir.path(), uncached);
    group.bench_function("disk", |b| {
        let state = provider.latest().unwrap();
        b.iter(|| state.storage(CONTRACT, any_slot()).unwrap());
    });
    drop(provider);
    let hook: zkos_storage::WriteHook = std::sync::Arc::new(|database, _| {
        // Flushes never come through, so that the block stays in the overlay.
        while database == "preimages" && HOLD.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let held = StorageOptions { write_hook: Some(hook), ..StorageOptions::default() };
    let provider = open(dir.path(), held);
    HOLD.store(true, std::sync::atomic::Ordering::SeqCst);
    append(&provider, pending);
    group.bench_function("overlay", |b| {
        let state = provider.latest().unwrap();
        b.iter(|| state.storage(CONTRACT, slot(next.replace((next.get() + 7_919) % 10_000))));
    });
    HOLD.store(false, std::sync::atomic::Ordering::SeqCst);
    provider.shutdown().unwrap();
    group.finish();
}

static HOLD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn long_chain(c: &mut Criterion) {
    let blocks: u64 =
        std::env::var("ZKOS_BENCH_BLOCKS").ok().map_or(100_000, |text| text.parse().unwrap());
    let dir = temp();
    let start = Instant::now();
    let provider = open(dir.path(), StorageOptions::default());
    let mut builder = ChainBuilder::new(&spec());
    for number in 1..=blocks {
        let sender = account(number % 1_000);
        provider
            .append(builder.next_block(TestBlock {
                transactions: vec![test_transfer(sender, number)],
                storage: vec![
                    (CONTRACT, slot(0), slot(number)),
                    (CONTRACT, slot(number), slot(number)),
                ],
                accounts: vec![(sender, AccountProperties::new_eoa(number, U256::from(number)))],
                ..Default::default()
            }))
            .unwrap();
        if number % 64 == 0 || number == blocks {
            wait_durable(&provider, number);
            provider.set_canonical_head(number).unwrap();
        }
    }
    provider.flush().unwrap();
    let elapsed = start.elapsed();
    println!(
        "long chain: {blocks} blocks of one transfer written in {elapsed:.2?}, {:.0} blocks/s",
        blocks as f64 / elapsed.as_secs_f64()
    );
    let mut group = c.benchmark_group("archive_read");
    group.throughput(Throughput::Elements(1));
    for depth in [1, 1_000, blocks - 1] {
        // A slot that every block wrote: the deepest history there is.
        group.bench_function(format!("depth_{depth}"), |b| {
            let state = provider.history_by_block_number(blocks - depth).unwrap();
            b.iter(|| black_box(state.storage(CONTRACT, slot(0)).unwrap()));
        });
        group.bench_function(format!("depth_{depth}_any_slot"), |b| {
            let state = provider.history_by_block_number(blocks - depth).unwrap();
            let mut n = 0;
            b.iter(|| {
                n = (n + 7_919) % blocks;
                black_box(state.storage(CONTRACT, slot(n + 1)).unwrap())
            });
        });
    }
    group.finish();
    // As a kill leaves it: everything in the journals has to be read at the next start.
    provider.abandon();
    drop(provider);
    for what in ["after a kill", "after an orderly stop"] {
        let start = Instant::now();
        let provider = open(dir.path(), StorageOptions::default());
        println!("open {blocks} blocks {what}: {:.2?}", start.elapsed());
        provider.shutdown().unwrap();
    }
    let start = Instant::now();
    let report = zkos_storage::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    println!("verify {blocks} blocks: {:.2?}", start.elapsed());
}

fn flush(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Elements(TRANSFERS)).sample_size(40);
    let dir = temp();
    let provider = open(dir.path(), StorageOptions::default());
    let mut builder = ChainBuilder::new(&spec());
    let mut round = 0;
    group.bench_function("append_to_flushed", |b| {
        b.iter_batched(
            || {
                round += 1;
                transfers(&mut builder, round, TRANSFERS)
            },
            |block| {
                append(&provider, block);
                provider.flush().unwrap();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Not through criterion: distributions and totals.
fn totals(_: &mut Criterion) {
    for (name, count, per_block) in
        [("small blocks", 3_000u64, 1u64), ("full blocks", 300, TRANSFERS)]
    {
        let dir = temp();
        let provider = open(dir.path(), StorageOptions::default());
        let mut builder = ChainBuilder::new(&spec());
        let blocks: Vec<_> =
            (1..=count).map(|round| transfers(&mut builder, round, per_block)).collect();
        let half = count as usize / 2;
        // One by one: the latency from append to durable.
        let mut latencies: Vec<Duration> = blocks[..half]
            .iter()
            .map(|block| {
                let start = Instant::now();
                provider.append(block.clone()).unwrap();
                wait_durable(&provider, block.number());
                let elapsed = start.elapsed();
                provider.set_canonical_head(block.number()).unwrap();
                elapsed
            })
            .collect();
        latencies.sort();
        provider.flush().unwrap();
        // All at once: what the log and the flush keep up with.
        let start = Instant::now();
        for block in &blocks[half..] {
            provider.append(block.clone()).unwrap();
        }
        wait_durable(&provider, count);
        let logged = start.elapsed();
        provider.set_canonical_head(count).unwrap();
        provider.flush().unwrap();
        let flushed = start.elapsed();
        provider.shutdown().unwrap();
        drop(provider);
        let rest = count - half as u64;
        println!(
            "{name} ({per_block} transfers): durable p50 {:.2?} p99 {:.2?}; log {:.0} blocks/s; log and flush {:.0} blocks/s, {:.0} transfers/s",
            percentile(&latencies, 50),
            percentile(&latencies, 99),
            rest as f64 / logged.as_secs_f64(),
            rest as f64 / flushed.as_secs_f64(),
            (rest * per_block) as f64 / flushed.as_secs_f64(),
        );
        // Into tables: opened and closed, journals are gone.
        open(dir.path(), StorageOptions::default()).shutdown().unwrap();
        let stats = StorageStats::read(dir.path()).unwrap();
        let transfers = (count * per_block) as f64;
        for database in &stats.databases {
            let columns: Vec<String> = database
                .columns
                .iter()
                .filter(|column| column.estimated_keys > 0)
                .map(|column| {
                    let bytes = column.table_bytes + column.memory_bytes;
                    format!("{} {:.1}", column.name, bytes as f64 / transfers)
                })
                .collect();
            println!(
                "{name}: {} {:.1} bytes per transfer ({})",
                database.name,
                database.table_bytes() as f64 / transfers,
                columns.join(", ")
            );
        }
        println!(
            "{name}: log written {:.2} MB/s while logging at full speed",
            stats.databases[0].table_bytes() as f64 / count as f64 * rest as f64
                / logged.as_secs_f64()
                / 1e6
        );
    }
}

criterion_group!(benches, state_reads, flush, totals, long_chain);
criterion_main!(benches);
