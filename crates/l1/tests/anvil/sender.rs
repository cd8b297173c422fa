//! The sender under the faults of a real pool.

use crate::harness::{Anvil, ether, eventually, raw, sender_config, within};
use alloy_consensus::Transaction;
use alloy_eips::eip4844::{
    BlobTransactionSidecar,
    builder::{SidecarBuilder, SimpleCoder},
};
use alloy_network::TransactionResponse;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::Provider;
use alloy_signer_local::PrivateKeySigner;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use zkos_l1::{L1Provider, L1Sender, L1SenderConfig, L1TxRequest, SendError, sender::FeeCaps};

fn max_fee(tx: &impl Transaction) -> u128 {
    tx.max_fee_per_gas()
}

fn transfer(to: u8, wei: u64) -> L1TxRequest {
    L1TxRequest {
        value: U256::from(wei),
        ..L1TxRequest::call("transfer", Address::repeat_byte(to), Bytes::new())
    }
}

async fn start(
    anvil: &Anvil,
    provider: &L1Provider,
    config: L1SenderConfig,
) -> (L1Sender, tokio::task::AbortHandle) {
    let signer = anvil.deployment.signer("/operators/commit");
    let (sender, task) = L1Sender::new(provider.clone(), signer, config).await.unwrap();
    (sender, tokio::spawn(task.run()).abort_handle())
}

/// Anvil without automatic mining: blocks come when the test says so.
async fn manual() -> Option<(Anvil, L1Provider)> {
    let anvil = Anvil::start(&["--no-mining"]).await?;
    let provider = anvil.provider().await;
    Some((anvil, provider))
}

async fn mine(provider: &L1Provider) {
    raw(provider, "anvil_mine", json!([1])).await;
}

