//! Committed batches re-learnt from L1, so that a machine that never batched can go on.

use crate::{
    contracts::{CalldataError, IZkChain, decode_commit_calldata},
    discovery::L1Contracts,
    logs::{self, LogScanError},
    provider::{CallError, L1Provider},
    upgrade::applied_upgrade_txs,
    watcher::{CommittedBatch, CommittedBatches},
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter};
use alloy_sol_types::SolEvent;
use alloy_transport::TransportError;
use tracing::debug;
use zkos_primitives::{CommitBatchInfo, StoredBatchInfo};

/// A committed batch with all that the next steps of settlement need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelearntBatch {
    /// What was committed.
    pub commit: CommitBatchInfo,
    /// What L1 stores of it; its hash equals `storedBatchHash`.
    pub stored: StoredBatchInfo,
    /// Stored info of the batch before, as the commit named it.
    pub previous: StoredBatchInfo,
    /// Hash of the upgrade transaction that the batch's commitment contains, zero if none.
    pub upgrade_tx_hash: B256,
    /// L1 transaction of the commit.
    pub l1_tx: B256,
}

/// Where the hash of the upgrade transaction comes from that a batch's commitment contains, if any: L1 does not tell which batch an executed upgrade was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeTxs<'a> {
    /// It is one of these.
    Known(&'a [B256]),
    /// L1 has applied the upgrade to the chain, which did not exist before this L1 block.
    AppliedSince(u64),
}

/// Why a batch could not be re-learnt.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// L1 has no commit event of the batch.
    #[error("no commit of batch {batch} found on l1")]
    NotFound {
        /// Batch number.
        batch: u64,
    },
    /// The transaction of the event is unknown.
    #[error("l1 does not know transaction {tx} that committed batch {batch}")]
    NoTransaction {
        /// Batch number.
        batch: u64,
        /// L1 transaction hash.
        tx: B256,
    },
    /// The commit was not a direct call of the timelock.
    #[error(
        "batch {batch} was committed by transaction {tx} through {to:?}, not directly through the timelock: its data can't be read from calldata"
    )]
    Indirect {
        /// Batch number.
        batch: u64,
        /// L1 transaction hash.
        tx: B256,
        /// Target of the transaction.
        to: Option<Address>,
    },
    /// The calldata can't be decoded.
    #[error("calldata of transaction {tx} that committed batch {batch}: {source}")]
    Calldata {
        /// Batch number.
        batch: u64,
        /// L1 transaction hash.
        tx: B256,
        /// What is wrong with it.
        source: CalldataError,
    },
    /// What the calldata gives is not what L1 stores.
    #[error(
        "batch {batch} contradicts l1: storedBatchHash is {on_l1}, calldata of {tx} gives {computed}"
    )]
    Contradiction {
        /// Batch number.
        batch: u64,
        /// L1 transaction hash.
        tx: B256,
        /// Hash on L1.
        on_l1: B256,
        /// Hash computed.
        computed: B256,
    },
    /// A contract call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Logs could not be read.
    #[error(transparent)]
    Logs(#[from] LogScanError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

impl BatchError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Logs(error) => error.is_transient(),
            Self::Rpc(error) => crate::provider::is_transient(error),
            // Just mined: another server behind the same URL may not have it yet.
            Self::NoTransaction { .. } => true,
            _ => false,
        }
    }
}

/// Hash that L1 stores for a committed batch. Meaningless above the committed counter.
pub async fn stored_batch_hash(
    provider: &L1Provider,
    diamond: Address,
    batch: u64,
) -> Result<B256, CallError> {
    provider
        .call_latest(diamond, &IZkChain::storedBatchHashCall { batchNumber: U256::from(batch) })
        .await
}

