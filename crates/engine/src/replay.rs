//! Blocks that exist already: start-up recovery from the log, and import of records from elsewhere. Both execute through the same code.

use crate::{
    ChainHead, EngineConfig, EngineError,
    dump::Dump,
    metrics::{EngineMetrics, count_seal},
    pipeline::Pipeline,
    policy::SealReason,
};
use alloy_consensus::transaction::SignerRecoverable;
use rayon::prelude::*;
use std::{
    sync::{Arc, mpsc},
    time::Instant,
};
use tracing::{debug, info, warn};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{
    GracefulShutdown, Progress, StageHandle,
    execution::{StateProviderView, execute_record},
};
use zkos_primitives::{ReplayDecodeError, ReplayRecord};
use zkos_storage_api::{BlockWriter, ExecutedBlock, FullProvider, ProviderError, StateProviderBox};

/// Records read ahead of execution.
const READ_AHEAD: usize = 16;

/// Executes records and hands the blocks on.
#[derive(Debug)]
pub(crate) struct Replayer<P> {
    pub(crate) config: EngineConfig,
    pub(crate) evm_config: ZkEvmConfig,
    pub(crate) provider: P,
    pub(crate) stage: StageHandle,
    pub(crate) metrics: EngineMetrics,
}

impl<P: FullProvider + BlockWriter> Replayer<P> {
    /// State before a block, wherever it is readable.
    fn state_before(&self, number: u64) -> Result<StateProviderBox, ProviderError> {
        let parent = number.saturating_sub(1);
        let pending = self.provider.pending()?;
        if pending.block_number() == parent {
            return Ok(pending);
        }
        self.provider.history_by_block_number(parent)
    }

    /// Executes a record and compares the result with it.
    pub(crate) fn execute(&self, record: Arc<ReplayRecord>) -> Result<ExecutedBlock, EngineError> {
        let state = self.state_before(record.block_number())?;
        let view = StateProviderView::new(state).with_preimages(&record.force_preimages);
        execute_record(&self.evm_config, record, view).map_err(|error| {
            let dump = Dump::of_replay(&error).write(&self.config.block_dump_path);
            EngineError::Replay { error, dump }
        })
    }

    fn count(&self, block: &ExecutedBlock) {
        self.metrics.transactions.increment(block.record.transactions.len() as u64);
        self.metrics.gas_used.increment(block.output.header.gas_used);
        self.metrics.pubdata_bytes.increment(block.output.pubdata.len() as u64);
    }

    /// Brings every database up to the log and returns the head after it.
    ///
    /// Starts at the block after the last one that all databases have, or earlier so that at least `min_blocks_to_replay` blocks are executed; blocks that are stored already are
    /// only compared. A node that produces refuses a log that is shorter than what was derived from it.
    pub(crate) fn recover(
        &self,
        pipeline: &Pipeline<P>,
        shutdown: &GracefulShutdown,
        produces: bool,
    ) -> Result<ChainHead, EngineError> {
        let heads = self.provider.heads();
        for (database, derived) in [("state", heads.state), ("repository", heads.repository)] {
            // New blocks would differ from those that the log has lost. Imported ones are the same again, and are compared.
            if produces && derived > heads.wal {
                return Err(EngineError::WalBehind { wal: heads.wal, database, derived });
            }
        }
        let stored = heads.state.min(heads.repository).min(heads.wal);
        let mut start = (stored + 1)
            .min((heads.wal + 1).saturating_sub(self.config.min_blocks_to_replay))
            .max(1);
        // Blocks below the stored history can't be compared any more; they must not be needed either.
        if start <= stored
            && let Err(ProviderError::StateNotAvailable { first, .. }) =
                self.provider.history_by_block_number(start - 1)
        {
            start = (first + 1).min(stored + 1);
        }
        if start > heads.wal {
            return self.head_of(heads.wal);
        }
        info!(
            target: "engine",
            from = start,
            to = heads.wal,
            state = heads.state,
            repository = heads.repository,
            "executing stored blocks again"
        );
        let rebuilds = stored == 0 && heads.wal > self.config.min_blocks_to_replay;
        if rebuilds {
            warn!(target: "engine", blocks = heads.wal, "derived databases are empty, rebuilding them from the log");
        }
        let what = match rebuilds {
            true => "rebuilding state and blocks from the log",
            false => "executing stored blocks again",
        };
        self.stage.waiting("stored blocks to be executed again");
        let begin = Instant::now();
        let (mut transactions, mut last) = (0, start - 1);
        let mut progress = Progress::new(what, "blocks");
        progress.set(last, heads.wal);
        std::thread::scope(|scope| {
            let records = self.read_ahead(scope, start..=heads.wal);
            for record in records {
                if shutdown.is_signalled() {
                    info!(target: "engine", block = last, "shutdown during recovery, it goes on at the next start");
                    break;
                }
                let block = self.execute(record?)?;
                last = block.number();
                transactions += block.record.transactions.len();
                self.count(&block);
                if last > stored {
                    pipeline.wait_for_room(&self.stage)?;
                    pipeline.push(block)?;
                } else {
                    debug!(target: "engine", block = last, "stored block is reproduced");
                }
                self.stage.set_head(last);
                progress.set(last, heads.wal);
            }
            Ok::<_, EngineError>(())
        })?;
        drop(progress);
        info!(target: "engine", block = last, transactions, elapsed = ?begin.elapsed(), "stored blocks are reproduced");
        self.head_of(last)
    }

