//! The example's binary against a real L1, with a real token; killed, restarted, its file deleted.

#![allow(unreachable_pub)] // the harness is a module of a test binary

#[allow(dead_code)] // shared with the node's own tests, which use more of it
#[path = "../../../tests/e2e/harness.rs"]
mod harness;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionReceipt, TransactionRequest};
use alloy_sol_types::{SolCall, sol};
use harness::{DEADLINE, L1, Node, RICH, RICH_KEY, wait_for};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_exex-indexer");

sol! {
    function transfer(address to, uint256 value) external returns (bool);
}

const SUPPLY: u64 = 1_000_000;
const SOMEBODY: Address = Address::repeat_byte(0x77);

/// An ERC-20 in EVM assembly. The constructor gives [`SUPPLY`] to the deployer and logs it; `transfer` checks and moves balances, logs, and returns true.
fn token() -> Bytes {
    // balances[caller] = supply; emit Transfer(0, caller, supply)
    let constructor = hex!(
        "620f4240335f525f6020528060405f20555f52335f"
        "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa3"
    );
    let runtime = hex!(
        "5f3560e01c63a9059cbb146012575b5f5ffd5b335f525f60205260405f208054602435808210600e"
        "578091039091556004355f5260405f208054820190555f52600435337fddf252ad1be2c89b69c2b0"
        "68fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa360015f5260205ff3"
    );
    let (size, offset) = (u8::try_from(runtime.len()), u8::try_from(constructor.len() + 9));
    let deploy = [0x60, size.unwrap(), 0x80, 0x60, offset.unwrap(), 0x5f, 0x39, 0x5f, 0xf3];
    [&constructor[..], &deploy, &runtime].concat().into()
}

async fn send(node: &Node, request: TransactionRequest) -> TransactionReceipt {
    let pending = node.wallet(RICH_KEY).send_transaction(request).await.unwrap();
    let receipt = pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap();
    assert!(receipt.status());
    receipt
}

async fn transfer(node: &Node, token: Address, value: u64) -> Row {
    let call = transferCall { to: SOMEBODY, value: U256::from(value) };
    let request = TransactionRequest::default().with_to(token).with_input(call.abi_encode());
    row(&send(node, request).await, RICH, SOMEBODY, value)
}

/// A row of the table `transfers`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    block: u64,
    log_index: u64,
    tx: String,
    token: String,
    sender: String,
    recipient: String,
    value: String,
}

/// What the index should have of a transaction with one transfer.
fn row(receipt: &TransactionReceipt, sender: Address, recipient: Address, value: u64) -> Row {
    let log = &receipt.inner.logs()[0];
    Row {
        block: log.block_number.unwrap(),
        log_index: log.log_index.unwrap(),
        tx: log.transaction_hash.unwrap().to_string(),
        token: log.address().to_string(),
        sender: sender.to_string(),
        recipient: recipient.to_string(),
        value: value.to_string(),
    }
}

/// Last block and all rows; none while there is no file.
fn read(file: &Path) -> Option<(u64, Vec<Row>)> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let head = connection.query_row("SELECT max(number) FROM blocks", [], |row| row.get(0)).ok()?;
    let mut query = connection
        .prepare(
            "SELECT block_number, log_index, tx_hash, token, sender, recipient, value
             FROM transfers ORDER BY block_number, log_index",
        )
        .ok()?;
    let rows = query.query_map([], |row| {
        Ok(Row {
            block: row.get(0)?,
            log_index: row.get(1)?,
            tx: row.get(2)?,
            token: row.get(3)?,
            sender: row.get(4)?,
            recipient: row.get(5)?,
            value: row.get(6)?,
        })
    });
    Some((head, rows.ok()?.map(Result::unwrap).collect()))
}

/// All rows, once a block is indexed.
async fn rows_at(file: &Path, block: u64) -> Vec<Row> {
    wait_for(&format!("block {block} to be indexed"), || async {
        read(file).filter(|(head, _)| *head >= block).map(|(_, rows)| rows)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_indexed_through_kills_and_deletion() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    let file = node.datadir.join("erc20.sqlite");
    node.wait_funded().await;

    let deployed = send(&node, TransactionRequest::default().with_deploy_code(token())).await;
    let token = deployed.contract_address.unwrap();
    let mut expected = vec![row(&deployed, Address::ZERO, RICH, SUPPLY)];
    for value in 1..=3 {
        expected.push(transfer(&node, token, value).await);
    }
    let last = expected.last().unwrap().block;
    assert_eq!(rows_at(&file, last).await, expected);

    // Killed with transfers on the way.
    expected.push(transfer(&node, token, 4).await);
    node.kill().await;
    node.launch().await;
    expected.push(transfer(&node, token, 5).await);
    let last = expected.last().unwrap().block;
    assert_eq!(rows_at(&file, last).await, expected);

    // The same as the node's own logs say, which the index was not made from.
    let filter = Filter::new().address(token).from_block(0);
    let logs = node.provider().get_logs(&filter).await.unwrap();
    let places: Vec<_> = logs.iter().map(|log| (log.block_number, log.log_index)).collect();
    let indexed: Vec<_> =
        expected.iter().map(|row| (Some(row.block), Some(row.log_index))).collect();
    assert_eq!(places, indexed);

    // Deleted: all blocks are executed again, down from genesis.
    assert!(node.terminate().await.success());
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(file.with_file_name(format!("erc20.sqlite{end}")));
    }
    assert!(!file.exists());
    node.launch().await;
    assert_eq!(rows_at(&file, last).await, expected);
    let hash: String = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .unwrap()
        .query_row("SELECT hash FROM blocks WHERE number = ?1", [last], |row| row.get(0))
        .unwrap();
    let block = node.provider().get_block_by_number(last.into()).await.unwrap().unwrap();
    assert_eq!(hash.parse::<B256>().unwrap(), block.header.hash);

    // An index of something else is refused by name, and the node does not run without it.
    assert!(node.terminate().await.success());
    let other = Connection::open(&file).unwrap();
    other.execute("UPDATE blocks SET hash = 'other' WHERE number = 0", []).unwrap();
    drop(other);
    node.spawn();
    assert!(!node.process().wait_exit().await.success());
    let output = node.process().output();
    assert!(output.contains("erc20.sqlite") && output.contains("another chain"), "{output}");
}
