//! What a start needs to know of earlier settlement, learnt from L1 and the write-ahead log alone.

use crate::{priority_tree::PriorityTree, sealer::KnownBatch};
use alloy_primitives::BlockNumber;
use eyre::{WrapErr, bail, eyre};
use zkos_l1::{
    batches::{UpgradeTxs, relearn_batch},
    contracts::IZkChain,
    discovery::L1State,
    provider::L1Provider,
    watcher::CommittedBatches,
};
use zkos_primitives::{StoredBatchInfo, ZkTxEnvelope};
use zkos_storage_api::ReplayRecordReader;

/// Where settlement stands on L1.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The last executed batch; batch 0 is genesis.
    pub executed: StoredBatchInfo,
    /// Its last block.
    pub executed_block: BlockNumber,
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
        self.committed.last().map_or(self.executed.batch_number, |batch| batch.stored.batch_number)
    }

    /// A chain of which nothing is settled yet.
    pub fn genesis(genesis_batch: StoredBatchInfo) -> Self {
        Self {
            executed: genesis_batch,
            executed_block: 0,
            committed: Vec::new(),
            last_proved: 0,
            executed_priority_txs: 0,
        }
    }
}

/// Learns from L1 what is settled. `floor` is an L1 block before which the chain did not exist.
///
/// # Errors
/// When L1 can't be asked, contradicts itself, or has a batch of a kind that this node does not make.
pub async fn recover(
    provider: &L1Provider,
    state: &L1State,
    events: Option<&CommittedBatches>,
    genesis_batch: StoredBatchInfo,
    floor: u64,
) -> eyre::Result<Recovered> {
    let counters = state.counters;
    let learn = async |batch: u64| -> eyre::Result<KnownBatch> {
        let upgrades = UpgradeTxs::AppliedSince(floor);
        relearn_batch(provider, &state.contracts, events, batch, upgrades)
            .await
            .map_err(eyre::Report::from)
            .and_then(|found| KnownBatch::committed(&found.commit, found.stored))
            .wrap_err_with(|| format!("can't learn committed batch {batch} from L1"))
    };
    let (executed, executed_block) = match counters.executed {
        0 => (genesis_batch, 0),
        batch => learn(batch).await.map(|found| (found.stored, found.last_block))?,
    };
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
    Ok(Recovered {
        executed,
        executed_block,
        committed,
        last_proved: counters.verified,
        executed_priority_txs,
    })
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
