//! Batches: what L1 is told about a run of blocks, and the hashes over it.

pub mod calldata;
pub mod contents;
pub mod da;

#[cfg(test)]
mod tests;

pub use calldata::{BatchCalldataError, decode_commit_data, encode_commit_data, encode_prove_data};
pub use contents::{BatchContents, BatchContentsError};
pub use da::{DaCommitmentScheme, DaError, PubdataMode, da_commitment, da_commitment_of_blobs};

use crate::hash::blake2s_concat;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};

/// State commitment after a block: Blake2s over root and leaf count of the tree, block number,
/// Blake2s of the last 256 block hashes ([`crate::genesis::block_hashes_blake`]), and timestamp.
pub fn state_commitment(
    tree_root: B256,
    next_free_slot: u64,
    block_number: u64,
    block_hashes_blake: B256,
    timestamp: u64,
) -> B256 {
    blake2s_concat([
        tree_root.as_slice(),
        &next_free_slot.to_be_bytes(),
        &block_number.to_be_bytes(),
        block_hashes_blake.as_slice(),
        &timestamp.to_be_bytes(),
    ])
}

/// What L1 keeps of a batch, as a hash.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, RlpEncodable, RlpDecodable, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct StoredBatchInfo {
    /// Number of the batch.
    pub batch_number: u64,
    /// [`state_commitment`] after its last block; the contracts call it batch hash.
    pub state_commitment: B256,
    /// Number of priority transactions.
    pub number_of_layer1_txs: u64,
    /// Rolling hash of the priority transactions.
    pub priority_operations_hash: B256,
    /// Rolling hash of the interop roots; zero at protocol v30.
    pub dependency_roots_rolling_hash: B256,
    /// Root of the L2->L1 logs, combined with the aggregated root.
    pub l2_logs_tree_root: B256,
    /// [`BatchOutput::hash`].
    pub commitment: B256,
}

impl StoredBatchInfo {
    /// The nine static words of the contracts' struct.
    pub fn abi_encode(&self) -> [u8; 288] {
        let words = [
            B256::from(U256::from(self.batch_number)),
            self.state_commitment,
            // index of repeated storage changes, unused
            B256::ZERO,
            B256::from(U256::from(self.number_of_layer1_txs)),
            self.priority_operations_hash,
            self.dependency_roots_rolling_hash,
            self.l2_logs_tree_root,
            // timestamp, unused
            B256::ZERO,
            self.commitment,
        ];
        let mut out = [0u8; 288];
        for (slot, word) in out.chunks_exact_mut(32).zip(words) {
            slot.copy_from_slice(word.as_slice());
        }
        out
    }

    /// Keccak-256 of [`Self::abi_encode`]: the value of `storedBatchHash(batch_number)` on L1.
    pub fn hash(&self) -> B256 {
        keccak256(self.abi_encode())
    }
}

/// What the operator commits for a batch, in the layout of protocol v30.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, RlpEncodable, RlpDecodable, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct CommitBatchInfo {
    /// Number of the batch.
    pub batch_number: u64,
    /// [`state_commitment`] after its last block.
    pub new_state_commitment: B256,
    /// Number of priority transactions; upgrade transactions do not count.
    pub number_of_layer1_txs: u64,
    /// Rolling hash of the priority transactions.
    pub priority_operations_hash: B256,
    /// Rolling hash of the interop roots; zero at protocol v30.
    pub dependency_roots_rolling_hash: B256,
    /// Root of the L2->L1 logs, combined with the aggregated root.
    pub l2_logs_tree_root: B256,
    /// How the pubdata is committed to.
    pub da_commitment_scheme: DaCommitmentScheme,
    /// Commitment to the pubdata.
    pub da_commitment: B256,
    /// Timestamp of the first block in seconds.
    pub first_block_timestamp: u64,
    /// Number of the first block.
    pub first_block_number: u64,
    /// Timestamp of the last block in seconds.
    pub last_block_timestamp: u64,
    /// Number of the last block.
    pub last_block_number: u64,
    /// Chain id.
    pub chain_id: u64,
    /// Input of the data availability validator on L1.
    pub operator_da_input: Bytes,
}

impl CommitBatchInfo {
    /// The part of the batch that the proof's output commits to. `upgrade_tx_hash` is the hash of
    /// the upgrade transaction that L1 expects in this batch, zero otherwise.
    pub const fn output(&self, upgrade_tx_hash: B256) -> BatchOutput {
        BatchOutput {
            chain_id: self.chain_id,
            first_block_timestamp: self.first_block_timestamp,
            last_block_timestamp: self.last_block_timestamp,
            da_commitment_scheme: self.da_commitment_scheme,
            da_commitment: self.da_commitment,
            number_of_layer1_txs: self.number_of_layer1_txs,
            priority_operations_hash: self.priority_operations_hash,
            l2_logs_tree_root: self.l2_logs_tree_root,
            upgrade_tx_hash,
            dependency_roots_rolling_hash: self.dependency_roots_rolling_hash,
        }
    }

