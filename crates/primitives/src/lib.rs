//! Types of the chain and their encodings.
//!
//! This crate holds what all parts of the node must agree on to the byte: transactions with their
//! hashes, binary and JSON forms, receipts, headers, account records, keys of the state, pubdata,
//! L2->L1 logs and their tree, batches with their commitments, blobs, the genesis file, the replay
//! record.
//!
//! It must not do I/O, keep state, or know how a block is executed or stored.
//!
//! The way of the data: L1 events and RPC requests become [`ZkTxEnvelope`]s; a [`BlockContext`]
//! and transactions make a [`ReplayRecord`]; executing it gives a [`BlockOutput`]; the outputs of
//! several blocks become a [`CommitBatchInfo`], of which L1 keeps the
//! [`StoredBatchInfo`].

pub mod account;
pub mod addresses;
pub mod batch;
pub mod blobs;
pub mod block;
pub mod bytecode;
pub mod chainspec;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod log;
pub mod log_tree;
pub mod pubdata;
pub mod receipt;
pub mod replay;
pub mod storage_key;
pub mod transaction;
pub mod version;

pub use account::{ACCOUNT_PROPERTIES_LEN, AccountProperties, DeploymentStatus};
pub use addresses::*;
pub use batch::{
    BatchOutput, CommitBatchInfo, DaCommitmentScheme, PubdataMode, StoredBatchInfo,
    batch_public_input, state_commitment,
};
pub use block::{
    BLOCK_HASHES_LEN, BlockContext, BlockHashes, BlockOutput, ZkBlock, ZkBlockBody, ZkPrimitives,
};
pub use chainspec::ZkChainSpec;
pub use genesis::{Genesis, GenesisError, GenesisState, block_hashes_blake};
pub use hash::{blake2s, blake2s_concat};
pub use header::{GENESIS_BLOCK_HASH, Header, genesis_header, header_hash, seal_header};
pub use log::{L2_TO_L1_LOG_LEN, L2ToL1Log, L2ToL1LogWithPreimage};
pub use receipt::ZkReceipt;
pub use replay::{ReplayDecodeError, ReplayRecord};
pub use storage_key::{
    account_properties_flat_key, account_properties_slot, block_write_order, flat_storage_key,
};
pub use transaction::{
    CanonicalTransaction, L1_PRIORITY_TX_TYPE_ID, RecoveredTx, TxFromL1, TxL1Priority, TxUpgrade,
    UPGRADE_TX_TYPE_ID, ZkTxEnvelope, ZkTxType,
};
pub use version::{PROTOCOL_VERSIONS, ProtocolVersion, ProtocolVersionSpec};
