use super::*;
use alloy_sol_types::{Revert, SolError};

const CONTRACT: Address = Address::repeat_byte(0xcc);
const CALLER: Address = Address::repeat_byte(0xab);

/// A node whose head is block 1, with a contract.
fn with_contract(code: &[u8]) -> TestRpc {
    let rpc = TestRpc::new();
    rpc.node.provider.set_code(CONTRACT, code);
    rpc.node.fund(CALLER, 0, ETHER);
    rpc.node.commit_empty();
    rpc
}

#[tokio::test]
async fn calls_see_their_block() {
    let rpc = with_contract(&returns(&[0x43])); // NUMBER
    rpc.node.commit_empty();
    let request = json!({"to": CONTRACT});
    assert_eq!(rpc.ok("eth_call", json!([request])).await, word(2));
    assert_eq!(rpc.ok("eth_call", json!([request, "0x1"])).await, word(1));
    assert_eq!(rpc.ok("eth_call", json!([request, "pending"])).await, word(3));
    let number = json!([request, "latest", {}, {"number": "0x64"}]);
    assert_eq!(rpc.ok("eth_call", number).await, word(100));
}

#[tokio::test]
async fn base_fee_is_zero_only_for_free_calls() {
    let rpc = with_contract(&returns(&[0x48])); // BASEFEE
    assert_eq!(rpc.ok("eth_call", json!([{"to": CONTRACT}])).await, word(0));
    let paid =
        json!({"from": CALLER, "to": CONTRACT, "maxFeePerGas": "0x3b9aca00", "gas": "0x186a0"});
    assert_eq!(rpc.ok("eth_call", json!([paid])).await, word(100_000_000));
    // Without a gas limit the balance sets one.
    let paid = json!({"from": CALLER, "to": CONTRACT, "gasPrice": "0x3b9aca00"});
    assert_eq!(rpc.ok("eth_call", json!([paid])).await, word(100_000_000));
    let poor = json!({"to": CONTRACT, "value": "0x1", "gasPrice": "0x3b9aca00"});
    let (code, message, _) = rpc.err("eth_call", json!([poor])).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds"), "{message}");
}

