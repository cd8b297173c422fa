//! Disks that refuse, lag or lie.

use crate::helpers::*;
use std::{io::ErrorKind, sync::mpsc, time::Duration};
use zkos_storage::{Storage, StorageError, StorageOptions};
use zkos_storage_api::{BlockNumReader, BlockWriter, ProviderError, StateProviderFactory};

#[test]
fn a_full_disk_stops_the_writer() {
    let dir = tempdir();
    let gate = Gate::new();
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    let blocks = chain(&spec(), 5);
    commit(&provider, &blocks[..2]);
    let mut durable = provider.durable_block();
    durable.mark_unchanged();
    gate.set("block_replay_wal", Pass::Fail(ErrorKind::StorageFull));
    provider.append(blocks[2].clone()).unwrap();
    // The sender goes away, and with it the promise of durability.
    wait_until("the watch to close", || durable.has_changed().is_err());
    assert_eq!(*durable.borrow(), 2);
    wait_until("append to fail", || {
        matches!(provider.append(blocks[3].clone()), Err(ProviderError::WriterStopped(_)))
    });
    match provider.append(blocks[4].clone()) {
        Err(ProviderError::WriterStopped(reason)) => {
            assert!(reason.contains("block_replay_wal"), "{reason}");
        }
        other => panic!("a block was taken after the log had failed: {other:?}"),
    }
    assert!(provider.set_canonical_head(3).is_err());
    assert!(provider.flush().is_err());
    assert!(provider.shutdown().is_err());
    // Readers go on.
    assert_eq!(provider.best_block_number().unwrap(), 2);
    drop(provider);
    assert_eq!(open(dir.path()).1.wal, 2);
}

#[test]
fn a_failing_derived_database_stops_the_writer() {
    for database in ["preimages", "state", "repository"] {
        let dir = tempdir();
        let gate = Gate::new();
        let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
        let blocks = chain(&spec(), 3);
        commit(&provider, &blocks[..1]);
        provider.flush().unwrap();
        gate.set(database, Pass::Fail(ErrorKind::Other));
        provider.append(blocks[1].clone()).unwrap();
        match provider.flush() {
            Err(ProviderError::WriterStopped(reason)) => {
                assert!(reason.contains(database), "{reason}");
            }
            other => panic!("{database}: {other:?}"),
        }
        // The block that could not be flushed is readable all the same.
        assert_eq!(provider.pending().unwrap().storage(CONTRACT, slot(0)).unwrap(), slot(2));
        assert!(matches!(provider.append(blocks[2].clone()), Err(ProviderError::WriterStopped(_))));
    }
}

#[test]
fn append_waits_for_a_disk_that_lags() {
    for database in ["block_replay_wal", "repository"] {
        let dir = tempdir();
        let gate = Gate::new();
        let options =
            StorageOptions { max_undurable_blocks: 3, max_unflushed_blocks: 3, ..gate.options() };
        let (provider, _) = Storage::open(dir.path(), &spec(), options).unwrap();
        gate.set(database, Pass::Wait);
        let blocks = chain(&spec(), 10);
        let (sender, receiver) = mpsc::channel();
        let writer = {
            let (provider, blocks) = (provider.clone(), blocks.clone());
            std::thread::spawn(move || {
                for block in blocks {
                    let number = block.number();
                    provider.append(block).unwrap();
                    sender.send(number).unwrap();
                }
            })
        };
        let deadline = Duration::from_secs(30);
        for expected in 1..=3 {
            assert_eq!(receiver.recv_timeout(deadline).unwrap(), expected);
        }
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err(), "{database}");
        gate.set(database, Pass::Open);
        for expected in 4..=10 {
            assert_eq!(receiver.recv_timeout(deadline).unwrap(), expected);
        }
        writer.join().unwrap();
        provider.flush().unwrap();
        assert_eq!(provider.heads().repository, 10);
    }
}

#[test]
fn a_group_holds_what_queued_up() {
    let dir = tempdir();
    let gate = Gate::new();
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    let blocks = chain(&spec(), 20);
    gate.set("block_replay_wal", Pass::Wait);
    for block in &blocks {
        provider.append(block.clone()).unwrap();
    }
    let mut durable = provider.durable_block();
    assert_eq!(*durable.borrow_and_update(), 0);
    gate.set("block_replay_wal", Pass::Open);
    let mut steps = 0;
    while *durable.borrow_and_update() < 20 {
        steps += 1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let changed = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), durable.changed()).await
        });
        changed.unwrap().unwrap();
    }
    assert!(steps <= 3, "20 queued blocks became durable in {steps} steps");
}

#[test]
fn flipped_bytes_of_the_log_are_detected() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    let blocks = chain(&spec(), 8);
    commit(&provider, &blocks);
    provider.shutdown().unwrap();
    drop(provider);
    // The engine moves its journal into tables when a database is opened again.
    drop(open(dir.path()));
    let tables = wal_files(dir.path(), "sst");
    assert!(!tables.is_empty());

    let mut detected = 0;
    for table in tables {
        let bytes = std::fs::read(&table).unwrap();
        for position in (0..bytes.len()).step_by(bytes.len() / 3 + 1) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            std::fs::write(&table, &damaged).unwrap();
            if !reads_back(dir.path(), &blocks) {
                detected += 1;
            }
        }
        std::fs::write(&table, &bytes).unwrap();
    }
    assert!(detected > 0, "no flip was ever noticed");
    assert!(reads_back(dir.path(), &blocks));
}

/// True when all records come back as they were, false when an error was reported. Anything else is wrong data served.
fn reads_back(path: &std::path::Path, blocks: &[zkos_storage_api::ExecutedBlock]) -> bool {
    use zkos_storage_api::ReplayRecordReader;
    let provider = match Storage::open(path, &spec(), StorageOptions::small()) {
        Ok((provider, _)) => provider,
        Err(StorageError::Provider(error)) => {
            let message = error.to_string();
            assert!(message.contains("block_replay_wal"), "{message}");
            return false;
        }
        Err(other) => panic!("unexpected error {other}"),
    };
    for block in blocks {
        match provider.replay_record(block.number()) {
            Ok(Some(record)) => assert_eq!(record, block.record, "wrong data was served"),
            Ok(None) => panic!("a durable record has vanished without error"),
            Err(error) => {
                assert!(error.to_string().contains("block_replay_wal"), "{error}");
                return false;
            }
        }
    }
    true
}
