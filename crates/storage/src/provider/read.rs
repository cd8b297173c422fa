use super::BlockchainProvider;
use crate::state::BlockState;
use alloy_consensus::BlockHeader;
use alloy_eips::{BlockHashOrNumber, BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, BlockNumber, TxHash};
use reth_primitives_traits::SealedHeader;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{broadcast, watch};
use zkos_primitives::{RecoveredTx, ReplayRecord, ZkReceipt};
use zkos_storage_api::{
    BlockHashReader, BlockIdReader, BlockNumReader, BlockReader, CanonStateNotification,
    CanonStateSubscriptions, ChainInfo, ExecutedBlock, ForkChoiceSubscriptions, HeaderProvider,
    ProviderError, ProviderResult, ReceiptProvider, RecoveredZkBlock, ReplayRecordReader,
    StateProviderBox, StateProviderFactory, TransactionMeta, TransactionsProvider,
};

impl BlockchainProvider {
    /// Canonical head: nothing above it is shown to readers.
    pub(super) fn canonical(&self) -> BlockNumber {
        self.inner.canonical.load(Ordering::SeqCst)
    }

    fn recent<T>(&self, number: BlockNumber, read: impl FnOnce(&ExecutedBlock) -> T) -> Option<T> {
        self.inner.recent.read().get(number).map(read)
    }

    fn state_at(&self, number: BlockNumber) -> StateProviderBox {
        Box::new(BlockState::new(self.inner.state.clone(), number))
    }

    fn block_by_number(
        &self,
        number: BlockNumber,
    ) -> ProviderResult<Option<Arc<RecoveredZkBlock>>> {
        match self.recent(number, |block| block.block.clone()) {
            Some(block) => Ok(Some(block)),
            None => self.inner.repository.block(number),
        }
    }
}

impl BlockHashReader for BlockchainProvider {
    fn block_hash(&self, number: BlockNumber) -> ProviderResult<Option<B256>> {
        if number > self.canonical() {
            return Ok(None);
        }
        match self.recent(number, ExecutedBlock::hash) {
            Some(hash) => Ok(Some(hash)),
            None => self.inner.repository.block_hash(number),
        }
    }
}

impl BlockNumReader for BlockchainProvider {
    fn chain_info(&self) -> ProviderResult<ChainInfo> {
        let best_number = self.canonical();
        let best_hash = self
            .block_hash(best_number)?
            .ok_or_else(|| ProviderError::BlockNotFound(best_number.into()))?;
        Ok(ChainInfo { best_hash, best_number })
    }

    fn best_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok(self.canonical())
    }

    fn block_number(&self, hash: B256) -> ProviderResult<Option<BlockNumber>> {
        let recent = self.inner.recent.read().number(&hash);
        let number = match recent {
            Some(number) => Some(number),
            None => self.inner.repository.block_number(hash)?,
        };
        Ok(number.filter(|number| *number <= self.canonical()))
    }
}

impl BlockIdReader for BlockchainProvider {
    fn safe_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok((*self.inner.safe.borrow()).min(self.canonical()))
    }

    fn finalized_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok((*self.inner.finalized.borrow()).min(self.canonical()))
    }
}

impl HeaderProvider for BlockchainProvider {
    fn sealed_header(&self, id: BlockHashOrNumber) -> ProviderResult<Option<SealedHeader>> {
        let Some(number) = self.convert_hash_or_number(id)? else { return Ok(None) };
        match self.recent(number, |block| block.block.clone_sealed_header()) {
            Some(header) => Ok(Some(header)),
            None => self.inner.repository.header(number),
        }
    }
}

impl BlockReader for BlockchainProvider {
    fn recovered_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<RecoveredZkBlock>>> {
        match self.convert_hash_or_number(id)? {
            Some(number) => self.block_by_number(number),
            None => Ok(None),
        }
    }
}

