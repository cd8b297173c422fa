//! Pages of an address with 100,000 transactions, from request to JSON, over the real databases; and what the index costs per block.
//!
//! `ZKOS_BENCH_DIR` is the place of the databases (default: the directory for temporary files).

#![allow(missing_docs)]

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tempfile::TempDir;
use zkos_executor::ZkEvmConfig;
use zkos_exex::test_utils::test_exex_context;
use zkos_node_core::{
    StageRegistry, TaskExecutor, TaskManager,
    args::RpcServerArgs,
    execution::{StateProviderView, execute_record},
};
use zkos_otterscan::{AddressIndex, Direction, Indexer, OtterscanApi, touched_by};
use zkos_pool::{
    CoinbaseTipOrdering, Pool, PoolConfig, ZkTransactionPool, ZkTransactionValidatorBuilder,
};
use zkos_primitives::{AccountProperties, Genesis, ZkChainSpec, ZkTxEnvelope};
use zkos_rpc::{EthApi, RpcNodeCore, RpcShared};
use zkos_storage::{BlockchainProvider, OtsIndex, OtsIndexBlock, Storage, StorageOptions};
use zkos_storage_api::{
    BlockWriter, ExecutedBlock, ReplayRecordReader, StateProviderFactory,
    test_utils::{ChainBuilder, TestBlock, test_transfer},
};

/// Sends all transactions of the blocks with ten: 100,000.
const BUSY: Address = Address::repeat_byte(0xb5);
const SMALL_BLOCKS: u64 = 10_000;
const PER_SMALL_BLOCK: u64 = 10;
/// Sends one of the 1,000 transactions of each full block.
const SPARSE: Address = Address::repeat_byte(0x5a);
/// More than the cache of blocks holds.
const FULL_BLOCKS: u64 = 480;
const PER_FULL_BLOCK: u64 = 1_000;
const PAGE: usize = 25;
/// Transfers in the block that is put into the index: as many as its pubdata allows.
const TRANSFERS: u64 = 500;

/// A node over the real databases that makes no blocks.
#[derive(Clone)]
struct BenchNode {
    provider: BlockchainProvider,
    pool: ZkTransactionPool<BlockchainProvider>,
    evm_config: ZkEvmConfig,
    chain_spec: Arc<ZkChainSpec>,
    stages: StageRegistry,
    tasks: TaskExecutor,
}