#[tokio::test]
async fn wrong_requests() {
    let rpc = with_contract(&[]);
    for (request, text) in [
        (json!({"gasPrice": "0x1", "maxFeePerGas": "0x1"}), "both `gasPrice` and"),
        (json!({"maxFeePerGas": "0x1"}), "less than `block.baseFee`"),
        (
            json!({"maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x3b9aca01"}),
            "higher than",
        ),
        (json!({"type": "0x3"}), "EIP-4844"),
        (json!({"type": "0x7e"}), "upgrade transactions"),
        (json!({"type": "0x7f"}), "need `to`"),
        (json!({"input": "0x01", "data": "0x02"}), ""),
    ] {
        let (code, message, _) = rpc.err("eth_call", json!([request])).await;
        assert_eq!(code, -32602, "{request}");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(rpc.err("eth_call", json!([])).await.0, -32602);
    assert_eq!(rpc.err("eth_call", json!([{"to": "nobody"}])).await.0, -32602);
}

/// What no block can have is the caller's fault, in every method that takes overrides.
#[tokio::test]
async fn impossible_block_overrides_are_refused() {
    let rpc = with_contract(&returns(&[0x45]));
    let call = json!({"to": CONTRACT});
    let word = U256::MAX;
    for (overrides, text) in [
        (json!({"gasLimit": "0xffffffffffffffff"}), "`gasLimit`"),
        (json!({"baseFeePerGas": word}), "`baseFeePerGas`"),
        (json!({"number": word}), "`number`"),
    ] {
        let options = json!({"tracer": "callTracer", "blockOverrides": overrides});
        let bundle = json!([{"transactions": [call], "blockOverride": overrides}]);
        for (method, params) in [
            ("eth_call", json!([call, "latest", null, overrides])),
            ("eth_estimateGas", json!([call, "latest", null, overrides])),
            ("eth_callMany", json!([bundle])),
            ("debug_traceCall", json!([call, "latest", options])),
            ("trace_call", json!([call, ["trace"], "latest", null, overrides])),
        ] {
            let (code, message, _) = rpc.err(method, params).await;
            assert_eq!(code, -32602, "{method} {overrides}: {message}");
            assert!(message.contains(text), "{method} {overrides}: {message}");
        }
    }
    let most = json!([call, "latest", null, {"gasLimit": "0xffffffffffffff"}]);
    assert_eq!(rpc.ok("eth_call", most).await, json!(B256::from(U256::from(u64::MAX / 256))));
}

/// With overrides a caller can make states in which a transfer has no result.
#[tokio::test]
async fn calls_without_a_result_are_refused() {
    let rpc = with_contract(&[]);
    let all = json!({"balance": U256::MAX});
    let overrides = json!({CALLER.to_string(): all, CONTRACT.to_string(): all});
    let call = json!({"from": CALLER, "to": CONTRACT, "value": "0x1"});
    let options = json!({"tracer": "callTracer", "stateOverrides": overrides});
    let simulated = json!({"blockStateCalls": [{"stateOverrides": overrides, "calls": [call]}]});
    for (method, params) in [
        ("eth_call", json!([call, "latest", overrides])),
        ("eth_estimateGas", json!([call, "latest", overrides])),
        ("eth_createAccessList", json!([call, "latest", overrides])),
        ("debug_traceCall", json!([call, "latest", options])),
        ("eth_simulateV1", json!([simulated])),
    ] {
        let (code, message, _) = rpc.err(method, params).await;
        assert_eq!(code, -32000, "{method}: {message}");
        assert!(message.contains("overflows"), "{method}: {message}");
    }
}

#[tokio::test]
async fn reverts_carry_data() {
    let data = Revert::from("too poor").abi_encode();
    let rpc = with_contract(&reverts(&data));
    for method in ["eth_call", "eth_estimateGas"] {
        let (code, message, returned) = rpc.err(method, json!([{"to": CONTRACT}])).await;
        assert_eq!((code, message.as_str()), (3, "execution reverted: too poor"), "{method}");
        assert_eq!(returned, json!(Bytes::from(data.clone())));
    }
}

/// A halt is no revert: it has no data, and clients must not look for a reason.
#[tokio::test]
async fn halts_are_told_from_reverts() {
    for (code, text) in [
        (vec![0xfe], "invalid opcode"),
        (vec![0x0c], "invalid opcode"),
        (vec![0x5f, 0x56], "invalid jump destination"),
        (vec![0x01], "stack underflow"),
    ] {
        let rpc = with_contract(&code);
        let call = json!({"to": CONTRACT});
        for (method, params) in [
            ("eth_call", json!([call])),
            ("eth_call", json!([call, "latest", {}])),
            ("eth_estimateGas", json!([call])),
        ] {
            let (code, message, data) = rpc.err(method, params).await;
            assert_eq!((code, message.as_str()), (-32000, text), "{method}");
            assert!(data.is_null(), "{method}: {data}");
        }
        let many = rpc.ok("eth_callMany", json!([[{"transactions": [call]}]])).await;
        assert_eq!(many[0][0]["error"], text);
        let list = rpc.ok("eth_createAccessList", json!([call])).await;
        assert_eq!(list["error"], text);
    }
    // JUMPDEST, PUSH0, JUMP: for ever.
    let rpc = with_contract(&[0x5b, 0x5f, 0x56]);
    let call = json!({"to": CONTRACT, "gas": "0x186a0"});
    let (code, message, _) = rpc.err("eth_call", json!([call])).await;
    assert_eq!((code, message.as_str()), (-32000, "out of gas"));
    let (code, message, _) = rpc.err("eth_estimateGas", json!([call])).await;
    assert_eq!((code, message.as_str()), (-32000, "gas required exceeds allowance (100000)"));
}

#[tokio::test]
async fn state_overrides() {
    let rpc = with_contract(&returns(&[0x5f, 0x54])); // SLOAD(0)
    let request = json!({"to": CONTRACT});
    let slot = json!({B256::ZERO.to_string(): B256::with_last_byte(7)});
    let with = |account: Value| json!([request, "latest", {CONTRACT.to_string(): account}]);
    assert_eq!(rpc.ok("eth_call", json!([request])).await, word(0));
    assert_eq!(rpc.ok("eth_call", with(json!({"stateDiff": slot}))).await, word(7));
    assert_eq!(rpc.ok("eth_call", with(json!({"state": slot}))).await, word(7));
    let code = Bytes::from(returns(&[0x5a, 0x50, 0x60, 0x2a]));
    assert_eq!(rpc.ok("eth_call", with(json!({"code": code}))).await, word(42));
    let balance = Bytes::from(returns(&[0x47])); // SELFBALANCE
    let rich = with(json!({"code": balance, "balance": "0x5"}));
    assert_eq!(rpc.ok("eth_call", rich).await, word(5));
    let both = with(json!({"state": slot, "stateDiff": slot}));
    assert_eq!(rpc.err("eth_call", both).await.0, -32602);
    assert_eq!(rpc.err("eth_call", with(json!({"unknown": 1}))).await.0, -32602);
}

#[tokio::test]
async fn estimates_suffice_and_are_tight() {
    let rpc = with_contract(&returns(&[0x5f, 0x54]));
    let hex = |value: Value| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let transfer = json!({"from": CALLER, "to": Address::repeat_byte(0xdd), "value": "0x1"});
    let gas = hex(rpc.ok("eth_estimateGas", json!([transfer])).await);
    assert!((21_000..200_000).contains(&gas), "{gas}");
    // It suffices where it was asked for, and much less does not.
    let mut with_gas = transfer.clone();
    with_gas["gas"] = json!(format!("0x{gas:x}"));
    rpc.ok("eth_call", json!([with_gas, "pending"])).await;
    with_gas["gas"] = json!("0x5000");
    let (code, message, _) = rpc.err("eth_estimateGas", json!([with_gas])).await;
    assert_eq!((code, message.as_str()), (-32000, "gas required exceeds allowance (20480)"));

    let call = json!({"from": CALLER, "to": CONTRACT});
    let gas = hex(rpc.ok("eth_estimateGas", json!([call])).await);
    assert!((23_000..30_000).contains(&gas), "{gas}");
    // A price bounds the limit by the balance, with the price that was given.
    let priced = json!({"from": CALLER, "to": CONTRACT, "gasPrice": "0x3b9aca00"});
    assert_eq!(hex(rpc.ok("eth_estimateGas", json!([priced])).await), gas);
    let dear = json!({"from": CALLER, "to": CONTRACT, "gasPrice": "0x9184e72a000000"});
    assert_eq!(rpc.err("eth_estimateGas", json!([dear])).await.0, -32000);
    let no_money = json!({"from": Address::repeat_byte(1), "to": CONTRACT, "value": "0x1"});
    let (code, message, _) = rpc.err("eth_estimateGas", json!([no_money])).await;
    assert_eq!(code, -32000, "{message}");
}

#[tokio::test]
async fn l1_transactions_are_estimated() {
    let rpc = with_contract(&returns(&[0x5f, 0x54]));
    let request = json!({"type": "0x7f", "from": CALLER, "to": CONTRACT, "gasPrice": "0x5f5e100"});
    let gas = rpc.ok("eth_estimateGas", json!([request])).await;
    let gas = u64::from_str_radix(&gas.as_str().unwrap()[2..], 16).unwrap();
    assert!((200_000..1_000_000).contains(&gas), "{gas}");
}
