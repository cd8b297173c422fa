//! The byte strings inside the calldata of commit and prove.
//!
//! Both start with a version byte and go on with plain ABI parameters.

use super::{CommitBatchInfo, DaCommitmentScheme, StoredBatchInfo};
use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolValue, sol};

/// Version byte of commit data at protocol v30.
pub const COMMIT_ENCODING_VERSION: u8 = 3;
/// Version byte of prove and execute data.
pub const PROVE_ENCODING_VERSION: u8 = 1;

mod sol_types {
    #![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
    use super::sol;

    sol! {
        struct StoredBatch {
            uint64 batchNumber;
            bytes32 batchHash;
            uint64 indexRepeatedStorageChanges;
            uint256 numberOfLayer1Txs;
            bytes32 priorityOperationsHash;
            bytes32 dependencyRootsRollingHash;
            bytes32 l2LogsTreeRoot;
            uint256 timestamp;
            bytes32 commitment;
        }

        struct CommitBatch {
            uint64 batchNumber;
            bytes32 newStateCommitment;
            uint256 numberOfLayer1Txs;
            bytes32 priorityOperationsHash;
            bytes32 dependencyRootsRollingHash;
            bytes32 l2LogsTreeRoot;
            uint8 daCommitmentScheme;
            bytes32 daCommitment;
            uint64 firstBlockTimestamp;
            uint64 firstBlockNumber;
            uint64 lastBlockTimestamp;
            uint64 lastBlockNumber;
            uint256 chainId;
            bytes operatorDAInput;
        }
    }
}
use sol_types::{CommitBatch, StoredBatch};

/// Why bytes are not commit data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchCalldataError {
    /// Another version byte, or none.
    #[error("commit data has encoding version {0:?} instead of 3")]
    Version(Option<u8>),
    /// Malformed ABI.
    #[error("commit data is malformed: {0}")]
    Abi(String),
    /// Bytes that the canonical encoding of the same values does not have.
    #[error("commit data is not canonically encoded")]
    NotCanonical,
    /// Not exactly one batch.
    #[error("commit data holds {0} batches instead of one")]
    BatchCount(usize),
    /// A value is wider than the field allows.
    #[error("field {0} of commit data is out of range")]
    OutOfRange(&'static str),
}

/// Place of the number of batches in commit data: behind the version byte, nine words of the previous batch and the
/// offset of the list.
const COUNT_AT: usize = 1 + 10 * 32;

/// Commit data: version byte, stored info of the previous batch, the new batch as a list of one.
pub fn encode_commit_data(previous: &StoredBatchInfo, batch: &CommitBatchInfo) -> Vec<u8> {
    let params = (StoredBatch::from(previous), vec![CommitBatch::from(batch)]);
    with_version(COMMIT_ENCODING_VERSION, params.abi_encode_params())
}

/// Reads commit data, strictly.
pub fn decode_commit_data(
    data: &[u8],
) -> Result<(StoredBatchInfo, CommitBatchInfo), BatchCalldataError> {
    match data.first() {
        Some(&COMMIT_ENCODING_VERSION) => {}
        other => return Err(BatchCalldataError::Version(other.copied())),
    }
    // Looked at first: the elements of a list may share their bytes, so that decoding many of them would take memory
    // without proportion to the data.
    let count = data.get(COUNT_AT..COUNT_AT + 32).map(U256::from_be_slice);
    if let Some(count) = count.filter(|count| *count != U256::ONE) {
        return Err(BatchCalldataError::BatchCount(count.saturating_to()));
    }
    let (previous, batches) = <(StoredBatch, Vec<CommitBatch>)>::abi_decode_params(&data[1..])
        .map_err(|error| BatchCalldataError::Abi(error.to_string()))?;
    let [batch] = batches.as_slice() else {
        return Err(BatchCalldataError::BatchCount(batches.len()));
    };
    let (previous, batch) =
        (StoredBatchInfo::try_from(&previous)?, CommitBatchInfo::try_from(batch)?);
    if encode_commit_data(&previous, &batch) != data {
        return Err(BatchCalldataError::NotCanonical);
    }
    Ok((previous, batch))
}

/// Prove data: version byte, stored info of the batch before, of the proved ones, and the proof.
pub fn encode_prove_data(
    previous: &StoredBatchInfo,
    batches: &[StoredBatchInfo],
    proof: &[U256],
) -> Vec<u8> {
    let params = (
        StoredBatch::from(previous),
        batches.iter().map(StoredBatch::from).collect::<Vec<_>>(),
        proof.to_vec(),
    );
    with_version(PROVE_ENCODING_VERSION, params.abi_encode_params())
}

