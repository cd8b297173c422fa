//! Second stage: groups blocks into batches.

use crate::{
    BatchIndex, KnownBatchInfo,
    batch::{BatchBlock, BatchLimits, BatchTotals, SealReason, SealedBatch, seal, seal_for_commit},
    metrics::BatcherMetrics,
};
use alloy_primitives::BlockNumber;
use eyre::{WrapErr, bail, eyre};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::sleep_until};
use tracing::{debug, info};
use zkos_node_core::StageHandle;
use zkos_primitives::{CommitBatchInfo, PubdataMode, StoredBatchInfo, blobs::SidecarForm};

/// A batch that L1 knew when the node started. Its blocks must give it again.
#[derive(Debug, Clone, Copy)]
pub struct KnownBatch {
    /// What L1 keeps of it.
    pub stored: StoredBatchInfo,
    /// Its last block.
    pub last_block: BlockNumber,
    /// How its pubdata was published, which may not be how the next batch's is.
    pub mode: PubdataMode,
}

impl KnownBatch {
    /// A batch as it was committed.
    ///
    /// # Errors
    /// When its data was published in a way that no batch of ours is.
    pub fn committed(commit: &CommitBatchInfo, stored: StoredBatchInfo) -> eyre::Result<Self> {
        let mode = PubdataMode::try_from(commit.da_commitment_scheme)?;
        Ok(Self { stored, last_block: commit.last_block_number, mode })
    }
}

/// How batches are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealerConfig {
    pub(crate) chain_id: u64,
    pub(crate) mode: PubdataMode,
    /// Proofs that the settlement layer wants beside blobs.
    pub(crate) sidecar_form: SidecarForm,
    pub(crate) limits: BatchLimits,
    pub(crate) timeout: Duration,
}

pub(crate) struct Sealer {
    config: SealerConfig,
    /// The last sealed batch.
    previous: StoredBatchInfo,
    /// Last block of that batch.
    last_block: BlockNumber,
    /// Batches that must come out as they are on L1.
    known: VecDeque<KnownBatch>,
    /// Where sealed batches are announced.
    index: BatchIndex,
    open: Vec<BatchBlock>,
    totals: BatchTotals,
    opened_at: Option<Instant>,
    metrics: BatcherMetrics,
}

impl Sealer {
    /// Continues after `previous`, whose last block is `last_block`.
    pub(crate) fn new(
        config: SealerConfig,
        previous: StoredBatchInfo,
        last_block: BlockNumber,
        known: impl IntoIterator<Item = KnownBatch>,
    ) -> Self {
        Self {
            config,
            previous,
            last_block,
            known: known.into_iter().collect(),
            index: BatchIndex::default(),
            open: Vec::new(),
            totals: BatchTotals::default(),
            opened_at: None,
            metrics: BatcherMetrics::default(),
        }
    }

    /// Announces sealed batches here.
    pub(crate) fn with_index(mut self, index: BatchIndex) -> Self {
        self.index = index;
        self
    }

