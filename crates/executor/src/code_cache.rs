//! Analysed bytecodes shared by all executions of a node.

use alloy_primitives::{B256, map::HashMap};
use revm::bytecode::Bytecode;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries kept; the cache starts over when it is full.
const CAPACITY: usize = 4096;

/// Analysed bytecodes by their internal (blake2s) hash. Clones share the entries.
///
/// The key is the hash of the content, so entries never go stale.
#[derive(Debug, Clone, Default)]
pub struct CodeCache {
    entries: Arc<Mutex<HashMap<B256, Bytecode>>>,
}

impl CodeCache {
    pub(crate) fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    pub(crate) fn insert(&self, hash: B256, code: Bytecode) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert(hash, code);
    }
}
