//! The server: module selection, transport, limits, metrics.

mod connection;
mod flow;
mod http;
mod id;
mod ipc;
mod methods;
mod metrics;
mod modules;
mod short;
mod threads;
mod transport;

pub use metrics::{RpcMetricsLayer, RpcMetricsService};
pub use modules::RpcModules;

use self::http::HttpCalls;
use ::http::{HeaderName, HeaderValue, Method};
use flow::FlowLayer;
pub(crate) use flow::FlowLimits;
use id::HexIdProvider;
pub(crate) use id::random_id;
use ipc::{IpcConfig, IpcSocket};
use jsonrpsee::{
    ConnectionId,
    core::{RegisterMethodError, middleware::RpcServiceBuilder},
    server::{
        BatchRequestConfig, PingConfig, ServerBuilder, ServerConfig, ServerHandle, stop_channel,
    },
};
use methods::MethodsService;
#[cfg(test)]
pub(crate) use short::SHORT;
use short::keep_threads_free;
use std::{net::SocketAddr, num::NonZero, path::PathBuf};
use threads::ConnectionThreads;
use tokio::{net::TcpListener, runtime::Handle};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tracing::info;
use transport::TransportLayer;
use zkos_node_core::args::RpcServerArgs;

/// Subscriptions on one connection.
const MAX_SUBSCRIPTIONS_PER_CONNECTION: u32 = 1024;
/// Messages that wait for a slow WebSocket client before its subscriptions have to wait.
const MESSAGE_BUFFER_CAPACITY: u32 = 256;
const MEGABYTE: u32 = 1024 * 1024;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcServerError {
    /// The address can't be bound.
    #[error("can't listen for rpc on {address}, is another node running: {source}")]
    Bind {
        /// Configured address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The path of the Unix socket can't be used.
    #[error("can't listen for rpc on the unix socket {path}: {source}")]
    Ipc {
        /// Configured path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process listens on the Unix socket.
    #[error("can't listen for rpc on the unix socket {0}, another node runs with it")]
    IpcInUse(PathBuf),
    /// There is something else where the Unix socket should be.
    #[error("can't listen for rpc on the unix socket {0}: what is there is no socket, remove it")]
    IpcNoSocket(PathBuf),
    /// The system gives no threads.
    #[error("can't start a thread for rpc: {0}")]
    Threads(#[source] std::io::Error),
    /// Two modules register the same method.
    #[error(transparent)]
    Method(#[from] RegisterMethodError),
    /// JavaScript tracers are asked for, but not part of the build.
    #[error("--rpc.js-tracer needs a build with the cargo feature `js-tracer`")]
    NoJsTracer,
    /// A CORS origin is not a valid header value.
    #[error("invalid cors origin `{0}`")]
    CorsOrigin(String),
}

/// Starts servers.
#[derive(Debug, Clone, Copy)]
pub struct RpcServer;

impl RpcServer {
    /// Serves modules over HTTP and WebSocket on one port, and on a Unix socket if there is to be one, until the handle is stopped.
    ///
    /// # Errors
    /// When the address can't be bound or the configuration is wrong.
    pub async fn start(
        args: &RpcServerArgs,
        modules: RpcModules,
    ) -> Result<RpcServerHandle, RpcServerError> {
        Self::start_limited(args, modules, FlowLimits::default()).await
    }

    /// [`Self::start`] with bounds on each connection.
    pub(crate) async fn start_limited(
        args: &RpcServerArgs,
        modules: RpcModules,
        limits: FlowLimits,
    ) -> Result<RpcServerHandle, RpcServerError> {
        let selection = modules.transports().clone();
        let methods = keep_threads_free(&modules.into_methods()?, &Handle::current())?;
        let max_request = args.max_request_size.saturating_mul(MEGABYTE);
        let max_response = args.max_response_size.saturating_mul(MEGABYTE);
        let batch = BatchRequestConfig::Limit(args.max_batch_entries);
        let config = ServerConfig::builder()
            .max_request_body_size(max_request)
            .max_response_body_size(max_response)
            .max_connections(args.max_connections)
            .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS_PER_CONNECTION)
            .set_batch_request_config(batch)
            .set_message_buffer_capacity(MESSAGE_BUFFER_CAPACITY)
            .set_id_provider(HexIdProvider)
            .enable_ws_ping(PingConfig::new())
            .build();
        let metrics = RpcMetricsLayer::new(methods.method_names(), max_response as usize);
        let cors = cors_layer(&args.http_corsdomain)?;
        let address = args.socket_addr();
        let bind = |source| RpcServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = ConnectionThreads::start(cores).map_err(RpcServerError::Threads)?;
        let socket = match &args.ipc_path {
            Some(path) => Some(IpcSocket::bind(path).await?),
            None => None,
        };
        let middleware = RpcServiceBuilder::new()
            .layer(FlowLayer)
            .layer(metrics)
            .layer(TransportLayer::new(selection));
        let calls = MethodsService {
            methods: methods.clone(),
            // Tells subscriptions apart, which there are none of.
            connection: ConnectionId(0),
            subscriptions: None,
            max_response: max_response as usize,
        };
        let calls = HttpCalls { service: middleware.service(calls), batch, max_request };
        let calls = tower::ServiceBuilder::new().option_layer(cors).service(calls);
        let upgrades = ServerBuilder::with_config(config)
            .set_rpc_middleware(middleware.clone())
            .to_service_builder();
        let (stop, handle) = stop_channel();
        if let Some(socket) = socket {
            let config = IpcConfig {
                methods: methods.clone(),
                max_request: max_request as usize,
                max_response,
                max_batch: args.max_batch_entries,
                limits,
            };
            // Ends when the server is stopped, for which the handle waits; the socket goes with it.
            tokio::spawn(ipc::accept(socket, config, middleware, stop.clone()));
        }
        let max_connections = args.max_connections;
        let upgrade = move |stop| upgrades.clone().build(methods.clone(), stop);
        let accept =
            connection::accept(listener, threads, max_connections, limits, stop, calls, upgrade);
        // Ends when the server is stopped, for which the handle waits.
        tokio::spawn(accept);
        let ws_api = args.ws_api.as_ref().unwrap_or(&args.http_api);
        let ipc = args.ipc_path.as_ref().map(|path| path.display());
        info!(target: "rpc", address = %local_addr, api = %args.http_api, %ws_api, ipc = ipc.map(tracing::field::display), "rpc server started");
        Ok(RpcServerHandle { local_addr, handle })
    }
}

/// A running server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RpcServerHandle {
    local_addr: SocketAddr,
    handle: ServerHandle,
}

impl RpcServerHandle {
    /// Address that was bound.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// URL for HTTP clients on this machine.
    pub fn http_url(&self) -> String {
        format!("http://{}", reachable(self.local_addr))
    }

    /// URL for WebSocket clients on this machine.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", reachable(self.local_addr))
    }

    /// Stops accepting connections and ends those that exist after their running calls.
    pub fn stop(&self) {
        // An error says that it has stopped before.
        let _ = self.handle.stop();
    }

    /// Waits until the server has stopped.
    pub async fn stopped(self) {
        self.handle.stopped().await;
    }
}

/// The loopback form of a wildcard address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn cors_layer(domains: &str) -> Result<Option<CorsLayer>, RpcServerError> {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([HeaderName::from_static("content-type")]);
    match domains.trim() {
        "" | "none" => Ok(None),
        "*" => Ok(Some(layer.allow_origin(Any))),
        list => {
            let origins: Result<Vec<_>, _> = list
                .split(',')
                .map(str::trim)
                .map(|origin| {
                    // A wildcard beside other origins is a mistake that would open the node.
                    match HeaderValue::from_str(origin) {
                        Ok(value) if origin != "*" => Ok(value),
                        _ => Err(RpcServerError::CorsOrigin(origin.to_owned())),
                    }
                })
                .collect();
            Ok(Some(layer.allow_origin(AllowOrigin::list(origins?))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cors() {
        assert!(cors_layer("").unwrap().is_none());
        assert!(cors_layer("*").unwrap().is_some());
        assert!(cors_layer("http://a.example, http://b.example").unwrap().is_some());
        assert!(cors_layer("http://a.example,*").is_err());
        assert!(cors_layer("bad\norigin").is_err());
    }

    #[test]
    fn wildcard_addresses_are_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:5".parse().unwrap()), "127.0.0.1:5".parse().unwrap());
        assert_eq!(reachable("[::]:5".parse().unwrap()), "[::1]:5".parse().unwrap());
    }
}
