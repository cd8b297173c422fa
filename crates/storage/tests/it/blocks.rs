//! Blocks in order: visibility, indexes, memory and disk.

use crate::helpers::*;
use alloy_primitives::{B256, U256};
use zkos_storage::{Storage, StorageOptions, StorageStats};
use zkos_storage_api::{
    BlockHashReader, BlockIdReader, BlockNumReader, BlockReader, BlockWriter,
    CanonStateSubscriptions, ExecutedBlock, ForkChoiceSubscriptions, ForkChoiceWriter,
    FullProvider, HeaderProvider, ProviderError, ReceiptProvider, ReplayRecordReader,
    StateProviderFactory, TransactionsProvider,
};

fn assert_full<T: FullProvider + BlockWriter + ForkChoiceWriter>(_: &T) {}

/// Every reader answers as the blocks say.
fn check_readers(provider: &zkos_storage::BlockchainProvider, blocks: &[ExecutedBlock]) {
    for block in blocks {
        let (number, hash) = (block.number(), block.hash());
        assert_eq!(provider.block_hash(number).unwrap(), Some(hash));
        assert_eq!(provider.block_number(hash).unwrap(), Some(number));
        let stored = provider.recovered_block(hash.into()).unwrap().unwrap();
        assert_eq!(*stored, *block.block);
        assert_eq!(provider.sealed_header(number.into()).unwrap().unwrap().hash(), hash);
        assert_eq!(provider.receipts_by_block(number.into()).unwrap().unwrap(), block.receipts);
        assert_eq!(provider.replay_record(number).unwrap().unwrap(), block.record);
        for (index, tx) in block.block.body().transactions.iter().enumerate() {
            let (found, meta) =
                provider.transaction_by_hash_with_meta(*tx.hash()).unwrap().unwrap();
            assert_eq!(found.signer(), block.block.senders()[index]);
            assert_eq!(
                (meta.block_number, meta.block_hash, meta.index),
                (number, hash, index as u64)
            );
            let nonce = alloy_consensus::Transaction::nonce(tx);
            let by_nonce =
                provider.transaction_hash_by_sender_and_nonce(found.signer(), nonce).unwrap();
            assert_eq!(by_nonce, Some(*tx.hash()));
        }
        let state = provider.history_by_block_number(number).unwrap();
        assert_eq!(state.storage(CONTRACT, slot(0)).unwrap(), slot(number));
        assert_eq!(state.storage(CONTRACT, slot(number)).unwrap(), slot(number * 7));
        assert_eq!(state.storage(CONTRACT, slot(number + 1)).unwrap(), B256::ZERO);
        assert_eq!(state.nonce(sender(number)).unwrap(), number + 1);
        assert_eq!(state.balance(sender(number)).unwrap(), U256::from(number));
        assert_eq!(state.code(CONTRACT).unwrap().as_ref(), [0x60, 0x01]);
        for (preimage, bytes) in &block.output.published_preimages {
            assert_eq!(state.preimage(*preimage).unwrap().unwrap(), *bytes);
        }
        for (preimage, bytes) in &block.record.force_preimages {
            assert_eq!(state.preimage(*preimage).unwrap().unwrap(), *bytes);
        }
    }
}

#[test]
fn round_trip_through_memory_disk_and_reopen() {
    let dir = tempdir();
    let blocks = chain(&spec(), 30);
    let (provider, heads) = open(dir.path());
    assert_eq!((heads.wal, heads.state, heads.repository), (0, 0, 0));
    assert_full(&provider);
    commit(&provider, &blocks);
    check_readers(&provider, &blocks);
    provider.flush().unwrap();
    assert_eq!(provider.heads(), StorageHeads30);
    check_readers(&provider, &blocks);
    drop(provider);

    let (provider, heads) = open(dir.path());
    assert_eq!(heads, StorageHeads30);
    assert_eq!(provider.best_block_number().unwrap(), 30);
    check_readers(&provider, &blocks);
    // The window of hashes that a record starts with is rebuilt from the records before it.
    for block in blocks.iter().rev() {
        assert_eq!(provider.replay_record(block.number()).unwrap().unwrap(), block.record);
    }
    assert!(provider.replay_record(31).unwrap().is_none());
    assert!(provider.recovered_block(31.into()).unwrap().is_none());
    assert!(matches!(
        provider.history_by_block_number(31),
        Err(ProviderError::StateNotAvailable { number: 31, first: 0, last: 30 })
    ));
    provider.shutdown().unwrap();

    let stats = StorageStats::read(dir.path()).unwrap();
    assert_eq!(stats.heads, Some(StorageHeads30));
    assert_eq!(stats.databases.len(), 4);
}

#[expect(non_upper_case_globals)]
const StorageHeads30: zkos_storage_api::StorageHeads =
    zkos_storage_api::StorageHeads { wal: 30, state: 30, repository: 30 };

#[test]
fn genesis_is_there_at_once() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    let spec = spec();
    let genesis = spec.genesis_state();
    assert_eq!(provider.block_hash(0).unwrap(), Some(genesis.block_hash));
    assert_eq!(*provider.sealed_header(0.into()).unwrap().unwrap().header(), genesis.header);
    assert_eq!(provider.receipts_by_block(0.into()).unwrap().unwrap().len(), 0);
    assert_eq!(provider.replay_record(0).unwrap().unwrap().block_hash, genesis.block_hash);
    let state = provider.latest().unwrap();
    for (key, value) in &genesis.entries {
        assert_eq!(state.read(*key).unwrap(), Some(*value));
    }
    assert_eq!(state.read(B256::repeat_byte(0x55)).unwrap(), None);
}

