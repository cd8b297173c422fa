//! The namespaces over a provider in memory, with the real pool and the real executor.

mod bad_input;
mod calls;
mod docs;
mod filters;
mod getters;
mod golden;
mod http;
mod ipc;
mod reads;
mod simulate;
mod submit;
mod subscriptions;
mod tracing;
#[cfg(feature = "js-tracer")]
mod tracing_js;
mod zks;

use crate::{RpcBuilder, RpcContext, RpcNodeCore, RpcShared};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use jsonrpsee::Methods;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{
    StageRegistry, TaskExecutor, TaskManager,
    args::RpcServerArgs,
    execution::{StateProviderView, assemble_block},
};
use zkos_pool::{
    CoinbaseTipOrdering, Pool, PoolConfig, ZkTransactionPool, ZkTransactionValidatorBuilder,
};
use zkos_primitives::{
    AccountProperties, BlockContext, Genesis, ProtocolVersion, RecoveredTx, ReplayRecord,
    TxL1Priority, ZkChainSpec, ZkReceipt, ZkTxEnvelope,
};
use zkos_storage_api::{
    BlockNumReader, BlockWriter, ExecutedBlock, ForkChoiceWriter, ReplayRecordReader,
    StateProviderFactory,
    test_utils::{ChainBuilder, MemoryProvider, TestBlock},
};

const CHAIN_ID: u64 = 270;
const ETHER: u128 = 1_000_000_000_000_000_000;
const COINBASE: Address = Address::repeat_byte(0xcb);

/// A node without a network and without block production.
#[derive(Clone)]
struct TestNode {
    provider: MemoryProvider,
    pool: ZkTransactionPool<MemoryProvider>,
    evm_config: ZkEvmConfig,
    chain_spec: Arc<ZkChainSpec>,
    stages: StageRegistry,
    tasks: TaskExecutor,
    chain: Arc<Mutex<ChainBuilder>>,
}

impl RpcNodeCore for TestNode {
    type Provider = MemoryProvider;
    type Pool = ZkTransactionPool<MemoryProvider>;

    fn provider(&self) -> &Self::Provider {
        &self.provider
    }
    fn pool(&self) -> &Self::Pool {
        &self.pool
    }
    fn evm_config(&self) -> &ZkEvmConfig {
        &self.evm_config
    }
    fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        &self.chain_spec
    }
    fn stages(&self) -> &StageRegistry {
        &self.stages
    }
    fn task_executor(&self) -> &TaskExecutor {
        &self.tasks
    }
}

/// A node, its namespaces, and the tasks behind them.
struct TestRpc {
    node: TestNode,
    methods: Methods,
    shared: RpcShared,
    // Ends the tasks when dropped.
    _tasks: TaskManager,
}

type CallResult = Result<Value, (i64, String, Value)>;

impl TestRpc {
    fn new() -> Self {
        Self::with_args(RpcServerArgs::default())
    }

    fn with_args(args: RpcServerArgs) -> Self {
        let (node, tasks) = test_node();
        let context = build(&node, args);
        let shared = context.shared().clone();
        let methods = context.modules.into_methods().unwrap();
        Self { node, methods, shared, _tasks: tasks }
    }

    async fn call(&self, method: &str, params: Value) -> CallResult {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (response, _) = self.methods.raw_json_request(&request.to_string(), 16).await.unwrap();
        let mut response: Value = serde_json::from_str(response.get()).unwrap();
        match response.get_mut("error") {
            Some(error) => Err((
                error["code"].as_i64().unwrap(),
                error["message"].as_str().unwrap().to_owned(),
                error["data"].take(),
            )),
            None => Ok(response["result"].take()),
        }
    }

    async fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone())
            .await
            .unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
    }

    async fn err(&self, method: &str, params: Value) -> (i64, String, Value) {
        match self.call(method, params.clone()).await {
            Err(error) => error,
            Ok(value) => panic!("{method} {params} gave {value}"),
        }
    }
}

fn test_node() -> (TestNode, TaskManager) {
    let chain_spec = Arc::new(
        ZkChainSpec::new(CHAIN_ID, Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap())
            .unwrap(),
    );
    let provider = MemoryProvider::new(&chain_spec);
    let validator = ZkTransactionValidatorBuilder::new(CHAIN_ID).build(provider.clone());
    let pool = Pool::new(validator, CoinbaseTipOrdering::default(), PoolConfig::default());
    let tasks = TaskManager::current();
    let node = TestNode {
        chain: Arc::new(Mutex::new(ChainBuilder::new(&chain_spec))),
        provider,
        pool,
        evm_config: ZkEvmConfig::new(),
        chain_spec,
        stages: StageRegistry::default(),
        tasks: tasks.executor(),
    };
    (node, tasks)
}

fn build(node: &TestNode, args: RpcServerArgs) -> RpcContext<TestNode> {
    RpcBuilder::new(node.clone(), args).build().unwrap()
}

impl TestNode {
    /// Makes the next block canonical.
    fn commit(&self, contents: TestBlock) -> ExecutedBlock {
        let block = self.chain.lock().next_block(contents);
        self.provider.append(block.clone()).unwrap();
        self.provider.set_canonical_head(block.number()).unwrap();
        block
    }

