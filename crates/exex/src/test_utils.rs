//! reth: `exex/test-utils`. A context without a node behind it, for tests of extensions.

use crate::{
    ExExContext, ExExEventSender, ExExNotification, ExExNotifications, event::FinishedHeights,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, U256};
use futures::FutureExt;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc};
use tokio::sync::{mpsc, watch};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{
    FullNodeComponents, FullNodeTypes, L1Transaction, L1TxSender, NodeConfig, NodeTypes,
    StageRegistry, TaskExecutor, TaskManager,
    execution::{StateProviderView, assemble_block},
};
use zkos_pool::{
    CoinbaseTipOrdering, Pool, PoolConfig, ZkTransactionPool, ZkTransactionValidatorBuilder,
};
use zkos_primitives::{
    BlockContext, Genesis, ProtocolVersion, ReplayRecord, TxL1Priority, TxUpgrade, ZkChainSpec,
    ZkPrimitives, ZkTxEnvelope,
};
use zkos_storage_api::{
    BlockNumReader, BlockWriter, Chain, ExecutedBlock, ReplayRecordReader, StateProviderFactory,
    test_utils::MemoryProvider,
};

/// Types of the test node.
#[derive(Debug, Clone, Copy)]
pub struct TestTypes;

impl NodeTypes for TestTypes {
    type Primitives = ZkPrimitives;
    type ChainSpec = ZkChainSpec;
}

/// Components over an in-memory provider, without engine.
#[derive(Clone)]
pub struct TestNode {
    provider: MemoryProvider,
    pool: ZkTransactionPool<MemoryProvider>,
    evm_config: ZkEvmConfig,
    task_executor: TaskExecutor,
    chain_spec: Arc<ZkChainSpec>,
    config: Arc<NodeConfig>,
    stages: StageRegistry,
    l1_transactions: L1TxSender,
    _types: PhantomData<TestTypes>,
}

impl fmt::Debug for TestNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestNode")
    }
}

impl FullNodeTypes for TestNode {
    type Types = TestTypes;
    type Provider = MemoryProvider;
}

impl FullNodeComponents for TestNode {
    type Pool = ZkTransactionPool<MemoryProvider>;

    fn pool(&self) -> &Self::Pool {
        &self.pool
    }

    fn evm_config(&self) -> &ZkEvmConfig {
        &self.evm_config
    }

    fn provider(&self) -> &MemoryProvider {
        &self.provider
    }

    fn task_executor(&self) -> &TaskExecutor {
        &self.task_executor
    }

    fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        &self.chain_spec
    }

    fn config(&self) -> &Arc<NodeConfig> {
        &self.config
    }

    fn stages(&self) -> &StageRegistry {
        &self.stages
    }

    fn l1_transactions(&self) -> &L1TxSender {
        &self.l1_transactions
    }
}

/// The test's side of a context.
#[derive(Debug)]
pub struct TestExExHandle {
    /// The databases that the context reads.
    pub provider: MemoryProvider,
    /// Stops the tasks of the context when it is dropped or shut down.
    pub tasks: TaskManager,
    /// What the extension sends to the engine.
    pub l1_transactions: mpsc::Receiver<L1Transaction>,
    notifications: Option<mpsc::Sender<ExExNotification>>,
    finished: watch::Receiver<Option<BlockNumHash>>,
    evm_config: ZkEvmConfig,
}

/// A context over an empty chain (block 0 only), and the handle that plays the node.
///
/// # Panics
/// Outside a tokio runtime.
pub fn test_exex_context() -> (ExExContext<TestNode>, TestExExHandle) {
    test_exex_context_with(NodeConfig::default())
}

/// [`test_exex_context`] with a configuration.
///
/// # Panics
/// Outside a tokio runtime.
pub fn test_exex_context_with(config: NodeConfig) -> (ExExContext<TestNode>, TestExExHandle) {
    let chain_spec =
        Arc::new(ZkChainSpec::new(270, Genesis::default()).expect("an empty genesis is valid"));
    let provider = MemoryProvider::new(&chain_spec);
    let tasks = TaskManager::current();
    let task_executor = tasks.executor();
    let evm_config = ZkEvmConfig::new();
    let validator = ZkTransactionValidatorBuilder::new(270).build(provider.clone());
    let pool = Pool::new(validator, CoinbaseTipOrdering::default(), PoolConfig::default());
    let (l1_sender, l1_transactions) = mpsc::channel(64);
    let config = Arc::new(config);
    let components = TestNode {
        provider: provider.clone(),
        pool,
        evm_config: evm_config.clone(),
        task_executor: task_executor.clone(),
        chain_spec: chain_spec.clone(),
        config: config.clone(),
        stages: StageRegistry::default(),
        l1_transactions: l1_sender,
        _types: PhantomData,
    };
    let events = ExExEventSender::new(FinishedHeights::new(1), 0, "test");
    let finished = events.finished_height();
    let (sender, live) = mpsc::channel(32);
    let notifications =
        ExExNotifications::new(provider.clone(), evm_config.clone(), task_executor, live);
    let head = BlockNumHash::new(0, chain_spec.genesis_state().block_hash);
    let context = ExExContext { head, config, events, notifications, components };
    let handle = TestExExHandle {
        provider,
        tasks,
        l1_transactions,
        notifications: Some(sender),
        finished,
        evm_config,
    };
    (context, handle)
}

