//! Connections: accepting them, and putting each under flow control.

use super::{
    flow::{Flow, FlowIo, FlowLimits},
    threads::{ConnectionThreads, Seat},
    transport::Transport,
};
use futures::future::Either;
use http::{Request, Response};
use hyper::{body::Incoming, service::Service as HyperService};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, StopHandle, stop_channel, ws::is_upgrade_request},
};
use metrics::{Gauge, gauge};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::{Service, ServiceExt, util::Oneshot};
use tracing::{debug, warn};

/// Pause after a connection could not be accepted: mostly for lack of file descriptors, which only time gives back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// What a client hears that comes when all places are taken.
const REFUSAL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A place for a connection, counted.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Place {
    /// Takes the place of `permit`, counted in `open`.
    pub(super) fn new(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.increment(1.0);
        Self { _permit: permit, open }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

/// What answers the requests of an HTTP connection.
pub(super) trait HttpService:
    Service<Request<Incoming>, Response = Response<HttpBody>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request<Incoming>, Response = Response<HttpBody>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Accepts connections until the server is stopped, and hands them to `threads`; ends when the last of them has. `calls` answers calls, `upgrade` makes what turns a
/// connection into a WebSocket.
pub(super) async fn accept<C: HttpService, U: HttpService>(
    listener: TcpListener,
    threads: ConnectionThreads,
    max_connections: u32,
    limits: FlowLimits,
    stop: StopHandle,
    calls: C,
    upgrade: impl Fn(StopHandle) -> U,
) {
    let (connection_stop, connections) = stop_channel();
    // They outlive what runs on them.
    let threads = &threads;
    let spawn = move |socket: TcpStream, place| {
        let seat =
            threads.seat().ok_or_else(|| io::Error::other("no thread serves connections"))?;
        let stop = connection_stop.clone();
        let upgrade = Arc::new(upgrade(stop.clone()));
        let service = ConnectionService { calls: calls.clone(), upgrade, flow: Flow::new(limits) };
        // The selector of this runtime would wake the wrong threads.
        let socket = socket.into_std()?;
        let runtime = seat.runtime.clone();
        // Ends with the connection, which ends after the server was stopped: the stop handle tells when.
        runtime.spawn(serve(socket, stop, service, (place, seat)));
        Ok::<_, io::Error>(())
    };
    let places = Arc::new(Semaphore::new(max_connections as usize));
    let open = gauge!("rpc_connections");
    let mut stopped = std::pin::pin!(stop.clone().shutdown());
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                warn!(target: "rpc", %error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(permit) => {
                if let Err(error) = spawn(socket, Place::new(permit, open.clone())) {
                    warn!(target: "rpc", %error, "can't serve a connection");
                }
            }
            Err(_) => refuse(&socket).await,
        }
    }
    drop(spawn);
    // An error says that there is none.
    let _ = connections.stop();
    connections.stopped().await;
}

/// Says that there is no place. A new socket's buffer takes these few bytes, or the client has gone away.
async fn refuse(socket: &TcpStream) {
    if socket.writable().await.is_ok() {
        let _ = socket.try_write(REFUSAL);
    }
}

async fn serve<C: HttpService, U: HttpService>(
    socket: std::net::TcpStream,
    stop: StopHandle,
    service: ConnectionService<C, U>,
    place: (Place, Seat),
) {
    let socket = match TcpStream::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(target: "rpc", %error, "can't serve a connection");
            return;
        }
    };
    if let Err(error) = socket.set_nodelay(true) {
        debug!(target: "rpc", %error, "can't set nodelay");
    }
    let io = TokioIo::new(FlowIo::new(socket, service.flow.clone(), place));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that has said everything may close its half and still gets its answer.
    builder.http1().half_close(true);
    let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(io, service));
    let mut stopped = std::pin::pin!(stop.shutdown());
    let result = tokio::select! {
        result = &mut connection => result,
        () = &mut stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(target: "rpc", error, "connection ended");
    }
}

/// Service of one connection: tells requests of it, and which way they go.
#[derive(Debug)]
struct ConnectionService<C, U> {
    calls: C,
    upgrade: Arc<U>,
    flow: Arc<Flow>,
}

impl<C: HttpService, U: HttpService> HyperService<Request<Incoming>> for ConnectionService<C, U> {
    type Response = Response<HttpBody>;
    type Error = BoxError;
    type Future = Either<Oneshot<C, Request<Incoming>>, Oneshot<U, Request<Incoming>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let upgrades = is_upgrade_request(&request);
        let extensions = request.extensions_mut();
        extensions.insert(self.flow.clone());
        if upgrades {
            self.flow.set_upgraded();
            extensions.insert(Transport::Ws);
            Either::Right(U::clone(&self.upgrade).oneshot(request))
        } else {
            extensions.insert(Transport::Http);
            Either::Left(self.calls.clone().oneshot(request))
        }
    }
}
