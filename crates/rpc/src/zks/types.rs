//! JSON forms of `zks_`.

use super::settlement::{BatchHeads, BatchInfo};
use alloy_primitives::{Address, B256, U64, U256};
use serde::{Deserialize, Serialize};
use zkos_primitives::{StoredBatchInfo, log_tree::LogProof};
use zkos_tree::KeyProof;

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

/// Proof that a log is part of an executed batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2ToL1LogProof {
    /// Number of the batch, under the name that earlier clients read.
    pub batch_number: u64,
    /// The same, under the name that later clients read.
    #[serde(rename = "batchNumber")]
    pub batch: u64,
    /// Words for the L1 contract.
    pub proof: Vec<B256>,
    /// Index of the leaf in the batch.
    pub id: u32,
    /// Root that L1 keeps for the batch.
    pub root: B256,
}

impl L2ToL1LogProof {
    pub(super) fn new(batch: u64, proof: LogProof) -> Self {
        let LogProof { proof, root, index } = proof;
        Self { batch_number: batch, batch, proof, id: index, root }
    }
}

/// Where a log proof is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogProofTarget {
    /// In the batch's root on L1.
    #[default]
    L1BatchRoot,
    /// In an aggregated root, which protocol v30 does not have.
    MessageRoot,
}

/// Proof of slots of an account against the batch that L1 knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateProof {
    /// The account.
    pub address: Address,
    /// What the state commitment is the hash of, besides the root of the tree.
    pub state_commitment_preimage: StateCommitmentPreimage,
    /// Proofs in the order of the request.
    pub storage_proofs: Vec<StorageProof>,
    /// What the stored hash of the batch is the hash of, besides the state commitment.
    pub l1_verification_data: L1VerificationData,
}

/// See [`StateProof::state_commitment_preimage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateCommitmentPreimage {
    /// Number of leaves.
    pub next_free_slot: U64,
    /// Last block of the batch.
    pub block_number: U64,
    /// Blake2s over the last 256 block hashes.
    #[serde(rename = "last256BlockHashesBlake")]
    pub last_256_block_hashes_blake: B256,
    /// Timestamp of the last block, seconds.
    pub last_block_timestamp: U64,
}

/// Proof of one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageProof {
    /// The slot as asked for.
    pub key: B256,
    /// Proof of its flat key.
    pub proof: KeyProof,
}

/// See [`StateProof::l1_verification_data`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1VerificationData {
    /// Number of the batch.
    pub batch_number: u64,
    /// Number of priority transactions.
    pub number_of_layer1_txs: u64,
    /// Rolling hash of the priority transactions.
    pub priority_operations_hash: B256,
    /// Rolling hash of the interop roots.
    pub dependency_roots_rolling_hash: B256,
    /// Root of the L2->L1 logs.
    pub l2_to_l1_logs_root_hash: B256,
    /// Hash of the batch output.
    pub commitment: B256,
}

impl From<&StoredBatchInfo> for L1VerificationData {
    fn from(stored: &StoredBatchInfo) -> Self {
        let StoredBatchInfo {
            batch_number,
            state_commitment: _,
            number_of_layer1_txs,
            priority_operations_hash,
            dependency_roots_rolling_hash,
            l2_logs_tree_root,
            commitment,
        } = *stored;
        Self {
            batch_number,
            number_of_layer1_txs,
            priority_operations_hash,
            dependency_roots_rolling_hash,
            l2_to_l1_logs_root_hash: l2_logs_tree_root,
            commitment,
        }
    }
}

/// How far a batch is on L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchStatus {
    /// Put together, not on L1 yet.
    Sealed,
    /// Committed.
    Committed,
    /// Proved.
    Proved,
    /// Executed: its messages can be used.
    Executed,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchDetails {
    /// Number of the batch.
    pub number: u64,
    /// First block.
    pub first_block: u64,
    /// Last block.
    pub last_block: u64,
    /// How far it is.
    pub status: BatchStatus,
    /// State commitment after its last block.
    pub state_commitment: B256,
    /// `storedBatchHash` on L1.
    pub stored_batch_hash: B256,
    /// What else that is the hash of.
    #[serde(flatten)]
    pub l1: L1VerificationData,
    /// Hash of the committing L1 transaction.
    pub commit_tx_hash: Option<B256>,
    /// Hash of the proving L1 transaction.
    pub prove_tx_hash: Option<B256>,
    /// Hash of the executing L1 transaction.
    pub execute_tx_hash: Option<B256>,
}

impl BatchDetails {
    pub(super) fn new(batch: &BatchInfo, heads: BatchHeads) -> Self {
        let number = batch.stored.batch_number;
        let status = match number {
            n if n <= heads.executed => BatchStatus::Executed,
            n if n <= heads.proved => BatchStatus::Proved,
            n if n <= heads.committed => BatchStatus::Committed,
            _ => BatchStatus::Sealed,
        };
        Self {
            number,
            first_block: batch.first_block,
            last_block: batch.last_block,
            status,
            state_commitment: batch.stored.state_commitment,
            stored_batch_hash: batch.stored.hash(),
            l1: L1VerificationData::from(&batch.stored),
            commit_tx_hash: batch.commit_tx,
            prove_tx_hash: batch.prove_tx,
            execute_tx_hash: batch.execute_tx,
        }
    }
}
