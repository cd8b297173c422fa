use super::*;
use alloy_sol_types::{Revert, SolError};

const CALLER: Address = Address::repeat_byte(0xc0);
const CALLEE: Address = Address::repeat_byte(0xc1);
const REVERTER: Address = Address::repeat_byte(0xc2);
/// Sets slot 0 to 7, logs topic 0xaa, returns 42.
const CALLEE_CODE: &[u8] = &[
    0x60, 0x07, 0x5f, 0x55, 0x60, 0xaa, 0x5f, 0x5f, 0xa1, 0x60, 0x2a, 0x5f, 0x52, 0x60, 0x20, 0x5f,
    0xf3,
];

/// Three transactions: a call that calls, a revert, and a creation.
fn with_block() -> (TestRpc, ExecutedBlock) {
    let rpc = TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    rpc.node.provider.set_code(CALLER, &calls(CALLEE, 0));
    rpc.node.provider.set_code(CALLEE, CALLEE_CODE);
    rpc.node.provider.set_code(REVERTER, &reverts(&Revert::from("too poor").abi_encode()));
    let block = rpc.node.execute(vec![
        invoke(&signer, 0, TxKind::Call(CALLER), vec![0x12, 0x34, 0x56, 0x78, 9]),
        invoke(&signer, 1, TxKind::Call(REVERTER), vec![]),
        invoke(&signer, 2, TxKind::Create, deploys(&[0x60, 0x01])),
    ]);
    assert_eq!(
        block.receipts.iter().map(|receipt| receipt.success).collect::<Vec<_>>(),
        [true, false, true]
    );
    (rpc, block)
}

fn hash(block: &ExecutedBlock, index: usize) -> B256 {
    *block.block.body().transactions[index].hash()
}

fn gas_used(block: &ExecutedBlock, index: usize) -> u64 {
    let before = index.checked_sub(1).map_or(0, |i| block.receipts[i].cumulative_gas_used);
    block.receipts[index].cumulative_gas_used - before
}

#[tokio::test]
async fn call_tracer() {
    let (rpc, block) = with_block();
    let sender = signer(1).address();
    let options = json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}});
    let trace = rpc.ok("debug_traceTransaction", json!([hash(&block, 0), options])).await;
    for (field, value) in [
        ("type", json!("CALL")),
        ("from", json!(sender)),
        ("to", json!(CALLER)),
        ("gas", json!("0x7a120")),
        ("gasUsed", json!(format!("0x{:x}", gas_used(&block, 0)))),
        ("input", json!("0x1234567809")),
        ("value", json!("0x0")),
    ] {
        assert_eq!(trace[field], value, "{field}");
    }
    let calls = trace["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    for (field, value) in [
        ("type", json!("CALL")),
        ("from", json!(CALLER)),
        ("to", json!(CALLEE)),
        ("input", json!("0x")),
        ("output", word(42)),
        ("value", json!("0x0")),
    ] {
        assert_eq!(calls[0][field], value, "{field}");
    }
    let log = &calls[0]["logs"][0];
    assert_eq!((&log["address"], &log["topics"][0]), (&json!(CALLEE), &word(0xaa)));
    assert!(quantity(&calls[0]["gasUsed"]) > 20_000);

    let top = json!({"tracer": "callTracer", "tracerConfig": {"onlyTopCall": true}});
    let trace = rpc.ok("debug_traceTransaction", json!([hash(&block, 0), top])).await;
    assert!(trace.get("calls").is_none());

    let reverted = rpc.ok("debug_traceTransaction", json!([hash(&block, 1), options])).await;
    assert_eq!(reverted["error"], "execution reverted");
    assert_eq!(reverted["revertReason"], "too poor");
    assert_eq!(quantity(&reverted["gasUsed"]), gas_used(&block, 1));

    let created = rpc.ok("debug_traceTransaction", json!([hash(&block, 2), options])).await;
    assert_eq!(created["type"], "CREATE");
    assert_eq!(created["to"], json!(sender.create(2)));
    assert_eq!(created["output"], "0x6001");
    assert_eq!(quantity(&created["gasUsed"]), gas_used(&block, 2));
}

