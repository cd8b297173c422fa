//! The engine over an in-memory provider, with the real executor and the real pool.

use crate::{
    BlockImportHandle, ChainHead, Engine, EngineConfig, EngineError, EngineHandle, EngineMode,
    FeeModel, ImportOutcome,
};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, Transaction, TxEip1559};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use std::{path::Path, time::Duration};
use tokio::sync::mpsc;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{L1Transaction, StageRegistry, StageState, TaskManager, args::SequencerArgs};
use zkos_pool::{
    CoinbaseTipOrdering, MaintainPoolConfig, Pool, PoolConfig, TransactionOrigin, TransactionPool,
    ZkTransactionPool, ZkTransactionValidatorBuilder, maintain_transaction_pool,
};
use zkos_primitives::{
    AccountProperties, Genesis, RecoveredTx, ReplayRecord, TxL1Priority, TxUpgrade, ZkChainSpec,
    ZkTxEnvelope,
};
use zkos_storage_api::{
    BlockWriter, CanonStateNotification, CanonStateSubscriptions, ForkChoiceSubscriptions,
    ReplayRecordReader,
    test_utils::{ChainBuilder, MemoryProvider, TestBlock, test_transfer},
};

const DEADLINE: Duration = Duration::from_secs(20);
const RICH: Address = Address::repeat_byte(0xaa);
const OTHER: Address = Address::repeat_byte(0xbb);

fn spec() -> ZkChainSpec {
    ZkChainSpec::new(270, Genesis::default()).unwrap()
}

fn provider() -> MemoryProvider {
    let provider = MemoryProvider::new(&spec());
    for address in [RICH, OTHER] {
        provider.set_account(
            address,
            AccountProperties::new_eoa(0, U256::from(10).pow(U256::from(18))),
        );
    }
    provider
}

fn config(dumps: &Path) -> EngineConfig {
    EngineConfig {
        chain_id: 270,
        block_time: Duration::from_millis(30),
        max_transactions: 1000,
        gas_limit: 100_000_000,
        pubdata_limit: 110_000,
        fee_collector: Address::repeat_byte(0xfe),
        fees: FeeModel::from_args(&SequencerArgs::default()),
        max_blocks_to_produce: None,
        min_blocks_to_replay: 10,
        block_dump_path: dumps.to_owned(),
        protocol_version: None,
        max_in_flight: 2,
    }
}

fn upgrade() -> L1Transaction {
    let tx = TxUpgrade {
        from: Address::with_last_byte(7),
        to: Address::repeat_byte(0x11),
        gas_limit: 72_000_000,
        gas_per_pubdata_byte_limit: 800,
        nonce: 30,
        ..Default::default()
    };
    L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
}

fn priority(id: u64, gas_limit: u64) -> L1Transaction {
    let tx = TxL1Priority {
        from: Address::repeat_byte(0x22),
        to: Address::repeat_byte(0x33),
        gas_limit,
        gas_per_pubdata_byte_limit: 800,
        nonce: id,
        value: U256::from(1),
        to_mint: U256::from(1),
        refund_recipient: Address::repeat_byte(0x22),
        ..Default::default()
    };
    L1Transaction { tx: tx.into(), force_preimages: Vec::new() }
}

fn transfer(sender: Address, nonce: u64, gas_limit: u64) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: 270,
        nonce,
        gas_limit,
        max_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0x44)),
        value: U256::from(1),
        ..Default::default()
    };
    // Not a real one, but different for every sender.
    let r = U256::from_be_slice(sender.as_slice());
    let signature = Signature::new(r, U256::from(nonce + 1), false);
    let envelope = ZkTxEnvelope::from(EthereumTxEnvelope::Eip1559(tx.into_signed(signature)));
    RecoveredTx::new_unchecked(envelope, sender)
}

struct TestEngine {
    provider: MemoryProvider,
    pool: ZkTransactionPool<MemoryProvider>,
    l1: mpsc::Sender<L1Transaction>,
    stages: StageRegistry,
    handle: EngineHandle,
    manager: TaskManager,
    extensions: Option<mpsc::Receiver<CanonStateNotification>>,
    dumps: tempfile::TempDir,
}

impl TestEngine {
    fn start(provider: MemoryProvider, configure: impl FnOnce(&mut EngineConfig)) -> Self {
        let (l1, l1_transactions) = mpsc::channel(64);
        Self::start_mode(provider, configure, EngineMode::Produce { l1_transactions }, l1, None)
    }

