use clap::Args;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use super::parse_duration;

/// Which RPC namespaces a transport serves. reth: `RpcModuleSelection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcModuleSelection {
    /// Every namespace.
    All,
    /// None.
    None,
    /// These, lower case.
    Selection(Vec<String>),
}

impl RpcModuleSelection {
    /// Whether a namespace is served.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Selection(names) => names.iter().any(|name| name == namespace),
        }
    }
}

impl FromStr for RpcModuleSelection {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.trim() {
            "all" => Ok(Self::All),
            "none" | "" => Ok(Self::None),
            list => Ok(Self::Selection(
                list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect(),
            )),
        }
    }
}

impl fmt::Display for RpcModuleSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Selection(names) => f.write_str(&names.join(",")),
        }
    }
}

/// The JSON-RPC server: HTTP and WebSocket on one port.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "RPC")]
pub struct RpcServerArgs {
    /// Address to listen on
    #[arg(id = "http.addr", long = "http.addr", value_name = "IP", default_value = "0.0.0.0")]
    pub http_addr: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(id = "http.port", long = "http.port", value_name = "PORT", default_value_t = 3050)]
    pub http_port: u16,
    /// Namespaces to serve, comma separated, or `all`
    #[arg(id = "http.api", long = "http.api", value_name = "LIST", default_value = "all")]
    pub http_api: RpcModuleSelection,
    /// Namespaces to serve over WebSocket, comma separated, or `all`; those of `--http.api` when not given
    #[arg(id = "ws.api", long = "ws.api", value_name = "LIST")]
    pub ws_api: Option<RpcModuleSelection>,
    /// Serve every namespace on a Unix socket at this path, too
    #[arg(id = "ipc.path", long = "ipc.path", alias = "ipcpath", value_name = "PATH")]
    pub ipc_path: Option<PathBuf>,
    /// Allowed CORS origins, comma separated, or `*`
    #[arg(
        id = "http.corsdomain",
        long = "http.corsdomain",
        value_name = "LIST",
        default_value = "*"
    )]
    pub http_corsdomain: String,
    /// Connections served at once
    #[arg(
        id = "rpc.max-connections",
        long = "rpc.max-connections",
        value_name = "N",
        default_value_t = 1000
    )]
    pub max_connections: u32,
    /// Largest request, megabytes
    #[arg(
        id = "rpc.max-request-size",
        long = "rpc.max-request-size",
        value_name = "MB",
        default_value_t = 15
    )]
    pub max_request_size: u32,
    /// Largest response, megabytes
    #[arg(
        id = "rpc.max-response-size",
        long = "rpc.max-response-size",
        value_name = "MB",
        default_value_t = 24
    )]
    pub max_response_size: u32,
    /// Largest number of calls in a batch
    #[arg(
        id = "rpc.max-batch-entries",
        long = "rpc.max-batch-entries",
        value_name = "N",
        default_value_t = 1000
    )]
    pub max_batch_entries: u32,
    /// Gas of `eth_call` when the caller names none, and its upper limit
    #[arg(
        id = "rpc.gascap",
        long = "rpc.gascap",
        value_name = "GAS",
        default_value_t = 100_000_000
    )]
    pub gas_cap: u64,
    /// Blocks that one log query may span
    #[arg(
        id = "rpc.max-blocks-per-filter",
        long = "rpc.max-blocks-per-filter",
        value_name = "N",
        default_value_t = 100_000
    )]
    pub max_blocks_per_filter: u64,
    /// Logs that one query over several blocks may return
    #[arg(
        id = "rpc.max-logs-per-response",
        long = "rpc.max-logs-per-response",
        value_name = "N",
        default_value_t = 20_000
    )]
    pub max_logs_per_response: usize,
    /// Unpolled filters are dropped after this time
    #[arg(id = "rpc.stale-filter-ttl", long = "rpc.stale-filter-ttl", value_name = "TIME", default_value = "15m", value_parser = parse_duration)]
    pub stale_filter_ttl: Duration,
    /// Default wait of `eth_sendRawTransactionSync`
    #[arg(id = "rpc.send-raw-transaction-sync-timeout", long = "rpc.send-raw-transaction-sync-timeout", value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub send_raw_transaction_sync_timeout: Duration,
    /// Factor on the pubdata price while gas is estimated
    #[arg(
        id = "rpc.estimate-gas-pubdata-price-factor",
        long = "rpc.estimate-gas-pubdata-price-factor",
        value_name = "F",
        default_value_t = 1.5
    )]
    pub estimate_gas_pubdata_price_factor: f64,
    /// Calls that may execute at once
    #[arg(
        id = "rpc.max-concurrent-calls",
        long = "rpc.max-concurrent-calls",
        value_name = "N",
        default_value_t = 16
    )]
    pub max_concurrent_calls: usize,
    /// Traces that may execute at once
    #[arg(
        id = "rpc.max-concurrent-traces",
        long = "rpc.max-concurrent-traces",
        value_name = "N",
        default_value_t = 2
    )]
    pub max_concurrent_traces: usize,
    /// Let callers of `debug_` trace with JavaScript of their own. A script's memory and recursion are not bounded: only for callers that are trusted
    #[arg(id = "rpc.js-tracer", long = "rpc.js-tracer", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub js_tracer: bool,
    /// Blocks that one `trace_filter` may span
    #[arg(
        id = "rpc.max-trace-filter-blocks",
        long = "rpc.max-trace-filter-blocks",
        value_name = "N",
        default_value_t = 100
    )]
    pub max_trace_filter_blocks: u64,
    /// Blocks that one `eth_simulateV1` may make
    #[arg(
        id = "rpc.max-simulate-blocks",
        long = "rpc.max-simulate-blocks",
        value_name = "N",
        default_value_t = 256
    )]
    pub max_simulate_blocks: u64,
}

impl RpcServerArgs {
    /// Address and port.
    pub const fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.http_addr, self.http_port)
    }

    /// Namespaces of the Unix socket: all of them, as only the node's own user reaches it.
    pub const fn ipc_api(&self) -> RpcModuleSelection {
        match self.ipc_path {
            Some(_) => RpcModuleSelection::All,
            None => RpcModuleSelection::None,
        }
    }
}

impl Default for RpcServerArgs {
    fn default() -> Self {
        Self {
            http_addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            http_port: 3050,
            http_api: RpcModuleSelection::All,
            ws_api: None,
            ipc_path: None,
            http_corsdomain: "*".to_owned(),
            max_connections: 1000,
            max_request_size: 15,
            max_response_size: 24,
            max_batch_entries: 1000,
            gas_cap: 100_000_000,
            max_blocks_per_filter: 100_000,
            max_logs_per_response: 20_000,
            stale_filter_ttl: Duration::from_secs(15 * 60),
            send_raw_transaction_sync_timeout: Duration::from_secs(2),
            estimate_gas_pubdata_price_factor: 1.5,
            max_concurrent_calls: 16,
            max_concurrent_traces: 2,
            js_tracer: false,
            max_trace_filter_blocks: 100,
            max_simulate_blocks: 256,
        }
    }
}
