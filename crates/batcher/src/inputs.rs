//! Inputs of batches on demand: for `zkos verify-batch`, and for whoever wants to prove a batch.

use crate::{SettlementLayer, SharedTree};
use alloy_primitives::{B256, BlockNumber, Bytes};
use futures::future::BoxFuture;
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};
use tokio::sync::Semaphore;
use tracing::error;
use zkos_executor::StateError;
use zkos_primitives::{DaCommitmentScheme, ReplayRecord, StoredBatchInfo};
use zkos_stateless::{BatchInput, BuildError, INPUT_FORMAT, StateReader, build};
use zkos_storage_api::{ProviderError, ReplayRecordReader, StateProviderBox, StateProviderFactory};
use zkos_tree::TreeError;

/// Batches whose blocks are remembered. Older ones are looked up on L1.
const REMEMBERED_BATCHES: usize = 16_384;
/// The batch can't be had: too old, or not there yet.
const UNAVAILABLE_CODE: i32 = -32000;

/// A batch that was sealed here or committed on L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBatchInfo {
    /// What L1 keeps of it, or will.
    pub stored: StoredBatchInfo,
    /// First block.
    pub first_block: BlockNumber,
    /// Last block.
    pub last_block: BlockNumber,
    /// How its commitment to the pubdata is made; none for genesis.
    pub da_commitment_scheme: DaCommitmentScheme,
    /// L1 transaction that committed it, where known.
    pub commit_tx: Option<B256>,
}

/// Batches sealed since the start, and those looked up on L1. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BatchIndex(Arc<parking_lot::RwLock<BTreeMap<u64, KnownBatchInfo>>>);

impl BatchIndex {
    pub(crate) fn insert(&self, batch: KnownBatchInfo) {
        let mut batches = self.0.write();
        batches.insert(batch.stored.batch_number, batch);
        while batches.len() > REMEMBERED_BATCHES {
            batches.pop_first();
        }
    }

    /// A batch by number.
    pub fn batch(&self, number: u64) -> Option<KnownBatchInfo> {
        self.0.read().get(&number).copied()
    }

    /// The batch that a block is in; or else the numbers of the nearest known batch before the block, and of the nearest one after it.
    pub fn batch_of(
        &self,
        block: BlockNumber,
    ) -> Result<KnownBatchInfo, (Option<u64>, Option<u64>)> {
        let batches = self.0.read();
        let mut after = None;
        // Blocks ascend with the numbers; recent blocks are asked for most.
        for (number, batch) in batches.iter().rev() {
            if batch.last_block < block {
                return Err((Some(*number), after));
            }
            if batch.first_block <= block {
                return Ok(*batch);
            }
            after = Some(*number);
        }
        Err((None, after))
    }
}

/// No input can be made of a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchInputError {
    /// The extension does not run yet.
    #[error("the batcher has not started yet")]
    NotReady,
    /// L1 could not tell which blocks are in the batch.
    #[error("can't learn the blocks of batch {batch} from L1: {error:#}")]
    Lookup {
        /// Number of the batch.
        batch: u64,
        /// Why.
        error: eyre::Report,
    },
    /// The tree as it was before the batch is gone.
    #[error(
        "the state tree before batch {batch} (blocks {first}..={last}) is not kept any more: raise --batcher.input-history-blocks and let the node rebuild its tree"
    )]
    Pruned {
        /// Number of the batch.
        batch: u64,
        /// Its first block.
        first: BlockNumber,
        /// Its last block.
        last: BlockNumber,
    },
    /// Storage failed, or does not have the blocks.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The blocks don't execute as they did.
    #[error(transparent)]
    Build(#[from] BuildError<TreeError>),
    /// The tree failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The work was cut off.
    #[error("making the input of batch {0} was interrupted")]
    Interrupted(u64),
}

impl From<BatchInputError> for ErrorObjectOwned {
    fn from(error: BatchInputError) -> Self {
        match error {
            BatchInputError::NotReady
            | BatchInputError::Pruned { .. }
            | BatchInputError::Lookup { .. } => {
                Self::owned(UNAVAILABLE_CODE, error.to_string(), None::<()>)
            }
            error => {
                error!(target: "batcher", %error, "can't make a batch input");
                Self::owned(INTERNAL_ERROR_CODE, "can't make the batch's input", None::<()>)
            }
        }
    }
}

