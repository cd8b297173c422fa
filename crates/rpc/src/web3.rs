use crate::api::Web3ApiServer;
use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::core::{RpcResult, async_trait};

/// Name, version, platform and language of the node, in the form that other clients use.
pub fn client_version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("zkos/v{version}/{arch}-{os}/rust")
}

/// `web3_`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Web3Api;

#[async_trait]
impl Web3ApiServer for Web3Api {
    fn client_version(&self) -> RpcResult<String> {
        Ok(client_version())
    }

    fn sha3(&self, input: Bytes) -> RpcResult<B256> {
        Ok(keccak256(&input))
    }
}
