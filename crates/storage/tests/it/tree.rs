//! The tree in its directory.

use crate::helpers::*;
use alloy_primitives::{B256, U256, keccak256};
use std::sync::Arc;
use zkos_storage::{Storage, StorageError, StorageOptions, TREE_DATABASE};
use zkos_tree::{FsStore, InMemoryStore, MerkleTree, TreeVersion};

/// Twenty writes, five of them to keys that every version writes.
fn entries(version: u64) -> Vec<(B256, B256)> {
    (0..20)
        .map(|n| {
            let key = if n < 5 { n } else { version * 100 + n };
            (keccak256(key.to_be_bytes()), B256::from(U256::from(version + n)))
        })
        .collect()
}

#[test]
fn equals_a_tree_in_memory_through_all_operations() {
    let dir = tempdir();
    let mut reference = MerkleTree::open(InMemoryStore::new()).unwrap();
    {
        let (provider, _) = open(dir.path());
        let mut stored = MerkleTree::open(provider.tree_store()).unwrap();
        for version in 0..100 {
            let written = entries(version);
            let root = stored.extend(version, &written).unwrap();
            assert_eq!(root, reference.extend(version, &written).unwrap());
            if version % 30 == 20 {
                stored.checkpoint().unwrap();
            }
        }
        for tree in [90, 3] {
            stored.retain_from(99 - tree).unwrap();
            reference.retain_from(99 - tree).unwrap();
        }
        stored.truncate(97).unwrap();
        reference.truncate(97).unwrap();
    }
    let (provider, _) = open(dir.path());
    let mut reopened = MerkleTree::open(provider.tree_store()).unwrap();
    reopened.verify().unwrap();
    assert_eq!(reopened.latest_version(), Some(97));
    for version in 96..=97 {
        assert_eq!(
            reopened.view(version).unwrap().output(),
            reference.view(version).unwrap().output()
        );
    }
    reopened.extend(98, &entries(98)).unwrap();
}

#[test]
fn copies_of_a_tree_at_work() {
    let (dir, copies) = (tempdir(), tempdir());
    let (provider, _) = open(dir.path());
    let store = provider.tree_store();
    assert_eq!(store.copy_to(&copies.path().join("empty"), &mut |_| {}).unwrap(), None);
    let mut tree = MerkleTree::open(store.clone()).unwrap();
    let open_copy =
        |name: &str| MerkleTree::open(FsStore::open(copies.path().join(name)).unwrap()).unwrap();
    assert_eq!(open_copy("empty").latest(), None);
    for version in 0..20 {
        let output = tree.extend(version, &entries(version)).unwrap();
        if version % 7 == 3 {
            tree.checkpoint().unwrap();
        }
        if version % 3 == 0 {
            let name = version.to_string();
            let copied = store.copy_to(&copies.path().join(&name), &mut |_| {}).unwrap();
            assert_eq!(copied, Some(TreeVersion { version, output }));
            let copy = open_copy(&name);
            assert_eq!((copy.latest_version(), copy.latest()), (Some(version), Some(output)));
            copy.verify().unwrap();
            assert_eq!(copy.view(0).unwrap().output(), tree.view(0).unwrap().output());
        }
    }

    // And while another thread goes on.
    let tree = Arc::new(parking_lot::Mutex::new(tree));
    let writer = {
        let tree = tree.clone();
        std::thread::spawn(move || {
            for version in 20..120 {
                let mut tree = tree.lock();
                tree.extend(version, &entries(version)).unwrap();
                if version % 40 == 0 {
                    tree.checkpoint().unwrap();
                }
            }
        })
    };
    let mut count = 0;
    while !writer.is_finished() && count < 30 {
        let name = format!("busy-{count}");
        let copied = store.copy_to(&copies.path().join(&name), &mut |_| {}).unwrap().unwrap();
        let copy = open_copy(&name);
        assert_eq!(
            (copy.latest_version(), copy.latest()),
            (Some(copied.version), Some(copied.output))
        );
        copy.verify().unwrap();
        count += 1;
    }
    writer.join().unwrap();
    assert_eq!(tree.lock().latest_version(), Some(119));
}

#[test]
fn belongs_to_its_chain() {
    let dir = tempdir();
    drop(open(dir.path()));
    for database in ["block_replay_wal", "state", "preimages", "repository"] {
        std::fs::remove_dir_all(dir.path().join(database)).unwrap();
    }
    match Storage::open(dir.path(), &spec_of(271, "0x6001"), StorageOptions::small()) {
        Err(StorageError::ForeignChain { database, .. }) => assert_eq!(database, TREE_DATABASE),
        other => panic!("a foreign tree was opened: {other:?}"),
    }
}

#[test]
fn files_without_marker_are_refused() {
    let dir = tempdir();
    {
        let (provider, _) = open(dir.path());
        MerkleTree::open(provider.tree_store()).unwrap().extend(0, &entries(0)).unwrap();
    }
    let chain = dir.path().join(TREE_DATABASE).join("chain");
    let marker = std::fs::read(&chain).unwrap();
    let refused = || Storage::open(dir.path(), &spec(), StorageOptions::small()).unwrap_err();
    std::fs::remove_file(&chain).unwrap();
    assert!(matches!(refused(), StorageError::Unmarked { database: TREE_DATABASE, .. }));
    std::fs::write(&chain, &marker[..10]).unwrap();
    assert!(matches!(refused(), StorageError::Unmarked { database: TREE_DATABASE, .. }));
    let mut newer = marker.clone();
    newer[3] += 1;
    std::fs::write(&chain, newer).unwrap();
    assert!(matches!(refused(), StorageError::NewerFormat { database: TREE_DATABASE, .. }));
    std::fs::write(&chain, marker).unwrap();
    let (provider, _) = open(dir.path());
    assert_eq!(MerkleTree::open(provider.tree_store()).unwrap().latest_version(), Some(0));
}
