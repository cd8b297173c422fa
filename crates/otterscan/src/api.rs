use crate::types::{OtsHeader, SearchPage};
use alloy_eips::eip1898::LenientBlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, TxHash};
use alloy_rpc_types_eth::Index;
use alloy_rpc_types_trace::otterscan::{
    BlockDetails, ContractCreator, InternalOperation, OtsBlockTransactions, TraceEntry,
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use zkos_rpc::types::{RpcHeader, RpcTransaction};

/// The namespace of Otterscan. Numbers are taken as JSON numbers, as Otterscan sends them, and as decimal or hexadecimal strings.
///
/// Shapes: <https://docs.otterscan.io/api-docs/ots-api>.
#[rpc(server, namespace = "ots")]
pub trait Otterscan {
    /// Version of the namespace.
    #[method(name = "getApiLevel")]
    fn api_level(&self) -> RpcResult<u64>;

    /// Header of a block, `null` when unknown. Otterscan calls it by the second name to find out whether it can work with the node.
    #[method(name = "getHeaderByNumber", aliases = ["erigon_getHeaderByNumber"])]
    async fn header_by_number(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<RpcHeader>>;

    /// Whether an account has code after a block, the last one by default.
    #[method(name = "hasCode")]
    async fn has_code(
        &self,
        address: Address,
        block: Option<LenientBlockNumberOrTag>,
    ) -> RpcResult<bool>;

    /// Transfers of the base token by contracts, creations and self-destructs in a transaction, in order; those in frames that were reverted are among them. Empty when the
    /// transaction is unknown.
    #[method(name = "getInternalOperations")]
    async fn internal_operations(&self, hash: TxHash) -> RpcResult<Vec<InternalOperation>>;

    /// What a failed transaction returned; `0x` when it succeeded or returned nothing, `null` when it is unknown.
    #[method(name = "getTransactionError")]
    async fn transaction_error(&self, hash: TxHash) -> RpcResult<Option<Bytes>>;

    /// Frames and self-destructs of a transaction in order, each with its depth; `null` when it is unknown.
    #[method(name = "traceTransaction")]
    async fn trace_transaction(&self, hash: TxHash) -> RpcResult<Option<Vec<TraceEntry>>>;

    /// A block without transactions and bloom, but with their number and the fees; `null` when unknown.
    #[method(name = "getBlockDetails")]
    async fn block_details(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<BlockDetails<OtsHeader>>>;

    /// As `ots_getBlockDetails`, by hash.
    #[method(name = "getBlockDetailsByHash")]
    async fn block_details_by_hash(&self, hash: B256)
    -> RpcResult<Option<BlockDetails<OtsHeader>>>;

    /// Transactions of a block with inputs cut to their selectors, and receipts without logs. Page 0 holds the last `page_size` of them, in the order of the block. `null` when the
    /// block is unknown.
    #[method(name = "getBlockTransactions")]
    async fn block_transactions(
        &self,
        number: LenientBlockNumberOrTag,
        page: Index,
        page_size: Index,
    ) -> RpcResult<Option<OtsBlockTransactions<RpcTransaction, RpcHeader>>>;

    /// Transactions that touched an address before a block (0: up to the head), newest first. A page ends with a block: it may hold more than `page_size`.
    #[method(name = "searchTransactionsBefore")]
    async fn search_transactions_before(
        &self,
        address: Address,
        block: Index,
        page_size: Index,
    ) -> RpcResult<SearchPage>;

    /// Transactions that touched an address after a block (0: from the first one), those nearest to it, newest first. A page ends with a block: it may hold more than `page_size`.
    #[method(name = "searchTransactionsAfter")]
    async fn search_transactions_after(
        &self,
        address: Address,
        block: Index,
        page_size: Index,
    ) -> RpcResult<SearchPage>;

    /// Hash of a sender's transaction, `null` when there is none of this nonce.
    #[method(name = "getTransactionBySenderAndNonce")]
    async fn transaction_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: Index,
    ) -> RpcResult<Option<TxHash>>;

    /// Transaction and account that created a contract; `null` for accounts without code, and for contracts that no transaction created.
    #[method(name = "getContractCreator")]
    async fn contract_creator(&self, address: Address) -> RpcResult<Option<ContractCreator>>;
}
