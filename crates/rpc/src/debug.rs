use crate::{EthApi, EthApiError, EthResult, RpcNodeCore, api::DebugApiServer};
use alloy_consensus::{Header, TxReceipt};
use alloy_eips::{BlockId, Encodable2718};
use alloy_primitives::{B256, Bloom, Bytes};
use jsonrpsee::core::{RpcResult, async_trait};
use std::{fmt, sync::Arc};
use zkos_primitives::ZkBlock;
use zkos_storage_api::RecoveredZkBlock;

/// Raw getters of `debug_` over a node.
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
}