fn with_version(version: u8, params: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + params.len());
    out.push(version);
    out.extend(params);
    out
}

impl From<&StoredBatchInfo> for StoredBatch {
    fn from(info: &StoredBatchInfo) -> Self {
        Self {
            batchNumber: info.batch_number,
            batchHash: info.state_commitment,
            indexRepeatedStorageChanges: 0,
            numberOfLayer1Txs: U256::from(info.number_of_layer1_txs),
            priorityOperationsHash: info.priority_operations_hash,
            dependencyRootsRollingHash: info.dependency_roots_rolling_hash,
            l2LogsTreeRoot: info.l2_logs_tree_root,
            timestamp: U256::ZERO,
            commitment: info.commitment,
        }
    }
}

impl TryFrom<&StoredBatch> for StoredBatchInfo {
    type Error = BatchCalldataError;

    fn try_from(info: &StoredBatch) -> Result<Self, Self::Error> {
        use BatchCalldataError::OutOfRange;
        if info.indexRepeatedStorageChanges != 0 {
            return Err(OutOfRange("indexRepeatedStorageChanges"));
        }
        if !info.timestamp.is_zero() {
            return Err(OutOfRange("timestamp"));
        }
        Ok(Self {
            batch_number: info.batchNumber,
            state_commitment: info.batchHash,
            number_of_layer1_txs: to_u64(info.numberOfLayer1Txs, "numberOfLayer1Txs")?,
            priority_operations_hash: info.priorityOperationsHash,
            dependency_roots_rolling_hash: info.dependencyRootsRollingHash,
            l2_logs_tree_root: info.l2LogsTreeRoot,
            commitment: info.commitment,
        })
    }
}

impl From<&CommitBatchInfo> for CommitBatch {
    fn from(info: &CommitBatchInfo) -> Self {
        Self {
            batchNumber: info.batch_number,
            newStateCommitment: info.new_state_commitment,
            numberOfLayer1Txs: U256::from(info.number_of_layer1_txs),
            priorityOperationsHash: info.priority_operations_hash,
            dependencyRootsRollingHash: info.dependency_roots_rolling_hash,
            l2LogsTreeRoot: info.l2_logs_tree_root,
            daCommitmentScheme: info.da_commitment_scheme.into(),
            daCommitment: info.da_commitment,
            firstBlockTimestamp: info.first_block_timestamp,
            firstBlockNumber: info.first_block_number,
            lastBlockTimestamp: info.last_block_timestamp,
            lastBlockNumber: info.last_block_number,
            chainId: U256::from(info.chain_id),
            operatorDAInput: info.operator_da_input.clone(),
        }
    }
}

impl TryFrom<&CommitBatch> for CommitBatchInfo {
    type Error = BatchCalldataError;

    fn try_from(info: &CommitBatch) -> Result<Self, Self::Error> {
        Ok(Self {
            batch_number: info.batchNumber,
            new_state_commitment: info.newStateCommitment,
            number_of_layer1_txs: to_u64(info.numberOfLayer1Txs, "numberOfLayer1Txs")?,
            priority_operations_hash: info.priorityOperationsHash,
            dependency_roots_rolling_hash: info.dependencyRootsRollingHash,
            l2_logs_tree_root: info.l2LogsTreeRoot,
            da_commitment_scheme: DaCommitmentScheme::try_from(info.daCommitmentScheme)
                .map_err(|_| BatchCalldataError::OutOfRange("daCommitmentScheme"))?,
            da_commitment: info.daCommitment,
            first_block_timestamp: info.firstBlockTimestamp,
            first_block_number: info.firstBlockNumber,
            last_block_timestamp: info.lastBlockTimestamp,
            last_block_number: info.lastBlockNumber,
            chain_id: to_u64(info.chainId, "chainId")?,
            operator_da_input: info.operatorDAInput.clone(),
        })
    }
}

fn to_u64(value: U256, field: &'static str) -> Result<u64, BatchCalldataError> {
    value.try_into().map_err(|_| BatchCalldataError::OutOfRange(field))
}

/// Keccak-256 of commit data, by which a retried commit is recognised.
pub fn commit_data_hash(previous: &StoredBatchInfo, batch: &CommitBatchInfo) -> B256 {
    alloy_primitives::keccak256(encode_commit_data(previous, batch))
}