#[tokio::test]
async fn several_are_in_flight_in_order() {
    let Some((anvil, provider)) = manual().await else { return };
    let (sender, _task) =
        start(&anvil, &provider, L1SenderConfig { max_in_flight: 3, ..sender_config() }).await;
    let mut pending = Vec::new();
    for index in 0..3 {
        pending.push(within("send", sender.send(transfer(1, index))).await.unwrap());
    }
    let mut status = sender.status();
    within("report", status.wait_for(|status| status.in_flight == 3)).await.unwrap();
    // The window is full: the fourth waits for the first block.
    let fourth = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(transfer(1, 3)).await }
    });
    mine(&provider).await;
    let mut nonces = Vec::new();
    for tx in pending {
        let hash = tx.hash;
        let receipt = within("receipt", tx.receipt()).await.unwrap();
        assert_eq!(receipt.transaction_hash, hash);
        nonces.push(provider.inner().get_transaction_by_hash(hash).await.unwrap().unwrap().nonce());
    }
    assert!(nonces.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{nonces:?}");
    let fourth = within("fourth", fourth).await.unwrap().unwrap();
    mine(&provider).await;
    within("receipt", fourth.receipt()).await.unwrap();
    within("idle", sender.wait_idle()).await.unwrap();
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_within_the_caps() {
    let Some((anvil, provider)) = manual().await else { return };
    let config = L1SenderConfig { resubmit_timeout: Duration::from_millis(200), ..sender_config() };
    let (sender, _task) = start(&anvil, &provider, config).await;
    let pending = within("send", sender.send(transfer(2, 7))).await.unwrap();
    let (first, address) = (pending.hash, sender.address());
    let old = provider.inner().get_transaction_by_hash(first).await.unwrap().unwrap();
    let nonce = old.nonce();
    let new = eventually("replacement", || async {
        let tx = provider.inner().get_transaction_by_sender_nonce(address, nonce).await.unwrap()?;
        (tx.tx_hash() != first).then_some(tx)
    })
    .await;
    assert!(max_fee(&new) * 10 >= max_fee(&old) * 11);
    assert_eq!((new.to(), new.value()), (old.to(), old.value()));
    mine(&provider).await;
    let receipt = within("receipt", pending.receipt()).await.unwrap();
    assert_ne!(receipt.transaction_hash, first);
    assert!(receipt.effective_gas_price <= config.fee_caps.max_fee_per_gas);
}

#[tokio::test]
async fn at_the_caps_it_waits_and_says_so() {
    let Some((anvil, provider)) = manual().await else { return };
    let caps = FeeCaps {
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1,
        ..FeeCaps::default()
    };
    let config = L1SenderConfig {
        fee_caps: caps,
        resubmit_timeout: Duration::from_millis(50),
        ..sender_config()
    };
    let (sender, _task) = start(&anvil, &provider, config).await;
    let pending = within("send", sender.send(transfer(3, 1))).await.unwrap();
    let mut status = sender.status();
    let capped = |status: &zkos_l1::sender::L1SenderStatus| {
        status.waiting.as_ref().is_some_and(|why| why.contains("caps"))
    };
    within("report", status.wait_for(capped)).await.unwrap();
    let tx = provider.inner().get_transaction_by_hash(pending.hash).await.unwrap().unwrap();
    assert!(max_fee(&tx) <= caps.max_fee_per_gas);
    mine(&provider).await;
    assert_eq!(within("receipt", pending.receipt()).await.unwrap().transaction_hash, tx.tx_hash());
}

#[tokio::test]
async fn a_forgotten_transaction_is_broadcast_again() {
    let Some((anvil, provider)) = manual().await else { return };
    // Replacement comes round often and can't offer more: then it only checks that the node still knows the transaction.
    let caps = FeeCaps { max_priority_fee_per_gas: 1, ..FeeCaps::default() };
    let config = L1SenderConfig {
        fee_caps: caps,
        resubmit_timeout: Duration::from_millis(100),
        ..sender_config()
    };
    let (sender, _task) = start(&anvil, &provider, config).await;
    let first = within("send", sender.send(transfer(4, 1))).await.unwrap();
    let second = within("send", sender.send(transfer(4, 2))).await.unwrap();
    for hash in [first.hash, second.hash] {
        raw(&provider, "anvil_dropTransaction", json!([hash])).await;
    }
    eventually("broadcast", || async {
        provider.inner().get_transaction_by_hash(second.hash).await.unwrap()
    })
    .await;
    mine(&provider).await;
    within("first", first.receipt()).await.unwrap();
    within("second", second.receipt()).await.unwrap();
}

#[tokio::test]
async fn a_restart_adopts_what_is_in_flight() {
    let Some((anvil, provider)) = manual().await else { return };
    let (sender, task) = start(&anvil, &provider, sender_config()).await;
    let sent: [B256; 2] = [
        within("send", sender.send(transfer(5, 1))).await.unwrap().hash,
        within("send", sender.send(transfer(5, 2))).await.unwrap().hash,
    ];
    task.abort();
    drop(sender);

    let (sender, _task) = start(&anvil, &provider, sender_config()).await;
    assert_eq!(sender.status().borrow().in_flight, 2);
    // The same request is not sent twice; another one goes behind.
    let again = within("send", sender.send(transfer(5, 2))).await.unwrap();
    assert_eq!(again.hash, sent[1]);
    let new = within("send", sender.send(transfer(5, 3))).await.unwrap();
    mine(&provider).await;
    within("adopted", again.receipt()).await.unwrap();
    within("new", new.receipt()).await.unwrap();
    within("idle", sender.wait_idle()).await.unwrap();
    assert!(provider.inner().get_transaction_receipt(sent[0]).await.unwrap().is_some());
    assert_eq!(provider.inner().get_balance(Address::repeat_byte(5)).await.unwrap(), U256::from(6));
}

#[tokio::test]
async fn what_a_reorganisation_undid_is_sent_again() {
    let Some((anvil, provider)) = manual().await else { return };
    let snapshot = raw(&provider, "evm_snapshot", json!([])).await;
    let (sender, _task) = start(&anvil, &provider, sender_config()).await;
    let pending = within("send", sender.send(transfer(6, 1))).await.unwrap();
    let hash = pending.hash;
    mine(&provider).await;
    within("receipt", pending.receipt()).await.unwrap();
    raw(&provider, "evm_revert", json!([snapshot])).await;
    // The slow check of an idle sender notices; a new request would at once.
    let next = within("send", sender.send(transfer(6, 2))).await;
    eventually("broadcast", || async {
        provider.inner().get_transaction_by_hash(hash).await.unwrap()
    })
    .await;
    mine(&provider).await;
    eventually("mined again", || async {
        provider.inner().get_transaction_receipt(hash).await.unwrap()
    })
    .await;
    if let Ok(next) = next {
        within("next", next.receipt()).await.unwrap();
    }
}

#[tokio::test]
async fn mined_reverts_carry_the_reason() {
    let Some((anvil, provider)) = manual().await else { return };
    let state = anvil.discover(&provider).await;
    let (sender, _task) = start(&anvil, &provider, sender_config()).await;
    // Behind a transaction in flight a call that fails is not simulated to the end on every node: it goes out, or is refused at once.
    let _first = within("send", sender.send(transfer(7, 1))).await.unwrap();
    let garbage = zkos_l1::contracts::revert_calldata(Address::repeat_byte(9), 1);
    let result =
        sender.send(L1TxRequest::call("revert", state.contracts.validator_timelock, garbage)).await;
    mine(&provider).await;
    match result {
        Ok(pending) => {
            let error = within("receipt", pending.receipt()).await.unwrap_err();
            let SendError::Reverted { reason, .. } = &error else { panic!("{error}") };
            assert!(reason.is_some(), "{error}");
        }
        Err(error) => assert!(matches!(error, SendError::WouldRevert { .. }), "{error}"),
    }
}

#[tokio::test]
async fn a_key_without_funds_waits_for_them() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x11)).unwrap();
    let address = signer.address();
    let (sender, task) = L1Sender::new(provider.clone(), signer, sender_config()).await.unwrap();
    tokio::spawn(task.run());
    let sending = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(transfer(8, 0)).await }
    });
    let mut status = sender.status();
    within(
        "report",
        status.wait_for(|status| {
            status.waiting.as_ref().is_some_and(|why| why.contains("too little ether"))
        }),
    )
    .await
    .unwrap();
    raw(&provider, "anvil_setBalance", json!([address, ether(1)])).await;
    let pending = within("send", sending).await.unwrap().unwrap();
    within("receipt", pending.receipt()).await.unwrap();
}

