//! What `zks_` asks of settlement, answered by the batcher and L1.

use parking_lot::RwLock;
use tokio::runtime::Handle;
use zkos_batcher::{BatchInputError, BatchInputs, KnownBatchInfo};
use zkos_primitives::{DaCommitmentScheme, StoredBatchInfo};
use zkos_rpc::{BatchHeads, BatchInfo, BatchReader, SettlementReadError, StateProofs, StateProver};

/// Batches and the state tree, for RPC.
#[derive(Debug)]
pub(crate) struct Batches {
    inputs: BatchInputs,
    genesis: StoredBatchInfo,
    heads: RwLock<BatchHeads>,
    runtime: Handle,
}

impl Batches {
    /// Must be called on the runtime.
    pub(crate) fn new(inputs: BatchInputs, genesis: StoredBatchInfo) -> Self {
        Self { inputs, genesis, heads: RwLock::default(), runtime: Handle::current() }
    }

    pub(crate) fn set_heads(&self, heads: BatchHeads) {
        *self.heads.write() = heads;
    }
}

fn info(batch: KnownBatchInfo) -> BatchInfo {
    BatchInfo {
        stored: batch.stored,
        first_block: batch.first_block,
        last_block: batch.last_block,
        commit_tx: batch.commit_tx,
        prove_tx: None,
        execute_tx: None,
    }
}

fn failed(error: BatchInputError) -> SettlementReadError {
    SettlementReadError(error.to_string())
}

// RPC calls these on threads that may block.
impl BatchReader for Batches {
    fn batch(&self, number: u64) -> Result<Option<BatchInfo>, SettlementReadError> {
        if number == 0 {
            return Ok(Some(info(genesis(self.genesis))));
        }
        let found = self.runtime.block_on(self.inputs.batch(number)).map_err(failed)?;
        Ok(found.map(info))
    }

    fn batch_of_block(&self, block: u64) -> Result<Option<BatchInfo>, SettlementReadError> {
        if block == 0 {
            return Ok(Some(info(genesis(self.genesis))));
        }
        let found = self.runtime.block_on(self.inputs.batch_of_block(block)).map_err(failed)?;
        Ok(found.map(info))
    }

    fn heads(&self) -> BatchHeads {
        *self.heads.read()
    }
}

const fn genesis(stored: StoredBatchInfo) -> KnownBatchInfo {
    KnownBatchInfo {
        stored,
        first_block: 0,
        last_block: 0,
        da_commitment_scheme: DaCommitmentScheme::None,
        commit_tx: None,
    }
}

impl StateProver for Batches {
    fn prove(
        &self,
        block: u64,
        keys: &[alloy_primitives::B256],
    ) -> Result<Option<StateProofs>, SettlementReadError> {
        match self.inputs.tree() {
            Some(tree) => tree.prove(block, keys),
            None => Err(failed(BatchInputError::NotReady)),
        }
    }
}
