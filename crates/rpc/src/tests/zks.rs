use super::*;
use crate::{BatchHeads, BatchIndex, BatchInfo};
use parking_lot::RwLock;
use zkos_primitives::{
    L2ToL1Log, StoredBatchInfo, block_hashes_blake, flat_storage_key,
    log_tree::{l2_logs_tree_root, root_of_proof},
    state_commitment,
};
use zkos_tree::{InMemoryStore, KeyProof, MerkleTree};

const ACCOUNT: Address = Address::repeat_byte(5);

fn batch(number: u64, first_block: u64, last_block: u64) -> BatchInfo {
    BatchInfo {
        stored: StoredBatchInfo { batch_number: number, ..Default::default() },
        first_block,
        last_block,
        commit_tx: Some(B256::repeat_byte(number as u8)),
        prove_tx: None,
        execute_tx: None,
    }
}

/// Blocks 1 and 2 with one and two logs.
fn with_logs(rpc: &TestRpc) -> (Vec<L2ToL1Log>, Vec<B256>) {
    let (mut logs, mut hashes) = (Vec::new(), Vec::new());
    for (nonce, count) in [(0, 1), (1, 2)] {
        let tx = transfer(&signer(1), nonce, 0);
        let mut receipt = receipt(&tx, 21_000, vec![]);
        receipt.l2_to_l1_logs =
            (0..count).map(|i| L2ToL1Log::message(0, Address::repeat_byte(9), &[i])).collect();
        logs.extend(receipt.l2_to_l1_logs.clone());
        hashes.push(*tx.hash());
        rpc.node.commit(TestBlock {
            receipts: vec![receipt],
            transactions: vec![tx],
            ..Default::default()
        });
    }
    (logs, hashes)
}

#[tokio::test]
async fn logs_are_proven_once_executed() {
    let rpc = TestRpc::new();
    let (logs, hashes) = with_logs(&rpc);
    let proof = |params: Value| {
        let rpc = &rpc;
        async move { rpc.call("zks_getL2ToL1LogProof", params).await }
    };
    assert_eq!(proof(json!([hashes[0]])).await.unwrap_err().0, -32004);
    let batches = Arc::new(BatchIndex::default());
    rpc.shared.set_batches(batches.clone());
    assert_eq!(proof(json!([B256::ZERO])).await.unwrap(), Value::Null);
    let (code, message, _) = proof(json!([hashes[0]])).await.unwrap_err();
    assert_eq!(code, -32000);
    assert_eq!(message, "transaction has not been included in an L1 batch yet");
    let mut info = batch(3, 1, 2);
    info.stored.l2_logs_tree_root = l2_logs_tree_root(&logs).unwrap();
    batches.insert(info);
    // Batch numbers count, not block numbers.
    batches.set_heads(BatchHeads { committed: 3, proved: 3, executed: 2 });
    let (code, message, _) = proof(json!([hashes[0]])).await.unwrap_err();
    assert_eq!(code, -32000);
    assert!(message.contains("has not been executed yet"), "{message}");
    batches.set_heads(BatchHeads { committed: 3, proved: 3, executed: 3 });
    for (params, id) in [
        (json!([hashes[0]]), 0),
        (json!([hashes[1], 0]), 1),
        (json!([hashes[1], "0x1", "l1BatchRoot"]), 2),
    ] {
        let found = proof(params).await.unwrap();
        assert_eq!((&found["batch_number"], &found["batchNumber"]), (&json!(3), &json!(3)));
        assert_eq!(found["id"], id);
        assert_eq!(found["root"], json!(info.stored.l2_logs_tree_root));
        let words: Vec<B256> = serde_json::from_value(found["proof"].clone()).unwrap();
        assert_eq!(words.len(), 16);
        let root = root_of_proof(&logs[id as usize], id, &words);
        assert_eq!(root, Some(info.stored.l2_logs_tree_root));
    }
    let (code, message, _) = proof(json!([hashes[1], 2])).await.unwrap_err();
    assert_eq!(code, -32602);
    assert!(message.contains("there are only 2 L2->L1 logs"), "{message}");
    assert_eq!(proof(json!([hashes[1], 0, "messageRoot"])).await.unwrap_err().0, -32004);
    // Contradicts what L1 keeps.
    info.stored.l2_logs_tree_root = B256::ZERO;
    batches.insert(info);
    assert_eq!(proof(json!([hashes[0]])).await.unwrap_err().0, -32603);
}

