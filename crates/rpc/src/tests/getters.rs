use super::*;
use zkos_primitives::L2ToL1Log;

/// A block with an L1 transaction and two of a user, with logs.
fn commit_mixed(node: &TestNode) -> ExecutedBlock {
    let txs = vec![l1_transaction(), transfer(&signer(1), 0, 1), transfer(&signer(1), 1, 2)];
    let mut l1_receipt = receipt(&txs[0], 100_000, vec![log(1, 1)]);
    l1_receipt.l2_to_l1_logs = vec![L2ToL1Log::l1_tx_result(0, *txs[0].hash(), true)];
    let mut last = receipt(&txs[2], 150_000, vec![log(3, 1), log(3, 2)]);
    last.l2_to_l1_logs = vec![L2ToL1Log::message(2, Address::repeat_byte(9), b"hi")];
    node.commit(TestBlock {
        receipts: vec![l1_receipt, receipt(&txs[1], 121_000, vec![]), last],
        transactions: txs,
        ..Default::default()
    })
}

#[tokio::test]
async fn blocks_carry_their_hash() {
    let rpc = TestRpc::new();
    let block = commit_mixed(&rpc.node);
    let by_number = rpc.ok("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(by_number["hash"], json!(block.hash()));
    assert_ne!(by_number["logsBloom"], json!(alloy_primitives::Bloom::ZERO));
    assert_ne!(block.block.header().hash_slow(), block.hash(), "the bloom must not count");
    assert_eq!(by_number["transactions"].as_array().unwrap().len(), 3);
    assert_eq!(by_number["uncles"], json!([]));
    assert_eq!(by_number["baseFeePerGas"], "0x5f5e100");
    let size = by_number["size"].as_str().unwrap();
    assert_eq!(size, format!("0x{:x}", block.block.rlp_length()));

    let by_hash = rpc.ok("eth_getBlockByHash", json!([block.hash(), true])).await;
    assert_eq!(by_hash["transactions"][1]["blockHash"], json!(block.hash()));
    let header = rpc.ok("eth_getHeaderByHash", json!([block.hash()])).await;
    assert_eq!(header["hash"], json!(block.hash()));
    assert_eq!(header["number"], "0x1");

    let raw_header = rpc.ok("debug_getRawHeader", json!(["0x1"])).await;
    let raw_header: Bytes = serde_json::from_value(raw_header).unwrap();
    assert_eq!(alloy_primitives::keccak256(&raw_header), block.hash());
    assert_eq!(rpc.ok("eth_getBlockTransactionCountByNumber", json!(["latest"])).await, "0x3");
    assert_eq!(rpc.ok("eth_getUncleCountByBlockNumber", json!(["0x1"])).await, "0x0");
    assert_eq!(rpc.ok("eth_getUncleCountByBlockNumber", json!(["0x9"])).await, Value::Null);
    assert_eq!(
        rpc.ok("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])).await,
        Value::Null
    );
}

#[tokio::test]
async fn transaction_shapes() {
    let rpc = TestRpc::new();
    let block = commit_mixed(&rpc.node);
    let l1 = rpc.ok("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"])).await;
    for (field, value) in [
        ("type", json!("0x7f")),
        ("initiator", json!(Address::repeat_byte(0x11))),
        ("from", json!(Address::repeat_byte(0x11))),
        ("gas", json!("0x493e0")),
        ("gasPerPubdataByteLimit", json!("0x320")),
        ("maxFeePerGas", json!("0x7")),
        ("maxPriorityFeePerGas", json!("0x0")),
        ("gasPrice", json!("0x7")),
        ("nonce", json!("0x4")),
        ("toMint", json!("0x989680")),
        ("factoryDeps", json!([])),
        ("v", json!("0x0")),
        ("r", json!(B256::ZERO)),
        ("yParity", json!("0x0")),
        ("blockHash", json!(block.hash())),
        ("blockNumber", json!("0x1")),
        ("transactionIndex", json!("0x0")),
        ("hash", json!(l1_transaction().hash())),
    ] {
        assert_eq!(l1[field], value, "{field}");
    }
    assert!(l1.get("chainId").is_none());

    let tx = transfer(&signer(1), 1, 2);
    let l2 = rpc.ok("eth_getTransactionByHash", json!([tx.hash()])).await;
    assert_eq!(l2["type"], "0x2");
    assert_eq!(l2["chainId"], "0x10e");
    assert_eq!(l2["from"], json!(signer(1).address()));
    assert_eq!(l2["transactionIndex"], "0x2");
    // min(2 gwei, base fee 0.1 gwei + tip 5)
    assert_eq!(l2["gasPrice"], "0x5f5e105");
    let raw_tx = rpc.ok("eth_getRawTransactionByHash", json!([tx.hash()])).await;
    assert_eq!(raw_tx, json!(raw(&tx)));
    let sender = signer(1).address();
    let found = rpc.ok("eth_getTransactionBySenderAndNonce", json!([sender, "0x1"])).await;
    assert_eq!(found, l2);
    let missing = rpc.ok("eth_getTransactionBySenderAndNonce", json!([sender, "0x7"])).await;
    assert_eq!(missing, Value::Null);
    assert_eq!(rpc.ok("eth_getTransactionByHash", json!([B256::ZERO])).await, Value::Null);
    let none = rpc.ok("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x3"])).await;
    assert_eq!(none, Value::Null);
}

