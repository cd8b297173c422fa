//! What is claimed about a batch.

use crate::{
    BatchOutcome,
    words::{DecodeError, Reader, Writer},
};
use alloy_primitives::{B256, hex};
use std::fmt;
use zkos_primitives::{CommitBatchInfo, batch_public_input};

const SECTION: &str = "batch claim";
const MAGIC: [u8; 4] = *b"zkbc";

/// What was committed for a batch: as read from L1, or as the node that made the batch says.
///
/// Words after the section's header: state commitment before the batch, the committed data (number, state commitment, number of priority transactions, rolling hashes, logs root,
/// data availability scheme as `u32`, its commitment, first block's timestamp and number, last block's timestamp and number, chain id: `u64` or 8 words; the operator's
/// input as a byte string), hash of the upgrade transaction, batch output hash, public input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchClaim {
    /// State commitment of the batch before.
    pub previous_state_commitment: B256,
    /// What the operator committed.
    pub commit: CommitBatchInfo,
    /// Hash of the upgrade transaction in the batch, zero if there is none.
    pub upgrade_tx_hash: B256,
    /// Hash of the batch's output; the commitment that L1 stores.
    pub output_hash: B256,
    /// Public input of the batch's proof, unshifted.
    pub public_input: B256,
}

/// A value that is not as claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Name of the value.
    pub field: &'static str,
    /// As claimed.
    pub claimed: String,
    /// As computed.
    pub computed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: claimed {}, computed {}", self.field, self.claimed, self.computed)
    }
}

/// The batch is not what was claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch {batch} is not as claimed: {}", list(.differences))]
pub struct ClaimMismatch {
    /// Number of the batch.
    pub batch: u64,
    /// All values that differ.
    pub differences: Vec<Difference>,
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

impl BatchClaim {
    /// Claim that `commit`, which may hold an upgrade transaction, was committed after a batch with this state commitment.
    pub fn new(
        previous_state_commitment: B256,
        commit: CommitBatchInfo,
        upgrade_tx_hash: B256,
    ) -> Self {
        let output_hash = commit.output(upgrade_tx_hash).hash();
        let public_input =
            batch_public_input(previous_state_commitment, commit.new_state_commitment, output_hash);
        Self { previous_state_commitment, commit, upgrade_tx_hash, output_hash, public_input }
    }

    /// Compares with what the batch really is.
    ///
    /// # Errors
    /// Every value that differs.
    pub fn check(&self, outcome: &BatchOutcome) -> Result<(), ClaimMismatch> {
        let mut differences = Vec::new();
        let mut compare = |field, claimed: &dyn fmt::Display, computed: &dyn fmt::Display| {
            let (claimed, computed) = (claimed.to_string(), computed.to_string());
            if claimed != computed {
                differences.push(Difference { field, claimed, computed });
            }
        };
        let (ours, theirs) = (&outcome.commit, &self.commit);
        let batch = ours.batch_number;
        compare(
            "state commitment before",
            &self.previous_state_commitment,
            &outcome.previous_state_commitment,
        );
        compare("batch number", &theirs.batch_number, &batch);
        compare("chain id", &theirs.chain_id, &ours.chain_id);
        compare("state commitment after", &theirs.new_state_commitment, &ours.new_state_commitment);
        compare(
            "number of priority transactions",
            &theirs.number_of_layer1_txs,
            &ours.number_of_layer1_txs,
        );
        compare(
            "hash of priority transactions",
            &theirs.priority_operations_hash,
            &ours.priority_operations_hash,
        );
        compare(
            "hash of interop roots",
            &theirs.dependency_roots_rolling_hash,
            &ours.dependency_roots_rolling_hash,
        );
        compare("root of L2->L1 logs", &theirs.l2_logs_tree_root, &ours.l2_logs_tree_root);
        compare(
            "data availability scheme",
            &u8::from(theirs.da_commitment_scheme),
            &u8::from(ours.da_commitment_scheme),
        );
        compare("data availability commitment", &theirs.da_commitment, &ours.da_commitment);
        compare(
            "first block's timestamp",
            &theirs.first_block_timestamp,
            &ours.first_block_timestamp,
        );
        compare("first block", &theirs.first_block_number, &ours.first_block_number);
        compare("last block's timestamp", &theirs.last_block_timestamp, &ours.last_block_timestamp);
        compare("last block", &theirs.last_block_number, &ours.last_block_number);
        if theirs.operator_da_input != ours.operator_da_input {
            // Pubdata may be large: its hash tells as much.
            compare(
                "keccak of the data availability input",
                &alloy_primitives::keccak256(&theirs.operator_da_input),
                &alloy_primitives::keccak256(&ours.operator_da_input),
            );
        }
        compare("upgrade transaction", &self.upgrade_tx_hash, &outcome.upgrade_tx_hash);
        compare("batch output hash", &self.output_hash, &outcome.output_hash());
        compare("public input", &self.public_input, &outcome.public_input());
        if differences.is_empty() { Ok(()) } else { Err(ClaimMismatch { batch, differences }) }
    }

