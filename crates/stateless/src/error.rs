//! Why an input is not a batch.

use alloy_primitives::{B256, BlockNumber};
use zkos_executor::ExecutionError;
use zkos_primitives::{
    ProtocolVersion,
    batch::{BatchContentsError, DaError},
};
use zkos_tree::ProofError;
use zksync_os_interface::error::InvalidTransaction;

/// The input does not execute to a batch.
#[derive(Debug, thiserror::Error)]
pub enum StatelessError {
    /// This program does not know the protocol version, or the version has another state transition.
    #[error(
        "block {block} has execution version {execution_version}, which this program does not know for protocol version {protocol}"
    )]
    Version {
        /// The block.
        block: BlockNumber,
        /// Protocol version of the batch.
        protocol: ProtocolVersion,
        /// Version of the state transition function that the block names.
        execution_version: u32,
    },
    /// Block numbers would overflow.
    #[error("blocks after {0} have no numbers")]
    BlockNumber(BlockNumber),
    /// A timestamp that is less than the one before.
    #[error("block {block} has timestamp {timestamp}, the block before {previous}")]
    Timestamp {
        /// The block.
        block: BlockNumber,
        /// Its timestamp in seconds.
        timestamp: u64,
        /// Timestamp of the block before.
        previous: u64,
    },
    /// A signature from which no sender follows.
    #[error("no sender follows from the signature of transaction {hash} (block {block})")]
    Sender {
        /// The block.
        block: BlockNumber,
        /// Hash of the transaction.
        hash: B256,
    },
    /// The block can't be executed; also when the witness lacks what it reads.
    #[error("block {block} can't be executed: {source}")]
    Execution {
        /// The block.
        block: BlockNumber,
        /// Why.
        source: ExecutionError,
    },
    /// A transaction that is not valid where it stands.
    #[error("transaction {hash} (block {block}) is not valid: {error:?}")]
    Rejected {
        /// The block.
        block: BlockNumber,
        /// Hash of the transaction.
        hash: B256,
        /// Why.
        error: InvalidTransaction,
    },
    /// The blocks can't be a batch.
    #[error(transparent)]
    Contents(#[from] BatchContentsError),
    /// A key is written of which the leaves don't tell where it stands.
    #[error("nothing in the witness tells where key {key} stands")]
    UnknownKey {
        /// The key.
        key: B256,
    },
    /// The leaves don't lead to the roots.
    #[error("tree proof: {0}")]
    Proof(#[from] ProofError),
    /// A leaf that nothing reads or writes.
    #[error("leaf {index} is not needed")]
    UnneededLeaf {
        /// Its index.
        index: u64,
    },
    /// A preimage that nothing reads.
    #[error("preimage {hash} is not needed")]
    UnneededPreimage {
        /// Its hash.
        hash: B256,
    },
    /// Preimages that are not in the order of their hashes, or twice there.
    #[error("preimage {hash} is out of order")]
    PreimageOrder {
        /// Its hash.
        hash: B256,
    },
    /// The pubdata does not fit the scheme.
    #[error("pubdata: {0}")]
    Da(#[from] DaError),
}