#[tokio::test]
async fn receipt_shapes() {
    let rpc = TestRpc::new();
    let block = commit_mixed(&rpc.node);
    let tx = transfer(&signer(1), 1, 2);
    let receipt = rpc.ok("eth_getTransactionReceipt", json!([tx.hash()])).await;
    for (field, value) in [
        ("type", json!("0x2")),
        ("status", json!("0x1")),
        ("cumulativeGasUsed", json!("0x249f0")),
        ("gasUsed", json!("0x7148")),
        ("effectiveGasPrice", json!("0x5f5e105")),
        ("transactionHash", json!(tx.hash())),
        ("transactionIndex", json!("0x2")),
        ("blockHash", json!(block.hash())),
        ("blockNumber", json!("0x1")),
        ("from", json!(signer(1).address())),
        ("to", json!(Address::repeat_byte(0x77))),
        ("contractAddress", Value::Null),
    ] {
        assert_eq!(receipt[field], value, "{field}");
    }
    let logs = receipt["logs"].as_array().unwrap();
    // One log stands before them in the block.
    assert_eq!((&logs[0]["logIndex"], &logs[1]["logIndex"]), (&json!("0x1"), &json!("0x2")));
    assert_eq!(logs[0]["blockTimestamp"], format!("0x{:x}", block.block.header().timestamp));
    assert_eq!(logs[0]["removed"], false);
    let message = &receipt["l2ToL1Logs"][0];
    for (field, value) in [
        ("blockHash", json!(block.hash())),
        ("blockNumber", json!("0x1")),
        ("transactionHash", json!(tx.hash())),
        ("transactionIndex", json!("0x2")),
        ("logIndex", json!("0x1")),
        ("transactionLogIndex", json!("0x0")),
        ("shardId", json!("0x0")),
        ("isService", json!(true)),
        ("sender", json!("0x0000000000000000000000000000000000008008")),
        ("key", json!(Address::repeat_byte(9).into_word())),
        ("value", json!(alloy_primitives::keccak256(b"hi"))),
    ] {
        assert_eq!(message[field], value, "{field}");
    }
    let all = rpc.ok("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[2], receipt);
    assert_eq!(all[0]["type"], "0x7f");
    assert_eq!(all[0]["effectiveGasPrice"], "0x7");
    assert_eq!(rpc.ok("eth_getBlockReceipts", json!(["0x5"])).await, Value::Null);
    assert_eq!(rpc.ok("eth_getTransactionReceipt", json!([B256::ZERO])).await, Value::Null);
    // Generic clients read it as an Ethereum receipt.
    let parsed: crate::types::RpcReceipt = serde_json::from_value(receipt).unwrap();
    assert_eq!(parsed.gas_used, 29_000);
    let generic: alloy_rpc_types_eth::TransactionReceipt =
        serde_json::from_value(rpc.ok("eth_getTransactionReceipt", json!([tx.hash()])).await)
            .unwrap();
    assert_eq!(generic.gas_used, 29_000);
}

#[tokio::test]
async fn tags_and_unknown_blocks() {
    let rpc = TestRpc::new();
    for _ in 0..3 {
        rpc.node.commit_empty();
    }
    rpc.node.provider.set_safe_block(2);
    rpc.node.provider.set_finalized_block(1);
    for (tag, number) in [
        ("latest", "0x3"),
        ("pending", "0x3"),
        ("safe", "0x2"),
        ("finalized", "0x1"),
        ("earliest", "0x0"),
    ] {
        let block = rpc.ok("eth_getBlockByNumber", json!([tag, false])).await;
        assert_eq!(block["number"], number, "{tag}");
    }
    assert_eq!(rpc.ok("eth_blockNumber", json!([])).await, "0x3");
    assert_eq!(rpc.ok("eth_getBlockByNumber", json!(["0x4", false])).await, Value::Null);
    assert_eq!(rpc.ok("eth_getBlockByHash", json!([B256::ZERO, false])).await, Value::Null);
    let (code, message, _) = rpc.err("eth_getBalance", json!([Address::ZERO, "0x4"])).await;
    assert_eq!((code, message.as_str()), (-32001, "block not found: 0x4"));
    let (code, ..) =
        rpc.err("eth_getBalance", json!([Address::ZERO, {"blockHash": B256::ZERO}])).await;
    assert_eq!(code, -32001);
    let (code, ..) = rpc.err("eth_call", json!([{}, "0x4"])).await;
    assert_eq!(code, -32001);
    for bad in [json!(["0xzz", false]), json!([{}, false]), json!([])] {
        assert_eq!(rpc.err("eth_getBlockByNumber", bad).await.0, -32602);
    }
}

#[tokio::test]
async fn state_at_blocks() {
    let rpc = TestRpc::new();
    let address = Address::repeat_byte(5);
    rpc.node.fund(address, 1, 10);
    rpc.node.provider.set_code(Address::repeat_byte(6), &[0x60, 0x01]);
    let block = rpc.node.commit(TestBlock {
        accounts: vec![(address, AccountProperties::new_eoa(2, U256::from(20)))],
        storage: vec![(address, B256::with_last_byte(1), B256::with_last_byte(9))],
        ..Default::default()
    });
    assert_eq!(rpc.ok("eth_getBalance", json!([address])).await, "0x14");
    assert_eq!(rpc.ok("eth_getBalance", json!([address, "earliest"])).await, "0xa");
    let id = json!({"blockHash": block.hash(), "requireCanonical": true});
    assert_eq!(rpc.ok("eth_getBalance", json!([address, id])).await, "0x14");
    assert_eq!(rpc.ok("eth_getBalance", json!([address, {"blockNumber": "0x0"}])).await, "0xa");
    assert_eq!(rpc.ok("eth_getTransactionCount", json!([address, "0x0"])).await, "0x1");
    assert_eq!(rpc.ok("eth_getTransactionCount", json!([address, "latest"])).await, "0x2");
    let nine = json!(B256::with_last_byte(9));
    assert_eq!(rpc.ok("eth_getStorageAt", json!([address, "0x1"])).await, nine);
    assert_eq!(rpc.ok("eth_getStorageAt", json!([address, B256::with_last_byte(1)])).await, nine);
    assert_eq!(rpc.ok("eth_getStorageAt", json!([address, "0x1", "0x0"])).await, json!(B256::ZERO));
    assert_eq!(rpc.ok("eth_getCode", json!([Address::repeat_byte(6)])).await, "0x6001");
    assert_eq!(rpc.ok("eth_getCode", json!([address])).await, "0x");
    let info = rpc.ok("eth_getAccountInfo", json!([address, "latest"])).await;
    assert_eq!(info, json!({"balance": "0x14", "nonce": "0x2", "code": "0x"}));
}

#[tokio::test]
async fn fee_history_is_real_and_bounded() {
    let rpc = TestRpc::new();
    commit_mixed(&rpc.node);
    rpc.node.commit_empty();
    let history = rpc.ok("eth_feeHistory", json!(["0xffffffff", "latest", [0, 50, 100]])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    let base = "0x5f5e100";
    assert_eq!(history["baseFeePerGas"], json!(["0x3b9aca00", base, base, base]));
    assert_eq!(history["gasUsedRatio"], json!([0.0, 0.0015, 0.0]));
    // The L1 transaction used most of the gas, and what it pays says nothing about tips.
    assert_eq!(
        history["reward"],
        json!([["0x0", "0x0", "0x0"], ["0x5", "0x5", "0x5"], ["0x0", "0x0", "0x0"]])
    );
    let one = rpc.ok("eth_feeHistory", json!(["0x1", "0x1"])).await;
    assert_eq!(one["baseFeePerGas"], json!([base, base]));
    assert!(one.get("reward").is_none());
    for bad in [json!([101]), json!([-1]), json!([50, 10])] {
        let (code, message, _) = rpc.err("eth_feeHistory", json!(["0x1", "latest", bad])).await;
        assert_eq!((code, message.as_str()), (-32602, "invalid reward percentiles"));
    }
    assert_eq!(rpc.ok("eth_gasPrice", json!([])).await, base);
    assert_eq!(rpc.ok("eth_maxPriorityFeePerGas", json!([])).await, "0x0");
    assert_eq!(rpc.ok("eth_blobBaseFee", json!([])).await, "0x0");
}

#[tokio::test]
async fn small_namespaces() {
    let rpc = TestRpc::new();
    rpc.node.commit_empty();
    assert_eq!(rpc.ok("net_version", json!([])).await, "270");
    assert_eq!(rpc.ok("net_listening", json!([])).await, true);
    assert_eq!(rpc.ok("net_peerCount", json!([])).await, "0x0");
    assert_eq!(rpc.ok("eth_chainId", json!([])).await, "0x10e");
    assert_eq!(rpc.ok("eth_accounts", json!([])).await, json!([]));
    assert!(rpc.ok("web3_clientVersion", json!([])).await.as_str().unwrap().starts_with("zkos/v"));
    assert_eq!(rpc.ok("web3_sha3", json!(["0x"])).await, json!(alloy_primitives::KECCAK256_EMPTY));
    assert_eq!(rpc.err("web3_sha3", json!(["zz"])).await.0, -32602);
    assert_eq!(rpc.err("eth_sendTransaction", json!([{}])).await.1, "node has no signer accounts");
    assert_eq!(rpc.err("eth_getProof", json!([Address::ZERO, [], "latest"])).await.0, -32004);
    assert_eq!(rpc.err("eth_nothing", json!([])).await.0, -32601);

    let modules = rpc.ok("rpc_modules", json!([])).await;
    let names: Vec<_> = modules.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["debug", "eth", "net", "rpc", "trace", "txpool", "unstable", "web3", "zks"]);

    assert_eq!(rpc.err("zks_getBridgehubContract", json!([])).await.0, -32001);
    rpc.shared.set_bridgehub(Address::repeat_byte(3));
    assert_eq!(rpc.ok("zks_getBridgehubContract", json!([])).await, json!(Address::repeat_byte(3)));
    let genesis = rpc.ok("zks_getGenesis", json!([])).await;
    assert_eq!(genesis["initial_contracts"], json!([]));
    let metadata = rpc.ok("zks_getBlockMetadataByNumber", json!([1])).await;
    assert_eq!(
        metadata,
        json!({"pubdata_price_per_byte": "0x0", "native_price": "0xf4240", "execution_version": 5})
    );
    assert_eq!(rpc.ok("zks_getBlockMetadataByNumber", json!([9])).await, Value::Null);
    rpc.node.stages.register("tree").waiting("block 2");
    let status = rpc.ok("zks_pipelineStatus", json!([])).await;
    assert_eq!((&status[0]["name"], &status[0]["reason"]), (&json!("tree"), &json!("block 2")));

    assert_eq!(rpc.ok("eth_syncing", json!([])).await, false);
    rpc.shared.set_highest_block(10);
    let syncing = rpc.ok("eth_syncing", json!([])).await;
    assert_eq!(
        (&syncing["currentBlock"], &syncing["highestBlock"]),
        (&json!("0x1"), &json!("0xa"))
    );
}

#[tokio::test]
async fn only_selected_namespaces_are_there() {
    let args = RpcServerArgs { http_api: "net,web3".parse().unwrap(), ..Default::default() };
    let rpc = TestRpc::with_args(args);
    assert_eq!(rpc.ok("net_version", json!([])).await, "270");
    assert_eq!(rpc.err("eth_chainId", json!([])).await.0, -32601);
}
