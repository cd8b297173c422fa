//! From executed blocks to a sealed batch: what counts, what is committed to, and when a batch is full.

use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, BlockNumber, Bytes};
use std::sync::Arc;
use zkos_primitives::{
    CommitBatchInfo, PubdataMode, StoredBatchInfo, ZkTxEnvelope,
    batch::{BatchContents, BatchContentsError, DaError, da_commitment, da_commitment_of_blobs},
    blobs::{BlobTransactionSidecarVariant, CommittedBlobs, SidecarForm},
    block_hashes_blake, state_commitment,
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
pub struct SealedBatch {
    inner: Arc<SealedBatchInner>,
    sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
}

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
        self.inner.commit.batch_number
    }

    /// Stored form of the batch before it.
    pub fn previous(&self) -> &StoredBatchInfo {
        &self.inner.previous
    }

    /// What is committed.
    pub fn commit(&self) -> &CommitBatchInfo {
        &self.inner.commit
    }

    /// What L1 keeps once it is committed.
    pub fn stored(&self) -> &StoredBatchInfo {
        &self.inner.stored
    }

    /// Hashes of its priority transactions, in order.
    pub fn priority_hashes(&self) -> &[B256] {
        &self.inner.priority_hashes
    }

    /// Number of transactions.
    pub fn transactions(&self) -> u64 {
        self.inner.transactions
    }

    /// The pubdata of its blocks, one after the other.
    pub fn pubdata(&self) -> &[u8] {
        &self.inner.pubdata
    }

    /// The blobs of its pubdata with proofs, for the commit transaction. Only of a batch that [`seal_for_commit`] made, and only if pubdata goes into blobs.
    pub fn sidecar(&self) -> Option<&Arc<BlobTransactionSidecarVariant>> {
        self.sidecar.as_ref()
    }

    /// The batch as it goes on once it is committed: nobody needs its blobs any more.
    pub(crate) fn without_sidecar(self) -> Self {
        Self { sidecar: None, ..self }
    }

    /// When it was sealed.
    pub fn sealed_at(&self) -> std::time::Instant {
        self.inner.sealed_at
    }

    /// First and last block, inclusive.
    pub fn blocks(&self) -> (BlockNumber, BlockNumber) {
        (self.inner.commit.first_block_number, self.inner.commit.last_block_number)
    }
}

/// A batch can't be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The blocks can't be a batch.
    #[error(transparent)]
    Contents(#[from] BatchContentsError),
    /// The pubdata does not fit the data availability mode.
    #[error("batch {batch}: {source}")]
    Da {
        /// Number of the batch.
        batch: u64,
        /// What is wrong.
        source: DaError,
    },
}

/// Computes everything about a batch from its blocks and the batch before it, except proofs of blobs. Takes up to a second: not for an async thread.
///
/// # Errors
/// No blocks, or pubdata that the mode can't carry.
pub fn seal(
    previous: StoredBatchInfo,
    blocks: &[BatchBlock],
    chain_id: u64,
    mode: PubdataMode,
) -> Result<SealedBatch, SealError> {
    seal_with(previous, blocks, chain_id, mode, None)
}

/// As [`seal`], with the proofs of `form` that the commit transaction needs beside its blobs.
///
/// # Errors
/// As [`seal`].
pub fn seal_for_commit(
    previous: StoredBatchInfo,
    blocks: &[BatchBlock],
    chain_id: u64,
    mode: PubdataMode,
    form: SidecarForm,
) -> Result<SealedBatch, SealError> {
    seal_with(previous, blocks, chain_id, mode, Some(form))
}

fn seal_with(
    previous: StoredBatchInfo,
    blocks: &[BatchBlock],
    chain_id: u64,
    mode: PubdataMode,
    form: Option<SidecarForm>,
) -> Result<SealedBatch, SealError> {
    let batch_number = previous.batch_number.saturating_add(1);
    let last = blocks.last().ok_or(BatchContentsError::Empty { batch: batch_number })?;
    let mut contents = BatchContents::new(batch_number, chain_id);
    for block in blocks {
        let executed = &block.executed;
        let logs = executed.receipts.iter().flat_map(|receipt| &receipt.l2_to_l1_logs);
        contents.push_block(
            executed.number(),
            executed.block.header().timestamp(),
            &executed.record.transactions,
            logs,
            &executed.output.pubdata,
        )?;
    }
    let da = publish(mode, contents.pubdata(), form)
        .map_err(|source| SealError::Da { batch: batch_number, source })?;
    let commit = contents.commit_info(
        last.state_commitment(),
        mode.scheme(),
        (da.commitment, da.operator_input),
    )?;
    let stored = commit.stored(contents.upgrade_tx_hash());
    let transactions = contents.transactions();
    let (pubdata, priority_hashes) = contents.into_parts();
    let inner = SealedBatchInner {
        previous,
        commit,
        stored,
        priority_hashes,
        transactions,
        pubdata,
        sealed_at: std::time::Instant::now(),
    };
    Ok(SealedBatch { inner: Arc::new(inner), sidecar: da.sidecar })
}

/// What a batch tells L1 of its pubdata.
struct Publication {
    commitment: B256,
    operator_input: Bytes,
    sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
}

/// Commits to the pubdata once; blobs keep their commitments for the transaction that carries them.
fn publish(
    mode: PubdataMode,
    pubdata: &[u8],
    form: Option<SidecarForm>,
) -> Result<Publication, DaError> {
    if mode != PubdataMode::Blobs {
        let (commitment, operator_input) = da_commitment(mode.scheme(), pubdata)?;
        return Ok(Publication { commitment, operator_input, sidecar: None });
    }
    let blobs = CommittedBlobs::new(pubdata)?;
    let (commitment, operator_input) = da_commitment_of_blobs(&blobs.versioned_hashes());
    let sidecar = form.map(|form| blobs.into_sidecar(form)).transpose()?.map(Arc::new);
    Ok(Publication { commitment, operator_input, sidecar })
}
