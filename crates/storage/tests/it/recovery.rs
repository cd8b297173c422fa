//! Crashes, deleted databases, foreign databases.

use crate::helpers::*;
use std::path::Path;
use zkos_storage::{BlockchainProvider, Storage, StorageError, StorageOptions, verify};
use zkos_storage_api::{
    BlockNumReader, BlockWriter, ExecutedBlock, ProviderError, ReplayRecordReader,
    StateProviderFactory, StorageHeads,
};

/// What the engine does at start: execute again what the derived databases lack. The state that a block is executed on is checked before it is appended.
fn replay(provider: &BlockchainProvider, heads: StorageHeads, blocks: &[ExecutedBlock]) {
    let from = heads.wal.min(heads.state).min(heads.repository) + 1;
    for number in from..=heads.wal {
        let block = &blocks[number as usize - 1];
        assert_eq!(provider.replay_record(number).unwrap().unwrap(), block.record);
        let state = provider.pending().unwrap();
        assert_eq!(state.block_number(), number - 1);
        assert_eq!(state.storage(CONTRACT, slot(0)).unwrap(), slot(number - 1));
        assert_eq!(state.storage(CONTRACT, slot(number)).unwrap(), slot(0));
        if number > 1 {
            assert_eq!(state.nonce(sender(number - 1)).unwrap(), number);
        }
        provider.append(block.clone()).unwrap();
        provider.set_canonical_head(number).unwrap();
    }
    provider.flush().unwrap();
}

fn check_all(provider: &BlockchainProvider, blocks: &[ExecutedBlock]) {
    let last = blocks.len() as u64;
    assert_eq!(provider.best_block_number().unwrap(), last);
    assert_eq!(provider.heads(), StorageHeads { wal: last, state: last, repository: last });
    for block in blocks {
        let state = provider.history_by_block_number(block.number()).unwrap();
        assert_eq!(state.storage(CONTRACT, slot(0)).unwrap(), slot(block.number()));
        assert_eq!(state.nonce(sender(block.number())).unwrap(), block.number() + 1);
    }
}

fn filled(path: &Path, count: u64) -> Vec<ExecutedBlock> {
    let blocks = chain(&spec(), count);
    let (provider, _) = open(path);
    commit(&provider, &blocks);
    provider.shutdown().unwrap();
    blocks
}

#[test]
fn crash_after_the_log_is_refilled_by_replay() {
    let dir = tempdir();
    let gate = Gate::new();
    let blocks = chain(&spec(), 10);
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    commit(&provider, &blocks[..4]);
    provider.flush().unwrap();
    gate.set_derived(Pass::Wait);
    commit(&provider, &blocks[4..]);
    // The directory as a kill leaves it now.
    let crashed = tempdir();
    copy_dir(dir.path(), crashed.path());
    gate.set_derived(Pass::Fail(std::io::ErrorKind::Other));
    provider.abandon();
    drop(provider);

    for path in [dir.path(), crashed.path()] {
        let (provider, heads) = open(path);
        assert_eq!(heads, StorageHeads { wal: 10, state: 4, repository: 4 });
        assert_eq!(provider.best_block_number().unwrap(), 4);
        replay(&provider, heads, &blocks);
        check_all(&provider, &blocks);
        // Production goes on.
        let more = chain(&spec(), 12);
        commit(&provider, &more[10..]);
        drop(provider);
        assert_eq!(open(path).1, StorageHeads { wal: 12, state: 12, repository: 12 });
    }
}

/// The rows of the crash matrix between the log and the last of the derived databases: a flush writes them one after the other, and a kill comes in between.
#[test]
fn crash_between_any_two_databases_is_refilled_and_compared() {
    let order = ["preimages", "state", "repository"];
    for (written, stuck) in order.iter().enumerate() {
        let dir = tempdir();
        let gate = Gate::new();
        let blocks = chain(&spec(), 10);
        let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
        commit(&provider, &blocks[..4]);
        provider.flush().unwrap();
        gate.set(stuck, Pass::Wait);
        commit(&provider, &blocks[4..]);
        let expected = StorageHeads {
            wal: 10,
            // Blocks are flushed in groups; the databases before the stuck one have at least the first of them.
            state: if written > 1 { 5 } else { 4 },
            repository: 4,
        };
        wait_until("the databases before it to be written", || {
            provider.heads().state >= expected.state
        });
        let crashed = tempdir();
        copy_dir(dir.path(), crashed.path());
        gate.set(stuck, Pass::Fail(std::io::ErrorKind::Other));
        provider.abandon();
        drop(provider);
        for path in [dir.path(), crashed.path()] {
            let (provider, heads) = open(path);
            assert_eq!(
                (heads.wal, heads.repository),
                (expected.wal, expected.repository),
                "{stuck}"
            );
            if written > 1 {
                assert!(heads.state >= expected.state, "{stuck}: {heads:?}");
            } else {
                assert_eq!(heads.state, expected.state, "{stuck}");
            }
            // What a database has already is compared with what comes again.
            for block in &blocks[heads.state.min(heads.repository) as usize..] {
                provider.append(block.clone()).unwrap();
                provider.set_canonical_head(block.number()).unwrap();
            }
            provider.flush().unwrap();
            check_all(&provider, &blocks);
            provider.shutdown().unwrap();
            drop(provider);
            let report = verify(path, &mut |_| {}).unwrap();
            assert!(report.is_sound(), "{stuck}: {:#?}", report.problems);
        }
    }
}

