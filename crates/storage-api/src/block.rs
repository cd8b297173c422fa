use crate::{ProviderError, ProviderResult, RecoveredZkBlock};
use alloy_eips::{BlockHashOrNumber, BlockId, BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{Address, B256, BlockNumber, TxHash};
use reth_primitives_traits::SealedHeader;
use std::sync::Arc;
use zkos_primitives::{RecoveredTx, ReplayRecord, ZkReceipt};

/// Number and hash of the canonical head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainInfo {
    /// Hash of the head.
    pub best_hash: B256,
    /// Number of the head.
    pub best_number: BlockNumber,
}

impl From<ChainInfo> for BlockNumHash {
    fn from(info: ChainInfo) -> Self {
        Self::new(info.best_number, info.best_hash)
    }
}

/// Number to hash.
#[auto_impl::auto_impl(&, Arc)]
pub trait BlockHashReader {
    /// Hash of a canonical block.
    fn block_hash(&self, number: BlockNumber) -> ProviderResult<Option<B256>>;
}

/// Hash to number, and the head.
#[auto_impl::auto_impl(&, Arc)]
pub trait BlockNumReader: BlockHashReader {
    /// The canonical head.
    fn chain_info(&self) -> ProviderResult<ChainInfo>;
    /// Number of a canonical block.
    fn block_number(&self, hash: B256) -> ProviderResult<Option<BlockNumber>>;

    /// Number of the canonical head.
    fn best_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok(self.chain_info()?.best_number)
    }

    /// Number of a block given by number or hash; a number above the head gives `None`.
    fn convert_hash_or_number(&self, id: BlockHashOrNumber) -> ProviderResult<Option<BlockNumber>> {
        match id {
            BlockHashOrNumber::Hash(hash) => self.block_number(hash),
            BlockHashOrNumber::Number(number) => {
                Ok((number <= self.best_block_number()?).then_some(number))
            }
        }
    }
}

/// Resolves tags.
#[auto_impl::auto_impl(&, Arc)]
pub trait BlockIdReader: BlockNumReader {
    /// Last block of the last batch that is committed on L1 (0 = genesis).
    fn safe_block_number(&self) -> ProviderResult<BlockNumber>;
    /// Last block of the last batch that is executed on L1 (0 = genesis).
    fn finalized_block_number(&self) -> ProviderResult<BlockNumber>;

    /// Number behind a number or tag; `pending` is the head; `None` above the head.
    fn convert_block_number(&self, id: BlockNumberOrTag) -> ProviderResult<Option<BlockNumber>> {
        let head = self.best_block_number()?;
        let number = match id {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => head,
            BlockNumberOrTag::Safe => self.safe_block_number()?,
            BlockNumberOrTag::Finalized => self.finalized_block_number()?,
            BlockNumberOrTag::Earliest => 0,
            BlockNumberOrTag::Number(number) => number,
        };
        Ok((number <= head).then_some(number))
    }

    /// Number behind any block id.
    fn block_number_for_id(&self, id: BlockId) -> ProviderResult<Option<BlockNumber>> {
        match id {
            BlockId::Hash(hash) => self.block_number(hash.block_hash),
            BlockId::Number(number) => self.convert_block_number(number),
        }
    }
}

/// Headers with their hashes.
#[auto_impl::auto_impl(&, Arc)]
pub trait HeaderProvider {
    /// Header by number or hash.
    fn sealed_header(&self, id: BlockHashOrNumber) -> ProviderResult<Option<SealedHeader>>;
}

/// Whole blocks.
#[auto_impl::auto_impl(&, Arc)]
pub trait BlockReader: BlockNumReader {
    /// Block with senders, by number or hash.
    fn recovered_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<RecoveredZkBlock>>>;
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionMeta {
    /// Hash of the transaction.
    pub tx_hash: TxHash,
    /// Index in the block.
    pub index: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Number of the block.
    pub block_number: BlockNumber,
    /// Base fee of the block, wei per gas.
    pub base_fee: u64,
    /// Timestamp of the block, seconds.
    pub timestamp: u64,
}

/// Transactions of canonical blocks.
#[auto_impl::auto_impl(&, Arc)]
pub trait TransactionsProvider {
    /// Transaction and its place.
    fn transaction_by_hash_with_meta(
        &self,
        hash: TxHash,
    ) -> ProviderResult<Option<(RecoveredTx, TransactionMeta)>>;
    /// Hash of an included L2 transaction by sender and nonce (L1 and upgrade transactions are not indexed).
    fn transaction_hash_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> ProviderResult<Option<TxHash>>;
}

/// Receipts of canonical blocks.
#[auto_impl::auto_impl(&, Arc)]
pub trait ReceiptProvider {
    /// All receipts of a block, in transaction order.
    fn receipts_by_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<Vec<ZkReceipt>>>>;
}

/// Records of the write-ahead log.
#[auto_impl::auto_impl(&, Arc)]
pub trait ReplayRecordReader {
    /// Record of a durable block.
    fn replay_record(&self, number: BlockNumber) -> ProviderResult<Option<Arc<ReplayRecord>>>;
    /// Last durable block.
    fn durable_block_number(&self) -> BlockNumber;

    /// Record of a block that must exist.
    fn replay_record_or_err(&self, number: BlockNumber) -> ProviderResult<Arc<ReplayRecord>> {
        self.replay_record(number)?.ok_or_else(|| ProviderError::BlockNotFound(number.into()))
    }
}
