//! Streams, manager and launch over real blocks.

use crate::{
    BackfillJobFactory, BoxedLaunchExEx, ExExContext, ExExError, ExExEvent, ExExManagerBuilder,
    ExExNotification, FinishedExExHeight,
    test_utils::{PollOnce, TestNode, test_exex_context},
};
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use futures::FutureExt;
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use zkos_node_core::{FullNodeComponents, StageRegistry, StageState};
use zkos_storage_api::{CanonStateNotification, Chain};

const DEADLINE: Duration = Duration::from_secs(20);

async fn next(ctx: &mut ExExContext<TestNode>) -> Result<ExExNotification, ExExError> {
    tokio::time::timeout(DEADLINE, ctx.notifications.recv())
        .await
        .expect("a notification in time")
        .expect("the stream is open")
}

async fn range(ctx: &mut ExExContext<TestNode>) -> RangeInclusive<u64> {
    next(ctx).await.unwrap().committed_chain().unwrap().range()
}

/// Takes notifications until a block is delivered and checks that nothing is missing or doubled.
async fn follow(ctx: &mut ExExContext<TestNode>, from: u64, to: u64) {
    let mut expected = from;
    while expected <= to {
        let range = range(ctx).await;
        assert_eq!(*range.start(), expected);
        expected = range.end() + 1;
    }
    assert_eq!(expected, to + 1);
}

#[tokio::test]
async fn without_head_there_are_live_notifications_only() {
    let (mut ctx, mut node) = test_exex_context();
    node.next_l1_block().unwrap();
    let two = node.next_l1_block().unwrap();
    node.send_committed(vec![two]).await.unwrap();
    assert_eq!(range(&mut ctx).await, 2..=2);
    node.close();
    assert!(ctx.notifications.recv().await.is_none());
}

#[tokio::test]
async fn missed_blocks_are_executed_again_and_live_ones_follow_without_doubles() {
    let (mut ctx, node) = test_exex_context();
    let mut blocks: Vec<_> = (0..40).map(|_| node.next_l1_block().unwrap()).collect();
    ctx.notifications.set_with_head(ctx.head.into());
    // Announced live while the extension is still behind: 39 and 40 are part of the backfill, 41 is not.
    node.send_committed(blocks[38..40].to_vec()).await.unwrap();
    blocks.push(node.next_l1_block().unwrap());
    node.send_committed(blocks[40..].to_vec()).await.unwrap();

    let first = next(&mut ctx).await.unwrap().committed_chain().unwrap();
    assert_eq!(*first.range().start(), 1);
    assert!(first.blocks().len() < 40, "in small ranges");
    for (again, original) in first.blocks().iter().zip(&blocks) {
        assert_eq!(again.hash(), original.hash());
        assert_eq!(again.output.output_hash(), original.output.output_hash());
        assert_eq!(again.receipts, original.receipts);
        assert_eq!(again.output.pubdata, original.output.pubdata);
    }
    follow(&mut ctx, first.range().end() + 1, 41).await;
    assert!(ctx.notifications.recv().now_or_never().is_none(), "nothing is left");
}

#[tokio::test]
async fn a_stored_head_is_continued_and_known_blocks_are_cut_off() {
    let (mut ctx, node) = test_exex_context();
    let blocks: Vec<_> = (0..5).map(|_| node.next_l1_block().unwrap()).collect();
    ctx.notifications.set_with_head(blocks[2].num_hash().into());
    node.send_committed(blocks[1..5].to_vec()).await.unwrap();
    assert_eq!(range(&mut ctx).await, 4..=5);
}

#[tokio::test]
async fn more_live_blocks_than_are_kept_arrive_in_order() {
    let (mut ctx, node) = test_exex_context();
    let blocks: Vec<_> = (0..120).map(|_| node.next_l1_block().unwrap()).collect();
    ctx.notifications.set_with_head(ctx.head.into());
    let feed = async {
        for block in &blocks[100..] {
            node.send_committed(vec![block.clone()]).await.unwrap();
        }
    };
    tokio::join!(feed, follow(&mut ctx, 1, 120));
}

#[tokio::test]
async fn blocks_whose_state_is_pruned_are_told_with_what_to_do() {
    let (ctx, node) = test_exex_context();
    (0..9).for_each(|_| drop(node.next_l1_block().unwrap()));
    node.provider.prune_state(5);
    let factory = BackfillJobFactory::new(ctx.evm_config().clone(), node.provider);
    let mut kept = factory.backfill(6..=9);
    assert_eq!(kept.next().unwrap().unwrap().range(), 6..=9);
    let mut lost = factory.backfill(5..=9);
    let error = lost.next().unwrap().unwrap_err();
    assert!(matches!(error, ExExError::StatePruned { number: 5, first: 5 }), "{error}");
    assert!(error.to_string().contains("zkos db rebuild state"), "{error}");
    assert!(lost.next().is_none(), "nothing after a failed block");
}

#[tokio::test]
async fn a_head_of_another_chain_is_an_error_and_ends_the_stream() {
    let (mut ctx, node) = test_exex_context();
    let block = node.next_l1_block().unwrap();
    let head = BlockNumHash::new(1, B256::repeat_byte(1));
    ctx.notifications.set_with_head(head.into());
    let error = next(&mut ctx).await.unwrap_err();
    assert!(
        matches!(error, ExExError::HeadNotCanonical { canonical, .. } if canonical == block.hash())
    );
    assert!(ctx.notifications.recv().await.is_none());
}

