//! The namespaces as jsonrpsee traits. Implementing one of them and merging its `into_rpc()` is all that a replacement needs.

mod debug;
mod eth;
mod filter;
mod net;
mod pubsub;
mod trace;
mod txpool;
mod web3;
mod zks;

pub use debug::DebugApiServer;
pub use eth::EthApiServer;
pub use filter::EthFilterApiServer;
pub use net::NetApiServer;
pub use pubsub::EthPubSubApiServer;
pub use trace::TraceApiServer;
pub use txpool::TxPoolApiServer;
pub use web3::Web3ApiServer;
pub use zks::ZksApiServer;
