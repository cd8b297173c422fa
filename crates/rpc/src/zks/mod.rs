//! The `zks_` namespace.

mod proofs;
mod settlement;
mod types;

pub use settlement::{
    BatchHeads, BatchIndex, BatchInfo, BatchReader, SettlementReadError, StateProofs, StateProver,
};
pub use types::{
    BatchDetails, BatchStatus, BlockMetadata, L1VerificationData, L2ToL1LogProof, LogProofTarget,
    StateCommitmentPreimage, StateProof, StorageProof,
};

use crate::{EthApi, EthApiError, RpcNodeCore, ZksApiError, api::ZksApiServer};
use alloy_eips::{BlockNumberOrTag, eip1898::LenientBlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::Index;
use alloy_serde::JsonStorageKey;
use jsonrpsee::core::{RpcResult, async_trait};
use std::fmt;
use zkos_node_core::StageStatus;
use zkos_primitives::Genesis;

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
            .read(move |eth| match eth.context_at(id.into()) {
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

    async fn details(
        &self,
        find: impl FnOnce(&dyn BatchReader) -> Result<Option<BatchInfo>, SettlementReadError>
        + Send
        + 'static,
    ) -> Result<Option<BatchDetails>, ZksApiError> {
        self.eth
            .spawn_read(move |eth| {
                let batches = eth.shared().batches()?;
                // In this order: what is read later may be further, never behind.
                let batch = find(&*batches)?;
                let heads = batches.heads();
                Ok(batch.map(|batch| BatchDetails::new(&batch, heads)))
            })
            .await
    }
}

#[async_trait]
impl<N: RpcNodeCore> ZksApiServer for ZksApi<N> {
    fn bridgehub_contract(&self) -> RpcResult<Address> {
        Ok(self.eth.shared().bridgehub().ok_or(ZksApiError::BridgehubUnknown)?)
    }

    fn bytecode_supplier_contract(&self) -> RpcResult<Address> {
        Ok(self.eth.shared().bytecode_supplier().ok_or(ZksApiError::BytecodeSupplierUnknown)?)
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

    async fn gas_per_pubdata(&self) -> RpcResult<U256> {
        let gas = self.eth.read(|eth| {
            let context = eth.context_at(BlockNumberOrTag::Latest.into())?;
            let base_fee = context.eip1559_basefee.max(U256::ONE);
            Ok::<_, EthApiError>(context.pubdata_price.div_ceil(base_fee))
        });
        Ok(gas.await?)
    }

    fn batch_number(&self) -> RpcResult<U64> {
        Ok(U64::from(self.eth.shared().batches()?.heads().committed))
    }

    async fn batch_details(&self, number: U64) -> RpcResult<Option<BatchDetails>> {
        Ok(self.details(move |batches| batches.batch(number.to())).await?)
    }

    async fn batch_by_block_number(&self, block: U64) -> RpcResult<Option<BatchDetails>> {
        Ok(self.details(move |batches| batches.batch_of_block(block.to())).await?)
    }

    async fn batch_block_range(&self, number: U64) -> RpcResult<Option<(U64, U64)>> {
        let details = self.batch_details(number).await?;
        Ok(details.map(|batch| (U64::from(batch.first_block), U64::from(batch.last_block))))
    }

    async fn l2_to_l1_log_proof(
        &self,
        hash: B256,
        index: Option<Index>,
        target: Option<LogProofTarget>,
    ) -> RpcResult<Option<L2ToL1LogProof>> {
        if target == Some(LogProofTarget::MessageRoot) {
            return Err(EthApiError::Unsupported("the chain has no message root").into());
        }
        let index = index.map(usize::from).unwrap_or_default();
        Ok(Self::l2_to_l1_log_proof(self, hash, index).await?)
    }

    async fn proof(
        &self,
        address: Address,
        keys: Vec<JsonStorageKey>,
        batch: U64,
    ) -> RpcResult<Option<StateProof>> {
        let keys = keys.into_iter().map(|key| key.as_b256()).collect();
        Ok(self.state_proof(address, keys, batch.to()).await?)
    }

    async fn account_preimage(&self, address: Address, batch: U64) -> RpcResult<Option<Bytes>> {
        Ok(Self::account_preimage(self, address, batch.to()).await?)
    }

    fn pipeline_status(&self) -> RpcResult<Vec<StageStatus>> {
        Ok(self.eth.node().stages().snapshot())
    }
}
