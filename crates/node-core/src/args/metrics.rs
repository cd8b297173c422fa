use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Prometheus endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Serve metrics
    #[arg(id = "metrics.enabled", long = "metrics.enabled", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub enabled: bool,
    /// Address to listen on
    #[arg(
        id = "metrics.addr",
        long = "metrics.addr",
        value_name = "IP",
        default_value = "127.0.0.1"
    )]
    pub addr: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(id = "metrics.port", long = "metrics.port", value_name = "PORT", default_value_t = 3312)]
    pub port: u16,
}

impl MetricsArgs {
    /// Address and port.
    pub const fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.addr, self.port)
    }
}

impl Default for MetricsArgs {
    fn default() -> Self {
        Self { enabled: true, addr: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 3312 }
    }
}

/// Health and pipeline status.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Status")]
pub struct StatusArgs {
    /// Serve `/status/health` and `/status/pipeline`
    #[arg(id = "status.enabled", long = "status.enabled", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub enabled: bool,
    /// Address and port to listen on; port 0 picks a free one
    #[arg(
        id = "status.address",
        long = "status.address",
        value_name = "ADDR",
        default_value = "127.0.0.1:3071"
    )]
    pub address: SocketAddr,
}

impl Default for StatusArgs {
    fn default() -> Self {
        Self { enabled: true, address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3071) }
    }
}
