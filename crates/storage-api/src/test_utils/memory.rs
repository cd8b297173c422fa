use crate::{
    BlockHashReader, BlockIdReader, BlockNumReader, BlockReader, BlockWriter,
    CanonStateNotification, CanonStateSubscriptions, Chain, ChainInfo, ExecutedBlock,
    ForkChoiceSubscriptions, ForkChoiceWriter, HeaderProvider, ProviderError, ProviderResult,
    ReceiptProvider, RecoveredZkBlock, ReplayRecordReader, StateProvider, StateProviderBox,
    StateProviderFactory, StorageHeads, TransactionMeta, TransactionsProvider, genesis_block,
    genesis_record, may_use_disk, not_in_memory,
};
use alloy_consensus::{BlockHeader, Transaction};
use alloy_eips::{BlockHashOrNumber, BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, BlockNumber, Bytes, TxHash, map::HashMap};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use reth_primitives_traits::SealedHeader;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::ThreadId,
};
use tokio::sync::{broadcast, watch};
use zkos_primitives::{
    AccountProperties, RecoveredTx, ReplayRecord, ZkChainSpec, ZkReceipt,
    account_properties_flat_key, flat_storage_key,
};

/// The whole storage in memory, with the state of every block. Cheap to clone; clones share the contents.
///
/// Appended blocks are durable at once, unless [`Self::hold_durability`] was called.
#[derive(Debug, Clone)]
pub struct MemoryProvider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data: RwLock<Data>,
    canonical: watch::Sender<u64>,
    durable: watch::Sender<u64>,
    safe: watch::Sender<u64>,
    finalized: watch::Sender<u64>,
    notifications: broadcast::Sender<CanonStateNotification>,
    on_disk: AtomicBool,
    last_reader: Mutex<Option<ThreadId>>,
}

#[derive(Debug)]
struct Stored {
    block: Arc<RecoveredZkBlock>,
    receipts: Arc<Vec<ZkReceipt>>,
    record: Arc<ReplayRecord>,
    // `None` for block 0 only, which has no output.
    executed: Option<ExecutedBlock>,
}

#[derive(Debug, Default)]
struct Data {
    // Index = block number.
    blocks: Vec<Stored>,
    // First block whose state is served.
    first_state: BlockNumber,
    // Values per flat key with the block that wrote them, ascending.
    state: HashMap<B256, Vec<(BlockNumber, B256)>>,
    preimages: HashMap<B256, Bytes>,
    numbers: HashMap<B256, BlockNumber>,
    transactions: HashMap<TxHash, (BlockNumber, usize)>,
    nonces: HashMap<(Address, u64), (BlockNumber, TxHash)>,
    hold_durability: bool,
}

