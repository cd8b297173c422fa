//! Checks, deletion and copies of databases.

use crate::helpers::*;
use std::path::Path;
use zkos_storage::{
    CHECKPOINT_FILE, CheckpointManifest, DERIVED_DATABASES, Storage, StorageError, StorageOptions,
    TREE_DATABASE, VerifyReport, WAL_DATABASE, checkpoint_offline, rebuild, restore, verify,
};
use zkos_storage_api::{BlockWriter, ExecutedBlock, ReplayRecordReader, StorageHeads};
use zkos_tree::MerkleTree;

fn filled(path: &Path, count: u64) -> Vec<ExecutedBlock> {
    let blocks = chain(&spec(), count);
    let (provider, _) = open(path);
    commit(&provider, &blocks);
    extend_tree(&provider, &blocks);
    provider.shutdown().unwrap();
    blocks
}

fn extend_tree(provider: &zkos_storage::BlockchainProvider, blocks: &[ExecutedBlock]) {
    let mut tree = MerkleTree::open(provider.tree_store()).unwrap();
    if tree.latest_version().is_none() {
        tree.extend(0, &spec().genesis_state().entries).unwrap();
    }
    for block in blocks {
        let writes: Vec<_> =
            block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
        tree.extend(block.number(), &writes).unwrap();
    }
}

fn report(path: &Path) -> VerifyReport {
    verify(path, &mut |_| {}).unwrap()
}

fn assert_sound(report: &VerifyReport) {
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(report.skipped, [""; 0]);
}

#[test]
fn sound_databases_are_found_sound() {
    let dir = tempdir();
    filled(dir.path(), 12);
    let report = report(dir.path());
    assert_sound(&report);
    assert_eq!(report.wal_block, Some(12));
    assert_eq!(
        (report.state_block, report.preimages_block, report.repository_block),
        (Some(12), Some(12), Some(12))
    );
    let tree = report.tree.unwrap();
    assert_eq!(tree.version, 12);
    let count = |name: &str| report.counts.iter().find(|(found, _)| *found == name).unwrap().1;
    assert_eq!((count("blocks"), count("transactions"), count("tx_meta")), (13, 12, 12));
    // Genesis: the contract's account and one raw slot. Blocks: one slot each, the shared slot, three senders.
    assert_eq!(count("state keys"), 2 + 12 + 1 + 3);
    assert_eq!(count("leaves"), count("state keys") + 2);
}

#[test]
fn a_running_node_can_be_checked_but_for_its_tree() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    commit(&provider, &chain(&spec(), 5));
    provider.flush().unwrap();
    let report = report(dir.path());
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(report.wal_block, Some(5));
    let pid = std::process::id().to_string();
    assert_eq!(report.skipped, [format!("tree: process {pid} has it open")]);
    let nothing = tempdir();
    assert!(matches!(
        verify(nothing.path(), &mut |_| {}),
        Err(StorageError::Missing { database: WAL_DATABASE, .. })
    ));
}

#[test]
fn databases_that_contradict_each_other_are_found() {
    // State and repository of a chain that differs in one value from block 3 on.
    let other = tempdir();
    let (provider, _) = open(other.path());
    let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
    for number in 1..=6 {
        let mut contents = contents(number);
        if number == 3 {
            contents.storage[1].2 = slot(4242);
            contents.transactions.clear();
        }
        let block = builder.next_block(contents);
        commit(&provider, std::slice::from_ref(&block));
    }
    provider.shutdown().unwrap();
    drop(provider);

    for (database, expected) in [("repository", "block 3: "), ("state", "in the tree and")] {
        let dir = tempdir();
        filled(dir.path(), 6);
        std::fs::remove_dir_all(dir.path().join(database)).unwrap();
        copy_dir(&other.path().join(database), &dir.path().join(database));
        let report = report(dir.path());
        assert!(!report.is_sound());
        let told = format!("{:?}", report.problems);
        assert!(told.contains(expected), "{database}: {told}");
    }
}

