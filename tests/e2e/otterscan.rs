//! What Otterscan asks, in the order of its pages, each answer compared with one that was come to in another way.

use crate::harness::{L1, Node, RICH, RICH_KEY, wait_for, zkos};
use alloy_network::{ReceiptResponse, TransactionBuilder};
use alloy_primitives::{Address, Bytes, TxHash, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{Revert, SolError};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const SOMEBODY: Address = Address::repeat_byte(0x0a);
const BENEFICIARY: Address = Address::repeat_byte(0x0b);
const PAYEE: Address = Address::repeat_byte(0x0c);
/// Transfers to somebody: more than Otterscan shows on a page.
const TRANSFERS: usize = 30;
const PAGE: usize = 25;
const REASON: &str = "not today";

type AskResult = Result<Value, (i64, String)>;

async fn try_ask(provider: &DynProvider, method: &'static str, params: Value) -> AskResult {
    provider.raw_request(method.into(), params).await.map_err(|error| {
        let error = error.as_error_resp().unwrap_or_else(|| panic!("{method}: {error}"));
        (error.code, error.message.to_string())
    })
}

async fn ask(provider: &DynProvider, method: &'static str, params: Value) -> Value {
    try_ask(provider, method, params.clone())
        .await
        .unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
}

fn address(value: &Value) -> Address {
    serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("{value} is no address"))
}

fn hash(value: &Value) -> TxHash {
    serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("{value} is no hash"))
}

fn quantity(value: &Value) -> U256 {
    serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("{value} is no quantity"))
}

/// Initialisation code that deploys `code`.
fn deploys(code: &[u8]) -> Vec<u8> {
    let len = code.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xf3], code].concat()
}

/// Code that calls `to` with `value` and all gas, then `then`.
fn calls(to: Address, value: u8, then: &[u8]) -> Vec<u8> {
    [&[0x5f, 0x5f, 0x5f, 0x5f, 0x60, value, 0x73], to.as_slice(), &[0x5a, 0xf1], then].concat()
}

/// Code that creates a contract from `init` with one wei.
fn creates(init: &[u8]) -> Vec<u8> {
    let len = init.len() as u8;
    let head = [0x60, len, 0x60, 0x0d, 0x5f, 0x39, 0x60, len, 0x5f, 0x60, 0x01, 0xf0, 0x00];
    [&head[..], init].concat()
}

/// Code that reverts with `data`.
fn reverts(data: &[u8]) -> Vec<u8> {
    let len = data.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xfd], data].concat()
}

/// What the test sent and therefore knows.
struct Sent {
    factory: Address,
    /// Transaction in which the factory created its contract, and that contract.
    created: (TxHash, Address),
    deployed_factory: TxHash,
    reverted: TxHash,
    /// A contract sends 2 wei on, then calls one that sends 1 wei and reverts.
    payments: TxHash,
    payer: Address,
    undone: Address,
    destructed: TxHash,
    destructor: Address,
    last_transfer: TxHash,
}

struct User(DynProvider);

impl User {
    async fn send(&self, request: TransactionRequest) -> (TxHash, Option<Address>) {
        let pending = self.0.send_transaction(request).await.unwrap();
        let receipt = pending.get_receipt().await.unwrap();
        (receipt.transaction_hash(), receipt.contract_address())
    }

    async fn deploy(&self, runtime: &[u8]) -> (TxHash, Address) {
        let request = TransactionRequest::default().with_deploy_code(Bytes::from(deploys(runtime)));
        let (hash, contract) = self.send(request).await;
        (hash, contract.unwrap())
    }

    async fn pay(&self, to: Address, value: u64) -> TxHash {
        let request = TransactionRequest::default().with_to(to).with_value(U256::from(value));
        // Without an estimate, which a transaction that fails does not get.
        self.send(request.with_gas_limit(1_000_000)).await.0
    }
}

