//! A chain with everything that answers can hold, and questions about it.

use super::super::*;
use crate::{BatchHeads, BatchIndex, BatchInfo};
use alloy_consensus::{SignableTransaction, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::Signature;
use alloy_sol_types::{Revert, SolError};
use parking_lot::RwLock;
use std::time::Duration;
use zkos_pool::TransactionPool;
use zkos_primitives::{
    L2ToL1Log, StoredBatchInfo, TxUpgrade, block_hashes_blake, log_tree::l2_logs_tree_root,
    state_commitment,
};
use zkos_tree::{InMemoryStore, MerkleTree};

/// An answer, and to what.
pub(super) struct Sample {
    pub(super) method: String,
    variant: &'static str,
    pub(super) answer: Result<Value, i64>,
}

impl Sample {
    /// Method and kind of the answer.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.variant).trim_end().to_owned()
    }
}

/// All answers, and the methods that must be among them.
pub(super) struct Samples {
    pub(super) answers: Vec<Sample>,
    pub(super) served: Vec<&'static str>,
}

impl Samples {
    async fn ask(&mut self, rpc: &TestRpc, method: &str, params: Value) -> Value {
        self.ask_as(rpc, method, "", params).await
    }

    /// For methods whose answers depend on the question; `variant` names the kind.
    async fn ask_as(
        &mut self,
        rpc: &TestRpc,
        method: &str,
        variant: &'static str,
        params: Value,
    ) -> Value {
        let answer = rpc.ok(method, params).await;
        self.add(method, variant, Ok(answer.clone()));
        answer
    }

    /// For methods that exist to say that they are not offered.
    async fn refused(&mut self, rpc: &TestRpc, method: &str, params: Value) {
        let (code, _, _) = rpc.err(method, params).await;
        self.add(method, "", Err(code));
    }

    fn add(&mut self, method: &str, variant: &'static str, answer: Result<Value, i64>) {
        self.answers.push(Sample { method: method.to_owned(), variant, answer });
    }
}

/// Asks everything.
pub(super) async fn samples() -> Samples {
    let everything = TestRpc::new();
    let served = everything.methods.method_names().collect();
    let mut samples = Samples { answers: Vec::new(), served };
    let block = every_transaction(&everything);
    getters(&mut samples, &everything, &block).await;
    state_and_fees(&mut samples, &everything).await;
    filters_and_subscriptions(&mut samples).await;
    pool(&mut samples).await;
    small_namespaces(&mut samples, &everything).await;
    let (executed, block) = executed();
    calls_and_simulation(&mut samples, &executed).await;
    geth_traces(&mut samples, &executed, &block).await;
    parity_traces(&mut samples, &executed, &block).await;
    settlement(&mut samples).await;
    samples
}

const CONTRACT: Address = Address::repeat_byte(0xc1);
const CALLER: Address = Address::repeat_byte(0xc0);
const REVERTER: Address = Address::repeat_byte(0xc2);
/// Sets slot 0 to 7, logs topic 0xaa, returns 42.
const CODE: &[u8] = &[
    0x60, 0x07, 0x5f, 0x55, 0x60, 0xaa, 0x5f, 0x5f, 0xa1, 0x60, 0x2a, 0x5f, 0x52, 0x60, 0x20, 0x5f,
    0xf3,
];

fn signed<T>(tx: T) -> RecoveredTx
where
    T: SignableTransaction<Signature>,
    EthereumTxEnvelope<alloy_consensus::TxEip4844>: From<alloy_consensus::Signed<T>>,
{
    let signer = signer(1);
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = EthereumTxEnvelope::from(tx.into_signed(signature));
    RecoveredTx::new_unchecked(ZkTxEnvelope::from(tx), signer.address())
}

