//! The tree on its database.

use crate::helpers::*;
use alloy_primitives::{B256, U256, keccak256};
use std::sync::Arc;
use zkos_storage::{Storage, StorageError, StorageOptions};
use zkos_tree::{InMemoryStore, MerkleTree, TreeStore};

/// Twenty writes, five of them to keys that every version writes.
fn entries(version: u64) -> Vec<(B256, B256)> {
    (0..20)
        .map(|n| {
            let key = if n < 5 { n } else { version * 100 + n };
            (keccak256(key.to_be_bytes()), B256::from(U256::from(version + n)))
        })
        .collect()
}

fn assert_same(stored: &impl TreeStore, memory: &impl TreeStore, versions: u64) {
    assert_eq!(stored.manifest().unwrap(), memory.manifest().unwrap());
    assert_eq!(stored.leaves().unwrap(), memory.leaves().unwrap());
    for version in 0..=versions {
        assert_eq!(
            stored.version_record(version).unwrap(),
            memory.version_record(version).unwrap()
        );
        assert_eq!(stored.undo_record(version).unwrap(), memory.undo_record(version).unwrap());
    }
}

#[test]
fn equals_the_store_in_memory_through_all_operations() {
    let dir = tempdir();
    let memory = Arc::new(InMemoryStore::new());
    {
        let (provider, _) = open(dir.path());
        assert!(provider.tree_store().manifest().unwrap().is_none());
        let mut stored = MerkleTree::open(provider.tree_store()).unwrap();
        let mut reference = MerkleTree::open(memory.clone()).unwrap();
        for version in 0..100 {
            let written = entries(version);
            let root = stored.extend(version, &written).unwrap();
            assert_eq!(root, reference.extend(version, &written).unwrap());
        }
        for tree in [90, 3] {
            stored.retain_from(99 - tree).unwrap();
            reference.retain_from(99 - tree).unwrap();
        }
        stored.truncate(97).unwrap();
        reference.truncate(97).unwrap();
        assert_same(&provider.tree_store(), &memory, 100);
    }
    let (provider, _) = open(dir.path());
    assert_same(&provider.tree_store(), &memory, 100);
    let mut reopened = MerkleTree::open(provider.tree_store()).unwrap();
    assert_eq!(reopened.latest_version(), Some(97));
    reopened.extend(98, &entries(98)).unwrap();
}

#[test]
fn belongs_to_its_chain() {
    let dir = tempdir();
    drop(open(dir.path()));
    for database in ["block_replay_wal", "state", "preimages", "repository"] {
        std::fs::remove_dir_all(dir.path().join(database)).unwrap();
    }
    match Storage::open(dir.path(), &spec_of(271, "0x6001"), StorageOptions::small()) {
        Err(StorageError::ForeignChain { database, .. }) => assert_eq!(database, "tree"),
        other => panic!("a foreign tree was opened: {other:?}"),
    }
}
