//! Traits between the databases and everything that reads or writes blocks and state.
//!
//! *What it is for.* The pool, the engine, RPC, execution extensions and settlement compile against these traits and never see a database. Names follow reth's
//! provider traits; missing data is `Ok(None)`, an error means that an answer could not be given.
//!
//! *What it must not do.* No I/O and no policy: no database, no network, no execution.
//!
//! *How a block moves through it.* The engine executes a block and hands it as an [`ExecutedBlock`] to [`BlockWriter::append`]: from then on the state after it is
//! readable through [`StateProviderFactory::pending`], while the write-ahead log makes it durable in group commits. Once [`BlockWriter::durable_block`] has reached the
//! block the engine calls [`BlockWriter::set_canonical_head`]: only now do readers (`latest`, receipts, subscriptions) see it. So nothing that a user was told can be lost by
//! a crash. Subscribers of [`CanonStateSubscriptions`] get a [`CanonStateNotification`] per canonical block; they may lag, and must then resync from the provider. Execution
//! extensions do not use this broadcast but a bounded queue of their own.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod block;
mod chain;
mod errors;
mod genesis;
mod in_memory;
mod notifications;
mod state;
#[cfg(any(test, feature = "test-utils"))]
pub mod test_utils;
mod writer;

pub use block::{
    BlockHashReader, BlockIdReader, BlockNumReader, BlockReader, ChainInfo, HeaderProvider,
    ReceiptProvider, ReplayRecordReader, TransactionMeta, TransactionsProvider,
};
pub use chain::{Chain, ExecutedBlock, RecoveredZkBlock};
pub use errors::{ProviderError, ProviderResult};
pub use genesis::{genesis_block, genesis_record};
pub use in_memory::{may_use_disk, not_in_memory, try_in_memory};
pub use notifications::{CanonStateNotification, CanonStateSubscriptions, ForkChoiceSubscriptions};
pub use state::{StateProvider, StateProviderBox, StateProviderFactory};
pub use writer::{BlockWriter, ForkChoiceWriter, StorageHeads};

/// Everything a node's provider offers, for bounds at the top of the node.
pub trait FullProvider:
    BlockIdReader
    + HeaderProvider
    + BlockReader
    + TransactionsProvider
    + ReceiptProvider
    + ReplayRecordReader
    + StateProviderFactory
    + CanonStateSubscriptions
    + ForkChoiceSubscriptions
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> FullProvider for T where
    T: BlockIdReader
        + HeaderProvider
        + BlockReader
        + TransactionsProvider
        + ReceiptProvider
        + ReplayRecordReader
        + StateProviderFactory
        + CanonStateSubscriptions
        + ForkChoiceSubscriptions
        + Clone
        + Send
        + Sync
        + 'static
{
}
