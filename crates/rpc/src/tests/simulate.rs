use super::*;
use alloy_consensus::Transaction as _;

const COUNTER: Address = Address::repeat_byte(0xc3);
const CALLER: Address = Address::repeat_byte(0xc4);
const READER: Address = Address::repeat_byte(0xc5);
/// Adds one to slot 0 and returns what it was.
const COUNTER_CODE: &[u8] =
    &[0x5f, 0x54, 0x80, 0x60, 0x01, 0x01, 0x5f, 0x55, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];

fn rpc() -> TestRpc {
    let rpc = TestRpc::new();
    rpc.node.fund(signer(1).address(), 0, ETHER);
    rpc.node.provider.set_code(COUNTER, COUNTER_CODE);
    rpc.node.provider.set_code(CALLER, &calls(COUNTER, 0));
    rpc.node.execute(vec![]);
    rpc
}

#[tokio::test]
async fn calls_build_on_each_other() {
    let rpc = rpc();
    let call = json!({"to": COUNTER});
    let bundle = json!({"transactions": [call, call]});
    let results = rpc.ok("eth_callMany", json!([[bundle, bundle]])).await;
    let values: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|bundle| bundle.as_array().unwrap())
        .map(|result| result["value"].clone())
        .collect();
    assert_eq!(values, [word(0), word(1), word(2), word(3)]);
    // Nothing stays, a contract of an earlier bundle can be called, and a failure stops nothing.
    let created = signer(1).address().create(0);
    let deploy =
        json!({"from": signer(1).address(), "data": Bytes::from(deploys(&returns(&[0x60, 0x2a])))});
    let poor = json!({"to": COUNTER, "value": "0x1"});
    let bundles =
        json!([{"transactions": [deploy, poor]}, {"transactions": [{"to": created}, call]}]);
    let results = rpc.ok("eth_callMany", json!([bundles])).await;
    assert!(results[0][1]["error"].as_str().unwrap().starts_with("insufficient funds"));
    assert_eq!(results[1], json!([{"value": word(42)}, {"value": word(0)}]));
    // Overrides of state and block, and a place in a block.
    let number = json!([{"transactions": [{"to": COUNTER}], "blockOverride": {"number": "0x64"}}]);
    let code = json!({COUNTER.to_string(): {"code": Bytes::from(returns(&[0x43]))}});
    let results = rpc.ok("eth_callMany", json!([number, {"blockNumber": "0x1"}, code])).await;
    assert_eq!(results[0][0]["value"], word(100));
    let signer = signer(1);
    let tx = |nonce| invoke(&signer, nonce, TxKind::Call(COUNTER), vec![]);
    rpc.node.execute(vec![tx(0), tx(1)]);
    for (index, value) in [(0, 0), (1, 1), (2, 2), (-1, 2)] {
        let context = json!({"blockNumber": "0x2", "transactionIndex": index});
        let results = rpc.ok("eth_callMany", json!([[{"transactions": [call]}], context])).await;
        assert_eq!(results[0][0]["value"], word(value), "{index}");
    }
    assert_eq!(rpc.err("eth_callMany", json!([[]])).await.0, -32602);
}

