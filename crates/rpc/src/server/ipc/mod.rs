//! The Unix socket (reth: `reth-ipc`): requests and answers as JSON texts one after the other, as geth and its clients write them. What an answer is made of, and what bounds a
//! connection, is the same as over WebSocket.

mod answer;
mod connection;
mod frames;

use super::{
    RpcServerError,
    connection::Place,
    flow::FlowLimits,
    methods::{Calls, MethodsService},
};
use connection::IpcConnection;
use jsonrpsee::{Methods, core::middleware::RpcServiceBuilder, server::StopHandle};
use metrics::gauge;
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tower::Layer;
use tracing::{debug, warn};

/// Connections at once. They have places of their own: however many clients come from outside, those on the machine get in.
const MAX_CONNECTIONS: usize = 256;
/// Pause after a connection could not be accepted: mostly for lack of file descriptors, which only time gives back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// What a client hears that comes when all places are taken.
const REFUSAL: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32005,\"message\":\"too many connections\"}}\n";

/// A listening socket. Its file is removed with it.
#[derive(Debug)]
pub(super) struct IpcSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file, by which it is known again.
    file: (u64, u64),
}

impl IpcSocket {
    /// Listens at a path. A socket that nobody listens on any more is replaced; the new one is for this user alone.
    ///
    /// # Errors
    /// When another process listens there, or the path holds something else, or can't be used.
    pub(super) async fn bind(path: &Path) -> Result<Self, RpcServerError> {
        let failed = |source| RpcServerError::Ipc { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(file) if file.file_type().is_socket() => match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                // It answers, or is too busy to.
                Ok(_) | Err(_) => return Err(RpcServerError::IpcInUse(path.to_owned())),
            },
            Ok(_) => return Err(RpcServerError::IpcNoSocket(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = fs::symlink_metadata(path).map_err(failed)?;
        let socket = Self { listener, path: path.to_owned(), file: (file.dev(), file.ino()) };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(socket)
    }
}

impl Drop for IpcSocket {
    fn drop(&mut self) {
        // Somebody may have removed it, and somebody else listen there now.
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(target: "rpc", path = %self.path.display(), %error, "can't remove the socket");
        }
    }
}

/// What all connections of a socket share.
#[derive(Debug, Clone)]
pub(super) struct IpcConfig {
    /// What is called.
    pub(super) methods: Methods,
    /// Largest request, bytes.
    pub(super) max_request: usize,
    /// Largest answer, bytes.
    pub(super) max_response: u32,
    /// Calls in a batch.
    pub(super) max_batch: u32,
    /// Bounds of a connection.
    pub(super) limits: FlowLimits,
}

/// Accepts connections until the server is stopped.
pub(super) async fn accept<L>(
    socket: IpcSocket,
    config: IpcConfig,
    middleware: RpcServiceBuilder<L>,
    stop: StopHandle,
) where
    L: Layer<MethodsService> + Clone,
    L::Service: Calls,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = gauge!("rpc_ipc_connections");
    let mut number = 0;
    let mut stopped = std::pin::pin!(stop.clone().shutdown());
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = socket.listener.accept() => accepted,
        };
        let mut stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(target: "rpc", %error, "can't accept a connection on the unix socket");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(permit) = places.clone().try_acquire_owned() else {
            // A new socket's buffer takes these few bytes, or the client has gone away.
            let _ = stream.write_all(REFUSAL).await;
            continue;
        };
        let place = Place::new(permit, open.clone());
        number += 1;
        let (connection, methods) = IpcConnection::new(&config, number, stop.clone());
        let service = middleware.service(methods);
        // Ends with the connection, which ends after the server was stopped: the stop handle tells when.
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.serve(stream, service).await {
                debug!(target: "rpc", %error, "connection on the unix socket ended");
            }
        });
    }
}