/// A block with a transaction of each type; the upgrade has one of its own before.
fn every_transaction(rpc: &TestRpc) -> ExecutedBlock {
    let to = TxKind::Call(CONTRACT);
    let (gas_limit, gas_price) = (100_000, 200_000_000);
    let access_list = AccessList(vec![AccessListItem {
        address: CONTRACT,
        storage_keys: vec![B256::with_last_byte(1)],
    }]);
    let authorization =
        Authorization { chain_id: U256::from(CHAIN_ID), address: CONTRACT, nonce: 0 };
    let signature = signer(2).sign_hash_sync(&authorization.signature_hash()).unwrap();
    let upgrade = TxUpgrade {
        from: Address::with_last_byte(7),
        to: Address::with_last_byte(15),
        gas_limit: 72_000_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: 30,
        input: Bytes::from_static(&[0, 1, 2]),
        factory_deps: vec![B256::repeat_byte(3)],
        ..Default::default()
    };
    let upgrade = RecoveredTx::new_unchecked(upgrade.into(), Address::with_last_byte(7));
    rpc.node.commit(TestBlock { transactions: vec![upgrade], ..Default::default() });
    let legacy =
        TxLegacy { chain_id: Some(CHAIN_ID), gas_limit, gas_price, to, ..Default::default() };
    let listed = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce: 1,
        gas_limit,
        gas_price,
        to,
        access_list,
        ..Default::default()
    };
    let delegating = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: 4,
        gas_limit,
        max_fee_per_gas: gas_price,
        to: CONTRACT,
        authorization_list: vec![authorization.into_signed(signature)],
        ..Default::default()
    };
    let transactions = vec![
        l1_transaction(),
        signed(legacy),
        signed(listed),
        transfer(&signer(1), 2, 1),
        invoke(&signer(1), 3, TxKind::Create, deploys(CODE)),
        signed(delegating),
    ];
    let mut receipts: Vec<ZkReceipt> = transactions
        .iter()
        .enumerate()
        .map(|(index, tx)| receipt(tx, 50_000 * (index as u64 + 1), vec![log(1, 1), log(2, 1)]))
        .collect();
    receipts[0].l2_to_l1_logs = vec![L2ToL1Log::l1_tx_result(0, *transactions[0].hash(), true)];
    receipts[1].l2_to_l1_logs = vec![L2ToL1Log::message(1, Address::repeat_byte(9), b"hi")];
    receipts[3].success = false;
    rpc.node.commit(TestBlock {
        transactions,
        receipts,
        accounts: vec![(Address::repeat_byte(5), AccountProperties::new_eoa(2, U256::from(20)))],
        storage: vec![(Address::repeat_byte(5), B256::ZERO, B256::with_last_byte(9))],
        ..Default::default()
    })
}