#[tokio::test]
async fn simulated_blocks() {
    let rpc = rpc();
    let sender = signer(1).address();
    let payload = json!({
        "blockStateCalls": [
            {"calls": [{"to": COUNTER}, {"from": sender, "to": COUNTER}]},
            {
                "blockOverrides": {"number": "0x4", "time": "0x7fffffff"},
                "stateOverrides": {READER.to_string(): {"code": Bytes::from(returns(&[0x42]))}},
                "calls": [{"to": COUNTER}, {"to": READER}, {"to": READER, "gas": "0x5210"}],
            },
        ],
        "returnFullTransactions": true,
    });
    let blocks = rpc.ok("eth_simulateV1", json!([payload, "latest"])).await;
    let numbers: Vec<_> =
        blocks.as_array().unwrap().iter().map(|block| block["number"].clone()).collect();
    // The gap is filled.
    assert_eq!(numbers, [json!("0x2"), json!("0x3"), json!("0x4")]);
    let first = &blocks[0];
    assert_eq!(first["calls"][0]["returnData"], word(0));
    assert_eq!(first["calls"][1]["returnData"], word(1));
    assert_eq!(first["calls"][1]["status"], "0x1");
    assert_eq!(first["baseFeePerGas"], "0x0");
    assert_eq!(first["transactions"][1]["from"], json!(sender));
    assert_eq!(first["transactions"][1]["blockHash"], first["hash"]);
    let gas: u64 = (0..2).map(|i| quantity(&first["calls"][i]["gasUsed"])).sum();
    assert_eq!(quantity(&first["gasUsed"]), gas);
    assert_eq!(blocks[1]["parentHash"], first["hash"]);
    assert_eq!(blocks[1]["calls"], json!([]));
    assert_eq!(blocks[2]["parentHash"], blocks[1]["hash"]);
    assert_eq!(blocks[2]["calls"][0]["returnData"], word(2));
    assert_eq!(blocks[2]["calls"][1]["returnData"], word(0x7fff_ffff));
    // 21008 gas are not enough: an outer frame that runs out is no revert.
    let starved = &blocks[2]["calls"][2];
    assert_eq!(starved["status"], "0x0", "{starved}");
    assert_eq!(starved["error"]["code"], -32015, "{starved}");
    assert_eq!(rpc.ok("eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test]
async fn simulated_transfers_are_logs() {
    let rpc = rpc();
    let sender = signer(1).address();
    rpc.node.provider.set_code(CALLER, &calls(READER, 3));
    let call = json!({"from": sender, "to": CALLER, "value": "0x5"});
    let payload = json!({"blockStateCalls": [{"calls": [call]}], "traceTransfers": true});
    let blocks = rpc.ok("eth_simulateV1", json!([payload])).await;
    let logs = blocks[0]["calls"][0]["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 2);
    for (log, (from, to, value)) in logs.iter().zip([(sender, CALLER, 5), (CALLER, READER, 3)]) {
        assert_eq!(log["address"], json!(Address::repeat_byte(0xee)));
        assert_eq!(log["topics"][1], json!(from.into_word()));
        assert_eq!(log["topics"][2], json!(to.into_word()));
        assert_eq!(log["data"], word(value));
        assert_eq!(log["blockHash"], blocks[0]["hash"]);
    }
    assert_eq!(logs[1]["logIndex"], "0x1");
}

#[tokio::test]
async fn wrong_simulations() {
    let rpc = rpc();
    let sender = signer(1).address();
    let call = |extra: Value| {
        let mut call = json!({"from": sender, "to": COUNTER, "gas": "0x186a0",
            "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x0"});
        call.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([{"blockStateCalls": [{"calls": [call]}], "validation": true}])
    };
    rpc.ok("eth_simulateV1", call(json!({}))).await;
    for (extra, code) in [
        (json!({"nonce": "0x5"}), -38011),
        (json!({"value": "0xffffffffffffffffffff"}), -38014),
        (json!({"gas": "0x5207"}), -38013),
        (json!({"gas": "0xffffffff"}), -38015),
    ] {
        let (found, message, _) = rpc.err("eth_simulateV1", call(extra.clone())).await;
        assert_eq!(found, code, "{extra}: {message}");
    }
    let block = |overrides: Value| json!([{"blockStateCalls": [{"blockOverrides": overrides}]}]);
    assert_eq!(rpc.err("eth_simulateV1", block(json!({"number": "0x1"}))).await.0, -38020);
    assert_eq!(rpc.err("eth_simulateV1", block(json!({"time": "0x1"}))).await.0, -38021);
    assert_eq!(rpc.err("eth_simulateV1", block(json!({"number": "0xffffff"}))).await.0, -38026);
    assert_eq!(rpc.err("eth_simulateV1", json!([{"blockStateCalls": []}])).await.0, -32602);
    assert_eq!(
        rpc.err("eth_simulateV1", json!([{"blockStateCalls": [{}]}, "0x9"])).await.0,
        -32001
    );
}

#[tokio::test]
async fn access_lists() {
    let rpc = rpc();
    let sender = signer(1).address();
    let request = json!({"from": sender, "to": CALLER});
    let result = rpc.ok("eth_createAccessList", json!([request, "latest"])).await;
    assert_eq!(result["accessList"], json!([{"address": COUNTER, "storageKeys": [B256::ZERO]}]));
    assert!(result.get("error").is_none());
    // It is the gas of a transaction with the list.
    let mut listed = request.clone();
    listed["accessList"] = result["accessList"].clone();
    let same = rpc.ok("eth_createAccessList", json!([listed, "latest"])).await;
    assert_eq!(same, result);
    // The transaction's own target is warm, its slots are not.
    let own = rpc.ok("eth_createAccessList", json!([{"to": COUNTER}])).await;
    assert_eq!(own["accessList"], json!([{"address": COUNTER, "storageKeys": [B256::ZERO]}]));
    let plain = rpc.ok("eth_createAccessList", json!([{"from": sender, "to": READER}])).await;
    assert_eq!(plain["accessList"], json!([]));
    let code = json!({COUNTER.to_string(): {"code": Bytes::from(reverts(&[1]))}});
    let failed = rpc.ok("eth_createAccessList", json!([{"to": COUNTER}, "latest", code])).await;
    assert!(failed["error"].as_str().unwrap().starts_with("execution reverted"), "{failed}");
}

#[tokio::test]
async fn transactions_are_filled() {
    let rpc = rpc();
    let signer = signer(1);
    let first = transfer(&signer, 0, 1);
    rpc.ok("eth_sendRawTransaction", json!([raw(&first)])).await;
    let request = json!({"from": signer.address(), "to": COUNTER});
    let filled = rpc.ok("eth_fillTransaction", json!([request])).await;
    let tx = &filled["tx"];
    for (field, value) in [
        ("type", "0x2"),
        ("chainId", "0x10e"),
        ("nonce", "0x1"),
        ("maxFeePerGas", "0xbebc200"),
        ("maxPriorityFeePerGas", "0x0"),
        ("r", "0x0"),
        ("s", "0x0"),
    ] {
        assert_eq!(tx[field], value, "{field}");
    }
    let estimate = rpc.ok("eth_estimateGas", json!([request])).await;
    assert_eq!(tx["gas"], estimate);
    // What comes back can be signed and sent.
    let bytes: Bytes = serde_json::from_value(filled["raw"].clone()).unwrap();
    let decoded: ZkTxEnvelope =
        alloy_eips::Decodable2718::decode_2718(&mut bytes.as_ref()).unwrap();
    assert_eq!((decoded.nonce(), decoded.to()), (1, Some(COUNTER)));
    let legacy = json!({"from": signer.address(), "to": COUNTER, "type": "0x0", "gas": "0x186a0"});
    let filled = rpc.ok("eth_fillTransaction", json!([legacy])).await;
    assert_eq!(filled["tx"]["gasPrice"], "0x5f5e100");
    assert_eq!(filled["tx"]["gas"], "0x186a0");
    assert_eq!(rpc.err("eth_fillTransaction", json!([{"to": COUNTER}])).await.0, -32602);
    let other = json!({"from": signer.address(), "chainId": "0x1"});
    assert_eq!(rpc.err("eth_fillTransaction", json!([other])).await.0, -32602);
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let rpc = rpc();
    for (method, params) in [
        ("eth_getWork", json!([])),
        ("eth_submitWork", json!(["0x0000000000000001", B256::ZERO, B256::ZERO])),
        ("eth_submitHashrate", json!(["0x1", B256::ZERO])),
        ("eth_getProof", json!([COUNTER, ["0x0"], "latest"])),
        ("eth_getAccount", json!([COUNTER, "latest"])),
    ] {
        assert_eq!(rpc.err(method, params).await.0, -32004, "{method}");
    }
    let (code, message, _) = rpc.err("eth_sendRawTransaction", json!(["0x03c0"])).await;
    assert_eq!((code, message.as_str()), (-32602, "EIP-4844 transactions are not supported"));
}