#[tokio::test]
async fn an_l1_that_goes_away_is_waited_for() {
    let Some(mut anvil) = Anvil::start(&[]).await else { return };
    let provider = anvil.provider().await;
    let (sender, task) = start(&anvil, &provider, sender_config()).await;
    anvil.stop();
    let sending = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(transfer(9, 1)).await }
    });
    let mut status = sender.status();
    within(
        "report",
        status.wait_for(|status| {
            status.waiting.as_ref().is_some_and(|why| why.contains("l1 request failed"))
        }),
    )
    .await
    .unwrap();
    anvil.restart();
    let pending = within("send", sending).await.unwrap().unwrap();
    within("receipt", pending.receipt()).await.unwrap();
    assert!(!task.is_finished());
}

#[tokio::test]
async fn blob_transactions_are_sent_and_replaced_with_their_blobs() {
    let Some((anvil, provider)) = manual().await else { return };
    let config = L1SenderConfig { resubmit_timeout: Duration::from_millis(300), ..sender_config() };
    let (sender, _task) = start(&anvil, &provider, config).await;
    let sidecar: BlobTransactionSidecar =
        SidecarBuilder::<SimpleCoder>::from_slice(b"pubdata").build_4844().unwrap();
    let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
    let request = L1TxRequest { sidecar: Some(Arc::new(sidecar.into())), ..transfer(10, 1) };
    let pending = within("send", sender.send(request)).await.unwrap();
    let (first, address) = (pending.hash, sender.address());
    let old = provider.inner().get_transaction_by_hash(first).await.unwrap().unwrap();
    assert_eq!(old.blob_versioned_hashes(), Some(&hashes[..]));
    let nonce = old.nonce();
    let new = eventually("replacement", || async {
        let tx = provider.inner().get_transaction_by_sender_nonce(address, nonce).await.unwrap()?;
        (tx.tx_hash() != first).then_some(tx)
    })
    .await;
    assert!(max_fee(&new) >= max_fee(&old) * 2);
    assert!(new.max_fee_per_blob_gas().unwrap() >= old.max_fee_per_blob_gas().unwrap() * 2);
    assert_eq!(new.blob_versioned_hashes(), Some(&hashes[..]));
    mine(&provider).await;
    let receipt = within("receipt", pending.receipt()).await.unwrap();
    assert!(receipt.blob_gas_used.is_some_and(|gas| gas > 0));
}