async fn getters(samples: &mut Samples, rpc: &TestRpc, block: &ExecutedBlock) {
    let (number, hash) = ("0x2", block.hash());
    let (unknown, none) = (B256::ZERO, "0x99");
    for full in [false, true] {
        let variant = if full { "full" } else { "" };
        for number in ["0x0", "0x1", number, none] {
            samples.ask_as(rpc, "eth_getBlockByNumber", variant, json!([number, full])).await;
        }
        for hash in [hash, unknown] {
            samples.ask_as(rpc, "eth_getBlockByHash", variant, json!([hash, full])).await;
        }
    }
    for number in [number, none] {
        let by_number = json!([number]);
        let by_place = json!([number, "0x1"]);
        samples.ask(rpc, "eth_getHeaderByNumber", by_number.clone()).await;
        samples.ask(rpc, "eth_getBlockReceipts", by_number.clone()).await;
        samples.ask(rpc, "eth_getBlockTransactionCountByNumber", by_number.clone()).await;
        samples.ask(rpc, "eth_getUncleCountByBlockNumber", by_number).await;
        samples.ask(rpc, "eth_getUncleByBlockNumberAndIndex", by_place.clone()).await;
        samples.ask(rpc, "eth_getTransactionByBlockNumberAndIndex", by_place.clone()).await;
        samples.ask(rpc, "eth_getRawTransactionByBlockNumberAndIndex", by_place).await;
    }
    for hash in [hash, unknown] {
        let (by_hash, by_place) = (json!([hash]), json!([hash, "0x2"]));
        samples.ask(rpc, "eth_getHeaderByHash", by_hash.clone()).await;
        samples.ask(rpc, "eth_getBlockTransactionCountByHash", by_hash.clone()).await;
        samples.ask(rpc, "eth_getUncleCountByBlockHash", by_hash).await;
        samples.ask(rpc, "eth_getUncleByBlockHashAndIndex", by_place.clone()).await;
        samples.ask(rpc, "eth_getTransactionByBlockHashAndIndex", by_place.clone()).await;
        samples.ask(rpc, "eth_getRawTransactionByBlockHashAndIndex", by_place).await;
    }
    // One shape for each type: what is a field of one is none of another.
    let variants = ["from L1", "legacy", "EIP-2930", "EIP-1559", "", "EIP-7702"];
    for (tx, variant) in block.block.body().transactions.iter().zip(variants) {
        let by_hash = json!([tx.hash()]);
        samples.ask_as(rpc, "eth_getTransactionByHash", variant, by_hash.clone()).await;
        samples.ask(rpc, "eth_getTransactionReceipt", by_hash.clone()).await;
        samples.ask(rpc, "eth_getRawTransactionByHash", by_hash.clone()).await;
        samples.ask(rpc, "debug_getRawTransaction", by_hash).await;
    }
    let first = samples.ask_as(rpc, "eth_getBlockByNumber", "", json!(["0x1", false])).await;
    let upgrade = json!([first["transactions"][0]]);
    samples.ask_as(rpc, "eth_getTransactionByHash", "from L1", upgrade.clone()).await;
    samples.ask(rpc, "eth_getTransactionReceipt", upgrade).await;
    for method in [
        "eth_getTransactionByHash",
        "eth_getTransactionReceipt",
        "eth_getRawTransactionByHash",
        "debug_getRawTransaction",
    ] {
        samples.ask(rpc, method, json!([unknown])).await;
    }
    for nonce in ["0x0", "0x99"] {
        let params = json!([signer(1).address(), nonce]);
        samples.ask(rpc, "eth_getTransactionBySenderAndNonce", params).await;
    }
    for method in [
        "debug_getRawHeader",
        "debug_getRawBlock",
        "debug_getRawTransactions",
        "debug_getRawReceipts",
    ] {
        samples.ask(rpc, method, json!([number])).await;
    }
    samples.ask(rpc, "debug_getBadBlocks", json!([])).await;
}

async fn state_and_fees(samples: &mut Samples, rpc: &TestRpc) {
    let account = Address::repeat_byte(5);
    rpc.node.provider.set_code(CONTRACT, &[CODE, &[0; 16]].concat());
    for method in ["eth_getBalance", "eth_getTransactionCount"] {
        samples.ask(rpc, method, json!([account, "latest"])).await;
    }
    for account in [account, CONTRACT] {
        samples.ask(rpc, "eth_getCode", json!([account])).await;
        samples.ask(rpc, "eth_getAccountInfo", json!([account, "latest"])).await;
    }
    samples.ask(rpc, "eth_getStorageAt", json!([account, "0x0", "latest"])).await;
    for method in [
        "eth_protocolVersion",
        "eth_syncing",
        "eth_coinbase",
        "eth_accounts",
        "eth_mining",
        "eth_hashrate",
        "eth_blockNumber",
        "eth_chainId",
        "eth_gasPrice",
        "eth_maxPriorityFeePerGas",
        "eth_blobBaseFee",
    ] {
        samples.ask(rpc, method, json!([])).await;
    }
    samples.ask(rpc, "eth_feeHistory", json!(["0x2", "latest", [50]])).await;
    samples.ask(rpc, "eth_feeHistory", json!(["0x2", "latest"])).await;
    rpc.shared.set_highest_block(1000);
    samples.ask_as(rpc, "eth_syncing", "behind", json!([])).await;
    let (word, address) = (B256::ZERO, account);
    for (method, params) in [
        ("eth_getWork", json!([])),
        ("eth_submitWork", json!(["0x0000000000000001", word, word])),
        ("eth_submitHashrate", json!(["0x1", word])),
        ("eth_sendTransaction", json!([{}])),
        ("eth_sign", json!([address, "0x"])),
        ("eth_signTransaction", json!([{}])),
        ("eth_signTypedData", json!([address, {}])),
        ("eth_getProof", json!([address, [], "latest"])),
        ("eth_getAccount", json!([address, "latest"])),
    ] {
        samples.refused(rpc, method, params).await;
    }
}

