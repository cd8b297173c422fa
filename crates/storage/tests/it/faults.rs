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

/// Where the child of the test below works.
const CHILD_DIR: &str = "ZKOS_STORAGE_FULL_DISK_DIR";
/// Largest file that it may write, in blocks of 1024 bytes: reached within a few hundred blocks of the chain.
const CHILD_FILE_LIMIT: u32 = 192;

/// A real refusal of the operating system instead of one of the seam: files of the child cannot grow beyond a limit.
#[test]
fn a_limit_of_the_system_loses_nothing_that_was_durable() {
    let dir = tempdir();
    let script = format!(r#"trap '' XFSZ; ulimit -f {CHILD_FILE_LIMIT}; exec "$0" "$@""#);
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::child_that_fills_the_disk", "--ignored", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let durable: u64 = text
        .split("durable=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("{text}"))
        .parse()
        .unwrap();
    assert!(durable > 0);
    // With room again everything is there, and the chain goes on.
    let blocks = chain(&spec(), durable + 20);
    let (provider, heads) = open(dir.path());
    assert!(heads.wal >= durable, "{heads:?}, durable {durable}");
    let from = heads.state.min(heads.repository) as usize;
    commit(&provider, &blocks[from..]);
    provider.shutdown().unwrap();
    drop(provider);
    let report = zkos_storage::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{:#?}", report.problems);
}

/// Appends until the disk refuses.
#[test]
#[ignore = "run by a_limit_of_the_system_loses_nothing_that_was_durable"]
fn child_that_fills_the_disk() {
    let dir = std::env::var_os(CHILD_DIR).expect("started by the test above");
    let (provider, _) = Storage::open(dir.as_ref(), &spec(), StorageOptions::small()).unwrap();
    let durable = provider.durable_block();
    let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
    for number in 1..100_000 {
        match provider.append(builder.next_block(contents(number))) {
            Ok(()) => {}
            Err(ProviderError::WriterStopped(reason)) => {
                assert!(reason.to_lowercase().contains("file too large"), "{reason}");
                println!("durable={} ", *durable.borrow());
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk was never full");
}

#[test]
fn a_failed_sync_is_not_called_durable() {
    let dir = tempdir();
    let gate = Gate::new();
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    let blocks = chain(&spec(), 4);
    commit(&provider, &blocks[..2]);
    gate.set("block_replay_wal", Pass::FailSync(ErrorKind::Other));
    provider.append(blocks[2].clone()).unwrap();
    wait_until("append to fail", || provider.append(blocks[3].clone()).is_err());
    assert_eq!(*provider.durable_block().borrow(), 2);
    assert!(provider.set_canonical_head(3).is_err());
    provider.abandon();
    drop(provider);
    // Blocks that were written before the failure was noticed may be there all the same; then they are taken, and compared when they come again.
    let (provider, heads) = open(dir.path());
    assert!((3..=4).contains(&heads.wal), "{heads:?}");
    commit(&provider, &blocks[heads.state as usize..]);
    provider.flush().unwrap();
    assert_eq!(provider.heads().wal, 4);
}

#[test]
fn directories_that_cannot_be_written_are_named() {
    let dir = tempdir();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Below a file, and where nobody may write.
    for path in [file.join("db"), "/sys/zkos-test".into()] {
        match Storage::open(&path, &spec(), StorageOptions::small()) {
            Err(error @ StorageError::Io { .. }) => {
                let message = error.to_string();
                assert!(message.contains("cannot create"), "{message}");
                assert!(message.contains(&path.display().to_string()), "{message}");
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    // A lock file that is a directory.
    let dir = tempdir();
    std::fs::create_dir(dir.path().join(zkos_storage::LOCK_FILE)).unwrap();
    match Storage::open(dir.path(), &spec(), StorageOptions::small()) {
        Err(StorageError::Io { action: "open", path, .. }) => {
            assert!(path.ends_with(zkos_storage::LOCK_FILE));
        }
        other => panic!("{other:?}"),
    }
}