#[test]
fn deleted_databases_are_refilled_to_the_same_content() {
    let dir = tempdir();
    let blocks = filled(dir.path(), 9);
    let before = report(dir.path());
    assert_eq!(rebuild(dir.path(), &DERIVED_DATABASES).unwrap(), 9);
    for name in DERIVED_DATABASES {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    let (provider, heads) = open(dir.path());
    assert_eq!(heads, StorageHeads { wal: 9, state: 0, repository: 0 });
    for block in &blocks {
        provider.append(block.clone()).unwrap();
    }
    provider.flush().unwrap();
    extend_tree(&provider, &blocks);
    assert!(matches!(rebuild(dir.path(), &["state"]), Err(StorageError::Locked { .. })));
    provider.shutdown().unwrap();
    drop(provider);
    let after = report(dir.path());
    assert_sound(&after);
    assert_eq!((after.digests, after.tree), (before.digests, before.tree));
}

#[test]
fn what_cannot_be_refilled_is_not_deleted() {
    let dir = tempdir();
    filled(dir.path(), 3);
    for name in [WAL_DATABASE, "shared", ".."] {
        assert!(matches!(
            rebuild(dir.path(), &["state", name]),
            Err(StorageError::NotDerived { .. })
        ));
    }
    std::fs::remove_dir_all(dir.path().join(WAL_DATABASE)).unwrap();
    assert!(matches!(
        rebuild(dir.path(), &["state"]),
        Err(StorageError::Missing { database: WAL_DATABASE, .. })
    ));
    assert!(dir.path().join("state").exists());
}

#[test]
fn a_checkpoint_of_a_running_node_is_whole() {
    let dir = tempdir();
    let copies = tempdir();
    let (provider, _) = open(dir.path());
    let blocks = chain(&spec(), 60);
    extend_tree(&provider, &blocks[..20]);
    // Copies are made while blocks are appended.
    let writer = {
        let (provider, blocks) = (provider.clone(), blocks.clone());
        std::thread::spawn(move || commit(&provider, &blocks))
    };
    // A tree is never ahead of the log.
    wait_durable(&provider, 20);
    let mut manifests = Vec::new();
    while !writer.is_finished() || manifests.len() < 2 {
        let to = copies.path().join(manifests.len().to_string());
        manifests.push(provider.checkpoint(&to, &mut |_| {}).unwrap());
    }
    writer.join().unwrap();
    assert!(matches!(
        provider.checkpoint(&copies.path().join("0"), &mut |_| {}),
        Err(StorageError::Checkpoint { .. })
    ));
    provider.shutdown().unwrap();
    drop(provider);

    for (index, manifest) in manifests.iter().enumerate() {
        let checkpoint = copies.path().join(index.to_string());
        assert_eq!(CheckpointManifest::read(&checkpoint).unwrap(), *manifest);
        let target = tempdir();
        let restored = target.path().join("db");
        assert_eq!(restore(&checkpoint, &restored, false, &mut |_| {}).unwrap(), *manifest);
        let report = report(&restored);
        assert!(report.is_sound(), "{:#?}", report.problems);
        assert_eq!(report.wal_block, Some(manifest.block));
        assert_eq!(report.tree.unwrap().version, 20);
        assert_eq!(manifest.tree, report.tree);
        if manifest.block > 0 {
            assert_eq!(manifest.block_hash, blocks[manifest.block as usize - 1].hash());
        }
        // The chain goes on from it.
        let (provider, heads) = open(&restored);
        assert_eq!(heads.wal, manifest.block);
        let tip = heads.wal.min(heads.state).min(heads.repository) as usize;
        commit(&provider, &blocks[tip..]);
        provider.shutdown().unwrap();
        assert_eq!(provider.replay_record(60).unwrap().unwrap(), blocks[59].record);
    }
}

#[test]
fn checkpoints_of_a_stopped_node_replace_databases_only_when_told() {
    let dir = tempdir();
    filled(dir.path(), 4);
    let copies = tempdir();
    let checkpoint = copies.path().join("a");
    let manifest = checkpoint_offline(dir.path(), &checkpoint, &mut |_| {}).unwrap();
    assert_eq!((manifest.block, manifest.state_block), (4, Some(4)));
    assert_eq!(manifest.tree.unwrap().version, 4);

    let (provider, _) = open(dir.path());
    assert!(matches!(
        checkpoint_offline(dir.path(), &copies.path().join("b"), &mut |_| {}),
        Err(StorageError::Locked { .. })
    ));
    assert!(matches!(
        restore(&checkpoint, dir.path(), true, &mut |_| {}),
        Err(StorageError::Locked { .. })
    ));
    let more = chain(&spec(), 7);
    commit(&provider, &more[4..]);
    drop(provider);
    match restore(&checkpoint, dir.path(), false, &mut |_| {}) {
        Err(error @ StorageError::Checkpoint { .. }) => {
            assert!(error.to_string().contains("state"), "{error}");
        }
        other => panic!("databases were replaced without a word: {other:?}"),
    }
    assert_eq!(open(dir.path()).1.wal, 7);
    restore(&checkpoint, dir.path(), true, &mut |_| {}).unwrap();
    assert_sound(&report(dir.path()));
    assert_eq!(open(dir.path()).1, StorageHeads { wal: 4, state: 4, repository: 4 });
    // The copy has not changed: it can be restored again.
    restore(&checkpoint, &copies.path().join("again"), false, &mut |_| {}).unwrap();
}

#[test]
fn damaged_checkpoints_are_refused_and_change_nothing() {
    let dir = tempdir();
    filled(dir.path(), 3);
    let copies = tempdir();
    let checkpoint = copies.path().join("a");
    let manifest = checkpoint_offline(dir.path(), &checkpoint, &mut |_| {}).unwrap();
    filled_more(dir.path());
    for file in &manifest.files {
        let path = checkpoint.join(&file.path);
        let good = std::fs::read(&path).unwrap();
        if good.is_empty() {
            continue;
        }
        let mut damaged = good.clone();
        damaged[good.len() / 2] ^= 1;
        // Tables are links: the file is replaced, not written to.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, damaged).unwrap();
        match restore(&checkpoint, dir.path(), true, &mut |_| {}) {
            Err(error @ StorageError::Checkpoint { .. }) => {
                assert!(error.to_string().contains(&file.path), "{error}");
            }
            other => panic!("{}: {other:?}", file.path),
        }
        std::fs::write(&path, good).unwrap();
    }
    assert_eq!(open(dir.path()).1.wal, 5);

    let text = std::fs::read_to_string(checkpoint.join(CHECKPOINT_FILE)).unwrap();
    for (from, to, expected) in [
        ("\"format\": 1", "\"format\": 2", "format 2"),
        ("{", "[", "malformed"),
        ("state/CURRENT", "../CURRENT", "../CURRENT"),
    ] {
        std::fs::write(checkpoint.join(CHECKPOINT_FILE), text.replacen(from, to, 1)).unwrap();
        let error = restore(&checkpoint, dir.path(), true, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(checkpoint.join(CHECKPOINT_FILE), &text).unwrap();
    restore(&checkpoint, dir.path(), true, &mut |_| {}).unwrap();
    assert_eq!(open(dir.path()).1.wal, 3);
}

fn filled_more(path: &Path) {
    let (provider, _) = open(path);
    commit(&provider, &chain(&spec(), 5)[3..]);
}

#[test]
fn an_interrupted_restore_is_not_opened() {
    let dir = tempdir();
    filled(dir.path(), 2);
    let copies = tempdir();
    let checkpoint = copies.path().join("a");
    checkpoint_offline(dir.path(), &checkpoint, &mut |_| {}).unwrap();
    // As a crash leaves it after the old databases are gone.
    std::fs::create_dir(dir.path().join("restoring")).unwrap();
    std::fs::remove_dir_all(dir.path().join(TREE_DATABASE)).unwrap();
    match Storage::open(dir.path(), &spec(), StorageOptions::small()) {
        Err(error @ StorageError::Checkpoint { .. }) => {
            assert!(error.to_string().contains("interrupted"), "{error}");
        }
        other => panic!("half a restore was opened: {other:?}"),
    }
    restore(&checkpoint, dir.path(), false, &mut |_| {}).unwrap();
    assert_sound(&report(dir.path()));
}
