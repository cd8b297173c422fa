use crate::{EthApi, EthApiError, RpcNodeCore, ZksApiError, api::ZksApiServer};
use alloy_eips::{BlockNumberOrTag, eip1898::LenientBlockNumberOrTag};
use alloy_primitives::{Address, U256};
use jsonrpsee::core::{RpcResult, async_trait};
use serde::{Deserialize, Serialize};
use std::fmt;
use zkos_node_core::StageStatus;
use zkos_primitives::Genesis;

/// Prices and version with which a block was executed. The names are in snake case as in the original server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockMetadata {
    /// Wei per byte of pubdata.
    pub pubdata_price_per_byte: U256,
    /// Wei per unit of native.
    pub native_price: U256,
    /// Version of the state transition function.
    pub execution_version: u32,
}

/// `zks_` over a node.
pub struct ZksApi<N: RpcNodeCore> {
    eth: EthApi<N>,
}

impl<N: RpcNodeCore> Clone for ZksApi<N> {
    fn clone(&self) -> Self {
        Self { eth: self.eth.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for ZksApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZksApi").finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> ZksApi<N> {
    /// `zks_` that reads what `eth_` reads.
    pub const fn new(eth: EthApi<N>) -> Self {
        Self { eth }
    }

    async fn metadata(&self, id: BlockNumberOrTag) -> Result<Option<BlockMetadata>, EthApiError> {
        self.eth
            .spawn_read(move |eth| match eth.context_at(id.into()) {
                Ok(context) => Ok(Some(BlockMetadata {
                    pubdata_price_per_byte: context.pubdata_price,
                    native_price: context.native_price,
                    execution_version: context.execution_version,
                })),
                Err(EthApiError::BlockNotFound(_)) => Ok(None),
                Err(error) => Err(error),
            })
            .await
    }
}

#[async_trait]
impl<N: RpcNodeCore> ZksApiServer for ZksApi<N> {
    fn bridgehub_contract(&self) -> RpcResult<Address> {
        Ok(self.eth.shared().bridgehub().ok_or(ZksApiError::BridgehubUnknown)?)
    }

    fn genesis(&self) -> RpcResult<Genesis> {
        Ok(self.eth.node().chain_spec().genesis().clone())
    }

    async fn block_metadata_by_number(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<BlockMetadata>> {
        Ok(self.metadata(number.into()).await.map_err(ZksApiError::from)?)
    }

    fn pipeline_status(&self) -> RpcResult<Vec<StageStatus>> {
        Ok(self.eth.node().stages().snapshot())
    }
}