impl MemoryProvider {
    /// A chain that consists of the genesis block.
    pub fn new(spec: &ZkChainSpec) -> Self {
        let genesis = spec.genesis_state();
        let block = Stored {
            block: Arc::new(genesis_block(spec)),
            receipts: Arc::default(),
            record: Arc::new(genesis_record(spec)),
            executed: None,
        };
        let mut data = Data::default();
        data.numbers.insert(block.block.hash(), 0);
        data.blocks.push(block);
        data.state = genesis.entries.iter().map(|(key, value)| (*key, vec![(0, *value)])).collect();
        data.preimages = genesis
            .preimages
            .iter()
            .map(|(hash, preimage)| (*hash, Bytes::from(preimage.clone())))
            .collect();
        let watched = || watch::channel(0).0;
        let inner = Inner {
            data: RwLock::new(data),
            canonical: watched(),
            durable: watched(),
            safe: watched(),
            finalized: watched(),
            notifications: broadcast::channel(256).0,
            on_disk: AtomicBool::new(false),
            last_reader: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// From now on pretends that everything lies on disk: threads that may not wait for one are refused.
    pub fn put_on_disk(&self) {
        self.inner.on_disk.store(true, Ordering::SeqCst);
    }

    /// Forgets the state of the blocks before `first`.
    pub fn prune_state(&self, first: BlockNumber) {
        self.inner.data.write().first_state = first;
    }

    /// The thread that was last given something.
    pub fn last_reader(&self) -> Option<ThreadId> {
        *self.inner.last_reader.lock()
    }

    /// What readers see.
    fn data(&self) -> ProviderResult<RwLockReadGuard<'_, Data>> {
        if self.inner.on_disk.load(Ordering::SeqCst) && !may_use_disk() {
            return Err(not_in_memory());
        }
        *self.inner.last_reader.lock() = Some(std::thread::current().id());
        Ok(self.inner.data.read())
    }

    /// Puts an account into the state of block 0.
    pub fn set_account(&self, address: Address, account: AccountProperties) {
        let mut data = self.inner.data.write();
        let hash = account.compute_hash();
        data.preimages.insert(hash, account.encode().to_vec().into());
        data.set_initial(account_properties_flat_key(address), hash);
    }

    /// Puts a slot into the state of block 0.
    pub fn set_storage(&self, address: Address, slot: B256, value: B256) {
        self.inner.data.write().set_initial(flat_storage_key(address, slot), value);
    }

    /// Puts a contract with nonce 1 into the state of block 0.
    pub fn set_code(&self, address: Address, code: &[u8]) {
        let mut account = AccountProperties::new_eoa(1, Default::default());
        let stored = account.set_deployed_code(code);
        self.inner.data.write().preimages.insert(stored.bytecode_hash, stored.preimage.into());
        self.set_account(address, account);
    }

    /// From now on appended blocks become durable only by [`Self::set_durable`].
    pub fn hold_durability(&self) {
        self.inner.data.write().hold_durability = true;
    }

    /// Declares all blocks up to `number` durable.
    pub fn set_durable(&self, number: BlockNumber) {
        self.inner.durable.send_replace(number);
    }

    fn canonical(&self) -> BlockNumber {
        *self.inner.canonical.borrow()
    }

    fn state_at(&self, number: BlockNumber) -> StateProviderBox {
        Box::new(MemoryState { provider: self.clone(), number })
    }

    /// Applies `read` to a canonical block.
    fn with_block<T>(
        &self,
        id: BlockHashOrNumber,
        read: impl FnOnce(&Stored) -> T,
    ) -> ProviderResult<Option<T>> {
        let Some(number) = self.convert_hash_or_number(id)? else { return Ok(None) };
        Ok(self.data()?.blocks.get(number as usize).map(read))
    }
}

impl Data {
    fn tip(&self) -> BlockNumber {
        self.blocks.len() as u64 - 1
    }

    fn set_initial(&mut self, key: B256, value: B256) {
        let values = self.state.entry(key).or_default();
        values.retain(|(number, _)| *number != 0);
        values.insert(0, (0, value));
    }

    fn push(&mut self, block: ExecutedBlock) {
        let number = block.number();
        self.numbers.insert(block.hash(), number);
        let senders = block.block.senders();
        for (index, (tx, sender)) in block.block.body().transactions.iter().zip(senders).enumerate()
        {
            self.transactions.insert(*tx.hash(), (number, index));
            if !tx.is_from_l1() {
                self.nonces.insert((*sender, tx.nonce()), (number, *tx.hash()));
            }
        }
        for write in &block.output.storage_writes {
            self.state.entry(write.key).or_default().push((number, write.value));
        }
        for (hash, preimage) in &block.output.published_preimages {
            self.preimages.insert(*hash, preimage.clone().into());
        }
        self.preimages.extend(block.record.force_preimages.iter().cloned());
        self.blocks.push(Stored {
            block: block.block.clone(),
            receipts: block.receipts.clone(),
            record: block.record.clone(),
            executed: Some(block),
        });
    }
}

impl BlockHashReader for MemoryProvider {
    fn block_hash(&self, number: BlockNumber) -> ProviderResult<Option<B256>> {
        self.with_block(number.into(), |stored| stored.block.hash())
    }
}

impl BlockNumReader for MemoryProvider {
    fn chain_info(&self) -> ProviderResult<ChainInfo> {
        let best_number = self.canonical();
        let data = self.inner.data.read();
        let stored = data
            .blocks
            .get(best_number as usize)
            .ok_or_else(|| ProviderError::BlockNotFound(best_number.into()))?;
        Ok(ChainInfo { best_hash: stored.block.hash(), best_number })
    }