    /// Executes transactions in the next block and makes it canonical. Not to be mixed with [`Self::commit`] in a test.
    fn execute(&self, transactions: Vec<RecoveredTx>) -> ExecutedBlock {
        let head = self.provider.best_block_number().unwrap();
        let parent = self.provider.replay_record(head).unwrap().unwrap();
        let context = BlockContext {
            chain_id: CHAIN_ID,
            block_number: head + 1,
            block_hashes: parent.block_context.block_hashes.next(parent.block_hash),
            timestamp: 1_700_000_000 + head + 1,
            eip1559_basefee: U256::from(100_000_000),
            native_price: U256::from(1_000_000),
            coinbase: COINBASE,
            gas_limit: 100_000_000,
            pubdata_limit: 110_000,
            execution_version: 5,
            ..Default::default()
        };
        let state = StateProviderView::new(self.provider.latest().unwrap());
        let mut executor = self.evm_config.block_executor(context.clone(), state).unwrap();
        for tx in &transactions {
            executor.execute_transaction(tx.inner(), tx.signer()).unwrap().unwrap();
        }
        let output = executor.finish().unwrap();
        let (transactions, senders) = transactions.into_iter().map(RecoveredTx::into_parts).unzip();
        let record = ReplayRecord {
            block_context: context,
            starting_l1_priority_id: 0,
            transactions,
            senders,
            previous_block_timestamp: parent.block_context.timestamp,
            node_version: "0.0.0".to_owned(),
            protocol_version: ProtocolVersion::V30_0,
            block_output_hash: output.output_hash(),
            block_hash: output.block_hash,
            force_preimages: Vec::new(),
        };
        let block = assemble_block(Arc::new(record), output);
        self.provider.append(block.clone()).unwrap();
        self.provider.set_canonical_head(block.number()).unwrap();
        block
    }

    fn commit_empty(&self) -> ExecutedBlock {
        self.commit(TestBlock::default())
    }

    /// Makes a block with one transaction that emits `logs`.
    fn commit_logs(&self, nonce: u64, logs: Vec<Log>) -> ExecutedBlock {
        let tx = transfer(&signer(1), nonce, 0);
        self.commit(TestBlock {
            receipts: vec![receipt(&tx, 21_000, logs)],
            transactions: vec![tx],
            ..Default::default()
        })
    }

    fn fund(&self, address: Address, nonce: u64, balance: u128) {
        self.provider.set_account(address, AccountProperties::new_eoa(nonce, U256::from(balance)));
    }
}

fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n)).unwrap()
}

fn transfer(signer: &PrivateKeySigner, nonce: u64, value: u64) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 50_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 5,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        value: U256::from(value),
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
    RecoveredTx::new_unchecked(tx, signer.address())
}

/// A transaction with calldata.
fn invoke(signer: &PrivateKeySigner, nonce: u64, to: TxKind, input: Vec<u8>) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 500_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 5,
        to,
        input: input.into(),
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
    RecoveredTx::new_unchecked(tx, signer.address())
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn word(n: u64) -> Value {
    json!(B256::from(U256::from(n)))
}

/// Code that returns the word on top of the stack after `op`.
fn returns(op: &[u8]) -> Vec<u8> {
    [op, &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]].concat()
}

/// Code that reverts with `data`.
fn reverts(data: &[u8]) -> Vec<u8> {
    let len = data.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xfd], data].concat()
}

/// Initialisation code that deploys `code`.
fn deploys(code: &[u8]) -> Vec<u8> {
    let len = code.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xf3], code].concat()
}

/// Code that calls `to` with all gas and `value`, and ends well whatever comes back.
fn calls(to: Address, value: u8) -> Vec<u8> {
    let head = [0x60, 0x20, 0x5f, 0x5f, 0x5f, 0x60, value, 0x73];
    [&head[..], to.as_slice(), &[0x5a, 0xf1, 0x50, 0x00]].concat()
}

fn raw(tx: &RecoveredTx) -> Bytes {
    tx.inner().encoded_2718().into()
}

fn l1_transaction() -> RecoveredTx {
    let from = Address::repeat_byte(0x11);
    let tx = TxL1Priority {
        from,
        to: Address::repeat_byte(0x22),
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        max_fee_per_gas: 7,
        nonce: 4,
        to_mint: U256::from(10_000_000),
        refund_recipient: from,
        ..Default::default()
    };
    RecoveredTx::new_unchecked(tx.into(), from)
}

fn receipt(tx: &RecoveredTx, cumulative_gas_used: u64, logs: Vec<Log>) -> ZkReceipt {
    ZkReceipt {
        tx_type: tx.tx_type(),
        success: true,
        cumulative_gas_used,
        logs,
        l2_to_l1_logs: Vec::new(),
    }
}

fn log(address: u8, topic: u8) -> Log {
    Log::new_unchecked(
        Address::repeat_byte(address),
        vec![B256::repeat_byte(topic)],
        Bytes::from_static(&[1, 2]),
    )
}