trait Log: ReplayRecordReader + StateProviderFactory + Send + Sync {}
impl<P: ReplayRecordReader + StateProviderFactory + Send + Sync> Log for P {}

type Lookup = dyn Fn(u64) -> BoxFuture<'static, eyre::Result<Option<KnownBatchInfo>>> + Send + Sync;

struct Sources {
    log: Box<dyn Log>,
    tree: SharedTree,
    lookup: Box<Lookup>,
}

/// Makes inputs of batches. Created before the node starts; the extension gives it what it needs. Cheap to clone.
#[derive(Clone)]
pub struct BatchInputs {
    index: BatchIndex,
    sources: Arc<OnceLock<Sources>>,
    /// Each input executes a whole batch again: one at a time leaves the rest of the machine to the node.
    permits: Arc<Semaphore>,
}

impl Default for BatchInputs {
    fn default() -> Self {
        Self {
            index: BatchIndex::default(),
            sources: Arc::default(),
            permits: Arc::new(Semaphore::new(1)),
        }
    }
}

impl fmt::Debug for BatchInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchInputs").field("ready", &self.sources.get().is_some()).finish()
    }
}

impl BatchInputs {
    /// Which blocks are in which batch.
    pub const fn index(&self) -> &BatchIndex {
        &self.index
    }

    pub(crate) fn provide<P, L>(&self, provider: P, tree: SharedTree, layer: Arc<L>)
    where
        P: ReplayRecordReader + StateProviderFactory + Send + Sync + 'static,
        L: SettlementLayer,
    {
        let lookup = move |batch| -> BoxFuture<'static, _> {
            let layer = layer.clone();
            Box::pin(async move { layer.committed_batch(batch).await })
        };
        // The extension starts once.
        let _ =
            self.sources.set(Sources { log: Box::new(provider), tree, lookup: Box::new(lookup) });
    }

    /// A batch: a sealed one as this node cut it, an older one as committed on L1. None if there is no such batch.
    ///
    /// # Errors
    /// When the extension has not started, or L1 can't be asked.
    pub async fn batch(&self, number: u64) -> Result<Option<KnownBatchInfo>, BatchInputError> {
        if let Some(batch) = self.index.batch(number) {
            return Ok(Some(batch));
        }
        let sources = self.sources.get().ok_or(BatchInputError::NotReady)?;
        let found = (sources.lookup)(number)
            .await
            .map_err(|error| BatchInputError::Lookup { batch: number, error })?;
        if let Some(batch) = found {
            self.index.insert(batch);
        }
        Ok(found)
    }

    /// The batch that a block is in, none if it is in none yet. Batches of earlier runs are searched on L1, by halves.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn batch_of_block(
        &self,
        block: BlockNumber,
    ) -> Result<Option<KnownBatchInfo>, BatchInputError> {
        loop {
            let (low, high) = match self.index.batch_of(block) {
                Ok(batch) => return Ok(Some(batch)),
                Err((_, None)) => return Ok(None),
                Err((before, Some(after))) => (before.unwrap_or_default(), after),
            };
            // Batch 0 is genesis, of which L1 has no commit.
            if high <= low + 1 || block == 0 {
                return Ok(None);
            }
            if self.batch(low + (high - low) / 2).await?.is_none() {
                return Ok(None);
            }
        }
    }

    /// The state tree, once the extension runs.
    pub fn tree(&self) -> Option<&SharedTree> {
        self.sources.get().map(|sources| &sources.tree)
    }

    /// The input of a batch, none if there is no such batch.
    ///
    /// # Errors
    /// When it can't be made: see the variants.
    pub async fn input(&self, batch: u64) -> Result<Option<BatchInput>, BatchInputError> {
        let Some(found) = self.batch(batch).await? else { return Ok(None) };
        let interrupted = |_| BatchInputError::Interrupted(batch);
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| BatchInputError::Interrupted(batch))?;
        let sources = self.sources.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            sources.get().ok_or(BatchInputError::NotReady)?.build(&found).map(Some)
        })
        .await
        .map_err(interrupted)?
    }
}