async fn filters_and_subscriptions(samples: &mut Samples) {
    let rpc = &TestRpc::new();
    rpc.node.fund(signer(2).address(), 0, ETHER);
    let id = samples.ask(rpc, "eth_subscribe", json!(["newHeads"])).await;
    samples.ask(rpc, "eth_unsubscribe", json!([id])).await;
    let kinds = [
        ("newHeads", json!(["newHeads"])),
        ("logs", json!(["logs", {}])),
        ("transactionReceipts", json!(["transactionReceipts"])),
        ("newPendingTransactions", json!(["newPendingTransactions"])),
        ("newPendingTransactions full", json!(["newPendingTransactions", true])),
        ("syncing", json!(["syncing"])),
    ];
    let mut subscriptions = Vec::new();
    for (kind, params) in kinds {
        subscriptions.push((kind, subscriptions::subscribe(rpc, params, 16).await));
    }
    let logs = samples.ask(rpc, "eth_newFilter", json!([{}])).await;
    let blocks = samples.ask(rpc, "eth_newBlockFilter", json!([])).await;
    let pending = samples.ask(rpc, "eth_newPendingTransactionFilter", json!([])).await;
    let full = samples.ask(rpc, "eth_newPendingTransactionFilter", json!([true])).await;
    let tx = transfer(&signer(2), 0, 1);
    samples.ask(rpc, "eth_sendRawTransaction", json!([raw(&tx)])).await;
    rpc.node.commit_logs(0, vec![log(1, 1)]);
    for (kind, subscription) in &mut subscriptions {
        let item = subscriptions::next(subscription).await;
        samples.add("eth_subscribe", kind, Ok(item));
    }
    for (kind, id) in
        [("logs", &logs), ("blocks", &blocks), ("pending", &pending), ("full pending", &full)]
    {
        samples.ask_as(rpc, "eth_getFilterChanges", kind, json!([id])).await;
    }
    samples.ask(rpc, "eth_getFilterLogs", json!([logs])).await;
    samples.ask(rpc, "eth_getLogs", json!([{"fromBlock": "0x0"}])).await;
    samples.ask(rpc, "eth_uninstallFilter", json!([logs])).await;
}

async fn pool(samples: &mut Samples) {
    let rpc = &TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    let tx = transfer(&signer, 0, 1);
    let included = async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !rpc.node.pool.contains(tx.hash()) {
            assert!(tokio::time::Instant::now() < deadline, "not submitted");
            tokio::task::yield_now().await;
        }
        rpc.node.commit(TestBlock { transactions: vec![tx.clone()], ..Default::default() });
    };
    let params = json!([raw(&tx), 10_000]);
    let (receipt, ()) = tokio::join!(rpc.ok("eth_sendRawTransactionSync", params), included);
    samples.add("eth_sendRawTransactionSync", "", Ok(receipt));
    for nonce in [1, 5] {
        let tx = transfer(&signer, nonce, 1);
        samples.ask(rpc, "eth_sendRawTransaction", json!([raw(&tx)])).await;
        samples.ask_as(rpc, "eth_getTransactionByHash", "pending", json!([tx.hash()])).await;
    }
    for method in ["txpool_status", "txpool_content", "txpool_inspect"] {
        samples.ask(rpc, method, json!([])).await;
    }
    samples.ask(rpc, "txpool_contentFrom", json!([signer.address()])).await;
}

async fn small_namespaces(samples: &mut Samples, rpc: &TestRpc) {
    for method in
        ["net_version", "net_peerCount", "net_listening", "web3_clientVersion", "rpc_modules"]
    {
        samples.ask(rpc, method, json!([])).await;
    }
    samples.ask(rpc, "web3_sha3", json!(["0x"])).await;
}

/// A block that was executed: a call that calls, a revert, and a creation.
fn executed() -> (TestRpc, ExecutedBlock) {
    let rpc = TestRpc::new();
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    rpc.node.provider.set_code(CALLER, &calls(CONTRACT, 0));
    rpc.node.provider.set_code(CONTRACT, CODE);
    rpc.node.provider.set_code(REVERTER, &reverts(&Revert::from("too poor").abi_encode()));
    let block = rpc.node.execute(vec![
        invoke(&signer, 0, TxKind::Call(CALLER), vec![0x12, 0x34, 0x56, 0x78, 9]),
        invoke(&signer, 1, TxKind::Call(REVERTER), vec![]),
        invoke(&signer, 2, TxKind::Create, deploys(CODE)),
    ]);
    (rpc, block)
}

