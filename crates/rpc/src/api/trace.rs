use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::{BlockOverrides, Index, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

/// `trace_`: traces in the form that Parity introduced.
#[rpc(server, namespace = "trace")]
pub trait TraceApi {
    /// Traces a call.
    #[method(name = "call")]
    async fn trace_call(
        &self,
        request: TransactionRequest,
        trace_types: HashSet<TraceType>,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<TraceResults>;

    /// Traces calls, each on the state that the calls before it left.
    #[method(name = "callMany")]
    async fn trace_call_many(
        &self,
        calls: Vec<(TransactionRequest, HashSet<TraceType>)>,
        block_id: Option<BlockId>,
    ) -> RpcResult<Vec<TraceResults>>;

    /// Traces a signed transaction as if it were the next one; it is not submitted.
    #[method(name = "rawTransaction")]
    async fn trace_raw_transaction(
        &self,
        bytes: Bytes,
        trace_types: HashSet<TraceType>,
        block_id: Option<BlockId>,
    ) -> RpcResult<TraceResults>;

    /// All traces of a block, `null` when there is no such block.
    #[method(name = "block")]
    async fn trace_block(
        &self,
        block_id: BlockId,
    ) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>>;

    /// Traces of a range of blocks that a filter accepts.
    #[method(name = "filter")]
    async fn trace_filter(&self, filter: TraceFilter) -> RpcResult<Vec<LocalizedTransactionTrace>>;

    /// One trace of a transaction by its position.
    #[method(name = "get")]
    async fn trace_get(
        &self,
        hash: B256,
        indices: Vec<Index>,
    ) -> RpcResult<Option<LocalizedTransactionTrace>>;

    /// All traces of a transaction, `null` when it is unknown.
    #[method(name = "transaction")]
    async fn trace_transaction(
        &self,
        hash: B256,
    ) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>>;

    /// Executes a transaction again.
    #[method(name = "replayTransaction")]
    async fn replay_transaction(
        &self,
        hash: B256,
        trace_types: HashSet<TraceType>,
    ) -> RpcResult<TraceResults>;

    /// Executes a block again, `null` when there is no such block.
    #[method(name = "replayBlockTransactions")]
    async fn replay_block_transactions(
        &self,
        block_id: BlockId,
        trace_types: HashSet<TraceType>,
    ) -> RpcResult<Option<Vec<TraceResultsWithTransactionHash>>>;
}
