//! Real clients against the real binary: the libraries of `tests/clients`, and `cast`.

use crate::harness::{DEADLINE, L1, Node, Process, RICH_KEY, repository};
use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256, hex, keccak256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use serde_json::Value;
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a script, which has some twenty checks, may take on a loaded machine.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(300);

/// An L1, a node, and an account with ether on both that has no history: clients that look for a transaction by sender and nonce must not meet a deposit.
struct Setup {
    l1: L1,
    node: Node,
    account: PrivateKeySigner,
}

async fn setup(extra: &[&str]) -> Setup {
    let l1 = L1::start().await;
    let node = Node::start(&l1, extra).await;
    node.wait_funded().await;
    let account = PrivateKeySigner::random();
    let ten = U256::from(10) * U256::from(10).pow(U256::from(18));
    for wallet in [node.wallet(RICH_KEY), crate::data_availability::governor(&l1)] {
        let request = TransactionRequest::default().with_to(account.address()).with_value(ten);
        let pending = wallet.send_transaction(request).await.unwrap();
        assert!(pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap().status());
    }
    Setup { l1, node, account }
}

impl Setup {
    fn key(&self) -> String {
        self.account.to_bytes().to_string()
    }

    /// Runs a script of `tests/clients`; its output is the failure's.
    async fn run(&self, program: &str, script: &str, environment: &[(&str, String)]) {
        let folder = clients();
        let mut command = Command::new(program);
        command
            .arg(folder.join(script))
            .env("ZKOS_RPC_URL", self.node.url())
            .env("ZKOS_WS_URL", self.node.url().replacen("http", "ws", 1))
            .env("ZKOS_L1_RPC_URL", self.l1.url())
            .env("ZKOS_KEY", self.key())
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::spawn(command);
        let started = Instant::now();
        let status = loop {
            if let Some(status) = process.exited() {
                break status;
            }
            let late = started.elapsed() > SCRIPT_DEADLINE;
            assert!(!late, "{script} does not end:\n{}", process.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let output = process.output();
        assert!(status.success(), "{script} ended with {status}:\n{output}");
        // A script that ran nothing has not passed.
        assert!(output.contains("checks passed"), "{output}");
    }
}

/// Where a node puts its Unix socket.
struct Socket(TempDir);

impl Socket {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("node.ipc")
    }

    fn flag(&self) -> String {
        format!("--ipc.path={}", self.path().display())
    }

    fn variable(&self) -> (&'static str, String) {
        ("ZKOS_IPC_PATH", self.path().display().to_string())
    }
}

fn clients() -> PathBuf {
    let folder = repository().join("tests/clients");
    for part in ["node_modules/ethers", ".venv/bin/python"] {
        let path = folder.join(part);
        assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn ethers() {
    setup(&[]).await.run("node", "ethers.mjs", &[]).await;
}

/// With a Unix socket, too.
#[tokio::test(flavor = "multi_thread")]
async fn viem() {
    let socket = Socket::new();
    setup(&[&socket.flag()]).await.run("node", "viem.mjs", &[socket.variable()]).await;
}

/// With a Unix socket, too.
#[tokio::test(flavor = "multi_thread")]
async fn web3_py() {
    let (python, socket) = (clients().join(".venv/bin/python"), Socket::new());
    let setup = setup(&[&socket.flag()]).await;
    setup.run(python.to_str().unwrap(), "web3_py.py", &[socket.variable()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zksync_ethers() {
    setup(&[]).await.run("node", "zksync_ethers.mjs", &[]).await;
}

/// What is deployed is what the sources say.
#[test]
fn contracts_are_those_of_their_sources() {
    let output = Command::new("node")
        .arg(clients().join("contracts/compile.mjs"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `cast`, which asks a node.
struct Cast<'a> {
    setup: &'a Setup,
}

impl Cast<'_> {
    fn run(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(repository().join("etc/l1/bin/cast"))
            .args(args)
            .env("ETH_RPC_URL", self.setup.node.url())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// What a command prints.
    fn ok(&self, args: &[&str]) -> String {
        self.run(args).unwrap_or_else(|error| panic!("cast {args:?}: {error}"))
    }

    /// What a command prints with `--json`.
    fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("cast {args:?}: {error}: {text}"))
    }

    /// Sends a transaction; gives its receipt. Options come first: creation takes the rest of the line.
    fn send(&self, args: &[&str]) -> Value {
        let key = self.setup.key();
        let receipt: Value = serde_json::from_str(
            &self.ok(&[&["send", "--json", "--private-key", &key], args].concat()),
        )
        .unwrap();
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// Why a command fails.
    fn error(&self, args: &[&str]) -> String {
        self.run(args).expect_err("must fail")
    }
}

fn artifact(name: &str) -> Value {
    let text = std::fs::read_to_string(clients().join("contracts/artifacts.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn cast() {
    let socket = Socket::new();
    let mut setup = setup(&[&socket.flag()]).await;
    let path = socket.path().display().to_string();
    cast_commands(&setup, &path);
    // The socket goes with the node.
    assert!(setup.node.terminate().await.success());
    assert!(!socket.path().exists());
}

fn cast_commands(setup: &Setup, socket: &str) {
    let cast = Cast { setup };
    let account = setup.account.address().to_string();
    assert_eq!(cast.ok(&["chain-id"]), "270");
    assert!(cast.ok(&["client"]).starts_with("zkos/"));
    // Over the Unix socket as well.
    assert_eq!(cast.ok(&["chain-id", "--rpc-url", socket]), "270");
    let first = cast.json(&["block", "1", "--rpc-url", socket]);
    assert_eq!(first["hash"], cast.json(&["block", "1"])["hash"]);
    assert!(cast.ok(&["block-number"]).parse::<u64>().unwrap() >= 2);
    assert!(cast.ok(&["gas-price"]).parse::<u64>().unwrap() > 0);
    assert_eq!(cast.ok(&["base-fee"]), cast.ok(&["block", "latest", "--field", "baseFeePerGas"]));
    assert_eq!(cast.ok(&["balance", "--ether", &account]), "10.000000000000000000");

    // A contract, and every question about it.
    let bytecode = artifact("Probe")["bytecode"].as_str().unwrap().to_owned();
    let deployed = cast.send(&["--create", &bytecode, "constructor(uint256)", "7"]);
    let probe: Address = deployed["contractAddress"].as_str().unwrap().parse().unwrap();
    assert_eq!(probe, setup.account.address().create(0));
    let probe = probe.to_string();
    let code = cast.ok(&["code", &probe]);
    assert!(code.len() > 2 && bytecode.contains(&code[2..]), "{code}");
    assert_eq!(cast.ok(&["codesize", &probe]), ((code.len() - 2) / 2).to_string());
    assert_eq!(cast.ok(&["call", &probe, "value()(uint256)"]), "7");
    assert_eq!(cast.ok(&["storage", &probe, "0"]), format!("0x{:064x}", 7));
    assert_eq!(cast.ok(&["nonce", &account]), "1");

    // A transaction, and every question about it.
    let store = "store(uint256,string)";
    let receipt = cast.send(&[&probe, store, "5", "hello"]);
    let hash = receipt["transactionHash"].as_str().unwrap();
    assert_eq!(cast.json(&["receipt", hash])["blockHash"], receipt["blockHash"]);
    assert_eq!(cast.ok(&["tx", hash, "nonce"]), "1");
    assert_eq!(cast.json(&["tx", hash])["hash"], hash);
    let raw = cast.ok(&["tx", "--raw", hash]);
    assert_eq!(cast.ok(&["keccak", &raw]), hash);
    let block = receipt["blockNumber"].as_str().unwrap();
    assert_eq!(cast.json(&["block", block])["hash"], receipt["blockHash"]);
    assert!(cast.ok(&["block", block, "--full"]).contains(hash));
    let logs = ["logs", "--from-block", "0", "--address", &probe];
    let found = cast
        .json(&[&logs[..], &["Stored(address indexed,uint256 indexed,string)", &account]].concat());
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["transactionHash"], hash);
    assert!(cast.ok(&["age", "latest"]).contains("20"));

    // What would happen.
    let from = ["--from", &account];
    let gas: u64 = cast
        .ok(&[&["estimate"][..], &from, &[&probe, store, "6", "estimate"]].concat())
        .parse()
        .unwrap();
    assert!((21_000..200_000).contains(&gas), "{gas}");
    let list = cast.ok(&[&["access-list"][..], &from, &[&probe, store, "6", "list"]].concat());
    assert!(list.contains(&format!("0x{:064x}", 0)), "{list}");
    let nested = cast.send(&[&probe, "storeNested(uint256)", "9"]);
    let nested = nested["transactionHash"].as_str().unwrap();
    // Executes the transactions of the block in its own EVM, on state that it asks for piece by piece.
    for quick in [&[][..], &["--quick"]] {
        let trace = cast.ok(&[&["run", nested], quick].concat());
        assert!(trace.contains("Transaction successfully executed"), "{trace}");
        assert!(trace.contains("[Return]") && trace.contains("emit topic 0"), "{trace}");
    }
    let trace = cast
        .ok(&[&["call", "--trace"][..], &from, &[&probe, "storeNested(uint256)", "8"]].concat());
    assert!(trace.contains("Transaction successfully executed"), "{trace}");

    // Other ways to send.
    let legacy = cast.send(&["--legacy", "--value", "1", &probe]);
    assert_eq!(legacy["type"], "0x0");
    let listed = cast.send(&["--access-list", "--gas-limit=300000", &probe, store, "10", "listed"]);
    assert_eq!(listed["type"], "0x2");
    let key = setup.key();
    let made = cast.ok(&["mktx", "--private-key", &key, &probe, store, "11", "made"]);
    let published: Value = serde_json::from_str(&cast.ok(&["publish", &made])).unwrap();
    assert_eq!(published["status"], "0x1");
    let delegated = cast.send(&["--auth", &probe, &account]);
    assert_eq!(delegated["type"], "0x4");
    let delegation = format!("0xef0100{}", probe[2..].to_lowercase());
    assert_eq!(cast.ok(&["code", &account]), delegation);

    // Failures say why.
    let refused = cast.error(&["call", &probe, "failString(string)", "nope"]);
    assert!(refused.contains("error code 3: execution reverted: nope"), "{refused}");
    let refused = cast.error(&["call", &probe, "failPanic(uint256)", "0"]);
    assert!(refused.contains("0x12"), "{refused}");
    let refused = cast.error(&["send", "--private-key", &key, &probe, "failCustom(uint256)", "3"]);
    let selector = &keccak256("Refused(address,uint256)")[..4];
    assert!(refused.contains(&hex::encode_prefixed(selector)), "{refused}");

    // Whatever is in a block can be shown: the upgrade of the genesis, and deposits.
    for number in ["1", "2"] {
        let block: Value = serde_json::from_str(&cast.ok(&[
            "rpc",
            "eth_getBlockByNumber",
            &format!("0x{number}"),
            "true",
        ]))
        .unwrap();
        let tx = &block["transactions"][0];
        let hash = tx["hash"].as_str().unwrap();
        assert_eq!(tx["type"], ["0x7e", "0x7f"][number.parse::<usize>().unwrap() - 1]);
        assert!(cast.ok(&["block", number, "--full"]).contains(hash));
        assert!(cast.ok(&["tx", hash]).contains("gasPerPubdataByteLimit"));
        assert!(cast.ok(&["receipt", hash]).contains("1 (success)"));
    }
    let head = cast.ok(&["block-number"]);
    assert!(cast.ok(&["block", "finalized", "--field", "number"]).len() <= head.len());
    assert_eq!(cast.ok(&["rpc", "net_version"]), r#""270""#);
}