async fn calls_and_simulation(samples: &mut Samples, rpc: &TestRpc) {
    let from = signer(1).address();
    let call = json!({"from": from, "to": CALLER});
    let failing = json!({"to": REVERTER});
    samples.ask(rpc, "eth_call", json!([{"to": CONTRACT}])).await;
    samples.ask(rpc, "eth_call", json!([call])).await;
    samples.ask(rpc, "eth_estimateGas", json!([call])).await;
    samples.ask(rpc, "eth_createAccessList", json!([call])).await;
    samples.ask(rpc, "eth_createAccessList", json!([failing])).await;
    let many = json!([[{"transactions": [call, failing]}]]);
    samples.ask(rpc, "eth_callMany", many).await;
    samples.ask(rpc, "eth_fillTransaction", json!([call])).await;
    let calls = json!([call, failing, {"to": CONTRACT}]);
    let payload = json!({"blockStateCalls": [{"calls": calls}], "traceTransfers": true});
    samples.ask(rpc, "eth_simulateV1", json!([payload])).await;
    let full = json!({"blockStateCalls": [{"calls": [call]}], "returnFullTransactions": true});
    samples.ask_as(rpc, "eth_simulateV1", "full", json!([full])).await;
}

async fn geth_traces(samples: &mut Samples, rpc: &TestRpc, block: &ExecutedBlock) {
    let tracers = [
        ("opcodes", json!({"enableMemory": true, "enableReturnData": true})),
        ("callTracer", json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}})),
        ("prestateTracer", json!({"tracer": "prestateTracer"})),
        (
            "prestateTracer diff",
            json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}),
        ),
        ("4byteTracer", json!({"tracer": "4byteTracer"})),
        ("flatCallTracer", json!({"tracer": "flatCallTracer"})),
        (
            "muxTracer",
            json!({"tracer": "muxTracer", "tracerConfig": {"callTracer": {}, "noopTracer": null}}),
        ),
        ("noopTracer", json!({"tracer": "noopTracer"})),
    ];
    for (name, options) in tracers {
        for tx in &block.block.body().transactions {
            let params = json!([tx.hash(), options]);
            samples.ask_as(rpc, "debug_traceTransaction", name, params).await;
        }
    }
    let options = json!({"tracer": "callTracer"});
    samples.ask(rpc, "debug_traceBlockByNumber", json!(["0x1", options])).await;
    samples.ask(rpc, "debug_traceBlockByHash", json!([block.hash(), options])).await;
    let rlp = rpc.ok("debug_getRawBlock", json!(["0x1"])).await;
    samples.ask(rpc, "debug_traceBlock", json!([rlp, options])).await;
    let call = json!({"to": CALLER});
    samples.ask(rpc, "debug_traceCall", json!([call, "latest", options])).await;
    let bundles = json!([{"transactions": [call]}]);
    samples.ask(rpc, "debug_traceCallMany", json!([bundles, null, options])).await;
}

async fn parity_traces(samples: &mut Samples, rpc: &TestRpc, block: &ExecutedBlock) {
    let all = json!(["trace", "stateDiff", "vmTrace"]);
    for tx in &block.block.body().transactions {
        samples.ask(rpc, "trace_transaction", json!([tx.hash()])).await;
        samples.ask(rpc, "trace_replayTransaction", json!([tx.hash(), all])).await;
        for place in ["0x0", "0x9"] {
            samples.ask(rpc, "trace_get", json!([tx.hash(), [place]])).await;
        }
    }
    samples.ask(rpc, "trace_transaction", json!([B256::ZERO])).await;
    for number in ["0x1", "0x99"] {
        samples.ask(rpc, "trace_block", json!([number])).await;
        samples.ask(rpc, "trace_replayBlockTransactions", json!([number, all])).await;
    }
    samples.ask(rpc, "trace_filter", json!([{"fromBlock": "0x1"}])).await;
    let call = json!({"to": CALLER});
    samples.ask(rpc, "trace_call", json!([call, all])).await;
    samples.ask(rpc, "trace_callMany", json!([[[call, all]], "latest"])).await;
    let tx = invoke(&signer(1), 3, TxKind::Call(CALLER), vec![]);
    samples.ask(rpc, "trace_rawTransaction", json!([raw(&tx), all])).await;
}

