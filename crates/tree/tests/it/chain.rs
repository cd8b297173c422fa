//! The tree together with the types of the chain: genesis files, keys, write order, commitments.

use crate::{blake2s, new_tree, take, vector_file, vectors};
use alloy_primitives::{Address, B256, Bytes};
use serde::Deserialize;
use serde_json::Value;
use zkos_primitives::{
    AccountProperties, GENESIS_BLOCK_HASH, Genesis, account_properties_flat_key,
    block_hashes_blake, block_write_order, flat_storage_key, genesis::genesis_commitment,
};
use zkos_tree::TreeOutput;

#[derive(Deserialize)]
struct Index {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    state_entries: usize,
    tree_root: B256,
    leaf_count: u64,
    genesis_root: B256,
}

#[test]
fn recorded_roots() {
    let Some(index) = vectors::<Index>("genesis/index.json") else { return };
    assert!(index.files.len() >= 7);
    for entry in index.files {
        let name = &entry.file;
        let json = vector_file(&format!("genesis/{name}")).expect("the folder is there");
        let genesis = Genesis::from_json(std::str::from_utf8(&json).expect("text")).expect(name);
        assert_eq!(genesis.genesis_root, Some(entry.genesis_root), "{name}");
        let state = genesis.state().expect(name);
        assert_eq!(state.entries.len(), entry.state_entries, "{name}");

        let mut tree = new_tree();
        let output = tree.extend(0, &state.entries).expect(name);
        assert_eq!((output.root, output.leaf_count), (entry.tree_root, entry.leaf_count), "{name}");
        let commitment = genesis.verify_root(output.root, output.leaf_count).expect(name);
        assert_eq!(commitment, entry.genesis_root, "{name}");
    }
}

fn file() -> Option<Value> {
    vectors("tree.json")
}

fn expected(case: &Value) -> TreeOutput {
    TreeOutput { root: take(&case["root"]), leaf_count: take(&case["leaf_count"]) }
}

#[test]
fn write_order_of_a_block() {
    let Some(file) = file() else { return };
    let case = &file["block_write_order"];
    let sorted: Vec<(Address, B256, B256)> = take(&case["sorted"]);
    assert!(sorted.is_sorted_by(|a, b| block_write_order((a.0, a.1), (b.0, b.1)).is_lt()));
    let entries: Vec<_> = sorted
        .iter()
        .map(|(address, slot, key)| {
            assert_eq!(flat_storage_key(*address, *slot), *key);
            (*key, blake2s([address.as_slice(), slot.as_slice()].concat()))
        })
        .collect();
    let mut tree = new_tree();
    assert_eq!(tree.extend(0, &entries).expect("valid entries"), expected(case));
}

#[test]
fn keys_and_accounts() {
    let Some(file) = file() else { return };
    for case in file["keys"].as_array().expect("a list") {
        if case.get("account").is_some() {
            assert_eq!(
                account_properties_flat_key(take(&case["account"])),
                take::<B256>(&case["account_key"])
            );
        } else {
            assert_eq!(
                flat_storage_key(take(&case["address"]), take(&case["slot"])),
                take::<B256>(&case["flat_key"])
            );
        }
    }
    for case in file["account_properties"].as_array().expect("a list") {
        let encoded: Bytes = take(&case["encoded"]);
        let account = AccountProperties::decode(&encoded).expect("valid encoding");
        assert_eq!(account.encode(), encoded[..]);
        assert_eq!(account.compute_hash(), take::<B256>(&case["properties_hash"]));
        let code: Bytes = case.get("code").map(take).unwrap_or_default();
        if case.get("artifacts").is_some_and(|artifacts| artifacts != "0x") {
            let mut with_code = account;
            with_code.clear_code();
            let stored = with_code.set_deployed_code(&code);
            assert_eq!(stored.bytecode_hash, take::<B256>(&case["bytecode_hash"]));
            assert_eq!(stored.preimage, take::<Bytes>(&case["extended"]));
            assert_eq!(with_code.encode(), encoded[..]);
        }
    }
}

#[test]
fn commitments() {
    let Some(file) = file() else { return };
    let genesis = &file["genesis_block"];
    assert_eq!(GENESIS_BLOCK_HASH, take::<B256>(&genesis["header_hash"]));
    let reference = vectors::<Value>("tree-reference.json").expect("the folder is there");
    assert_eq!(GENESIS_BLOCK_HASH, take::<B256>(&reference["constants"]["genesis_block_hash"]));
    let digest = block_hashes_blake(&Default::default(), GENESIS_BLOCK_HASH);
    assert_eq!(digest, take::<B256>(&genesis["block_hashes_digest"]));
    let case = &file["commitment_of_empty_genesis"];
    let mut tree = new_tree();
    let output = tree.extend(0, &[]).expect("no entries");
    assert_eq!(output, expected(case));
    assert_eq!(
        genesis_commitment(output.root, output.leaf_count),
        take::<B256>(&case["commitment"])
    );
}
