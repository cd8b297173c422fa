//! The extension: what it notes, and how it goes on.

use super::*;
use crate::{IndexError, Indexer};
use alloy_eips::BlockNumHash;
use std::sync::{Arc, atomic::AtomicBool};
use zkos_exex::ExExNotification;
use zkos_primitives::TxL1Priority;
use zkos_storage::{OtsIndexBlock, TxPlace};
use zkos_storage_api::Chain;

/// Transactions of an address, oldest first, as (block, index).
fn history(index: &OtsIndex, address: Address) -> Vec<(u64, u32)> {
    let page = index.after(address, 0, usize::MAX).unwrap();
    page.places.into_iter().map(|TxPlace { block, index }| (block, index)).collect()
}

fn far(n: u8) -> Address {
    Address::repeat_byte(n)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_transaction_is_found() {
    let mut bed = Bed::new();
    let me = user().address();
    let running = bed.start().await;
    // Contracts of block 1: nonces 0 to 5.
    let [payer, delegator, factory, undone, destructor, reverter] =
        [0, 1, 2, 3, 4, 5].map(|nonce| me.create(nonce));
    bed.block(vec![
        deploy(0, &calls(far(0xa0), 7)),
        deploy(1, &delegates(far(0xa1))),
        deploy(2, &creates(&deploys(&[0x00]), 0, STOP)),
        deploy(3, &creates(&deploys(&[0x00]), 0, REVERT)),
        deploy(4, &destructs(far(0xa2))),
        deploy(5, &[&calls(far(0xa3), 0)[..29], &REVERT].concat()),
    ])
    .await;
    let priority = TxL1Priority {
        from: far(0xb0),
        to: far(0xb1),
        gas_limit: 300_000,
        gas_per_pubdata_byte_limit: 800,
        refund_recipient: far(0xb2),
        ..Default::default()
    };
    bed.block(vec![
        tx(6, TxKind::Call(payer), 9, Vec::new()),
        invoke(7, delegator),
        invoke(8, factory),
        invoke(9, undone),
        tx(10, TxKind::Call(destructor), 3, Vec::new()),
        invoke(11, reverter),
        pay(12, me, 1),
        (priority.into(), far(0xb0)),
    ])
    .await;
    bed.indexed(2).await;
    let index = bed.readers.get().unwrap().clone();

    let mine: Vec<_> = (0..6).map(|i| (1, i)).chain((0..7).map(|i| (2, i))).collect();
    assert_eq!(history(&index, me), mine, "once each, a payment to oneself too");
    for (address, expected) in [
        (payer, vec![(1, 0), (2, 0)]),
        (far(0xa0), vec![(2, 0)]),
        (delegator, vec![(1, 1), (2, 1)]),
        (far(0xa1), vec![(2, 1)]),
        (factory.create(1), vec![(2, 2)]),
        (undone.create(1), vec![(2, 3)]),
        (far(0xa2), vec![(2, 4)]),
        // Called by a frame that was reverted.
        (far(0xa3), vec![(2, 5)]),
        (far(0xb0), vec![(2, 7)]),
        (far(0xb1), vec![(2, 7)]),
        (far(0xb2), vec![(2, 7)]),
        (far(0xcc), vec![]),
    ] {
        assert_eq!(history(&index, address), expected, "{address}");
    }

    let creator = |contract| index.creator(contract).unwrap().map(|found| found.creator);
    assert_eq!(creator(payer), Some(me));
    assert_eq!(creator(factory.create(1)), Some(factory));
    assert_eq!(creator(undone.create(1)), None, "its creation was reverted");
    assert_eq!(creator(far(0xa0)), None);
    assert!(!running.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_blocks_are_filled_in_and_a_restart_goes_on() {
    let mut bed = Bed::new();
    let me = user().address();
    // Many blocks before the extension exists, more than one run.
    for nonce in 0..150 {
        bed.handle.next_block(vec![pay(nonce, far(1), 1)]).unwrap();
    }
    let running = bed.start().await;
    bed.indexed(150).await;
    // Announced with a gap: blocks 151 and 152 were never heard of.
    for nonce in 150..152 {
        bed.handle.next_block(vec![pay(nonce, far(1), 1)]).unwrap();
    }
    bed.block(vec![pay(152, far(1), 1)]).await;
    bed.indexed(153).await;
    assert_eq!(history(bed.readers.get().unwrap(), far(1)).len(), 153);
    assert_eq!(bed.handle.finished_height().unwrap().number, 153);
    running.abort();
    running.await.unwrap_err();
    bed.readers = AddressIndex::default();

    // What was there is not executed again; what is new is added by hand here.
    bed.methods = Methods::new();
    let index = Arc::new(open_when_closed(bed.dir.path(), bed.node.chain_spec()).await);
    assert_eq!(index.head().number, 153);
    bed.handle.next_block(vec![pay(153, far(1), 1)]).unwrap();
    let indexer =
        Indexer::new(bed.handle.provider.clone(), bed.node.evm_config().clone(), index.clone());
    assert_eq!(indexer.check_head().unwrap().number, 153);
    let run = indexer.extend(154, &AtomicBool::new(false)).unwrap();
    assert_eq!((run.blocks, run.entries), (1, 2));
    assert_eq!(history(&index, me).len(), 154);

    // A new index becomes the same.
    let dir = TempDir::new().unwrap();
    let spec = bed.node.chain_spec();
    let fresh = Arc::new(OtsIndex::open(dir.path(), spec, &StorageOptions::small()).unwrap());
    let indexer =
        Indexer::new(bed.handle.provider.clone(), bed.node.evm_config().clone(), fresh.clone());
    while fresh.head() != index.head() {
        assert!(indexer.extend(154, &AtomicBool::new(false)).unwrap().blocks > 0);
    }
    for address in [me, far(1), far(2)] {
        assert_eq!(history(&fresh, address), history(&index, address));
    }
    // Nothing is done when told to stop.
    let stopped = indexer.extend(154, &AtomicBool::new(true)).unwrap();
    assert_eq!(stopped.blocks, 0);
}

/// Opens the index once its last reader is gone.
async fn open_when_closed(path: &std::path::Path, spec: &zkos_primitives::ZkChainSpec) -> OtsIndex {
    let started = std::time::Instant::now();
    loop {
        match OtsIndex::open(path, spec, &StorageOptions::small()) {
            Ok(index) => return index,
            Err(error) => assert!(started.elapsed() < DEADLINE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn made_up(block: BlockNumHash) -> OtsIndexBlock {
    OtsIndexBlock { block, touched: Vec::new(), created: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_does_not_fit_is_refused_with_the_remedy() {
    let bed = Bed::new();
    let block = bed.handle.next_block(vec![pay(0, far(1), 1)]).unwrap();
    let index = Arc::new(bed.open_index());
    let indexer =
        Indexer::new(bed.handle.provider.clone(), bed.node.evm_config().clone(), index.clone());
    let wrong = BlockNumHash::new(1, B256::repeat_byte(9));
    index.append(&[made_up(wrong)]).unwrap();
    let error = indexer.check_head().unwrap_err();
    assert!(matches!(error, IndexError::OtherChain { chain, .. } if chain == block.hash()));
    assert!(error.to_string().contains("zkos db rebuild-index"), "{error}");
    bed.handle.next_block(vec![pay(1, far(1), 1)]).unwrap();
    let error = indexer.extend(2, &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, IndexError::OtherChain { .. }), "{error}");

    index.append(&[made_up(BlockNumHash::new(2, B256::ZERO))]).unwrap();
    index.append(&[made_up(BlockNumHash::new(3, B256::ZERO))]).unwrap();
    let error = indexer.check_head().unwrap_err();
    assert!(matches!(error, IndexError::AheadOfLog { log: 2, .. }), "{error}");
    assert!(error.to_string().contains("zkos db rebuild-index"), "{error}");
    drop((index, indexer));
    // So does the start of the node.
    let mut bed = bed;
    let index = bed.open_index();
    let context = bed.context.take().unwrap();
    let error = match otterscan(context, index, AddressIndex::default()).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it started"),
    };
    assert!(error.contains("zkos db rebuild-index"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_state_of_old_blocks_it_says_what_to_do() {
    let bed = Bed::new();
    bed.handle.next_block(vec![pay(0, far(1), 1)]).unwrap();
    let index = Arc::new(bed.open_index());
    let provider = bed.handle.provider.clone();
    provider.prune_state(5);
    let indexer = Indexer::new(provider, bed.node.evm_config().clone(), index.clone());
    let error = indexer.extend(1, &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, IndexError::StatePruned { number: 1, first: 5 }), "{error}");
    assert!(error.to_string().contains("--prune.state-history-blocks"), "{error}");
    assert_eq!(index.head().number, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_taken_back_end_it_with_the_remedy() {
    let mut bed = Bed::new();
    let running = bed.start().await;
    let block = bed.block(vec![pay(0, far(1), 1)]).await;
    bed.indexed(1).await;
    let old = Arc::new(Chain::new(vec![block]).unwrap());
    bed.handle.send_notification(ExExNotification::ChainReverted { old }).await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap();
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("block 1 was reverted") && error.contains("rebuild-index"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_ends_with_the_node() {
    let mut bed = Bed::new();
    let running = bed.start().await;
    bed.block(vec![pay(0, far(1), 1)]).await;
    bed.indexed(1).await;
    bed.handle.close();
    tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
}
