//! Wrong surroundings: the node says what is wrong and what to do, and ends.

use crate::harness::{L1, Node, free_port, repository, zkos};
use std::process::Command;

/// Runs a command that must fail, and gives what it said.
pub fn failing(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!output.status.success(), "{command:?} must fail:\n{text}");
    text
}

pub fn assert_says(text: &str, parts: &[&str]) {
    let lower = text.to_lowercase();
    for part in parts {
        assert!(lower.contains(&part.to_lowercase()), "`{part}` is missing in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_l1_is_named() {
    let l1 = L1::start().await;
    let nobody = "0x00000000000000000000000000000000000000aa";
    let node = Node::new(&l1, &[&format!("--l1.bridgehub-address={nobody}")]);
    assert_says(
        &failing(node.command()),
        &["no contract at bridgehub", &nobody[2..], "bridgehub address"],
    );

    let node = Node::new(&l1, &["--chain.id=271"]);
    assert_says(&failing(node.command()), &["chain 271 is not registered", "270"]);

    // Another genesis: one balance more in the storage.
    let mut genesis: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(repository().join("genesis.json")).unwrap())
            .unwrap();
    genesis["genesis_root"] = serde_json::Value::String(format!("0x{}", "12".repeat(32)));
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("genesis.json");
    std::fs::write(&path, genesis.to_string()).unwrap();
    let node = Node::new(&l1, &[&format!("--chain.genesis={}", path.display())]);
    assert_says(&failing(node.command()), &["genesis"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_l1_is_named() {
    let mut command = zkos();
    let dir = tempfile::TempDir::new().unwrap();
    command.args([
        "node",
        &format!("--l1.rpc-url=http://127.0.0.1:{}/key", free_port()),
        &format!("--datadir={}", dir.path().display()),
        "--l1.startup-timeout=1s",
    ]);
    let text = failing(command);
    assert_says(&text, &["l1", "127.0.0.1"]);
    assert!(!text.contains("/key"), "the path of the URL may be a secret:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_or_equal_keys_are_named() {
    let l1 = L1::start().await;
    let key = format!("0x{}", "11".repeat(32));
    let node = Node::new(
        &l1,
        &[
            &format!("--l1-sender.operator-commit-key={key}"),
            &format!("--l1-sender.operator-prove-key={key}"),
        ],
    );
    let text = failing(node.command());
    assert_says(&text, &["commit", "prove", "differ"]);
    assert!(!text.contains(&key));

    let node = Node::new(&l1, &[&format!("--l1-sender.operator-commit-key={key}")]);
    assert_says(&failing(node.command()), &["COMMITTER_ROLE"]);
}

#[test]
fn unknown_configuration_is_named() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("zkos.toml");
    std::fs::write(&path, "[sequencer]\nblok-time = \"1s\"\n").unwrap();
    let mut command = zkos();
    command.args(["node", &format!("--config={}", path.display())]);
    assert_says(&failing(command), &["unknown key `sequencer.blok-time`", "zkos.toml"]);
    let mut command = zkos();
    command.args(["node", "--sequencer.blok-time=1s"]);
    assert_says(&failing(command), &["--sequencer.blok-time"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datadir_in_use_or_of_another_chain_is_refused() {
    let l1 = L1::start().await;
    let mut node = Node::start(&l1, &[]).await;
    let mut second = Node::new(&l1, &[]);
    second.datadir = node.datadir.clone();
    assert_says(&failing(second.command()), &["in use by process", "another directory"]);
    assert!(node.terminate().await.success());

    // Chain 271 does not exist on this L1; the data directory is looked at first.
    let mut other = Node::new(&l1, &["--chain.id=271", "--batcher.enabled=false"]);
    other.datadir = node.datadir.clone();
    let text = failing(other.command());
    assert_says(&text, &["271"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_get_an_error_and_do_no_harm() {
    let l1 = L1::start().await;
    let node = Node::start(&l1, &[]).await;
    let post = |body: &'static [u8]| {
        let url = node.url();
        async move {
            let client = reqwest::Client::new();
            let response = client
                .post(url)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .unwrap();
            response.text().await.unwrap()
        }
    };
    let code = |text: &str| -> i64 {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["error"]["code"].as_i64().unwrap()
    };
    assert_eq!(code(&post(b"{").await), -32700);
    assert_eq!(code(&post(b"\xff\xfe").await), -32700);
    assert_eq!(code(&post(br#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#).await), -32601);
    assert_eq!(
        code(
            &post(br#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#).await
        ),
        -32602
    );
    let raw = br#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02c0"]}"#;
    assert!(code(&post(raw).await) < 0);
    let l1_tx =
        br#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x7fc0"]}"#;
    assert!(code(&post(l1_tx).await) < 0);
    node.wait_funded().await;
}
