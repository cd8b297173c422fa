//! What every part of a node shares: configuration, tasks, the status of stages, and the traits that tie components together.
//!
//! *What it is for.* [`NodeConfig`] and its argument groups (flags, environment, file, defaults), the [`TaskExecutor`] under which everything runs, the [`StageRegistry`] in which
//! each stage says how far it is and what it waits for, [`Progress`] for long work, the metrics endpoint, and reth's component traits ([`NodeTypes`], [`FullNodeTypes`], [`FullNodeComponents`], [`NodeAddOns`]).
//!
//! *What it must not do.* It builds nothing: no database is opened, no server started, no block executed here. The builder lives in `zkos-node`.
//!
//! *How a block moves past it.* It does not. Blocks flow engine -> storage -> execution extensions; what passes through this crate are transactions from L1, which the
//! watcher hands to the engine through [`L1TxSender`] in the order in which they must be executed.

pub mod args;
pub mod config;
pub mod dirs;
pub mod execution;
pub mod metrics_server;
pub mod node;
pub mod progress;
pub mod stages;
pub mod tasks;

pub use config::NodeConfig;
pub use dirs::DataDir;
pub use node::{
    AddOnsContext, FullNodeComponents, FullNodeTypes, FullNodeTypesAdapter, L1Transaction,
    L1TxSender, NodeAddOns, NodeTypes,
};
pub use progress::Progress;
pub use stages::{StageHandle, StageRegistry, StageState, StageStatus};
pub use tasks::{GracefulShutdown, TaskError, TaskExecutor, TaskManager};
