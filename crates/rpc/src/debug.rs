use crate::{EthApi, EthApiError, EthResult, RpcNodeCore, api::DebugApiServer, eth::Start};
use alloy_consensus::{Header, TxReceipt};
use alloy_eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy_primitives::{B256, Bloom, Bytes};
use alloy_rlp::Decodable;
use alloy_rpc_types_eth::{Bundle, StateContext, TransactionRequest};
use alloy_rpc_types_trace::geth::{
    GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace, TraceResult,
};
use jsonrpsee::core::{RpcResult, async_trait};
use std::{fmt, sync::Arc};
use zkos_primitives::{ZkBlock, header_hash};
use zkos_storage_api::RecoveredZkBlock;

/// `debug_` over a node: raw forms, and geth's tracers.
pub struct DebugApi<N: RpcNodeCore> {
    eth: EthApi<N>,
}

impl<N: RpcNodeCore> Clone for DebugApi<N> {
    fn clone(&self) -> Self {
        Self { eth: self.eth.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for DebugApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugApi").finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> DebugApi<N> {
    /// `debug_` that reads what `eth_` reads.
    pub const fn new(eth: EthApi<N>) -> Self {
        Self { eth }
    }

    async fn traced_block(
        &self,
        id: BlockId,
        options: Option<GethDebugTracingOptions>,
    ) -> EthResult<Vec<TraceResult>> {
        self.eth
            .spawn_tracer(options.unwrap_or_default(), move |eth, tracer| {
                let found = eth.block_and_receipts(id)?.ok_or(EthApiError::BlockNotFound(id))?;
                if found.block.body().transactions.is_empty() {
                    return Ok(Vec::new());
                }
                eth.replay(&found, |replay| {
                    let transactions = &found.block.body().transactions;
                    let traced = transactions.iter().map(|tx| {
                        let trace = tracer.trace_next(replay)?;
                        Ok(TraceResult::new_success(trace, Some(*tx.hash())))
                    });
                    traced.collect()
                })
            })
            .await
    }

    async fn traced_bundles(
        &self,
        start: impl FnOnce(&EthApi<N>) -> EthResult<Start> + Send + 'static,
        bundles: Vec<Bundle>,
        options: GethDebugTracingCallOptions,
    ) -> EthResult<Vec<Vec<GethTrace>>> {
        let GethDebugTracingCallOptions { tracing_options, state_overrides, .. } = options;
        self.eth
            .spawn_tracer(tracing_options, move |eth, tracer| {
                let mut start = start(eth)?;
                if let Some(overrides) = state_overrides {
                    start.state.apply_overrides(overrides)?;
                }
                eth.run_bundles(start, bundles, |session, tx| {
                    let traced = tracer.trace(session, &tx?)?;
                    Ok(traced.map_err(EthApiError::InvalidTransaction)?.1)
                })
            })
            .await
    }

    async fn with_block<T: Send + 'static>(
        &self,
        id: BlockId,
        f: impl FnOnce(Arc<RecoveredZkBlock>) -> T + Send + 'static,
    ) -> EthResult<T> {
        self.eth
            .spawn_read(move |eth| Ok(f(eth.block(id)?.ok_or(EthApiError::BlockNotFound(id))?)))
            .await
    }
}

/// The header that the block hash is the hash of.
fn hashed_header(header: &Header) -> Header {
    Header { logs_bloom: Bloom::ZERO, ..header.clone() }
}

#[async_trait]
impl<N: RpcNodeCore> DebugApiServer for DebugApi<N> {
    async fn raw_header(&self, block_id: BlockId) -> RpcResult<Bytes> {
        let encode =
            |block: Arc<RecoveredZkBlock>| alloy_rlp::encode(hashed_header(block.header())).into();
        Ok(self.with_block(block_id, encode).await?)
    }

    async fn raw_block(&self, block_id: BlockId) -> RpcResult<Bytes> {
        let encode = |block: Arc<RecoveredZkBlock>| {
            let header = hashed_header(block.header());
            alloy_rlp::encode(ZkBlock::new(header, block.body().clone())).into()
        };
        Ok(self.with_block(block_id, encode).await?)
    }

    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>> {
        Ok(self.eth.raw_transaction_by_hash(hash).await?)
    }

    async fn raw_transactions(&self, block_id: BlockId) -> RpcResult<Vec<Bytes>> {
        let encode = |block: Arc<RecoveredZkBlock>| {
            block.body().transactions.iter().map(|tx| tx.encoded_2718().into()).collect()
        };
        Ok(self.with_block(block_id, encode).await?)
    }

    async fn raw_receipts(&self, block_id: BlockId) -> RpcResult<Vec<Bytes>> {
        let receipts = self
            .eth
            .spawn_read(move |eth| {
                let found = eth.block_and_receipts(block_id)?;
                let found = found.ok_or(EthApiError::BlockNotFound(block_id))?;
                let encode = |receipt: &zkos_primitives::ZkReceipt| {
                    receipt.with_bloom_ref().encoded_2718().into()
                };
                Ok::<Vec<Bytes>, EthApiError>(found.receipts.iter().map(encode).collect())
            })
            .await;
        Ok(receipts?)
    }

    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<GethTrace> {
        let traced = self.eth.spawn_tracer(options.unwrap_or_default(), move |eth, tracer| {
            eth.replay_to_transaction(hash, |replay| tracer.trace_next(replay))
        });
        Ok(traced.await?.ok_or(EthApiError::TransactionNotFound)?)
    }

    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>> {
        Ok(self.traced_block(number.into(), options).await?)
    }

    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>> {
        Ok(self.traced_block(hash.into(), options).await?)
    }

    async fn trace_block(
        &self,
        rlp: Bytes,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>> {
        let block = ZkBlock::decode(&mut rlp.as_ref());
        let block = block.map_err(|error| {
            EthApiError::invalid_params(format!("failed to decode block: {error}"))
        })?;
        // The decoder passes over trailing bytes and over wrong lengths of typed transactions.
        if alloy_rlp::encode(&block) != rlp.as_ref() {
            let message = "failed to decode block: not the encoding of a block";
            return Err(EthApiError::invalid_params(message).into());
        }
        // A block that is not stored has no context, without which it can't be executed.
        let hash = header_hash(&block.header);
        Ok(self.traced_block(hash.into(), options).await?)
    }

    async fn trace_call(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> RpcResult<GethTrace> {
        let mut options = options.unwrap_or_default();
        let block_override = options.block_overrides.take();
        let index = options.tx_index.map(|index| usize::try_from(index).unwrap_or(usize::MAX));
        let id = block_id.unwrap_or_default();
        let bundle = Bundle { transactions: vec![request], block_override };
        let start = move |eth: &EthApi<N>| eth.start_within(id, index);
        let mut traced = self.traced_bundles(start, vec![bundle], options).await?;
        let trace = traced.pop().and_then(|mut traced| traced.pop());
        Ok(trace.ok_or_else(|| EthApiError::internal("no trace of a call"))?)
    }

    async fn trace_call_many(
        &self,
        bundles: Vec<Bundle>,
        state_context: Option<StateContext>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> RpcResult<Vec<Vec<GethTrace>>> {
        let start = move |eth: &EthApi<N>| eth.bundle_start(state_context);
        Ok(self.traced_bundles(start, bundles, options.unwrap_or_default()).await?)
    }

    fn bad_blocks(&self) -> RpcResult<Vec<()>> {
        Ok(Vec::new())
    }
}
