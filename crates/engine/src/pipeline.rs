//! From executed to canonical: hand-over to storage, wait for the log, announcement.

use crate::{EngineError, metrics::EngineMetrics};
use alloy_primitives::BlockNumber;
use std::{sync::Arc, time::Instant};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tracing::{debug, warn};
use zkos_node_core::{GracefulShutdown, StageHandle, TaskExecutor};
use zkos_storage_api::{BlockWriter, CanonStateNotification, Chain, ExecutedBlock, FullProvider};

/// Blocks that become canonical in one step at most.
const MAX_GROUP: usize = 32;

#[derive(Debug)]
struct InFlight {
    block: ExecutedBlock,
    appended: Instant,
}

/// What the far end of the pipeline waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holdup {
    None,
    Log,
    Extensions,
}

impl Holdup {
    const fn reason(self) -> &'static str {
        match self {
            Self::None => "earlier blocks to become canonical",
            Self::Log => "write-ahead log",
            Self::Extensions => "settlement back-pressure (an execution extension is busy)",
        }
    }
}

/// The engine's end of the pipeline. Dropping it lets the rest of the pipeline finish and stop.
#[derive(Debug)]
pub(crate) struct Pipeline<P> {
    provider: P,
    sender: mpsc::Sender<InFlight>,
    holdup: watch::Receiver<Holdup>,
    runtime: Handle,
    metrics: EngineMetrics,
}

impl<P: FullProvider + BlockWriter> Pipeline<P> {
    /// Starts the task that makes blocks canonical.
    pub(crate) fn spawn(
        provider: P,
        extensions: Option<mpsc::Sender<CanonStateNotification>>,
        max_in_flight: usize,
        stage: StageHandle,
        executor: &TaskExecutor,
        metrics: EngineMetrics,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(max_in_flight.max(1));
        let (holdup_sender, holdup) = watch::channel(Holdup::None);
        let task = Canonizer {
            durable: provider.durable_block(),
            provider: provider.clone(),
            receiver,
            extensions,
            holdup: holdup_sender,
            stage,
            metrics: metrics.clone(),
            executor: executor.clone(),
        };
        executor.spawn_critical_with_graceful_shutdown_signal("engine-canonical", |shutdown| {
            task.run(shutdown)
        });
        Self { provider, sender, holdup, runtime: executor.handle().clone(), metrics }
    }

    /// Waits until a further block may be executed; reports what for. The wait ends at shutdown as well, because the pipeline then drains without its listeners.
    pub(crate) fn wait_for_room(&self, stage: &StageHandle) -> Result<(), EngineError> {
        if self.sender.is_closed() {
            return Err(EngineError::PipelineStopped);
        }
        if self.sender.capacity() > 0 {
            return Ok(());
        }
        let mut holdup = self.holdup.clone();
        self.runtime.block_on(async {
            let room = self.sender.reserve();
            tokio::pin!(room);
            loop {
                stage.waiting(holdup.borrow_and_update().reason());
                tokio::select! {
                    room = &mut room => {
                        return room.map(drop).map_err(|_| EngineError::PipelineStopped);
                    }
                    Ok(()) = holdup.changed() => {}
                }
            }
        })
    }

    /// Hands a block over: to storage at once, so that the next block can be executed on it, and to the task that makes it canonical.
    pub(crate) fn push(&self, block: ExecutedBlock) -> Result<(), EngineError> {
        self.metrics.executed_block.set(block.number() as f64);
        self.provider.append(block.clone())?;
        self.sender
            .blocking_send(InFlight { block, appended: Instant::now() })
            .map_err(|_| EngineError::PipelineStopped)?;
        let in_flight = self.sender.max_capacity() - self.sender.capacity();
        self.metrics.in_flight_blocks.set(in_flight as f64);
        Ok(())
    }
}

/// Makes durable blocks canonical and tells the extensions.
#[derive(Debug)]
struct Canonizer<P> {
    provider: P,
    receiver: mpsc::Receiver<InFlight>,
    durable: watch::Receiver<BlockNumber>,
    extensions: Option<mpsc::Sender<CanonStateNotification>>,
    holdup: watch::Sender<Holdup>,
    stage: StageHandle,
    metrics: EngineMetrics,
    executor: TaskExecutor,
}

impl<P: FullProvider + BlockWriter> Canonizer<P> {
    /// Ends when the engine has dropped its end and everything is canonical, then flushes storage. The engine does so at shutdown.
    async fn run(mut self, shutdown: GracefulShutdown) -> eyre::Result<()> {
        let mut next = self.receiver.recv().await;
        while let Some(first) = next.take() {
            let number = first.block.number();
            self.holdup.send_replace(Holdup::Log);
            let durable = *self
                .durable
                .wait_for(|durable| *durable >= number)
                .await
                .map_err(|_| EngineError::NotDurable(number))?;
            self.holdup.send_replace(Holdup::None);
            let mut group = vec![first];
            // Everything that the same group commit made durable becomes canonical with it.
            while group.len() < MAX_GROUP {
                match self.receiver.try_recv() {
                    Ok(block) if block.block.number() <= durable => group.push(block),
                    Ok(block) => {
                        next = Some(block);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.make_canonical(group).await?;
            if next.is_none() {
                next = self.receiver.recv().await;
            }
        }
        let provider = self.provider.clone();
        let flushed = self.executor.spawn_blocking(move || provider.flush()).await;
        match flushed {
            Ok(flushed) => flushed?,
            Err(error) => eyre::bail!("flush died: {error}"),
        }
        debug!(target: "engine", shutdown = shutdown.is_signalled(), "all blocks are canonical and flushed");
        // If the engine has failed, its own error is the one to report.
        shutdown.signalled().await;
        Ok(())
    }

    async fn make_canonical(&mut self, group: Vec<InFlight>) -> eyre::Result<()> {
        let before = self.provider.best_block_number()?;
        for block in &group {
            self.metrics.canonical_seconds.record(block.appended.elapsed());
        }
        // What was canonical before a restart was announced then.
        let blocks: Vec<ExecutedBlock> = group
            .into_iter()
            .map(|in_flight| in_flight.block)
            .filter(|block| block.number() > before)
            .collect();
        let Some(chain) = Chain::new(blocks) else { return Ok(()) };
        let tip = chain.tip().number();
        self.provider.set_canonical_head(tip)?;
        self.metrics.canonical_block.set(tip as f64);
        self.stage.set_head(tip);
        if let Some(extensions) = &self.extensions {
            self.holdup.send_replace(Holdup::Extensions);
            let notification = CanonStateNotification::Commit { new: Arc::new(chain) };
            if extensions.send(notification).await.is_err() {
                // Only at shutdown; otherwise the end of the manager stops the node by itself. The extensions get the block by backfill after the restart.
                warn!(target: "engine", block = tip, "execution extensions have stopped, block not announced to them");
                self.extensions = None;
            }
            self.holdup.send_replace(Holdup::None);
        }
        Ok(())
    }
}
