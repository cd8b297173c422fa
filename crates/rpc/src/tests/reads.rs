//! Which thread a read runs on.

use super::*;
use std::thread;

const CONTRACT: Address = Address::repeat_byte(0xcc);
/// More computation than a short call may do: counts down from 0xffff, then returns the gas that is left.
const LONG: [u8; 22] = [
    0x61, 0xff, 0xff, 0x5b, 0x60, 0x01, 0x90, 0x03, 0x80, 0x60, 0x03, 0x57, 0x5a, 0x5f, 0x52, 0x60,
    0x20, 0x5f, 0xf3, 0x00, 0x00, 0x00,
];

/// A node with a contract and a transaction in block 1, the transaction, and its hash.
fn node() -> (TestRpc, RecoveredTx, B256) {
    let rpc = TestRpc::new();
    rpc.node.provider.set_code(CONTRACT, &returns(&[0x5a])); // GAS
    rpc.node.provider.set_storage(CONTRACT, B256::ZERO, B256::repeat_byte(7));
    rpc.node.fund(signer(1).address(), 0, ETHER);
    let tx = transfer(&signer(1), 0, 5);
    let hash = *tx.inner().hash();
    rpc.node.execute(vec![tx.clone()]);
    (rpc, tx, hash)
}

fn reads(hash: B256) -> Vec<(&'static str, Value)> {
    let account = signer(1).address();
    vec![
        ("eth_getBalance", json!([account, "latest"])),
        ("eth_getBalance", json!([account, "0x0"])),
        ("eth_getTransactionCount", json!([account, "pending"])),
        ("eth_getCode", json!([CONTRACT, "latest"])),
        ("eth_getStorageAt", json!([CONTRACT, "0x0", "latest"])),
        ("eth_getTransactionByHash", json!([hash])),
        ("eth_getRawTransactionByHash", json!([hash])),
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"])),
        ("eth_getTransactionBySenderAndNonce", json!([account, "0x0"])),
        ("eth_getBlockByNumber", json!(["0x1", false])),
        ("eth_getHeaderByNumber", json!(["0x1"])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x1"])),
        ("eth_gasPrice", json!([])),
        ("zks_getBlockMetadataByNumber", json!([1])),
        ("eth_call", json!([{"to": CONTRACT}, "latest"])),
        ("eth_call", json!([{"to": CONTRACT, "gas": "0x7a120"}, "0x1"])),
    ]
}

#[tokio::test]
async fn what_is_in_memory_is_read_at_once() {
    let (rpc, _, hash) = node();
    for (method, params) in reads(hash) {
        rpc.ok(method, params).await;
        assert_eq!(rpc.node.provider.last_reader(), Some(thread::current().id()), "{method}");
    }
}

#[tokio::test]
async fn what_is_on_disk_is_read_elsewhere() {
    let (rpc, _, hash) = node();
    let mut answers = Vec::new();
    for (method, params) in reads(hash) {
        answers.push(rpc.ok(method, params).await);
    }
    // Another node, so that its caches know nothing.
    let (rpc, _, hash) = node();
    rpc.node.provider.put_on_disk();
    for ((method, params), expected) in reads(hash).into_iter().zip(answers) {
        assert_eq!(rpc.ok(method, params).await, expected, "{method}");
        assert_ne!(rpc.node.provider.last_reader(), Some(thread::current().id()), "{method}");
    }
}

#[tokio::test]
async fn an_unknown_hash_is_answered_from_disk_too() {
    let (rpc, ..) = node();
    rpc.node.provider.put_on_disk();
    let unknown = json!([B256::repeat_byte(0xee)]);
    assert_eq!(rpc.ok("eth_getTransactionReceipt", unknown.clone()).await, Value::Null);
    assert_eq!(rpc.ok("eth_getTransactionByHash", unknown).await, Value::Null);
}

#[tokio::test]
async fn long_calls_leave_the_thread() {
    let (rpc, ..) = node();
    let here = Some(thread::current().id());
    let long = Address::repeat_byte(0xdd);
    rpc.node.provider.set_code(long, &LONG);
    let gas = rpc.ok("eth_call", json!([{"to": long, "gas": "0x989680"}, "latest"])).await;
    assert_ne!(rpc.node.provider.last_reader(), here);
    let left = u64::from_str_radix(&gas.as_str().unwrap()[50..], 16).unwrap();
    assert!((1..10_000_000).contains(&left), "{left}");
    // So do calls with more in them than their execution.
    rpc.ok("eth_call", json!([{"to": CONTRACT}, "latest"])).await;
    assert_eq!(rpc.node.provider.last_reader(), here);
    let overrides = json!({CONTRACT.to_string(): {"balance": "0x1"}});
    let list = json!([{"address": CONTRACT, "storageKeys": []}]);
    for params in [
        json!([{"to": CONTRACT}, "latest", overrides]),
        json!([{"to": CONTRACT, "accessList": list}, "latest"]),
        json!([{"to": CONTRACT, "input": format!("0x{}", "00".repeat(5_000))}, "latest"]),
    ] {
        rpc.ok("eth_call", params.clone()).await;
        assert_ne!(rpc.node.provider.last_reader(), here, "{params}");
    }
}

#[tokio::test]
async fn reads_give_way_to_other_tasks() {
    let (rpc, ..) = node();
    let context = build(&rpc.node, RpcServerArgs::default());
    let account = signer(1).address();
    let other = tokio::spawn(async {});
    let mut reads = 0;
    while !other.is_finished() {
        context.eth.balance(account, None).await.unwrap();
        reads += 1;
        assert!(reads < 10_000, "nothing else runs");
    }
}
