//! Generated vectors: hashes, roots, proofs, witnesses, write order.

use crate::{Tree, WHOLE, blake2s, new_tree, reopened, take, vectors};
use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::Value;
use zkos_tree::{BatchProof, KeyProof, Leaf, Operation, TreeOutput, empty_subtree_hash};

fn file() -> Option<Value> {
    vectors("tree.json")
}

fn key(name: &str, i: u64) -> B256 {
    blake2s(format!("{name}/key/{i}"))
}

/// Without generation: 32 zero bytes.
fn value(name: &str, i: u64, generation: Option<u64>) -> B256 {
    generation.map_or(B256::ZERO, |generation| blake2s(format!("{name}/value/{i}/{generation}")))
}

fn entries(name: &str, range: std::ops::Range<u64>) -> Vec<(B256, B256)> {
    range.map(|i| (key(name, i), value(name, i, Some(0)))).collect()
}

fn expected(case: &Value) -> TreeOutput {
    TreeOutput { root: take(&case["root"]), leaf_count: take(&case["leaf_count"]) }
}

#[test]
fn hashes() {
    let Some(file) = file() else { return };
    let empty: Vec<B256> = take(&file["empty_subtree_hashes"]);
    assert_eq!(empty.len(), 65);
    for (height, hash) in empty.iter().enumerate() {
        assert_eq!(empty_subtree_hash(height), Some(*hash), "height {height}");
    }
    let max = B256::repeat_byte(0xff);
    assert_eq!(Leaf::new(B256::ZERO, B256::ZERO, 1).hash(), take::<B256>(&file["min_guard_hash"]));
    assert_eq!(Leaf::new(max, B256::ZERO, 1).hash(), take::<B256>(&file["max_guard_hash"]));
}

#[test]
fn one_version_of_many_sizes() {
    let Some(file) = file() else { return };
    for case in file["single_batch_in_index_order"].as_array().expect("a list") {
        let entries = entries(case["label"].as_str().expect("a label"), 0..take(&case["inserted"]));
        let mut tree = new_tree();
        assert_eq!(
            tree.extend(0, &entries).expect("valid entries"),
            expected(case),
            "{} entries",
            entries.len()
        );
        assert_eq!(reopened(&tree).latest(), Some(expected(case)));
        // The same leaves on top of an empty genesis.
        let mut tree = new_tree();
        let none = Vec::new();
        assert_eq!(tree.extend_batch(0, &[none, entries]).expect("valid entries"), expected(case));
    }
    let mut sorted = entries("size", 0..100);
    sorted.sort();
    let mut tree = new_tree();
    assert_eq!(
        tree.extend(0, &sorted).expect("valid entries"),
        expected(&file["single_batch_100_sorted_by_key"])
    );
}

