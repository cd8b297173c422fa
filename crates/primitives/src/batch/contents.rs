//! What a batch commits to, gathered block by block.

use crate::{
    CommitBatchInfo, DaCommitmentScheme, L2ToL1Log, ZkTxEnvelope,
    log_tree::{self, LogTreeError},
    transaction::l1::priority_operations_hash,
};
use alloy_primitives::{B256, BlockNumber, Bytes};

/// A run of blocks can't be a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchContentsError {
    /// No blocks.
    #[error("batch {batch} has no blocks")]
    Empty {
        /// Number of the batch.
        batch: u64,
    },
    /// A block does not follow the one before it.
    #[error("block {found} can't follow block {previous} in batch {batch}")]
    NotConsecutive {
        /// Number of the batch.
        batch: u64,
        /// The block before.
        previous: BlockNumber,
        /// The block.
        found: BlockNumber,
    },
    /// An upgrade transaction that is not the very first of the batch.
    #[error(
        "upgrade transaction {hash} in block {block} is not the first transaction of batch {batch}"
    )]
    MisplacedUpgrade {
        /// Number of the batch.
        batch: u64,
        /// The block.
        block: BlockNumber,
        /// Hash of the transaction.
        hash: B256,
    },
    /// More logs than the tree has leaves.
    #[error("batch {batch}: {source}")]
    Logs {
        /// Number of the batch.
        batch: u64,
        /// What is wrong.
        source: LogTreeError,
    },
}

/// Gathers what a batch commits to from its blocks. Whoever makes a batch and whoever checks one
/// use it alike.
#[derive(Debug, Clone)]
pub struct BatchContents {
    batch_number: u64,
    chain_id: u64,
    /// Number and timestamp of the first block.
    first: Option<(BlockNumber, u64)>,
    last: (BlockNumber, u64),
    transactions: u64,
    priority_hashes: Vec<B256>,
    upgrade_tx_hash: B256,
    logs: Vec<L2ToL1Log>,
    pubdata: Vec<u8>,
}

impl BatchContents {
    /// A batch without blocks.
    pub const fn new(batch_number: u64, chain_id: u64) -> Self {
        Self {
            batch_number,
            chain_id,
            first: None,
            last: (0, 0),
            transactions: 0,
            priority_hashes: Vec::new(),
            upgrade_tx_hash: B256::ZERO,
            logs: Vec::new(),
            pubdata: Vec::new(),
        }
    }

