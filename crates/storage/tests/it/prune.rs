//! Old state that is not kept.

use crate::helpers::*;
use std::path::Path;
use zkos_storage::{BlockchainProvider, Storage, StorageOptions, verify};
use zkos_storage_api::{
    BlockWriter, ExecutedBlock, ForkChoiceWriter, ProviderError, StateProviderFactory,
};

fn pruning(keep: u64) -> StorageOptions {
    StorageOptions { state_history_blocks: Some(keep), ..StorageOptions::small() }
}

fn first_kept(provider: &BlockchainProvider) -> u64 {
    match provider.history_by_block_number(u64::MAX) {
        Err(ProviderError::StateNotAvailable { first, .. }) => first,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

fn check(provider: &BlockchainProvider, from: u64, last: u64) {
    for number in from..=last {
        let state = provider.history_by_block_number(number).unwrap();
        assert_eq!(state.storage(CONTRACT, slot(0)).unwrap(), slot(number), "block {number}");
        for own in 1..=last {
            let expected = if own <= number { slot(own * 7) } else { slot(0) };
            assert_eq!(state.storage(CONTRACT, slot(own)).unwrap(), expected);
        }
    }
    if let Some(gone) = from.checked_sub(1) {
        assert!(matches!(
            provider.history_by_block_number(gone),
            Err(ProviderError::StateNotAvailable { first, .. }) if first == from
        ));
    }
}

fn values(path: &Path) -> u64 {
    let report = verify(path, &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:#?}", report.problems);
    report.counts.iter().find(|(name, _)| *name == "state values").unwrap().1
}

/// Values that the kept blocks can see: two of genesis, all own slots, and of the keys that are written again what `first` sees and what came later.
fn expected_values(blocks: &[ExecutedBlock], first: u64) -> u64 {
    let mut versions: std::collections::BTreeMap<_, Vec<u64>> = Default::default();
    for (key, _) in &spec().genesis_state().entries {
        versions.entry(*key).or_default().push(0);
    }
    for block in blocks {
        for write in &block.output.storage_writes {
            versions.entry(write.key).or_default().push(block.number());
        }
    }
    versions
        .values()
        .map(|blocks| {
            let old = blocks.iter().filter(|block| **block <= first).count();
            (blocks.len() - old.saturating_sub(1)) as u64
        })
        .sum()
}

#[test]
fn old_state_goes_and_kept_state_stays_right() {
    let dir = tempdir();
    let blocks = chain(&spec(), 200);
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(20)).unwrap();
    commit(&provider, &blocks[..100]);
    provider.flush().unwrap();
    // Nothing is final: nothing is pruned.
    assert_eq!(first_kept(&provider), 0);
    provider.set_finalized_block(50);
    wait_until("pruning to the finalized block", || first_kept(&provider) == 50);
    check(&provider, 50, 100);
    provider.set_finalized_block(100);
    wait_until("pruning to the kept blocks", || first_kept(&provider) == 80);
    // Reads go on while blocks are written and pruned.
    let reader = {
        let provider = provider.clone();
        std::thread::spawn(move || {
            let mut reads = 0;
            loop {
                let first = first_kept(&provider);
                if first >= 150 {
                    return reads;
                }
                for number in first..first + 30 {
                    match provider.history_by_block_number(number) {
                        Ok(state) => match state.storage(CONTRACT, slot(0)) {
                            Ok(value) => assert_eq!(value, slot(number), "block {number}"),
                            Err(ProviderError::StateNotAvailable { .. }) => {}
                            Err(error) => panic!("{error}"),
                        },
                        Err(ProviderError::StateNotAvailable { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    reads += 1;
                }
            }
        })
    };
    for block in &blocks[100..] {
        commit(&provider, std::slice::from_ref(block));
        provider.set_finalized_block(block.number());
    }
    provider.flush().unwrap();
    wait_until("pruning to the end", || first_kept(&provider) == 180);
    assert!(reader.join().unwrap() > 0);
    check(&provider, 180, 200);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(values(dir.path()), expected_values(&blocks, 180));
    let (provider, _) = open(dir.path());
    check(&provider, 180, 200);
}

#[test]
fn pruning_can_be_switched_on_and_off_later() {
    let dir = tempdir();
    let blocks = chain(&spec(), 90);
    let (provider, _) = open(dir.path());
    commit(&provider, &blocks[..40]);
    drop(provider);

    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(10)).unwrap();
    provider.set_finalized_block(1000);
    wait_until("the first pass", || first_kept(&provider) == 30);
    commit(&provider, &blocks[40..45]);
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 35);
    check(&provider, 35, 45);
    commit(&provider, &blocks[45..60]);
    provider.flush().unwrap();
    wait_until("pruning by lists", || first_kept(&provider) == 50);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(values(dir.path()), expected_values(&blocks[..60], 50));

    // Off: everything from here on is kept.
    let (provider, _) = open(dir.path());
    commit(&provider, &blocks[60..75]);
    drop(provider);
    assert_eq!(values(dir.path()), expected_values(&blocks[..75], 50));
    // On again: the blocks in between have no lists.
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
    provider.set_finalized_block(1000);
    commit(&provider, &blocks[75..]);
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 85);
    check(&provider, 85, 90);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(values(dir.path()), expected_values(&blocks, 85));
}

#[test]
fn pruned_state_is_built_anew_when_blocks_below_are_needed() {
    let dir = tempdir();
    let blocks = chain(&spec(), 30);
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
    provider.set_finalized_block(30);
    commit(&provider, &blocks);
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 25);
    provider.shutdown().unwrap();
    drop(provider);
    std::fs::remove_dir_all(dir.path().join("repository")).unwrap();
    let (provider, heads) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
    // Block 1 is executed on the state of block 0.
    assert_eq!((heads.wal, heads.state, heads.repository), (30, 0, 0));
    for block in &blocks {
        assert_eq!(
            provider.pending().unwrap().storage(CONTRACT, slot(0)).unwrap(),
            slot(block.number() - 1)
        );
        provider.append(block.clone()).unwrap();
    }
    provider.flush().unwrap();
    check(&provider, 0, 30);
}