impl RpcNodeCore for BenchNode {
    type Provider = BlockchainProvider;
    type Pool = ZkTransactionPool<BlockchainProvider>;

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

fn spec() -> ZkChainSpec {
    ZkChainSpec::new(270, Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap()).unwrap()
}

fn entries(block: &ExecutedBlock) -> OtsIndexBlock {
    let mut touched = Vec::new();
    let record = &block.record;
    for (index, (tx, sender)) in (0u32..).zip(record.transactions.iter().zip(&record.senders)) {
        let mut addresses: Vec<Address> = touched_by(tx, *sender).collect();
        addresses.sort_unstable();
        addresses.dedup();
        touched.extend(addresses.into_iter().map(|address| (address, index)));
    }
    OtsIndexBlock { block: block.num_hash(), touched, created: Vec::new() }
}

/// Fills the databases and closes them, so that nothing is in memory afterwards.
fn fill(path: &Path) {
    let (provider, _) = Storage::open(path, &spec(), StorageOptions::default()).unwrap();
    let index = provider.open_ots_index().unwrap();
    let mut builder = ChainBuilder::new(&spec());
    let durable = provider.durable_block();
    let wait = |number| {
        while *durable.borrow() < number {
            std::thread::yield_now();
        }
    };
    let mut add = |transactions| {
        let block = builder.next_block(TestBlock { transactions, ..Default::default() });
        let number = block.number();
        index.append(&[entries(&block)]).unwrap();
        provider.append(block).unwrap();
        // Blocks that are not canonical stay in memory.
        if number.is_multiple_of(200) {
            wait(number);
            provider.set_canonical_head(number).unwrap();
        }
    };
    for number in 0..SMALL_BLOCKS {
        let nonces = number * PER_SMALL_BLOCK..(number + 1) * PER_SMALL_BLOCK;
        add(nonces.map(|nonce| test_transfer(BUSY, nonce)).collect());
    }
    for number in 0..FULL_BLOCKS {
        let others = (1..PER_FULL_BLOCK).map(|n| {
            test_transfer(Address::left_padding_from(&(0x10_0000 + n).to_be_bytes()), number)
        });
        add(std::iter::once(test_transfer(SPARSE, number)).chain(others).collect());
    }
    let last = SMALL_BLOCKS + FULL_BLOCKS;
    wait(last);
    provider.set_canonical_head(last).unwrap();
    provider.flush().unwrap();
    provider.shutdown().unwrap();
}

fn temp() -> TempDir {
    match std::env::var_os("ZKOS_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

fn pages(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = temp();
    fill(dir.path());
    let tasks = TaskManager::new(runtime.handle().clone());
    let (provider, heads) = Storage::open(dir.path(), &spec(), StorageOptions::default()).unwrap();
    assert_eq!(heads.wal, SMALL_BLOCKS + FULL_BLOCKS);
    let readers = AddressIndex::default();
    readers.provide(Arc::new(provider.open_ots_index().unwrap()));
    let validator = ZkTransactionValidatorBuilder::new(270).build(provider.clone());
    let node = BenchNode {
        provider,
        pool: Pool::new(validator, CoinbaseTipOrdering::default(), PoolConfig::default()),
        evm_config: ZkEvmConfig::new(),
        chain_spec: Arc::new(spec()),
        stages: StageRegistry::default(),
        tasks: tasks.executor(),
    };
    let _entered = runtime.enter();
    let eth = EthApi::new(node, (&RpcServerArgs::default()).into(), RpcShared::default());
    let api = OtterscanApi::new(eth, readers);
    let read = |address, block, direction| {
        let page = runtime.block_on(api.search(address, block, direction, PAGE)).unwrap();
        assert!(page.txs.len() >= PAGE);
        black_box(serde_json::to_vec(&page).unwrap());
    };

    let mut group = c.benchmark_group("page of 25");
    group.measurement_time(Duration::from_secs(5)).sample_size(30);
    group.bench_function("first, 100k transactions", |b| {
        b.iter(|| read(BUSY, 0, Direction::Before));
    });
    group.bench_function("last, 100k transactions", |b| b.iter(|| read(BUSY, 0, Direction::After)));
    // A page that nobody read before: steps through the chain, far enough that no cache helps.
    let mut at = 0;
    let mut next = |first: u64, blocks: u64, step: u64| {
        at = (at + step) % blocks;
        first + at
    };
    group.bench_function("any before, 100k transactions", |b| {
        b.iter(|| read(BUSY, next(1_000, SMALL_BLOCKS - 2_000, 7_919), Direction::Before));
    });
    group.bench_function("any after, 100k transactions", |b| {
        b.iter(|| read(BUSY, next(1_000, SMALL_BLOCKS - 2_000, 7_919), Direction::After));
    });
    group.bench_function("any, one hit in each of 25 blocks of 1,000", |b| {
        b.iter(|| read(SPARSE, SMALL_BLOCKS + next(30, FULL_BLOCKS - 60, 67), Direction::Before));
    });
    group.finish();
    drop((api, tasks));
}

/// Transfers to a hundred accounts.
fn transfers(
    signer: &PrivateKeySigner,
    nonces: std::ops::Range<u64>,
) -> Vec<(ZkTxEnvelope, Address)> {
    let transfer = |nonce| {
        let tx = TxEip1559 {
            chain_id: 270,
            nonce,
            gas_limit: 60_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(Address::left_padding_from(&(0x10_0000 + nonce % 100).to_be_bytes())),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        let tx = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
        (tx, signer.address())
    };
    nonces.map(transfer).collect()
}

fn indexing(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (context, handle) = test_exex_context();
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
    let rich = AccountProperties::new_eoa(0, U256::from(10).pow(U256::from(24)));
    handle.provider.set_account(signer.address(), rich);
    handle.next_block(transfers(&signer, 0..TRANSFERS)).unwrap();
    let (provider, evm_config) = (&handle.provider, context.evm_config().clone());
    let spec = zkos_node_core::FullNodeComponents::chain_spec(&context.components).clone();

    let mut group = c.benchmark_group("block of 500 transfers");
    group.throughput(Throughput::Elements(TRANSFERS)).sample_size(20);
    group.bench_function("executed", |b| {
        b.iter(|| {
            let record = provider.replay_record_or_err(1).unwrap();
            let state = StateProviderView::new(provider.history_by_block_number(0).unwrap());
            black_box(execute_record(&evm_config, record, state).unwrap());
        });
    });
    group.bench_function("executed, inspected and put into the index", |b| {
        b.iter_batched(
            || {
                let dir = temp();
                let index = OtsIndex::open(dir.path(), &spec, &StorageOptions::default()).unwrap();
                (dir, Indexer::new(provider.clone(), evm_config.clone(), Arc::new(index)))
            },
            |(dir, indexer)| {
                indexer.extend(1, &AtomicBool::new(false)).unwrap();
                (dir, indexer)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, pages, indexing);
criterion_main!(benches);
