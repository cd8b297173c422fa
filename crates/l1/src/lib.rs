//! What the node knows of its settlement layer: reading the contracts of a ZKsync OS chain on L1 and sending transactions to them.
//!
//! - [`provider`]: the connection. Transient faults are retried; URLs never leak.
//! - [`contracts`]: ABI of protocol v30, operator calldata and proofs, revert reasons in words.
//! - [`discovery`]: from bridgehub address and chain id to all contracts, counters and settings, with checks.
//! - [`genesis`]: the genesis upgrade transaction and the code it needs.
//! - [`upgrade`]: protocol upgrades after genesis.
//! - [`bytecodes`]: code that upgrades deploy.
//! - [`watcher`]: priority transactions in order, and how far batches have come.
//! - [`batches`]: committed batches re-learnt from L1.
//! - [`sender`]: one pipelined transaction sender per operator key.
//! - [`deposit`]: L1 -> L2 deposits.
//!
//! The way of the data: discovery gives addresses; the watcher polls logs and feeds the block producer (priority transactions) and
//! everyone who asks for finality; the batcher turns batches into calldata, gives it to the senders, and learns from the watcher and
//! from `storedBatchHash` what became of it.
//!
//! This crate must not build batches, execute blocks, or persist anything: after a restart everything here is derived from L1 again.
//! Nothing here ends the node for a fault of L1 that may pass.

pub mod batches;
pub mod bytecodes;
pub mod contracts;
pub mod deposit;
pub mod discovery;
pub mod genesis;
mod logs;
mod metrics;
pub mod provider;
pub mod sender;
pub mod upgrade;
pub mod watcher;

pub use bytecodes::find_bytecode_supplier;
pub use discovery::{
    BatchCounters, DiscoveryError, L1Contracts, L1State, OperatorRole, PubdataPricingMode,
    check_operators, discover,
};
pub use genesis::{GenesisUpgrade, fetch_genesis_upgrade};
pub use logs::LogScanError;
pub use provider::{CallError, L1ConnectError, L1Provider, L1ProviderConfig};
pub use sender::{
    L1Sender, L1SenderConfig, L1SenderTask, L1TxRequest, SendError, ensure_key_allowed,
    ensure_keys_distinct,
};
pub use upgrade::{
    ProtocolUpgrade, UpgradeError, applied_upgrade_txs, fetch_upgrade, find_scheduled_upgrade,
};
pub use watcher::{
    BatchPoint, CommittedBatch, CommittedBatches, Confirmations, L1Finality, L1PriorityTx,
    L1Watcher, L1WatcherConfig, L1WatcherHandle, ScheduledUpgrade, WatcherError,
};
