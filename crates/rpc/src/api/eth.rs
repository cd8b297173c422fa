use crate::types::{RpcBlock, RpcHeader, RpcReceipt, RpcTransaction};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessListResult};
use alloy_primitives::{Address, B64, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{
    AccountInfo, BlockOverrides, Bundle, EthCallResponse, FeeHistory, FillTransaction, Index,
    StateContext, SyncStatus, TransactionRequest,
    simulate::{SimulatePayload, SimulatedBlock},
    state::StateOverride,
};
use alloy_serde::JsonStorageKey;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde_json::Value;
use zkos_primitives::ZkTxEnvelope;

/// `eth_` without filters and subscriptions.
#[rpc(server, namespace = "eth")]
pub trait EthApi {
    /// Version of the node's wire protocol; the node has none, so its own name and version.
    #[method(name = "protocolVersion")]
    fn protocol_version(&self) -> RpcResult<String>;

    /// `false`, or how far the node is behind the node it follows.
    #[method(name = "syncing")]
    fn syncing(&self) -> RpcResult<SyncStatus>;

    /// Address that collects fees.
    #[method(name = "coinbase")]
    async fn coinbase(&self) -> RpcResult<Address>;

    /// Always empty: the node holds no users' keys.
    #[method(name = "accounts")]
    fn accounts(&self) -> RpcResult<Vec<Address>>;

    /// Always false.
    #[method(name = "mining")]
    fn mining(&self) -> RpcResult<bool>;

    /// Always zero.
    #[method(name = "hashrate")]
    fn hashrate(&self) -> RpcResult<U256>;

    /// Number of the canonical head.
    #[method(name = "blockNumber")]
    fn block_number(&self) -> RpcResult<U256>;

    /// Chain id.
    #[method(name = "chainId")]
    fn chain_id(&self) -> RpcResult<Option<U64>>;

    /// Block by hash.
    #[method(name = "getBlockByHash")]
    async fn block_by_hash(&self, hash: B256, full: Option<bool>) -> RpcResult<Option<RpcBlock>>;

    /// Block by number or tag.
    #[method(name = "getBlockByNumber")]
    async fn block_by_number(
        &self,
        number: BlockNumberOrTag,
        full: Option<bool>,
    ) -> RpcResult<Option<RpcBlock>>;

    /// Number of transactions of a block.
    #[method(name = "getBlockTransactionCountByHash")]
    async fn block_transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U256>>;

    /// Number of transactions of a block.
    #[method(name = "getBlockTransactionCountByNumber")]
    async fn block_transaction_count_by_number(
        &self,
        number: BlockNumberOrTag,
    ) -> RpcResult<Option<U256>>;

    /// Zero for a known block: there are no uncles.
    #[method(name = "getUncleCountByBlockHash")]
    async fn block_uncles_count_by_hash(&self, hash: B256) -> RpcResult<Option<U256>>;

    /// Zero for a known block: there are no uncles.
    #[method(name = "getUncleCountByBlockNumber")]
    async fn block_uncles_count_by_number(
        &self,
        number: BlockNumberOrTag,
    ) -> RpcResult<Option<U256>>;

    /// Always `null`.
    #[method(name = "getUncleByBlockHashAndIndex")]
    async fn uncle_by_block_hash_and_index(
        &self,
        hash: B256,
        index: Index,
    ) -> RpcResult<Option<RpcBlock>>;

    /// Always `null`.
    #[method(name = "getUncleByBlockNumberAndIndex")]
    async fn uncle_by_block_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: Index,
    ) -> RpcResult<Option<RpcBlock>>;

    /// All receipts of a block.
    #[method(name = "getBlockReceipts")]
    async fn block_receipts(&self, block_id: BlockId) -> RpcResult<Option<Vec<RpcReceipt>>>;

    /// Header by number or tag.
    #[method(name = "getHeaderByNumber")]
    async fn header_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<RpcHeader>>;

    /// Header by hash.
    #[method(name = "getHeaderByHash")]
    async fn header_by_hash(&self, hash: B256) -> RpcResult<Option<RpcHeader>>;

    /// EIP-2718 form of an included or pooled transaction.
    #[method(name = "getRawTransactionByHash")]
    async fn raw_transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Bytes>>;

    /// Included or pooled transaction.
    #[method(name = "getTransactionByHash")]
    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<RpcTransaction>>;

    /// EIP-2718 form of a transaction by place.
    #[method(name = "getRawTransactionByBlockHashAndIndex")]
    async fn raw_transaction_by_block_hash_and_index(
        &self,
        hash: B256,
        index: Index,
    ) -> RpcResult<Option<Bytes>>;

    /// Transaction by place.
    #[method(name = "getTransactionByBlockHashAndIndex")]
    async fn transaction_by_block_hash_and_index(
        &self,
        hash: B256,
        index: Index,
    ) -> RpcResult<Option<RpcTransaction>>;

    /// EIP-2718 form of a transaction by place.
    #[method(name = "getRawTransactionByBlockNumberAndIndex")]
    async fn raw_transaction_by_block_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: Index,
    ) -> RpcResult<Option<Bytes>>;

    /// Transaction by place.
    #[method(name = "getTransactionByBlockNumberAndIndex")]
    async fn transaction_by_block_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: Index,
    ) -> RpcResult<Option<RpcTransaction>>;

    /// Included L2 transaction by sender and nonce.
    #[method(name = "getTransactionBySenderAndNonce")]
    async fn transaction_by_sender_and_nonce(
        &self,
        address: Address,
        nonce: U64,
    ) -> RpcResult<Option<RpcTransaction>>;

    /// Receipt of an included transaction.
    #[method(name = "getTransactionReceipt")]
    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<RpcReceipt>>;

    /// Balance in wei.
    #[method(name = "getBalance")]
    async fn balance(&self, address: Address, block_id: Option<BlockId>) -> RpcResult<U256>;

    /// Value of a storage slot.
    #[method(name = "getStorageAt")]
    async fn storage_at(
        &self,
        address: Address,
        index: JsonStorageKey,
        block_id: Option<BlockId>,
    ) -> RpcResult<B256>;

    /// Nonce; with `pending` the pool counts too.
    #[method(name = "getTransactionCount")]
    async fn transaction_count(
        &self,
        address: Address,
        block_id: Option<BlockId>,
    ) -> RpcResult<U256>;

    /// Code as `EXTCODECOPY` shows it.
    #[method(name = "getCode")]
    async fn get_code(&self, address: Address, block_id: Option<BlockId>) -> RpcResult<Bytes>;

    /// Balance, nonce and code at once.
    #[method(name = "getAccountInfo")]
    async fn account_info(&self, address: Address, block_id: BlockId) -> RpcResult<AccountInfo>;

    /// Executes a call without a transaction.
    #[method(name = "call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes>;

    /// Smallest gas limit, within a tolerance, with which a transaction succeeds.
    #[method(name = "estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<U256>;

    /// Runs bundles of calls, each call on the state that the calls before it left.
    #[method(name = "callMany")]
    async fn call_many(
        &self,
        bundles: Vec<Bundle>,
        state_context: Option<StateContext>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<Vec<Vec<EthCallResponse>>>;

    /// Runs calls in imagined blocks on top of a block.
    #[method(name = "simulateV1")]
    async fn simulate_v1(
        &self,
        payload: SimulatePayload,
        block_id: Option<BlockId>,
    ) -> RpcResult<Vec<SimulatedBlock<RpcBlock>>>;

    /// What a transaction touches, in the form in which the transaction can say so itself.
    #[method(name = "createAccessList")]
    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<AccessListResult>;

    /// Base fee of the head: tips are not needed for inclusion.
    #[method(name = "gasPrice")]
    async fn gas_price(&self) -> RpcResult<U256>;

    /// Always zero.
    #[method(name = "maxPriorityFeePerGas")]
    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256>;

    /// Blob base fee that the head's context presents to `BLOBBASEFEE`.
    #[method(name = "blobBaseFee")]
    async fn blob_base_fee(&self) -> RpcResult<U256>;

    /// Base fees, gas ratios and tips of past blocks.
    #[method(name = "feeHistory")]
    async fn fee_history(
        &self,
        block_count: U64,
        newest_block: BlockNumberOrTag,
        reward_percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory>;

    /// Admits a signed transaction to the pool and returns its hash.
    #[method(name = "sendRawTransaction")]
    async fn send_raw_transaction(&self, bytes: Bytes) -> RpcResult<B256>;

    /// Like `eth_sendRawTransaction`, but waits for the receipt (EIP-7966). The time is a number (viem) or a quantity (geth).
    #[method(name = "sendRawTransactionSync")]
    async fn send_raw_transaction_sync(
        &self,
        bytes: Bytes,
        timeout_ms: Option<U64>,
    ) -> RpcResult<RpcReceipt>;

    /// Completes a transaction with nonce, fees and gas; the result has a signature of zeros.
    #[method(name = "fillTransaction")]
    async fn fill_transaction(
        &self,
        request: TransactionRequest,
    ) -> RpcResult<FillTransaction<ZkTxEnvelope>>;

    /// Not supported: the node does not mine.
    #[method(name = "getWork")]
    fn get_work(&self) -> RpcResult<Value>;

    /// Not supported: the node does not mine.
    #[method(name = "submitWork")]
    fn submit_work(&self, nonce: B64, pow_hash: B256, mix_digest: B256) -> RpcResult<bool>;

    /// Not supported: the node does not mine.
    #[method(name = "submitHashrate")]
    fn submit_hashrate(&self, hashrate: U256, id: B256) -> RpcResult<bool>;

    /// Not supported: the node holds no users' keys.
    #[method(name = "sendTransaction")]
    async fn send_transaction(&self, request: TransactionRequest) -> RpcResult<B256>;

    /// Not supported: the node holds no users' keys.
    #[method(name = "sign")]
    async fn sign(&self, address: Address, message: Bytes) -> RpcResult<Bytes>;

    /// Not supported: the node holds no users' keys.
    #[method(name = "signTransaction")]
    async fn sign_transaction(&self, request: TransactionRequest) -> RpcResult<Bytes>;

    /// Not supported: the node holds no users' keys.
    #[method(name = "signTypedData")]
    async fn sign_typed_data(&self, address: Address, data: Value) -> RpcResult<Bytes>;

    /// Not supported: an account has no storage root of its own.
    #[method(name = "getAccount")]
    async fn get_account(&self, address: Address, block_id: Option<BlockId>) -> RpcResult<Value>;

    /// Not supported: the state is not a Merkle-Patricia trie.
    #[method(name = "getProof")]
    async fn get_proof(
        &self,
        address: Address,
        keys: Vec<JsonStorageKey>,
        block_id: Option<BlockId>,
    ) -> RpcResult<Value>;
}
