//! What RPC asks whoever settles: batches, and proofs from the state tree.

use alloy_primitives::{B256, BlockNumber};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use zkos_primitives::StoredBatchInfo;
use zkos_tree::{KeyProof, MerkleTree, TreeOutput, TreeStore};

/// A settled or sealed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInfo {
    /// What L1 keeps of it.
    pub stored: StoredBatchInfo,
    /// First block.
    pub first_block: BlockNumber,
    /// Last block.
    pub last_block: BlockNumber,
    /// Hash of the L1 transaction that committed it, where known.
    pub commit_tx: Option<B256>,
    /// Hash of the L1 transaction that proved it, where known.
    pub prove_tx: Option<B256>,
    /// Hash of the L1 transaction that executed it, where known.
    pub execute_tx: Option<B256>,
}

/// Numbers of the last batches in each state on L1. Genesis is batch 0, which is executed from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchHeads {
    /// Last committed batch.
    pub committed: u64,
    /// Last proved batch.
    pub proved: u64,
    /// Last executed batch.
    pub executed: u64,
}

/// Batches could not be read; the text is logged, not returned to callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettlementReadError(pub String);

/// Reads batches. Calls may block.
pub trait BatchReader: Send + Sync {
    /// A batch by number; `None` when it is unknown.
    fn batch(&self, number: u64) -> Result<Option<BatchInfo>, SettlementReadError>;
    /// The batch that a block belongs to; `None` when it is in none yet.
    fn batch_of_block(&self, block: BlockNumber) -> Result<Option<BatchInfo>, SettlementReadError>;
    /// How far L1 is.
    fn heads(&self) -> BatchHeads;
}

/// Proofs of keys against one version of the state tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateProofs {
    /// Root and size of the tree.
    pub tree: TreeOutput,
    /// Proofs in the order of the keys.
    pub proofs: Vec<KeyProof>,
}

/// Proves what the state tree holds. Calls may block.
pub trait StateProver: Send + Sync {
    /// Proofs of flat keys in the state after a block; `None` when the tree does not have that version (any more).
    fn prove(
        &self,
        block: BlockNumber,
        keys: &[B256],
    ) -> Result<Option<StateProofs>, SettlementReadError>;
}

impl<S: TreeStore> StateProver for RwLock<MerkleTree<S>>
where
    Self: Send + Sync,
{
    fn prove(
        &self,
        block: BlockNumber,
        keys: &[B256],
    ) -> Result<Option<StateProofs>, SettlementReadError> {
        let tree = self.read();
        let stored = match (tree.oldest_version(), tree.latest_version()) {
            (Some(oldest), Some(latest)) => (oldest..=latest).contains(&block),
            _ => false,
        };
        if !stored {
            return Ok(None);
        }
        let read = |error: zkos_tree::TreeError| SettlementReadError(error.to_string());
        let output = tree.output(block).map_err(read)?;
        Ok(Some(StateProofs { tree: output, proofs: tree.prove(block, keys).map_err(read)? }))
    }
}

/// Batches in memory, told one by one.
#[derive(Debug, Default)]
pub struct BatchIndex {
    inner: RwLock<IndexInner>,
}

#[derive(Debug, Default)]
struct IndexInner {
    batches: BTreeMap<u64, BatchInfo>,
    // Last block to number.
    ends: BTreeMap<BlockNumber, u64>,
    heads: BatchHeads,
}

impl BatchIndex {
    /// Adds a batch, replacing what was known of its number.
    pub fn insert(&self, batch: BatchInfo) {
        let mut inner = self.inner.write();
        let number = batch.stored.batch_number;
        if let Some(old) = inner.batches.insert(number, batch) {
            inner.ends.remove(&old.last_block);
        }
        inner.ends.insert(batch.last_block, number);
    }

    /// Tells how far L1 is.
    pub fn set_heads(&self, heads: BatchHeads) {
        self.inner.write().heads = heads;
    }
}

impl BatchReader for BatchIndex {
    fn batch(&self, number: u64) -> Result<Option<BatchInfo>, SettlementReadError> {
        Ok(self.inner.read().batches.get(&number).copied())
    }

    fn batch_of_block(&self, block: BlockNumber) -> Result<Option<BatchInfo>, SettlementReadError> {
        let inner = self.inner.read();
        let found = inner.ends.range(block..).next();
        let batch = found.and_then(|(_, number)| inner.batches.get(number)).copied();
        Ok(batch.filter(|batch| batch.first_block <= block))
    }

    fn heads(&self) -> BatchHeads {
        self.inner.read().heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u64, first_block: u64, last_block: u64) -> BatchInfo {
        BatchInfo {
            stored: StoredBatchInfo { batch_number: number, ..Default::default() },
            first_block,
            last_block,
            commit_tx: None,
            prove_tx: None,
            execute_tx: None,
        }
    }

    #[test]
    fn blocks_belong_to_batches() {
        let index = BatchIndex::default();
        index.insert(batch(1, 1, 4));
        index.insert(batch(3, 9, 9));
        let number =
            |block| index.batch_of_block(block).unwrap().map(|batch| batch.stored.batch_number);
        assert_eq!([0, 1, 4, 5, 9, 10].map(number), [None, Some(1), Some(1), None, Some(3), None]);
        // Sealed anew with another end.
        index.insert(batch(1, 1, 3));
        assert_eq!((number(3), number(4)), (Some(1), None));
    }
}
