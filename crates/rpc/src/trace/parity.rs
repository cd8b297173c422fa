//! `trace_`.

use super::{
    observer::{Observer, RecordedSteps},
    replay::Replay,
    session::{Rules, Session, TracedTx},
    state::PreState,
};
use crate::{
    EthApi, EthApiError, EthResult, RpcNodeCore,
    api::TraceApiServer,
    eth::{BlockAndReceipts, Start, recover_raw_transaction},
};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::{
    BlockOverrides, Bundle, Index, TransactionInfo, TransactionRequest, state::StateOverride,
};
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use jsonrpsee::core::{RpcResult, async_trait};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use std::fmt;
use zkos_primitives::RecoveredTx;
use zkos_storage_api::TransactionsProvider;

/// `trace_` over a node.
pub struct TraceApi<N: RpcNodeCore> {
    eth: EthApi<N>,
}

impl<N: RpcNodeCore> Clone for TraceApi<N> {
    fn clone(&self) -> Self {
        Self { eth: self.eth.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for TraceApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceApi").finish_non_exhaustive()
    }
}

type TraceTypes = HashSet<TraceType>;
type Tracer = Observer<TracingInspector>;

/// A tracer that records what the types need.
fn tracer(types: &TraceTypes) -> Tracer {
    let steps = types.contains(&TraceType::VmTrace);
    let recorded = RecordedSteps { steps, stack: false, memory: steps };
    let config = TracingInspectorConfig::from_parity_config(types);
    Observer::new(TracingInspector::new(config), recorded)
}

fn results(
    inspector: &TracingInspector,
    traced: &TracedTx,
    before: &PreState<'_>,
    types: &TraceTypes,
) -> EthResult<TraceResults> {
    let builder = inspector.clone().into_parity_builder();
    let results = builder.into_trace_results_with_state(&traced.result, types, before);
    results.map_err(EthApiError::internal)
}

/// Traces of the next transaction of a block, in place.
fn localized(
    tracer: &mut Tracer,
    replay: &mut Replay<'_>,
) -> EthResult<Vec<LocalizedTransactionTrace>> {
    tracer.inner.fuse();
    replay.trace_next(tracer, |inspector, info: TransactionInfo, _, _| {
        Ok(inspector.clone().into_parity_builder().into_localized_transaction_traces(info))
    })
}

fn call_tracer() -> Tracer {
    Observer::new(
        TracingInspector::new(TracingInspectorConfig::default_parity()),
        RecordedSteps::default(),
    )
}

impl<N: RpcNodeCore> TraceApi<N> {
    /// `trace_` that reads what `eth_` reads.
    pub const fn new(eth: EthApi<N>) -> Self {
        Self { eth }
    }

    async fn trace_found<T: Send + 'static>(
        &self,
        id: BlockId,
        run: impl FnOnce(&EthApi<N>, BlockAndReceipts) -> EthResult<T> + Send + 'static,
    ) -> EthResult<Option<T>> {
        self.eth
            .spawn_trace(move |eth| match eth.block_and_receipts(id)? {
                Some(found) => run(eth, found).map(Some),
                None => Ok(None),
            })
            .await
    }

    /// Runs on the block of a transaction, given its index there.
    async fn trace_including<T: Send + 'static>(
        &self,
        hash: B256,
        run: impl FnOnce(&mut Replay<'_>) -> EthResult<T> + Send + 'static,
    ) -> EthResult<Option<T>> {
        self.eth.spawn_trace(move |eth| eth.replay_to_transaction(hash, run)).await
    }

