//! The L1 and the node under test.

use crate::rpc::Rpc;
use eyre::{Result, WrapErr, bail};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a start, with everything executed again, or an orderly stop may take.
const DEADLINE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(20);

/// A child process that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log)?)
            .stderr(log)
            .spawn()
            .wrap_err_with(|| format!("can't start {:?}", command.get_program()))?;
        Ok(Self { child })
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// `kill -9`.
    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    async fn terminate(&mut self) -> Result<ExitStatus> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if started.elapsed() > DEADLINE {
                bail!("the process does not end after SIGTERM");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until the condition gives a value.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if started.elapsed() > DEADLINE {
            bail!("gave up waiting for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Anvil with the shipped state.
#[derive(Debug)]
pub(crate) struct L1 {
    pub(crate) port: u16,
    _process: Process,
}

impl L1 {
    pub(crate) async fn start(l1: &Path, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(l1.join("bin/anvil"));
        command
            .args(["--silent", "--port", &port.to_string(), "--load-state"])
            .arg(l1.join("zkos-l1-state.json"));
        let process = Process::spawn(&mut command, &dir.join("l1.log"))?;
        let rpc = Rpc::new(port)?;
        wait_for("anvil", || async { rpc.chain_id().await.ok() }).await?;
        Ok(Self { port, _process: process })
    }
}

/// Key of the account that has funds on L2.
pub(crate) fn rich_key(l1: &Path) -> Result<String> {
    let path = l1.join("deployment.json");
    let text = std::fs::read_to_string(&path)
        .wrap_err_with(|| format!("can't read {}", path.display()))?;
    let deployment: Value = serde_json::from_str(&text)?;
    match deployment["rich_account"]["private_key"].as_str() {
        Some(key) => Ok(key.to_owned()),
        None => bail!("{} names no rich account", path.display()),
    }
}

/// The node with its data directory.
#[derive(Debug)]
pub(crate) struct Node {
    program: PathBuf,
    pub(crate) datadir: PathBuf,
    log: PathBuf,
    l1_port: u16,
    pub(crate) rpc: Rpc,
    port: u16,
    process: Option<Process>,
}

impl Node {
    pub(crate) fn new(program: PathBuf, dir: &Path, l1_port: u16) -> Result<Self> {
        let port = free_port()?;
        Ok(Self {
            program,
            datadir: dir.join("db"),
            log: dir.join("zkos.log"),
            l1_port,
            rpc: Rpc::new(port)?,
            port,
            process: None,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Configuration from outside would change what is tested.
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command
    }

    /// Starts without waiting.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        let mut command = self.command();
        command.args([
            "node",
            &format!("--l1.rpc-url=http://127.0.0.1:{}", self.l1_port),
            &format!("--datadir={}", self.datadir.display()),
            "--http.addr=127.0.0.1",
            &format!("--http.port={}", self.port),
            "--metrics.enabled=false",
            "--status.enabled=false",
            // Many small blocks: many moments to be killed at.
            "--sequencer.block-time=10ms",
            "--prover.fake-fri.min-age=0s",
            "--prover.fake-fri.compute-time=0s",
            "--prover.fake-snark.max-batch-age=500ms",
            "--log.color=false",
        ]);
        self.process = Some(Process::spawn(&mut command, &self.log)?);
        Ok(())
    }

    fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().ok_or_else(|| eyre::eyre!("the node does not run"))
    }

    /// Waits until the node answers.
    pub(crate) async fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.rpc.chain_id().await.is_err() {
            if let Some(status) = self.process()?.exited()? {
                bail!("the node ended with {status} at start; see {}", self.log.display());
            }
            if started.elapsed() > DEADLINE {
                bail!("the node does not answer; see {}", self.log.display());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Error if the node has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.process()?.exited()? {
            Some(status) => {
                bail!("the node ended by itself with {status}; see {}", self.log.display())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// SIGTERM; the node must end in order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let status = self.process()?.terminate().await?;
        self.process = None;
        if !status.success() {
            bail!("the node ended with {status} after SIGTERM; see {}", self.log.display());
        }
        Ok(())
    }

    /// Runs `zkos db ..` on the data directory.
    pub(crate) fn db(&self, args: &[&str]) -> Result<String> {
        let output = self
            .command()
            .arg("db")
            .arg(format!("--datadir={}", self.datadir.display()))
            .args(args)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("`zkos db {}` failed: {text}{error}", args.join(" "));
        }
        Ok(text)
    }
}
