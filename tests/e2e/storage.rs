//! Databases under the real node: killed, deleted, copied, checked.

use crate::harness::{L1, Node, repository, wait_for, zkos};
use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use std::path::Path;

const SOMEBODY: Address = Address::repeat_byte(0x78);

/// Runs `zkos db ..`.
fn db(datadir: &Path, args: &[&str]) -> (bool, String) {
    let mut command = zkos();
    command.arg("db").arg(format!("--datadir={}", datadir.display())).args(args);
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

fn db_ok(datadir: &Path, args: &[&str]) -> String {
    let (success, text) = db(datadir, args);
    assert!(success, "zkos db {args:?}: {text}");
    text
}

/// `make torture` does the same with more cycles.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_nothing() {
    let outcome = zkos_torture::run(zkos_torture::Options {
        cycles: 4,
        seed: 11,
        zkos: env!("CARGO_BIN_EXE_zkos").into(),
        l1: repository().join("etc/l1"),
        accounts: 8,
        verify_every: 2,
        dir: None,
    })
    .await;
    assert!(outcome.is_success(), "{outcome}: {:#?}", outcome.failures);
    assert_eq!(outcome.cycles, 4);
    assert!(outcome.acknowledged > 0 && outcome.blocks > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_running_node_starts_a_node() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (hash, block) = node.transfer(SOMEBODY, 1).await;
    let copies = tempfile::TempDir::new().unwrap();
    let copy = copies.path().join("copy");
    let copy_arg = copy.display().to_string();
    let text = db_ok(&node.datadir, &["checkpoint", "create", &copy_arg]);
    assert!(text.contains("made checkpoint"), "{text}");
    // The node has gone on, and its databases can be looked at.
    let (_, later) = node.transfer(SOMEBODY, 1).await;
    assert!(later > block);
    assert!(db_ok(&node.datadir, &["verify"]).contains("no problem found"));
    assert!(db_ok(&node.datadir, &["stats"]).contains("block_replay_wal"));
    for refused in [&["rebuild", "state"][..], &["checkpoint", "restore", &copy_arg, "--replace"]] {
        let (success, text) = db(&node.datadir, refused);
        assert!(!success && text.contains("in use by process"), "{text}");
    }
    assert!(!db(&node.datadir, &["checkpoint", "create", &copy_arg]).0);
    assert!(node.terminate().await.success());

    let mut second = Node::new(&l1, &["--batcher.enabled=false"]);
    std::fs::create_dir_all(&second.datadir).unwrap();
    db_ok(&second.datadir, &["checkpoint", "restore", &copy_arg]);
    assert!(db_ok(&second.datadir, &["verify"]).contains("no problem found"));
    second.launch().await;
    let receipt = second.provider().get_transaction_receipt(hash).await.unwrap().unwrap();
    assert_eq!(receipt.block_number, Some(block));
    assert!(second.provider().get_balance(SOMEBODY).await.unwrap() >= U256::from(1));
    second.transfer(SOMEBODY, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_and_rebuilt() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    let (hash, block) = node.transfer(SOMEBODY, 5).await;
    node.wait_finalized(block).await;
    assert!(node.terminate().await.success());
    // Journals become tables at the next start.
    node.launch().await;
    assert!(node.terminate().await.success());

    let database = node.datadir.join("repository");
    let tables: Vec<_> = std::fs::read_dir(&database)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .collect();
    assert!(!tables.is_empty());
    for table in &tables {
        let mut bytes = std::fs::read(table).unwrap();
        bytes[8] ^= 0x10;
        std::fs::write(table, bytes).unwrap();
    }
    let (success, text) = db(&node.datadir, &["verify"]);
    assert!(!success && text.contains("PROBLEM: repository") && text.contains(".sst"), "{text}");
    let text = db_ok(&node.datadir, &["rebuild", "repository"]);
    assert!(text.contains("deleted repository"), "{text}");
    node.launch().await;
    let receipt = node.provider().get_transaction_receipt(hash).await.unwrap().unwrap();
    assert_eq!(receipt.block_number, Some(block));
    assert!(node.terminate().await.success());
    assert!(db_ok(&node.datadir, &["verify"]).contains("no problem found"));
}

/// The names of the tree's files.
fn tree_files(datadir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(datadir.join("tree")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "chain");
    names.sort();
    names
}

/// Version, root and leaf count of the tree, and what is wrong with it.
fn verified_tree(datadir: &Path) -> (serde_json::Value, serde_json::Value) {
    let mut command = zkos();
    command.arg("db").arg(format!("--datadir={}", datadir.display())).args(["verify", "--json"]);
    let output = command.output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (report["tree"].clone(), report["problems"].clone())
}

async fn wait_tree(node: &Node, block: u64) {
    let url = format!("http://127.0.0.1:{}/metrics", node.metrics_port);
    wait_for("the state tree to have all blocks", || async {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        let head = text.lines().find_map(|line| line.strip_prefix("batcher_tree_block "))?;
        (head.parse::<f64>().ok()? >= block as f64).then_some(())
    })
    .await;
}

/// The tree follows from the blocks: whatever happens to its files while the node is stopped, the
/// next start gives the same tree, or leaves alone what only `zkos db verify` reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_damaged_files_is_built_again() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    node.wait_funded().await;
    for value in 1..4 {
        node.transfer(Address::repeat_byte(value), value.into()).await;
    }
    let (_, block) = node.transfer(SOMEBODY, 5).await;
    node.wait_finalized(block).await;
    assert!(node.terminate().await.success());
    let (tree, problems) = verified_tree(&node.datadir);
    assert_eq!(problems, serde_json::json!([]));
    let block = tree["version"].as_u64().unwrap();

    let kinds = ["keys-", "leaves", "log-", "manifest", "nodes", "versions"];
    for kind in kinds {
        for cut in [false, true] {
            let names = tree_files(&node.datadir);
            // The oldest file of the log has the history.
            let damaged = names.iter().find(|name| {
                let path = node.datadir.join("tree").join(name);
                name.starts_with(kind) && std::fs::metadata(path).unwrap().len() > 0
            });
            let name = damaged.unwrap_or_else(|| panic!("no {kind} among {names:?}"));
            let path = node.datadir.join("tree").join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            if cut {
                bytes.truncate(bytes.len() * 2 / 5);
            } else {
                let middle = if kind == "manifest" { 30 } else { bytes.len() / 2 };
                bytes[middle] ^= 0x40;
            }
            std::fs::write(&path, bytes).unwrap();
            node.launch().await;
            wait_tree(&node, block).await;
            assert!(node.terminate().await.success());
            let (found, problems) = verified_tree(&node.datadir);
            let problems = problems.as_array().unwrap();
            let history = |problem: &serde_json::Value| {
                problem["what"].as_str().unwrap().contains("file log-")
            };
            assert!(
                problems.iter().all(|problem| kind == "log-" && history(problem)),
                "{name}: {problems:?}"
            );
            if problems.is_empty() {
                assert_eq!(found, tree, "{name} cut: {cut}");
            } else {
                // Told, not healed: nothing needed that part of the log.
                db_ok(&node.datadir, &["rebuild", "tree"]);
                node.launch().await;
                wait_tree(&node, block).await;
                assert!(node.terminate().await.success());
                assert_eq!(verified_tree(&node.datadir), (tree.clone(), serde_json::json!([])));
            }
        }
    }
    // And the chain goes on.
    node.launch().await;
    let (_, later) = node.transfer(SOMEBODY, 1).await;
    node.wait_finalized(later).await;
}