    async fn filter(&self, filter: TraceFilter) -> EthResult<Vec<LocalizedTransactionTrace>> {
        self.eth
            .spawn_trace(move |eth| {
                let head = eth.head_number()?;
                let first = filter.from_block.unwrap_or_default();
                let last = filter.to_block.unwrap_or(head);
                if first > last {
                    return Err(EthApiError::invalid_params("invalid block range params"));
                }
                let last = last.min(head);
                let limit = eth.config().max_trace_filter_blocks;
                if last.saturating_sub(first) >= limit {
                    return Err(EthApiError::invalid_params(format!(
                        "block range too large; at most {limit} blocks"
                    )));
                }
                let matcher = filter.matcher();
                let mut skip = filter.after.unwrap_or_default();
                let mut left = filter.count.unwrap_or(u64::MAX);
                let mut tracer = call_tracer();
                let mut traces = Vec::new();
                for number in first..=last {
                    if left == 0 {
                        break;
                    }
                    let id = BlockId::number(number);
                    let found = eth.block_and_receipts(id)?;
                    let found = found.ok_or(EthApiError::BlockNotFound(id))?;
                    for trace in block_traces(eth, &found, &mut tracer)? {
                        if !matcher.matches(&trace.trace) {
                            continue;
                        }
                        if skip > 0 {
                            skip -= 1;
                        } else if left > 0 {
                            left -= 1;
                            traces.push(trace);
                        }
                    }
                }
                Ok(traces)
            })
            .await
    }

    /// Traces calls, each in a session on what the calls before it left.
    async fn calls(
        &self,
        start: impl FnOnce(&EthApi<N>) -> EthResult<Start> + Send + 'static,
        calls: Vec<(TransactionRequest, TraceTypes)>,
        block_override: Option<BlockOverrides>,
    ) -> EthResult<Vec<TraceResults>> {
        self.eth
            .spawn_trace(move |eth| {
                let start = start(eth)?;
                let (transactions, types): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
                let mut types = types.into_iter();
                let bundle = Bundle { transactions, block_override };
                let traced = eth.run_bundles(start, vec![bundle], |session, tx| {
                    trace_in(session, &tx?, &types.next().unwrap_or_default())
                })?;
                Ok(traced.into_iter().flatten().collect())
            })
            .await
    }
}

fn trace_in(
    session: &mut Session<'_>,
    tx: &RecoveredTx,
    types: &TraceTypes,
) -> EthResult<TraceResults> {
    let traced = session.inspect(tx, &mut tracer(types), |inspector, traced, before| {
        results(inspector, traced, before, types)
    })?;
    Ok(traced.map_err(EthApiError::InvalidTransaction)?.1)
}

fn block_traces<N: RpcNodeCore>(
    eth: &EthApi<N>,
    found: &BlockAndReceipts,
    tracer: &mut Tracer,
) -> EthResult<Vec<LocalizedTransactionTrace>> {
    if found.block.body().transactions.is_empty() {
        return Ok(Vec::new());
    }
    eth.replay(found, |replay| {
        let mut traces = Vec::new();
        for _ in 0..replay.len() {
            traces.extend(localized(tracer, replay)?);
        }
        Ok(traces)
    })
}