    fn start_mode(
        provider: MemoryProvider,
        configure: impl FnOnce(&mut EngineConfig),
        mode: EngineMode,
        l1: mpsc::Sender<L1Transaction>,
        extensions: Option<usize>,
    ) -> Self {
        let manager = TaskManager::current();
        let executor = manager.executor();
        let dumps = tempfile::tempdir().unwrap();
        let mut config = config(dumps.path());
        configure(&mut config);
        let validator = ZkTransactionValidatorBuilder::new(270).build(provider.clone());
        let pool = Pool::new(validator, CoinbaseTipOrdering::default(), PoolConfig::default());
        executor.spawn_task(
            "pool",
            maintain_transaction_pool(
                provider.clone(),
                pool.clone(),
                MaintainPoolConfig::default(),
                std::future::pending(),
            ),
        );
        let (sender, receiver) = match extensions {
            Some(capacity) => {
                let (sender, receiver) = mpsc::channel(capacity);
                (Some(sender), Some(receiver))
            }
            None => (None, None),
        };
        let stages = StageRegistry::default();
        let engine = Engine {
            config,
            evm_config: ZkEvmConfig::new(),
            provider: provider.clone(),
            pool: pool.clone(),
            extensions: sender,
            stages: stages.clone(),
        };
        let handle = engine.spawn(mode, &executor).unwrap();
        Self { provider, pool, l1, stages, handle, manager, extensions: receiver, dumps }
    }

    async fn canonical(&self, number: u64) {
        let mut head = self.provider.canonical_head_watch();
        let waited = tokio::time::timeout(DEADLINE, head.wait_for(|head| *head >= number)).await;
        assert!(waited.is_ok(), "block {number} not reached: {:?}", self.stages.snapshot());
    }

    async fn record(&self, number: u64) -> std::sync::Arc<ReplayRecord> {
        self.canonical(number).await;
        self.provider.replay_record(number).unwrap().unwrap()
    }

    async fn add(&self, tx: RecoveredTx) -> B256 {
        let added = self.pool.add_consensus_transaction(tx, TransactionOrigin::External).await;
        added.unwrap().hash
    }

