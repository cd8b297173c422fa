//! reth: `exex/exex/src/backfill`. Stored blocks, executed again for an extension that was not there when they were new.

use crate::ExExError;
use alloy_primitives::BlockNumber;
use std::{ops::RangeInclusive, time::Instant};
use tracing::debug;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::execution::{StateProviderView, execute_record};
use zkos_storage_api::{
    Chain, ExecutedBlock, ProviderError, ReplayRecordReader, StateProviderFactory,
};

/// When a run of re-executed blocks is handed over as one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillThresholds {
    /// Blocks in one notification.
    pub max_blocks: usize,
    /// Transactions in one notification; the block that reaches it is the last.
    pub max_transactions: usize,
}

impl Default for BackfillThresholds {
    fn default() -> Self {
        Self { max_blocks: 16, max_transactions: 5_000 }
    }
}

/// Makes [`BackfillJob`]s.
#[derive(Debug, Clone)]
pub struct BackfillJobFactory<P> {
    evm_config: ZkEvmConfig,
    provider: P,
    thresholds: BackfillThresholds,
}

impl<P> BackfillJobFactory<P> {
    /// A factory with the default thresholds.
    pub fn new(evm_config: ZkEvmConfig, provider: P) -> Self {
        Self { evm_config, provider, thresholds: BackfillThresholds::default() }
    }

    /// Sets how many blocks go into one notification.
    #[must_use]
    pub const fn with_thresholds(mut self, thresholds: BackfillThresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// A job over a range of durable blocks.
    pub fn backfill(&self, range: RangeInclusive<BlockNumber>) -> BackfillJob<P>
    where
        P: Clone,
    {
        BackfillJob {
            evm_config: self.evm_config.clone(),
            provider: self.provider.clone(),
            thresholds: self.thresholds,
            range,
        }
    }
}

/// Executes a range of stored blocks, each on the stored state before it, and yields them in chains of bounded size. Blocking; each result is compared with the record.
#[derive(Debug)]
pub struct BackfillJob<P> {
    evm_config: ZkEvmConfig,
    provider: P,
    thresholds: BackfillThresholds,
    range: RangeInclusive<BlockNumber>,
}

impl<P: ReplayRecordReader + StateProviderFactory> BackfillJob<P> {
    fn execute_block(&self, number: BlockNumber) -> Result<ExecutedBlock, ExExError> {
        let record = self.provider.replay_record_or_err(number)?;
        let parent = number.saturating_sub(1);
        let state = self.provider.history_by_block_number(parent).map_err(|error| match error {
            ProviderError::StateNotAvailable { first, .. } if parent < first => {
                ExExError::StatePruned { number, first }
            }
            error => error.into(),
        })?;
        let view = StateProviderView::new(state).with_preimages(&record.force_preimages);
        Ok(execute_record(&self.evm_config, record, view)?)
    }
}

impl<P: ReplayRecordReader + StateProviderFactory> Iterator for BackfillJob<P> {
    type Item = Result<Chain, ExExError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let mut blocks = Vec::new();
        let mut transactions = 0;
        while blocks.len() < self.thresholds.max_blocks
            && transactions < self.thresholds.max_transactions
        {
            let Some(number) = self.range.next() else { break };
            match self.execute_block(number) {
                Ok(block) => {
                    transactions += block.record.transactions.len();
                    blocks.push(block);
                }
                Err(error) => {
                    // Nothing after a failed block can be delivered.
                    self.range = RangeInclusive::new(1, 0);
                    return Some(Err(error));
                }
            }
        }
        let chain = Chain::new(blocks)?;
        debug!(
            target: "exex::backfill",
            range = ?chain.range(),
            transactions,
            elapsed = ?start.elapsed(),
            "executed stored blocks again",
        );
        Some(Ok(chain))
    }
}
