//! Starts anvil and the node, waits for conditions, and kills what it started.

use alloy_network::{EthereumWallet, TransactionBuilder};
use alloy_primitives::{Address, B256, TxHash, U256, address};
use alloy_provider::{DynProvider, Provider, ProviderBuilder};
use alloy_rpc_types_eth::{BlockNumberOrTag, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use std::{
    fs::File,
    future::Future,
    io::{Read, Seek},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Private key of the account that the shipped L1 state makes deposits for.
pub const RICH_KEY: &str = "0x7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110";
/// Its address.
pub const RICH: Address = address!("36615Cf349d7F6344891B1e7CA7C72883F5dc049");
/// How long anything may take on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(90);

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Polls until the condition gives a value; panics with `what` at the deadline.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A child process that is killed when dropped; its output goes to a file.
pub struct Process {
    child: Child,
    log: File,
}

impl Process {
    pub fn spawn(mut command: Command) -> Self {
        let log = tempfile::tempfile().unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        Self { child, log }
    }

    pub fn output(&mut self) -> String {
        let mut text = Vec::new();
        self.log.rewind().unwrap();
        self.log.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub async fn wait_exit(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "process does not end:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let tail: Vec<_> = output.lines().rev().take(60).collect();
            eprintln!("--- last lines of a process of this test ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// An L1 with the shipped state. It keeps its state over restarts.
pub struct L1 {
    pub port: u16,
    dir: TempDir,
    process: Option<Process>,
}

impl L1 {
    pub async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::copy(
            repository().join("etc/l1/zkos-l1-state.json"),
            dir.path().join("state.json"),
        )
        .unwrap();
        let mut l1 = Self { port: free_port(), dir, process: None };
        l1.resume().await;
        l1
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().connect_http(self.url().parse().unwrap()).erased()
    }

    /// Stops answering; the state is kept.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-TERM");
        process.wait_exit().await;
    }

    /// Starts again with the state it had.
    pub async fn resume(&mut self) {
        let mut command = Command::new(repository().join("etc/l1/bin/anvil"));
        command
            .args(["--silent", "--port", &self.port.to_string(), "--state"])
            .arg(self.dir.path().join("state.json"));
        self.process = Some(Process::spawn(command));
        let provider = self.provider();
        wait_for("anvil", || async { provider.get_chain_id().await.ok() }).await;
    }
}

/// A node with its data directory.
pub struct Node {
    pub rpc_port: u16,
    pub metrics_port: u16,
    pub status_port: u16,
    pub datadir: PathBuf,
    l1_url: String,
    extra: Vec<String>,
    process: Option<Process>,
    _dir: TempDir,
}

/// The binary under test without any configuration from outside.
pub fn zkos() -> Command {
    let mut command = Command::new(crate::PROGRAM);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .current_dir(std::env::temp_dir());
    command
}

impl Node {
    /// A node that is not started yet. Fake proofs take no time, so that settlement is quick.
    pub fn new(l1: &L1, extra: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            rpc_port: free_port(),
            metrics_port: free_port(),
            status_port: free_port(),
            datadir: dir.path().join("db"),
            l1_url: l1.url(),
            extra: extra.iter().map(ToString::to_string).collect(),
            process: None,
            _dir: dir,
        }
    }

    /// Starts a node and waits until it answers.
    pub async fn start(l1: &L1, extra: &[&str]) -> Self {
        let mut node = Self::new(l1, extra);
        node.launch().await;
        node
    }

    pub fn command(&self) -> Command {
        let mut command = zkos();
        command.args([
            "node",
            &format!("--l1.rpc-url={}", self.l1_url),
            &format!("--datadir={}", self.datadir.display()),
            "--http.addr=127.0.0.1",
            &format!("--http.port={}", self.rpc_port),
            &format!("--metrics.port={}", self.metrics_port),
            &format!("--status.address=127.0.0.1:{}", self.status_port),
            "--prover.fake-fri.min-age=0s",
            "--prover.fake-fri.compute-time=100ms",
            "--prover.fake-snark.max-batch-age=500ms",
            "--log.color=false",
        ]);
        command.args(&self.extra);
        command
    }

    /// Starts without waiting.
    pub fn spawn(&mut self) {
        self.process = Some(Process::spawn(self.command()));
    }

    /// Starts and waits until the RPC server answers.
    pub async fn launch(&mut self) {
        self.spawn();
        let provider = self.provider();
        let started = Instant::now();
        while provider.get_chain_id().await.is_err() {
            let process = self.process();
            if let Some(status) = process.exited() {
                panic!("node ended with {status} at start:\n{}", process.output());
            }
            assert!(
                started.elapsed() < DEADLINE,
                "node does not answer:\n{}",
                self.process().output()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("node was started")
    }

    /// SIGTERM; the node must end in order.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        process.signal("-TERM");
        process.wait_exit().await
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-KILL");
        process.wait_exit().await;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port)
    }

    /// A client that signs nothing.
    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().connect_http(self.url().parse().unwrap()).erased()
    }

    /// A client that signs with this key and fills in nonce, gas and fees.
    pub fn wallet(&self, key: &str) -> DynProvider {
        let signer: PrivateKeySigner = key.parse().unwrap();
        ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer))
            .connect_http(self.url().parse().unwrap())
            .erased()
    }

    /// Number of the block that a tag names.
    pub async fn block(&self, tag: BlockNumberOrTag) -> u64 {
        self.provider().get_block_by_number(tag).await.unwrap().unwrap().header.number
    }

    /// Waits until the rich account has the funds that were deposited on L1.
    pub async fn wait_funded(&self) {
        let provider = self.provider();
        wait_for("the deposits of the rich account", || async {
            let balance = provider.get_balance(RICH).await.ok()?;
            (balance > U256::from(10).pow(U256::from(18))).then_some(())
        })
        .await;
    }

    /// Waits until a block is finalized.
    pub async fn wait_finalized(&self, number: u64) {
        let provider = self.provider();
        wait_for(&format!("block {number} to be finalized"), || async {
            let block = provider.get_block_by_number(BlockNumberOrTag::Finalized).await.ok()??;
            (block.header.number >= number).then_some(())
        })
        .await;
    }

    /// Sends ether from the rich account and waits for the receipt; gives hash and block.
    pub async fn transfer(&self, to: Address, value: u64) -> (TxHash, u64) {
        let request = TransactionRequest::default().with_to(to).with_value(U256::from(value));
        let pending = self.wallet(RICH_KEY).send_transaction(request).await.unwrap();
        let receipt = pending.with_timeout(Some(DEADLINE)).get_receipt().await.unwrap();
        assert!(receipt.status());
        (receipt.transaction_hash, receipt.block_number.unwrap())
    }

    /// Number and hash of every block up to the head.
    pub async fn block_hashes(&self) -> Vec<B256> {
        let provider = self.provider();
        let mut hashes = Vec::new();
        for number in 0..=provider.get_block_number().await.unwrap() {
            hashes.push(
                provider.get_block_by_number(number.into()).await.unwrap().unwrap().header.hash,
            );
        }
        hashes
    }
}
