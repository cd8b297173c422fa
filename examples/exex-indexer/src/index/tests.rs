//! The file over made-up logs on real blocks.

use super::*;
use crate::transfer::Transfer;
use alloy_primitives::{Address, Bytes, Log, LogData, U256};
use alloy_sol_types::SolEvent;
use std::sync::Arc;
use zkos_exex::test_utils::{TestExExHandle, test_exex_context};

const TOKEN: Address = Address::repeat_byte(0xAB);
const ALICE: Address = Address::repeat_byte(1);
const BOB: Address = Address::repeat_byte(2);

fn transfer(from: Address, to: Address, value: U256) -> Log {
    let event = Transfer { from, to, value };
    Log { address: TOKEN, data: event.encode_log_data() }
}

fn nft() -> Log {
    let topics =
        vec![Transfer::SIGNATURE_HASH, ALICE.into_word(), BOB.into_word(), B256::with_last_byte(1)];
    Log { address: TOKEN, data: LogData::new_unchecked(topics, Bytes::new()) }
}

/// The next block, as if its transaction had logged this.
fn block(node: &TestExExHandle, logs: Vec<Log>) -> ExecutedBlock {
    let mut block = node.next_l1_block().unwrap();
    let mut receipts = block.receipts.to_vec();
    receipts[0].logs = logs;
    block.receipts = Arc::new(receipts);
    block
}

fn committed(blocks: &[ExecutedBlock]) -> ExExNotification {
    Chain::new(blocks.to_vec()).unwrap().into()
}

fn reverted(blocks: &[ExecutedBlock]) -> ExExNotification {
    committed(blocks).into_inverted()
}