    /// The claim as words.
    pub fn to_words(&self) -> Vec<u32> {
        let mut out = Writer::new(MAGIC);
        out.fixed(self.previous_state_commitment.as_slice());
        let commit = &self.commit;
        out.u64(commit.batch_number);
        out.fixed(commit.new_state_commitment.as_slice());
        out.u64(commit.number_of_layer1_txs);
        for hash in [
            commit.priority_operations_hash,
            commit.dependency_roots_rolling_hash,
            commit.l2_logs_tree_root,
        ] {
            out.fixed(hash.as_slice());
        }
        out.u32(u8::from(commit.da_commitment_scheme).into());
        out.fixed(commit.da_commitment.as_slice());
        for number in [
            commit.first_block_timestamp,
            commit.first_block_number,
            commit.last_block_timestamp,
            commit.last_block_number,
            commit.chain_id,
        ] {
            out.u64(number);
        }
        out.bytes(&commit.operator_da_input);
        for hash in [self.upgrade_tx_hash, self.output_hash, self.public_input] {
            out.fixed(hash.as_slice());
        }
        out.finish()
    }

    /// Reads [`Self::to_words`] at the start of `words`; returns what follows, too.
    ///
    /// # Errors
    /// When it is anything but what [`Self::to_words`] writes.
    pub fn from_words(words: &[u32]) -> Result<(Self, &[u32]), DecodeError> {
        let (mut reader, rest) = Reader::new(SECTION, MAGIC, words)?;
        let from = &mut reader;
        let previous_state_commitment = from.b256()?;
        let commit = CommitBatchInfo {
            batch_number: from.u64()?,
            new_state_commitment: from.b256()?,
            number_of_layer1_txs: from.u64()?,
            priority_operations_hash: from.b256()?,
            dependency_roots_rolling_hash: from.b256()?,
            l2_logs_tree_root: from.b256()?,
            da_commitment_scheme: from.da_scheme()?,
            da_commitment: from.b256()?,
            first_block_timestamp: from.u64()?,
            first_block_number: from.u64()?,
            last_block_timestamp: from.u64()?,
            last_block_number: from.u64()?,
            chain_id: from.u64()?,
            operator_da_input: from.bytes()?.into(),
        };
        let claim = Self {
            previous_state_commitment,
            commit,
            upgrade_tx_hash: from.b256()?,
            output_hash: from.b256()?,
            public_input: from.b256()?,
        };
        reader.finish()?;
        Ok((claim, rest))
    }
}

impl fmt::Display for BatchClaim {
    /// A few lines for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = &self.commit;
        writeln!(f, "batch                   {}", commit.batch_number)?;
        writeln!(
            f,
            "blocks                  {}..={}",
            commit.first_block_number, commit.last_block_number
        )?;
        writeln!(f, "state commitment before {}", self.previous_state_commitment)?;
        writeln!(f, "state commitment after  {}", commit.new_state_commitment)?;
        writeln!(f, "priority transactions   {}", commit.number_of_layer1_txs)?;
        writeln!(f, "root of L2->L1 logs     {}", commit.l2_logs_tree_root)?;
        writeln!(
            f,
            "data availability       scheme {}, {}",
            u8::from(commit.da_commitment_scheme),
            commit.da_commitment
        )?;
        writeln!(f, "batch output hash       {}", self.output_hash)?;
        write!(f, "public input            0x{}", hex::encode(self.public_input))
    }
}
