use crate::{
    metrics::PruneMetrics,
    pipeline::{Mode, Pipeline},
    state::{Continue, Removed, StateStore},
};
use alloy_primitives::BlockNumber;
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;
use tracing::{debug, error, info};
use zkos_storage_api::ProviderResult;

/// Blocks whose superseded values are removed between two looks at whether to stop.
const STEP_BLOCKS: u64 = 64;

/// Pruning that is held back by fewer blocks than this is not worth a word.
const TOLD_FROM: u64 = STEP_BLOCKS;

/// Somebody who still needs old state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneHold {
    /// Name, for the log and the status.
    pub holder: String,
    /// First block whose state is needed. `None`: not known yet, so nothing is removed.
    pub from: Option<BlockNumber>,
}

/// How far pruning is, and how far it could be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneStatus {
    /// First block whose state is readable.
    pub first: BlockNumber,
    /// What it would be if nobody held pruning back.
    pub target: BlockNumber,
    /// Who holds it back; `None` when nobody does.
    pub held_by: Option<PruneHold>,
}

/// Removes state that no kept block can see, behind the flush.
#[derive(Debug)]
pub(crate) struct Pruner {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) state: Arc<StateStore>,
    pub(crate) finalized: watch::Receiver<u64>,
    /// Who needs state that would go otherwise.
    pub(crate) hold: watch::Receiver<Option<PruneHold>>,
    pub(crate) status: watch::Sender<PruneStatus>,
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
        let (mut swept, mut told) = (false, None);
        // Lists that an earlier run left are the oldest.
        let mut next_list = 0;
        while let Some(target) = self.next_target(&mut told) {
            let start = Instant::now();
            if self.collect_refs()? == Continue::Stop {
                return Ok(());
            }
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
                    step
                }
            };
            if last_unlisted.is_none() {
                self.state.prune_lists(next_list, step, |removed| self.count(removed))?;
                next_list = step + 1;
            }
            self.metrics.first_block.set(step as f64);
            self.metrics.seconds.record(start.elapsed());
        }
        Ok(())
    }

    /// Makes account records removable that were written before pruning was switched on.
    fn collect_refs(&self) -> ProviderResult<Continue> {
        let Some(due) = self.state.refs_due()? else { return Ok(Continue::Yes) };
        if self.pipeline.read(|progress| progress.flushed) < due {
            return Ok(Continue::Yes);
        }
        let start = Instant::now();
        self.state.collect_refs(due, |count| {
            debug!(target: "storage", count, elapsed = ?start.elapsed(), "noting which values name which account records");
            self.proceed()
        })
    }

    fn sweep(&self, first: u64) -> ProviderResult<Continue> {
        let start = Instant::now();
        let mut total = Removed::default();
        self.state.sweep(first, |removed| {
            total.add(removed);
            self.count(removed);
            info!(target: "storage", first, values = total.values, records = total.records, elapsed = ?start.elapsed(), "removing state of blocks from before pruning was switched on");
            self.proceed()
        })
    }

    fn count(&self, removed: Removed) {
        self.metrics.removed_values.increment(removed.values as u64);
        self.metrics.removed_records.increment(removed.records as u64);
    }

    fn proceed(&self) -> Continue {
        let running =
            self.pipeline.read(|progress| progress.stopped.is_none() && progress.mode == Mode::Run);
        if running { Continue::Yes } else { Continue::Stop }
    }

    /// Waits until there is something to prune; `None` at the end. `told` is the holder of whom the log has been told.
    fn next_target(&self, told: &mut Option<PruneHold>) -> Option<u64> {
        self.pipeline.wait(|progress| {
            if progress.stopped.is_some() || progress.mode != Mode::Run {
                return Some(None);
            }
            let first = self.state.first();
            // Blocks that are not final may have to be batched, or proved, once more.
            let wanted = progress.flushed.saturating_sub(self.keep).min(*self.finalized.borrow());
            let hold = self.hold.borrow();
            let allowed = match &*hold {
                Some(hold) => wanted.min(hold.from.unwrap_or(first)),
                None => wanted,
            };
            self.report(first, wanted, allowed.max(first), hold.as_ref(), told);
            (allowed > first).then_some(Some(allowed))
        })
    }

    /// Says how far pruning is and who holds it back.
    fn report(
        &self,
        first: u64,
        wanted: u64,
        allowed: u64,
        hold: Option<&PruneHold>,
        told: &mut Option<PruneHold>,
    ) {
        let held = wanted.saturating_sub(allowed);
        let held_by = hold.filter(|_| held > 0);
        self.metrics.held_blocks.set(held as f64);
        let status = PruneStatus { first, target: wanted.max(first), held_by: held_by.cloned() };
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
        let same = |told: &PruneHold| held_by.is_some_and(|by| by.holder == told.holder);
        match held_by {
            Some(PruneHold { holder, from })
                if held >= TOLD_FROM && !told.as_ref().is_some_and(same) =>
            {
                info!(target: "storage", %holder, finished = from, first, wanted, "old state is not pruned: it is still needed");
                *told = held_by.cloned();
            }
            None if told.is_some() => {
                info!(target: "storage", first, wanted, "old state is pruned again");
                *told = None;
            }
            _ => {}
        }
    }
}