impl<N: RpcNodeCore> EthApi<N> {
    /// Executes the block of a transaction up to it; `run` goes on from there. `None` when it is not included.
    pub(crate) fn replay_to_transaction<T>(
        &self,
        hash: B256,
        run: impl FnOnce(&mut Replay<'_>) -> EthResult<T>,
    ) -> EthResult<Option<T>> {
        let Some((_, meta)) = self.provider().transaction_by_hash_with_meta(hash)? else {
            return Ok(None);
        };
        let id = BlockId::from(meta.block_hash);
        let found = self.block_and_receipts(id)?.ok_or(EthApiError::BlockNotFound(id))?;
        self.replay(&found, |replay| {
            replay.skip_to(meta.index as usize)?;
            run(replay)
        })
        .map(Some)
    }
}

#[async_trait]
impl<N: RpcNodeCore> TraceApiServer for TraceApi<N> {
    async fn trace_call(
        &self,
        request: TransactionRequest,
        trace_types: TraceTypes,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<TraceResults> {
        let start = move |eth: &EthApi<N>| {
            let mut start = eth.start_after(block_id.unwrap_or_else(BlockId::pending))?;
            if let Some(overrides) = state_overrides {
                start.state.apply_overrides(overrides)?;
            }
            Ok(start)
        };
        let overrides = block_overrides.map(|overrides| *overrides);
        let mut traced = self.calls(start, vec![(request, trace_types)], overrides).await?;
        Ok(traced.pop().ok_or_else(|| EthApiError::internal("no result of a call"))?)
    }

    async fn trace_call_many(
        &self,
        calls: Vec<(TransactionRequest, TraceTypes)>,
        block_id: Option<BlockId>,
    ) -> RpcResult<Vec<TraceResults>> {
        let id = block_id.unwrap_or_else(BlockId::pending);
        Ok(self.calls(move |eth| eth.start_after(id), calls, None).await?)
    }

    async fn trace_raw_transaction(
        &self,
        bytes: Bytes,
        trace_types: TraceTypes,
        block_id: Option<BlockId>,
    ) -> RpcResult<TraceResults> {
        let tx = recover_raw_transaction(&bytes)?;
        let traced = self.eth.spawn_trace(move |eth| {
            let id = block_id.unwrap_or_else(BlockId::pending);
            let Start { mut state, context } = eth.start_after(id)?;
            let evm_config = eth.node().evm_config();
            let mut session = Session::new(evm_config, &context, &mut state, Rules::Block)?;
            trace_in(&mut session, &tx, &trace_types)
        });
        Ok(traced.await?)
    }

    async fn trace_block(
        &self,
        block_id: BlockId,
    ) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
        let trace = |eth: &EthApi<N>, found| block_traces(eth, &found, &mut call_tracer());
        Ok(self.trace_found(block_id, trace).await?)
    }

    async fn trace_filter(&self, filter: TraceFilter) -> RpcResult<Vec<LocalizedTransactionTrace>> {
        Ok(self.filter(filter).await?)
    }

    async fn trace_get(
        &self,
        hash: B256,
        indices: Vec<Index>,
    ) -> RpcResult<Option<LocalizedTransactionTrace>> {
        let Some(traces) = self.trace_transaction(hash).await? else { return Ok(None) };
        let address: Vec<usize> = indices.into_iter().map(usize::from).collect();
        Ok(traces.into_iter().find(|trace| trace.trace.trace_address == address))
    }

    async fn trace_transaction(
        &self,
        hash: B256,
    ) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
        Ok(self.trace_including(hash, |replay| localized(&mut call_tracer(), replay)).await?)
    }

    async fn replay_transaction(
        &self,
        hash: B256,
        trace_types: TraceTypes,
    ) -> RpcResult<TraceResults> {
        let traced = self.trace_including(hash, move |replay| {
            replay.trace_next(&mut tracer(&trace_types), |inspector, _, traced, before| {
                results(inspector, traced, before, &trace_types)
            })
        });
        Ok(traced.await?.ok_or(EthApiError::TransactionNotFound)?)
    }

    async fn replay_block_transactions(
        &self,
        block_id: BlockId,
        trace_types: TraceTypes,
    ) -> RpcResult<Option<Vec<TraceResultsWithTransactionHash>>> {
        let trace = move |eth: &EthApi<N>, found: BlockAndReceipts| {
            if found.block.body().transactions.is_empty() {
                return Ok(Vec::new());
            }
            eth.replay(&found, |replay| {
                let mut tracer = tracer(&trace_types);
                let mut traces = Vec::with_capacity(replay.len());
                for _ in 0..replay.len() {
                    tracer.inner.fuse();
                    traces.push(replay.trace_next(
                        &mut tracer,
                        |inspector, info, traced, before| {
                            let full_trace = results(inspector, traced, before, &trace_types)?;
                            let transaction_hash = info.hash.unwrap_or_default();
                            Ok(TraceResultsWithTransactionHash { full_trace, transaction_hash })
                        },
                    )?);
                }
                Ok(traces)
            })
        };
        Ok(self.trace_found(block_id, trace).await?)
    }
}
