use super::{HeightFile, Wal};
use crate::{
    StorageOptions,
    metrics::WalMetrics,
    pipeline::{Mode, Pipeline},
};
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;
use tracing::{debug, error, warn};
use zkos_primitives::{BlockHashes, ReplayRecord};

/// The only writer of the log: takes what has queued up, writes it as one synced group, announces it.
#[derive(Debug)]
pub(crate) struct WalWriter {
    pub(crate) wal: Arc<Wal>,
    pub(crate) pipeline: Arc<Pipeline>,
    /// Dropped when the thread ends, which receivers see as the end of durability.
    pub(crate) durable: watch::Sender<u64>,
    pub(crate) height: HeightFile,
    /// Hash window of the next record.
    pub(crate) window: BlockHashes,
    pub(crate) options: StorageOptions,
    pub(crate) metrics: WalMetrics,
}

impl WalWriter {
    /// Body of the thread.
    pub(crate) fn run(mut self) {
        while let Some(group) = self.next_group() {
            if let Err(error) = self.commit(&group) {
                error!(target: "storage", %error, first = ?group.first().map(|r| r.block_number()), "block log cannot be written");
                self.pipeline.stop(error.to_string());
                return;
            }
        }
        if let Err(error) = self.height.sync() {
            warn!(target: "storage", %error, "height file cannot be synced");
        }
        debug!(target: "storage", "block log closed");
    }

    /// Waits for records; `None` at the end.
    fn next_group(&self) -> Option<Vec<Arc<ReplayRecord>>> {
        let has_work = self.pipeline.wait(|progress| match progress.mode {
            _ if progress.stopped.is_some() => Some(false),
            Mode::Abandon => Some(false),
            _ if !progress.queue.is_empty() => Some(true),
            Mode::Drain => Some(false),
            Mode::Run => None,
        });
        if !has_work {
            return None;
        }
        let most = self.options.group_commit_blocks.max(1);
        if !self.options.group_commit_delay.is_zero() {
            self.pipeline.wait_for(self.options.group_commit_delay, |progress| {
                progress.queue.len() >= most || progress.mode != Mode::Run
            });
        }
        Some(self.pipeline.update(|progress| {
            let mut bytes = 0;
            let mut count = 0;
            for record in progress.queue.iter().take(most) {
                bytes += estimated_size(record);
                if count > 0 && bytes > self.options.group_commit_bytes {
                    break;
                }
                count += 1;
            }
            progress.queue.drain(..count).collect()
        }))
    }

    fn commit(
        &mut self,
        group: &[Arc<ReplayRecord>],
    ) -> Result<(), zkos_storage_api::ProviderError> {
        let start = Instant::now();
        let Some(commit) = self.wal.write_group(group, &mut self.window)? else { return Ok(()) };
        self.height.write(commit.last)?;
        self.metrics.commit_seconds.record(start.elapsed());
        self.metrics.group_blocks.record(commit.blocks as f64);
        self.metrics.group_bytes.record(commit.bytes as f64);
        self.metrics.written_bytes.increment(commit.bytes as u64);
        self.metrics.durable_block.set(commit.last as f64);
        self.pipeline.update(|progress| progress.durable = commit.last);
        self.durable.send_replace(commit.last);
        Ok(())
    }
}

/// Bytes of a record, near enough to bound a group.
fn estimated_size(record: &ReplayRecord) -> usize {
    use alloy_eips::Encodable2718;
    let txs: usize = record.transactions.iter().map(|tx| tx.encode_2718_len() + 20).sum();
    let preimages: usize = record.force_preimages.iter().map(|(_, bytes)| bytes.len() + 32).sum();
    512 + txs + preimages
}