/// Re-learns a committed batch: finds its commit, decodes the calldata, and checks the result against `storedBatchHash`.
///
/// `known` spares the search in the logs. The commitment is tried without an upgrade transaction first, then with those that `upgrades` gives.
pub async fn relearn_batch(
    provider: &L1Provider,
    contracts: &L1Contracts,
    known: Option<&CommittedBatches>,
    batch: u64,
    upgrades: UpgradeTxs<'_>,
) -> Result<RelearntBatch, BatchError> {
    let on_l1 = stored_batch_hash(provider, contracts.diamond, batch).await?;
    let mut candidates: Vec<B256> =
        known.and_then(|known| known.get(batch)).map(|event| event.l1_tx).into_iter().collect();
    if candidates.is_empty() {
        candidates = commit_transactions(provider, contracts.diamond, batch).await?;
    }
    // The last commit first: earlier ones were reverted.
    let mut failure = BatchError::NotFound { batch };
    for tx in candidates.into_iter().rev() {
        match decode_commit(provider, contracts, batch, tx, on_l1, upgrades).await {
            Ok(found) => return Ok(found),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                debug!(target: "zkos::l1", batch, %tx, err = %error, "commit does not give the stored batch");
                failure = error;
            }
        }
    }
    Err(failure)
}

async fn decode_commit(
    provider: &L1Provider,
    contracts: &L1Contracts,
    batch: u64,
    hash: B256,
    on_l1: B256,
    upgrades: UpgradeTxs<'_>,
) -> Result<RelearntBatch, BatchError> {
    let tx = provider
        .inner()
        .get_transaction_by_hash(hash)
        .await?
        .ok_or(BatchError::NoTransaction { batch, tx: hash })?;
    if tx.to() != Some(contracts.validator_timelock) {
        return Err(BatchError::Indirect { batch, tx: hash, to: tx.to() });
    }
    let (previous, commit) = decode_commit_calldata(tx.input(), contracts.diamond)
        .map_err(|source| BatchError::Calldata { batch, tx: hash, source })?;
    let fits = |upgrade_tx_hash: &B256| commit.stored(*upgrade_tx_hash).hash() == on_l1;
    let upgrade_tx_hash = if fits(&B256::ZERO) {
        Some(B256::ZERO)
    } else {
        let applied;
        let candidates: &[B256] = match upgrades {
            UpgradeTxs::Known(hashes) => hashes,
            UpgradeTxs::AppliedSince(floor) => {
                applied =
                    applied_upgrade_txs::<BatchError>(provider, contracts.diamond, floor).await?;
                &applied
            }
        };
        candidates.iter().copied().find(fits)
    };
    let Some(upgrade_tx_hash) = upgrade_tx_hash else {
        let computed = commit.stored(B256::ZERO).hash();
        return Err(BatchError::Contradiction { batch, tx: hash, on_l1, computed });
    };
    let stored = commit.stored(upgrade_tx_hash);
    Ok(RelearntBatch { commit, stored, previous, upgrade_tx_hash, l1_tx: hash })
}

/// Hashes of the transactions that committed `batch`, oldest first (more than one after reverts).
async fn commit_transactions(
    provider: &L1Provider,
    diamond: Address,
    batch: u64,
) -> Result<Vec<B256>, BatchError> {
    let head = provider.block(BlockNumberOrTag::Latest).await?.map_or(0, |block| block.number);
    let filter = Filter::new()
        .address(diamond)
        .event_signature(IZkChain::BlockCommit::SIGNATURE_HASH)
        .topic1(B256::from(U256::from(batch)));
    let logs = logs::scan_backwards(provider, &filter, head, 0, |logs| !logs.is_empty()).await?;
    Ok(logs.into_iter().filter_map(|log| log.transaction_hash).collect())
}

impl CommittedBatch {
    /// Whether the event's values are those of `stored`.
    pub fn matches(&self, stored: &StoredBatchInfo) -> bool {
        (self.number, self.state_commitment, self.commitment)
            == (stored.batch_number, stored.state_commitment, stored.commitment)
    }
}
