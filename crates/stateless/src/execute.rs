//! Executing a batch: once to make its input, and again to check it.

use crate::{
    BatchInput, StatelessError,
    state::{BatchState, StateReader, WitnessState},
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_primitives::{
    Address, B256,
    map::{B256Set, HashSet},
};
use zkos_executor::ZkEvmConfig;
use zkos_primitives::{
    BlockContext, BlockOutput, CommitBatchInfo, L2ToL1Log, ProtocolVersion, StoredBatchInfo,
    ZkTxEnvelope,
    batch::{BatchContents, da_commitment},
    batch_public_input, block_hashes_blake, state_commitment,
};
use zkos_tree::{BatchProof, Operation, TreeOutput};

/// A batch that was executed from its input: everything that L1 is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOutcome {
    /// State commitment before the batch.
    pub previous_state_commitment: B256,
    /// What is committed.
    pub commit: CommitBatchInfo,
    /// Hash of the upgrade transaction in the batch, zero if there is none.
    pub upgrade_tx_hash: B256,
    /// Pubdata of all blocks.
    pub pubdata: Vec<u8>,
    /// The state tree after the batch.
    pub tree: TreeOutput,
    /// Hash of the last block.
    pub block_hash: B256,
    /// Number of transactions.
    pub transactions: u64,
    /// Gas used by all blocks.
    pub gas_used: u64,
}

impl BatchOutcome {
    /// What L1 stores of the batch.
    pub fn stored(&self) -> StoredBatchInfo {
        self.commit.stored(self.upgrade_tx_hash)
    }

    /// Hash of the batch's output.
    pub fn output_hash(&self) -> B256 {
        self.commit.output(self.upgrade_tx_hash).hash()
    }

    /// Public input of the batch's proof, unshifted.
    pub fn public_input(&self) -> B256 {
        batch_public_input(
            self.previous_state_commitment,
            self.commit.new_state_commitment,
            self.output_hash(),
        )
    }
}

/// Blocks of a batch, one executed after the other.
#[derive(Debug)]
pub(crate) struct BatchRun<R> {
    pub(crate) state: BatchState<R>,
    config: ZkEvmConfig,
    protocol_version: ProtocolVersion,
    pub(crate) contents: BatchContents,
    timestamp: u64,
    /// Keys that the batch writes, in the order of their first write.
    pub(crate) written: Vec<B256>,
    seen: B256Set,
    gas_used: u64,
}

impl<R: StateReader> BatchRun<R> {
    /// `timestamp` is that of the block before.
    pub(crate) fn new(
        before: R,
        config: ZkEvmConfig,
        protocol_version: ProtocolVersion,
        contents: BatchContents,
        timestamp: u64,
    ) -> Self {
        Self {
            state: BatchState::new(before),
            config,
            protocol_version,
            contents,
            timestamp,
            written: Vec::new(),
            seen: B256Set::default(),
            gas_used: 0,
        }
    }

    /// Executes the next block. All its transactions must be valid.
    pub(crate) fn block(
        &mut self,
        context: BlockContext,
        transactions: &[ZkTxEnvelope],
        senders: &[Address],
    ) -> Result<BlockOutput, StatelessError> {
        let block = context.block_number;
        let (timestamp, execution_version) = (context.timestamp, context.execution_version);
        if self.protocol_version.execution_version() != Some(execution_version) {
            let protocol = self.protocol_version;
            return Err(StatelessError::Version { block, protocol, execution_version });
        }
        if timestamp < self.timestamp {
            let previous = self.timestamp;
            return Err(StatelessError::Timestamp { block, timestamp, previous });
        }
        let failed = |source| StatelessError::Execution { block, source };
        let mut executor = self.config.block_executor(context, &mut self.state).map_err(failed)?;
        for (tx, sender) in transactions.iter().zip(senders) {
            if let Err(error) = executor.execute_transaction(tx, *sender).map_err(failed)? {
                return Err(StatelessError::Rejected { block, hash: *tx.hash(), error });
            }
        }
        let mut output = executor.finish().map_err(failed)?;
        let logs: Vec<L2ToL1Log> = output
            .included()
            .flat_map(|result| &result.l2_to_l1_logs)
            .map(|log| log.log.clone().into())
            .collect();
        self.contents.push_block(block, timestamp, transactions, &logs, &output.pubdata)?;
        for write in &output.storage_writes {
            if self.seen.insert(write.key) {
                self.written.push(write.key);
            }
        }
        self.state.apply(&mut output);
        self.timestamp = timestamp;
        self.gas_used = self.gas_used.saturating_add(output.header.gas_used);
        Ok(output)
    }

    /// Keys that are read but not written, ascending.
    pub(crate) fn reads<'a>(&self, observed: impl IntoIterator<Item = &'a B256>) -> Vec<B256> {
        let mut reads: Vec<B256> =
            observed.into_iter().filter(|key| !self.seen.contains(*key)).copied().collect();
        reads.sort_unstable();
        reads
    }
}

