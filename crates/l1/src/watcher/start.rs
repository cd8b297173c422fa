//! Where to start: finality as of a block, and the block that requested a given priority transaction.

use super::{
    WatcherError,
    events::{self, Event},
    types::{CommittedBatches, L1Finality},
};
use crate::{
    contracts::IZkChain,
    discovery::{BatchCounters, L1Contracts, read_counters},
    logs,
    provider::{CallError, L1Provider},
};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{BlockId, BlockNumberOrTag, Filter};
use alloy_sol_types::SolEvent;
use alloy_transport::RpcError;
use std::collections::BTreeMap;
use tracing::{debug, info};

/// Reads the counters as of `block`.
///
/// A node without the state of that block (pruned, or an anvil with loaded state) is asked for the latest state instead; the number of the
/// block that answer belongs to comes back with it.
pub(super) async fn counters_at(
    provider: &L1Provider,
    contracts: &L1Contracts,
    block: u64,
) -> Result<(BatchCounters, u64), WatcherError> {
    let pinned = match read_counters(provider, contracts.diamond, BlockId::number(block)).await {
        Ok(counters) => return Ok((counters, block)),
        Err(error) => error,
    };
    debug!(target: "zkos::l1::watcher", block, err = %pinned, "no state at this l1 block, reading counters at latest");
    let head = || provider.block(BlockNumberOrTag::Latest);
    loop {
        let before = head().await?.ok_or(WatcherError::NoHead)?;
        let counters = read_counters(provider, contracts.diamond, BlockId::latest()).await?;
        let after = head().await?.ok_or(WatcherError::NoHead)?;
        let again = read_counters(provider, contracts.diamond, BlockId::latest()).await?;
        // Equal answers around one head belong to that head; blocks come slower than requests.
        if counters == again && before.hash == after.hash {
            return Ok((counters, before.number));
        }
    }
}

/// Finality and the batches it speaks of, as of `block`.
pub(super) async fn finality_at(
    provider: &L1Provider,
    contracts: &L1Contracts,
    batches: &CommittedBatches,
    block: u64,
) -> Result<L1Finality, WatcherError> {
    let (counters, block) = counters_at(provider, contracts, block).await?;
    let wanted = counters.executed.max(1)..=counters.committed;
    let mut found = BTreeMap::new();
    if !wanted.is_empty() {
        let filter = Filter::new().address(contracts.diamond).event_signature(vec![
            IZkChain::ReportCommittedBatchRangeZKsyncOS::SIGNATURE_HASH,
            IZkChain::BlockCommit::SIGNATURE_HASH,
        ]);
        let mut failure = None;
        logs::scan_backwards(provider, &filter, block, 0, |logs| {
            let mut span = BTreeMap::new();
            match events::decode(logs, contracts.diamond, contracts.chain_admin) {
                Ok(events) => {
                    for event in events {
                        if let Event::Committed(batch) = event {
                            // The last commit of a number counts: earlier ones were reverted.
                            span.insert(batch.number, batch);
                        }
                    }
                }
                Err(error) => failure = Some(error),
            }
            for (number, batch) in span {
                if wanted.contains(&number) {
                    found.entry(number).or_insert(batch);
                }
            }
            failure.is_some()
                || found.len() as u64 == counters.committed - counters.executed.max(1) + 1
        })
        .await?;
        if let Some(error) = failure {
            return Err(error.into());
        }
    }
    batches.trim(0, 0);
    for batch in found.into_values() {
        batches.insert(batch);
    }
    let point = |batch| batches.point(batch).ok_or(WatcherError::MissingCommit { batch });
    Ok(L1Finality {
        committed: point(counters.committed)?,
        proved: point(counters.verified)?,
        executed: point(counters.executed)?,
        l1_block: block,
    })
}

/// First L1 block that may hold the request of priority transaction `next_id`; `head + 1` if it was not requested up to `head`.
pub(super) async fn priority_start(
    provider: &L1Provider,
    contracts: &L1Contracts,
    next_id: u64,
    head: u64,
) -> Result<u64, WatcherError> {
    let diamond = contracts.diamond;
    let call = IZkChain::getTotalPriorityTxsCall {};
    let total = provider.call_latest(diamond, &call).await?;
    let next = U256::from(next_id);
    if total < next {
        return Err(WatcherError::L1Behind { diamond, next_id, total });
    }
    if total == next {
        return Ok(head + 1);
    }
    match search(provider, contracts, next, head).await {
        Ok(block) => Ok(block),
        Err(CallError::Rpc { source, .. }) if matches!(*source, RpcError::Transport(_)) => {
            Err((*source).into())
        }
        Err(error) => {
            info!(target: "zkos::l1::watcher", next_id, err = %error, "l1 node has no old state, looking for the priority transaction in the logs");
            let filter = Filter::new()
                .address(diamond)
                .event_signature(IZkChain::NewPriorityRequestId::SIGNATURE_HASH)
                .topic1(B256::from(next));
            let logs =
                logs::scan_backwards(provider, &filter, head, 0, |logs| !logs.is_empty()).await?;
            // Not found although it was requested: after `head`, or the node has lost its logs. The gap check tells the latter.
            Ok(logs.first().and_then(|log| log.block_number).unwrap_or(head + 1))
        }
    }
}

/// Smallest block at whose end more than `next` transactions were requested, at most `head + 1`.
async fn search(
    provider: &L1Provider,
    contracts: &L1Contracts,
    next: U256,
    head: u64,
) -> Result<u64, CallError> {
    let (mut low, mut high) = (0, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let reached = match provider
            .call(contracts.diamond, &IZkChain::getTotalPriorityTxsCall {}, BlockId::number(middle))
            .await
        {
            Ok(total) => total > next,
            // No contract yet.
            Err(CallError::Decode { length: 0, .. }) => false,
            Err(error) => return Err(error),
        };
        if reached {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
