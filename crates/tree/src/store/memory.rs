//! A store that forgets everything at exit.

use super::{Manifest, StoreError, TreeStore, TreeUpdate, UndoRecord, VersionRecord};
use crate::{CodecError, Leaf};
use parking_lot::RwLock;
use std::collections::BTreeMap;

/// Keeps the stored tree in memory, in its byte forms. For tests and for trees that are cheap to
/// build again.
#[derive(Debug, Default)]
pub struct InMemoryStore {
    rows: RwLock<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    manifest: Option<Vec<u8>>,
    leaves: Vec<[u8; Leaf::ENCODED_SIZE]>,
    versions: BTreeMap<u64, Vec<u8>>,
    undo: BTreeMap<u64, Vec<u8>>,
}

/// An update leaves a hole in the list of leaves.
#[derive(Debug, thiserror::Error)]
#[error("leaf {index} is written after {len} leaves")]
struct LeafHole {
    index: u64,
    len: usize,
}

fn decode<T>(
    bytes: Option<&Vec<u8>>,
    decode: impl FnOnce(&[u8]) -> Result<T, CodecError>,
) -> Result<Option<T>, StoreError> {
    Ok(bytes.map(|bytes| decode(bytes)).transpose()?)
}

impl InMemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl TreeStore for InMemoryStore {
    fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        decode(self.rows.read().manifest.as_ref(), Manifest::decode)
    }

    fn leaves(&self) -> Result<Vec<Leaf>, StoreError> {
        let rows = self.rows.read();
        Ok(rows.leaves.iter().map(|bytes| Leaf::decode(bytes)).collect::<Result<_, _>>()?)
    }

    fn version_record(&self, version: u64) -> Result<Option<VersionRecord>, StoreError> {
        decode(self.rows.read().versions.get(&version), VersionRecord::decode)
    }

    fn undo_record(&self, version: u64) -> Result<Option<UndoRecord>, StoreError> {
        decode(self.rows.read().undo.get(&version), UndoRecord::decode)
    }

    fn apply(&self, update: TreeUpdate) -> Result<(), StoreError> {
        let mut rows = self.rows.write();
        let mut len = rows.leaves.len();
        for (index, _) in &update.leaves {
            if *index > len as u64 {
                return Err(LeafHole { index: *index, len }.into());
            }
            len = len.max(*index as usize + 1);
        }
        rows.manifest = Some(update.manifest.encode());
        for (index, leaf) in &update.leaves {
            let index = *index as usize;
            if index == rows.leaves.len() {
                rows.leaves.push(leaf.encode());
            } else {
                rows.leaves[index] = leaf.encode();
            }
        }
        if !update.removed_leaves.is_empty() {
            rows.leaves.truncate(update.removed_leaves.start as usize);
        }
        rows.versions
            .extend(update.versions.iter().map(|(version, record)| (*version, record.encode())));
        if !update.removed_versions.is_empty() {
            rows.versions.retain(|version, _| !update.removed_versions.contains(version));
        }
        rows.undo.extend(update.undo.iter().map(|(version, record)| (*version, record.encode())));
        if !update.removed_undo.is_empty() {
            rows.undo.retain(|version, _| !update.removed_undo.contains(version));
        }
        Ok(())
    }
}