    /// What L1 stores once this is committed.
    pub fn stored(&self, upgrade_tx_hash: B256) -> StoredBatchInfo {
        StoredBatchInfo {
            batch_number: self.batch_number,
            state_commitment: self.new_state_commitment,
            number_of_layer1_txs: self.number_of_layer1_txs,
            priority_operations_hash: self.priority_operations_hash,
            dependency_roots_rolling_hash: self.dependency_roots_rolling_hash,
            l2_logs_tree_root: self.l2_logs_tree_root,
            commitment: self.output(upgrade_tx_hash).hash(),
        }
    }
}

/// Output of the proving program for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOutput {
    /// Chain id.
    pub chain_id: u64,
    /// Timestamp of the first block in seconds.
    pub first_block_timestamp: u64,
    /// Timestamp of the last block in seconds.
    pub last_block_timestamp: u64,
    /// How the pubdata is committed to.
    pub da_commitment_scheme: DaCommitmentScheme,
    /// Commitment to the pubdata.
    pub da_commitment: B256,
    /// Number of priority transactions.
    pub number_of_layer1_txs: u64,
    /// Rolling hash of the priority transactions.
    pub priority_operations_hash: B256,
    /// Root of the L2->L1 logs, combined with the aggregated root.
    pub l2_logs_tree_root: B256,
    /// Hash of the upgrade transaction in the batch, zero if there is none.
    pub upgrade_tx_hash: B256,
    /// Rolling hash of the interop roots; zero at protocol v30.
    pub dependency_roots_rolling_hash: B256,
}

impl BatchOutput {
    /// Keccak-256 of the 272-byte packed form; the `commitment` of the stored batch.
    pub fn hash(&self) -> B256 {
        let mut out = Vec::with_capacity(272);
        out.extend_from_slice(&word(self.chain_id));
        out.extend_from_slice(&self.first_block_timestamp.to_be_bytes());
        out.extend_from_slice(&self.last_block_timestamp.to_be_bytes());
        out.extend_from_slice(&word(u64::from(u8::from(self.da_commitment_scheme))));
        out.extend_from_slice(self.da_commitment.as_slice());
        out.extend_from_slice(&word(self.number_of_layer1_txs));
        out.extend_from_slice(self.priority_operations_hash.as_slice());
        out.extend_from_slice(self.l2_logs_tree_root.as_slice());
        out.extend_from_slice(self.upgrade_tx_hash.as_slice());
        out.extend_from_slice(self.dependency_roots_rolling_hash.as_slice());
        keccak256(out)
    }
}

fn word(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

/// Public input of the proof of one batch, unshifted: Keccak-256 over the state commitments before
/// and after it and its output hash.
pub fn batch_public_input(state_before: B256, state_after: B256, output_hash: B256) -> B256 {
    let mut buf = [0u8; 96];
    buf[..32].copy_from_slice(state_before.as_slice());
    buf[32..64].copy_from_slice(state_after.as_slice());
    buf[64..].copy_from_slice(output_hash.as_slice());
    keccak256(buf)
}

/// Public input of `batch` after `previous` as L1 uses it: shifted right by 32 bits, to fit the
/// scalar field.
pub fn proof_public_input(previous: &StoredBatchInfo, batch: &StoredBatchInfo) -> U256 {
    shift(batch_public_input(previous.state_commitment, batch.state_commitment, batch.commitment))
}

/// Public input of one proof over several consecutive batches after `previous`; none without
/// batches.
pub fn aggregated_public_input(
    previous: &StoredBatchInfo,
    batches: &[StoredBatchInfo],
) -> Option<U256> {
    let mut previous = previous;
    let mut aggregate: Option<U256> = None;
    for batch in batches {
        let input = proof_public_input(previous, batch);
        aggregate = Some(match aggregate {
            None => input,
            Some(aggregate) => {
                let mut buf = [0u8; 64];
                buf[..32].copy_from_slice(&aggregate.to_be_bytes::<32>());
                buf[32..].copy_from_slice(&input.to_be_bytes::<32>());
                shift(keccak256(buf))
            }
        });
        previous = batch;
    }
    aggregate
}

fn shift(hash: B256) -> U256 {
    U256::from_be_bytes(hash.0) >> 32
}
