use super::*;
use jsonrpsee::core::server::Subscription;
use std::time::Duration;

pub(super) async fn subscribe(rpc: &TestRpc, params: Value, buffer: usize) -> Subscription {
    let params = serde_json::value::to_raw_value(&params).unwrap();
    rpc.methods.subscribe("eth_subscribe", Raw(params), buffer).await.unwrap()
}

struct Raw(Box<serde_json::value::RawValue>);

impl jsonrpsee::core::traits::ToRpcParams for Raw {
    fn to_rpc_params(self) -> Result<Option<Box<serde_json::value::RawValue>>, serde_json::Error> {
        Ok(Some(self.0))
    }
}

pub(super) async fn next(subscription: &mut Subscription) -> Value {
    let next = subscription.next::<Value>();
    let item = tokio::time::timeout(Duration::from_secs(5), next).await.expect("nothing came");
    item.unwrap().unwrap().0
}

#[tokio::test]
async fn new_heads_and_logs() {
    let rpc = TestRpc::new();
    rpc.node.commit_empty();
    let mut heads = subscribe(&rpc, json!(["newHeads"]), 16).await;
    let filter = json!(["logs", {"address": Address::repeat_byte(2)}]);
    let mut logs = subscribe(&rpc, filter, 16).await;
    let mut receipts = subscribe(&rpc, json!(["transactionReceipts"]), 16).await;
    let block = rpc.node.commit_logs(0, vec![log(1, 1), log(2, 1)]);
    rpc.node.commit_empty();
    let head = next(&mut heads).await;
    assert_eq!((&head["number"], &head["hash"]), (&json!("0x2"), &json!(block.hash())));
    assert_eq!(next(&mut heads).await["number"], "0x3");
    let log = next(&mut logs).await;
    assert_eq!((&log["logIndex"], &log["removed"]), (&json!("0x1"), &json!(false)));
    assert_eq!(next(&mut receipts).await[0]["blockNumber"], "0x2");
}

#[tokio::test]
async fn pending_transactions() {
    let rpc = TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    let mut hashes = subscribe(&rpc, json!(["newPendingTransactions"]), 16).await;
    let mut full = subscribe(&rpc, json!(["newPendingTransactions", true]), 16).await;
    let tx = transfer(&signer, 0, 1);
    rpc.ok("eth_sendRawTransaction", json!([raw(&tx)])).await;
    assert_eq!(next(&mut hashes).await, json!(tx.hash()));
    assert_eq!(next(&mut full).await["hash"], json!(tx.hash()));
}

#[tokio::test]
async fn slow_subscriber_misses_nothing() {
    let rpc = TestRpc::new();
    // One message of buffer, and more blocks than the notifications hold.
    let mut heads = subscribe(&rpc, json!(["newHeads"]), 1).await;
    const BLOCKS: u64 = 700;
    for _ in 0..BLOCKS {
        rpc.node.commit_empty();
    }
    for number in 1..=BLOCKS {
        assert_eq!(next(&mut heads).await["number"], format!("0x{number:x}"));
    }
}

#[tokio::test]
async fn wrong_subscriptions_are_refused() {
    let rpc = TestRpc::new();
    for params in [json!(["nonsense"]), json!([]), json!(["newHeads", true]), json!(["logs", true])]
    {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        assert!(rpc.methods.subscribe("eth_subscribe", Raw(params), 1).await.is_err());
    }
}