async fn scenario(node: &Node) -> Sent {
    let user = User(node.wallet(RICH_KEY));
    let (_, reverter) = user.deploy(&reverts(&Revert::from(REASON).abi_encode())).await;
    let (deployed_factory, factory) = user.deploy(&creates(&deploys(&[0x00]))).await;
    let (_, undone) = user.deploy(&calls(PAYEE, 1, &[0x5f, 0x5f, 0xfd])).await;
    let first = calls(PAYEE, 2, &[]);
    let (_, payer) = user.deploy(&[first, calls(undone, 1, &[0x00])].concat()).await;
    let (_, destructor) = user.deploy(&[&[0x73], BENEFICIARY.as_slice(), &[0xff]].concat()).await;
    let created = (user.pay(factory, 1).await, factory.create(1));
    let reverted = user.pay(reverter, 0).await;
    let payments = user.pay(payer, 5).await;
    let destructed = user.pay(destructor, 4).await;
    let mut last_transfer = TxHash::ZERO;
    for _ in 0..TRANSFERS {
        last_transfer = user.pay(SOMEBODY, 1).await;
    }
    Sent {
        factory,
        created,
        deployed_factory,
        reverted,
        payments,
        payer,
        undone,
        destructed,
        destructor,
        last_transfer,
    }
}

/// Frames of geth's call tracer in order, each with its depth.
fn frames(call: &Value, depth: u64, out: &mut Vec<(u64, Value)>) {
    out.push((depth, call.clone()));
    for inner in call["calls"].as_array().into_iter().flatten() {
        frames(inner, depth + 1, out);
    }
}

/// History of every address, oldest first, as the call tracer and the transactions tell it.
async fn histories(provider: &DynProvider, head: u64) -> BTreeMap<Address, Vec<(u64, TxHash)>> {
    let mut histories: BTreeMap<Address, Vec<(u64, TxHash)>> = BTreeMap::new();
    for number in 1..=head {
        let block = format!("0x{number:x}");
        let full = ask(provider, "eth_getBlockByNumber", json!([block, true])).await;
        let receipts = ask(provider, "eth_getBlockReceipts", json!([block])).await;
        let tracer = json!([block, {"tracer": "callTracer"}]);
        let traces = ask(provider, "debug_traceBlockByNumber", tracer).await;
        for (index, tx) in full["transactions"].as_array().unwrap().iter().enumerate() {
            let mut seen = BTreeSet::new();
            let mut calls = Vec::new();
            frames(&traces[index]["result"], 0, &mut calls);
            let named = [&tx["from"], &tx["to"], &receipts[index]["contractAddress"]];
            let ends = calls.iter().flat_map(|(_, call)| [&call["from"], &call["to"]]);
            let refund = (tx["type"] == "0x7f").then(|| &tx["refundRecipient"]);
            for place in named.into_iter().chain(ends).chain(refund) {
                if !place.is_null() {
                    seen.insert(address(place));
                }
            }
            for address in seen {
                histories.entry(address).or_default().push((number, hash(&tx["hash"])));
            }
        }
    }
    histories
}

fn hashes(page: &Value) -> Vec<TxHash> {
    page["txs"].as_array().unwrap().iter().map(|tx| hash(&tx["hash"])).collect()
}

fn outermost_block(page: &Value, last: bool) -> u64 {
    let txs = page["txs"].as_array().unwrap();
    let tx = if last { txs.last() } else { txs.first() };
    quantity(&tx.unwrap()["blockNumber"]).to()
}

