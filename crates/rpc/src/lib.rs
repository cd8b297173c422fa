//! JSON-RPC of the node: `eth_`, `net_`, `web3_`, `txpool_`, `zks_`, `debug_`, `trace_`, filters and subscriptions, and the server that carries them.
//!
//! *What it is for.* Wallets, libraries and explorers talk to the node through it. The namespaces are jsonrpsee traits under reth's names ([`api`]); [`EthApi`] implements
//! `eth_` over whatever the node offers through [`RpcNodeCore`]; [`RpcBuilder`] puts the namespaces that the user selected into [`RpcModules`], to which plug-ins add their own,
//! and [`RpcServer`] serves them over HTTP and WebSocket on one port.
//!
//! *What it must not do.* It writes nothing but pool transactions. It never recomputes a block hash: the served header carries the logs bloom, the hash is that of the header
//! with an empty bloom and always comes from storage. It never returns the text of an internal failure to a caller: such causes are logged.
//!
//! *How a block comes through it.* Readers see a block once storage has made it canonical. Its notification fills the [`EthStateCache`](eth::EthStateCache) and wakes subscriptions and waiting
//! `eth_sendRawTransactionSync` calls. A subscriber that lags behind the notifications reads what it missed from the provider, so that nothing is left out. Polled filters
//! do not depend on notifications at all: they remember the last block they reported and read on from there.
//!
//! *On which thread it works.* A short read runs on the thread that received the request while memory has all of it: the provider refuses what it would have to fetch from disk, and the
//! read is done again on the blocking pool. So does a call (`eth_call`) that computes for little, measured by what it uses of the native resource. Everything else that reads the databases or
//! executes runs on the blocking pool, bounded by a semaphore for each class of work (reads, log queries, calls, traces), so that calls cannot starve the node, nor traces the calls.
//!
//! *Cargo features.* `js-tracer`: tracers that are JavaScript source, which the operator turns on by `--rpc.js-tracer`. They bring an engine, a large dependency.

pub mod api;
mod builder;
mod debug;
mod error;
pub mod eth;
mod net;
mod node;
pub mod server;
mod trace;
mod txpool;
pub mod types;
mod web3;
pub mod zks;

#[cfg(test)]
mod tests;

pub use builder::{RpcBuilder, RpcContext};
pub use debug::DebugApi;
pub use error::{EthApiError, EthFilterError, EthResult, ZksApiError};
pub use eth::{EthApi, EthFilter, EthPubSub};
pub use net::NetApi;
pub use node::{RpcNodeCore, RpcShared};
pub use server::{RpcModules, RpcServer, RpcServerError, RpcServerHandle};
pub use trace::TraceApi;
pub use txpool::TxPoolApi;
pub use web3::{Web3Api, client_version};
pub use zks::{
    BatchHeads, BatchIndex, BatchInfo, BatchReader, BlockMetadata, SettlementReadError,
    StateProofs, StateProver, ZksApi,
};
