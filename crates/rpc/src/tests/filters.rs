use super::*;
use std::time::Duration;

#[tokio::test]
async fn logs_by_range_and_hash() {
    let rpc = TestRpc::new();
    let one = rpc.node.commit_logs(0, vec![log(1, 1), log(2, 1)]);
    rpc.node.commit_empty();
    rpc.node.commit_logs(1, vec![log(1, 2)]);
    let get = |filter: Value| {
        let rpc = &rpc;
        async move { rpc.ok("eth_getLogs", json!([filter])).await.as_array().unwrap().clone() }
    };
    assert_eq!(get(json!({"fromBlock": "0x0", "toBlock": "latest"})).await.len(), 3);
    assert_eq!(get(json!({"fromBlock": "earliest", "toBlock": "0xffff"})).await.len(), 3);
    // Default is the head alone.
    assert_eq!(get(json!({})).await.len(), 1);
    let first = Address::repeat_byte(1);
    assert_eq!(get(json!({"fromBlock": "0x0", "address": first})).await.len(), 2);
    let topic = B256::repeat_byte(1);
    assert_eq!(get(json!({"fromBlock": "0x0", "topics": [topic]})).await.len(), 2);
    assert_eq!(get(json!({"fromBlock": "0x0", "topics": [null, topic]})).await.len(), 0);
    let by_hash = get(json!({"blockHash": one.hash(), "address": Address::repeat_byte(2)})).await;
    assert_eq!(by_hash.len(), 1);
    assert_eq!(by_hash[0]["logIndex"], "0x1");
    assert_eq!(get(json!({"fromBlock": "0x9", "toBlock": "0xa"})).await.len(), 0);

    let (code, message, _) =
        rpc.err("eth_getLogs", json!([{"fromBlock": "0x3", "toBlock": "0x1"}])).await;
    assert_eq!((code, message.as_str()), (-32602, "invalid block range params"));
    assert_eq!(rpc.err("eth_getLogs", json!([{"blockHash": B256::ZERO}])).await.0, -32001);
}

