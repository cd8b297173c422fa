use crate::{
    metrics::PruneMetrics,
    pipeline::{Mode, Pipeline},
    state::{Continue, StateStore},
};
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;
use tracing::{debug, error, info};
use zkos_storage_api::ProviderResult;

/// Blocks whose superseded values are removed between two looks at whether to stop.
const STEP_BLOCKS: u64 = 64;

/// Removes state that no kept block can see, behind the flush.
#[derive(Debug)]
pub(crate) struct Pruner {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) state: Arc<StateStore>,
    pub(crate) finalized: watch::Receiver<u64>,
    /// Blocks below the flushed head whose state stays.
    pub(crate) keep: u64,
    pub(crate) metrics: PruneMetrics,
}

impl Pruner {
    /// Body of the thread.
    pub(crate) fn run(self) {
        if let Err(error) = self.prune() {
            error!(target: "storage", %error, "old state cannot be pruned");
            self.pipeline.stop(error.to_string());
        }
        debug!(target: "storage", "prune thread ended");
    }

    fn prune(&self) -> ProviderResult<()> {
        let mut swept = false;
        while let Some(target) = self.next_target() {
            let start = Instant::now();
            let from = self.state.first();
            let last_unlisted = self.state.sweep_due()?;
            let step = match last_unlisted {
                // One pass at once, which is what one switches pruning on for; the other one when the last block without a list is pruned.
                Some(last) if from < last => {
                    let step = target.min(last);
                    self.state.raise_first(step)?;
                    if !swept && step < last {
                        self.sweep(step)?;
                        swept = true;
                    }
                    step
                }
                Some(_) => {
                    if self.sweep(from)? == Continue::Stop {
                        return Ok(());
                    }
                    self.state.set_swept()?;
                    from
                }
                None => {
                    let step = target.min(from + STEP_BLOCKS);
                    self.state.raise_first(step)?;
                    for number in from + 1..=step {
                        let removed = self.state.prune_block(number)?;
                        self.metrics.removed_values.increment(removed as u64);
                    }
                    step
                }
            };
            self.metrics.first_block.set(step as f64);
            self.metrics.seconds.record(start.elapsed());
        }
        Ok(())
    }

    fn sweep(&self, first: u64) -> ProviderResult<Continue> {
        let start = Instant::now();
        let mut counted = 0;
        self.state.sweep(first, |removed| {
            self.metrics.removed_values.increment((removed - counted) as u64);
            counted = removed;
            info!(target: "storage", first, removed, elapsed = ?start.elapsed(), "removing state of blocks from before pruning was switched on");
            let running =
                self.pipeline.read(|progress| progress.stopped.is_none() && progress.mode == Mode::Run);
            if running { Continue::Yes } else { Continue::Stop }
        })
    }

    /// Waits until there is something to prune; `None` at the end.
    fn next_target(&self) -> Option<u64> {
        self.pipeline.wait(|progress| {
            if progress.stopped.is_some() || progress.mode != Mode::Run {
                return Some(None);
            }
            // Blocks that are not final may have to be batched, or proved, once more.
            let target = progress.flushed.saturating_sub(self.keep).min(*self.finalized.borrow());
            (target > self.state.first()).then_some(Some(target))
        })
    }
}
