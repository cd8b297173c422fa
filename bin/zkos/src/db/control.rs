//! Requests to a running node, through a Unix socket in its data directory: who may use that directory may make them.
//!
//! One request per connection, a line of JSON; the answer is one line, after any number of lines that tell how far it is.

use super::Phases;
use eyre::{WrapErr, bail};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as BlockingUnixStream},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use tracing::{info, warn};
use zkos_node_core::TaskExecutor;
use zkos_storage::{BlockchainProvider, CheckpointManifest, Measure, StorageError};

/// Name of the socket in the data directory.
const SOCKET: &str = "zkos.sock";
/// Longest request.
const MAX_REQUEST: u64 = 16 * 1024;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Make a checkpoint at this absolute path.
    Checkpoint(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Response {
    /// More follows.
    Progress {
        what: String,
        done: u64,
        of: Option<u64>,
    },
    Checkpoint(Box<CheckpointManifest>),
    Error(String),
}

/// Serves requests as long as the node runs. A socket that can't be made is no reason not to start: the tools then need a stopped node.
pub(crate) fn spawn(executor: &TaskExecutor, data_dir: &Path, provider: BlockchainProvider) {
    let path = data_dir.join(SOCKET);
    let listener = match bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(target: "zkos::cli", %error, path = %path.display(), "can't serve `zkos db` on a running node");
            return;
        }
    };
    executor.spawn_task("db-control", async move {
        loop {
            match listener.accept().await {
                // One after the other: copies of the same databases at once help nobody.
                Ok((stream, _)) => {
                    if let Err(error) = serve(stream, &provider).await {
                        warn!(target: "zkos::cli", %error, "request of `zkos db` failed");
                    }
                }
                Err(error) => {
                    warn!(target: "zkos::cli", %error, "can't serve `zkos db` any longer");
                    return;
                }
            }
        }
    });
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // The lock of the data directory is ours: what is there was left by a killed process.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(mut stream: UnixStream, provider: &BlockchainProvider) -> eyre::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(MAX_REQUEST));
    tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
    let response = match serde_json::from_str(&line) {
        Ok(Request::Checkpoint(to)) if !to.is_absolute() => {
            Response::Error("the path of a checkpoint must be absolute".to_owned())
        }
        Ok(Request::Checkpoint(to)) => {
            info!(target: "zkos::cli", path = %to.display(), "making a checkpoint");
            let provider = provider.clone();
            // What the client is too slow for it need not hear.
            let (tell, mut told) = mpsc::channel(1);
            let made = tokio::task::spawn_blocking(move || {
                let mut phases = Phases::new("making a checkpoint");
                let made = provider.checkpoint(&to, &mut |measure| {
                    phases.set(measure);
                    let _ = tell.try_send(measure);
                })?;
                phases.finish();
                Ok::<_, StorageError>(made)
            });
            while let Some(Measure { what, done, of }) = told.recv().await {
                let what = what.to_owned();
                // A client that has gone away is noticed at the end: the copy is made for whoever asked.
                let _ = send(&mut writer, &Response::Progress { what, done, of }).await;
            }
            match made.await? {
                Ok(manifest) => Response::Checkpoint(Box::new(manifest)),
                Err(error) => Response::Error(error.to_string()),
            }
        }
        Err(error) => Response::Error(format!("malformed request: {error}")),
    };
    send(&mut writer, &response).await
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), response: &Response) -> eyre::Result<()> {
    let mut text = serde_json::to_vec(response)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    Ok(())
}

/// Asks the node that runs on `data_dir` for a checkpoint.
pub(super) fn request_checkpoint(
    data_dir: &Path,
    to: &Path,
    phases: &mut Phases,
) -> eyre::Result<CheckpointManifest> {
    let path = data_dir.join(SOCKET);
    let mut stream = BlockingUnixStream::connect(&path).wrap_err_with(|| {
        format!("the running node can't be asked through {}; stop it first", path.display())
    })?;
    let mut text = serde_json::to_vec(&Request::Checkpoint(to.to_owned()))?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let line = lines.next().transpose()?.unwrap_or_default();
        match serde_json::from_str(&line).wrap_err("the running node gave no answer")? {
            Response::Progress { what, done, of } => phases.set_unit(what.into(), done, of),
            Response::Checkpoint(manifest) => return Ok(*manifest),
            Response::Error(error) => bail!("the running node could not do it: {error}"),
        }
    }
}
