//! Checks of the encodings against results of the official VM.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, b256, hex};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader},
    path::PathBuf,
};
use zkos_primitives::{
    AccountProperties, BatchOutput, BlockContext, BlockHashes, BlockOutput, CanonicalTransaction,
    DaCommitmentScheme, Genesis, TxL1Priority,
    batch::da_commitment,
    batch_public_input, blake2s, block_hashes_blake, genesis, header, log_tree,
    pubdata::{BlockPubdata, StateDiff},
    state_commitment, transaction,
};
use zksync_os_interface::types::{ExecutionOutput, ExecutionResult, StorageWrite, TxOutput};

/// Folder of the vectors, or none if this machine does not have it.
fn vectors() -> Option<PathBuf> {
    let path = std::env::var_os("ZKOS_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "test vectors are missing at {}", path.display());
    eprintln!("skipped: no test vectors at {}", path.display());
    None
}

fn json(path: PathBuf) -> Value {
    serde_json::from_reader(BufReader::new(std::fs::File::open(path).unwrap())).unwrap()
}

fn hash(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        number => U256::from(number.as_u64().unwrap()),
    }
}

/// All executed blocks of the vectors.
fn blocks(folder: &std::path::Path) -> Vec<Value> {
    let mut records = json(folder.join("state-transition.json")).as_array().unwrap().clone();
    let corpus = std::fs::File::open(folder.join("stf-corpus.jsonl.gz")).unwrap();
    for line in BufReader::new(flate2::read::MultiGzDecoder::new(corpus)).lines() {
        records.push(serde_json::from_str(&line.unwrap()).unwrap());
    }
    records.retain(|record| record["expect"].get("header_hash").is_some());
    records
}

fn context(record: &Value) -> BlockContext {
    let ctx = &record["ctx"];
    let hashes = match ctx.get("block_hashes").and_then(Value::as_array) {
        Some(list) => list.iter().map(hash).collect(),
        None => vec![hash(&ctx["parent"])],
    };
    BlockContext {
        chain_id: ctx["chain_id"].as_u64().unwrap(),
        block_number: ctx["number"].as_u64().unwrap(),
        block_hashes: BlockHashes::from_newest_first(hashes),
        timestamp: ctx["timestamp"].as_u64().unwrap(),
        eip1559_basefee: number(&ctx["basefee"]),
        pubdata_price: number(&ctx["pubdata_price"]),
        native_price: number(&ctx["native_price"]),
        coinbase: ctx["coinbase"].as_str().unwrap().parse().unwrap(),
        gas_limit: ctx["gas_limit"].as_u64().unwrap(),
        pubdata_limit: ctx["pubdata_limit"].as_u64().unwrap(),
        execution_version: 5,
        ..Default::default()
    }
}

fn header_of(record: &Value) -> Header {
    let context = context(record);
    let expect = &record["expect"];
    Header {
        parent_hash: context.block_hashes.parent(),
        beneficiary: context.coinbase,
        transactions_root: hash(&expect["tx_root"]),
        number: context.block_number,
        gas_limit: context.gas_limit,
        gas_used: expect["gas_used"].as_u64().unwrap(),
        timestamp: context.timestamp,
        mix_hash: B256::with_last_byte(1),
        base_fee_per_gas: Some(context.eip1559_basefee.to()),
        ..header::empty_header()
    }
}

#[test]
fn headers_of_executed_blocks() {
    let Some(folder) = vectors() else { return };
    let blocks = blocks(&folder);
    assert!(blocks.len() > 500);
    for record in &blocks {
        assert_eq!(
            header::header_hash(&header_of(record)),
            hash(&record["expect"]["header_hash"]),
            "{}",
            record["name"]
        );
    }
}