impl TransactionsProvider for BlockchainProvider {
    fn transaction_by_hash_with_meta(
        &self,
        hash: TxHash,
    ) -> ProviderResult<Option<(RecoveredTx, TransactionMeta)>> {
        let recent = self.inner.recent.read().transaction(&hash);
        let place = match recent {
            Some(place) => Some(place),
            None => self.inner.repository.transaction(hash)?,
        };
        let Some((number, index)) = place.filter(|(number, _)| *number <= self.canonical()) else {
            return Ok(None);
        };
        let missing = |what: &str| {
            self.inner
                .repository
                .database()
                .corrupt(hash, format!("{what} of this transaction is missing"))
        };
        let block = self.block_by_number(number)?.ok_or_else(|| missing("the block"))?;
        let tx = block
            .recovered_transaction(index as usize)
            .filter(|tx| *tx.hash() == hash)
            .ok_or_else(|| missing("the body"))?;
        let meta = TransactionMeta {
            tx_hash: hash,
            index: index.into(),
            block_hash: block.hash(),
            block_number: number,
            base_fee: block.header().base_fee_per_gas().unwrap_or_default(),
            timestamp: block.header().timestamp(),
        };
        Ok(Some((tx.cloned(), meta)))
    }

    fn transaction_hash_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> ProviderResult<Option<TxHash>> {
        let recent = self.inner.recent.read().nonce(sender, nonce);
        if let Some((number, hash)) = recent {
            return Ok((number <= self.canonical()).then_some(hash));
        }
        let Some(hash) = self.inner.repository.nonce(sender, nonce)? else { return Ok(None) };
        // At start-up the repository may be ahead of the canonical head.
        let number = self.inner.repository.transaction(hash)?.map(|(number, _)| number);
        Ok(number.is_some_and(|number| number <= self.canonical()).then_some(hash))
    }
}

impl ReceiptProvider for BlockchainProvider {
    fn receipts_by_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<Vec<ZkReceipt>>>> {
        let Some(number) = self.convert_hash_or_number(id)? else { return Ok(None) };
        match self.recent(number, |block| block.receipts.clone()) {
            Some(receipts) => Ok(Some(receipts)),
            None => self.inner.repository.receipts(number),
        }
    }
}

impl ReplayRecordReader for BlockchainProvider {
    fn replay_record(&self, number: BlockNumber) -> ProviderResult<Option<Arc<ReplayRecord>>> {
        if number > self.durable_block_number() {
            return Ok(None);
        }
        let recent = self.inner.recent.read().record(number);
        match recent {
            Some(record) => Ok(Some(record)),
            None => Ok(self.inner.wal.record(number)?.map(Arc::new)),
        }
    }

    fn durable_block_number(&self) -> BlockNumber {
        self.inner.pipeline.read(|progress| progress.durable)
    }
}

impl StateProviderFactory for BlockchainProvider {
    fn latest(&self) -> ProviderResult<StateProviderBox> {
        Ok(self.state_at(self.canonical()))
    }

    fn pending(&self) -> ProviderResult<StateProviderBox> {
        Ok(self.state_at(self.inner.pipeline.read(|progress| progress.tip)))
    }

    fn history_by_block_number(&self, number: BlockNumber) -> ProviderResult<StateProviderBox> {
        let last = self.inner.pipeline.read(|progress| progress.tip);
        let first = self.inner.state.first();
        if number > last || number < first {
            return Err(ProviderError::StateNotAvailable { number, first, last });
        }
        Ok(self.state_at(number))
    }

    fn state_by_block_id(&self, id: BlockId) -> ProviderResult<StateProviderBox> {
        if id == BlockId::Number(BlockNumberOrTag::Pending) {
            return self.pending();
        }
        match self.block_number_for_id(id)? {
            Some(number) => self.history_by_block_number(number),
            None => Err(ProviderError::block_id_not_found(id)),
        }
    }
}

impl CanonStateSubscriptions for BlockchainProvider {
    fn subscribe_to_canonical_state(&self) -> broadcast::Receiver<CanonStateNotification> {
        self.inner.notifications.subscribe()
    }
}

impl ForkChoiceSubscriptions for BlockchainProvider {
    fn safe_block_watch(&self) -> watch::Receiver<u64> {
        self.inner.safe.subscribe()
    }

    fn finalized_block_watch(&self) -> watch::Receiver<u64> {
        self.inner.finalized.subscribe()
    }

    fn canonical_head_watch(&self) -> watch::Receiver<u64> {
        self.inner.canonical_watch.subscribe()
    }
}