/// Block, log index, sender, recipient, value of all transfers.
fn rows(index: &Index) -> Vec<(i64, i64, String, String, String)> {
    let mut query = index
        .connection
        .prepare(
            "SELECT block_number, log_index, sender, recipient, value FROM transfers ORDER BY 1, 2",
        )
        .unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn row(
    block: i64,
    log: i64,
    from: Address,
    to: Address,
    value: U256,
) -> (i64, i64, String, String, String) {
    (block, log, from.to_string(), to.to_string(), value.to_string())
}

struct Fixture {
    node: TestExExHandle,
    genesis: B256,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (ctx, node) = test_exex_context();
        Self { node, genesis: ctx.head.hash, dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Index {
        Index::open(&self.dir.path().join("index.sqlite"), self.genesis).unwrap()
    }
}

#[tokio::test]
async fn transfers_are_indexed_and_found_after_a_restart() {
    let fixture = Fixture::new();
    let one = U256::from(1);
    let blocks = [
        block(
            &fixture.node,
            vec![transfer(Address::ZERO, ALICE, U256::MAX), nft(), transfer(ALICE, BOB, one)],
        ),
        block(&fixture.node, vec![nft()]),
        block(&fixture.node, vec![transfer(BOB, ALICE, one)]),
    ];
    let mut index = fixture.open();
    assert_eq!(index.head().unwrap(), BlockNumHash::new(0, fixture.genesis));
    assert_eq!(index.apply(&committed(&blocks[..2])).unwrap(), blocks[1].num_hash());
    drop(index);

    let mut index = fixture.open();
    assert_eq!(index.head().unwrap(), blocks[1].num_hash());
    assert_eq!(index.apply(&committed(&blocks[2..])).unwrap(), blocks[2].num_hash());
    // The skipped log of the other standard still counts: the index is that of eth_getLogs.
    let expected = [
        row(1, 0, Address::ZERO, ALICE, U256::MAX),
        row(1, 2, ALICE, BOB, one),
        row(3, 0, BOB, ALICE, one),
    ];
    assert_eq!(rows(&index), expected);
    // Addresses are found in any spelling.
    for spelling in [TOKEN.to_string(), format!("{TOKEN:#x}")] {
        let count: i64 = index
            .connection
            .query_row("SELECT count(*) FROM transfers WHERE token = ?1", [spelling], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(count, 3);
    }
}

#[tokio::test]
async fn blocks_that_come_twice_are_indexed_once() {
    let fixture = Fixture::new();
    let blocks: Vec<_> =
        (1..=3).map(|i| block(&fixture.node, vec![transfer(ALICE, BOB, U256::from(i))])).collect();
    let mut index = fixture.open();
    index.apply(&committed(&blocks[..2])).unwrap();
    let before = rows(&index);
    assert_eq!(index.apply(&committed(&blocks[..2])).unwrap(), blocks[1].num_hash());
    assert_eq!(index.apply(&committed(&blocks[..1])).unwrap(), blocks[1].num_hash());
    assert_eq!(rows(&index), before);
    // Overlapping.
    assert_eq!(index.apply(&committed(&blocks)).unwrap(), blocks[2].num_hash());
    assert_eq!(rows(&index).len(), 3);
}

#[tokio::test]
async fn reverted_blocks_leave_with_their_transfers() {
    let fixture = Fixture::new();
    let blocks: Vec<_> =
        (1..=3).map(|i| block(&fixture.node, vec![transfer(ALICE, BOB, U256::from(i))])).collect();
    let mut index = fixture.open();
    index.apply(&committed(&blocks)).unwrap();
    assert_eq!(index.apply(&reverted(&blocks[1..])).unwrap(), blocks[0].num_hash());
    assert_eq!(rows(&index), [row(1, 0, ALICE, BOB, U256::from(1))]);

    // Other blocks in their place, in one notification.
    let other = Fixture::new();
    let mut replaced = vec![block(&other.node, vec![])];
    replaced.push(other.node.next_block(Vec::new()).unwrap());
    index.apply(&committed(&blocks[1..])).unwrap();
    let reorg = ExExNotification::ChainReorged {
        old: Arc::new(Chain::new(blocks[1..].to_vec()).unwrap()),
        new: Arc::new(Chain::new(replaced[1..].to_vec()).unwrap()),
    };
    assert_eq!(index.apply(&reorg).unwrap(), replaced[1].num_hash());
    assert_eq!(rows(&index).len(), 1);
}

#[tokio::test]
async fn blocks_that_do_not_fit_change_nothing() {
    let fixture = Fixture::new();
    let blocks: Vec<_> =
        (1..=3).map(|i| block(&fixture.node, vec![transfer(ALICE, BOB, U256::from(i))])).collect();
    let other = Fixture::new();
    let foreign: Vec<_> = (0..3).map(|_| other.node.next_block(Vec::new()).unwrap()).collect();
    let mut index = fixture.open();
    index.apply(&committed(&blocks[..1])).unwrap();
    let before = rows(&index);

    let error = index.apply(&committed(&blocks[2..])).unwrap_err();
    assert!(matches!(error, IndexError::Gap { first: 3, last: 1 }), "{error}");
    // Another block 1; another block 2, whose parent is not ours; taking back what was never there.
    for notification in
        [committed(&foreign[..1]), committed(&foreign[1..2]), reverted(&foreign[..1])]
    {
        let error = index.apply(&notification).unwrap_err();
        assert!(
            matches!(error, IndexError::Mismatch { number: 1, .. }),
            "{notification:?}: {error}"
        );
    }
    // Half of it fits: none of it is taken.
    let mut half = blocks.clone();
    half[2] = foreign[2].clone();
    let error = index.apply(&committed(&half)).unwrap_err();
    assert!(matches!(error, IndexError::Mismatch { number: 2, .. }), "{error}");
    assert_eq!(rows(&index), before);
    assert_eq!(index.head().unwrap(), blocks[0].num_hash());
}

#[tokio::test]
async fn files_of_something_else_are_refused() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("index.sqlite");
    let other = B256::repeat_byte(9);
    drop(fixture.open());
    let error = Index::open(&path, other).unwrap_err();
    assert!(matches!(error, IndexError::OtherChain { expected, .. } if expected == other));

    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = Index::open(&path, fixture.genesis).unwrap_err();
    assert!(matches!(error, IndexError::Version { found: 7 }), "{error}");

    let path = fixture.dir.path().join("notes.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let error = Index::open(&path, fixture.genesis).unwrap_err();
    assert!(matches!(error, IndexError::Foreign), "{error}");
}