/// Turns pages from the newest to the oldest and back, and compares both ways with the history.
async fn turn_pages(
    provider: &DynProvider,
    whom: Address,
    size: usize,
    history: &[(u64, TxHash)],
) -> Vec<Value> {
    let newest_first: Vec<TxHash> = history.iter().rev().map(|(_, hash)| *hash).collect();
    let (mut down, mut pages) = (Vec::new(), Vec::new());
    let mut block = 0;
    loop {
        let page = ask(provider, "ots_searchTransactionsBefore", json!([whom, block, size])).await;
        assert_eq!(page["firstPage"], down.is_empty(), "{whom} before {block}");
        let found = hashes(&page);
        let last = page["lastPage"] == true;
        assert!(last || found.len() >= size);
        block = outermost_block(&page, true);
        down.extend(found);
        pages.push(page);
        if last {
            break;
        }
    }
    assert_eq!(down, newest_first, "{whom} backwards");
    let mut up: Vec<TxHash> = Vec::new();
    let mut block = 0;
    loop {
        let page = ask(provider, "ots_searchTransactionsAfter", json!([whom, block, size])).await;
        assert_eq!(page["lastPage"], up.is_empty(), "{whom} after {block}");
        let found = hashes(&page);
        block = outermost_block(&page, false);
        up.splice(0..0, found);
        pages.push(page.clone());
        if page["firstPage"] == true {
            break;
        }
    }
    assert_eq!(up, newest_first, "{whom} forwards");
    pages
}

/// The page of a block.
async fn block_page(provider: &DynProvider, number: u64) {
    let block = format!("0x{number:x}");
    let full = ask(provider, "eth_getBlockByNumber", json!([block, true])).await;
    let receipts = ask(provider, "eth_getBlockReceipts", json!([block])).await;
    let transactions = full["transactions"].as_array().unwrap();
    let details = ask(provider, "ots_getBlockDetails", json!([number])).await;
    let by_hash = ask(provider, "ots_getBlockDetailsByHash", json!([full["hash"]])).await;
    assert_eq!(details, by_hash);
    assert_eq!(details["block"]["transactionCount"], transactions.len());
    assert!(details["block"]["logsBloom"].is_null());
    for field in ["hash", "parentHash", "timestamp", "gasUsed", "miner", "size", "baseFeePerGas"] {
        assert_eq!(details["block"][field], full[field], "{field} of {number}");
    }
    let fees = receipts
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| quantity(&receipt["gasUsed"]) * quantity(&receipt["effectiveGasPrice"]));
    assert_eq!(quantity(&details["totalFees"]), fees.sum::<U256>());

    let mut shown = Vec::new();
    for page in 0..transactions.len().div_ceil(PAGE).max(1) {
        let params = json!([number, page, PAGE]);
        let answer = ask(provider, "ots_getBlockTransactions", params).await;
        assert_eq!(answer["fullblock"]["transactionCount"], transactions.len());
        let txs = answer["fullblock"]["transactions"].as_array().unwrap();
        for (tx, receipt) in txs.iter().zip(answer["receipts"].as_array().unwrap()) {
            assert_eq!(tx["hash"], receipt["transactionHash"]);
            assert!(receipt["logs"].is_null() && receipt["logsBloom"].is_null());
            assert_eq!(receipt["timestamp"], full["timestamp"]);
            assert!(tx["input"].as_str().unwrap().len() <= 10);
        }
        shown.splice(0..0, txs.iter().map(|tx| tx["hash"].clone()));
    }
    let hashes: Vec<Value> = transactions.iter().map(|tx| tx["hash"].clone()).collect();
    assert_eq!(shown, hashes, "transactions of {number}");
}