#[tokio::test]
async fn a_head_above_the_nodes_is_checked_when_its_block_arrives() {
    let (mut ctx, node) = test_exex_context();
    ctx.notifications.set_with_head(BlockNumHash::new(1, B256::repeat_byte(1)).into());
    let block = node.next_l1_block().unwrap();
    node.send_committed(vec![block]).await.unwrap();
    assert!(matches!(next(&mut ctx).await, Err(ExExError::HeadNotCanonical { .. })));
}

#[tokio::test]
async fn reverts_reach_only_who_has_seen_the_blocks() {
    let (mut ctx, node) = test_exex_context();
    let blocks: Vec<_> = (0..3).map(|_| node.next_l1_block().unwrap()).collect();
    let chain =
        |blocks: &[zkos_storage_api::ExecutedBlock]| Arc::new(Chain::new(blocks.to_vec()).unwrap());
    ctx.notifications.set_with_head(blocks[1].num_hash().into());
    // Block 3 was never delivered, so of 2 and 3 only 2 is taken back.
    let old = chain(&blocks[1..3]);
    node.send_notification(ExExNotification::ChainReverted { old }).await.unwrap();
    let reverted = next(&mut ctx).await.unwrap().reverted_chain().unwrap();
    assert_eq!(reverted.range(), 2..=2);
    node.send_committed(blocks[1..3].to_vec()).await.unwrap();
    assert_eq!(range(&mut ctx).await, 2..=3);
}

#[tokio::test]
async fn every_extension_gets_everything_and_a_slow_one_pushes_back() {
    let (ctx, node) = test_exex_context();
    let stages = StageRegistry::default();
    let mut builder = ExExManagerBuilder::new(2, stages.clone());
    let mut register = |id| {
        let node = &ctx.components;
        let (evm, executor) = (node.evm_config().clone(), node.task_executor().clone());
        builder.register(id, node.provider().clone(), evm, executor)
    };
    let (mut quick, mut slow) = (register("quick"), register("slow"));
    let (manager, handle) = builder.build();
    tokio::spawn(manager.run());
    let engine = handle.sender().unwrap();
    assert_eq!(*handle.finished_height().borrow(), FinishedExExHeight::NotReady);

    let block = node.next_l1_block().unwrap();
    let notification = CanonStateNotification::Commit { new: Arc::new(block.clone().into()) };
    let (mut sent, mut received) = (0, 0);
    // Until the channels are full because nobody takes anything from the slow one.
    loop {
        let send =
            tokio::time::timeout(Duration::from_millis(100), engine.send(notification.clone()));
        if send.await.is_err() {
            break;
        }
        sent += 1;
        while quick.notifications.recv().now_or_never().is_some() {
            received += 1;
        }
        assert!(sent < 1000, "a slow extension must push back");
    }
    let snapshot = stages.snapshot();
    let manager = snapshot.iter().find(|stage| stage.name == "exex").unwrap();
    assert_eq!(manager.state, StageState::Waiting("slow".to_owned()));
    for _ in 0..sent {
        slow.notifications.recv().await.unwrap().unwrap();
    }
    while received < sent {
        quick.notifications.recv().await.unwrap().unwrap();
        received += 1;
    }
    quick.events.send(ExExEvent::FinishedHeight(block.num_hash()));
    slow.events.send(ExExEvent::FinishedHeight(block.num_hash()));
    assert_eq!(*handle.finished_height().borrow(), FinishedExExHeight::Height(1));
}

#[tokio::test]
async fn closures_are_extensions() {
    let (ctx, mut node) = test_exex_context();
    let exex: Box<dyn BoxedLaunchExEx<TestNode>> =
        Box::new(|mut ctx: ExExContext<TestNode>| async move {
            Ok(async move {
                while let Some(notification) = ctx.notifications.recv().await {
                    if let Some(chain) = notification?.committed_chain() {
                        ctx.send_finished_height(chain.tip().num_hash());
                    }
                }
                Ok(())
            })
        });
    let mut running = exex.launch(ctx).await.unwrap();
    running.poll_once().await.unwrap();
    assert_eq!(node.finished_height(), None);
    let block = node.next_l1_block().unwrap();
    node.send_committed(vec![block.clone()]).await.unwrap();
    running.poll_once().await.unwrap();
    assert_eq!(node.finished_height(), Some(block.num_hash()));
    assert_eq!(node.wait_for_finished_height(1).await.unwrap(), block.num_hash());
    node.close();
    assert!(running.poll_once().await.is_err(), "an extension that ends is reported");
}

#[tokio::test]
async fn an_extension_that_fails_to_initialise_says_why() {
    let (ctx, _node) = test_exex_context();
    let exex: Box<dyn BoxedLaunchExEx<TestNode>> = Box::new(|_ctx: ExExContext<TestNode>| async {
        let failed: eyre::Result<std::future::Ready<eyre::Result<()>>> =
            Err(eyre::eyre!("no database"));
        failed
    });
    assert_eq!(exex.launch(ctx).await.err().unwrap().to_string(), "no database");
}
