//! What the watcher tells the rest of the node.

use alloy_primitives::{B256, Sealed};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};
use zkos_primitives::{ProtocolVersion, TxL1Priority, ZkTxEnvelope};

/// A priority transaction in its place in the queue. Ids are handed out without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1PriorityTx {
    /// Position in the chain's priority queue; equals the transaction's nonce.
    pub id: u64,
    /// The transaction with its canonical hash.
    pub tx: Sealed<TxL1Priority>,
    /// L1 block that requested it.
    pub l1_block: u64,
}

impl L1PriorityTx {
    /// The transaction as the envelope that blocks hold.
    pub fn into_envelope(self) -> ZkTxEnvelope {
        ZkTxEnvelope::L1(self.tx)
    }
}

/// A batch number and the last L2 block in it. Batch 0 ends with block 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchPoint {
    /// Batch number.
    pub batch: u64,
    /// Number of the last L2 block of the batch.
    pub last_block: u64,
}

/// How far settlement has come on L1.
///
/// Counters only move back when L1 reverted batches or reorganised; a consumer must accept that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Finality {
    /// Last committed batch.
    pub committed: BatchPoint,
    /// Last proved batch.
    pub proved: BatchPoint,
    /// Last executed batch.
    pub executed: BatchPoint,
    /// L1 block as of which this is true.
    pub l1_block: u64,
}

/// What L1's events say of one committed batch. The block range is the operator's claim, it is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedBatch {
    /// Batch number.
    pub number: u64,
    /// First L2 block of the batch.
    pub first_block: u64,
    /// Last L2 block of the batch.
    pub last_block: u64,
    /// State commitment after the batch.
    pub state_commitment: B256,
    /// Hash of the batch output ("commitment" of the stored info).
    pub commitment: B256,
    /// L1 block of the commit.
    pub l1_block: u64,
    /// L1 transaction of the commit.
    pub l1_tx: B256,
}

/// An upgrade the chain's admin announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledUpgrade {
    /// Version to switch to.
    pub version: ProtocolVersion,
    /// Earliest L2 block timestamp with the new version, seconds.
    pub timestamp: u64,
}

/// Health of the watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1WatcherStatus {
    /// Head of L1, confirmations deducted.
    pub head: u64,
    /// Last L1 block whose events were all processed.
    pub scanned: u64,
    /// Why the last poll failed; `None` while all is well.
    pub last_error: Option<String>,
}

/// Committed batches by number: all that are not executed, and the most recent executed ones. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CommittedBatches(Arc<RwLock<BTreeMap<u64, CommittedBatch>>>);

/// Executed batches kept in [`CommittedBatches`]; older ones can be found on L1.
const KEEP_EXECUTED: u64 = 8192;

impl CommittedBatches {
    /// A batch by number.
    pub fn get(&self, number: u64) -> Option<CommittedBatch> {
        self.0.read().get(&number).copied()
    }

    /// The batch that contains an L2 block.
    pub fn by_block(&self, block: u64) -> Option<CommittedBatch> {
        let map = self.0.read();
        // Ranges ascend with the batch number; recent blocks are asked for most.
        let found = map.values().rev().find(|batch| batch.first_block <= block).copied();
        found.filter(|batch| block <= batch.last_block)
    }

    /// Batches of the given numbers that are known, ascending.
    pub fn range(&self, numbers: impl core::ops::RangeBounds<u64>) -> Vec<CommittedBatch> {
        self.0.read().range(numbers).map(|(_, batch)| *batch).collect()
    }

    pub(super) fn insert(&self, batch: CommittedBatch) {
        self.0.write().insert(batch.number, batch);
    }

    /// Drops everything above `committed` and what is far below `executed`.
    pub(super) fn trim(&self, committed: u64, executed: u64) {
        let mut map = self.0.write();
        map.split_off(&committed.saturating_add(1));
        let floor = executed.saturating_sub(KEEP_EXECUTED);
        if map.first_key_value().is_some_and(|(&first, _)| first < floor) {
            *map = map.split_off(&floor);
        }
    }

    /// Last block of a batch; batch 0 ends with block 0.
    pub(super) fn point(&self, batch: u64) -> Option<BatchPoint> {
        let last_block = if batch == 0 { 0 } else { self.get(batch)?.last_block };
        Some(BatchPoint { batch, last_block })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_found_by_block_and_trimmed() {
        let batches = CommittedBatches::default();
        for number in 1..=5 {
            batches.insert(CommittedBatch {
                number,
                first_block: number * 10,
                last_block: number * 10 + 4,
                state_commitment: B256::ZERO,
                commitment: B256::ZERO,
                l1_block: number,
                l1_tx: B256::ZERO,
            });
        }
        assert_eq!(batches.by_block(23).unwrap().number, 2);
        assert_eq!(batches.by_block(25), None);
        assert_eq!(batches.by_block(9), None);
        batches.trim(3, 1);
        assert_eq!(batches.get(4), None);
        assert_eq!(batches.point(3), Some(BatchPoint { batch: 3, last_block: 34 }));
        assert_eq!(batches.point(0), Some(BatchPoint::default()));
        batches.trim(3 + KEEP_EXECUTED, 3 + KEEP_EXECUTED);
        assert_eq!(batches.range(..).iter().map(|b| b.number).collect::<Vec<_>>(), vec![3]);
    }
}
