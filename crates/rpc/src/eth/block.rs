//! Blocks, headers, receipts.

use super::{EthApi, cache::BlockAndReceipts};
use crate::{
    EthResult, RpcNodeCore,
    types::{RpcBlock, RpcHeader, RpcReceipt, rpc_block, rpc_block_receipts, rpc_header},
};
use alloy_eips::BlockId;
use alloy_primitives::B256;
use std::sync::Arc;
use zkos_storage_api::{BlockIdReader, HeaderProvider, RecoveredZkBlock};

impl<N: RpcNodeCore> EthApi<N> {
    /// Number and hash of the canonical block that an id names; `None` when there is none.
    pub fn resolve(&self, id: BlockId) -> EthResult<Option<(u64, B256)>> {
        let Some(number) = self.provider().block_number_for_id(id)? else { return Ok(None) };
        if let BlockId::Hash(hash) = id {
            return Ok(Some((number, hash.block_hash)));
        }
        Ok(self.cache().canonical_hash(number)?.map(|hash| (number, hash)))
    }

    /// The block that an id names.
    pub fn block(&self, id: BlockId) -> EthResult<Option<Arc<RecoveredZkBlock>>> {
        match self.resolve(id)? {
            Some((_, hash)) => Ok(self.cache().block(hash)?),
            None => Ok(None),
        }
    }

    /// The block that an id names, with receipts.
    pub fn block_and_receipts(&self, id: BlockId) -> EthResult<Option<BlockAndReceipts>> {
        match self.resolve(id)? {
            Some((_, hash)) => Ok(self.cache().block_and_receipts(hash)?),
            None => Ok(None),
        }
    }

    /// Block object.
    pub async fn rpc_block(&self, id: BlockId, full: bool) -> EthResult<Option<RpcBlock>> {
        let read = move |this: &Self| Ok(this.block(id)?.map(|block| rpc_block(&block, full)));
        // Whole transactions can be many.
        if full { self.spawn_read(read).await } else { self.read(read).await }
    }

    /// Header object.
    pub async fn rpc_header(&self, id: BlockId) -> EthResult<Option<RpcHeader>> {
        self.read(move |this| {
            let Some((_, hash)) = this.resolve(id)? else { return Ok(None) };
            let header = this.provider().sealed_header(hash.into())?;
            Ok(header.map(|header| rpc_header(header, None)))
        })
        .await
    }

    /// Number of transactions of a block.
    pub async fn block_transaction_count(&self, id: BlockId) -> EthResult<Option<usize>> {
        self.read(move |this| Ok(this.block(id)?.map(|block| block.body().transactions.len())))
            .await
    }

    /// Whether a block exists.
    pub async fn block_exists(&self, id: BlockId) -> EthResult<bool> {
        self.read(move |this| Ok(this.resolve(id)?.is_some())).await
    }

    /// Receipt objects of a block.
    pub async fn rpc_block_receipts(&self, id: BlockId) -> EthResult<Option<Vec<RpcReceipt>>> {
        self.spawn_read(move |this| {
            let found = this.block_and_receipts(id)?;
            Ok(found.map(|found| rpc_block_receipts(&found.block, &found.receipts)))
        })
        .await
    }
}
