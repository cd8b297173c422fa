use crate::types::RpcTransaction;
use alloy_primitives::Address;
use alloy_rpc_types_txpool::{TxpoolContent, TxpoolContentFrom, TxpoolInspect, TxpoolStatus};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

/// `txpool_`.
#[rpc(server, namespace = "txpool")]
pub trait TxPoolApi {
    /// Numbers of pending and queued transactions.
    #[method(name = "status")]
    async fn txpool_status(&self) -> RpcResult<TxpoolStatus>;

    /// One line per transaction.
    #[method(name = "inspect")]
    async fn txpool_inspect(&self) -> RpcResult<TxpoolInspect>;

    /// All transactions of one sender.
    #[method(name = "contentFrom")]
    async fn txpool_content_from(
        &self,
        from: Address,
    ) -> RpcResult<TxpoolContentFrom<RpcTransaction>>;

    /// All transactions.
    #[method(name = "content")]
    async fn txpool_content(&self) -> RpcResult<TxpoolContent<RpcTransaction>>;
}