impl TestExExHandle {
    /// Executes transactions on the head, appends the block and makes it canonical, without a notification.
    ///
    /// # Errors
    /// When a transaction is refused or the provider refuses the block.
    pub fn next_block(
        &self,
        transactions: Vec<(ZkTxEnvelope, Address)>,
    ) -> eyre::Result<ExecutedBlock> {
        let parent = self.provider.replay_record_or_err(self.provider.best_block_number()?)?;
        let context = BlockContext {
            chain_id: 270,
            block_number: parent.block_number() + 1,
            block_hashes: parent.block_context.block_hashes.next(parent.block_hash),
            timestamp: parent.block_context.timestamp + 1,
            eip1559_basefee: U256::from(100_000_000),
            pubdata_price: U256::from(500_000_000),
            native_price: U256::from(1_000_000),
            coinbase: Address::repeat_byte(0xfe),
            gas_limit: 100_000_000,
            pubdata_limit: 110_000,
            execution_version: 5,
            ..Default::default()
        };
        let state = StateProviderView::new(self.provider.pending()?);
        let mut executor = self.evm_config.block_executor(context.clone(), state)?;
        for (tx, sender) in &transactions {
            if let Err(error) = executor.execute_transaction(tx, *sender)? {
                eyre::bail!("transaction {} refused: {error}", tx.hash());
            }
        }
        let output = executor.finish()?;
        let priority = parent.transactions.iter().filter(|tx| tx.as_l1().is_some()).count();
        let (transactions, senders) = transactions.into_iter().unzip();
        let record = ReplayRecord {
            starting_l1_priority_id: parent.starting_l1_priority_id + priority as u64,
            previous_block_timestamp: parent.block_context.timestamp,
            node_version: "test".to_owned(),
            protocol_version: ProtocolVersion::V30_0,
            block_output_hash: output.output_hash(),
            block_hash: output.block_hash,
            block_context: context,
            transactions,
            senders,
            force_preimages: Vec::new(),
        };
        let block = assemble_block(Arc::new(record), output);
        self.provider.append(block.clone())?;
        self.provider.set_canonical_head(block.number())?;
        Ok(block)
    }

    /// The next block of a chain that starts with an upgrade transaction and then has one priority transaction per block.
    ///
    /// # Errors
    /// When the provider refuses the block.
    pub fn next_l1_block(&self) -> eyre::Result<ExecutedBlock> {
        let head = self.provider.best_block_number()?;
        let tx: ZkTxEnvelope = if head == 0 {
            TxUpgrade {
                from: Address::with_last_byte(7),
                to: Address::repeat_byte(0x11),
                gas_limit: 72_000_000,
                gas_per_pubdata_byte_limit: 800,
                nonce: 30,
                ..Default::default()
            }
            .into()
        } else {
            TxL1Priority {
                from: Address::repeat_byte(0x22),
                to: Address::repeat_byte(0x33),
                gas_limit: 300_000,
                gas_per_pubdata_byte_limit: 800,
                nonce: head - 1,
                value: U256::from(head),
                to_mint: U256::from(head),
                refund_recipient: Address::repeat_byte(0x22),
                ..Default::default()
            }
            .into()
        };
        let sender = tx.l1_sender().unwrap_or_default();
        self.next_block(vec![(tx, sender)])
    }

    /// Sends a notification; waits while the extension's channel is full.
    ///
    /// # Errors
    /// When the extension has dropped its stream.
    pub async fn send_notification(&self, notification: ExExNotification) -> eyre::Result<()> {
        let sender = self.notifications.as_ref().ok_or_else(|| eyre::eyre!("already closed"))?;
        sender.send(notification).await.map_err(|_| eyre::eyre!("the extension takes no more"))
    }

    /// Announces blocks as appended.
    ///
    /// # Errors
    /// When the extension has dropped its stream, or the blocks have gaps.
    pub async fn send_committed(&self, blocks: Vec<ExecutedBlock>) -> eyre::Result<()> {
        let chain = Chain::new(blocks).ok_or_else(|| eyre::eyre!("no gapless chain"))?;
        self.send_notification(chain.into()).await
    }

    /// Notifications that wait in the channel.
    pub fn queued(&self) -> usize {
        self.notifications.as_ref().map_or(0, |sender| sender.max_capacity() - sender.capacity())
    }

    /// Ends the stream, as a shutdown does.
    pub fn close(&mut self) {
        self.notifications = None;
    }

    /// The last finished height that the extension reported.
    pub fn finished_height(&self) -> Option<BlockNumHash> {
        *self.finished.borrow()
    }

    /// Waits until the extension has reported this height or a higher one.
    ///
    /// # Errors
    /// When the extension is gone.
    pub async fn wait_for_finished_height(&mut self, number: u64) -> eyre::Result<BlockNumHash> {
        let height = *self
            .finished
            .wait_for(|height| height.is_some_and(|height| height.number >= number))
            .await?;
        height.ok_or_else(|| eyre::eyre!("no height"))
    }
}

/// Steps a future by hand.
pub trait PollOnce {
    /// Polls once.
    ///
    /// # Errors
    /// The future's, when it ended with one; ending at all is an error, because extensions do not end.
    fn poll_once(&mut self) -> impl Future<Output = eyre::Result<()>> + Send;
}

impl<F> PollOnce for F
where
    F: Future<Output = eyre::Result<()>> + Unpin + Send,
{
    async fn poll_once(&mut self) -> eyre::Result<()> {
        // Lets tasks that the future waits for run first.
        tokio::task::yield_now().await;
        match self.now_or_never() {
            None => Ok(()),
            Some(Ok(())) => Err(eyre::eyre!("the extension has ended")),
            Some(Err(error)) => Err(error),
        }
    }
}