/// Executes a batch from its input alone.
///
/// Signatures are verified, every leaf and preimage must be needed, and the leaves must lead to the root before the batch. Nothing else vouches for that root:
/// the caller compares the state commitments with trusted ones, see [`crate::BatchClaim`].
///
/// # Errors
/// When the input is not that of a valid batch.
pub fn execute(input: &BatchInput) -> Result<BatchOutcome, StatelessError> {
    let parent = &input.parent;
    let witness = WitnessState::new(&input.leaves, &input.preimages)
        .map_err(|hash| StatelessError::PreimageOrder { hash })?;
    let contents = BatchContents::new(input.batch_number, input.chain_id);
    let config = ZkEvmConfig::new().with_signature_verification(true);
    let mut run =
        BatchRun::new(witness, config, input.protocol_version, contents, parent.timestamp);

    let mut number = parent.block_number;
    let mut hashes = parent.block_hashes.clone();
    let mut last = None;
    for block in &input.blocks {
        number = number.checked_add(1).ok_or(StatelessError::BlockNumber(number))?;
        let senders = senders(number, &block.transactions)?;
        let context = block.context(input.chain_id, number, hashes.clone());
        let output = run.block(context, &block.transactions, &senders)?;
        let next = hashes.next(output.block_hash);
        last = Some((block.timestamp, output.block_hash, std::mem::replace(&mut hashes, next)));
    }

    let tree = check_tree(input, &run)?;
    if let Some(hash) = run.state.before.unused_preimage() {
        return Err(StatelessError::UnneededPreimage { hash });
    }
    // Without blocks the contents give the error.
    let (timestamp, block_hash, window) = last.unwrap_or_default();
    let new_state_commitment = state_commitment(
        tree.root,
        tree.leaf_count,
        number,
        block_hashes_blake(&window, block_hash),
        timestamp,
    );
    let da = da_commitment(input.da_scheme, run.contents.pubdata())?;
    let commit = run.contents.commit_info(new_state_commitment, input.da_scheme, da)?;
    Ok(BatchOutcome {
        previous_state_commitment: parent.commitment(),
        commit,
        upgrade_tx_hash: run.contents.upgrade_tx_hash(),
        transactions: run.contents.transactions(),
        pubdata: run.contents.into_parts().0,
        tree,
        block_hash,
        gas_used: run.gas_used,
    })
}

fn senders(block: u64, transactions: &[ZkTxEnvelope]) -> Result<Vec<Address>, StatelessError> {
    let mut buf = Vec::new();
    transactions
        .iter()
        .map(|tx| {
            tx.recover_unchecked_with_buf(&mut buf)
                .map_err(|_| StatelessError::Sender { block, hash: *tx.hash() })
        })
        .collect()
}

/// Folds the leaves to the root before the batch and to the one after it.
fn check_tree(
    input: &BatchInput,
    run: &BatchRun<WitnessState<'_>>,
) -> Result<TreeOutput, StatelessError> {
    let witness = &run.state.before;
    let reads = run.reads(&witness.keys);
    let locate = |key: &B256| {
        let found = witness.leaves.locate(key).map(|(operation, _)| operation);
        found.ok_or(StatelessError::UnknownKey { key: *key })
    };
    let writes: Vec<(B256, B256)> =
        run.written.iter().map(|key| (*key, run.state.written(key).unwrap_or_default())).collect();
    let proof = BatchProof {
        operations: run.written.iter().map(locate).collect::<Result<_, _>>()?,
        read_operations: reads.iter().map(locate).collect::<Result<_, _>>()?,
        leaves: input.leaves.clone(),
        hashes: input.hashes.clone(),
    };
    let previous = TreeOutput { root: input.parent.root, leaf_count: input.parent.leaf_count };
    let output = proof.verify(Some(previous), &reads, &writes)?.output;
    check_needed(&proof, input.parent.leaf_count)?;
    Ok(output)
}

/// Whether each leaf is there for a reason, so that a batch has one input only.
fn check_needed(proof: &BatchProof, leaf_count: u64) -> Result<(), StatelessError> {
    let mut needed = HashSet::<u64>::default();
    let next: alloy_primitives::map::HashMap<u64, u64> =
        proof.leaves.iter().map(|(index, leaf)| (*index, leaf.next())).collect();
    for operation in proof.operations.iter().chain(&proof.read_operations) {
        match operation {
            Operation::Hit(index) => {
                needed.insert(*index);
            }
            Operation::Miss(left) => {
                needed.insert(*left);
                needed.extend(next.get(left));
            }
        }
    }
    if proof.operations.iter().any(|operation| matches!(operation, Operation::Miss(_))) {
        needed.insert(leaf_count.saturating_sub(1));
    }
    match proof.leaves.iter().find(|(index, _)| !needed.contains(index)) {
        Some((index, _)) => Err(StatelessError::UnneededLeaf { index: *index }),
        None => Ok(()),
    }
}