#[tokio::test]
async fn state_proofs_lead_to_the_stored_hash() {
    let rpc = TestRpc::new();
    let slot = B256::with_last_byte(1);
    let value = B256::with_last_byte(9);
    let entries = rpc.node.chain_spec.genesis_state().entries.clone();
    let block = rpc.node.commit(TestBlock {
        accounts: vec![(ACCOUNT, AccountProperties::new_eoa(2, U256::from(20)))],
        storage: vec![(ACCOUNT, slot, value)],
        ..Default::default()
    });
    let mut tree = MerkleTree::open(InMemoryStore::new()).unwrap();
    tree.extend(0, &entries).unwrap();
    let writes: Vec<(B256, B256)> =
        block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    let output = tree.extend(1, &writes).unwrap();
    let context = &block.record.block_context;
    let hashes = block_hashes_blake(&context.block_hashes, block.hash());
    let mut info = batch(1, 1, 1);
    info.stored.state_commitment =
        state_commitment(output.root, output.leaf_count, 1, hashes, context.timestamp);
    info.stored.commitment = B256::repeat_byte(7);
    let batches = Arc::new(BatchIndex::default());
    batches.insert(info);
    rpc.shared.set_batches(batches.clone());
    let params = json!([ACCOUNT, [slot, "0x2"], 1]);
    assert_eq!(rpc.err("zks_getProof", params.clone()).await.0, -32004);
    rpc.shared.set_state_prover(Arc::new(RwLock::new(tree)));

    let proof = rpc.ok("zks_getProof", params).await;
    assert_eq!(proof["address"], json!(ACCOUNT));
    let preimage = &proof["stateCommitmentPreimage"];
    assert_eq!(preimage["blockNumber"], "0x1");
    // What a client does: from each proof the root, from it the commitment, from that the stored hash.
    let number = |field: &str| quantity(&preimage[field]);
    let keys = [slot, B256::with_last_byte(2)];
    for (index, expected) in [(0, Some(value)), (1, None)] {
        let entry = &proof["storageProofs"][index];
        assert_eq!(entry["key"], json!(keys[index]));
        let kind = if expected.is_some() { "existing" } else { "nonExisting" };
        assert_eq!(entry["proof"]["type"], kind);
        let key_proof: KeyProof = serde_json::from_value(entry["proof"].clone()).unwrap();
        assert_eq!(key_proof.value(), expected);
        let root = key_proof.recover_root(&flat_storage_key(ACCOUNT, keys[index])).unwrap();
        let commitment = state_commitment(
            root,
            number("nextFreeSlot"),
            number("blockNumber"),
            serde_json::from_value(preimage["last256BlockHashesBlake"].clone()).unwrap(),
            number("lastBlockTimestamp"),
        );
        let l1 = &proof["l1VerificationData"];
        let hash = |field: &str| serde_json::from_value(l1[field].clone()).unwrap();
        let stored = StoredBatchInfo {
            batch_number: l1["batchNumber"].as_u64().unwrap(),
            state_commitment: commitment,
            number_of_layer1_txs: l1["numberOfLayer1Txs"].as_u64().unwrap(),
            priority_operations_hash: hash("priorityOperationsHash"),
            dependency_roots_rolling_hash: hash("dependencyRootsRollingHash"),
            l2_logs_tree_root: hash("l2ToL1LogsRootHash"),
            commitment: hash("commitment"),
        };
        assert_eq!(stored.hash(), info.stored.hash());
    }
    let empty = rpc.ok("zks_getProof", json!([ACCOUNT, [], "0x1"])).await;
    assert_eq!(empty["storageProofs"], json!([]));
    assert_eq!(rpc.ok("zks_getProof", json!([ACCOUNT, [slot], 2])).await, Value::Null);
    let many = vec![slot; 1025];
    assert_eq!(rpc.err("zks_getProof", json!([ACCOUNT, many, 1])).await.0, -32602);
    let preimage = rpc.ok("zks_getAccountPreimage", json!([ACCOUNT, 1])).await;
    let encoded = AccountProperties::new_eoa(2, U256::from(20)).encode();
    assert_eq!(preimage, json!(Bytes::copy_from_slice(&encoded)));
    assert_eq!(rpc.ok("zks_getAccountPreimage", json!([COINBASE, 1])).await, Value::Null);
    // A tree that contradicts L1 gives no proof.
    info.stored.state_commitment = B256::ZERO;
    batches.insert(info);
    assert_eq!(rpc.err("zks_getProof", json!([ACCOUNT, [slot], 1])).await.0, -32603);
}

#[tokio::test]
async fn batches_are_described() {
    let rpc = TestRpc::new();
    let batches = Arc::new(BatchIndex::default());
    rpc.shared.set_batches(batches.clone());
    rpc.shared.set_bytecode_supplier(Address::repeat_byte(4));
    for number in 1..=4 {
        batches.insert(batch(number, number * 10, number * 10 + 9));
    }
    batches.set_heads(BatchHeads { committed: 3, proved: 2, executed: 1 });
    assert_eq!(rpc.ok("zks_L1BatchNumber", json!([])).await, "0x3");
    for (number, status) in [(1, "executed"), (2, "proved"), (3, "committed"), (4, "sealed")] {
        let details = rpc.ok("zks_getL1BatchDetails", json!([number])).await;
        assert_eq!((&details["number"], &details["status"]), (&json!(number), &json!(status)));
        let hash = batch(number, 0, 0).stored.hash();
        assert_eq!(details["storedBatchHash"], json!(hash));
        assert_eq!(details["commitTxHash"], json!(B256::repeat_byte(number as u8)));
    }
    assert_eq!(rpc.ok("zks_getL1BatchBlockRange", json!(["0x2"])).await, json!(["0x14", "0x1d"]));
    assert_eq!(rpc.ok("zks_getL1BatchDetails", json!([9])).await, Value::Null);
    assert_eq!(rpc.ok("zks_getBatchByBlockNumber", json!([25])).await["number"], 2);
    assert_eq!(rpc.ok("unstable_getBatchByBlockNumber", json!(["0x7"])).await, Value::Null);
    let supplier = rpc.ok("zks_getBytecodeSupplierContract", json!([])).await;
    assert_eq!(supplier, json!(Address::repeat_byte(4)));
    rpc.node.commit_empty();
    assert_eq!(rpc.ok("zks_gasPerPubdata", json!([])).await, "0x0");
}
