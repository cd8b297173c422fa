//! Execution extensions: code that follows the chain inside the node.
//!
//! *What it is for.* An extension ([`LaunchExEx`], mostly an async closure) gets an [`ExExContext`] with the node's components and an ordered, gapless stream of
//! [`ExExNotification`]s that carry blocks, receipts, state writes and replay records. Batching and settlement are built on it, and so can an indexer be.
//!
//! *What it must not do.* It neither builds blocks nor writes them, and it knows nothing of any particular extension.
//!
//! *How a block moves through it.* The engine sends each canonical block into the bounded queue of the [`ExExManager`], which hands it to the bounded queue of every extension.
//! An extension that does not keep up therefore slows block production down; it can't lose a block. An extension that was away sets its head with
//! [`ExExNotifications::set_with_head`] and first gets the blocks it missed, executed again from the write-ahead log by a [`BackfillJob`]. It reports
//! [`ExExEvent::FinishedHeight`] when it no longer needs a block; the lowest height over all extensions is published by
//! [`ExExManagerHandle::finished_height`], and what an extension has not finished is not pruned ([`ExExManagerHandle::slowest`]).
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod backfill;
mod context;
mod error;
mod event;
mod launch;
mod manager;
mod metrics;
mod notification;
mod notifications;
#[cfg(any(test, feature = "test-utils"))]
pub mod test_utils;
#[cfg(test)]
mod tests;

pub use backfill::{BackfillJob, BackfillJobFactory, BackfillThresholds};
pub use context::ExExContext;
pub use error::ExExError;
pub use event::{ExExEvent, ExExEventSender, FinishedExExHeight, SlowestExEx};
pub use launch::{BoxExEx, BoxedLaunchExEx, LaunchExEx};
pub use manager::{ExExChannels, ExExHandle, ExExManager, ExExManagerBuilder, ExExManagerHandle};
pub use notification::{ExExHead, ExExNotification};
pub use notifications::{BackfillProvider, ExExNotifications};
