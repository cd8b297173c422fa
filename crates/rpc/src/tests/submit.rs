use super::*;
use std::time::Duration;
use zkos_pool::TransactionPool;

#[tokio::test]
async fn pooled_transactions_are_visible() {
    let rpc = TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    let (first, second) = (transfer(&signer, 0, 1), transfer(&signer, 1, 2));
    let queued = transfer(&signer, 5, 3);
    for tx in [&first, &second, &queued] {
        assert_eq!(rpc.ok("eth_sendRawTransaction", json!([raw(tx)])).await, json!(tx.hash()));
    }
    let address = signer.address();
    assert_eq!(rpc.ok("eth_getTransactionCount", json!([address, "pending"])).await, "0x2");
    assert_eq!(rpc.ok("eth_getTransactionCount", json!([address, "latest"])).await, "0x0");
    let found = rpc.ok("eth_getTransactionByHash", json!([first.hash()])).await;
    assert_eq!(found["blockHash"], Value::Null);
    assert_eq!(found["from"], json!(address));
    assert_eq!(rpc.ok("eth_getTransactionReceipt", json!([first.hash()])).await, Value::Null);
    assert_eq!(
        rpc.ok("txpool_status", json!([])).await,
        json!({"pending": "0x2", "queued": "0x1"})
    );
    let content = rpc.ok("txpool_content", json!([])).await;
    let key = content["pending"].as_object().unwrap().keys().next().unwrap().clone();
    assert_eq!(key.to_lowercase(), address.to_string().to_lowercase());
    assert_eq!(content["pending"][&key]["1"]["hash"], json!(second.hash()));
    let from = rpc.ok("txpool_contentFrom", json!([address])).await;
    assert_eq!(from["queued"]["5"]["hash"], json!(queued.hash()));
    let inspect = rpc.ok("txpool_inspect", json!([])).await;
    assert!(inspect["pending"][&key]["0"].as_str().unwrap().contains("1 wei"), "{inspect}");
}

#[tokio::test]
async fn refusals_have_codes() {
    let rpc = TestRpc::new();
    let (rich, poor) = (signer(1), signer(2));
    rpc.node.fund(rich.address(), 3, ETHER);
    let send = |bytes: Bytes| {
        let rpc = &rpc;
        async move { rpc.err("eth_sendRawTransaction", json!([bytes])).await }
    };
    let (code, message, _) = send(Bytes::from_static(&[1, 2, 3])).await;
    assert_eq!((code, message.as_str()), (-32602, "failed to decode signed transaction"));
    assert_eq!(send(Bytes::new()).await.0, -32602);
    let mut surplus = raw(&transfer(&rich, 3, 1)).to_vec();
    surplus.push(0);
    assert_eq!(send(surplus.into()).await.0, -32602);
    // Transactions from L1 come from L1 only.
    assert_eq!(send(raw(&l1_transaction())).await.0, -32602);
    let (code, message, _) = send(raw(&transfer(&rich, 2, 1))).await;
    assert_eq!((code, message.as_str()), (-32000, "nonce too low: next nonce 3, tx nonce 2"));
    let (code, message, _) = send(raw(&transfer(&poor, 0, 1))).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds"), "{message}");
    let tx = transfer(&rich, 3, 1);
    rpc.ok("eth_sendRawTransaction", json!([raw(&tx)])).await;
    assert_eq!(send(raw(&tx)).await.1, "already known");
    let (code, message, _) = send(raw(&transfer(&rich, 3, 9))).await;
    assert_eq!((code, message.as_str()), (-32000, "replacement transaction underpriced"));
}

#[tokio::test]
async fn sync_submission_waits_for_the_receipt() {
    let rpc = Arc::new(TestRpc::new());
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    let (tx, late) = (transfer(&signer, 0, 1), transfer(&signer, 1, 1));
    let waiting = tokio::spawn({
        let (rpc, bytes) = (rpc.clone(), raw(&tx));
        async move { rpc.call("eth_sendRawTransactionSync", json!([bytes, 10_000])).await }
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !rpc.node.pool.contains(tx.hash()) {
        assert!(tokio::time::Instant::now() < deadline, "not submitted");
        tokio::task::yield_now().await;
    }
    rpc.node.commit_empty();
    rpc.node.commit(TestBlock { transactions: vec![tx.clone()], ..Default::default() });
    let receipt = waiting.await.unwrap().unwrap();
    assert_eq!(receipt["transactionHash"], json!(tx.hash()));
    assert_eq!(receipt["blockNumber"], "0x2");

    let (code, _, data) = rpc.err("eth_sendRawTransactionSync", json!([raw(&late), "0x1"])).await;
    assert_eq!((code, data), (4, json!(late.hash())));
}
