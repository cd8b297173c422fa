//! The only writer of blocks.
//!
//! *What it is for.* It brings the databases up to the write-ahead log at start, then produces blocks (main node) or imports records of them (external node), one at a time and in
//! order, on one thread of its own.
//!
//! *What it must not do.* It knows no database, no L1 and no RPC. It never produces an empty block, never drops a transaction from L1, never continues after a result that
//! contradicts the log: it writes a dump and stops the node.
//!
//! *How a block moves through it.* Upgrades, then priority transactions, then the best transactions of the pool go through a streaming block executor over the state after the
//! last block. At a seal criterion the output becomes an [`ExecutedBlock`](zkos_storage_api::ExecutedBlock) and is handed to
//! [`BlockWriter::append`](zkos_storage_api::BlockWriter::append): its state is readable at once, so the next block starts while the log is written. A task behind the thread waits
//! until the log is synced, makes the block canonical and passes it to the execution extensions over a bounded channel. A bounded number of blocks may be between execution and
//! that channel; then production waits and says for what.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod config;
mod dump;
mod engine;
mod error;
mod fees;
mod head;
mod l1_queue;
mod metrics;
mod pipeline;
mod policy;
mod producer;
mod replay;
mod selection;
#[cfg(test)]
mod tests;

pub use config::EngineConfig;
pub use engine::{
    BlockImportHandle, CANONICAL_STAGE, ENGINE_STAGE, Engine, EngineHandle, EngineMode,
    ImportRequest,
};
pub use error::{DumpPath, EngineError};
pub use fees::{DEFAULT_NATIVE_PRICE, DEFAULT_PUBDATA_PRICE, FeeModel, NATIVE_PER_GAS};
pub use head::ChainHead;
pub use policy::SealReason;
pub use replay::{ImportOutcome, verify_senders};
