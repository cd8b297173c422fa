use crate::api::NetApiServer;
use alloy_primitives::U64;
use jsonrpsee::core::{RpcResult, async_trait};

/// `net_`.
#[derive(Debug, Clone, Copy)]
pub struct NetApi {
    chain_id: u64,
}

impl NetApi {
    /// `net_` of a chain.
    pub const fn new(chain_id: u64) -> Self {
        Self { chain_id }
    }
}

#[async_trait]
impl NetApiServer for NetApi {
    fn version(&self) -> RpcResult<String> {
        Ok(self.chain_id.to_string())
    }

    fn peer_count(&self) -> RpcResult<U64> {
        Ok(U64::ZERO)
    }

    fn is_listening(&self) -> RpcResult<bool> {
        Ok(true)
    }
}
