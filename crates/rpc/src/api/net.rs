use alloy_primitives::U64;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

/// `net_`.
#[rpc(server, namespace = "net")]
pub trait NetApi {
    /// Chain id as a decimal string.
    #[method(name = "version")]
    fn version(&self) -> RpcResult<String>;

    /// Zero: the node has no peer-to-peer network.
    #[method(name = "peerCount")]
    fn peer_count(&self) -> RpcResult<U64>;

    /// True while the node serves.
    #[method(name = "listening")]
    fn is_listening(&self) -> RpcResult<bool>;
}
