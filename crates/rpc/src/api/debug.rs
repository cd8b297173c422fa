use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

/// `debug_`: raw forms. Tracing is not part of it yet.
#[rpc(server, namespace = "debug")]
pub trait DebugApi {
    /// RLP of a header with empty bloom, so that its Keccak-256 is the block hash.
    #[method(name = "getRawHeader")]
    async fn raw_header(&self, block_id: BlockId) -> RpcResult<Bytes>;

    /// RLP of a block; its header has an empty bloom as in `debug_getRawHeader`.
    #[method(name = "getRawBlock")]
    async fn raw_block(&self, block_id: BlockId) -> RpcResult<Bytes>;

    /// EIP-2718 form of an included or pooled transaction, `null` when unknown.
    #[method(name = "getRawTransaction")]
    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>>;

    /// EIP-2718 forms of all transactions of a block.
    #[method(name = "getRawTransactions")]
    async fn raw_transactions(&self, block_id: BlockId) -> RpcResult<Vec<Bytes>>;

    /// EIP-2718 forms of all receipts of a block.
    #[method(name = "getRawReceipts")]
    async fn raw_receipts(&self, block_id: BlockId) -> RpcResult<Vec<Bytes>>;
}
