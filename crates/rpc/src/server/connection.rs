//! Connections: accepting them, and putting each under flow control.

use super::{
    flow::{Flow, FlowIo, FlowLimits},
    transport::Transport,
};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use jsonrpsee::server::{StopHandle, ws::is_upgrade_request};
use metrics::{Gauge, gauge};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Service;
use tracing::{debug, warn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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

/// Accepts connections until the server is stopped. `service` makes the service of one connection.
pub(super) async fn accept<S, B>(
    listener: TcpListener,
    max_connections: u32,
    limits: FlowLimits,
    stop: StopHandle,
    service: impl Fn() -> S,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(max_connections as usize));
    let open = gauge!("rpc_connections");
    let mut stopped = std::pin::pin!(stop.clone().shutdown());
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
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
                let place = Place::new(permit, open.clone());
                // Ends with the connection, which ends after the server was stopped: the stop handle tells when.
                tokio::spawn(serve(socket, limits, stop.clone(), service(), place));
            }
            Err(_) => refuse(&socket).await,
        }
    }
}

/// Says that there is no place. A new socket's buffer takes these few bytes, or the client has gone away.
async fn refuse(socket: &TcpStream) {
    if socket.writable().await.is_ok() {
        let _ = socket.try_write(REFUSAL);
    }
}

async fn serve<S, B>(
    socket: TcpStream,
    limits: FlowLimits,
    stop: StopHandle,
    service: S,
    _place: Place,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    if let Err(error) = socket.set_nodelay(true) {
        debug!(target: "rpc", %error, "can't set nodelay");
    }
    let flow = Flow::new(limits);
    let io = TokioIo::new(FlowIo::new(socket, flow.clone()));
    let service = TowerToHyperService::new(ConnectionService { service, flow });
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

/// Tells requests of their connection.
#[derive(Debug, Clone)]
struct ConnectionService<S> {
    service: S,
    flow: Arc<Flow>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ConnectionService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let transport = if is_upgrade_request(&request) {
            self.flow.set_upgraded();
            Transport::Ws
        } else {
            Transport::Http
        };
        request.extensions_mut().insert(transport);
        request.extensions_mut().insert(self.flow.clone());
        self.service.call(request)
    }
}