/// The page of a transaction.
async fn transaction_page(provider: &DynProvider, tx_hash: TxHash) {
    let tx = ask(provider, "eth_getTransactionByHash", json!([tx_hash])).await;
    let receipt = ask(provider, "eth_getTransactionReceipt", json!([tx_hash])).await;
    let tracer = json!([tx_hash, {"tracer": "callTracer"}]);
    let trace = ask(provider, "debug_traceTransaction", tracer).await;
    let mut calls = Vec::new();
    frames(&trace, 0, &mut calls);

    let tree = ask(provider, "ots_traceTransaction", json!([tx_hash])).await;
    let tree = tree.as_array().unwrap();
    assert_eq!(tree.len(), calls.len(), "{tx_hash}");
    for (entry, (depth, call)) in tree.iter().zip(&calls) {
        assert_eq!((&entry["depth"], &entry["type"]), (&json!(depth), &call["type"]));
        assert_eq!((&entry["from"], &entry["to"]), (&call["from"], &call["to"]));
        let silent = ["DELEGATECALL", "STATICCALL"].contains(&call["type"].as_str().unwrap());
        let value = if silent { &Value::Null } else { &call["value"] };
        assert_eq!(&entry["value"], value, "{tx_hash}");
        if call["type"] != "SELFDESTRUCT" {
            assert_eq!(entry["input"], call["input"]);
        }
    }

    let kinds = [("CALL", 0), ("SELFDESTRUCT", 1), ("CREATE", 2), ("CREATE2", 3)];
    let mut expected = Vec::new();
    for (_, call) in calls.iter().filter(|(depth, _)| *depth > 0) {
        let kind = kinds.iter().find(|(name, _)| call["type"] == *name);
        let Some((name, kind)) = kind else { continue };
        if *name != "CALL" || !quantity(&call["value"]).is_zero() {
            let (from, to, value) = (&call["from"], &call["to"], &call["value"]);
            expected.push(json!({"type": kind, "from": from, "to": to, "value": value}));
        }
    }
    let operations = ask(provider, "ots_getInternalOperations", json!([tx_hash])).await;
    assert_eq!(operations, json!(expected), "{tx_hash}");

    let error = ask(provider, "ots_getTransactionError", json!([tx_hash])).await;
    let failed = receipt["status"] == "0x0";
    let output = trace.get("output").filter(|_| failed).cloned();
    assert_eq!(error, output.unwrap_or_else(|| json!("0x")), "{tx_hash}");

    // Its neighbours by nonce, for the arrows beside the nonce.
    if tx["type"] == "0x2" {
        let nonce: u64 = quantity(&tx["nonce"]).to();
        let params = json!([tx["from"], nonce]);
        let found = ask(provider, "ots_getTransactionBySenderAndNonce", params).await;
        assert_eq!(found, tx["hash"]);
    }
}

/// Everything that comes from the index, as one value.
async fn from_index(provider: &DynProvider, sent: &Sent, head: u64) -> Value {
    let histories = histories(provider, head).await;
    assert!(histories[&SOMEBODY].len() == TRANSFERS && histories[&RICH].len() > TRANSFERS);
    let mut pages = Vec::new();
    for (whom, history) in &histories {
        pages.extend(turn_pages(provider, *whom, 3, history).await);
    }
    // As Otterscan pages.
    for whom in [RICH, SOMEBODY] {
        pages.extend(turn_pages(provider, whom, PAGE, &histories[&whom]).await);
    }
    for (whom, creator) in [
        (sent.factory, json!({"hash": sent.deployed_factory, "creator": RICH})),
        (sent.created.1, json!({"hash": sent.created.0, "creator": sent.factory})),
        (RICH, Value::Null),
        (PAYEE, Value::Null),
    ] {
        let found = ask(provider, "ots_getContractCreator", json!([whom])).await;
        assert_eq!(found, creator, "{whom}");
        pages.push(found);
    }
    // An inner payment, one in a frame that was reverted, a beneficiary, an inner creation.
    for (whom, tx) in [
        (PAYEE, sent.payments),
        (sent.payer, sent.payments),
        (sent.undone, sent.payments),
        (BENEFICIARY, sent.destructed),
        (sent.destructor, sent.destructed),
        (sent.created.1, sent.created.0),
    ] {
        assert!(histories[&whom].iter().any(|(_, hash)| *hash == tx), "{whom}");
    }
    json!(pages)
}

