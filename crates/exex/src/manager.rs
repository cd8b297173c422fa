//! reth: `exex/exex/src/manager.rs`. Hands every notification to every extension.

use crate::{
    ExExEventSender, ExExNotification, ExExNotifications, FinishedExExHeight, SlowestExEx,
    event::FinishedHeights, metrics::ExExMetrics, notifications::BackfillProvider,
};
use alloy_eips::BlockNumHash;
use futures::future::join_all;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{StageHandle, StageRegistry, TaskExecutor};
use zkos_storage_api::CanonStateNotification;

/// Notifications between the engine and the manager.
const MANAGER_BUFFER: usize = 16;
/// Notifications between the manager and one extension.
const EXEX_BUFFER: usize = 32;

/// Name of the manager's stage.
const MANAGER_STAGE: &str = "exex";

/// The manager's end of one extension's channels.
#[derive(Debug)]
pub struct ExExHandle {
    id: String,
    notifications: mpsc::Sender<ExExNotification>,
    finished: watch::Receiver<Option<BlockNumHash>>,
    stage: StageHandle,
    metrics: ExExMetrics,
}

/// What an extension gets of the two channels: where it reports, and what it hears.
#[derive(Debug)]
pub struct ExExChannels<P> {
    /// Where the extension reports.
    pub events: ExExEventSender,
    /// What it hears.
    pub notifications: ExExNotifications<P>,
}

/// Prepares the manager: channels are made before the extensions are launched.
#[derive(Debug)]
pub struct ExExManagerBuilder {
    heights: Arc<FinishedHeights>,
    stages: StageRegistry,
    handles: Vec<ExExHandle>,
    extensions: usize,
}

impl ExExManagerBuilder {
    /// For that many extensions.
    pub fn new(extensions: usize, stages: StageRegistry) -> Self {
        Self {
            heights: FinishedHeights::new(extensions),
            stages,
            handles: Vec::with_capacity(extensions),
            extensions,
        }
    }

    /// Makes the channels of the next extension.
    ///
    /// # Panics
    /// When called more often than the number of extensions given to [`Self::new`].
    pub fn register<P: BackfillProvider>(
        &mut self,
        id: &str,
        provider: P,
        evm_config: ZkEvmConfig,
        executor: TaskExecutor,
    ) -> ExExChannels<P> {
        let index = self.handles.len();
        assert!(index < self.extensions, "more extensions than announced");
        let (sender, live) = mpsc::channel(EXEX_BUFFER);
        let events = ExExEventSender::new(self.heights.clone(), index, id);
        self.handles.push(ExExHandle {
            id: id.to_owned(),
            notifications: sender,
            finished: events.finished_height(),
            stage: self.stages.register(format!("{MANAGER_STAGE}/{id}")),
            metrics: ExExMetrics::new_with_labels(&[("exex", id.to_owned())]),
        });
        ExExChannels {
            events,
            notifications: ExExNotifications::new(provider, evm_config, executor, live),
        }
    }

    /// The manager, to be spawned, and the handle for the engine.
    pub fn build(self) -> (ExExManager, ExExManagerHandle) {
        let (sender, receiver) = mpsc::channel(MANAGER_BUFFER);
        let handle = ExExManagerHandle {
            sender: (self.extensions > 0).then_some(sender),
            finished_height: self.heights.subscribe(),
            slowest: self.heights.subscribe_slowest(),
        };
        let stage = self.stages.register(MANAGER_STAGE);
        (ExExManager { receiver, handles: self.handles, stage, _heights: self.heights }, handle)
    }
}

/// Passes notifications on in order. A full channel of one extension stops it, the engine's channel fills, and block production waits.
#[derive(Debug)]
pub struct ExExManager {
    receiver: mpsc::Receiver<CanonStateNotification>,
    handles: Vec<ExExHandle>,
    stage: StageHandle,
    _heights: Arc<FinishedHeights>,
}

impl ExExManager {
    /// Runs until the engine is gone. Cancel-safe in the sense of shutdown: a notification that is under way may reach some extensions only, which all of them have to cope
    /// with anyway after a crash.
    pub async fn run(mut self) -> eyre::Result<()> {
        loop {
            self.stage.idle();
            self.report();
            let Some(notification) = self.receiver.recv().await else { return Ok(()) };
            self.deliver(notification.into()).await;
        }
    }

    async fn deliver(&mut self, notification: ExExNotification) {
        let tip = match &notification {
            ExExNotification::ChainCommitted { new }
            | ExExNotification::ChainReorged { new, .. } => new.tip().number(),
            ExExNotification::ChainReverted { old } => old.first().number().saturating_sub(1),
        };
        self.stage.processing();
        let stage = &self.stage;
        let sends = self.handles.iter().map(|handle| {
            let notification = notification.clone();
            async move {
                let sent = match handle.notifications.try_send(notification) {
                    Ok(()) => true,
                    Err(mpsc::error::TrySendError::Full(notification)) => {
                        stage.waiting(handle.id.as_str());
                        handle.stage.waiting("it has not taken earlier blocks");
                        handle.metrics.full.increment(1);
                        handle.notifications.send(notification).await.is_ok()
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => false,
                };
                sent.then(|| handle.metrics.notifications.increment(1)).is_some()
            }
        });
        let sent = join_all(sends).await;
        let mut sent = sent.into_iter();
        // An extension may drop its stream and live on; its end is noticed by whoever runs it.
        self.handles.retain(|handle| {
            let keep = sent.next().unwrap_or(true);
            if !keep {
                warn!(target: "exex", exex = %handle.id, "takes no more notifications");
                handle.stage.idle();
            }
            keep
        });
        self.stage.set_head(tip);
        self.stage.set_queue(self.receiver.len() as u64);
        debug!(target: "exex", tip, "notification delivered");
    }

    fn report(&self) {
        for handle in &self.handles {
            let queue = handle.notifications.max_capacity() - handle.notifications.capacity();
            handle.stage.set_queue(queue as u64);
            handle.metrics.queue.set(queue as f64);
            if let Some(height) = *handle.finished.borrow() {
                handle.stage.set_head(height.number);
                handle.metrics.finished_height.set(height.number as f64);
            }
            if queue == 0 {
                handle.stage.idle();
            } else {
                handle.stage.processing();
            }
        }
    }
}

/// The engine's way to the manager. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ExExManagerHandle {
    sender: Option<mpsc::Sender<CanonStateNotification>>,
    finished_height: watch::Receiver<FinishedExExHeight>,
    slowest: watch::Receiver<Option<SlowestExEx>>,
}

impl ExExManagerHandle {
    /// Whether any extension is installed.
    pub const fn has_exexs(&self) -> bool {
        self.sender.is_some()
    }

    /// The bounded channel into the manager; `None` without extensions. Send each canonical change once, in order, and wait while it is full.
    // reth: notifications are taken from a broadcast, where a slow manager loses some.
    pub fn sender(&self) -> Option<mpsc::Sender<CanonStateNotification>> {
        self.sender.clone()
    }

    /// The lowest finished height over all extensions.
    pub fn finished_height(&self) -> watch::Receiver<FinishedExExHeight> {
        self.finished_height.clone()
    }

    /// The extension that is furthest behind; `None` without extensions. Pruning keeps the state of its finished block, on which it would be backfilled.
    pub fn slowest(&self) -> watch::Receiver<Option<SlowestExEx>> {
        self.slowest.clone()
    }
}