#[test]
fn pubdata_of_executed_blocks() {
    let Some(folder) = vectors() else { return };
    let mut diffs = 0;
    for record in blocks(&folder) {
        let name = &record["name"];
        let expect = &record["expect"];
        let raw = bytes(&expect["pubdata"]);
        let decoded = BlockPubdata::decode_batch(&raw).unwrap_or_else(|e| panic!("{name}: {e}"));
        let [block] = decoded.as_slice() else { panic!("{name}: not one block") };
        assert_eq!(block.encode(), raw, "{name}");
        assert_eq!(block.block_hash, hash(&expect["header_hash"]), "{name}");

        // Applying the diffs to the pre-state gives the writes, in the same order.
        let preimages: HashMap<B256, Bytes> = [&record["preimages"]]
            .into_iter()
            .flat_map(|map| map.as_object().unwrap())
            .map(|(key, value)| (key.parse().unwrap(), bytes(value)))
            .collect();
        // What the pubdata of a force deployment does not tell.
        let forced: HashMap<B256, (u32, B256)> = expect["preimages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| AccountProperties::decode(&bytes(&entry["data"])).ok())
            .map(|account| {
                (account.bytecode_hash, (account.artifacts_len, account.observable_bytecode_hash))
            })
            .collect();
        let writes = expect["writes"].as_array().unwrap();
        assert_eq!(block.diffs.len(), writes.len(), "{name}");
        for ((key, diff), write) in block.diffs.iter().zip(writes) {
            diffs += 1;
            assert_eq!(*key, hash(&write["key"]), "{name}");
            let address: Address = write["account"].as_str().unwrap().parse().unwrap();
            assert_eq!(
                zkos_primitives::flat_storage_key(address, hash(&write["slot"])),
                *key,
                "{name}"
            );
            let old = record["storage"].get(format!("{key:#x}")).map(hash);
            let new = match diff {
                StateDiff::Value(diff) => {
                    B256::from(diff.apply(old.unwrap_or_default().into()).unwrap())
                }
                StateDiff::Account(diff) => {
                    let old = old.map_or_else(AccountProperties::default, |hash| {
                        AccountProperties::decode(&preimages[&hash]).unwrap()
                    });
                    diff.apply(&old, |hash| forced.get(&hash).copied())
                        .unwrap_or_else(|e| panic!("{name}: {e}"))
                        .compute_hash()
                }
            };
            assert_eq!(new, hash(&write["value"]), "{name} {key}");
        }
    }
    assert!(diffs > 1000);
}

#[test]
fn writes_are_in_block_write_order() {
    let Some(folder) = vectors() else { return };
    for record in blocks(&folder) {
        let keys: Vec<(Address, B256)> = record["expect"]["writes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|write| {
                (write["account"].as_str().unwrap().parse().unwrap(), hash(&write["slot"]))
            })
            .collect();
        assert!(
            keys.is_sorted_by(|a, b| zkos_primitives::block_write_order(*a, *b).is_lt()),
            "{}",
            record["name"]
        );
    }
}

#[test]
fn account_records_and_bytecodes_round_trip() {
    let Some(folder) = vectors() else { return };
    let mut records = 0;
    for record in blocks(&folder) {
        for entry in record["expect"]["preimages"].as_array().unwrap() {
            let (expected, data) = (hash(&entry["hash"]), bytes(&entry["data"]));
            assert_eq!(blake2s(&data), expected, "{}", record["name"]);
            if let Ok(account) = AccountProperties::decode(&data)
                && matches!(account.versioning >> 48, 0 | 0x0101 | 0x0201)
            {
                assert_eq!(account.compute_hash(), expected);
                records += 1;
            }
        }
    }
    assert!(records > 1000);
}

#[test]
fn params_sequences_and_transaction_roots() {
    let Some(folder) = vectors() else { return };
    let mut sequences = 0;
    for record in blocks(&folder) {
        let mut hashes = Vec::new();
        let results = record["expect"]["txs"].as_array().unwrap();
        for (tx, result) in record["txs"].as_array().unwrap().iter().zip(results) {
            let included = result.get("invalid").is_none();
            let raw = bytes(&tx["raw"]);
            let hash = match tx["kind"].as_str().unwrap() {
                "rlp" => alloy_primitives::keccak256(&raw),
                "abi" => match CanonicalTransaction::abi_decode(&raw) {
                    Ok(decoded) => {
                        sequences += 1;
                        assert_eq!(decoded.abi_encode(), raw);
                        decoded.canonical_hash()
                    }
                    Err(error) => {
                        assert!(!included, "{}: {error}", record["name"]);
                        continue;
                    }
                },
                other => panic!("unknown kind {other}"),
            };
            if included {
                hashes.push(hash);
            }
        }
        assert_eq!(
            header::transactions_rolling_hash(hashes),
            hash(&record["expect"]["tx_root"]),
            "{}",
            record["name"]
        );
    }
    assert!(sequences > 50);
}