async fn settlement(samples: &mut Samples) {
    let rpc = &TestRpc::new();
    let account = Address::repeat_byte(5);
    let tx = transfer(&signer(1), 0, 0);
    let mut with_message = receipt(&tx, 21_000, vec![]);
    with_message.l2_to_l1_logs = vec![L2ToL1Log::message(0, account, b"hi")];
    let logs = with_message.l2_to_l1_logs.clone();
    let block = rpc.node.commit(TestBlock {
        transactions: vec![tx.clone()],
        receipts: vec![with_message],
        accounts: vec![(account, AccountProperties::new_eoa(2, U256::from(20)))],
        storage: vec![(account, B256::ZERO, B256::with_last_byte(9))],
        ..Default::default()
    });
    let mut tree = MerkleTree::open(InMemoryStore::new()).unwrap();
    tree.extend(0, &rpc.node.chain_spec.genesis_state().entries).unwrap();
    let writes: Vec<(B256, B256)> =
        block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    let output = tree.extend(1, &writes).unwrap();
    let context = &block.record.block_context;
    let hashes = block_hashes_blake(&context.block_hashes, block.hash());
    let stored = StoredBatchInfo {
        batch_number: 1,
        state_commitment: state_commitment(
            output.root,
            output.leaf_count,
            1,
            hashes,
            context.timestamp,
        ),
        l2_logs_tree_root: l2_logs_tree_root(&logs).unwrap(),
        ..Default::default()
    };
    let on_l1 = Some(B256::repeat_byte(1));
    let executed = BatchInfo {
        stored,
        first_block: 1,
        last_block: 1,
        commit_tx: on_l1,
        prove_tx: on_l1,
        execute_tx: on_l1,
    };
    let sealed = BatchInfo {
        stored: StoredBatchInfo { batch_number: 2, ..stored },
        first_block: 2,
        last_block: 2,
        commit_tx: None,
        prove_tx: None,
        execute_tx: None,
    };
    let batches = Arc::new(BatchIndex::default());
    batches.insert(executed);
    batches.insert(sealed);
    batches.set_heads(BatchHeads { committed: 1, proved: 1, executed: 1 });
    rpc.shared.set_batches(batches);
    rpc.shared.set_state_prover(Arc::new(RwLock::new(tree)));
    rpc.shared.set_bridgehub(Address::repeat_byte(3));
    rpc.shared.set_bytecode_supplier(Address::repeat_byte(4));
    rpc.node.stages.register("engine").waiting("transactions");
    rpc.node.stages.register("tree").set_head(1);

    for method in [
        "zks_getBridgehubContract",
        "zks_getBytecodeSupplierContract",
        "zks_getGenesis",
        "zks_gasPerPubdata",
        "zks_L1BatchNumber",
        "zks_pipelineStatus",
    ] {
        samples.ask(rpc, method, json!([])).await;
    }
    for number in [1, 2, 9] {
        samples.ask(rpc, "zks_getL1BatchDetails", json!([number])).await;
        samples.ask(rpc, "zks_getL1BatchBlockRange", json!([number])).await;
        samples.ask(rpc, "zks_getBatchByBlockNumber", json!([number])).await;
        samples.ask(rpc, "unstable_getBatchByBlockNumber", json!([number])).await;
        samples.ask(rpc, "zks_getBlockMetadataByNumber", json!([number])).await;
    }
    for hash in [*tx.hash(), B256::ZERO] {
        samples.ask(rpc, "zks_getL2ToL1LogProof", json!([hash, 0])).await;
    }
    for batch in [1, 9] {
        let slots = [B256::ZERO, B256::with_last_byte(1)];
        samples.ask(rpc, "zks_getProof", json!([account, slots, batch])).await;
        samples.ask(rpc, "zks_getAccountPreimage", json!([account, batch])).await;
    }
}