/// Waits until the index has come to the head.
async fn wait_indexed(provider: &DynProvider) {
    let method = "ots_searchTransactionsBefore";
    wait_for("the index of addresses", || async {
        match try_ask(provider, method, json!([RICH, 0, 1])).await {
            Ok(_) => Some(()),
            Err((-32000, message)) if message.contains("index of addresses has reached") => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
}

fn db(datadir: &Path, tool: &str) -> (bool, String) {
    let mut command = zkos();
    command.args(["db", tool]).arg(format!("--datadir={}", datadir.display()));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_otterscan() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &["--otterscan.index"]).await;
    node.wait_funded().await;
    let sent = scenario(&node).await;
    let provider = node.provider();
    let head = provider.get_block_number().await.unwrap();

    // It looks whether it can work with the node.
    let header = ask(&provider, "erigon_getHeaderByNumber", json!([head])).await;
    assert_eq!(quantity(&header["number"]), U256::from(head));
    assert_eq!(ask(&provider, "ots_getApiLevel", json!([])).await, 8);
    // The list of blocks, and the page of each of them.
    for number in (0..=head).rev() {
        block_page(&provider, number).await;
    }
    // The page of each transaction, those from L1 included.
    let mut kinds = BTreeSet::new();
    for number in 1..=head {
        let block = format!("0x{number:x}");
        let block = ask(&provider, "eth_getBlockByNumber", json!([block, true])).await;
        for tx in block["transactions"].as_array().unwrap() {
            kinds.insert(tx["type"].as_str().unwrap().to_owned());
            transaction_page(&provider, hash(&tx["hash"])).await;
        }
    }
    assert!(["0x7e", "0x7f", "0x2"].iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    let error = ask(&provider, "ots_getTransactionError", json!([sent.reverted])).await;
    let reason = Revert::abi_decode(&serde_json::from_value::<Bytes>(error).unwrap()).unwrap();
    assert_eq!(reason.reason, REASON);
    let operations = ask(&provider, "ots_getInternalOperations", json!([sent.payments])).await;
    assert_eq!(operations.as_array().unwrap().len(), 3, "{operations}");
    assert_eq!(operations[0]["to"], json!(PAYEE));

    // The pages of addresses, from the newest transaction to the oldest and back.
    for (whom, code) in [(sent.factory, true), (sent.created.1, true), (SOMEBODY, false)] {
        assert_eq!(ask(&provider, "ots_hasCode", json!([whom, "latest"])).await, code, "{whom}");
    }
    let answers = from_index(&provider, &sent, head).await;
    let status = ask(&provider, "zks_pipelineStatus", json!([])).await;
    let stage = status.as_array().unwrap().iter().find(|stage| stage["name"] == "otterscan/index");
    assert!(stage.unwrap()["head"].as_u64().unwrap() >= head, "{status}");
    // What is typed into the search field.
    let found = ask(&provider, "eth_getTransactionByHash", json!([sent.last_transfer])).await;
    assert_eq!(found["to"], json!(SOMEBODY));
    let nobody = json!([Address::repeat_byte(0x99), 0, PAGE]);
    let nobody = ask(&provider, "ots_searchTransactionsBefore", nobody).await;
    assert_eq!(nobody, json!({"txs": [], "receipts": [], "firstPage": true, "lastPage": true}));

    // A restart changes nothing.
    assert!(node.terminate().await.success());
    node.launch().await;
    wait_indexed(&provider).await;
    assert_eq!(from_index(&provider, &sent, head).await, answers);
    let (success, text) = db(&node.datadir, "rebuild-index");
    assert!(!success && text.contains("in use by process"), "{text}");

    // Nor does an index that is lost and filled again.
    assert!(node.terminate().await.success());
    assert!(db(&node.datadir, "stats").1.contains("ots_index"));
    std::fs::remove_dir_all(node.datadir.join("ots_index")).unwrap();
    node.launch().await;
    wait_indexed(&provider).await;
    assert_eq!(from_index(&provider, &sent, head).await, answers);
    node.kill().await;
    let (success, text) = db(&node.datadir, "rebuild-index");
    assert!(success && text.contains("deleted ots_index"), "{text}");
    assert!(!node.datadir.join("ots_index").exists());
    node.launch().await;
    wait_indexed(&provider).await;
    assert_eq!(from_index(&provider, &sent, head).await, answers);
}
