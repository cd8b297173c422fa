//! Batches of a running chain, verified from outside.

use crate::harness::{L1, Node, Process, zkos};
use alloy_primitives::Address;
use std::path::Path;

/// Runs `zkos verify-batch`; gives its success and what it printed.
async fn verify(arguments: &[&str]) -> (bool, String) {
    let mut command = zkos();
    command.arg("verify-batch").args(arguments);
    let mut process = Process::spawn(command);
    let status = process.wait_exit().await;
    (status.success(), process.output())
}

async fn verify_file(path: &Path) -> (bool, String) {
    verify(&[path.to_str().unwrap()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_verified_and_damaged_ones_refused() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (_, block) = node.transfer(Address::repeat_byte(0x77), 100).await;
    node.wait_finalized(block).await;

    // The first batch holds the upgrade transaction and the deployments of the genesis; the others deposits and the transfer.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("batch");
    let l1_url = format!("--l1.rpc-url={}", l1.url());
    let save = format!("--save={}", file.display());
    let mut batch = 0;
    loop {
        batch += 1;
        let number = batch.to_string();
        let arguments = ["--rpc", &node.url(), "--batch", &number, &l1_url, &save];
        let (ok, output) = verify(&arguments).await;
        assert!(ok, "{output}");
        assert!(output.contains("as claimed on L1 in transaction 0x"), "{output}");
        let blocks = output.lines().find_map(|line| line.strip_prefix("blocks ")).unwrap();
        let last: u64 = blocks.rsplit('=').next().unwrap().trim().parse().unwrap();
        let (ok, output) = verify_file(&file).await;
        assert!(ok, "{output}");
        if last >= block {
            break;
        }
    }

    let good = std::fs::read(&file).unwrap();
    // Header, blocks, leaves, preimages, claim: every part is there at one of these places.
    for part in 0..24 {
        let mut bytes = good.clone();
        let at = (good.len() - 1) * part / 23;
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let (ok, output) = verify_file(&file).await;
        assert!(!ok && output.contains("Error: "), "byte {at} of {}: {output}", good.len());
    }
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    let (ok, output) = verify_file(&file).await;
    assert!(!ok && output.contains("is no batch file"), "{output}");

    let (ok, output) = verify(&["--rpc", &node.url(), "--batch", "999999", &l1_url]).await;
    assert!(!ok && output.contains("the node has no batch 999999"), "{output}");
    let (ok, output) = verify(&["--rpc", "http://127.0.0.1:1", "--batch", "1", &l1_url]).await;
    assert!(!ok && output.contains("can't ask the node at 127.0.0.1"), "{output}");
    let (ok, output) = verify(&[]).await;
    assert!(!ok && output.contains("FILE"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_an_earlier_run_are_verified() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (_, block) = node.transfer(Address::repeat_byte(0x77), 100).await;
    node.wait_finalized(block).await;
    assert!(node.terminate().await.success());
    node.launch().await;
    let l1_url = format!("--l1.rpc-url={}", l1.url());
    let (ok, output) = verify(&["--rpc", &node.url(), "--batch", "1", &l1_url]).await;
    assert!(ok, "{output}");
}
