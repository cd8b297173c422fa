//! The seam to persistence.
//!
//! A store holds four things. Where it puts them is its own business; their byte forms are given by
//! the `encode` and `decode` functions of the types.
//!
//! | what | key | lifetime |
//! |---|---|---|
//! | [`Manifest`] | one | rewritten by every update |
//! | [`Leaf`] | leaf index | latest content only; the rows are `0..manifest.leaf_count` |
//! | [`VersionRecord`] | version | `0..=manifest.version`, never pruned |
//! | [`UndoRecord`] | version | `manifest.oldest_version + 1..=manifest.version` |

mod memory;
mod record;

pub use memory::InMemoryStore;
pub use record::{Manifest, UndoRecord, VersionRecord};

use crate::Leaf;
use std::{fmt, ops::Range, sync::Arc};

/// Error of a store implementation.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Persistence of the tree. Object-safe; all methods may block.
///
/// The tree is derivable from stored blocks, so an implementation need not sync an update to disk
/// before it returns; but after a crash it must hold a prefix of the updates, each of them whole.
pub trait TreeStore: fmt::Debug + Send + Sync {
    /// The manifest, `None` in a fresh store.
    fn manifest(&self) -> Result<Option<Manifest>, StoreError>;

    /// The leaves in the order of their indices, without holes. Called once, at open.
    fn leaves(&self) -> Result<Vec<Leaf>, StoreError>;

    /// The record of a version.
    fn version_record(&self, version: u64) -> Result<Option<VersionRecord>, StoreError>;

    /// What leads from a version back to the one before it.
    fn undo_record(&self, version: u64) -> Result<Option<UndoRecord>, StoreError>;

    /// Applies an update as a whole or not at all.
    fn apply(&self, update: TreeUpdate) -> Result<(), StoreError>;
}

/// A change of the stored tree. Fields are to be applied in the order in which they stand here: a
/// removed version may be written again in a later update, never in the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    /// Replaces the stored manifest.
    pub manifest: Manifest,
    /// Leaf rows to write, ascending by index.
    pub leaves: Vec<(u64, Leaf)>,
    /// Leaf rows to remove.
    pub removed_leaves: Range<u64>,
    /// Version records to write, ascending.
    pub versions: Vec<(u64, VersionRecord)>,
    /// Versions whose records are to be removed.
    pub removed_versions: Range<u64>,
    /// Undo records to write, ascending by version.
    pub undo: Vec<(u64, UndoRecord)>,
    /// Versions whose undo records are to be removed. Some of them may be absent.
    pub removed_undo: Range<u64>,
}

impl TreeUpdate {
    /// An update that changes only the manifest.
    pub const fn new(manifest: Manifest) -> Self {
        Self {
            manifest,
            leaves: Vec::new(),
            removed_leaves: 0..0,
            versions: Vec::new(),
            removed_versions: 0..0,
            undo: Vec::new(),
            removed_undo: 0..0,
        }
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<T: TreeStore + ?Sized> TreeStore for $pointer {
            fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
                (**self).manifest()
            }

            fn leaves(&self) -> Result<Vec<Leaf>, StoreError> {
                (**self).leaves()
            }

            fn version_record(&self, version: u64) -> Result<Option<VersionRecord>, StoreError> {
                (**self).version_record(version)
            }

            fn undo_record(&self, version: u64) -> Result<Option<UndoRecord>, StoreError> {
                (**self).undo_record(version)
            }

            fn apply(&self, update: TreeUpdate) -> Result<(), StoreError> {
                (**self).apply(update)
            }
        }
    )*};
}

delegate!(Arc<T>, Box<T>);
