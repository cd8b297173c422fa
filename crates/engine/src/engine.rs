//! Starts the engine.

use crate::{
    ChainHead, EngineConfig, EngineError, ImportOutcome,
    l1_queue::L1Queue,
    metrics::EngineMetrics,
    pipeline::Pipeline,
    producer::Producer,
    replay::{Replayer, verify_senders},
    selection::Selection,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{GracefulShutdown, L1Transaction, StageRegistry, TaskExecutor};
use zkos_pool::TransactionPool;
use zkos_primitives::{ReplayRecord, ZkTxEnvelope};
use zkos_storage_api::{BlockWriter, CanonStateNotification, FullProvider};

/// Name of the engine's thread and stage.
pub const ENGINE_STAGE: &str = "engine";
/// Name of the stage behind it, which waits for durability.
pub const CANONICAL_STAGE: &str = "canonical";

/// Where blocks come from.
#[derive(Debug)]
pub enum EngineMode {
    /// Main node: blocks are produced from the pool and from these transactions of L1.
    Produce {
        /// Transactions from L1, see [`zkos_node_core::L1TxSender`].
        l1_transactions: mpsc::Receiver<L1Transaction>,
    },
    /// External node: blocks are imported through a [`BlockImportHandle`].
    Import {
        /// The other end of the handle.
        records: mpsc::Receiver<ImportRequest>,
    },
}

/// A record to import, with the way back.
#[derive(Debug)]
pub struct ImportRequest {
    record: Arc<ReplayRecord>,
    done: oneshot::Sender<ImportOutcome>,
}

/// reth: `ConsensusEngineHandle`. Way in for blocks of an external node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockImportHandle {
    sender: mpsc::Sender<ImportRequest>,
}

impl BlockImportHandle {
    /// A handle, and the receiver for [`EngineMode::Import`]. That many records may wait.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<ImportRequest>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender }, receiver)
    }

    /// Imports the next block: checks that it follows the head, recovers the signatures (in parallel, before the engine sees it), executes it and compares the result.
    ///
    /// # Errors
    /// `ImportSenders` when a sender did not sign: the record is not passed on and the engine lives. `PipelineStopped` when the engine has refused the record or has stopped for
    /// another reason, which it reports itself.
    pub async fn import(&self, record: ReplayRecord) -> Result<ImportOutcome, EngineError> {
        let record = Arc::new(record);
        let checked = record.clone();
        let number = record.block_number();
        tokio::task::spawn_blocking(move || verify_senders(&checked))
            .await
            .map_err(|_| EngineError::PipelineStopped)?
            .map_err(|error| EngineError::ImportSenders { number, error })?;
        let (done, outcome) = oneshot::channel();
        let request = ImportRequest { record, done };
        self.sender.send(request).await.map_err(|_| EngineError::PipelineStopped)?;
        outcome.await.map_err(|_| EngineError::PipelineStopped)
    }
}

/// A running engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    recovered: watch::Receiver<Option<ChainHead>>,
}

impl EngineHandle {
    /// Waits for the end of the start-up recovery and returns the head after it: from here on priority transactions with `next_l1_priority_id` and later are taken.
    ///
    /// # Errors
    /// When the engine has stopped instead; the reason is reported by its task.
    pub async fn recovered(&self) -> Result<ChainHead, EngineError> {
        let mut recovered = self.recovered.clone();
        let head = recovered
            .wait_for(Option::is_some)
            .await
            .map_err(|_| EngineError::PipelineStopped)?
            .clone();
        head.ok_or(EngineError::PipelineStopped)
    }

    /// Resolves when the engine has stopped, for whatever reason.
    pub async fn stopped(&self) {
        let mut recovered = self.recovered.clone();
        // The value changes once at most; afterwards only the end of the thread wakes this up.
        while recovered.changed().await.is_ok() {}
    }
}

/// The only writer of blocks.
#[derive(Debug)]
pub struct Engine<P, Pool> {
    /// Settings.
    pub config: EngineConfig,
    /// How blocks are executed.
    pub evm_config: ZkEvmConfig,
    /// The databases.
    pub provider: P,
    /// The transaction pool.
    pub pool: Pool,
    /// Way to the execution extensions, bounded.
    pub extensions: Option<mpsc::Sender<CanonStateNotification>>,
    /// Status of stages.
    pub stages: StageRegistry,
}