impl Sources {
    fn build(&self, batch: &KnownBatchInfo) -> Result<BatchInput, BatchInputError> {
        let KnownBatchInfo {
            stored,
            first_block: first,
            last_block: last,
            da_commitment_scheme: scheme,
            commit_tx: _,
        } = *batch;
        let batch = stored.batch_number;
        let records = (first..=last)
            .map(|number| self.log.replay_record_or_err(number))
            .collect::<Result<Vec<Arc<ReplayRecord>>, _>>()?;
        let before = first.saturating_sub(1);
        let kept =
            |tree: &SharedTree| tree.read().oldest_version().is_some_and(|oldest| oldest <= before);
        let pruned = || BatchInputError::Pruned { batch, first, last };
        if !kept(&self.tree) {
            return Err(pruned());
        }
        let output = self.tree.read().output(before)?;
        let state = State(self.log.history_by_block_number(before)?);
        let prove =
            |reads: &[B256], writes: &[B256]| self.tree.read().prove_batch(before, reads, writes);
        match build(batch, scheme, output, &records, state, prove) {
            // The batch was executed on L1 meanwhile.
            Err(BuildError::Proof { .. }) if !kept(&self.tree) => Err(pruned()),
            result => Ok(result?),
        }
    }
}

/// State of the provider, as leaves and preimages.
#[derive(Debug)]
struct State<S = StateProviderBox>(S);

impl StateReader for State {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        self.0.read(key).map_err(|error| StateError::Backend(Box::new(error)))
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        self.0.preimage(hash).map_err(|error| StateError::Backend(Box::new(error)))
    }
}

/// Answer of `zks_getBatchInput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInputResponse {
    /// Number of the batch.
    pub batch_number: u64,
    /// Its first block.
    pub first_block: BlockNumber,
    /// Its last block.
    pub last_block: BlockNumber,
    /// Version of the layout.
    pub format: u32,
    /// The input: its words as little endian bytes.
    pub input: Bytes,
}

/// Methods that the batcher adds to `zks_`.
#[rpc(server, namespace = "zks")]
pub trait BatcherApi {
    /// Input of a sealed batch: what it takes to execute it again without a state, and to prove it. `null` when there is no such batch.
    #[method(name = "getBatchInput")]
    async fn batch_input(&self, batch: u64) -> RpcResult<Option<BatchInputResponse>>;
}

#[async_trait]
impl BatcherApiServer for BatchInputs {
    async fn batch_input(&self, batch: u64) -> RpcResult<Option<BatchInputResponse>> {
        let Some(input) = self.input(batch).await? else { return Ok(None) };
        let (first_block, last_block) = input.block_range();
        Ok(Some(BatchInputResponse {
            batch_number: batch,
            first_block,
            last_block,
            format: INPUT_FORMAT,
            input: input.to_bytes().into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u64, first_block: u64, last_block: u64) -> KnownBatchInfo {
        let stored = StoredBatchInfo { batch_number: number, ..Default::default() };
        KnownBatchInfo {
            stored,
            first_block,
            last_block,
            da_commitment_scheme: DaCommitmentScheme::EmptyNoDa,
            commit_tx: None,
        }
    }

    #[test]
    fn index_finds_batches_by_block() {
        let index = BatchIndex::default();
        let early = batch(1, 1, 3);
        let (four, five) = (batch(4, 10, 12), batch(5, 13, 13));
        for batch in [four, early, five] {
            index.insert(batch);
        }
        assert_eq!(index.batch(4), Some(four));
        assert_eq!(index.batch(6), None);
        assert_eq!(index.batch_of(9), Err((Some(1), Some(4))));
        assert_eq!([10, 12, 13].map(|block| index.batch_of(block)), [Ok(four), Ok(four), Ok(five)]);
        assert_eq!(index.batch_of(14), Err((Some(5), None)));
        assert_eq!(index.batch_of(0), Err((None, Some(1))));
    }

    #[test]
    fn index_is_bounded() {
        let index = BatchIndex::default();
        for number in 0..REMEMBERED_BATCHES as u64 + 2 {
            index.insert(batch(number, number, number));
        }
        assert_eq!(index.batch(1), None);
        assert_eq!(index.batch(2), Some(batch(2, 2, 2)));
    }
}