/// From genesis over one block to the public input, with the values that need no execution.
#[test]
fn end_to_end_block() {
    let Some(folder) = vectors() else { return };
    let records = json(folder.join("state-transition.json"));
    let record =
        records.as_array().unwrap().iter().find(|record| record["name"] == "e2e_block1").unwrap();
    let expect = &record["expect"];
    let context = context(record);
    let block_hash = b256!("0db30b8d1d1f45753099b2d9686a555e7b1de61a46e0d75191b4a4f830013bf7");
    assert_eq!(hash(&expect["header_hash"]), block_hash);
    let pubdata = bytes(&expect["pubdata"]);

    let tx_results = expect["txs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tx| {
            assert_eq!(tx["status"].as_bool(), Some(true));
            Ok(TxOutput {
                execution_result: ExecutionResult::Success(ExecutionOutput::Call(vec![])),
                gas_used: tx["gas_used"].as_u64().unwrap(),
                gas_refunded: 0,
                computational_native_used: 0,
                native_used: 0,
                pubdata_used: 0,
                contract_address: None,
                l1_tx_operator_decision: None,
                logs: vec![],
                l2_to_l1_logs: vec![],
                storage_writes: vec![],
            })
        })
        .collect();
    let storage_writes = expect["writes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|write| StorageWrite {
            key: hash(&write["key"]),
            value: hash(&write["value"]),
            account: write["account"].as_str().unwrap().parse().unwrap(),
            account_key: hash(&write["slot"]),
        })
        .collect();
    let output = BlockOutput {
        header: header_of(record),
        block_hash,
        tx_results,
        storage_writes,
        account_diffs: vec![],
        published_preimages: vec![],
        pubdata: pubdata.to_vec(),
        computational_native_used: 0,
    };
    assert_eq!(
        output.output_hash(),
        b256!("b10968dd635124ef71a7d252fe7017256d3ae9a11a1df2221eee76de92a504b3")
    );

    let hashes_blake = block_hashes_blake(&context.block_hashes, block_hash);
    assert_eq!(
        hashes_blake,
        b256!("03737a4e54e65b27193e29990f6fb874626bfe529bf969b6a439f8ce48aa6acd")
    );
    let state_before = genesis::genesis_commitment(
        b256!("aa8d543fb3839a480079e87666639082dd11a9f3a4e855b37b424bcf4bbae5fa"),
        10,
    );
    let state_after = state_commitment(
        b256!("d0882387b9c6c537bb2774f5512c1290bd11748c0ba360f9549c31c745d91085"),
        13,
        1,
        hashes_blake,
        context.timestamp,
    );
    assert_eq!(
        state_after,
        b256!("8754abff211e206bb2e48b1911037ab9485338ae64a131619ab2841555d9604d")
    );

    let block = BlockPubdata::decode_batch(&pubdata).unwrap().remove(0);
    let logs_root = log_tree::l2_logs_tree_root(&block.logs).unwrap();
    assert_eq!(
        logs_root,
        b256!("c542f0296ca5ccc2d20188a572befedf07b6e75ea45284267c1d43f07ce7fcd7")
    );
    let sender = Address::from(hex!("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"));
    let value = U256::from(10u64.pow(18));
    let deposit = TxL1Priority {
        from: sender,
        to: sender,
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 250_000_000,
        value,
        to_mint: value + U256::from(75_000_000_000_000u64),
        refund_recipient: sender,
        ..Default::default()
    };
    assert_eq!(
        deposit.canonical_hash(),
        b256!("623ecacbf623ea5f6ab67e9f7218915915d3c44229079d4c076095ce81f9b263")
    );
    let priority_operations_hash =
        transaction::priority_operations_hash([deposit.canonical_hash()]);
    assert_eq!(
        priority_operations_hash,
        b256!("5665f322d323aabf5483be9079b70eae2058b51f553f99b3af2b0deb4a27bc0a")
    );

    let cases = [
        (
            DaCommitmentScheme::BlobsAndPubdataKeccak256,
            b256!("fd98e71b71f80a56153ff68e9662d1af8704f11fdae55ce79df95fe367a2c0b0"),
            b256!("97341fd10a63fdc1ab4cd64c99f62ecc4f9cde1224af42e842f6fb2ad3896443"),
            b256!("3ca38e2a120bff4e1420a532ba3e2b91b9f894fac4452f3c0b3146ca0262d318"),
        ),
        (
            DaCommitmentScheme::EmptyNoDa,
            B256::ZERO,
            b256!("b545c3bf3d7151cafac49ee3cd7c7a31ce9fa0beb0dfe7619663099d75ff5d53"),
            b256!("725b7fe127d3733cf0c76d1ac52ff99a28da0bdd6e0ee15ed2c0317418dbc782"),
        ),
        (
            DaCommitmentScheme::BlobsZksyncOs,
            b256!("9d8d8ab9f664cc4ffe436018510570383dea9b1974c4592cbfcd41c32a9c9f03"),
            b256!("3060e9c771f7286a66b05de8571bbe5fade2ca24b8c887dfbd3313982039d264"),
            b256!("40be9627a8f28fd87296bb1e778221b5ad4fcc1e5a8efd644cf38c528a8cb95b"),
        ),
    ];
    for (scheme, expected_da, expected_output, expected_input) in cases {
        let (da, _) = da_commitment(scheme, &pubdata).unwrap();
        assert_eq!(da, expected_da, "{scheme:?}");
        let output = BatchOutput {
            chain_id: 270,
            first_block_timestamp: context.timestamp,
            last_block_timestamp: context.timestamp,
            da_commitment_scheme: scheme,
            da_commitment: da,
            number_of_layer1_txs: 1,
            priority_operations_hash,
            l2_logs_tree_root: logs_root,
            upgrade_tx_hash: B256::ZERO,
            dependency_roots_rolling_hash: B256::ZERO,
        };
        assert_eq!(output.hash(), expected_output, "{scheme:?}");
        assert_eq!(
            batch_public_input(state_before, state_after, output.hash()),
            expected_input,
            "{scheme:?}"
        );
        if scheme == DaCommitmentScheme::BlobsAndPubdataKeccak256 {
            let stored = zkos_primitives::StoredBatchInfo {
                batch_number: 1,
                state_commitment: state_after,
                number_of_layer1_txs: 1,
                priority_operations_hash,
                dependency_roots_rolling_hash: B256::ZERO,
                l2_logs_tree_root: logs_root,
                commitment: output.hash(),
            };
            assert_eq!(
                stored.hash(),
                b256!("ccba29fde93c344df71b5b442ee8607648070e018f26cd1043b07be21c671b57")
            );
        }
    }
}