#[tokio::test]
async fn struct_logger() {
    let (rpc, block) = with_block();
    let trace = rpc.ok("debug_traceTransaction", json!([hash(&block, 0)])).await;
    assert_eq!(trace["gas"], gas_used(&block, 0));
    assert_eq!(trace["failed"], false);
    assert_eq!(trace["returnValue"], "0x");
    let logs = trace["structLogs"].as_array().unwrap();
    let ops: Vec<_> = logs.iter().map(|log| log["op"].as_str().unwrap()).collect();
    let callee_ops =
        ["PUSH1", "PUSH0", "SSTORE", "PUSH1", "PUSH0", "PUSH0", "LOG1", "PUSH1", "PUSH0", "MSTORE"];
    let start = ops.iter().position(|op| *op == "CALL").unwrap() + 1;
    assert_eq!(ops[start..start + 10], callee_ops);
    assert_eq!((&logs[0]["depth"], &logs[start]["depth"]), (&json!(1), &json!(2)));
    assert_eq!(ops.last(), Some(&"STOP"));
    let store = &logs[start + 2];
    assert_eq!(store["stack"], json!(["0x7", "0x0"]));
    assert_eq!(store["storage"], json!({B256::ZERO.to_string(): word(7)}));
    // What an instruction costs is what the next one has less.
    let gas = |index: usize| logs[index]["gas"].as_u64().unwrap();
    assert_eq!(gas(0) - logs[0]["gasCost"].as_u64().unwrap(), gas(1));

    let quiet = json!({"disableStack": true, "disableStorage": true, "limit": 3});
    let trace = rpc.ok("debug_traceTransaction", json!([hash(&block, 0), quiet])).await;
    assert_eq!(trace["structLogs"].as_array().unwrap().len(), 3);
    assert!(trace["structLogs"][0].get("stack").is_none());
    let failed = rpc.ok("debug_traceTransaction", json!([hash(&block, 1), {}])).await;
    assert_eq!(failed["failed"], true);
    assert!(failed["returnValue"].as_str().unwrap().contains("08c379a0"));
}

#[tokio::test]
async fn prestate_tracer() {
    let (rpc, block) = with_block();
    let sender = signer(1).address();
    let key = |address: Address| address.to_string().to_lowercase();
    let options = json!({"tracer": "prestateTracer"});
    let before = rpc.ok("debug_traceTransaction", json!([hash(&block, 0), options])).await;
    assert_eq!(before[key(sender)]["balance"], format!("0x{ETHER:x}"));
    assert_eq!(before[key(CALLEE)]["code"], json!(Bytes::from_static(CALLEE_CODE)));
    assert_eq!(before[key(CALLEE)]["storage"], json!({B256::ZERO.to_string(): B256::ZERO}));
    // Paid only by this transaction: it did not exist before.
    assert!(before.get(key(COINBASE)).is_none());
    // The second transaction starts where the first ended.
    let before = rpc.ok("debug_traceTransaction", json!([hash(&block, 1), options])).await;
    assert_eq!(before[key(sender)]["nonce"], 1);
    assert!(before.get(key(COINBASE)).is_some());
    assert!(before.get(key(CALLEE)).is_none());

    let diff = json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}});
    let changes = rpc.ok("debug_traceTransaction", json!([hash(&block, 0), diff])).await;
    let (pre, post) = (&changes["pre"], &changes["post"]);
    assert_eq!(post[key(sender)]["nonce"], 1);
    assert_eq!(post[key(CALLEE)], json!({"storage": {B256::ZERO.to_string(): word(7)}}));
    let fee = u128::from(gas_used(&block, 0)) * 100_000_005;
    assert_eq!(pre[key(sender)]["balance"], format!("0x{ETHER:x}"));
    assert_eq!(post[key(sender)]["balance"], format!("0x{:x}", ETHER - fee));
    assert_eq!(post[key(COINBASE)]["balance"], format!("0x{fee:x}"));
    assert!(post.get(key(CALLER)).is_none(), "{changes}");
    let changes = rpc.ok("debug_traceTransaction", json!([hash(&block, 2), diff])).await;
    assert_eq!(changes["post"][key(sender.create(2))], json!({"code": "0x6001", "nonce": 1}));
}

