//! The methods, in the shapes that Otterscan reads.

use super::*;
use alloy_sol_types::{Revert, SolError};

fn far(n: u8) -> Address {
    Address::repeat_byte(n)
}

fn hashes(page: &Value) -> Vec<B256> {
    page["txs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tx| serde_json::from_value(tx["hash"].clone()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_otterscan_asks_first() {
    let bed = Bed::new();
    let block = bed.block(vec![pay(0, far(1), 1)]).await;
    assert_eq!(bed.ok("ots_getApiLevel", json!([])).await, 8);
    let header = bed.ok("eth_getHeaderByNumber", json!(["0x1"])).await;
    assert_eq!(header["hash"], json!(block.hash()));
    for number in [json!(1), json!("1"), json!("0x1"), json!("latest")] {
        for method in ["erigon_getHeaderByNumber", "ots_getHeaderByNumber"] {
            assert_eq!(bed.ok(method, json!([number])).await, header, "{method} {number}");
        }
    }
    assert_eq!(bed.ok("erigon_getHeaderByNumber", json!([2])).await, Value::Null);
}

/// The other direction is checked against a whole node.
#[tokio::test]
async fn every_method_is_documented() {
    let docs = include_str!("../../../../docs/rpc.md");
    for method in Bed::new().methods.method_names() {
        let (namespace, name) = method.split_once('_').unwrap();
        let row = format!("| `{namespace}` |");
        let name = format!("`{name}`");
        let found = docs.lines().any(|line| line.starts_with(&row) && line.contains(&name));
        assert!(found, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_there_from_its_block_on() {
    let bed = Bed::new();
    bed.block(vec![pay(0, far(1), 1)]).await;
    bed.block(vec![deploy(1, &[0x00])]).await;
    let contract = user().address().create(1);
    for (params, expected) in [
        (json!([contract]), true),
        (json!([contract, null]), true),
        (json!([contract, "latest"]), true),
        (json!([contract, 2]), true),
        (json!([contract, "0x1"]), false),
        (json!([far(1), "latest"]), false),
    ] {
        assert_eq!(bed.ok("ots_hasCode", params.clone()).await, expected, "{params}");
    }
    assert_eq!(bed.err("ots_hasCode", json!([contract, 3])).await.0, -32001);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_their_pages() {
    let bed = Bed::new();
    let sent: Vec<_> = (0..7).map(|nonce| invoke(nonce, far(1))).collect();
    let block = bed.block(sent.clone()).await;
    let plain = bed.ok("eth_getBlockByNumber", json!(["0x1", true])).await;
    let receipts = bed.ok("eth_getBlockReceipts", json!(["0x1"])).await;
    let quantity = |value: &Value| -> U256 { serde_json::from_value(value.clone()).unwrap() };

    let details = bed.ok("ots_getBlockDetails", json!([1])).await;
    let by_hash = bed.ok("ots_getBlockDetailsByHash", json!([block.hash()])).await;
    assert_eq!(details, by_hash);
    for (field, value) in details["block"].as_object().unwrap() {
        match field.as_str() {
            "transactionCount" => assert_eq!(*value, 7),
            "logsBloom" => assert_eq!(*value, Value::Null),
            "uncles" => assert_eq!(*value, json!([])),
            _ => assert_eq!(*value, plain[field], "{field}"),
        }
    }
    for field in ["size", "timestamp", "gasUsed", "baseFeePerGas", "sha3Uncles", "stateRoot"] {
        assert!(details["block"][field].is_string(), "{field}");
    }
    assert!(details["block"].get("transactions").is_none());
    let zero = json!("0x0");
    assert_eq!(
        details["issuance"],
        json!({"blockReward": zero, "uncleReward": zero, "issuance": zero})
    );
    let fees = receipts
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| quantity(&receipt["gasUsed"]) * quantity(&receipt["effectiveGasPrice"]));
    assert_eq!(quantity(&details["totalFees"]), fees.sum::<U256>());

    // Pages are counted from the end of the block.
    for (page, range) in [(0, 4..7), (1, 1..4), (2, 0..1), (3, 0..0), (usize::MAX, 0..0)] {
        let answer = bed.ok("ots_getBlockTransactions", json!([1, page, 3])).await;
        let full = &answer["fullblock"];
        assert_eq!(full["transactionCount"], 7);
        assert_eq!(full["hash"], json!(block.hash()));
        let transactions = full["transactions"].as_array().unwrap();
        assert_eq!(transactions.len(), range.len());
        assert_eq!(answer["receipts"].as_array().unwrap().len(), range.len());
        for (at, index) in range.enumerate() {
            let (mut expected, tx) = (plain["transactions"][index].clone(), &transactions[at]);
            assert_eq!(expected["input"], "0x010203040506");
            expected["input"] = json!("0x01020304");
            assert_eq!(*tx, expected);
            let mut expected = receipts[index].clone();
            let receipt = expected.as_object_mut().unwrap();
            receipt.insert("logs".into(), Value::Null);
            receipt.insert("logsBloom".into(), Value::Null);
            receipt.insert("timestamp".into(), plain["timestamp"].clone());
            receipt.remove("l2ToL1Logs");
            assert_eq!(answer["receipts"][at], expected);
        }
    }

    for (method, params) in [
        ("ots_getBlockDetails", json!([2])),
        ("ots_getBlockDetailsByHash", json!([B256::ZERO])),
        ("ots_getBlockTransactions", json!([2, 0, 25])),
    ] {
        assert_eq!(bed.ok(method, params).await, Value::Null, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_operations_and_errors() {
    let bed = Bed::new();
    let me = user().address();
    let [payer, factory, destructor, reverter, outer, delegator] =
        [0, 1, 2, 3, 4, 5].map(|nonce| me.create(nonce));
    let reason = Revert::from("too poor").abi_encode();
    let inner_init = deploys(&[0x00]);
    bed.block(vec![
        deploy(0, &calls(far(0xa0), 7)),
        deploy(1, &creates(&inner_init, 2, STOP)),
        deploy(2, &destructs(far(0xa2))),
        deploy(3, &reverts(&reason)),
        // Sends 5 to a contract that reverts after having sent them on.
        deploy(4, &calls(me.create(6), 5)),
        deploy(5, &delegates(far(0xa1))),
        deploy(6, &[&calls(far(0xa4), 1)[..29], &REVERT].concat()),
    ])
    .await;
    let sent = vec![
        tx(7, TxKind::Call(payer), 9, vec![0xaa, 0xbb]),
        tx(8, TxKind::Call(factory), 2, Vec::new()),
        tx(9, TxKind::Call(destructor), 3, Vec::new()),
        invoke(10, reverter),
        tx(11, TxKind::Call(outer), 5, Vec::new()),
        invoke(12, delegator),
        pay(13, far(1), 4),
        deploy(14, &[0x60, 0x01]),
    ];
    let block = bed.block(sent.clone()).await;
    let success: Vec<_> = block.receipts.iter().map(|receipt| receipt.success).collect();
    assert_eq!(success, [true, true, true, false, true, true, true, true]);
    let at = |index: usize| json!([hash(&sent[index])]);
    let frame = |kind, depth, from, to, value, input: &[u8], output: &[u8]| {
        let value: Option<&str> = value;
        json!({
            "type": kind, "depth": depth, "from": from, "to": to, "value": value,
            "input": bytes(input), "output": bytes(output),
        })
    };
    let selector = [1, 2, 3, 4, 5, 6];
    let second = me.create(6);
    let trees = [
        json!([
            frame("CALL", 0, me, payer, Some("0x9"), &[0xaa, 0xbb], &[]),
            frame("CALL", 1, payer, far(0xa0), Some("0x7"), &[], &[]),
        ]),
        json!([
            frame("CALL", 0, me, factory, Some("0x2"), &[], &[]),
            frame("CREATE", 1, factory, factory.create(1), Some("0x2"), &inner_init, &[0x00]),
        ]),
        json!([
            frame("CALL", 0, me, destructor, Some("0x3"), &[], &[]),
            frame("SELFDESTRUCT", 1, destructor, far(0xa2), Some("0x3"), &[], &[]),
        ]),
        json!([frame("CALL", 0, me, reverter, Some("0x0"), &selector, &reason)]),
        json!([
            frame("CALL", 0, me, outer, Some("0x5"), &[], &[]),
            frame("CALL", 1, outer, second, Some("0x5"), &[], &[]),
            frame("CALL", 2, second, far(0xa4), Some("0x1"), &[], &[]),
        ]),
        json!([
            frame("CALL", 0, me, delegator, Some("0x0"), &selector, &[]),
            frame("DELEGATECALL", 1, delegator, far(0xa1), None, &[], &[]),
        ]),
        json!([frame("CALL", 0, me, far(1), Some("0x4"), &[], &[])]),
        json!([frame(
            "CREATE",
            0,
            me,
            me.create(14),
            Some("0x0"),
            &deploys(&[0x60, 0x01]),
            &[0x60, 0x01]
        )]),
    ];
    for (index, tree) in trees.iter().enumerate() {
        assert_eq!(bed.ok("ots_traceTransaction", at(index)).await, *tree, "{index}");
    }

    let operation = |kind: u8, from, to, value: &str| {
        let (from, to): (Address, Address) = (from, to);
        json!({"type": kind, "from": from, "to": to, "value": value})
    };
    let operations = [
        json!([operation(0, payer, far(0xa0), "0x7")]),
        json!([operation(2, factory, factory.create(1), "0x2")]),
        json!([operation(1, destructor, far(0xa2), "0x3")]),
        json!([]),
        json!([operation(0, outer, second, "0x5"), operation(0, second, far(0xa4), "0x1")]),
        json!([]),
        json!([]),
        json!([]),
    ];
    for (index, expected) in operations.iter().enumerate() {
        assert_eq!(bed.ok("ots_getInternalOperations", at(index)).await, *expected, "{index}");
    }

    for index in 0..sent.len() {
        let expected = if index == 3 { bytes(&reason) } else { json!("0x") };
        assert_eq!(bed.ok("ots_getTransactionError", at(index)).await, expected, "{index}");
    }

    let unknown = json!([B256::ZERO]);
    assert_eq!(bed.ok("ots_traceTransaction", unknown.clone()).await, Value::Null);
    assert_eq!(bed.ok("ots_getInternalOperations", unknown.clone()).await, json!([]));
    assert_eq!(bed.ok("ots_getTransactionError", unknown).await, Value::Null);

    // Sender and nonce.
    for (nonce, tx) in (7..).zip(&sent) {
        let found = bed.ok("ots_getTransactionBySenderAndNonce", json!([me, nonce])).await;
        assert_eq!(found, json!(hash(tx)));
    }
    for params in [json!([me, 15]), json!([far(1), 0]), json!([me, "0xffffffff"])] {
        assert_eq!(
            bed.ok("ots_getTransactionBySenderAndNonce", params.clone()).await,
            Value::Null,
            "{params}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_an_address() {
    let mut bed = Bed::new();
    bed.start().await;
    // Blocks 1 to 6 with 1, 2, 3, 4, 5 and 1 payments to the address; block 7 with one to somebody else.
    let whom = far(0x11);
    let mut nonce = 0;
    let mut of_block: Vec<Vec<B256>> = vec![Vec::new()];
    for count in [1, 2, 3, 4, 5, 1] {
        let sent: Vec<_> = (nonce..nonce + count).map(|nonce| pay(nonce, whom, 1)).collect();
        nonce += count;
        of_block.push(sent.iter().rev().map(hash).collect());
        bed.block(sent).await;
    }
    bed.block(vec![pay(nonce, far(0x12), 1)]).await;
    bed.indexed(7).await;
    // Newest first.
    let blocks = |range: std::ops::RangeInclusive<usize>| -> Vec<B256> {
        range.rev().flat_map(|number| of_block[number].clone()).collect()
    };
    let before = "ots_searchTransactionsBefore";
    let after = "ots_searchTransactionsAfter";
    for (method, block, size, expected, first, last) in [
        // A page ends with a block.
        (before, 0, 25, blocks(1..=6), true, true),
        (before, 0, 1, blocks(6..=6), true, false),
        (before, 0, 2, blocks(5..=6), true, false),
        (before, 0, 6, blocks(5..=6), true, false),
        (before, 0, 7, blocks(4..=6), true, false),
        (before, 5, 4, blocks(4..=4), false, false),
        (before, 5, 5, blocks(3..=4), false, false),
        (before, 3, 3, blocks(1..=2), false, true),
        (before, 1, 3, vec![], false, true),
        // Above the last hit it is the first page although the block is not 0.
        (before, 7, 1, blocks(6..=6), true, false),
        (before, 1_000, 25, blocks(1..=6), true, true),
        (after, 0, 25, blocks(1..=6), true, true),
        (after, 0, 1, blocks(1..=1), false, true),
        (after, 0, 2, blocks(1..=2), false, true),
        (after, 0, 4, blocks(1..=3), false, true),
        (after, 2, 3, blocks(3..=3), false, false),
        (after, 4, 6, blocks(5..=6), true, false),
        (after, 6, 6, vec![], true, false),
        (after, 1_000, 6, vec![], true, false),
    ] {
        let params = json!([whom, block, size]);
        let page = bed.ok(method, params.clone()).await;
        assert_eq!(hashes(&page), expected, "{method} {params}");
        assert_eq!(
            (&page["firstPage"], &page["lastPage"]),
            (&json!(first), &json!(last)),
            "{method} {params}"
        );
        // Whole transactions and receipts, logs included, each with the time of its block.
        for (tx, receipt) in
            page["txs"].as_array().unwrap().iter().zip(page["receipts"].as_array().unwrap())
        {
            assert_eq!(*tx, bed.ok("eth_getTransactionByHash", json!([tx["hash"]])).await);
            let mut expected = bed.ok("eth_getTransactionReceipt", json!([tx["hash"]])).await;
            let fields = expected.as_object_mut().unwrap();
            assert!(fields["logs"].is_array());
            fields.insert("timestamp".into(), tx["blockTimestamp"].clone());
            fields.remove("l2ToL1Logs");
            assert_eq!(*receipt, expected);
        }
    }
    let nobody = bed.ok(before, json!([far(0x99), 0, 25])).await;
    assert_eq!(nobody, json!({"txs": [], "receipts": [], "firstPage": true, "lastPage": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn creators() {
    let mut bed = Bed::new();
    bed.start().await;
    let me = user().address();
    let factory = me.create(0);
    let inner = factory.create(1);
    // A contract whose initialisation code destroys it.
    let short_lived = me.create(2);
    let sent = vec![
        deploy(0, &creates(&deploys(&[0x00]), 0, STOP)),
        invoke(1, factory),
        tx(2, TxKind::Create, 0, destructs(far(1))),
    ];
    bed.block(sent.clone()).await;
    bed.indexed(1).await;
    let creator = "ots_getContractCreator";
    assert_eq!(
        bed.ok(creator, json!([factory])).await,
        json!({"hash": hash(&sent[0]), "creator": me})
    );
    assert_eq!(
        bed.ok(creator, json!([inner])).await,
        json!({"hash": hash(&sent[1]), "creator": factory})
    );
    for none in [me, far(1), short_lived, far(0x99)] {
        assert_eq!(bed.ok(creator, json!([none])).await, Value::Null, "{none}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_index_and_with_one_that_is_behind() {
    let mut bed = Bed::new();
    let calls = [
        ("ots_searchTransactionsBefore", json!([far(1), 0, 25])),
        ("ots_searchTransactionsAfter", json!([far(1), 0, 25])),
        ("ots_getContractCreator", json!([far(1)])),
    ];
    for (method, params) in &calls {
        let (code, message) = bed.err(method, params.clone()).await;
        assert_eq!(code, -32004, "{method}");
        assert!(message.contains("--otterscan.index"), "{message}");
    }
    bed.start().await;
    bed.block(vec![pay(0, far(1), 1)]).await;
    bed.indexed(1).await;
    // Canonical, but the extension was not told.
    bed.handle.next_block(vec![pay(1, far(1), 1)]).unwrap();
    let [(first, a), (second, b), (third, c)] = calls.clone();
    let refused = tokio::join!(bed.err(first, a), bed.err(second, b), bed.err(third, c));
    for (code, message) in [refused.0, refused.1, refused.2] {
        assert_eq!((code, message.contains("block 1 of 2")), (-32000, true), "{message}");
    }
    // What lies before the second block is all there; that nothing comes after it is not claimed.
    let page = bed.ok(calls[0].0, json!([far(1), 2, 25])).await;
    assert_eq!(hashes(&page).len(), 1);
    assert_eq!((&page["firstPage"], &page["lastPage"]), (&json!(false), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input() {
    let mut bed = Bed::new();
    bed.start().await;
    let (a, h) = (far(1), B256::repeat_byte(7));
    for (method, params) in [
        ("ots_getHeaderByNumber", json!([])),
        ("ots_getHeaderByNumber", json!([-1])),
        ("ots_getHeaderByNumber", json!(["newest"])),
        ("erigon_getHeaderByNumber", json!([{}])),
        ("ots_hasCode", json!([])),
        ("ots_hasCode", json!(["0x12"])),
        ("ots_hasCode", json!([a, "soon"])),
        ("ots_getInternalOperations", json!([])),
        ("ots_getInternalOperations", json!(["0x1"])),
        ("ots_getTransactionError", json!([1])),
        ("ots_traceTransaction", json!([a])),
        ("ots_getBlockDetails", json!([])),
        ("ots_getBlockDetails", json!([h])),
        ("ots_getBlockDetailsByHash", json!([1])),
        ("ots_getBlockTransactions", json!([1])),
        ("ots_getBlockTransactions", json!([1, -1, 25])),
        ("ots_getBlockTransactions", json!([1, 0, 0])),
        ("ots_getBlockTransactions", json!([1, 0, 1_001])),
        ("ots_searchTransactionsBefore", json!([a, 0])),
        ("ots_searchTransactionsBefore", json!([a, "latest", 25])),
        ("ots_searchTransactionsBefore", json!([a, 0, 0])),
        ("ots_searchTransactionsAfter", json!([a, 0, 1_000_000])),
        ("ots_searchTransactionsAfter", json!([h, 0, 25])),
        ("ots_searchTransactionsAfter", json!([a, 1.5, 25])),
        ("ots_getTransactionBySenderAndNonce", json!([a])),
        ("ots_getTransactionBySenderAndNonce", json!([a, "one"])),
        ("ots_getContractCreator", json!([])),
        ("ots_getContractCreator", json!([h])),
    ] {
        assert_eq!(bed.err(method, params.clone()).await.0, -32602, "{method} {params}");
    }
    let (_, message) = bed.err("ots_searchTransactionsBefore", json!([a, 0, 1_001])).await;
    assert_eq!(message, "page size 1001 is not between 1 and 1000");
    assert_eq!(bed.err("ots_getTransactionCount", json!([])).await.0, -32601);
}