#[test]
fn replay_with_another_result_is_refused() {
    let dir = tempdir();
    filled(dir.path(), 3);
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let (provider, _) = open(dir.path());
    let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
    let mut other = contents(1);
    other.storage[0].2 = slot(42);
    assert!(matches!(
        provider.append(builder.next_block(other)),
        Err(ProviderError::Mismatch { number: 1, .. })
    ));
    // Nothing of it is visible.
    assert_eq!(provider.pending().unwrap().storage(CONTRACT, slot(0)).unwrap(), slot(0));
}

#[test]
fn every_combination_of_deleted_databases_is_refilled() {
    let full = tempdir();
    let blocks = filled(full.path(), 25);
    let derived = ["state", "preimages", "repository"];
    for mask in 1u8..8 {
        let dir = tempdir();
        copy_dir(full.path(), dir.path());
        let deleted: Vec<_> =
            derived.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).collect();
        for (_, name) in &deleted {
            std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        }
        let (provider, heads) = open(dir.path());
        assert_eq!(heads.wal, 25);
        assert_eq!(heads.state, if mask & 3 != 0 { 0 } else { 25 }, "{deleted:?}");
        assert_eq!(heads.repository, if mask & 4 != 0 { 0 } else { 25 }, "{deleted:?}");
        replay(&provider, heads, &blocks);
        check_all(&provider, &blocks);
        drop(provider);
        let (provider, _) = open(dir.path());
        check_all(&provider, &blocks);
    }
}

#[test]
fn a_lost_log_is_written_again_and_compared_with_the_rest() {
    let dir = tempdir();
    let blocks = filled(dir.path(), 6);
    std::fs::remove_dir_all(dir.path().join("block_replay_wal")).unwrap();
    let (provider, heads) = open(dir.path());
    assert_eq!(heads, StorageHeads { wal: 0, state: 6, repository: 6 });
    assert_eq!(provider.best_block_number().unwrap(), 0);
    assert!(provider.history_by_block_number(3).is_err());
    commit(&provider, &blocks);
    provider.flush().unwrap();
    check_all(&provider, &blocks);
    drop(provider);

    std::fs::remove_dir_all(dir.path().join("block_replay_wal")).unwrap();
    std::fs::remove_dir_all(dir.path().join("repository")).unwrap();
    let (provider, _) = open(dir.path());
    let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
    let mut other = contents(1);
    other.storage[0].2 = slot(42);
    provider.append(builder.next_block(other)).unwrap();
    match provider.flush() {
        Err(ProviderError::WriterStopped(reason)) => {
            assert!(reason.contains("state") && reason.contains("block 1"), "{reason}");
        }
        result => panic!("a state that differs went unnoticed: {result:?}"),
    }
}

#[test]
fn foreign_databases_are_refused() {
    let dir = tempdir();
    filled(dir.path(), 1);
    for other in [spec_of(271, "0x6001"), spec_of(270, "0x6002")] {
        match Storage::open(dir.path(), &other, StorageOptions::small()) {
            Err(StorageError::ForeignChain { found_chain: 270, chain, .. }) => {
                assert_eq!(chain, other.chain_id());
            }
            other => panic!("a foreign database was opened: {other:?}"),
        }
    }
    // One database of another chain among the right ones.
    let second = tempdir();
    drop(Storage::open(second.path(), &spec_of(271, "0x6001"), StorageOptions::small()).unwrap());
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    copy_dir(&second.path().join("state"), &dir.path().join("state"));
    match Storage::open(dir.path(), &spec(), StorageOptions::small()) {
        Err(StorageError::ForeignChain { database, found_chain, .. }) => {
            assert_eq!((database, found_chain), ("state", 271));
        }
        other => panic!("a foreign database was opened: {other:?}"),
    }
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    match Storage::open(dir.path(), &spec(), StorageOptions::small()) {
        Err(error @ StorageError::Locked { .. }) => {
            let message = error.to_string();
            assert!(message.contains(&std::process::id().to_string()), "{message}");
        }
        other => panic!("opened twice: {other:?}"),
    }
    drop(provider);
    open(dir.path());
}