/// Root of the state tree over sorted entries: guards, leaves linked in key order, 64 levels.
fn tree_root(entries: &[(B256, B256)]) -> (B256, u64) {
    let mut order: Vec<(B256, B256, u64)> =
        entries.iter().enumerate().map(|(i, (k, v))| (*k, *v, i as u64 + 2)).collect();
    order.insert(0, (B256::ZERO, B256::ZERO, 0));
    order.push((B256::repeat_byte(0xff), B256::ZERO, 1));
    let leaf = |key: B256, value: B256, next: u64| {
        blake2s([key.as_slice(), value.as_slice(), &next.to_le_bytes()].concat())
    };
    let mut leaves = BTreeMap::new();
    for (i, (key, value, index)) in order.iter().enumerate() {
        let next = order.get(i + 1).map_or(1, |entry| entry.2);
        leaves.insert(*index, leaf(*key, *value, next));
    }
    let mut nodes: Vec<B256> = leaves.into_values().collect();
    let count = nodes.len() as u64;
    let mut empty = leaf(B256::ZERO, B256::ZERO, 0);
    let pair = |l: B256, r: B256| blake2s([l.as_slice(), r.as_slice()].concat());
    for _ in 0..64 {
        nodes = nodes.chunks(2).map(|n| pair(n[0], *n.get(1).unwrap_or(&empty))).collect();
        empty = pair(empty, empty);
    }
    (nodes[0], count)
}

#[test]
fn published_genesis_files() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("genesis");
    let index = json(folder.join("index.json"));
    let files = index["files"].as_array().unwrap();
    assert!(files.len() >= 7);
    for file in files {
        let name = file["file"].as_str().unwrap();
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let genesis = Genesis::from_json(&text).unwrap();
        let state = genesis.state().unwrap();
        assert_eq!(state.entries.len() as u64, file["state_entries"].as_u64().unwrap(), "{name}");
        assert_eq!(state.accounts.len() as u64, file["contracts"].as_u64().unwrap(), "{name}");
        let (root, leaves) = tree_root(&state.entries);
        assert_eq!(root, hash(&file["tree_root"]), "{name}");
        assert_eq!(leaves, file["leaf_count"].as_u64().unwrap(), "{name}");
        let commitment = genesis.verify_root(root, leaves).unwrap();
        assert_eq!(commitment, hash(&file["genesis_root"]), "{name}");
        assert_eq!(Some(commitment), genesis.genesis_root, "{name}");
        assert_eq!(
            genesis::genesis_batch(commitment).hash(),
            hash(&file["stored_batch_0_hash"]),
            "{name}"
        );
        for (hash, data) in &state.preimages {
            assert_eq!(blake2s(data), *hash, "{name}");
        }
    }
}