    /// Runs until the tree stage ends.
    pub(crate) async fn run(
        mut self,
        mut blocks: mpsc::Receiver<BatchBlock>,
        out: mpsc::Sender<SealedBatch>,
        stage: StageHandle,
    ) -> eyre::Result<()> {
        stage.set_head(self.previous.batch_number);
        stage.waiting("blocks");
        loop {
            let deadline = self.deadline();
            let sealed = tokio::select! {
                block = blocks.recv() => match block {
                    Some(block) => self.push(block).await?,
                    None => return Ok(()),
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    vec![self.seal(SealReason::Timeout).await?]
                }
            };
            stage.set_queue(self.open.len() as u64);
            for batch in sealed {
                let number = batch.number();
                stage.waiting("settlement");
                out.send(batch).await.map_err(|_| eyre!("proving stage has ended"))?;
                stage.set_head(number);
            }
            if self.open.is_empty() {
                stage.waiting("blocks");
            } else {
                stage.waiting(format!("the end of batch {}", self.previous.batch_number + 1));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // A known batch is closed by its last block alone.
        if !self.known.is_empty() {
            return None;
        }
        self.opened_at.map(|opened| opened + self.config.timeout)
    }

    /// Adds a block; returns the batches that this closes.
    async fn push(&mut self, block: BatchBlock) -> eyre::Result<Vec<SealedBatch>> {
        let number = block.executed.number();
        let expected = self.open.last().map_or(self.last_block, |open| open.executed.number()) + 1;
        if number < expected && self.open.is_empty() {
            debug!(target: "batcher", block = number, "block belongs to a batch that is settled");
            return Ok(Vec::new());
        }
        if number != expected {
            bail!("batcher got block {number} instead of {expected}");
        }
        if let Some(known) = self.known.front().copied() {
            self.add(block);
            if number < known.last_block {
                return Ok(Vec::new());
            }
            let batch = self.seal_as(SealReason::Committed, known.mode).await?;
            if batch.stored() != &known.stored {
                bail!(
                    "batch {} on L1 contradicts our blocks {:?}: L1 has {:?}, the blocks give {:?}",
                    known.stored.batch_number,
                    batch.blocks(),
                    known.stored,
                    batch.stored()
                );
            }
            self.known.pop_front();
            return Ok(vec![batch]);
        }
        let mut sealed = Vec::new();
        if let Some(last) = self.open.last() {
            // Batches of different protocol versions are proved by different programs.
            let version = |block: &BatchBlock| block.executed.record.protocol_version;
            let reason = if block.starts_batch() || version(last) != version(&block) {
                Some(SealReason::Upgrade)
            } else {
                self.config.limits.exceeded(&self.totals.with(&block.executed))
            };
            if let Some(reason) = reason {
                sealed.push(self.seal(reason).await?);
            }
        }
        self.add(block);
        Ok(sealed)
    }

    fn add(&mut self, block: BatchBlock) {
        self.totals = self.totals.with(&block.executed);
        self.opened_at.get_or_insert_with(Instant::now);
        self.open.push(block);
    }

    async fn seal(&mut self, reason: SealReason) -> eyre::Result<SealedBatch> {
        self.seal_as(reason, self.config.mode).await
    }

    async fn seal_as(
        &mut self,
        reason: SealReason,
        mode: PubdataMode,
    ) -> eyre::Result<SealedBatch> {
        let blocks = std::mem::take(&mut self.open);
        let totals = std::mem::take(&mut self.totals);
        self.opened_at = None;
        let previous = self.previous;
        let SealerConfig { chain_id, sidecar_form, .. } = self.config;
        // Thousands of hashes, and elliptic curves if there are blobs.
        let batch = tokio::task::spawn_blocking(move || match reason {
            // Nobody will send its blobs again.
            SealReason::Committed => seal(previous, &blocks, chain_id, mode),
            _ => seal_for_commit(previous, &blocks, chain_id, mode, sidecar_form),
        })
        .await
        .wrap_err("sealing a batch panicked")??;
        self.previous = *batch.stored();
        self.last_block = batch.blocks().1;
        let (first_block, last_block) = batch.blocks();
        self.index.insert(KnownBatchInfo {
            stored: *batch.stored(),
            first_block,
            last_block,
            da_commitment_scheme: batch.commit().da_commitment_scheme,
            commit_tx: None,
        });
        self.metrics.sealed_batches_total.increment(1);
        self.metrics.sealed_batch.set(batch.number() as f64);
        self.metrics.blocks_per_batch.record(totals.blocks as f64);
        self.metrics.transactions_per_batch.record(totals.transactions as f64);
        self.metrics.pubdata_per_batch_bytes.record(totals.pubdata as f64);
        let label: &'static str = reason.into();
        metrics::counter!("batcher_seal_reason_total", "reason" => label).increment(1);
        let (first, last) = batch.blocks();
        info!(
            target: "batcher", batch = batch.number(), first, last, txs = totals.transactions,
            pubdata = totals.pubdata, l1_txs = batch.priority_hashes().len(), %reason, "sealed batch"
        );
        Ok(batch)
    }
}
