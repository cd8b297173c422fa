use crate::zks::BlockMetadata;
use alloy_eips::eip1898::LenientBlockNumberOrTag;
use alloy_primitives::Address;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use zkos_node_core::StageStatus;
use zkos_primitives::Genesis;

/// `zks_`: what is particular to the chain.
#[rpc(server, namespace = "zks")]
pub trait ZksApi {
    /// Bridgehub on the settlement layer.
    #[method(name = "getBridgehubContract")]
    fn bridgehub_contract(&self) -> RpcResult<Address>;

    /// Genesis file of the chain.
    #[method(name = "getGenesis")]
    fn genesis(&self) -> RpcResult<Genesis>;

    /// Prices and version with which a block was executed, `null` when unknown.
    #[method(name = "getBlockMetadataByNumber")]
    async fn block_metadata_by_number(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<BlockMetadata>>;

    /// Head, queue and state of every stage of the node.
    #[method(name = "pipelineStatus")]
    fn pipeline_status(&self) -> RpcResult<Vec<StageStatus>>;
}
