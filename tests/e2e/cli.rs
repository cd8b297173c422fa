//! The other commands.

use crate::harness::{DEADLINE, free_port, repository, zkos};
use std::time::Instant;

fn stdout(args: &[&str], vars: &[(&str, &str)]) -> String {
    let mut command = zkos();
    command.args(args).envs(vars.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn config_shows_values_sources_and_no_secrets() {
    let key = "11".repeat(32);
    let text = stdout(
        &["config", "--http.port=1234"],
        &[("l1_sender_operator_commit_pk", &key), ("SEQUENCER_BLOCK_TIME", "1s")],
    );
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} in {text}"))
    };
    assert!(line("http.port").contains("1234") && line("http.port").contains("flag"));
    assert!(line("sequencer.block-time").contains("env SEQUENCER_BLOCK_TIME"));
    assert!(line("chain.id").contains("270") && line("chain.id").contains("default"));
    assert!(line("l1-sender.operator-commit-key").contains("<redacted>"));
    assert!(!text.contains(&key));
}

#[test]
fn version_and_help_answer() {
    assert!(stdout(&["--version"], &[]).starts_with("zkos "));
    let help = stdout(&["node", "--help"], &[]);
    for flag in ["--http.port", "--l1.rpc-url", "--batcher.batch-timeout", "--dev"] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_starts_an_l1_of_its_own() {
    let dir = tempfile::TempDir::new().unwrap();
    let port = free_port();
    let mut command = zkos();
    command.args([
        "node",
        "--dev",
        &format!("--dev.anvil={}", repository().join("etc/l1/bin/anvil").display()),
        &format!("--datadir={}", dir.path().join("db").display()),
        &format!("--http.port={port}"),
        "--metrics.enabled=false",
        "--status.enabled=false",
    ]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let client = reqwest::Client::new();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x36615Cf349d7F6344891B1e7CA7C72883F5dc049","latest"]}"#;
    let funded = loop {
        let answer = client
            .post(format!("http://127.0.0.1:{port}"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        if let Ok(answer) = answer
            && let Ok(value) = answer.json::<serde_json::Value>().await
            && value["result"].as_str().is_some_and(|balance| balance.len() > 16)
        {
            break true;
        }
        if started.elapsed() > DEADLINE {
            break false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let status = child.wait().unwrap();
    assert!(funded, "the rich account has no funds");
    assert!(status.success());
}
