//! A real anvil with the shipped L1 state, for one test.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_signer_local::PrivateKeySigner;
use serde_json::Value;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use zkos_l1::{L1Provider, L1ProviderConfig, L1SenderConfig, L1State, L1WatcherConfig, discover};
use zkos_primitives::StoredBatchInfo;

/// How long a condition may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shipped deployment. Keys in it are public.
#[derive(Debug)]
pub(crate) struct Deployment(Value);

impl Deployment {
    fn load() -> Option<Self> {
        let text = std::fs::read_to_string(workspace().join("etc/l1/deployment.json")).ok()?;
        Some(Self(serde_json::from_str(&text).expect("deployment.json")))
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"))
    }

    pub(crate) fn contract(&self, name: &str) -> Address {
        self.text(&format!("/contracts/{name}")).parse().expect("address")
    }

    pub(crate) fn signer(&self, pointer: &str) -> PrivateKeySigner {
        self.text(&format!("{pointer}/private_key")).parse().expect("key")
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.0["l2_chain_id"].as_u64().expect("chain id")
    }

    /// Batch 0 as the recorded genesis gives it.
    pub(crate) fn genesis_batch(&self) -> StoredBatchInfo {
        StoredBatchInfo {
            state_commitment: self.text("/genesis_root").parse().expect("root"),
            priority_operations_hash: alloy_primitives::KECCAK256_EMPTY,
            commitment: B256::with_last_byte(1),
            ..Default::default()
        }
    }
}

/// A running anvil; killed on drop.
#[derive(Debug)]
pub(crate) struct Anvil {
    binary: PathBuf,
    args: Vec<String>,
    child: Child,
    pub(crate) port: u16,
    pub(crate) deployment: Deployment,
}

impl Anvil {
    /// Starts anvil with the shipped state, or tells that the test is skipped. With `CI=true` a missing piece is a failure.
    pub(crate) async fn start(args: &[&str]) -> Option<Self> {
        let binary = std::env::var_os("ZKOS_ANVIL")
            .map_or_else(|| workspace().join("etc/l1/bin/anvil"), PathBuf::from);
        let state = workspace().join("etc/l1/zkos-l1-state.json");
        let (true, true, Some(deployment)) = (binary.exists(), state.exists(), Deployment::load())
        else {
            let text = format!("needs {} and {}", binary.display(), state.display());
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
            println!("skipped: {text}");
            return None;
        };
        let port =
            TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").port();
        let mut all: Vec<String> =
            ["--load-state", &state.to_string_lossy(), "--silent"].map(ToOwned::to_owned).into();
        if !args.contains(&"--hardfork") {
            all.extend(["--hardfork", "prague"].map(ToOwned::to_owned));
        }
        all.extend(args.iter().map(ToString::to_string));
        let child = spawn(&binary, port, &all);
        Some(Self { binary, args: all, child, port, deployment })
    }

    pub(crate) fn config(&self) -> L1ProviderConfig {
        L1ProviderConfig {
            initial_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_millis(100),
            connect_timeout: Some(DEADLINE),
            ..L1ProviderConfig::new(format!("http://127.0.0.1:{}", self.port).parse().expect("url"))
        }
    }

    pub(crate) async fn provider(&self) -> L1Provider {
        L1Provider::connect(self.config()).await.expect("anvil answers")
    }

    pub(crate) async fn discover(&self, provider: &L1Provider) -> L1State {
        let genesis = self.deployment.genesis_batch().hash();
        discover(
            provider,
            self.deployment.contract("bridgehub"),
            self.deployment.chain_id(),
            Some(genesis),
        )
        .await
        .expect("discovery")
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts again on the same port, from the shipped state.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = spawn(&self.binary, self.port, &self.args);
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(binary: &Path, port: u16, args: &[String]) -> Child {
    Command::new(binary)
        .args(["--port", &port.to_string()])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("anvil starts")
}

/// An `anvil_*` or `evm_*` request.
pub(crate) async fn raw(provider: &L1Provider, method: &'static str, params: Value) -> Value {
    provider
        .inner()
        .raw_request(method.into(), params)
        .await
        .unwrap_or_else(|error| panic!("{method}: {error}"))
}

pub(crate) fn watcher_config() -> L1WatcherConfig {
    L1WatcherConfig { poll_interval: Duration::from_millis(10), ..Default::default() }
}

pub(crate) fn sender_config() -> L1SenderConfig {
    L1SenderConfig { poll_interval: Duration::from_millis(10), ..Default::default() }
}

/// Waits until `condition` gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bounds a future by the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

pub(crate) fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}
