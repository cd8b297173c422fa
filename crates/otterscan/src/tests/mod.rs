//! The index and the methods over blocks that were really executed, in memory; the index itself on disk.

mod index;
mod methods;

use crate::{AddressIndex, OtterscanApi, OtterscanServer, otterscan};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use jsonrpsee::Methods;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use zkos_exex::{
    ExExContext,
    test_utils::{TestExExHandle, TestNode, test_exex_context},
};
use zkos_node_core::{FullNodeComponents, args::RpcServerArgs};
use zkos_primitives::{AccountProperties, ZkTxEnvelope};
use zkos_rpc::RpcBuilder;
use zkos_storage::{OtsIndex, StorageOptions};
use zkos_storage_api::ExecutedBlock;

const ETHER: u128 = 1_000_000_000_000_000_000;
const DEADLINE: Duration = Duration::from_secs(30);

/// A transaction with its sender.
type Tx = (ZkTxEnvelope, Address);
type CallResult = Result<Value, (i64, String)>;

/// A node without block production, its namespaces, and the directory of its index.
struct Bed {
    handle: TestExExHandle,
    node: TestNode,
    readers: AddressIndex,
    methods: Methods,
    dir: TempDir,
    context: Option<ExExContext<TestNode>>,
}

impl Bed {
    fn new() -> Self {
        let (context, handle) = test_exex_context();
        let node = context.components.clone();
        let readers = AddressIndex::default();
        let mut rpc = RpcBuilder::new(node.clone(), RpcServerArgs::default()).build().unwrap();
        let ots = OtterscanApi::new(rpc.eth.clone(), readers.clone());
        rpc.modules.merge_configured(ots.into_rpc()).unwrap();
        let methods = rpc.modules.into_methods().unwrap();
        let account = AccountProperties::new_eoa(0, U256::from(ETHER));
        handle.provider.set_account(user().address(), account);
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        Self { handle, node, readers, methods, dir, context: Some(context) }
    }

    fn open_index(&self) -> OtsIndex {
        OtsIndex::open(self.dir.path(), self.node.chain_spec(), &StorageOptions::small()).unwrap()
    }

    /// Starts the extension on a context of the chain as it is.
    async fn start(&mut self) -> tokio::task::JoinHandle<eyre::Result<()>> {
        let context = self.context.take().unwrap();
        let index = self.open_index();
        tokio::spawn(otterscan(context, index, self.readers.clone()).await.unwrap())
    }

    /// Executes the next block and announces it.
    async fn block(&self, transactions: Vec<Tx>) -> ExecutedBlock {
        let block = self.handle.next_block(transactions).unwrap();
        self.handle.send_committed(vec![block.clone()]).await.unwrap();
        block
    }

    async fn indexed(&mut self, number: u64) {
        let reached = self.handle.wait_for_finished_height(number);
        tokio::time::timeout(DEADLINE, reached).await.expect("in time").unwrap();
    }

    async fn call(&self, method: &str, params: Value) -> CallResult {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (response, _) = self.methods.raw_json_request(&request.to_string(), 16).await.unwrap();
        let mut response: Value = serde_json::from_str(response.get()).unwrap();
        match response.get_mut("error") {
            Some(error) => Err((
                error["code"].as_i64().unwrap(),
                error["message"].as_str().unwrap().to_owned(),
            )),
            None => Ok(response["result"].take()),
        }
    }

    async fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone())
            .await
            .unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
    }

    async fn err(&self, method: &str, params: Value) -> (i64, String) {
        match self.call(method, params.clone()).await {
            Err(error) => error,
            Ok(value) => panic!("{method} {params} gave {value}"),
        }
    }
}

fn user() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap()
}

fn tx(nonce: u64, to: TxKind, value: u64, input: Vec<u8>) -> Tx {
    let tx = TxEip1559 {
        chain_id: 270,
        nonce,
        gas_limit: 3_000_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 5,
        to,
        value: U256::from(value),
        input: input.into(),
        ..Default::default()
    };
    let signature = user().sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
    (tx, user().address())
}

fn pay(nonce: u64, to: Address, value: u64) -> Tx {
    tx(nonce, TxKind::Call(to), value, Vec::new())
}

fn invoke(nonce: u64, to: Address) -> Tx {
    tx(nonce, TxKind::Call(to), 0, vec![1, 2, 3, 4, 5, 6])
}

fn deploy(nonce: u64, runtime: &[u8]) -> Tx {
    tx(nonce, TxKind::Create, 0, deploys(runtime))
}

fn hash(tx: &Tx) -> B256 {
    *tx.0.hash()
}

/// Initialisation code that deploys `code`.
fn deploys(code: &[u8]) -> Vec<u8> {
    let len = code.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xf3], code].concat()
}

/// Code that calls `to` with `value` and all gas, and ends well.
fn calls(to: Address, value: u8) -> Vec<u8> {
    [&[0x5f, 0x5f, 0x5f, 0x5f, 0x60, value, 0x73], to.as_slice(), &[0x5a, 0xf1, 0x00]].concat()
}

/// Code that runs `to` in its own place.
fn delegates(to: Address) -> Vec<u8> {
    [&[0x5f, 0x5f, 0x5f, 0x5f, 0x73], to.as_slice(), &[0x5a, 0xf4, 0x00]].concat()
}

/// Code that creates a contract from `init` with `value`, then ends as `end` says (2 bytes).
fn creates(init: &[u8], value: u8, end: [u8; 3]) -> Vec<u8> {
    let len = init.len() as u8;
    let head = [0x60, len, 0x60, 0x0f, 0x5f, 0x39, 0x60, len, 0x5f, 0x60, value, 0xf0];
    [&head[..], &end, init].concat()
}

const STOP: [u8; 3] = [0x00; 3];
const REVERT: [u8; 3] = [0x5f, 0x5f, 0xfd];

/// Code that reverts with `data`.
fn reverts(data: &[u8]) -> Vec<u8> {
    let len = data.len() as u8;
    [&[0x60, len, 0x60, 0x0a, 0x5f, 0x39, 0x60, len, 0x5f, 0xfd], data].concat()
}

/// Code that sends everything to `to` and destroys itself.
fn destructs(to: Address) -> Vec<u8> {
    [&[0x73], to.as_slice(), &[0xff]].concat()
}

fn bytes(data: &[u8]) -> Value {
    json!(Bytes::copy_from_slice(data))
}