#[tokio::test]
async fn small_tracers() {
    let (rpc, block) = with_block();
    let trace = async |options: Value| {
        rpc.ok("debug_traceTransaction", json!([hash(&block, 0), options])).await
    };
    assert_eq!(trace(json!({"tracer": "4byteTracer"})).await, json!({"0x12345678-1": 1}));
    assert_eq!(trace(json!({"tracer": "noopTracer"})).await, json!({}));
    let flat = trace(json!({"tracer": "flatCallTracer"})).await;
    let flat = flat.as_array().unwrap();
    assert_eq!(flat.len(), 2);
    assert_eq!(flat[1]["traceAddress"], json!([0]));
    assert_eq!(flat[1]["action"]["to"], json!(CALLEE));
    assert_eq!(flat[0]["transactionHash"], json!(hash(&block, 0)));
    let config =
        json!({"callTracer": {}, "4byteTracer": null, "prestateTracer": {"diffMode": true}});
    let mux = trace(json!({"tracer": "muxTracer", "tracerConfig": config})).await;
    assert_eq!(quantity(&mux["callTracer"]["gasUsed"]), gas_used(&block, 0));
    assert_eq!(mux["4byteTracer"], json!({"0x12345678-1": 1}));
    assert!(mux["prestateTracer"]["post"].is_object(), "{mux}");
}

#[tokio::test]
async fn blocks_are_traced() {
    let (rpc, block) = with_block();
    let options = json!({"tracer": "callTracer"});
    let by_number = rpc.ok("debug_traceBlockByNumber", json!(["0x1", options])).await;
    let traces = by_number.as_array().unwrap();
    assert_eq!(traces.len(), 3);
    for (index, trace) in traces.iter().enumerate() {
        assert_eq!(trace["txHash"], json!(hash(&block, index)));
        assert_eq!(quantity(&trace["result"]["gasUsed"]), gas_used(&block, index));
    }
    let by_hash = rpc.ok("debug_traceBlockByHash", json!([block.hash(), options])).await;
    assert_eq!(by_hash, by_number);
    let rlp = rpc.ok("debug_getRawBlock", json!(["0x1"])).await;
    assert_eq!(rpc.ok("debug_traceBlock", json!([rlp, options])).await, by_number);
    let longer = format!("{}00", rlp.as_str().unwrap());
    let (code, message, _) = rpc.err("debug_traceBlock", json!([longer, options])).await;
    assert_eq!(code, -32602, "{message}");
    assert_eq!(rpc.ok("debug_traceBlockByNumber", json!(["0x0"])).await, json!([]));
    assert_eq!(rpc.ok("trace_block", json!(["0x0"])).await, json!([]));
    for (method, params) in [
        ("debug_traceBlockByNumber", json!(["0x9"])),
        ("debug_traceBlockByHash", json!([B256::ZERO])),
        ("debug_traceTransaction", json!([B256::ZERO])),
    ] {
        assert_eq!(rpc.err(method, params).await.0, -32001, "{method}");
    }
    assert_eq!(rpc.ok("trace_block", json!(["0x9"])).await, Value::Null);
    assert_eq!(rpc.ok("trace_transaction", json!([B256::ZERO])).await, Value::Null);
    for options in [
        json!({"tracer": "noSuchTracer"}),
        json!({"tracer": "callTracer", "tracerConfig": {"onlyTopCall": 5}}),
    ] {
        let (code, message, _) =
            rpc.err("debug_traceTransaction", json!([hash(&block, 0), options])).await;
        assert_eq!(code, -32602, "{message}");
    }
}