#[test]
fn hundred_versions_of_one() {
    let Some(file) = file() else { return };
    let case = &file["hundred_batches_of_one"];
    let roots: Vec<B256> = take(&case["every_tenth_root"]);
    let versions: Vec<_> =
        std::iter::once(Vec::new()).chain((0..100).map(|i| entries("size", i..i + 1))).collect();
    assert_eq!(versions.len(), take::<usize>(&case["versions"]));

    let mut one_by_one = new_tree();
    for (version, entries) in (0..).zip(&versions) {
        one_by_one.extend(version, entries).expect("valid entries");
    }
    let mut at_once = new_tree();
    at_once.extend_batch(0, &versions).expect("valid entries");
    for tree in [&one_by_one, &at_once, &reopened(&at_once)] {
        assert_eq!(tree.latest(), Some(expected(case)));
        for (version, root) in (0..).step_by(10).zip(&roots) {
            assert_eq!(tree.root(version).expect("known"), *root, "version {version}");
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
    what: String,
    writes: Vec<(u64, Option<u64>)>,
    leaf_count: u64,
    root: B256,
    batch_proof: Option<Witness>,
}

#[derive(Deserialize)]
struct Witness {
    read_keys: Vec<B256>,
    read_values: Vec<Option<B256>>,
    operations: Vec<Place>,
    #[serde(rename = "readOperations")]
    read_operations: Vec<Place>,
    leaf_indices: Vec<u64>,
    hash_count: usize,
    hashes_digest: B256,
    hashes: Option<Vec<B256>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Hit(u64),
    Miss(u64),
}

impl Version {
    fn entries(&self) -> Vec<(B256, B256)> {
        self.writes
            .iter()
            .map(|(i, generation)| (key("multi", *i), value("multi", *i, *generation)))
            .collect()
    }

    fn output(&self) -> TreeOutput {
        TreeOutput { root: self.root, leaf_count: self.leaf_count }
    }
}

fn multi_version(file: &Value) -> (Vec<Version>, Tree) {
    let versions: Vec<Version> = take(&file["multi_version"]["versions"]);
    let mut tree = new_tree();
    for version in &versions {
        let output = tree.extend(version.version, &version.entries()).expect("valid entries");
        assert_eq!(output, version.output(), "{}", version.what);
    }
    (versions, tree)
}

fn places(places: &[Place]) -> Vec<Operation> {
    let place = |place: &Place| match *place {
        Place::Hit(index) => Operation::Hit(index),
        Place::Miss(index) => Operation::Miss(index),
    };
    places.iter().map(place).collect()
}

#[test]
fn versions_with_witnesses() {
    let Some(file) = file() else { return };
    let (versions, tree) = multi_version(&file);
    let mut witnesses = 0;
    for tree in [&tree, &reopened(&tree)] {
        for version in &versions {
            assert_eq!(tree.output(version.version).expect("known"), version.output());
            let Some(witness) = &version.batch_proof else { continue };
            let before = version.version - 1;
            let entries = version.entries();
            let keys: Vec<B256> = entries.iter().map(|(key, _)| *key).collect();
            let proof =
                tree.prove_batch(before, &witness.read_keys, &keys).expect("history is kept");

            let what = &version.what;
            assert_eq!(proof.operations, places(&witness.operations), "{what}");
            assert_eq!(proof.read_operations, places(&witness.read_operations), "{what}");
            let indices: Vec<u64> = proof.leaves.iter().map(|(index, _)| *index).collect();
            assert_eq!(indices, witness.leaf_indices, "{what}");
            assert_eq!(proof.hashes.len(), witness.hash_count, "{what}");
            assert_eq!(blake2s(proof.hashes.concat()), witness.hashes_digest, "{what}");
            if let Some(hashes) = &witness.hashes {
                assert_eq!(&proof.hashes, hashes, "{what}");
            }

            let previous = tree.output(before).expect("known");
            let proof = BatchProof::decode(&proof.encode()).expect(what);
            let verified = proof.verify(Some(previous), &witness.read_keys, &entries).expect(what);
            assert_eq!(verified.output, version.output(), "{what}");
            assert_eq!(verified.reads, witness.read_values, "{what}");
            witnesses += 1;
        }
    }
    assert_eq!(witnesses, 18);
}

#[test]
fn leaves_of_a_version() {
    let Some(file) = file() else { return };
    let (_, tree) = multi_version(&file);
    let view = tree.view(1).expect("history is kept");
    let leaves = file["multi_version"]["leaves_at_version_1"].as_array().expect("a list");
    assert_eq!(view.leaf_count(), leaves.len() as u64);
    for leaf in leaves {
        let found = view.leaf(take(&leaf["index"])).expect(WHOLE).expect("within the count");
        assert_eq!(found, Leaf::new(take(&leaf["key"]), take(&leaf["value"]), take(&leaf["next"])));
        assert_eq!(found.hash(), take::<B256>(&leaf["hash"]));
    }
    assert_eq!(view.leaf(view.leaf_count()).expect(WHOLE), None);
}

#[test]
fn single_key_proofs() {
    let Some(file) = file() else { return };
    let (_, tree) = multi_version(&file);
    let cases = file["flat_proofs_of_multi_version"].as_array().expect("a list");
    assert_eq!(cases.len(), 30);
    for case in cases {
        let (key, root): (B256, B256) = (take(&case["key"]), take(&case["root"]));
        let proof = tree.prove(take(&case["version"]), &[key]).expect("history is kept").remove(0);
        assert_eq!(serde_json::to_value(&proof).expect("plain data"), case["proof"]);
        assert_eq!(take::<KeyProof>(&case["proof"]), proof);
        assert_eq!(proof.verify(&key, &root), Ok(take(&case["value"])));
    }
}

#[test]
fn truncation_then_other_entries() {
    let Some(file) = file() else { return };
    let (versions, mut tree) = multi_version(&file);
    assert_eq!(tree.truncate(2).expect("history is kept"), versions[2].output());
    let case = &file["truncate_multi_to_3_versions_then_insert_1000"];
    let entries = entries("multi", 1000..1001);
    assert_eq!(tree.extend(3, &entries).expect("valid entries"), expected(case));
    assert_eq!(reopened(&tree).latest(), Some(expected(case)));
}

#[test]
fn extreme_keys() {
    let Some(file) = file() else { return };
    let case = &file["extreme_keys"];
    let keys: Vec<B256> = take(&case["keys_and_values"]);
    let entries: Vec<_> = keys.iter().map(|key| (*key, *key)).collect();
    let mut tree = new_tree();
    assert_eq!(tree.extend(0, &entries).expect("valid entries"), expected(case));
    let view = tree.view(0).expect("latest");
    let next: Vec<u64> =
        (0..6).map(|index| view.leaf(index).expect(WHOLE).expect("six leaves").next()).collect();
    assert_eq!(next, take::<Vec<u64>>(&case["next"]));
}

#[test]
fn one_leaf() {
    let Some(file) = file() else { return };
    let mut tree = new_tree();
    let entries = [(B256::repeat_byte(0x01), B256::repeat_byte(0x10))];
    assert_eq!(
        tree.extend(0, &entries).expect("valid entries"),
        expected(&file["one_leaf_0101_1010"])
    );
}
