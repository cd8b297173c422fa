//! Ends of all kinds, and what must be there afterwards.

use crate::harness::{L1, Node, RICH_KEY, wait_for};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::{BlockNumberOrTag, Encodable2718};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, B256, TxHash, TxKind, U256};
use alloy_provider::Provider;
use alloy_signer_local::PrivateKeySigner;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

const SOMEBODY: Address = Address::repeat_byte(0x77);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_then_restart_keeps_the_chain() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (hash, block) = node.transfer(SOMEBODY, 1).await;
    let hashes = node.block_hashes().await;
    assert!(node.terminate().await.success(), "SIGTERM must end the node with status 0");

    node.launch().await;
    let again = node.block_hashes().await;
    assert_eq!(again[..hashes.len()], hashes);
    let receipt = node.provider().get_transaction_receipt(hash).await.unwrap().unwrap();
    assert_eq!(receipt.block_number, Some(block));
    let (_, later) = node.transfer(SOMEBODY, 1).await;
    assert!(later > block);
    node.wait_finalized(later).await;
    assert_eq!(node.provider().get_balance(SOMEBODY).await.unwrap(), U256::from(2));
}

/// Sends transfers one after the other until told to stop; notes every receipt that the node showed.
async fn send_and_note(
    node_url: String,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<HashMap<TxHash, (u64, B256)>>>,
    first_nonce: u64,
) {
    let provider = alloy_provider::ProviderBuilder::new().connect_http(node_url.parse().unwrap());
    let signer: PrivateKeySigner = RICH_KEY.parse().unwrap();
    let mut pending: Vec<TxHash> = Vec::new();
    let mut nonce = first_nonce;
    while !stop.load(Ordering::SeqCst) {
        let mut tx = TxEip1559 {
            chain_id: 270,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(SOMEBODY),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = signer.sign_transaction_sync(&mut tx).unwrap();
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        // After the kill every call fails; that ends the loop through `stop`.
        if let Ok(sent) = provider.send_raw_transaction(&raw).await {
            pending.push(*sent.tx_hash());
            nonce += 1;
        } else {
            tokio::task::yield_now().await;
        }
        let mut rest = Vec::new();
        for hash in pending.drain(..) {
            match provider.get_transaction_receipt(hash).await {
                Ok(Some(receipt)) => {
                    let place = (receipt.block_number.unwrap(), receipt.block_hash.unwrap());
                    seen.lock().unwrap().insert(hash, place);
                }
                _ => rest.push(hash),
            }
        }
        pending = rest;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_nothing_that_was_reported() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &["--sequencer.block-time=20ms"]).await;
    node.wait_funded().await;
    let mut reported: HashMap<TxHash, (u64, B256)> = HashMap::new();
    for round in 1..=3usize {
        let nonce = node.provider().get_transaction_count(crate::harness::RICH).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let sender = tokio::spawn(send_and_note(node.url(), stop.clone(), seen.clone(), nonce));
        // Killed in full flow: at least thirty receipts were seen and the sender is still at it.
        wait_for("receipts", || async { (seen.lock().unwrap().len() >= 30 * round).then_some(()) })
            .await;
        node.kill().await;
        stop.store(true, Ordering::SeqCst);
        sender.await.unwrap();
        reported.extend(seen.lock().unwrap().drain());

        node.launch().await;
        let provider = node.provider();
        for (hash, place) in &reported {
            let receipt = provider.get_transaction_receipt(*hash).await.unwrap();
            let receipt =
                receipt.unwrap_or_else(|| panic!("lost transaction {hash} of block {place:?}"));
            assert_eq!((receipt.block_number.unwrap(), receipt.block_hash.unwrap()), *place);
        }
    }
    // Settlement goes on.
    let (_, block) = node.transfer(SOMEBODY, 1).await;
    node.wait_finalized(block).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn derived_databases_may_be_deleted() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (hash, block) = node.transfer(SOMEBODY, 1).await;
    node.wait_finalized(block).await;
    let hashes = node.block_hashes().await;
    assert!(node.terminate().await.success());
    for database in ["state", "preimages", "repository", "tree"] {
        std::fs::remove_dir_all(node.datadir.join(database)).unwrap();
    }
    node.launch().await;
    assert_eq!(node.block_hashes().await[..hashes.len()], hashes);
    assert!(node.provider().get_transaction_receipt(hash).await.unwrap().is_some());
    let (_, later) = node.transfer(SOMEBODY, 1).await;
    node.wait_finalized(later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_that_goes_away_delays_settlement_and_nothing_else() {
    let mut l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (_, block) = node.transfer(SOMEBODY, 1).await;
    node.wait_finalized(block).await;

    l1.stop().await;
    let (_, during) = node.transfer(SOMEBODY, 1).await;
    assert!(during > block, "blocks are produced while L1 is away");
    let finalized = node.block(BlockNumberOrTag::Finalized).await;
    assert!(finalized < during);
    assert!(node.process().exited().is_none());

    l1.resume().await;
    node.wait_finalized(during).await;
    // A deposit made after the outage arrives too.
    let before = node.provider().get_balance(SOMEBODY).await.unwrap();
    let status = crate::harness::zkos()
        .args([
            "deposit",
            "--amount=5",
            &format!("--to={SOMEBODY}"),
            &format!("--l1.rpc-url={}", l1.url()),
        ])
        .args(["--private-key", RICH_KEY])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let provider = node.provider();
    wait_for("the deposit", || async {
        let balance = provider.get_balance(SOMEBODY).await.ok()?;
        // What the L2 side did not use of its fee is refunded to the recipient too.
        (balance >= before + U256::from(5)).then_some(())
    })
    .await;
}