    /// Waits until the engine reports a state.
    async fn stage(&self, name: &str, text: &str) {
        let found = async {
            loop {
                let found = self.stages.snapshot().into_iter().any(|stage| {
                    stage.name == name
                        && matches!(&stage.state, StageState::Waiting(why) if why.contains(text))
                });
                if found {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, found).await;
        assert!(
            waited.is_ok(),
            "stage {name} never waited for {text}: {:?}",
            self.stages.snapshot()
        );
    }

    async fn failure(&mut self) -> String {
        tokio::time::timeout(DEADLINE, self.manager.wait()).await.unwrap().to_string()
    }

    fn dumped(&self) -> usize {
        std::fs::read_dir(self.dumps.path()).map_or(0, Iterator::count)
    }

    async fn stop(self) -> MemoryProvider {
        assert!(self.manager.graceful_shutdown(DEADLINE).await);
        self.provider
    }
}

fn kinds(record: &ReplayRecord) -> Vec<u8> {
    record
        .transactions
        .iter()
        .map(|tx| {
            if tx.as_upgrade().is_some() {
                b'u'
            } else if tx.as_l1().is_some() {
                b'1'
            } else {
                b'2'
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_first_then_l1_then_l2_and_parents_link_up() {
    let engine = TestEngine::start(provider(), |_| {});
    engine.stage("engine", "genesis upgrade").await;
    engine.add(transfer(RICH, 0, 21_000)).await;
    engine.add(transfer(RICH, 1, 21_000)).await;
    for id in 0..2 {
        engine.l1.send(priority(id, 300_000)).await.unwrap();
    }
    // Still nothing: the first block belongs to the genesis upgrade.
    engine.stage("engine", "genesis upgrade").await;
    engine.l1.send(upgrade()).await.unwrap();
    let (one, two) = (engine.record(1).await, engine.record(2).await);
    assert_eq!(kinds(&one), b"u");
    assert_eq!(kinds(&two), b"1122");
    assert_eq!((one.starting_l1_priority_id, two.starting_l1_priority_id), (0, 0));
    assert_eq!(two.block_context.block_hashes.parent(), one.block_hash);
    assert!(two.block_context.timestamp >= one.block_context.timestamp);
    assert_eq!(two.previous_block_timestamp, one.block_context.timestamp);
    assert_eq!(two.block_context.execution_version, 5);

    engine.add(transfer(RICH, 2, 21_000)).await;
    engine.l1.send(priority(2, 300_000)).await.unwrap();
    let mut number = 3;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let record = engine.record(number).await;
        assert!(record.block_context.timestamp >= record.previous_block_timestamp);
        seen.extend(kinds(&record));
        number += 1;
    }
    seen.sort_unstable();
    assert_eq!(seen, b"12");
    engine.stage("engine", "transactions").await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_transaction_that_does_not_fit_leads_the_next_block() {
    let engine = TestEngine::start(provider(), |config| config.gas_limit = 1_000_000);
    engine.l1.send(priority(0, 300_000)).await.unwrap();
    engine.l1.send(priority(1, 990_000)).await.unwrap();
    engine.l1.send(priority(2, 10_000)).await.unwrap();
    engine.l1.send(upgrade()).await.unwrap();
    let (two, three) = (engine.record(2).await, engine.record(3).await);
    let ids =
        |record: &ReplayRecord| record.transactions.iter().map(|tx| tx.nonce()).collect::<Vec<_>>();
    assert_eq!((ids(&two), ids(&three)), (vec![0], vec![1, 2]));
    assert_eq!(three.starting_l1_priority_id, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_limit_hit_by_a_priority_transaction_seals() {
    // Every priority transaction is charged for 153 bytes and more.
    let engine = TestEngine::start(provider(), |config| config.pubdata_limit = 300);
    engine.l1.send(upgrade()).await.unwrap();
    for id in 0..3 {
        engine.l1.send(priority(id, 1_000_000)).await.unwrap();
    }
    for number in 2..=4 {
        let record = engine.record(number).await;
        assert_eq!(record.transactions.len(), 1);
        assert_eq!(record.transactions[0].nonce(), number - 2);
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_transaction_that_fits_no_block_stops_with_a_dump() {
    let mut engine = TestEngine::start(provider(), |config| config.pubdata_limit = 160);
    let mut tx = TxL1Priority {
        from: Address::repeat_byte(0x22),
        to: Address::repeat_byte(0x33),
        gas_limit: 1_000_000,
        gas_per_pubdata_byte_limit: 800,
        value: U256::from(10).pow(U256::from(20)),
        to_mint: U256::from(10).pow(U256::from(21)),
        refund_recipient: Address::repeat_byte(0x55),
        ..Default::default()
    };
    tx.nonce = 0;
    engine.l1.send(upgrade()).await.unwrap();
    engine.l1.send(L1Transaction { tx: tx.into(), force_preimages: Vec::new() }).await.unwrap();
    let failure = engine.failure().await;
    assert!(failure.contains("does not fit an empty block"), "{failure}");
    assert_eq!(engine.dumped(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_transactions_leave_no_trace() {
    // Pubdata so dear that 21,000 gas can't pay for it: the pool's rules do not see that, the state transition does.
    let engine = TestEngine::start(provider(), |config| config.fees.pubdata_price = 10u128.pow(12));
    engine.l1.send(upgrade()).await.unwrap();
    engine.canonical(1).await;
    let bad = engine.add(transfer(OTHER, 0, 21_000)).await;
    let gone = async {
        while engine.pool.contains(&bad) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
    let good = engine.add(transfer(RICH, 0, 20_000_000)).await;
    let two = engine.record(2).await;
    assert_eq!(two.transactions.len(), 1);
    assert_eq!(*two.transactions[0].hash(), good);
    // The sender is not barred for good.
    let again = engine.add(transfer(OTHER, 0, 20_000_000)).await;
    assert_eq!(*engine.record(3).await.transactions[0].hash(), again);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_transactions_of_one_sender_over_many_blocks() {
    let engine = TestEngine::start(provider(), |config| config.max_transactions = 7);
    engine.l1.send(upgrade()).await.unwrap();
    for nonce in 0..50 {
        engine.add(transfer(RICH, nonce, 21_000)).await;
    }
    let mut nonces = Vec::new();
    let mut number = 2;
    while nonces.len() < 50 {
        let record = engine.record(number).await;
        assert!(record.transactions.len() <= 7);
        nonces.extend(record.transactions.iter().map(|tx| tx.nonce()));
        number += 1;
    }
    assert_eq!(nonces, (0..50).collect::<Vec<_>>());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_stops_at_the_configured_number() {
    let engine = TestEngine::start(provider(), |config| config.max_blocks_to_produce = Some(1));
    engine.l1.send(upgrade()).await.unwrap();
    engine.l1.send(priority(0, 300_000)).await.unwrap();
    engine.stage("engine", "as many blocks").await;
    engine.canonical(1).await;
    let provider = engine.stop().await;
    assert_eq!(provider.heads().wal, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_compares_and_goes_on() {
    let engine = TestEngine::start(provider(), |_| {});
    engine.l1.send(upgrade()).await.unwrap();
    engine.l1.send(priority(0, 300_000)).await.unwrap();
    engine.canonical(2).await;
    let provider = engine.stop().await;

    let engine = TestEngine::start(provider, |_| {});
    let head: ChainHead = engine.handle.recovered().await.unwrap();
    assert_eq!((head.number, head.next_l1_priority_id), (2, 1));
    // A watcher that starts over sends what is known; it is left out.
    engine.l1.send(upgrade()).await.unwrap();
    engine.l1.send(priority(0, 300_000)).await.unwrap();
    engine.l1.send(priority(1, 300_000)).await.unwrap();
    let three = engine.record(3).await;
    assert_eq!((kinds(&three), three.starting_l1_priority_id), (b"1".to_vec(), 1));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_reproduce_stops_the_start_with_a_dump() {
    let provider = provider();
    let mut chain = ChainBuilder::new(&spec());
    let transactions = vec![test_transfer(RICH, 0)];
    let block = chain.next_block(TestBlock { transactions, ..Default::default() });
    provider.append(block).unwrap();
    let mut engine = TestEngine::start(provider, |_| {});
    let failure = engine.failure().await;
    assert!(failure.contains("block 1 executed again gives"), "{failure}");
    assert_eq!(engine.dumped(), 1);
    assert!(engine.handle.recovered().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_blocks_are_bounded_and_the_reason_is_reported() {
    let (l1, l1_transactions) = mpsc::channel(64);
    let mode = EngineMode::Produce { l1_transactions };
    let mut engine =
        TestEngine::start_mode(provider(), |config| config.max_transactions = 1, mode, l1, Some(1));
    engine.provider.hold_durability();
    engine.l1.send(upgrade()).await.unwrap();
    for id in 0..20 {
        engine.l1.send(priority(id, 300_000)).await.unwrap();
    }
    engine.stage("engine", "write-ahead log").await;
    assert!(engine.provider.heads().state < 10);
    engine.provider.set_durable(engine.provider.heads().state);
    engine.stage("engine", "write-ahead log").await;

    // Now durability keeps up by itself, but the extension takes nothing.
    let provider = engine.provider.clone();
    let durable = tokio::spawn(async move {
        loop {
            let tip = provider.heads().state;
            if *provider.durable_block().borrow() < tip {
                provider.set_durable(tip);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    engine.stage("engine", "settlement back-pressure").await;
    let mut next = 1;
    let mut extensions = engine.extensions.take().unwrap();
    while next <= 21 {
        let notification =
            tokio::time::timeout(DEADLINE, extensions.recv()).await.unwrap().unwrap();
        assert_eq!(*notification.committed().range().start(), next, "in order, without gaps");
        next = notification.committed().range().end() + 1;
    }
    durable.abort();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_records_give_the_same_chain() {
    let producer = TestEngine::start(provider(), |_| {});
    producer.l1.send(upgrade()).await.unwrap();
    for id in 0..3 {
        producer.l1.send(priority(id, 300_000)).await.unwrap();
    }
    producer.canonical(2).await;
    let source = producer.stop().await;
    let record = |number| source.replay_record(number).unwrap().unwrap().as_ref().clone();

    let (import, records) = BlockImportHandle::channel(4);
    let (l1, _l1_receiver) = mpsc::channel(1);
    let mode = EngineMode::Import { records };
    let mut importer = TestEngine::start_mode(provider(), |_| {}, mode, l1, None);
    let mut notifications = importer.provider.subscribe_to_canonical_state();
    assert_eq!(import.import(record(1)).await.unwrap(), ImportOutcome::Imported);
    assert_eq!(import.import(record(1)).await.unwrap(), ImportOutcome::AlreadyKnown);
    assert_eq!(import.import(record(2)).await.unwrap(), ImportOutcome::Imported);
    importer.canonical(2).await;
    assert_eq!(
        importer.provider.replay_record(2).unwrap().unwrap().block_hash,
        record(2).block_hash
    );
    assert_eq!(*notifications.recv().await.unwrap().committed().range().start(), 1);

    // A sender that did not sign is refused before the engine sees it.
    let mut forged = record(2);
    forged.transactions.push(transfer(RICH, 0, 21_000).into_inner());
    forged.senders.push(RICH);
    assert!(matches!(
        import.import(forged).await,
        Err(EngineError::ImportSenders { number: 2, .. })
    ));

    // A wrong result stops the node.
    let mut wrong = record(2);
    wrong.block_context.block_number = 3;
    wrong.block_context.block_hashes =
        record(2).block_context.block_hashes.next(record(2).block_hash);
    wrong.previous_block_timestamp = record(2).block_context.timestamp;
    wrong.starting_l1_priority_id = 3;
    wrong.transactions = vec![priority(3, 300_000).tx];
    wrong.senders = vec![Address::repeat_byte(0x22)];
    assert!(matches!(import.import(wrong).await, Err(EngineError::PipelineStopped)));
    let failure = importer.failure().await;
    assert!(failure.contains("block 3 executed again gives"), "{failure}");
    assert_eq!(importer.dumped(), 1);
}