    /// Adds the next block: its number, timestamp in seconds, included transactions, L2->L1 logs
    /// in order, and pubdata.
    ///
    /// # Errors
    /// When the block does not follow the last one, or has an upgrade transaction out of place.
    pub fn push_block<'a>(
        &mut self,
        number: BlockNumber,
        timestamp: u64,
        transactions: &[ZkTxEnvelope],
        logs: impl IntoIterator<Item = &'a L2ToL1Log>,
        pubdata: &[u8],
    ) -> Result<(), BatchContentsError> {
        let batch = self.batch_number;
        if self.first.is_some() && Some(number) != self.last.0.checked_add(1) {
            let previous = self.last.0;
            return Err(BatchContentsError::NotConsecutive { batch, previous, found: number });
        }
        for (index, tx) in transactions.iter().enumerate() {
            match tx {
                ZkTxEnvelope::Upgrade(_) if self.first.is_none() && index == 0 => {
                    self.upgrade_tx_hash = *tx.hash();
                }
                ZkTxEnvelope::Upgrade(_) => {
                    let hash = *tx.hash();
                    return Err(BatchContentsError::MisplacedUpgrade {
                        batch,
                        block: number,
                        hash,
                    });
                }
                ZkTxEnvelope::L1(_) => self.priority_hashes.push(*tx.hash()),
                ZkTxEnvelope::Ethereum(_) => {}
            }
        }
        self.transactions += transactions.len() as u64;
        self.logs.extend(logs.into_iter().copied());
        self.pubdata.extend_from_slice(pubdata);
        self.first.get_or_insert((number, timestamp));
        self.last = (number, timestamp);
        Ok(())
    }

    /// Number of transactions so far.
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Pubdata of all blocks so far, one after the other.
    pub fn pubdata(&self) -> &[u8] {
        &self.pubdata
    }

    /// Hashes of the priority transactions so far, in order.
    pub fn priority_hashes(&self) -> &[B256] {
        &self.priority_hashes
    }

    /// Hash of the upgrade transaction, zero without one.
    pub const fn upgrade_tx_hash(&self) -> B256 {
        self.upgrade_tx_hash
    }

    /// Takes pubdata and priority hashes out.
    pub fn into_parts(self) -> (Vec<u8>, Vec<B256>) {
        (self.pubdata, self.priority_hashes)
    }

    /// What the operator commits, given the state commitment after the last block, and the data
    /// availability scheme with its commitment and input (see [`super::da_commitment`]).
    ///
    /// # Errors
    /// Without blocks, or with more logs than their tree has leaves.
    pub fn commit_info(
        &self,
        new_state_commitment: B256,
        da_commitment_scheme: DaCommitmentScheme,
        (da_commitment, operator_da_input): (B256, Bytes),
    ) -> Result<CommitBatchInfo, BatchContentsError> {
        let batch = self.batch_number;
        let (first_block_number, first_block_timestamp) =
            self.first.ok_or(BatchContentsError::Empty { batch })?;
        let (last_block_number, last_block_timestamp) = self.last;
        Ok(CommitBatchInfo {
            batch_number: batch,
            new_state_commitment,
            number_of_layer1_txs: self.priority_hashes.len() as u64,
            priority_operations_hash: priority_operations_hash(
                self.priority_hashes.iter().copied(),
            ),
            dependency_roots_rolling_hash: B256::ZERO,
            l2_logs_tree_root: log_tree::l2_logs_tree_root(&self.logs)
                .map_err(|source| BatchContentsError::Logs { batch, source })?,
            da_commitment_scheme,
            da_commitment,
            first_block_timestamp,
            first_block_number,
            last_block_timestamp,
            last_block_number,
            chain_id: self.chain_id,
            operator_da_input,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TxL1Priority, TxUpgrade};

    fn upgrade() -> ZkTxEnvelope {
        TxUpgrade::default().into()
    }

    fn l1() -> ZkTxEnvelope {
        TxL1Priority::default().into()
    }

    #[test]
    fn upgrade_comes_first_or_not_at_all() {
        let mut good = BatchContents::new(1, 270);
        good.push_block(1, 5, &[upgrade(), l1()], [], &[1]).unwrap();
        good.push_block(2, 5, &[l1()], [], &[2]).unwrap();
        assert_eq!(good.upgrade_tx_hash(), *upgrade().hash());
        assert_eq!(good.priority_hashes().len(), 2);
        assert_eq!(good.pubdata(), [1, 2]);

        let mut second = BatchContents::new(1, 270);
        let error = second.push_block(1, 5, &[l1(), upgrade()], [], &[]).unwrap_err();
        assert!(matches!(error, BatchContentsError::MisplacedUpgrade { block: 1, .. }));
        let mut later = BatchContents::new(1, 270);
        later.push_block(1, 5, &[], [], &[]).unwrap();
        let error = later.push_block(2, 5, &[upgrade()], [], &[]).unwrap_err();
        assert!(matches!(error, BatchContentsError::MisplacedUpgrade { block: 2, .. }));
    }

    #[test]
    fn blocks_are_consecutive() {
        let mut contents = BatchContents::new(1, 270);
        let da = || (B256::ZERO, Bytes::new());
        assert_eq!(
            contents.commit_info(B256::ZERO, DaCommitmentScheme::EmptyNoDa, da()),
            Err(BatchContentsError::Empty { batch: 1 })
        );
        contents.push_block(7, 5, &[], [], &[]).unwrap();
        assert_eq!(
            contents.push_block(9, 5, &[], [], &[]),
            Err(BatchContentsError::NotConsecutive { batch: 1, previous: 7, found: 9 })
        );
        contents.push_block(8, 6, &[], [], &[]).unwrap();
        let info = contents.commit_info(B256::ZERO, DaCommitmentScheme::EmptyNoDa, da()).unwrap();
        assert_eq!((info.first_block_number, info.last_block_number), (7, 8));
        assert_eq!((info.first_block_timestamp, info.last_block_timestamp), (5, 6));
        assert_eq!(info.priority_operations_hash, alloy_primitives::KECCAK256_EMPTY);
    }
}
