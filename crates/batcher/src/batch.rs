//! From executed blocks to a sealed batch: what counts, what is committed to, and when a batch is full.

use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, BlockNumber, keccak256};
use std::sync::Arc;
use zkos_primitives::{
    CommitBatchInfo, PubdataMode, StoredBatchInfo, ZkTxEnvelope, batch::DaError,
    batch::da_commitment, batch::da_commitment_of_blobs, blobs, block_hashes_blake, log_tree,
    state_commitment,
};
use zkos_storage_api::ExecutedBlock;
use zkos_tree::TreeOutput;

/// Leaves of the tree of L2->L1 logs.
pub(crate) const MAX_LOGS_PER_BATCH: u64 = 16_384;
/// Native that the proving program may spend on one batch.
pub(crate) const MAX_NATIVE_PER_BATCH: u64 = 1 << 36;

/// What a batch needs of a block.
#[derive(Debug, Clone)]
pub struct BatchBlock {
    /// The block as it was executed.
    pub executed: ExecutedBlock,
    /// The state tree after it.
    pub tree: TreeOutput,
}

impl BatchBlock {
    fn number(&self) -> BlockNumber {
        self.executed.number()
    }

    /// State commitment after the block.
    pub fn state_commitment(&self) -> B256 {
        let context = &self.executed.record.block_context;
        let hashes = block_hashes_blake(&context.block_hashes, self.executed.hash());
        state_commitment(
            self.tree.root,
            self.tree.leaf_count,
            context.block_number,
            hashes,
            context.timestamp,
        )
    }

    fn upgrade_tx_hash(&self) -> Option<B256> {
        self.executed.record.transactions.iter().find_map(|tx| match tx {
            ZkTxEnvelope::Upgrade(_) => Some(*tx.hash()),
            _ => None,
        })
    }

    /// Whether the block must be the first of its batch.
    pub fn starts_batch(&self) -> bool {
        self.upgrade_tx_hash().is_some()
    }

    fn l1_tx_hashes(&self) -> impl Iterator<Item = B256> + '_ {
        self.executed.record.transactions.iter().filter_map(|tx| match tx {
            ZkTxEnvelope::L1(_) => Some(*tx.hash()),
            _ => None,
        })
    }
}

/// Running sums over the blocks of an open batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchTotals {
    /// Blocks.
    pub blocks: u64,
    /// Transactions.
    pub transactions: u64,
    /// Bytes of pubdata.
    pub pubdata: u64,
    /// L2->L1 logs.
    pub logs: u64,
    /// Computational native.
    pub native: u64,
}

impl BatchTotals {
    /// Sums with one more block.
    #[must_use]
    pub fn with(&self, block: &ExecutedBlock) -> Self {
        let logs: usize = block.receipts.iter().map(|receipt| receipt.l2_to_l1_logs.len()).sum();
        Self {
            blocks: self.blocks.saturating_add(1),
            transactions: self.transactions.saturating_add(block.record.transactions.len() as u64),
            pubdata: self.pubdata.saturating_add(block.output.pubdata.len() as u64),
            logs: self.logs.saturating_add(logs as u64),
            native: self.native.saturating_add(block.output.computational_native_used),
        }
    }
}

/// Why a batch was closed. The names are metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum SealReason {
    /// Its time was over.
    Timeout,
    /// Blocks.
    BlocksPerBatch,
    /// Transactions.
    TransactionsPerBatch,
    /// Pubdata.
    Pubdata,
    /// L2->L1 logs.
    L2L1Logs,
    /// Computational native.
    NativeCycles,
    /// The protocol version changes, or an upgrade transaction must come first.
    Upgrade,
    /// L1 knows the batch already: it was committed before the node started.
    Committed,
}

/// Limits of a batch. All inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Blocks.
    pub blocks: u64,
    /// Transactions.
    pub transactions: u64,
    /// Bytes of pubdata.
    pub pubdata: u64,
}

impl BatchLimits {
    /// Why a batch with these sums may not be, if so.
    pub const fn exceeded(&self, totals: &BatchTotals) -> Option<SealReason> {
        if totals.blocks > self.blocks {
            Some(SealReason::BlocksPerBatch)
        } else if totals.transactions > self.transactions {
            Some(SealReason::TransactionsPerBatch)
        } else if totals.pubdata > self.pubdata {
            Some(SealReason::Pubdata)
        } else if totals.logs > MAX_LOGS_PER_BATCH {
            Some(SealReason::L2L1Logs)
        } else if totals.native > MAX_NATIVE_PER_BATCH {
            Some(SealReason::NativeCycles)
        } else {
            None
        }
    }
}

/// A closed batch with all that settlement needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SealedBatch(Arc<SealedBatchInner>);