#[tokio::test]
async fn calls_are_traced() {
    let (rpc, _) = with_block();
    let call = json!({"to": CALLER});
    let options = json!({"tracer": "callTracer"});
    let trace = rpc.ok("debug_traceCall", json!([call, "latest", options])).await;
    assert_eq!(trace["calls"][0]["output"], word(42));
    // The state before the first transaction, and after it.
    let reads = Bytes::from(returns(&[0x5f, 0x54]));
    for (index, value) in [("0x0", 0), ("0x1", 7), ("0x9", 7)] {
        let options = json!({
            "tracer": "callTracer",
            "txIndex": index,
            "stateOverrides": {CALLEE.to_string(): {"code": reads}},
        });
        let trace = rpc.ok("debug_traceCall", json!([{"to": CALLEE}, "latest", options])).await;
        assert_eq!(trace["output"], word(value), "{index}");
    }
    let number = json!({"tracer": "callTracer", "blockOverrides": {"number": "0x64"},
        "stateOverrides": {CALLEE.to_string(): {"code": Bytes::from(returns(&[0x43]))}}});
    let trace = rpc.ok("debug_traceCall", json!([{"to": CALLEE}, "latest", number])).await;
    assert_eq!(trace["output"], word(100));
    let many = rpc
        .ok(
            "debug_traceCallMany",
            json!([[{"transactions": [call, {"to": REVERTER}]}], {"blockNumber": "0x0"}, options]),
        )
        .await;
    assert_eq!(many[0][0]["calls"][0]["output"], word(42));
    assert_eq!(many[0][1]["error"], "execution reverted");
    let poor = json!([{"to": CALLER, "value": "0x1"}, "latest", options]);
    assert_eq!(rpc.err("debug_traceCall", poor).await.0, -32000);
}

