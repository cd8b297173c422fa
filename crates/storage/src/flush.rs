use crate::{
    StorageOptions,
    metrics::FlushMetrics,
    pipeline::{Mode, Pipeline},
    repository::{RecentBlocks, Repository},
    state::StateStore,
};
use parking_lot::RwLock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tracing::{debug, error};
use zkos_storage_api::{ExecutedBlock, ProviderResult};

/// Brings durable blocks into the derived databases, several at a time when behind.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) recent: Arc<RwLock<RecentBlocks>>,
    pub(crate) state: Arc<StateStore>,
    pub(crate) repository: Arc<Repository>,
    pub(crate) canonical: Arc<AtomicU64>,
    pub(crate) options: StorageOptions,
    pub(crate) metrics: FlushMetrics,
}

impl Flusher {
    /// Body of the thread.
    pub(crate) fn run(self) {
        while let Some((from, to)) = self.next_range() {
            let blocks = self.recent.read().range(from, to, self.options.flush_blocks.max(1));
            if let Err(error) = self.flush(&blocks) {
                error!(target: "storage", %error, from, to, "derived databases cannot be written");
                self.pipeline.stop(error.to_string());
                return;
            }
        }
        debug!(target: "storage", "flush thread ended");
    }

    /// Waits for durable blocks that are not flushed; `None` at the end.
    fn next_range(&self) -> Option<(u64, u64)> {
        self.pipeline.wait(|progress| {
            // In catch-up the log is ahead of what has been appended.
            let ready = progress.durable.min(progress.tip);
            match progress.mode {
                _ if progress.stopped.is_some() => Some(None),
                Mode::Abandon => Some(None),
                _ if ready > progress.flushed => Some(Some((progress.flushed + 1, ready))),
                Mode::Drain if progress.queue.is_empty() && progress.durable >= progress.tip => {
                    Some(None)
                }
                Mode::Drain | Mode::Run => None,
            }
        })
    }

    fn flush(&self, blocks: &[ExecutedBlock]) -> ProviderResult<()> {
        let Some(last) = blocks.last().map(ExecutedBlock::number) else { return Ok(()) };
        let start = Instant::now();
        let slots = self.state.flush(blocks)?;
        self.repository.flush(blocks)?;
        let transactions: usize =
            blocks.iter().map(|block| block.block.body().transactions.len()).sum();
        self.pipeline.update(|progress| {
            progress.flushed = last;
            progress.unflushed_transactions =
                progress.unflushed_transactions.saturating_sub(transactions);
        });
        self.metrics.seconds.record(start.elapsed());
        self.metrics.blocks.record(blocks.len() as f64);
        self.metrics.slots.increment(slots as u64);
        self.metrics.flushed_block.set(last as f64);

        let settled = last.min(self.canonical.load(Ordering::SeqCst));
        let evicted = self.recent.write().evict(
            settled,
            self.options.recent_blocks,
            self.options.recent_transactions,
        );
        drop(evicted);
        Ok(())
    }
}
