//! The methods.

use crate::{
    AddressIndex, Direction, OtterscanError, OtterscanServer,
    inspect::{CallTree, Output},
    search::check_page_size,
    types::{Logs, OtsHeader, SearchPage, ots_receipt},
};
use alloy_eips::{BlockId, eip1898::LenientBlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, TxHash, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Index};
use alloy_rpc_types_trace::otterscan::{
    BlockDetails, ContractCreator, InternalOperation, OtsBlock, OtsBlockTransactions, OtsSlimBlock,
    TraceEntry,
};
use jsonrpsee::core::{RpcResult, async_trait};
use revm_inspectors::otterscan::InternalOperationsInspector;
use std::fmt;
use zkos_rpc::{
    EthApi, RpcNodeCore,
    eth::BlockAndReceipts,
    types::{RpcHeader, RpcTransaction, block_transaction, rpc_header, rpc_receipt},
};
use zkos_storage_api::{BlockNumReader, TransactionsProvider};

/// Version of the namespace.
pub const API_LEVEL: u64 = 8;

/// `ots_` over a node.
pub struct OtterscanApi<N: RpcNodeCore> {
    eth: EthApi<N>,
    index: AddressIndex,
}

impl<N: RpcNodeCore> Clone for OtterscanApi<N> {
    fn clone(&self) -> Self {
        Self { eth: self.eth.clone(), index: self.index.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for OtterscanApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtterscanApi").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> OtterscanApi<N> {
    /// `ots_` that reads what `eth_` reads, and this index.
    pub const fn new(eth: EthApi<N>, index: AddressIndex) -> Self {
        Self { eth, index }
    }

    pub(crate) const fn eth(&self) -> &EthApi<N> {
        &self.eth
    }

    pub(crate) const fn index(&self) -> &AddressIndex {
        &self.index
    }

    /// A block and what Otterscan wants to know about it.
    async fn details(
        &self,
        id: BlockId,
    ) -> Result<Option<BlockDetails<OtsHeader>>, OtterscanError> {
        self.eth.spawn_read(move |eth| Ok(eth.block_and_receipts(id)?.map(details))).await
    }

    async fn page_of_block(
        &self,
        id: BlockId,
        page: usize,
        size: usize,
    ) -> Result<Option<OtsBlockTransactions<RpcTransaction, RpcHeader>>, OtterscanError> {
        let size = check_page_size(size)?;
        self.eth
            .spawn_read(move |eth| {
                Ok(eth.block_and_receipts(id)?.map(|found| page_of_block(&found, page, size)))
            })
            .await
    }

    async fn error_of(&self, hash: TxHash) -> Result<Option<Bytes>, OtterscanError> {
        let status = self.eth.transaction_receipt(hash).await?.map(|receipt| receipt.inner.status);
        match status {
            None => Ok(None),
            Some(true) => Ok(Some(Bytes::new())),
            // Return data is not stored.
            Some(false) => {
                let output = self.eth.inspect_transaction(hash, Output::default()).await?;
                Ok(output.map(|output| output.data))
            }
        }
    }

    async fn hash_by_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> Result<Option<TxHash>, OtterscanError> {
        self.eth
            .spawn_read(move |eth| {
                Ok(eth.provider().transaction_hash_by_sender_and_nonce(sender, nonce)?)
            })
            .await
    }

    async fn creator(&self, contract: Address) -> Result<Option<ContractCreator>, OtterscanError> {
        let head = self.eth.provider().best_block_number()?;
        let index = self.index.at(head).await?.clone();
        if self.eth.code(contract, None).await?.is_empty() {
            return Ok(None);
        }
        self.eth
            .spawn_read(move |_| {
                let creation = index.creator(contract)?;
                Ok(creation.map(|creation| ContractCreator {
                    hash: creation.tx_hash,
                    creator: creation.creator,
                }))
            })
            .await
    }
}

fn header(found: &BlockAndReceipts) -> RpcHeader {
    rpc_header(found.block.clone_sealed_header(), Some(found.block.rlp_length()))
}

fn details(found: BlockAndReceipts) -> BlockDetails<OtsHeader> {
    let base_fee = found.block.header().base_fee_per_gas.unwrap_or_default();
    let transactions = &found.block.body().transactions;
    let mut total_fees = U256::ZERO;
    let mut gas_before = 0;
    for (tx, receipt) in transactions.iter().zip(found.receipts.iter()) {
        let gas = receipt.cumulative_gas_used.saturating_sub(gas_before);
        gas_before = receipt.cumulative_gas_used;
        total_fees += U256::from(gas) * U256::from(tx.effective_gas_price(base_fee));
    }
    BlockDetails {
        block: OtsSlimBlock {
            header: OtsHeader(header(&found)),
            uncles: Vec::new(),
            withdrawals: None,
            transaction_count: transactions.len(),
        },
        // Nothing is issued on L2: every token comes from L1.
        issuance: Default::default(),
        total_fees,
    }
}

/// Page 0 holds the last transactions.
fn page_of_block(
    found: &BlockAndReceipts,
    page: usize,
    size: usize,
) -> OtsBlockTransactions<RpcTransaction, RpcHeader> {
    let count = found.block.body().transactions.len();
    let end = count.saturating_sub(page.saturating_mul(size));
    let start = end.saturating_sub(size);
    let timestamp = found.block.header().timestamp;
    let (transactions, receipts) = (start..end)
        .filter_map(|index| {
            let tx = block_transaction(&found.block, index)?;
            let receipt = rpc_receipt(&found.block, &found.receipts, index)?;
            Some((tx, ots_receipt(receipt, timestamp, Logs::Drop)))
        })
        .unzip();
    let block = Block {
        header: header(found),
        uncles: Vec::new(),
        transactions: BlockTransactions::Full(transactions),
        withdrawals: None,
    };
    // Inputs are cut when it is written.
    OtsBlockTransactions { fullblock: OtsBlock { block, transaction_count: count }, receipts }
}

#[async_trait]
impl<N: RpcNodeCore> OtterscanServer for OtterscanApi<N> {
    fn api_level(&self) -> RpcResult<u64> {
        Ok(API_LEVEL)
    }

    async fn header_by_number(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<RpcHeader>> {
        Ok(self.eth.rpc_header(number.into()).await?)
    }

    async fn has_code(
        &self,
        address: Address,
        block: Option<LenientBlockNumberOrTag>,
    ) -> RpcResult<bool> {
        let code = self.eth.code(address, block.map(Into::into)).await?;
        Ok(!code.is_empty())
    }

    async fn internal_operations(&self, hash: TxHash) -> RpcResult<Vec<InternalOperation>> {
        let inspector = InternalOperationsInspector::default();
        let seen = self.eth.inspect_transaction(hash, inspector).await?;
        Ok(seen.map(InternalOperationsInspector::into_operations).unwrap_or_default())
    }

    async fn transaction_error(&self, hash: TxHash) -> RpcResult<Option<Bytes>> {
        Ok(self.error_of(hash).await?)
    }

    async fn trace_transaction(&self, hash: TxHash) -> RpcResult<Option<Vec<TraceEntry>>> {
        let tree = self.eth.inspect_transaction(hash, CallTree::default()).await?;
        Ok(tree.map(CallTree::into_entries))
    }

    async fn block_details(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<BlockDetails<OtsHeader>>> {
        Ok(self.details(number.into()).await?)
    }

    async fn block_details_by_hash(
        &self,
        hash: B256,
    ) -> RpcResult<Option<BlockDetails<OtsHeader>>> {
        Ok(self.details(hash.into()).await?)
    }

    async fn block_transactions(
        &self,
        number: LenientBlockNumberOrTag,
        page: Index,
        page_size: Index,
    ) -> RpcResult<Option<OtsBlockTransactions<RpcTransaction, RpcHeader>>> {
        Ok(self.page_of_block(number.into(), page.into(), page_size.into()).await?)
    }

    async fn search_transactions_before(
        &self,
        address: Address,
        block: Index,
        page_size: Index,
    ) -> RpcResult<SearchPage> {
        Ok(self.search(address, block.0 as u64, Direction::Before, page_size.into()).await?)
    }

    async fn search_transactions_after(
        &self,
        address: Address,
        block: Index,
        page_size: Index,
    ) -> RpcResult<SearchPage> {
        Ok(self.search(address, block.0 as u64, Direction::After, page_size.into()).await?)
    }

    async fn transaction_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: Index,
    ) -> RpcResult<Option<TxHash>> {
        Ok(self.hash_by_nonce(sender, nonce.0 as u64).await?)
    }

    async fn contract_creator(&self, address: Address) -> RpcResult<Option<ContractCreator>> {
        Ok(self.creator(address).await?)
    }
}
