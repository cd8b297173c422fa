//! The trait of the namespace, by delegation.

use super::EthApi;
use crate::{
    EthApiError, EthResult, RpcNodeCore,
    api::EthApiServer,
    types::{RpcBlock, RpcHeader, RpcReceipt, RpcTransaction},
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessListResult};
use alloy_primitives::{Address, B64, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{
    AccountInfo, BlockOverrides, Bundle, EthCallResponse, FeeHistory, FillTransaction, Index,
    StateContext, SyncInfo, SyncStatus, TransactionRequest,
    simulate::{SimulatePayload, SimulatedBlock},
    state::StateOverride,
};
use alloy_serde::JsonStorageKey;
use jsonrpsee::core::{RpcResult, async_trait};
use serde_json::Value;
use std::time::Duration;
use zkos_primitives::ZkTxEnvelope;

/// Blocks that a node may be behind before it calls itself syncing.
const SYNC_TOLERANCE: u64 = 2;

const NO_MINING: EthApiError = EthApiError::Unsupported("the node does not mine");
const OTHER_STORAGE: EthApiError = EthApiError::Unsupported(
    "unsupported as ZKsync OS has a different storage layout than Ethereum",
);

impl<N: RpcNodeCore> EthApi<N> {
    /// Head, and the newest block known to exist, when the node is behind it.
    pub(super) fn sync_target(&self) -> EthResult<Option<(u64, u64)>> {
        let head = self.head_number()?;
        let highest = self.shared().highest_block();
        Ok((highest > head.saturating_add(SYNC_TOLERANCE)).then_some((head, highest)))
    }
}

#[async_trait]
impl<N: RpcNodeCore> EthApiServer for EthApi<N> {
    fn protocol_version(&self) -> RpcResult<String> {
        Ok(crate::client_version())
    }

    fn syncing(&self) -> RpcResult<SyncStatus> {
        Ok(match self.sync_target()? {
            Some((head, highest)) => SyncStatus::Info(Box::new(SyncInfo {
                current_block: U256::from(head),
                highest_block: U256::from(highest),
                ..Default::default()
            })),
            None => SyncStatus::None,
        })
    }

    async fn coinbase(&self) -> RpcResult<Address> {
        Ok(Self::coinbase(self).await?)
    }

    fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(Vec::new())
    }

    fn mining(&self) -> RpcResult<bool> {
        Ok(false)
    }

    fn hashrate(&self) -> RpcResult<U256> {
        Ok(U256::ZERO)
    }

    fn block_number(&self) -> RpcResult<U256> {
        Ok(U256::from(self.head_number()?))
    }

    fn chain_id(&self) -> RpcResult<Option<U64>> {
        Ok(Some(U64::from(self.node().chain_spec().chain_id())))
    }

    async fn block_by_hash(&self, hash: B256, full: Option<bool>) -> RpcResult<Option<RpcBlock>> {
        Ok(self.rpc_block(hash.into(), full.unwrap_or_default()).await?)
    }

    async fn block_by_number(
        &self,
        number: BlockNumberOrTag,
        full: Option<bool>,
    ) -> RpcResult<Option<RpcBlock>> {
        Ok(self.rpc_block(number.into(), full.unwrap_or_default()).await?)
    }

    async fn block_transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U256>> {
        Ok(self.block_transaction_count(hash.into()).await?.map(U256::from))
    }

    async fn block_transaction_count_by_number(
        &self,
        number: BlockNumberOrTag,
    ) -> RpcResult<Option<U256>> {
        Ok(self.block_transaction_count(number.into()).await?.map(U256::from))
    }

    async fn block_uncles_count_by_hash(&self, hash: B256) -> RpcResult<Option<U256>> {
        Ok(self.block_exists(hash.into()).await?.then_some(U256::ZERO))
    }

    async fn block_uncles_count_by_number(
        &self,
        number: BlockNumberOrTag,
    ) -> RpcResult<Option<U256>> {
        Ok(self.block_exists(number.into()).await?.then_some(U256::ZERO))
    }

    async fn uncle_by_block_hash_and_index(
        &self,
        _hash: B256,
        _index: Index,
    ) -> RpcResult<Option<RpcBlock>> {
        Ok(None)
    }

    async fn uncle_by_block_number_and_index(
        &self,
        _number: BlockNumberOrTag,
        _index: Index,
    ) -> RpcResult<Option<RpcBlock>> {
        Ok(None)
    }

    async fn block_receipts(&self, block_id: BlockId) -> RpcResult<Option<Vec<RpcReceipt>>> {
        Ok(self.rpc_block_receipts(block_id).await?)
    }

    async fn header_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<RpcHeader>> {
        Ok(self.rpc_header(number.into()).await?)
    }

    async fn header_by_hash(&self, hash: B256) -> RpcResult<Option<RpcHeader>> {
        Ok(self.rpc_header(hash.into()).await?)
    }

    async fn raw_transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Bytes>> {
        Ok(Self::raw_transaction_by_hash(self, hash).await?)
    }

    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<RpcTransaction>> {
        Ok(Self::transaction_by_hash(self, hash).await?)
    }

    async fn raw_transaction_by_block_hash_and_index(
        &self,
        hash: B256,
        index: Index,
    ) -> RpcResult<Option<Bytes>> {
        Ok(self.raw_transaction_by_block_and_index(hash.into(), index.into()).await?)
    }

    async fn transaction_by_block_hash_and_index(
        &self,
        hash: B256,
        index: Index,
    ) -> RpcResult<Option<RpcTransaction>> {
        Ok(self.transaction_by_block_and_index(hash.into(), index.into()).await?)
    }

    async fn raw_transaction_by_block_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: Index,
    ) -> RpcResult<Option<Bytes>> {
        Ok(self.raw_transaction_by_block_and_index(number.into(), index.into()).await?)
    }

    async fn transaction_by_block_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: Index,
    ) -> RpcResult<Option<RpcTransaction>> {
        Ok(self.transaction_by_block_and_index(number.into(), index.into()).await?)
    }

    async fn transaction_by_sender_and_nonce(
        &self,
        address: Address,
        nonce: U64,
    ) -> RpcResult<Option<RpcTransaction>> {
        Ok(Self::transaction_by_sender_and_nonce(self, address, nonce.to()).await?)
    }

    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<RpcReceipt>> {
        Ok(Self::transaction_receipt(self, hash).await?)
    }

    async fn balance(&self, address: Address, block_id: Option<BlockId>) -> RpcResult<U256> {
        Ok(Self::balance(self, address, block_id).await?)
    }

    async fn storage_at(
        &self,
        address: Address,
        index: JsonStorageKey,
        block_id: Option<BlockId>,
    ) -> RpcResult<B256> {
        Ok(self.storage(address, index.as_b256(), block_id).await?)
    }

    async fn transaction_count(
        &self,
        address: Address,
        block_id: Option<BlockId>,
    ) -> RpcResult<U256> {
        Ok(U256::from(Self::transaction_count(self, address, block_id).await?))
    }

    async fn get_code(&self, address: Address, block_id: Option<BlockId>) -> RpcResult<Bytes> {
        Ok(self.code(address, block_id).await?)
    }

    async fn account_info(&self, address: Address, block_id: BlockId) -> RpcResult<AccountInfo> {
        Ok(Self::account_info(self, address, block_id).await?)
    }

    async fn call(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes> {
        Ok(Self::call(self, request, block_id, state_overrides, block_overrides).await?)
    }

    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<U256> {
        let gas = Self::estimate_gas(self, request, block_id, state_overrides, block_overrides);
        Ok(U256::from(gas.await?))
    }

    async fn call_many(
        &self,
        bundles: Vec<Bundle>,
        state_context: Option<StateContext>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<Vec<Vec<EthCallResponse>>> {
        Ok(Self::call_many(self, bundles, state_context, state_overrides).await?)
    }

    async fn simulate_v1(
        &self,
        payload: SimulatePayload,
        block_id: Option<BlockId>,
    ) -> RpcResult<Vec<SimulatedBlock<RpcBlock>>> {
        Ok(Self::simulate_v1(self, payload, block_id).await?)
    }

    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block_id: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<AccessListResult> {
        Ok(Self::create_access_list(self, request, block_id, state_overrides).await?)
    }

    async fn gas_price(&self) -> RpcResult<U256> {
        Ok(U256::from(Self::gas_price(self).await?))
    }

    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256> {
        Ok(U256::ZERO)
    }

    async fn blob_base_fee(&self) -> RpcResult<U256> {
        Ok(Self::blob_base_fee(self).await?)
    }

    async fn fee_history(
        &self,
        block_count: U64,
        newest_block: BlockNumberOrTag,
        reward_percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let count = block_count.to();
        Ok(Self::fee_history(self, count, newest_block, reward_percentiles).await?)
    }

    async fn send_raw_transaction(&self, bytes: Bytes) -> RpcResult<B256> {
        Ok(Self::send_raw_transaction(self, &bytes).await?)
    }

    async fn send_raw_transaction_sync(
        &self,
        bytes: Bytes,
        timeout_ms: Option<U64>,
    ) -> RpcResult<RpcReceipt> {
        let timeout = timeout_ms.map(|ms| Duration::from_millis(ms.to()));
        Ok(Self::send_raw_transaction_sync(self, &bytes, timeout).await?)
    }

    async fn fill_transaction(
        &self,
        request: TransactionRequest,
    ) -> RpcResult<FillTransaction<ZkTxEnvelope>> {
        Ok(Self::fill_transaction(self, request).await?)
    }

    fn get_work(&self) -> RpcResult<Value> {
        Err(NO_MINING.into())
    }

    fn submit_work(&self, _nonce: B64, _pow_hash: B256, _mix_digest: B256) -> RpcResult<bool> {
        Err(NO_MINING.into())
    }

    fn submit_hashrate(&self, _hashrate: U256, _id: B256) -> RpcResult<bool> {
        Err(NO_MINING.into())
    }

    async fn send_transaction(&self, _request: TransactionRequest) -> RpcResult<B256> {
        Err(EthApiError::NoSigner.into())
    }

    async fn sign(&self, _address: Address, _message: Bytes) -> RpcResult<Bytes> {
        Err(EthApiError::NoSigner.into())
    }

    async fn sign_transaction(&self, _request: TransactionRequest) -> RpcResult<Bytes> {
        Err(EthApiError::NoSigner.into())
    }

    async fn sign_typed_data(&self, _address: Address, _data: Value) -> RpcResult<Bytes> {
        Err(EthApiError::NoSigner.into())
    }

    async fn get_account(&self, _address: Address, _block_id: Option<BlockId>) -> RpcResult<Value> {
        Err(OTHER_STORAGE.into())
    }

    async fn get_proof(
        &self,
        _address: Address,
        _keys: Vec<JsonStorageKey>,
        _block_id: Option<BlockId>,
    ) -> RpcResult<Value> {
        Err(OTHER_STORAGE.into())
    }
}
