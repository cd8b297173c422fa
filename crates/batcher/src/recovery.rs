//! What a start needs to know of earlier settlement, learnt from L1 and the write-ahead log alone.

use crate::{priority_tree::PriorityTree, sealer::KnownBatch};
use alloy_primitives::{B256, BlockNumber};
use eyre::{WrapErr, bail, eyre};
use zkos_l1::{
    batches::relearn_batch, contracts::IZkChain, discovery::L1State, provider::L1Provider,
    watcher::CommittedBatches,
};
use zkos_primitives::{StoredBatchInfo, ZkTxEnvelope};
use zkos_storage_api::ReplayRecordReader;

/// Where settlement stands on L1.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The last executed batch; batch 0 is genesis and ends with block 0.
    pub executed: KnownBatch,
    /// Batches that are committed but not executed, ascending.
    pub committed: Vec<KnownBatch>,
    /// Number of the last proved batch.
    pub last_proved: u64,
    /// Priority transactions in executed batches.
    pub executed_priority_txs: u64,
}

impl Recovered {
    /// Number of the last committed batch.
    pub fn last_committed(&self) -> u64 {
        self.committed
            .last()
            .map_or(self.executed.stored.batch_number, |batch| batch.stored.batch_number)
    }

    /// A chain of which nothing is settled yet.
    pub fn genesis(genesis_batch: StoredBatchInfo) -> Self {
        Self {
            executed: KnownBatch { stored: genesis_batch, last_block: 0 },
            committed: Vec::new(),
            last_proved: 0,
            executed_priority_txs: 0,
        }
    }
}

/// Learns from L1 what is settled. `upgrade_tx_hashes` are the upgrade transactions that a batch may contain.
///
/// # Errors
/// When L1 can't be asked, or contradicts itself.
pub async fn recover(
    provider: &L1Provider,
    state: &L1State,
    events: Option<&CommittedBatches>,
    genesis_batch: StoredBatchInfo,
    upgrade_tx_hashes: &[B256],
) -> eyre::Result<Recovered> {
    let counters = state.counters;
    let learn = async |batch: u64| -> eyre::Result<KnownBatch> {
        if batch == 0 {
            return Ok(KnownBatch { stored: genesis_batch, last_block: 0 });
        }
        let found = relearn_batch(provider, &state.contracts, events, batch, upgrade_tx_hashes)
            .await
            .wrap_err_with(|| format!("can't learn committed batch {batch} from L1"))?;
        Ok(KnownBatch { stored: found.stored, last_block: found.commit.last_block_number })
    };
    let executed = learn(counters.executed).await?;
    let mut committed = Vec::new();
    for batch in counters.executed + 1..=counters.committed {
        committed.push(learn(batch).await?);
    }
    let executed_priority_txs = provider
        .call_latest(state.contracts.diamond, &IZkChain::getFirstUnprocessedPriorityTxCall {})
        .await
        .wrap_err("can't read the number of executed priority transactions from L1")?;
    let executed_priority_txs = u64::try_from(executed_priority_txs).map_err(|_| {
        eyre!("number of executed priority transactions {executed_priority_txs} is out of range")
    })?;
    Ok(Recovered { executed, committed, last_proved: counters.verified, executed_priority_txs })
}

/// Rebuilds the priority tree of the first `count` transactions from the write-ahead log.
///
/// # Errors
/// When the log does not hold them: it is of another chain, or lost blocks that were settled.
pub fn priority_tree(log: &impl ReplayRecordReader, count: u64) -> eyre::Result<PriorityTree> {
    let mut tree = PriorityTree::default();
    let head = log.durable_block_number();
    let mut from = 1;
    while tree.next_id() < count {
        let wanted = tree.next_id();
        let number = block_of(log, wanted, from, head)?;
        let record = log.replay_record_or_err(number)?;
        let known = tree.next_id();
        for tx in &record.transactions {
            if let ZkTxEnvelope::L1(_) = tx
                && tree.next_id() < count
            {
                tree.push(*tx.hash());
            }
        }
        if tree.next_id() == known {
            bail!(
                "L1 has executed {count} priority transactions, but the log (head: block {head}) holds only {wanted}: it is of another chain or lost settled blocks"
            );
        }
        from = number + 1;
    }
    tree.trim(usize::try_from(count)?)?;
    Ok(tree)
}

/// The last block in `from..=head` that starts with a priority id of at most `id`: the one that holds it, if any does.
fn block_of(
    log: &impl ReplayRecordReader,
    id: u64,
    from: BlockNumber,
    head: BlockNumber,
) -> eyre::Result<BlockNumber> {
    let (mut low, mut high) = (from, head.max(from));
    if low > head {
        bail!("the log ends with block {head}, before priority transaction {id}");
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if log.replay_record_or_err(middle)?.starting_l1_priority_id <= id {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}
