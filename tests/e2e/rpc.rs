//! RPC of a chain that really ran: traces of every block, the upgrade of genesis and deposits from L1 included, agree with the receipts.

use crate::harness::{L1, Node, RICH, RICH_KEY};
use alloy_network::{ReceiptResponse, TransactionBuilder};
use alloy_primitives::{Address, Bytes, U256, bytes};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionRequest;
use serde_json::{Value, json};

/// Counts instructions.
const COUNT: &str = "{n: 0, step: function() { this.n++ }, fault: function() { this.n++ }, \
    result: function() { return this.n }}";
/// Deploys code that adds one to slot 0 and returns what it was.
const COUNTER: Bytes = bytes!("600e600a5f39600e5ff35f54806001015f555f5260205ff3");

async fn ask(provider: &DynProvider, method: &'static str, params: Value) -> Value {
    provider
        .raw_request(method.into(), params.clone())
        .await
        .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
}

pub fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no quantity"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_a_whole_chain_agree_with_its_receipts() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &["--rpc.js-tracer"]).await;
    node.wait_funded().await;
    let wallet = node.wallet(RICH_KEY);
    let deploy = TransactionRequest::default().with_deploy_code(COUNTER);
    let deployed = wallet.send_transaction(deploy).await.unwrap().get_receipt().await.unwrap();
    let counter: Address = deployed.contract_address().unwrap();
    let call = TransactionRequest::default().with_to(counter);
    for _ in 0..2 {
        let sent = wallet.send_transaction(call.clone()).await.unwrap();
        assert!(sent.get_receipt().await.unwrap().status());
    }
    let (_, last) = node.transfer(Address::repeat_byte(0x55), 3).await;

    let provider = node.provider();
    let mut kinds = std::collections::BTreeSet::new();
    for number in 1..=last {
        let block = format!("0x{number:x}");
        let receipts = ask(&provider, "eth_getBlockReceipts", json!([block])).await;
        let receipts = receipts.as_array().unwrap();
        let call_tracer = json!([block, {"tracer": "callTracer"}]);
        let calls = ask(&provider, "debug_traceBlockByNumber", call_tracer).await;
        let script = json!([block, {"tracer": COUNT, "timeout": "1m"}]);
        let counts = ask(&provider, "debug_traceBlockByNumber", script).await;
        let parity = ask(&provider, "trace_block", json!([block])).await;
        let types = json!([block, ["stateDiff"]]);
        let diffs = ask(&provider, "trace_replayBlockTransactions", types).await;
        assert_eq!(diffs.as_array().unwrap().len(), receipts.len());
        for (index, receipt) in receipts.iter().enumerate() {
            kinds.insert(receipt["type"].as_str().unwrap().to_owned());
            let hash = &receipt["transactionHash"];
            let trace = &calls[index];
            assert_eq!(&trace["txHash"], hash);
            assert_eq!(trace["result"]["gasUsed"], receipt["gasUsed"], "{hash}");
            assert_eq!(trace["result"].get("error").is_none(), receipt["status"] == "0x1");
            let opcodes = json!([hash, {"disableStack": true}]);
            let opcodes = ask(&provider, "debug_traceTransaction", opcodes).await;
            assert_eq!(opcodes["gas"].as_u64().unwrap(), quantity(&receipt["gasUsed"]));
            let steps = opcodes["structLogs"].as_array().unwrap().len();
            assert_eq!(counts[index]["result"], json!(steps), "{hash}");
            let prestate =
                json!([hash, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}]);
            let prestate = ask(&provider, "debug_traceTransaction", prestate).await;
            assert!(prestate["post"].is_object(), "{prestate}");
            let own = parity.as_array().unwrap().iter();
            assert!(own.filter(|trace| &trace["transactionHash"] == hash).count() >= 1);
        }
    }
    // Upgrade, priority and user transactions were among them.
    for kind in ["0x7e", "0x7f", "0x2"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }

    // What was written, seen through simulation, overrides and access lists.
    let simulated = json!([{"blockStateCalls": [{"calls": [{"to": counter}, {"to": counter}]}]}]);
    let simulated = ask(&provider, "eth_simulateV1", simulated).await;
    let returned: Vec<U256> = (0..2)
        .map(|i| simulated[0]["calls"][i]["returnData"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(returned, [U256::from(2), U256::from(3)]);
    let list = ask(&provider, "eth_createAccessList", json!([{"from": RICH, "to": counter}])).await;
    assert_eq!(list["accessList"][0]["storageKeys"].as_array().unwrap().len(), 1);
    let status = ask(&provider, "zks_pipelineStatus", json!([])).await;
    assert!(status.as_array().unwrap().iter().any(|stage| stage["name"] == "engine"), "{status}");
}

/// The methods of all namespaces, plug-ins' too, are those that `docs/rpc.md` lists.
#[tokio::test(flavor = "multi_thread")]
async fn documented_methods_are_there() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    let provider = node.provider();
    let docs = include_str!("../../docs/rpc.md");
    let (_, table) = docs.split_once("## Methods").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut asked = 0;
    for row in table.lines() {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [namespace, _, names] = cells[..] else { continue };
        if !namespace.starts_with('`') {
            continue;
        }
        // What stands in brackets is no method.
        let outside = names.split('(').map(|part| part.rsplit(')').next().unwrap());
        for name in outside.flat_map(|part| part.split('`').skip(1).step_by(2)) {
            let method = format!("{}_{name}", namespace.trim_matches('`'));
            let answer = provider.raw_request::<_, Value>(method.clone().into(), json!([])).await;
            let code = answer.err().and_then(|error| Some(error.as_error_resp()?.code));
            // Subscriptions are told apart by the transport.
            let other = method.ends_with("subscribe");
            assert!(other || code != Some(-32601), "{method} does not exist");
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked} methods");
}
