//! State transition function of ZKsync OS (execution version 5) on revm's interpreter.
//!
//! Purpose: given a block context, transactions and the state before the block, compute exactly what the
//! official VM computes: receipts, gas, writes, pubdata, header. It is a pure function. It must not touch a
//! disk, a clock or a network; it reads only through [`StateView`].
//!
//! How data moves:
//!
//! ```text
//! BlockContext, state ─► ZkEvmConfig::block_executor ─► BlockExecutor
//!   per transaction: decode (tx) ─► validate, fees (flow) ─► frames (frame, ops, hooks) on the journal
//!   finish ─► BlockOutput (output)
//! ```
//!
//! Three doors lead to it: the streaming [`BlockExecutor`] of the node, the official interface
//! ([`ZkExecutor`]), and alloy-evm's traits ([`evm`]), through which a node's author adds precompiles.
//!
//! * What differs between execution versions stands in one table ([`ExecutionSpec`]); nothing else looks at a
//!   version number.
//! * Prices of the native resource stand in `native`; one meter per transaction counts them. Constant prices
//!   are part of the instruction table, composite ones are charged where the state is touched.
//! * The journal caches accounts and slots of a block, rolls back frames, and knows what a transaction
//!   changed (its pubdata is priced).
//! * The frame loop is ours, the interpreter (stack, memory, arithmetic, jump analysis) and the precompiles
//!   are revm's. The loop differs from revm's handler because native is shared by all frames, running out
//!   of it ends the whole transaction, and state access is priced by presence in the state tree.

mod block;
mod code_cache;
mod config;
mod env;
mod error;
pub mod evm;
mod flow;
mod frame;
mod hooks;
mod journal;
mod native;
mod ops;
mod output;
mod run;
mod spec;
mod state;
mod trace;
mod tx;
mod vm;

pub use block::{BlockExecutor, BlockTotals, TxResult};
pub use code_cache::CodeCache;
pub use config::{Simulated, ZkEvmConfig};
pub use env::MAX_BLOCK_GAS_LIMIT;
pub use error::{AbortReason, ExecutionError, StateError};
pub use evm::{ZkEvm, ZkEvmFactory};
pub use journal::{AccountChange, SlotChange, TxChanges};
pub use native::MAX_NATIVE_COMPUTATIONAL;
pub use run::ZkExecutor;
pub use spec::{EXECUTION_SPECS, ExecutionSpec};
pub use state::{FlatState, StateView, decode_bytecode};
pub use trace::TraceContext;