    fn block_number(&self, hash: B256) -> ProviderResult<Option<BlockNumber>> {
        let canonical = self.canonical();
        let number = self.data()?.numbers.get(&hash).copied();
        Ok(number.filter(|number| *number <= canonical))
    }
}

impl BlockIdReader for MemoryProvider {
    fn safe_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok((*self.inner.safe.borrow()).min(self.canonical()))
    }

    fn finalized_block_number(&self) -> ProviderResult<BlockNumber> {
        Ok((*self.inner.finalized.borrow()).min(self.canonical()))
    }
}

impl HeaderProvider for MemoryProvider {
    fn sealed_header(&self, id: BlockHashOrNumber) -> ProviderResult<Option<SealedHeader>> {
        self.with_block(id, |stored| stored.block.clone_sealed_header())
    }
}

impl BlockReader for MemoryProvider {
    fn recovered_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<RecoveredZkBlock>>> {
        self.with_block(id, |stored| stored.block.clone())
    }
}

impl TransactionsProvider for MemoryProvider {
    fn transaction_by_hash_with_meta(
        &self,
        hash: TxHash,
    ) -> ProviderResult<Option<(RecoveredTx, TransactionMeta)>> {
        let canonical = self.canonical();
        let data = self.data()?;
        let Some(&(number, index)) = data.transactions.get(&hash) else { return Ok(None) };
        if number > canonical {
            return Ok(None);
        }
        let block = &data.blocks[number as usize].block;
        let meta = TransactionMeta {
            tx_hash: hash,
            index: index as u64,
            block_hash: block.hash(),
            block_number: number,
            base_fee: block.header().base_fee_per_gas().unwrap_or_default(),
            timestamp: block.header().timestamp(),
        };
        Ok(block.recovered_transaction(index).map(|tx| (tx.cloned(), meta)))
    }

    fn transaction_hash_by_sender_and_nonce(
        &self,
        sender: Address,
        nonce: u64,
    ) -> ProviderResult<Option<TxHash>> {
        let canonical = self.canonical();
        let found = self.data()?.nonces.get(&(sender, nonce)).copied();
        Ok(found.filter(|(number, _)| *number <= canonical).map(|(_, hash)| hash))
    }
}

impl ReceiptProvider for MemoryProvider {
    fn receipts_by_block(
        &self,
        id: BlockHashOrNumber,
    ) -> ProviderResult<Option<Arc<Vec<ZkReceipt>>>> {
        self.with_block(id, |stored| stored.receipts.clone())
    }
}

impl ReplayRecordReader for MemoryProvider {
    fn replay_record(&self, number: BlockNumber) -> ProviderResult<Option<Arc<ReplayRecord>>> {
        if number > self.durable_block_number() {
            return Ok(None);
        }
        Ok(self.data()?.blocks.get(number as usize).map(|stored| stored.record.clone()))
    }

    fn durable_block_number(&self) -> BlockNumber {
        *self.inner.durable.borrow()
    }
}

impl StateProviderFactory for MemoryProvider {
    fn latest(&self) -> ProviderResult<StateProviderBox> {
        Ok(self.state_at(self.canonical()))
    }

    fn pending(&self) -> ProviderResult<StateProviderBox> {
        let tip = self.inner.data.read().tip();
        Ok(self.state_at(tip))
    }

