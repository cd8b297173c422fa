//! Tests of the tree as its users see it.
#![allow(missing_docs)]

mod chain;
mod crashes;
mod naive;
mod properties;
mod reference;
mod vectors;
mod versions;

use alloy_primitives::B256;
use blake2::{Blake2s256, Digest};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{path::PathBuf, sync::Arc};
use zkos_tree::{InMemoryStore, MerkleTree};

type Tree = MerkleTree<Arc<InMemoryStore>>;

/// What reading a tree in memory is expected to be.
const WHOLE: &str = "nothing is damaged";

/// An empty tree.
fn new_tree() -> Tree {
    MerkleTree::open(Arc::new(InMemoryStore::new())).expect("an empty store opens")
}

/// The same tree, loaded from its store.
fn reopened(tree: &Tree) -> Tree {
    MerkleTree::open(tree.store().clone()).expect("a store written by the tree opens")
}

/// The hash of the tree, by another implementation than the one that the tree uses.
fn blake2s(bytes: impl AsRef<[u8]>) -> B256 {
    B256::new(Blake2s256::digest(bytes).into())
}

/// A part of a vector file.
fn take<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// A file of the official vectors, or `None` (said aloud) where they are not at hand.
fn vector_file(name: &str) -> Option<Vec<u8>> {
    let dir = std::env::var_os("ZKOS_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    if !dir.is_dir() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "no vectors at {}", dir.display());
        eprintln!("skipped: no vectors at {}", dir.display());
        return None;
    }
    let path = dir.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn vectors<T: DeserializeOwned>(name: &str) -> Option<T> {
    vector_file(name).map(|bytes| {
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
    })
}
