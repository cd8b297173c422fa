//! Priority transactions: order, start anywhere, reorganisations, an L1 that goes away.

use crate::harness::{Anvil, ether, eventually, raw, sender_config, watcher_config, within};
use alloy_primitives::Address;
use serde_json::json;
use zkos_l1::{Confirmations, L1Watcher, L1WatcherConfig, WatcherError, deposit::deposit};

#[tokio::test]
async fn priority_transactions_come_in_order_from_any_start() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let total = state.total_priority_txs;

    let (watcher, mut handle) =
        L1Watcher::new(provider.clone(), state.contracts, 0, watcher_config()).await.unwrap();
    let task = tokio::spawn(watcher.run());
    let mut hashes = Vec::new();
    for id in 0..total {
        let tx = within("delivery", handle.priority_txs.recv()).await.unwrap();
        assert_eq!((tx.id, tx.tx.nonce), (id, id));
        hashes.push(tx.tx.seal());
    }

    // A new deposit arrives while both an old and a late watcher look.
    let (late, mut late_handle) =
        L1Watcher::new(provider.clone(), state.contracts, total, watcher_config()).await.unwrap();
    let late_task = tokio::spawn(late.run());
    let rich = anvil.deployment.signer("/rich_account");
    let recipient = Address::repeat_byte(0x42);
    let made =
        within("deposit", deposit(&provider, &state, rich, recipient, ether(1), sender_config()))
            .await
            .unwrap();
    assert_eq!(made.id, total);
    for handle in [&mut handle, &mut late_handle] {
        let tx = within("delivery", handle.priority_txs.recv()).await.unwrap();
        assert_eq!((tx.id, tx.tx.seal(), tx.l1_block), (total, made.l2_tx, made.l1_block));
        assert_eq!((tx.tx.to, tx.tx.value), (recipient, ether(1)));
        assert_eq!(tx.tx.to_mint, ether(1) + made.l2_cost);
    }

    // Start in the middle: the search must not skip or repeat.
    let start = total.saturating_sub(1);
    let (middle, mut middle_handle) =
        L1Watcher::new(provider.clone(), state.contracts, start, watcher_config()).await.unwrap();
    let middle_task = tokio::spawn(middle.run());
    let tx = within("delivery", middle_handle.priority_txs.recv()).await.unwrap();
    assert_eq!((tx.id, tx.tx.seal()), (start, hashes[start as usize]));

    for task in [task, late_task, middle_task] {
        assert!(!task.is_finished());
        task.abort();
    }
}

#[tokio::test]
async fn a_slow_consumer_gets_everything() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let rich = anvil.deployment.signer("/rich_account");
    for _ in 0..4 {
        deposit(&provider, &state, rich.clone(), rich.address(), ether(1), sender_config())
            .await
            .unwrap();
    }
    let config = L1WatcherConfig { queue_capacity: 1, max_block_span: 1, ..watcher_config() };
    let (watcher, mut handle) =
        L1Watcher::new(provider.clone(), state.contracts, 0, config).await.unwrap();
    let task = tokio::spawn(watcher.run());
    for id in 0..state.total_priority_txs + 4 {
        // Let the queue fill before each look.
        let received = eventually("a full queue", || async {
            (!handle.priority_txs.is_empty()).then_some(())
        });
        received.await;
        assert_eq!(handle.priority_txs.recv().await.unwrap().id, id);
    }
    task.abort();
}

#[tokio::test]
async fn confirmations_hold_transactions_back() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let config = L1WatcherConfig { confirmations: Confirmations::Blocks(3), ..watcher_config() };
    let (watcher, mut handle) =
        L1Watcher::new(provider.clone(), state.contracts, state.total_priority_txs, config)
            .await
            .unwrap();
    let task = tokio::spawn(watcher.run());
    let rich = anvil.deployment.signer("/rich_account");
    let made = deposit(&provider, &state, rich.clone(), rich.address(), ether(1), sender_config())
        .await
        .unwrap();
    raw(&provider, "anvil_mine", json!([2])).await;
    let mut status = handle.status.clone();
    within("scan", status.wait_for(|status| status.scanned + 1 == made.l1_block)).await.unwrap();
    assert!(handle.priority_txs.is_empty());
    raw(&provider, "anvil_mine", json!([1])).await;
    assert_eq!(within("delivery", handle.priority_txs.recv()).await.unwrap().id, made.id);
    task.abort();
}

#[tokio::test]
async fn a_reorganisation_that_keeps_the_transaction_is_harmless_and_one_that_replaces_it_is_fatal()
{
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let rich = anvil.deployment.signer("/rich_account");
    let snapshot = raw(&provider, "evm_snapshot", json!([])).await;
    let (watcher, mut handle) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    let task = tokio::spawn(watcher.run());
    let give = |amount| {
        deposit(&provider, &state, rich.clone(), rich.address(), ether(amount), sender_config())
    };
    let first = give(1).await.unwrap();
    assert_eq!(
        within("delivery", handle.priority_txs.recv()).await.unwrap().tx.seal(),
        first.l2_tx
    );

    // Blocks on top are replaced; the deposit stays.
    raw(&provider, "anvil_mine", json!([3])).await;
    let mut status = handle.status.clone();
    within("scan", status.wait_for(|status| status.scanned >= first.l1_block + 3)).await.unwrap();
    raw(&provider, "anvil_reorg", json!([2, []])).await;
    let second = give(2).await.unwrap();
    assert_eq!(
        within("delivery", handle.priority_txs.recv()).await.unwrap().tx.seal(),
        second.l2_tx
    );
    assert!(!task.is_finished());

    // L1 forgets both, and another deposit takes the place of the first.
    raw(&provider, "evm_revert", json!([snapshot])).await;
    let other = give(3).await.unwrap();
    assert_eq!(other.id, first.id);
    raw(&provider, "anvil_mine", json!([12])).await;
    let error = within("stop", task).await.unwrap().unwrap_err();
    assert!(
        matches!(error, WatcherError::PriorityTxReplaced { id, .. } if id == first.id),
        "{error}"
    );
    drop(handle);
}

#[tokio::test]
async fn an_l1_that_goes_away_is_waited_for() {
    let Some(mut anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let (watcher, mut handle) = L1Watcher::new(
        provider.clone(),
        state.contracts,
        state.total_priority_txs,
        watcher_config(),
    )
    .await
    .unwrap();
    let task = tokio::spawn(watcher.run());
    anvil.stop();
    let mut status = handle.status.clone();
    within("error", status.wait_for(|status| status.last_error.is_some())).await.unwrap();
    anvil.restart();
    within("recovery", status.wait_for(|status| status.last_error.is_none())).await.unwrap();
    let rich = anvil.deployment.signer("/rich_account");
    let made = deposit(&provider, &state, rich.clone(), rich.address(), ether(1), sender_config())
        .await
        .unwrap();
    assert_eq!(within("delivery", handle.priority_txs.recv()).await.unwrap().tx.seal(), made.l2_tx);
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn an_l1_that_was_reset_is_noticed_at_start() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let state = anvil.discover(&provider).await;
    let error =
        L1Watcher::new(provider, state.contracts, state.total_priority_txs + 1, watcher_config())
            .await
            .unwrap_err();
    assert!(matches!(error, WatcherError::L1Behind { .. }) && error.is_fatal(), "{error}");
}