    fn history_by_block_number(&self, number: BlockNumber) -> ProviderResult<StateProviderBox> {
        let (first, last) = {
            let data = self.inner.data.read();
            (data.first_state, data.tip())
        };
        if !(first..=last).contains(&number) {
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

impl CanonStateSubscriptions for MemoryProvider {
    fn subscribe_to_canonical_state(&self) -> broadcast::Receiver<CanonStateNotification> {
        self.inner.notifications.subscribe()
    }
}

impl ForkChoiceSubscriptions for MemoryProvider {
    fn safe_block_watch(&self) -> watch::Receiver<u64> {
        self.inner.safe.subscribe()
    }

    fn finalized_block_watch(&self) -> watch::Receiver<u64> {
        self.inner.finalized.subscribe()
    }

    fn canonical_head_watch(&self) -> watch::Receiver<u64> {
        self.inner.canonical.subscribe()
    }
}

impl BlockWriter for MemoryProvider {
    fn heads(&self) -> StorageHeads {
        let tip = self.inner.data.read().tip();
        StorageHeads { wal: self.durable_block_number(), state: tip, repository: tip }
    }

    fn append(&self, block: ExecutedBlock) -> ProviderResult<()> {
        let number = block.number();
        let mut data = self.inner.data.write();
        if let Some(stored) = data.blocks.get(number as usize) {
            let (stored, given) = (&stored.record, &block.record);
            return if stored.block_hash != given.block_hash {
                let (stored, given) = (stored.block_hash, given.block_hash);
                Err(ProviderError::Mismatch { number, stored, given })
            } else if stored.block_output_hash != given.block_output_hash {
                let (stored, given) = (stored.block_output_hash, given.block_output_hash);
                Err(ProviderError::Mismatch { number, stored, given })
            } else {
                Ok(())
            };
        }
        let expected = data.tip() + 1;
        if number != expected {
            return Err(ProviderError::OutOfOrder { number, expected });
        }
        data.push(block);
        if !data.hold_durability {
            self.inner.durable.send_replace(number);
        }
        Ok(())
    }

    fn durable_block(&self) -> watch::Receiver<BlockNumber> {
        self.inner.durable.subscribe()
    }

    fn set_canonical_head(&self, number: BlockNumber) -> ProviderResult<()> {
        let durable = self.durable_block_number();
        if number > durable {
            return Err(ProviderError::OutOfOrder { number, expected: durable });
        }
        let data = self.inner.data.read();
        let from = self.canonical();
        if number <= from {
            return Ok(());
        }
        let blocks = data.blocks[from as usize + 1..=number as usize]
            .iter()
            .filter_map(|stored| stored.executed.clone())
            .collect();
        self.inner.canonical.send_replace(number);
        if let Some(chain) = Chain::new(blocks) {
            // No receiver is not an error.
            let _ = self
                .inner
                .notifications
                .send(CanonStateNotification::Commit { new: Arc::new(chain) });
        }
        Ok(())
    }

    fn flush(&self) -> ProviderResult<()> {
        Ok(())
    }
}

impl ForkChoiceWriter for MemoryProvider {
    fn set_safe_block(&self, number: BlockNumber) {
        self.inner.safe.send_replace(number);
    }

    fn set_finalized_block(&self, number: BlockNumber) {
        self.inner.finalized.send_replace(number);
    }
}

/// State after one block of a [`MemoryProvider`].
#[derive(Debug, Clone)]
struct MemoryState {
    provider: MemoryProvider,
    number: BlockNumber,
}

impl StateProvider for MemoryState {
    fn block_number(&self) -> BlockNumber {
        self.number
    }

    fn read(&self, flat_key: B256) -> ProviderResult<Option<B256>> {
        let data = self.provider.data()?;
        let Some(values) = data.state.get(&flat_key) else { return Ok(None) };
        let count = values.partition_point(|(number, _)| *number <= self.number);
        Ok(values[..count].last().map(|(_, value)| *value))
    }

    fn account(&self, address: Address) -> ProviderResult<Option<AccountProperties>> {
        let Some(hash) = self.read(account_properties_flat_key(address))? else { return Ok(None) };
        if hash.is_zero() {
            return Ok(None);
        }
        let corrupt = |reason: String| ProviderError::Corrupt {
            database: "preimages",
            key: format!("{hash:x}"),
            reason,
        };
        let record = self
            .preimage(hash)?
            .ok_or_else(|| corrupt(format!("record of account {address} is missing")))?;
        AccountProperties::decode(&record).map(Some).map_err(|error| corrupt(error.to_string()))
    }

    fn preimage(&self, hash: B256) -> ProviderResult<Option<Bytes>> {
        Ok(self.provider.data()?.preimages.get(&hash).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FullProvider,
        test_utils::{ChainBuilder, TestBlock, test_transfer},
    };
    use alloy_primitives::U256;
    use zkos_primitives::Genesis;

    fn spec() -> ZkChainSpec {
        let genesis =
            r#"{"initial_contracts":[["0x0000000000000000000000000000000000010000","0x6001"]]}"#;
        ZkChainSpec::new(270, Genesis::from_json(genesis).unwrap()).unwrap()
    }

    fn assert_full<T: FullProvider + BlockWriter + ForkChoiceWriter>(_: &T) {}

    #[test]
    fn blocks_are_visible_once_canonical() {
        let spec = spec();
        let provider = MemoryProvider::new(&spec);
        assert_full(&provider);
        let mut notifications = provider.subscribe_to_canonical_state();
        let mut chain = ChainBuilder::new(&spec);
        let sender = Address::repeat_byte(1);
        let tx = test_transfer(sender, 7);
        let tx_hash = *tx.hash();
        let account = AccountProperties::new_eoa(8, U256::from(5));
        let block = chain.next_block(TestBlock {
            transactions: vec![tx],
            accounts: vec![(sender, account)],
            ..Default::default()
        });
        provider.append(block.clone()).unwrap();
        assert_eq!(provider.best_block_number().unwrap(), 0);
        assert!(provider.transaction_by_hash_with_meta(tx_hash).unwrap().is_none());
        assert!(provider.transaction_hash_by_sender_and_nonce(sender, 7).unwrap().is_none());
        assert_eq!(provider.latest().unwrap().nonce(sender).unwrap(), 0);
        assert_eq!(provider.pending().unwrap().nonce(sender).unwrap(), 8);

        provider.set_canonical_head(1).unwrap();
        let (found, meta) = provider.transaction_by_hash_with_meta(tx_hash).unwrap().unwrap();
        assert_eq!((found.signer(), meta.block_number, meta.index), (sender, 1, 0));
        assert_eq!(
            provider.transaction_hash_by_sender_and_nonce(sender, 7).unwrap(),
            Some(tx_hash)
        );
        assert_eq!(provider.latest().unwrap().balance(sender).unwrap(), U256::from(5));
        assert_eq!(provider.history_by_block_number(0).unwrap().nonce(sender).unwrap(), 0);
        assert_eq!(provider.receipts_by_block(1.into()).unwrap().unwrap().len(), 1);
        assert_eq!(notifications.try_recv().unwrap().committed().range(), 1..=1);
        assert_eq!(provider.block_number(block.hash()).unwrap(), Some(1));
    }

    #[test]
    fn order_content_and_durability_are_checked() {
        let spec = spec();
        let provider = MemoryProvider::new(&spec);
        let mut chain = ChainBuilder::new(&spec);
        let mut fork = chain.clone();
        let one = chain.next_block(TestBlock::default());
        let two = chain.next_block(TestBlock::default());
        let other = fork.next_block(TestBlock {
            transactions: vec![test_transfer(Address::ZERO, 0)],
            ..Default::default()
        });
        provider.hold_durability();
        assert!(matches!(
            provider.append(two),
            Err(ProviderError::OutOfOrder { number: 2, expected: 1 })
        ));
        provider.append(one.clone()).unwrap();
        provider.append(one).unwrap();
        assert!(matches!(provider.append(other), Err(ProviderError::Mismatch { number: 1, .. })));
        assert!(provider.replay_record(1).unwrap().is_none());
        assert!(provider.set_canonical_head(1).is_err());
        provider.set_durable(1);
        provider.set_canonical_head(1).unwrap();
        assert!(provider.replay_record(1).unwrap().is_some());
    }

    #[test]
    fn genesis_state_is_readable() {
        let provider = MemoryProvider::new(&spec());
        let address = Address::with_last_byte(9);
        provider.set_code(address, &[0x60, 0x02]);
        let state = provider.latest().unwrap();
        let contract = alloy_primitives::address!("0000000000000000000000000000000000010000");
        assert_eq!(state.code(contract).unwrap().as_ref(), [0x60, 0x01]);
        assert_eq!(state.code(address).unwrap().as_ref(), [0x60, 0x02]);
        assert_eq!(state.code(Address::ZERO).unwrap().len(), 0);
    }
}
