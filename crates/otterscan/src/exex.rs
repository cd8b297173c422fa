//! The execution extension that keeps the index.

use crate::{AddressIndex, IndexError, Indexer, metrics::IndexMetrics};
use eyre::WrapErr;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tracing::info;
use zkos_exex::{BackfillProvider, ExExContext, ExExEvent, ExExEventSender, ExExNotification};
use zkos_node_core::{FullNodeComponents, Progress, StageHandle, TaskExecutor};
use zkos_storage::OtsIndex;
use zkos_storage_api::BlockNumReader;

/// Name of the stage in the pipeline status.
const STAGE: &str = "otterscan/index";

/// Initialises the extension, then returns the future that runs as long as the node.
///
/// The extension takes every notification at once and remembers only how far the chain has come: the blocks themselves it reads from the write-ahead log. So block production never waits for the index, and
/// a block of the past is executed once, not once for the notification and once more for the index.
///
/// # Errors
/// When the index does not fit the chain; see [`IndexError`].
pub async fn otterscan<N: FullNodeComponents>(
    ctx: ExExContext<N>,
    index: OtsIndex,
    readers: AddressIndex,
) -> eyre::Result<impl Future<Output = eyre::Result<()>> + Send + 'static>
where
    N::Provider: Unpin,
{
    let index = Arc::new(index);
    let indexer = Indexer::new(ctx.provider().clone(), ctx.evm_config().clone(), index.clone());
    let check = indexer.clone();
    let head = ctx
        .task_executor()
        .spawn_blocking(move || check.check_head())
        .await
        .wrap_err("the check of the index of addresses panicked")??;
    readers.provide(index.clone());
    ctx.send_finished_height(head);
    let canonical = ctx.provider().best_block_number()?;
    info!(target: "otterscan", head = head.number, canonical, "index of addresses opened");
    let executor = ctx.task_executor().clone();
    let stage = ctx.stages().register(STAGE);
    let follower = Follower {
        index,
        indexer,
        executor,
        events: ctx.events,
        stage,
        metrics: IndexMetrics::default(),
        canonical,
    };
    Ok(follower.run(ctx.notifications))
}

struct Follower<P> {
    index: Arc<OtsIndex>,
    indexer: Indexer<P>,
    executor: TaskExecutor,
    events: ExExEventSender,
    stage: StageHandle,
    metrics: IndexMetrics,
    /// Last canonical block that was heard of.
    canonical: u64,
}

/// Stops the blocking half when the asynchronous one is dropped.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<P: BackfillProvider> Follower<P> {
    async fn run(mut self, mut notifications: zkos_exex::ExExNotifications<P>) -> eyre::Result<()> {
        let stop = StopOnDrop::default();
        // Of the way that lies ahead at the start; following the head is no long work.
        let mut filling = Some(Progress::new("filling the index of addresses", "blocks"));
        if let Some(progress) = &mut filling {
            progress.set(self.index.head().number, self.canonical);
        }
        loop {
            self.report();
            if self.behind() == 0 {
                if let Some(progress) = filling.take() {
                    progress.finish();
                }
                self.stage.idle();
                match notifications.recv().await {
                    Some(notification) => self.follow(notification?)?,
                    None => return Ok(()),
                }
                continue;
            }
            self.stage.processing();
            let started = Instant::now();
            let (indexer, target, stopped) = (self.indexer.clone(), self.canonical, stop.0.clone());
            let mut run = self.executor.spawn_blocking(move || indexer.extend(target, &stopped));
            let mut open = true;
            let done = loop {
                tokio::select! {
                    done = &mut run => break done.wrap_err("the index of addresses panicked")??,
                    notification = notifications.recv(), if open => match notification {
                        Some(notification) => self.follow(notification?)?,
                        // The node shuts down; what the run has begun it may finish.
                        None => open = false,
                    },
                }
            };
            self.metrics.index_seconds.record(started.elapsed());
            self.metrics.index_blocks_total.increment(done.blocks as u64);
            self.metrics.index_entries_total.increment(done.entries as u64);
            let head = self.index.head();
            self.events.send(ExExEvent::FinishedHeight(head));
            if let Some(progress) = &mut filling {
                progress.set(head.number, self.canonical);
            }
        }
    }

    fn behind(&self) -> u64 {
        self.canonical.saturating_sub(self.index.head().number)
    }

    fn report(&self) {
        let head = self.index.head().number;
        self.stage.set_head(head);
        self.stage.set_queue(self.behind());
        self.metrics.index_block.set(head as f64);
        self.metrics.index_behind_blocks.set(self.behind() as f64);
    }

    /// Notes how far the chain has come.
    fn follow(&mut self, notification: ExExNotification) -> Result<(), IndexError> {
        if let Some(old) = notification.reverted_chain() {
            let (reverted, head) = (old.first().number(), self.index.head());
            if reverted <= head.number {
                return Err(IndexError::Reverted { reverted, head });
            }
            self.canonical = reverted.saturating_sub(1);
        }
        if let Some(new) = notification.committed_chain() {
            self.canonical = new.tip().number();
        }
        Ok(())
    }
}
