//! The databases of a node, and the only crate that names RocksDB.
//!
//! *What it is for.* [`Storage::open`] gives a [`BlockchainProvider`], which implements every trait of `zkos-storage-api`: readers of blocks, receipts, replay records and
//! state at any block, the block writer of the engine, the fork choice of settlement. [`TreeDirectory`] is where the Merkle tree keeps its files,
//! and [`OtsIndex`] the index of addresses, for nodes that keep one.
//!
//! *What it must not do.* It executes nothing, knows no rule of validity and does not decide which block comes next; it compares what it is given with what it has.
//!
//! *How a block moves through it.* [`append`](zkos_storage_api::BlockWriter::append) puts the block into memory (its writes into a versioned overlay, the block with its
//! receipts and indexes into the recent blocks) and its record into the queue of the log thread; nothing waits for a disk, except when the threads behind are too far behind. The log
//! thread writes all queued records as one synced batch into `block_replay_wal` and announces the durable height. The flush thread brings durable blocks into `preimages`,
//! `state` and `repository`, several blocks per batch when it is behind, moves their values from the overlay into bounded caches and lets old blocks leave memory. Readers see a
//! block from [`set_canonical_head`](zkos_storage_api::BlockWriter::set_canonical_head) on.
//!
//! *After a crash.* Only the log counts. The other databases may be behind it, or gone: [`Storage::open`] says how far each has come, the engine executes the rest again from the records and
//! appends the blocks; what the log or a database already has is compared, the rest is written.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod codec;
mod db;
mod error;
mod flush;
mod journal;
mod lock;
mod maintenance;
mod metrics;
mod options;
mod ots_index;
mod pipeline;
mod provider;
mod prune;
mod repository;
mod state;
mod stats;
mod tree;
mod wal;

pub use db::{ColumnStats, DatabaseStats, FORMAT_VERSION};
pub use error::StorageError;
pub use journal::{JournalDamage, JournalDamageKind};
pub use lock::LOCK_FILE;
pub use maintenance::{
    CHECKPOINT_FILE, CheckpointManifest, DERIVED_DATABASES, Digests, FileEntry, Measure,
    OnProgress, Problem, TreeCommitment, VerifyReport, create_offline as checkpoint_offline,
    rebuild, restore, verify,
};
pub use options::{StorageOptions, WriteHook, WriteStep};
pub use ots_index::{
    ContractCreation, OTS_INDEX_DATABASE, OtsIndex, OtsIndexBlock, OtsPage, TxPlace,
};
pub use provider::{BlockchainProvider, Storage};
pub use prune::{PruneHold, PruneStatus};
pub use repository::REPOSITORY_DATABASE;
pub use state::{PREIMAGES_DATABASE, STATE_DATABASE};
pub use stats::StorageStats;
pub use tree::{TREE_DATABASE, TreeDirectory};
pub use wal::{HEIGHT_FILE, WAL_DATABASE};
