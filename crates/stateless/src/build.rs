//! Making the input of a batch.

use crate::{
    BatchInput, BlockInput, ParentState, StateReader, StatelessError, execute::BatchRun,
    state::Recorder,
};
use alloy_primitives::{B256, BlockNumber, Bytes, map::B256Map};
use zkos_executor::{StateError, ZkEvmConfig};
use zkos_primitives::{DaCommitmentScheme, ProtocolVersion, ReplayRecord, batch::BatchContents};
use zkos_tree::{BatchProof, TreeOutput};

/// The input of a batch can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E> {
    /// No blocks.
    #[error("batch {0} has no blocks")]
    Empty(u64),
    /// Blocks of different protocol versions.
    #[error("batch {batch} starts with protocol version {first}, block {block} has {found}")]
    MixedVersions {
        /// Number of the batch.
        batch: u64,
        /// Version of the first block.
        first: ProtocolVersion,
        /// A block with another one.
        block: BlockNumber,
        /// Its version.
        found: ProtocolVersion,
    },
    /// Executing the blocks failed.
    #[error(transparent)]
    Execution(#[from] StatelessError),
    /// A block gave another hash than the record names: log, state or executor are wrong.
    #[error("block {block} is {recorded} in the log, executing it again gives {computed}")]
    Contradiction {
        /// The block.
        block: BlockNumber,
        /// Hash in the record.
        recorded: B256,
        /// Hash computed.
        computed: B256,
    },
    /// The tree gave no proof.
    #[error("no proof for batch {batch}: {source}")]
    Proof {
        /// Number of the batch.
        batch: u64,
        /// Why.
        source: E,
    },
}

/// Makes the input of a batch from the records of its blocks, in order.
///
/// `before` is the state before the first block and `tree` its tree; `prove` makes a proof against that tree for keys that are read and keys that are written, see
/// [`zkos_tree::MerkleTree::prove_batch`]. The blocks are executed again to learn what they read.
///
/// # Errors
/// When the blocks are no batch, or what they were given contradicts itself.
pub fn build<R, E>(
    batch_number: u64,
    da_scheme: DaCommitmentScheme,
    tree: TreeOutput,
    records: &[impl AsRef<ReplayRecord>],
    before: R,
    prove: impl FnOnce(&[B256], &[B256]) -> Result<BatchProof, E>,
) -> Result<BatchInput, BuildError<E>>
where
    R: StateReader,
{
    let first = records.first().ok_or(BuildError::Empty(batch_number))?.as_ref();
    let chain_id = first.block_context.chain_id;
    let protocol_version = first.protocol_version;
    let parent = ParentState {
        root: tree.root,
        leaf_count: tree.leaf_count,
        block_number: first.block_number().saturating_sub(1),
        timestamp: first.previous_block_timestamp,
        block_hashes: first.block_context.block_hashes.clone(),
    };
    let offered =
        records.iter().flat_map(|record| record.as_ref().force_preimages.iter().cloned()).collect();
    let recorder = Recorder::new(WithOffered { inner: before, offered });
    let contents = BatchContents::new(batch_number, chain_id);
    // Bytecodes that are cached from before the batch would not be recorded.
    let config = ZkEvmConfig::new();
    let mut run = BatchRun::new(recorder, config, protocol_version, contents, parent.timestamp);
    let mut blocks = Vec::with_capacity(records.len());
    for record in records {
        let record = record.as_ref();
        let block = record.block_number();
        if record.protocol_version != protocol_version {
            return Err(BuildError::MixedVersions {
                batch: batch_number,
                first: protocol_version,
                block,
                found: record.protocol_version,
            });
        }
        let output =
            run.block(record.block_context.clone(), &record.transactions, &record.senders)?;
        if output.block_hash != record.block_hash {
            return Err(BuildError::Contradiction {
                block,
                recorded: record.block_hash,
                computed: output.block_hash,
            });
        }
        blocks.push(BlockInput::new(&record.block_context, record.transactions.clone()));
    }
    let reads = run.reads(&run.state.before.keys);
    let proof = prove(&reads, &run.written)
        .map_err(|source| BuildError::Proof { batch: batch_number, source })?;
    let mut preimages: Vec<(B256, Bytes)> = run.state.before.preimages.into_iter().collect();
    preimages.sort_unstable_by_key(|(hash, _)| *hash);
    Ok(BatchInput {
        batch_number,
        chain_id,
        protocol_version,
        da_scheme,
        parent,
        blocks,
        leaves: proof.leaves,
        hashes: proof.hashes,
        preimages: preimages.into_iter().map(|(_, bytes)| bytes).collect(),
    })
}

/// State together with code that the blocks offer to force deployments.
#[derive(Debug)]
struct WithOffered<R> {
    inner: R,
    offered: B256Map<Bytes>,
}

impl<R: StateReader> StateReader for WithOffered<R> {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        self.inner.leaf(key)
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        match self.offered.get(&hash) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.inner.preimage(hash),
        }
    }
}