#[tokio::test]
async fn parity_traces() {
    let (rpc, block) = with_block();
    let sender = signer(1).address();
    let traces = rpc.ok("trace_transaction", json!([hash(&block, 0)])).await;
    let first = &traces[0];
    for (field, value) in [
        ("blockHash", json!(block.hash())),
        ("blockNumber", json!(1)),
        ("subtraces", json!(1)),
        ("traceAddress", json!([])),
        ("transactionHash", json!(hash(&block, 0))),
        ("transactionPosition", json!(0)),
        ("type", json!("call")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!(first["action"]["callType"], "call");
    assert_eq!(first["action"]["from"], json!(sender));
    assert_eq!(traces[1]["result"]["output"], word(42));
    assert_eq!(rpc.ok("trace_get", json!([hash(&block, 0), ["0x0"]])).await, traces[1]);
    assert_eq!(rpc.ok("trace_get", json!([hash(&block, 0), ["0x5"]])).await, Value::Null);

    let all = rpc.ok("trace_block", json!(["latest"])).await;
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(all[2]["error"], "Reverted");
    assert_eq!(all[3]["type"], "create");
    assert_eq!(all[3]["result"]["address"], json!(sender.create(2)));

    let filter = async |filter: Value| {
        let found = rpc.ok("trace_filter", json!([filter])).await;
        found.as_array().unwrap().clone()
    };
    assert_eq!(filter(json!({"fromBlock": "0x0", "toBlock": "0x1"})).await, *all);
    assert_eq!(filter(json!({"fromBlock": "0x0", "toAddress": [CALLEE]})).await, all[1..2]);
    assert_eq!(filter(json!({"fromBlock": "0x0", "after": 1, "count": 2})).await, all[1..3]);
    let reversed = json!([{"fromBlock": "0x2", "toBlock": "0x1"}]);
    assert_eq!(rpc.err("trace_filter", reversed).await.0, -32602);

    let types = json!(["trace", "stateDiff", "vmTrace"]);
    let replayed = rpc.ok("trace_replayTransaction", json!([hash(&block, 0), types])).await;
    assert_eq!(replayed["output"], "0x");
    assert_eq!(replayed["trace"].as_array().unwrap().len(), 2);
    let diff = &replayed["stateDiff"][CALLEE.to_string().to_lowercase()];
    assert_eq!(
        diff["storage"][B256::ZERO.to_string()],
        json!({"*": {"from": B256::ZERO, "to": word(7)}})
    );
    assert_eq!(diff["balance"], "=");
    let coinbase = &replayed["stateDiff"][COINBASE.to_string().to_lowercase()];
    assert!(coinbase["balance"]["+"].is_string(), "{coinbase}");
    let sub = replayed["vmTrace"]["ops"].as_array().unwrap();
    assert!(sub.iter().any(|op| op["sub"]["ops"].is_array()));
    let block_replayed =
        rpc.ok("trace_replayBlockTransactions", json!(["0x1", ["trace", "stateDiff"]])).await;
    assert_eq!(block_replayed.as_array().unwrap().len(), 3);
    assert_eq!(block_replayed[0]["transactionHash"], json!(hash(&block, 0)));
    assert_eq!(block_replayed[0]["stateDiff"], replayed["stateDiff"]);

    let called = rpc.ok("trace_call", json!([{"to": CALLER}, ["trace"], "latest"])).await;
    assert_eq!(called["trace"][1]["result"]["output"], word(42));
    let many = json!([[[{"to": CALLER}, ["stateDiff"]], [{"to": CALLER}, ["stateDiff"]]], "0x0"]);
    let many = rpc.ok("trace_callMany", many).await;
    let callee = CALLEE.to_string().to_lowercase();
    assert!(many[0]["stateDiff"].get(&callee).is_some());
    // Nothing is left to change for the second call.
    assert!(many[1]["stateDiff"].get(&callee).is_none(), "{many}");
    let tx = invoke(&signer(1), 3, TxKind::Call(CALLER), vec![]);
    let traced = rpc.ok("trace_rawTransaction", json!([raw(&tx), ["trace"]])).await;
    assert_eq!(traced["trace"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_result_that_differs_from_the_receipt_is_not_served() {
    let rpc = TestRpc::new();
    rpc.node.fund(signer(1).address(), 0, ETHER);
    // Its receipt is made up: the transfer emits no log.
    let block = rpc.node.commit_logs(0, vec![log(1, 1)]);
    let (code, message, _) = rpc.err("debug_traceTransaction", json!([hash(&block, 0)])).await;
    assert_eq!((code, message.as_str()), (-32603, "internal error"));
}

#[tokio::test]
async fn huge_traces_are_refused() {
    let rpc = TestRpc::new();
    // Endless: JUMPDEST PUSH0 JUMP.
    rpc.node.provider.set_code(CALLEE, &[0x5b, 0x5f, 0x56]);
    let options = json!({"tracer": "callTracer"});
    let call = json!([{"to": CALLEE, "gas": "0x5f5e100"}, "latest", options]);
    let trace = rpc.ok("debug_traceCall", call).await;
    assert_eq!(trace["error"], "out of gas");
    let (code, message, _) =
        rpc.err("debug_traceCall", json!([{"to": CALLEE, "gas": "0x5f5e100"}, "latest"])).await;
    assert_eq!(code, -32005, "{message}");
}

#[tokio::test]
async fn the_timeout_of_a_trace_is_kept() {
    let rpc = TestRpc::new();
    rpc.node.provider.set_code(CALLEE, &[0x5b, 0x5f, 0x56]);
    let call = json!({"to": CALLEE, "gas": "0x5f5e100"});
    let options = |timeout| json!({"tracer": "callTracer", "timeout": timeout});
    let (code, message, _) =
        rpc.err("debug_traceCall", json!([call, "latest", options("0s")])).await;
    assert_eq!((code, message.as_str()), (-32000, "execution timeout"));
    let trace = rpc.ok("debug_traceCall", json!([call, "latest", options("1h0m")])).await;
    assert_eq!(trace["error"], "out of gas");
    let (code, message, _) =
        rpc.err("debug_traceCall", json!([call, "latest", options("soon")])).await;
    assert_eq!(code, -32602, "{message}");
}
