use super::BlockchainProvider;
use crate::wal::RecordHashes;
use alloy_primitives::BlockNumber;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use tokio::sync::watch;
use zkos_storage_api::{
    BlockWriter, CanonStateNotification, Chain, ExecutedBlock, ForkChoiceWriter, ProviderError,
    ProviderResult, StorageHeads,
};

impl BlockchainProvider {
    /// Compares a block with the one that is stored under its number.
    fn compare(&self, number: BlockNumber, given: RecordHashes) -> ProviderResult<()> {
        let recent = self.inner.recent.read().record(number).map(|record| RecordHashes {
            block_hash: record.block_hash,
            output_hash: record.block_output_hash,
        });
        let stored = match recent {
            Some(hashes) => hashes,
            None => self
                .inner
                .wal
                .hashes(number)?
                .ok_or_else(|| ProviderError::BlockNotFound(number.into()))?,
        };
        if stored.block_hash != given.block_hash {
            let (stored, given) = (stored.block_hash, given.block_hash);
            return Err(ProviderError::Mismatch { number, stored, given });
        }
        if stored.output_hash != given.output_hash {
            let (stored, given) = (stored.output_hash, given.output_hash);
            return Err(ProviderError::Mismatch { number, stored, given });
        }
        Ok(())
    }

    /// Waits until the background threads have caught up far enough for one more block. Returns the number of the last block in the log or on its way there.
    fn wait_for_room(&self) -> ProviderResult<BlockNumber> {
        let options = &self.inner.options;
        let start = Instant::now();
        let logged = self.inner.pipeline.wait_running(|progress| {
            let unflushed = progress.tip.saturating_sub(progress.flushed);
            let undurable = progress.tip.saturating_sub(progress.durable);
            let room = undurable < options.max_undurable_blocks.max(1)
                && unflushed < options.max_unflushed_blocks.max(1)
                && (unflushed == 0
                    || progress.unflushed_transactions < options.recent_transactions.max(1));
            room.then(|| {
                progress
                    .queue
                    .back()
                    .map_or(progress.durable, |last| last.block_number())
                    .max(progress.tip)
                    .max(progress.durable)
            })
        })?;
        self.inner.metrics.back_pressure_seconds.record(start.elapsed());
        Ok(logged)
    }
}

impl BlockWriter for BlockchainProvider {
    fn heads(&self) -> StorageHeads {
        StorageHeads {
            wal: self.inner.pipeline.read(|progress| progress.durable),
            state: self.inner.state.head(),
            repository: self.inner.repository.head(),
        }
    }

    fn append(&self, block: ExecutedBlock) -> ProviderResult<()> {
        let _one = self.inner.append.lock();
        self.inner.pipeline.check()?;
        let number = block.number();
        let given = RecordHashes {
            block_hash: block.record.block_hash,
            output_hash: block.record.block_output_hash,
        };
        if block.hash() != given.block_hash {
            // Record and block of one call must belong together.
            let (stored, given) = (given.block_hash, block.hash());
            return Err(ProviderError::Mismatch { number, stored, given });
        }
        let tip = self.inner.pipeline.read(|progress| progress.tip);
        if number <= tip {
            return self.compare(number, given);
        }
        if number != tip + 1 {
            return Err(ProviderError::OutOfOrder { number, expected: tip + 1 });
        }
        let logged = self.wait_for_room()?;
        let in_log = number <= logged;
        if in_log {
            self.compare(number, given)?;
        }

        let start = Instant::now();
        let transactions = block.block.body().transactions.len();
        let record = block.record.clone();
        // State and block are in place before the number is published.
        self.inner.state.insert(&block);
        let recent = {
            let mut recent = self.inner.recent.write();
            recent.push(block);
            recent.len()
        };
        self.inner.pipeline.update(|progress| {
            progress.tip = number;
            progress.unflushed_transactions += transactions;
            if !in_log {
                progress.queue.push_back(record);
            }
        });
        self.inner.metrics.append_seconds.record(start.elapsed());
        self.inner.metrics.tip_block.set(number as f64);
        self.inner.metrics.recent_blocks.set(recent as f64);
        Ok(())
    }

    fn durable_block(&self) -> watch::Receiver<BlockNumber> {
        self.inner.durable.clone()
    }

    fn set_canonical_head(&self, number: BlockNumber) -> ProviderResult<()> {
        let _one = self.inner.set_canonical.lock();
        let from = self.canonical();
        if number <= from {
            return Ok(());
        }
        let last = self.inner.pipeline.read(|progress| progress.tip.min(progress.durable));
        if number > last {
            return Err(ProviderError::OutOfOrder { number, expected: last });
        }
        let blocks = self.inner.recent.read().range(from + 1, number, usize::MAX);
        self.inner.canonical.store(number, Ordering::SeqCst);
        self.inner.canonical_watch.send_replace(number);
        self.inner.metrics.canonical_block.set(number as f64);
        if let Some(chain) = Chain::new(blocks) {
            // It fails when nobody listens, which is fine.
            let new = Arc::new(chain);
            let _ = self.inner.notifications.send(CanonStateNotification::Commit { new });
        }
        let flushed = self.inner.pipeline.read(|progress| progress.flushed);
        let evicted = self.inner.recent.write().evict(
            number.min(flushed),
            self.inner.options.recent_blocks,
            self.inner.options.recent_transactions,
        );
        drop(evicted);
        Ok(())
    }

    fn flush(&self) -> ProviderResult<()> {
        let target = self.inner.pipeline.read(|progress| progress.tip);
        self.inner.pipeline.wait_running(|progress| {
            (progress.flushed >= target && progress.durable >= target).then_some(())
        })
    }
}

impl ForkChoiceWriter for BlockchainProvider {
    fn set_safe_block(&self, number: BlockNumber) {
        self.inner.safe.send_replace(number);
    }

    fn set_finalized_block(&self, number: BlockNumber) {
        self.inner.finalized.send_replace(number);
        // Whoever prunes waits there.
        self.inner.pipeline.update(|_| ());
    }
}
