//! `--dev`: an anvil of our own.

use crate::local_chain;
use eyre::{WrapErr, bail};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};
use tracing::info;
use zkos_node_core::NodeConfig;

/// How long anvil may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running anvil; killed when dropped.
#[derive(Debug)]
pub(crate) struct DevL1 {
    child: Child,
    port: u16,
}

impl DevL1 {
    /// Starts anvil on a free port. Its state is kept in the data directory, so that a chain that is there already goes on.
    pub(crate) async fn start(config: &NodeConfig) -> eyre::Result<Self> {
        let data_dir = config.data_dir();
        std::fs::create_dir_all(data_dir.root())
            .wrap_err_with(|| format!("can't create {}", data_dir.root().display()))?;
        let state = data_dir.dev_l1_state();
        if !state.exists() {
            let initial = match &config.dev.l1_state {
                Some(path) => std::fs::read_to_string(path)
                    .wrap_err_with(|| format!("can't read the L1 state {}", path.display()))?,
                None => local_chain::L1_STATE.to_owned(),
            };
            std::fs::write(&state, initial)
                .wrap_err_with(|| format!("can't write {}", state.display()))?;
        }
        let program = find_anvil(config.dev.anvil.as_deref());
        check_version(&program).await?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(&program);
        command
            .args(["--silent", "--port", &port.to_string(), "--state-interval", "1", "--state"])
            .arg(&state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        // Ctrl-C goes to the whole group; the node has to outlive its L1 to stop in order.
        command.process_group(0);
        let child =
            command.spawn().wrap_err_with(|| format!("can't start {}", program.display()))?;
        let mut this = Self { child, port };
        this.wait_ready().await?;
        info!(target: "zkos::cli", url = this.url(), state = %state.display(), "started anvil");
        Ok(this)
    }

    /// Endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn wait_ready(&mut self) -> eyre::Result<()> {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "anvil ended at start with {status}; its state file may be of another version, delete it to begin anew"
                );
            }
            if started.elapsed() > START_TIMEOUT {
                bail!("anvil does not listen on port {} after {START_TIMEOUT:?}", self.port);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Resolves when anvil ends by itself. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> eyre::Report {
        match self.child.wait().await {
            Ok(status) => eyre::eyre!("anvil ended with {status}"),
            Err(error) => eyre::eyre!("can't wait for anvil: {error}"),
        }
    }

    /// Lets anvil write its state and end.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            let asked =
                std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
            let deadline = Duration::from_secs(10);
            if asked.is_ok_and(|status| status.success())
                && tokio::time::timeout(deadline, self.child.wait()).await.is_ok()
            {
                return;
            }
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(target: "zkos::cli", %error, "can't kill anvil");
        }
    }
}

fn find_anvil(configured: Option<&Path>) -> PathBuf {
    let shipped = Path::new("etc/l1/bin/anvil");
    match configured {
        Some(path) => path.to_owned(),
        None if shipped.exists() => shipped.to_owned(),
        None => "anvil".into(),
    }
}

/// A state file loads in the version family that wrote it only.
async fn check_version(program: &Path) -> eyre::Result<()> {
    let expected = local_chain::deployment()?.anvil_version;
    let output = Command::new(program).arg("--version").output().await.wrap_err_with(|| {
        format!(
            "can't run {}; run etc/setup.sh, or name anvil {expected} with --dev.anvil",
            program.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.contains(&expected) {
        let found = text.lines().next().unwrap_or("nothing");
        bail!(
            "{} is `{found}`, but the L1 state needs anvil {expected}; run etc/setup.sh",
            program.display()
        );
    }
    Ok(())
}
