//! Old state that is not kept.

use crate::helpers::*;
use alloy_primitives::{Address, U256};
use std::path::Path;
use zkos_primitives::AccountProperties;
use zkos_storage::{BlockchainProvider, PruneHold, PruneStatus, Storage, StorageOptions, verify};
use zkos_storage_api::{
    BlockWriter, ExecutedBlock, ForkChoiceWriter, ProviderError, StateProviderFactory,
    test_utils::{ChainBuilder, TestBlock},
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

fn count(path: &Path, what: &str) -> u64 {
    let report = verify(path, &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{:#?}", report.problems);
    report.counts.iter().find(|(name, _)| *name == what).unwrap().1
}

fn values(path: &Path) -> u64 {
    count(path, "state values")
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

/// Changes in every block; dormant since block 1; has the dormant one's record in every other block.
const ACCOUNTS: [Address; 3] =
    [Address::repeat_byte(0xa0), Address::repeat_byte(0xa1), Address::repeat_byte(0xa2)];
const SHARED: u64 = 1_000_000;

fn record(nonce: u64) -> AccountProperties {
    AccountProperties::new_eoa(nonce, U256::from(nonce))
}

/// Records of the accounts after a block.
fn records(number: u64) -> [AccountProperties; 3] {
    [record(number), record(SHARED), record(SHARED + number % 2)]
}

fn accounts_chain(count: u64) -> Vec<ExecutedBlock> {
    let mut builder = ChainBuilder::new(&spec());
    (1..=count)
        .map(|number| {
            let all = ACCOUNTS.into_iter().zip(records(number));
            let accounts = all.filter(|(account, _)| number == 1 || *account != ACCOUNTS[1]);
            builder.next_block(TestBlock {
                accounts: accounts.collect(),
                bytecodes: vec![number.to_be_bytes().repeat(5)],
                ..Default::default()
            })
        })
        .collect()
}

fn check_accounts(provider: &BlockchainProvider, from: u64, last: u64) {
    for number in from..=last {
        let state = provider.history_by_block_number(number).unwrap();
        let found = ACCOUNTS.map(|account| state.account(account).unwrap());
        assert_eq!(found, records(number).map(Some), "block {number}");
    }
}

/// Preimages of genesis, bytecodes of all blocks, and the records that the kept blocks name.
fn expected_preimages(first: u64, last: u64) -> u64 {
    let genesis = spec().genesis_state().preimages.len() as u64;
    genesis + last + (last - first.max(1) + 1) + 2
}

#[test]
fn account_records_go_when_no_kept_block_names_them() {
    let dir = tempdir();
    let blocks = accounts_chain(120);
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(10)).unwrap();
    provider.set_finalized_block(1000);
    for (from, to) in [(0, 40), (40, 41), (41, 90)] {
        commit(&provider, &blocks[from..to]);
        provider.flush().unwrap();
        let (first, last) = (to as u64 - 10, to as u64);
        wait_until("pruning", || first_kept(&provider) == first);
        check_accounts(&provider, first, last);
    }
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(80, 90));

    // Killed and started again.
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(10)).unwrap();
    provider.set_finalized_block(1000);
    commit(&provider, &blocks[90..100]);
    provider.abandon();
    drop(provider);
    let (provider, heads) = Storage::open(dir.path(), &spec(), pruning(10)).unwrap();
    provider.set_finalized_block(1000);
    for block in &blocks[heads.state.min(heads.repository) as usize..] {
        commit(&provider, std::slice::from_ref(block));
    }
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 110);
    check_accounts(&provider, 110, 120);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(110, 120));
}

#[test]
fn state_that_somebody_needs_stays_until_it_is_let_go() {
    let hold = |from| Some(PruneHold { holder: "indexer".to_owned(), from });
    let dir = tempdir();
    let blocks = chain(&spec(), 120);
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(10)).unwrap();
    assert!(provider.prunes_state());
    provider.hold_pruning(hold(None));
    provider.set_finalized_block(1000);
    commit(&provider, &blocks[..100]);
    provider.flush().unwrap();
    let status = provider.prune_status();
    let wait_for = |expected: PruneStatus| {
        wait_until("the status of pruning", || *status.borrow() == expected);
    };
    // Nobody knows yet what the holder needs.
    wait_for(PruneStatus { first: 0, target: 90, held_by: hold(None) });
    check(&provider, 0, 100);
    provider.hold_pruning(hold(Some(30)));
    wait_for(PruneStatus { first: 30, target: 90, held_by: hold(Some(30)) });
    check(&provider, 30, 100);
    // A holder that falls back can't get back what is gone, and holds what is there.
    provider.hold_pruning(hold(Some(20)));
    wait_for(PruneStatus { first: 30, target: 90, held_by: hold(Some(20)) });
    provider.hold_pruning(hold(Some(60)));
    commit(&provider, &blocks[100..]);
    provider.flush().unwrap();
    wait_for(PruneStatus { first: 60, target: 110, held_by: hold(Some(60)) });
    check(&provider, 60, 120);
    // Ahead of what is pruned anyway, it holds nothing back.
    provider.hold_pruning(hold(Some(119)));
    wait_for(PruneStatus { first: 110, target: 110, held_by: None });
    check(&provider, 110, 120);
}

#[test]
fn account_records_from_before_pruning_go_too() {
    let dir = tempdir();
    let blocks = accounts_chain(66);
    let (provider, _) = open(dir.path());
    commit(&provider, &blocks[..50]);
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(1, 50));

    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
    provider.set_finalized_block(1000);
    commit(&provider, &blocks[50..56]);
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 51);
    check_accounts(&provider, 51, 56);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(51, 56));

    // Off: all records stay from here on. On again.
    let (provider, _) = open(dir.path());
    commit(&provider, &blocks[56..59]);
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(51, 59));
    let (provider, _) = Storage::open(dir.path(), &spec(), pruning(2)).unwrap();
    provider.set_finalized_block(1000);
    commit(&provider, &blocks[59..]);
    provider.flush().unwrap();
    wait_until("pruning", || first_kept(&provider) == 64);
    check_accounts(&provider, 64, 66);
    provider.shutdown().unwrap();
    drop(provider);
    assert_eq!(count(dir.path(), "preimages"), expected_preimages(64, 66));
}

#[test]
fn pruned_records_are_built_anew_with_the_state() {
    for deleted in ["state", "preimages", "repository"] {
        let dir = tempdir();
        let blocks = accounts_chain(30);
        let (provider, _) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
        provider.set_finalized_block(1000);
        commit(&provider, &blocks);
        provider.flush().unwrap();
        wait_until("pruning", || first_kept(&provider) == 25);
        provider.shutdown().unwrap();
        drop(provider);
        std::fs::remove_dir_all(dir.path().join(deleted)).unwrap();
        let (provider, heads) = Storage::open(dir.path(), &spec(), pruning(5)).unwrap();
        assert_eq!((heads.wal, heads.state.min(heads.repository)), (30, 0), "{deleted}");
        for block in &blocks {
            let state = provider.pending().unwrap();
            if let Some(before) = block.number().checked_sub(1).filter(|before| *before > 0) {
                let found = ACCOUNTS.map(|account| state.account(account).unwrap());
                assert_eq!(found, records(before).map(Some), "{deleted}: block {before}");
            }
            provider.append(block.clone()).unwrap();
            provider.flush().unwrap();
        }
        check_accounts(&provider, 1, 30);
        provider.shutdown().unwrap();
        drop(provider);
        assert_eq!(count(dir.path(), "preimages"), expected_preimages(1, 30), "{deleted}");
    }
}