impl<P, Pool> Engine<P, Pool>
where
    P: FullProvider + BlockWriter,
    Pool: TransactionPool + 'static,
{
    /// Starts the engine's thread, which first recovers and then produces or imports until shutdown, and the task that makes blocks canonical.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn spawn(
        self,
        mode: EngineMode,
        executor: &TaskExecutor,
    ) -> Result<EngineHandle, EngineError> {
        let (recovered_sender, recovered) = watch::channel(None);
        let metrics = EngineMetrics::default();
        let pipeline = Pipeline::spawn(
            self.provider.clone(),
            self.extensions.clone(),
            self.config.max_in_flight,
            self.stages.register(CANONICAL_STAGE),
            executor,
            metrics.clone(),
        );
        let runtime = executor.handle().clone();
        executor.spawn_critical_os_thread(ENGINE_STAGE, move |shutdown| {
            match self.run(mode, pipeline, metrics, &runtime, shutdown.clone(), recovered_sender) {
                // The task behind the pipeline has failed and reports why; that stops the node.
                Err(EngineError::PipelineStopped) => runtime.block_on(shutdown.signalled()),
                result => result?,
            }
            Ok(())
        })?;
        Ok(EngineHandle { recovered })
    }

    fn run(
        self,
        mode: EngineMode,
        pipeline: Pipeline<P>,
        metrics: EngineMetrics,
        runtime: &tokio::runtime::Handle,
        shutdown: GracefulShutdown,
        recovered: watch::Sender<Option<ChainHead>>,
    ) -> Result<(), EngineError> {
        let stage = self.stages.register(ENGINE_STAGE);
        let replayer = Replayer {
            config: self.config.clone(),
            evm_config: self.evm_config.clone(),
            provider: self.provider.clone(),
            stage: stage.clone(),
            metrics: metrics.clone(),
        };
        let produces = matches!(mode, EngineMode::Produce { .. });
        let head = replayer.recover(&pipeline, &shutdown, produces)?;
        if shutdown.is_signalled() {
            return Ok(());
        }
        stage.set_head(head.number);
        info!(target: "engine", block = head.number, hash = %head.hash, next_l1_priority_id = head.next_l1_priority_id, "engine is at the head");
        recovered.send_replace(Some(head.clone()));
        match mode {
            EngineMode::Produce { l1_transactions } => {
                let l1 = L1Queue::new(
                    l1_transactions,
                    head.next_l1_priority_id,
                    self.genesis_upgrade(&head)?,
                );
                let selection = Selection::new(self.pool, self.config.fees.base_fee);
                Producer {
                    config: self.config,
                    evm_config: self.evm_config,
                    provider: self.provider,
                    pipeline,
                    selection,
                    l1,
                    head,
                    stage,
                    metrics,
                    runtime: runtime.clone(),
                    shutdown,
                }
                .run()
            }
            EngineMode::Import { mut records } => {
                let mut head = head;
                loop {
                    stage.waiting("records to import");
                    let request = runtime.block_on(async {
                        tokio::select! {
                            request = records.recv() => request,
                            () = shutdown.signalled() => None,
                        }
                    });
                    let Some(ImportRequest { record, done }) = request else {
                        runtime.block_on(shutdown.signalled());
                        return Ok(());
                    };
                    let outcome = replayer.import(&mut head, record, &pipeline)?;
                    // The importer may have given up waiting.
                    let _ = done.send(outcome);
                }
            }
        }
    }

    /// Hash of the genesis upgrade once it is executed.
    fn genesis_upgrade(
        &self,
        head: &ChainHead,
    ) -> Result<Option<alloy_primitives::B256>, EngineError> {
        if head.number == 0 {
            return Ok(None);
        }
        let first = self.provider.replay_record_or_err(1)?;
        Ok(first.transactions.first().and_then(ZkTxEnvelope::as_upgrade).map(|tx| *tx.hash_ref()))
    }
}