#[derive(Debug)]
struct SealedBatchInner {
    previous: StoredBatchInfo,
    commit: CommitBatchInfo,
    stored: StoredBatchInfo,
    priority_hashes: Vec<B256>,
    transactions: u64,
    pubdata: Vec<u8>,
    sealed_at: std::time::Instant,
}

impl SealedBatch {
    /// Number of the batch.
    pub fn number(&self) -> u64 {
        self.0.commit.batch_number
    }

    /// Stored form of the batch before it.
    pub fn previous(&self) -> &StoredBatchInfo {
        &self.0.previous
    }

    /// What is committed.
    pub fn commit(&self) -> &CommitBatchInfo {
        &self.0.commit
    }

    /// What L1 keeps once it is committed.
    pub fn stored(&self) -> &StoredBatchInfo {
        &self.0.stored
    }

    /// Hashes of its priority transactions, in order.
    pub fn priority_hashes(&self) -> &[B256] {
        &self.0.priority_hashes
    }

    /// Number of transactions.
    pub fn transactions(&self) -> u64 {
        self.0.transactions
    }

    /// The pubdata of its blocks, one after the other.
    pub fn pubdata(&self) -> &[u8] {
        &self.0.pubdata
    }

    /// When it was sealed.
    pub fn sealed_at(&self) -> std::time::Instant {
        self.0.sealed_at
    }

    /// First and last block, inclusive.
    pub fn blocks(&self) -> (BlockNumber, BlockNumber) {
        (self.0.commit.first_block_number, self.0.commit.last_block_number)
    }
}

/// A batch can't be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No blocks.
    #[error("batch {0} has no blocks")]
    Empty(u64),
    /// More logs than the tree has leaves.
    #[error("batch {batch}: {source}")]
    Logs {
        /// Number of the batch.
        batch: u64,
        /// What is wrong.
        source: log_tree::LogTreeError,
    },
    /// The pubdata does not fit the data availability mode.
    #[error("batch {batch}: {source}")]
    Da {
        /// Number of the batch.
        batch: u64,
        /// What is wrong.
        source: DaError,
    },
}

/// Computes everything about a batch from its blocks and the batch before it.
///
/// # Errors
/// No blocks, or pubdata that the mode can't carry.
pub fn seal(
    previous: StoredBatchInfo,
    blocks: &[BatchBlock],
    chain_id: u64,
    mode: PubdataMode,
) -> Result<SealedBatch, SealError> {
    let batch_number = previous.batch_number.saturating_add(1);
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Err(SealError::Empty(batch_number));
    };
    let priority_hashes: Vec<B256> = blocks.iter().flat_map(BatchBlock::l1_tx_hashes).collect();
    let mut priority_operations_hash = keccak256([]);
    for hash in &priority_hashes {
        priority_operations_hash =
            keccak256([priority_operations_hash.as_slice(), hash.as_slice()].concat());
    }
    let logs: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.executed.receipts.iter())
        .flat_map(|receipt| receipt.l2_to_l1_logs.iter().copied())
        .collect();
    let pubdata: Vec<u8> =
        blocks.iter().flat_map(|block| block.executed.output.pubdata.iter().copied()).collect();
    let scheme = mode.scheme();
    let (da_commitment, operator_da_input) = match mode {
        PubdataMode::Blobs => {
            let hashes = blobs::encode_blobs(&pubdata)
                .and_then(|encoded| blobs::versioned_hashes(&encoded))
                .map_err(|error| SealError::Da { batch: batch_number, source: error.into() })?;
            da_commitment_of_blobs(&hashes)
        }
        _ => da_commitment(scheme, &pubdata)
            .map_err(|source| SealError::Da { batch: batch_number, source })?,
    };
    let commit = CommitBatchInfo {
        batch_number,
        new_state_commitment: last.state_commitment(),
        number_of_layer1_txs: priority_hashes.len() as u64,
        priority_operations_hash,
        dependency_roots_rolling_hash: B256::ZERO,
        l2_logs_tree_root: log_tree::l2_logs_tree_root(&logs)
            .map_err(|source| SealError::Logs { batch: batch_number, source })?,
        da_commitment_scheme: scheme,
        da_commitment,
        first_block_timestamp: first.executed.block.header().timestamp(),
        first_block_number: first.number(),
        last_block_timestamp: last.executed.block.header().timestamp(),
        last_block_number: last.number(),
        chain_id,
        operator_da_input,
    };
    let stored = commit.stored(first.upgrade_tx_hash().unwrap_or_default());
    let transactions =
        blocks.iter().map(|block| block.executed.record.transactions.len() as u64).sum();
    Ok(SealedBatch(Arc::new(SealedBatchInner {
        previous,
        commit,
        stored,
        priority_hashes,
        transactions,
        pubdata,
        sealed_at: std::time::Instant::now(),
    })))
}