#[tokio::test]
async fn repeated_queries_see_new_blocks() {
    let rpc = TestRpc::new();
    let all = || rpc.ok("eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": "0xff"}]));
    rpc.node.commit_logs(0, vec![log(1, 1), log(2, 1)]);
    let first = all().await;
    // Now from memory.
    assert_eq!(all().await, first);
    let other = rpc.node.commit_logs(1, vec![log(1, 2)]);
    let more = all().await;
    assert_eq!(more.as_array().unwrap()[..2], first.as_array().unwrap()[..]);
    assert_eq!(more[2]["blockHash"], json!(other.hash()));
    let by_hash = rpc.ok("eth_getLogs", json!([{"blockHash": other.hash()}])).await;
    assert_eq!(by_hash[0], more[2]);
    rpc.node.provider.put_on_disk();
    rpc.node.commit_logs(2, vec![log(3, 3)]);
    assert_eq!(all().await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn log_limits() {
    let args =
        RpcServerArgs { max_blocks_per_filter: 2, max_logs_per_response: 2, ..Default::default() };
    let rpc = TestRpc::with_args(args);
    let id = rpc.ok("eth_newFilter", json!([{}])).await;
    for nonce in 0..4 {
        rpc.node.commit_logs(nonce, vec![log(1, 1); 2]);
    }
    let range = |from: &str, to: &str| json!([{"fromBlock": from, "toBlock": to}]);
    let (code, message, _) = rpc.err("eth_getLogs", range("0x0", "0x3")).await;
    assert_eq!((code, message.as_str()), (-32602, "query exceeds max block range 2"));
    let (code, message, _) = rpc.err("eth_getLogs", range("0x1", "0x3")).await;
    assert_eq!(code, -32602);
    assert_eq!(message, "query exceeds max results 2, retry with the range 1-1");
    assert_eq!(rpc.ok("eth_getLogs", range("0x1", "0x1")).await.as_array().unwrap().len(), 2);
    // A polled filter is not stopped by the limit: it hands out block after block.
    for block in 1..=4 {
        let logs = rpc.ok("eth_getFilterChanges", json!([id])).await;
        let numbers: Vec<_> =
            logs.as_array().unwrap().iter().map(|log| log["blockNumber"].clone()).collect();
        assert_eq!(numbers, vec![json!(format!("0x{block:x}")); 2]);
    }
    assert_eq!(rpc.ok("eth_getFilterChanges", json!([id])).await, json!([]));
}

#[tokio::test]
async fn changes_come_once_and_completely() {
    let rpc = TestRpc::new();
    rpc.node.commit_logs(0, vec![log(1, 1)]);
    let default = rpc.ok("eth_newFilter", json!([{}])).await;
    let ranged = rpc.ok("eth_newFilter", json!([{"fromBlock": "0x0", "toBlock": "0x3"}])).await;
    let blocks = rpc.ok("eth_newBlockFilter", json!([])).await;
    let changes = |id: &Value| {
        let (rpc, id) = (&rpc, id.clone());
        async move { rpc.ok("eth_getFilterChanges", json!([id])).await.as_array().unwrap().clone() }
    };
    // Nothing happened since the filters were installed.
    for id in [&default, &ranged, &blocks] {
        assert!(changes(id).await.is_empty());
    }
    let mut hashes = Vec::new();
    for nonce in 1..=4 {
        hashes.push(json!(rpc.node.commit_logs(nonce, vec![log(1, 1)]).hash()));
    }
    // Several blocks between two polls: all of them.
    assert_eq!(changes(&blocks).await, hashes);
    assert_eq!(changes(&default).await.len(), 4);
    // Blocks 2 and 3: the filter ends there.
    assert_eq!(changes(&ranged).await.len(), 2);
    for id in [&default, &ranged, &blocks] {
        assert!(changes(id).await.is_empty(), "reported twice");
    }
    let all = rpc.ok("eth_getFilterLogs", json!([ranged])).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(rpc.err("eth_getFilterLogs", json!([blocks])).await.0, -32602);
    assert_eq!(rpc.ok("eth_uninstallFilter", json!([blocks])).await, true);
    assert_eq!(rpc.ok("eth_uninstallFilter", json!([blocks])).await, false);
    let (code, message, _) = rpc.err("eth_getFilterChanges", json!([blocks])).await;
    assert_eq!((code, message.as_str()), (-32000, "filter not found"));
    let reversed = json!([{"fromBlock": "0x5", "toBlock": "0x1"}]);
    assert_eq!(rpc.err("eth_newFilter", reversed).await.0, -32602);
}

#[tokio::test]
async fn pending_transactions_are_reported() {
    let rpc = TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    let hashes = rpc.ok("eth_newPendingTransactionFilter", json!([])).await;
    let full = rpc.ok("eth_newPendingTransactionFilter", json!([true])).await;
    let tx = transfer(&signer, 0, 1);
    rpc.ok("eth_sendRawTransaction", json!([raw(&tx)])).await;
    let changes = rpc.ok("eth_getFilterChanges", json!([hashes])).await;
    assert_eq!(changes, json!([tx.hash()]));
    let changes = rpc.ok("eth_getFilterChanges", json!([full])).await;
    assert_eq!(changes[0]["hash"], json!(tx.hash()));
    assert_eq!(rpc.ok("eth_getFilterChanges", json!([hashes])).await, json!([]));
}

#[tokio::test]
async fn unpolled_filters_go() {
    let args = RpcServerArgs { stale_filter_ttl: Duration::from_millis(20), ..Default::default() };
    let rpc = TestRpc::with_args(args);
    let id = rpc.ok("eth_newBlockFilter", json!([])).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    // Uninstalling does not count as a poll.
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if rpc.call("eth_getFilterChanges", json!([id])).await.is_err() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "filter stays");
    }
}
