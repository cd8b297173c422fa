//! Roots and leaves published by the reference implementation.

use crate::{Tree, WHOLE, new_tree, reopened, vectors};
use alloy_primitives::B256;
use serde::Deserialize;
use std::collections::HashMap;
use zkos_tree::{Leaf, empty_subtree_hash};

type Entries = Vec<(B256, B256)>;

#[derive(Deserialize)]
struct Reference {
    constants: HashMap<String, B256>,
    roots: Vec<Root>,
    multi_version: MultiVersion,
}

#[derive(Deserialize)]
struct Root {
    what: String,
    batches: Vec<Entries>,
    root: B256,
}

#[derive(Deserialize)]
struct MultiVersion {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
    updates: Entries,
    inserts: Entries,
    leaf_count: u64,
    root: B256,
}

#[test]
fn constants() {
    let Some(reference) = vectors::<Reference>("tree-reference.json") else { return };
    let constant = |name: &str| reference.constants[name];
    for height in [0, 1, 63] {
        assert_eq!(
            empty_subtree_hash(height),
            Some(constant(&format!("empty_subtree_height_{height}")))
        );
    }
    let max = B256::repeat_byte(0xff);
    assert_eq!(Leaf::new(B256::ZERO, B256::ZERO, 1).hash(), constant("min_guard_hash"));
    assert_eq!(Leaf::new(max, B256::ZERO, 1).hash(), constant("max_guard_hash"));
}

#[test]
fn roots() {
    let Some(reference) = vectors::<Reference>("tree-reference.json") else { return };
    for case in &reference.roots {
        let mut tree = new_tree();
        for (version, entries) in (0..).zip(&case.batches) {
            tree.extend(version, entries).expect(&case.what);
        }
        assert_eq!(tree.latest().map(|output| output.root), Some(case.root), "{}", case.what);
    }
}

/// Applies all versions; `arrange` makes the list of a version from its updates and inserts.
fn run(reference: &Reference, arrange: impl Fn(&Version) -> Entries) -> Tree {
    let mut tree = new_tree();
    for version in &reference.multi_version.versions {
        let output = tree.extend(version.version, &arrange(version)).expect("valid entries");
        assert_eq!(
            (output.root, output.leaf_count),
            (version.root, version.leaf_count),
            "version {}",
            version.version
        );
    }
    tree
}

#[test]
fn recovered_versions() {
    let Some(reference) = vectors::<Reference>("tree-reference.json") else { return };
    let tree = run(&reference, |version| [&version.updates[..], &version.inserts].concat());
    run(&reference, |version| [&version.inserts[..], &version.updates].concat());
    run(&reference, |version| {
        // Inserts keep their order, updates are strewn in between, backwards.
        let mut updates = version.updates.iter().rev();
        let mut entries: Entries = version
            .inserts
            .iter()
            .flat_map(|e| [Some(e), updates.next()])
            .flatten()
            .copied()
            .collect();
        entries.extend(updates);
        entries
    });

    let tree = reopened(&tree);
    for version in &reference.multi_version.versions {
        let view = tree.view(version.version).expect("history is kept");
        assert_eq!((view.root(), view.leaf_count()), (version.root, version.leaf_count));
        for (key, value) in version.updates.iter().chain(&version.inserts) {
            assert_eq!(view.get(key).expect(WHOLE), Some(*value));
            let proof = view.prove(key).expect(WHOLE);
            assert_eq!(proof.verify(key, &version.root), Ok(Some(*value)));
        }
    }
}