#[test]
fn readers_see_a_block_once_it_is_canonical() {
    let dir = tempdir();
    let gate = Gate::new();
    let (provider, _) = Storage::open(dir.path(), &spec(), gate.options()).unwrap();
    let blocks = chain(&spec(), 3);
    let mut notifications = provider.subscribe_to_canonical_state();
    gate.set("block_replay_wal", Pass::Wait);
    provider.append(blocks[0].clone()).unwrap();

    assert_eq!(provider.best_block_number().unwrap(), 0);
    assert!(provider.recovered_block(1.into()).unwrap().is_none());
    assert!(provider.recovered_block(blocks[0].hash().into()).unwrap().is_none());
    assert!(provider.receipts_by_block(1.into()).unwrap().is_none());
    let tx = *blocks[0].block.body().transactions[0].hash();
    assert!(provider.transaction_by_hash_with_meta(tx).unwrap().is_none());
    assert!(provider.transaction_hash_by_sender_and_nonce(sender(1), 1).unwrap().is_none());
    assert!(provider.replay_record(1).unwrap().is_none());
    assert_eq!(provider.latest().unwrap().nonce(sender(1)).unwrap(), 0);
    assert_eq!(provider.pending().unwrap().nonce(sender(1)).unwrap(), 2);
    // Not durable yet.
    assert!(provider.set_canonical_head(1).is_err());

    gate.set("block_replay_wal", Pass::Open);
    wait_durable(&provider, 1);
    for block in &blocks[1..] {
        provider.append(block.clone()).unwrap();
    }
    wait_durable(&provider, 3);
    assert!(provider.recovered_block(1.into()).unwrap().is_none());
    provider.set_canonical_head(1).unwrap();
    provider.set_canonical_head(3).unwrap();
    provider.set_canonical_head(2).unwrap();
    check_readers(&provider, &blocks);
    assert_eq!(*provider.canonical_head_watch().borrow(), 3);
    assert_eq!(notifications.try_recv().unwrap().committed().range(), 1..=1);
    assert_eq!(notifications.try_recv().unwrap().committed().range(), 2..=3);
    assert!(notifications.try_recv().is_err());
}

#[test]
fn safe_and_finalized_never_pass_the_head() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    let blocks = chain(&spec(), 2);
    provider.set_safe_block(2);
    provider.set_finalized_block(1);
    assert_eq!(provider.safe_block_number().unwrap(), 0);
    commit(&provider, &blocks);
    assert_eq!(provider.safe_block_number().unwrap(), 2);
    assert_eq!(provider.finalized_block_number().unwrap(), 1);
    provider.set_safe_block(1);
    assert_eq!(provider.safe_block_number().unwrap(), 1);
    assert_eq!(*provider.safe_block_watch().borrow(), 1);
    assert_eq!(*provider.finalized_block_watch().borrow(), 1);
}

#[test]
fn order_and_content_are_checked() {
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    let blocks = chain(&spec(), 12);
    assert!(matches!(
        provider.append(blocks[1].clone()),
        Err(ProviderError::OutOfOrder { number: 2, expected: 1 })
    ));
    commit(&provider, &blocks);
    provider.flush().unwrap();
    // Block 1 is on disk only, block 12 in memory.
    for index in [0, 11] {
        provider.append(blocks[index].clone()).unwrap();
        let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
        let mut other: Option<ExecutedBlock> = None;
        for number in 1..=index as u64 + 1 {
            let mut contents = contents(number);
            contents.storage[0].2 = slot(99);
            other = Some(builder.next_block(contents));
        }
        let other = other.unwrap();
        // Same header, other writes: only the output hash differs.
        assert!(matches!(provider.append(other), Err(ProviderError::Mismatch { .. })));
    }
    assert_eq!(provider.best_block_number().unwrap(), 12);
}

#[test]
fn blocks_of_l1_transactions_are_not_indexed_by_nonce() {
    use zkos_primitives::{RecoveredTx, TxL1Priority, ZkTxEnvelope};
    let dir = tempdir();
    let (provider, _) = open(dir.path());
    let from = sender(0);
    let l1 = ZkTxEnvelope::from(TxL1Priority { from, nonce: 5, ..Default::default() });
    let hash = *l1.hash();
    let mut builder = zkos_storage_api::test_utils::ChainBuilder::new(&spec());
    let block = builder.next_block(zkos_storage_api::test_utils::TestBlock {
        transactions: vec![RecoveredTx::new_unchecked(l1, from)],
        ..Default::default()
    });
    commit(&provider, &[block]);
    let check = |provider: &zkos_storage::BlockchainProvider| {
        assert!(provider.transaction_hash_by_sender_and_nonce(from, 5).unwrap().is_none());
        assert_eq!(provider.transaction_by_hash_with_meta(hash).unwrap().unwrap().0.signer(), from);
    };
    check(&provider);
    drop(provider);
    check(&open(dir.path()).0);
}

#[test]
fn memory_is_bounded_by_blocks_and_transactions() {
    let dir = tempdir();
    let options =
        StorageOptions { recent_blocks: 5, recent_transactions: 3, ..StorageOptions::small() };
    let (provider, _) = Storage::open(dir.path(), &spec(), options).unwrap();
    let blocks = chain(&spec(), 20);
    commit(&provider, &blocks);
    provider.flush().unwrap();
    check_readers(&provider, &blocks);
}