    fn head_of(&self, number: u64) -> Result<ChainHead, EngineError> {
        Ok(ChainHead::after(&*self.provider.replay_record_or_err(number)?))
    }

    /// Reads and decodes records on a thread of their own. Their senders come from our own log and are trusted.
    fn read_ahead<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        range: std::ops::RangeInclusive<u64>,
    ) -> mpsc::IntoIter<Result<Arc<ReplayRecord>, ProviderError>> {
        let (sender, receiver) = mpsc::sync_channel(READ_AHEAD);
        scope.spawn(move || {
            for number in range {
                let record = self.provider.replay_record_or_err(number);
                let failed = record.is_err();
                // The other end is gone when execution has failed.
                if sender.send(record).is_err() || failed {
                    return;
                }
            }
        });
        receiver.into_iter()
    }

    /// Takes one record from elsewhere: checks that it follows, executes, compares and hands the block on.
    pub(crate) fn import(
        &self,
        head: &mut ChainHead,
        record: Arc<ReplayRecord>,
        pipeline: &Pipeline<P>,
    ) -> Result<ImportOutcome, EngineError> {
        let number = record.block_number();
        if number <= head.number {
            let stored = self.provider.replay_record(number)?;
            let differs = stored.is_some_and(|stored| stored.block_hash != record.block_hash)
                || (number == head.number && head.hash != record.block_hash);
            if differs {
                let reason =
                    format!("block hash {} differs from the stored one", record.block_hash);
                return Err(EngineError::ImportMismatch { number, reason });
            }
            return Ok(ImportOutcome::AlreadyKnown);
        }
        if number != head.number + 1 {
            return Err(EngineError::ImportGap { number, expected: head.number + 1 });
        }
        self.check_context(head, &record)?;
        pipeline.wait_for_room(&self.stage)?;
        self.stage.processing();
        let started = Instant::now();
        let block = self.execute(record)?;
        self.metrics.execution_seconds.record(started.elapsed());
        self.count(&block);
        count_seal(SealReason::Replay);
        *head = ChainHead::after(&block.record);
        info!(
            target: "engine",
            number,
            hash = %block.hash(),
            txs = block.record.transactions.len(),
            gas = block.output.header.gas_used,
            elapsed = ?started.elapsed(),
            "block imported"
        );
        pipeline.push(block)?;
        self.stage.set_head(number);
        Ok(ImportOutcome::Imported)
    }

    fn check_context(&self, head: &ChainHead, record: &ReplayRecord) -> Result<(), EngineError> {
        let number = record.block_number();
        let context = &record.block_context;
        let reason = if context.chain_id != self.config.chain_id {
            format!("chain id {}, this chain has {}", context.chain_id, self.config.chain_id)
        } else if context.block_hashes != head.next_block_hashes {
            format!("parent {}, the head is {}", context.block_hashes.parent(), head.hash)
        } else if context.timestamp < head.timestamp {
            format!("timestamp {} before that of its parent, {}", context.timestamp, head.timestamp)
        } else if record.starting_l1_priority_id != head.next_l1_priority_id {
            format!(
                "first priority id {}, expected {}",
                record.starting_l1_priority_id, head.next_l1_priority_id
            )
        } else if record.protocol_version.execution_version() != Some(context.execution_version) {
            return Err(EngineError::UnsupportedProtocolVersion(record.protocol_version));
        } else if record.transactions.is_empty() {
            "it has no transactions".to_owned()
        } else {
            return Ok(());
        };
        Err(EngineError::ImportMismatch { number, reason })
    }
}

/// What became of an imported record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Executed, compared and on its way to become canonical.
    Imported,
    /// The block was there already, with the same hash.
    AlreadyKnown,
}

/// Recovers all signatures of a record, in parallel, and compares them with its senders.
///
/// # Errors
/// When the number of senders is wrong or one of them did not sign.
pub fn verify_senders(record: &ReplayRecord) -> Result<(), ReplayDecodeError> {
    let (senders, transactions) = (record.senders.len(), record.transactions.len());
    if senders != transactions {
        return Err(ReplayDecodeError::SenderCount { senders, transactions });
    }
    record.transactions.par_iter().zip(&record.senders).try_for_each(|(tx, sender)| {
        match tx.recover_signer_unchecked() {
            Ok(signer) if signer == *sender => Ok(()),
            _ => Err(ReplayDecodeError::Sender { hash: *tx.hash(), found: *sender }),
        }
    })
}
