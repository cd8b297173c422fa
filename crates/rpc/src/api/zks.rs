use crate::zks::{BatchDetails, BlockMetadata, L2ToL1LogProof, LogProofTarget, StateProof};
use alloy_eips::eip1898::LenientBlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::Index;
use alloy_serde::JsonStorageKey;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use zkos_node_core::StageStatus;
use zkos_primitives::Genesis;

/// `zks_`: what is particular to the chain.
#[rpc(server, namespace = "zks")]
pub trait ZksApi {
    /// Bridgehub on the settlement layer.
    #[method(name = "getBridgehubContract")]
    fn bridgehub_contract(&self) -> RpcResult<Address>;

    /// Contract on the settlement layer that publishes bytecodes for upgrades.
    #[method(name = "getBytecodeSupplierContract")]
    fn bytecode_supplier_contract(&self) -> RpcResult<Address>;

    /// Genesis file of the chain.
    #[method(name = "getGenesis")]
    fn genesis(&self) -> RpcResult<Genesis>;

    /// Prices and version with which a block was executed, `null` when unknown.
    #[method(name = "getBlockMetadataByNumber")]
    async fn block_metadata_by_number(
        &self,
        number: LenientBlockNumberOrTag,
    ) -> RpcResult<Option<BlockMetadata>>;

    /// Gas that pays for a byte of pubdata at the base fee of the head, rounded up.
    #[method(name = "gasPerPubdata")]
    async fn gas_per_pubdata(&self) -> RpcResult<U256>;

    /// Number of the last batch that L1 knows.
    #[method(name = "L1BatchNumber")]
    fn batch_number(&self) -> RpcResult<U64>;

    /// A batch by number, `null` when unknown.
    #[method(name = "getL1BatchDetails")]
    async fn batch_details(&self, number: U64) -> RpcResult<Option<BatchDetails>>;

    /// The batch of a block, `null` when it is in none yet.
    #[method(name = "getBatchByBlockNumber", aliases = ["unstable_getBatchByBlockNumber"])]
    async fn batch_by_block_number(&self, block: U64) -> RpcResult<Option<BatchDetails>>;

    /// First and last block of a batch, `null` when unknown.
    #[method(name = "getL1BatchBlockRange")]
    async fn batch_block_range(&self, number: U64) -> RpcResult<Option<(U64, U64)>>;

    /// Proof for L1 of a log, by its index in a transaction of an executed batch; `null` when the transaction is unknown.
    #[method(name = "getL2ToL1LogProof")]
    async fn l2_to_l1_log_proof(
        &self,
        hash: B256,
        index: Option<Index>,
        target: Option<LogProofTarget>,
    ) -> RpcResult<Option<L2ToL1LogProof>>;

    /// Proof of slots in the state after a batch, to be compared with the hash that L1 keeps of it; `null` when the batch is unknown.
    #[method(name = "getProof")]
    async fn proof(
        &self,
        address: Address,
        keys: Vec<JsonStorageKey>,
        batch: U64,
    ) -> RpcResult<Option<StateProof>>;

    /// Encoded account record in the state after a batch, `null` when the account or the batch is unknown.
    #[method(name = "getAccountPreimage")]
    async fn account_preimage(&self, address: Address, batch: U64) -> RpcResult<Option<Bytes>>;

    /// Head, queue and state of every stage of the node.
    #[method(name = "pipelineStatus")]
    fn pipeline_status(&self) -> RpcResult<Vec<StageStatus>>;
}
