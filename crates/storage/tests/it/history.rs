//! State at any block, against a map.

use crate::helpers::*;
use alloy_primitives::{B256, U256};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};
use zkos_primitives::flat_storage_key;
use zkos_storage::{BlockchainProvider, Storage, StorageOptions};
use zkos_storage_api::{
    BlockWriter, HeaderProvider, ReceiptProvider, ReplayRecordReader, StateProviderFactory,
    TransactionsProvider,
    test_utils::{ChainBuilder, TestBlock},
    try_in_memory,
};

/// Values of a slot by block.
type Model = BTreeMap<u64, Vec<(u64, B256)>>;

fn expected(model: &Model, key: u64, block: u64) -> Option<B256> {
    let values = model.get(&key)?;
    values.iter().rev().find(|(number, _)| *number <= block).map(|(_, value)| *value)
}

fn check(provider: &BlockchainProvider, model: &Model, keys: u64, tip: u64) {
    for number in 0..=tip {
        let state = provider.history_by_block_number(number).unwrap();
        for key in 0..keys {
            let found = state.read(flat_storage_key(CONTRACT, slot(key))).unwrap();
            assert_eq!(found, expected(model, key, number), "key {key} at block {number}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Block(Vec<(u64, u64)>),
    Flush,
    Check,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0u64..8, 0u64..4), 0..6).prop_map(Step::Block),
        2 => Just(Step::Flush),
        2 => Just(Step::Check),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn reads_at_any_block_equal_a_map(steps in prop::collection::vec(step(), 1..30)) {
        let dir = tempdir();
        let mut builder = ChainBuilder::new(&spec());
        let mut model = Model::new();
        let mut tip = 0;
        // Two slots per shard: the cache evicts all the time.
        let options = || StorageOptions { state_cache_slots: 2, ..StorageOptions::small() };
        let mut provider = Storage::open(dir.path(), &spec(), options()).unwrap().0;
        for step in steps {
            match step {
                Step::Block(writes) => {
                    tip += 1;
                    let writes: BTreeMap<u64, u64> = writes.into_iter().collect();
                    for (key, value) in &writes {
                        model.entry(*key).or_default().push((tip, slot(*value)));
                    }
                    let storage = writes.iter().map(|(key, value)| (CONTRACT, slot(*key), slot(*value))).collect();
                    provider.append(builder.next_block(TestBlock { storage, ..Default::default() })).unwrap();
                }
                Step::Flush => provider.flush().unwrap(),
                Step::Check => check(&provider, &model, 8, tip),
                Step::Reopen => {
                    drop(provider);
                    provider = Storage::open(dir.path(), &spec(), options()).unwrap().0;
                }
            }
        }
        check(&provider, &model, 8, tip);
    }
}

/// Readers of fixed blocks stay right while the flush moves the disk state on under them.
#[test]
fn readers_are_not_disturbed_by_flushes() {
    const KEYS: u64 = 16;
    const BLOCKS: u64 = 400;
    let dir = tempdir();
    let options =
        StorageOptions { state_cache_slots: 64, flush_blocks: 3, ..StorageOptions::small() };
    let (provider, _) = Storage::open(dir.path(), &spec(), options).unwrap();
    let mut builder = ChainBuilder::new(&spec());
    // Block n writes value n into the keys that divide it evenly.
    let value_at = |key: u64, block: u64| {
        let step = key + 1;
        (block >= step).then(|| slot(block - block % step))
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|seed| {
                let (provider, done) = (&provider, &done);
                scope.spawn(move || {
                    let mut reads = 0u64;
                    let mut key = seed;
                    while !done.load(Ordering::Relaxed) {
                        let state = provider.pending().unwrap();
                        for _ in 0..50 {
                            key = (key * 7 + 3) % KEYS;
                            let found = state.read(flat_storage_key(CONTRACT, slot(key))).unwrap();
                            assert_eq!(
                                found,
                                value_at(key, state.block_number()),
                                "key {key} at block {}",
                                state.block_number()
                            );
                            reads += 1;
                        }
                    }
                    reads
                })
            })
            .collect();
        for number in 1..=BLOCKS {
            let storage = (0..KEYS)
                .filter(|key| number % (key + 1) == 0)
                .map(|key| (CONTRACT, slot(key), B256::from(U256::from(number))))
                .collect();
            provider
                .append(builder.next_block(TestBlock { storage, ..Default::default() }))
                .unwrap();
        }
        provider.flush().unwrap();
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

/// What a thread gets that may not wait for the disk.
#[test]
fn reads_in_memory_are_whole_or_refused() {
    let dir = tempdir();
    let blocks = chain(&spec(), 40);
    let (provider, _) = open(dir.path());
    commit(&provider, &blocks);
    let balance = |provider: &BlockchainProvider| {
        try_in_memory(|| provider.latest().unwrap().balance(sender(40)))
    };
    let in_memory = balance(&provider).expect("just written").unwrap();
    assert_eq!(in_memory, U256::from(40));
    provider.shutdown().unwrap();
    drop(provider);

    let (provider, _) = open(dir.path());
    let tx = *blocks[4].block.body().transactions[0].hash();
    let receipts = |provider: &BlockchainProvider| {
        try_in_memory(|| provider.receipts_by_block(blocks[4].hash().into()))
    };
    let place = |provider: &BlockchainProvider| {
        try_in_memory(|| provider.transaction_by_hash_with_meta(tx))
    };
    assert!(balance(&provider).is_none(), "nothing was read yet");
    assert!(receipts(&provider).is_none() && place(&provider).is_none());
    assert!(try_in_memory(|| provider.replay_record(5)).is_none());
    // Whoever may wait brings it in, also for those who may not.
    assert_eq!(provider.latest().unwrap().balance(sender(40)).unwrap(), U256::from(40));
    assert!(provider.receipts_by_block(blocks[4].hash().into()).unwrap().is_some());
    assert!(provider.transaction_by_hash_with_meta(tx).unwrap().is_some());
    assert_eq!(balance(&provider).unwrap().unwrap(), U256::from(40));
    assert_eq!(receipts(&provider).unwrap().unwrap().unwrap().len(), 1);
    assert_eq!(place(&provider).unwrap().unwrap().unwrap().1.block_number, 5);
    // Old values take a seek.
    let old = provider.history_by_block_number(3).unwrap();
    assert!(try_in_memory(|| old.balance(sender(3))).is_none());
    assert_eq!(old.balance(sender(3)).unwrap(), U256::from(3));
    for block in &blocks {
        let header = provider.sealed_header(block.number().into()).unwrap().unwrap();
        assert_eq!(header, block.block.clone_sealed_header());
    }
}
