//! `ots_`: what the explorer Otterscan asks beyond `eth_`, and the index that its address pages need.
//!
//! *What it is for.* [`OtterscanApi`] implements the namespace at API level 8, and `erigon_getHeaderByNumber`, over an [`EthApi`](zkos_rpc::EthApi). Blocks, transactions, traces and
//! internal operations need nothing else. The history of an address and the creator of a contract come from an index, which [`otterscan`], an execution extension, keeps while
//! the chain grows. Both are installed through the node builder's public surface.
//!
//! *What it must not do.* It never scans blocks to answer a request, and it never answers from an index that has not come as far as the answer reaches: such a request waits a
//! moment and is then refused. It writes no blocks, and block production never waits for it.
//!
//! *How a block comes into the index.* The extension hears that a block is canonical and executes its record once more, before the eyes of an inspector that notes the caller and the callee of
//! every frame, the contracts created and the beneficiaries of self-destructs; see [`touched_by`]. What was noted becomes entries of the
//! [`OtsIndex`](zkos_storage::OtsIndex), together with the head of the index. After a restart it goes on behind that head, and with an empty index behind genesis: the write-ahead log is
//! the only source, so an index may be deleted at any time.
//!
//! *What it costs.* A second execution of every block, on a thread of its own and at its own pace. With inspection and entries it takes two to three times as long as the first one (bench `search`: a
//! block of 500 transfers). Each pair of transaction and address is an entry of 33 bytes before compression. Without the index nothing of this runs.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod api;
mod error;
mod exex;
mod handler;
mod index;
mod inspect;
mod metrics;
mod search;
#[cfg(test)]
mod tests;
mod types;

pub use api::OtterscanServer;
pub use error::OtterscanError;
pub use exex::otterscan;
pub use handler::{API_LEVEL, OtterscanApi};
pub use index::{AddressIndex, IndexError, IndexRun, Indexer, touched_by};
pub use search::{Direction, MAX_PAGE_SIZE};
pub use types::{OtsHeader, SearchPage};
