//! All node hashes, one flat array per height.

use crate::{
    Leaf, TREE_DEPTH,
    hash::{HASHES_PER_TASK, PARALLEL_HASHES, RawHash, empty_hashes, hash_lanes},
};
use rayon::prelude::*;

/// Node hashes by height and position. The array of a height ends with the ancestor of the last
/// leaf; what lies beyond is empty. All 65 heights are there, so the root needs no special
/// treatment.
#[derive(Debug)]
pub(crate) struct Levels {
    levels: Vec<Vec<RawHash>>,
    /// Reused between updates.
    scratch: Vec<RawHash>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { levels: vec![Vec::new(); TREE_DEPTH + 1], scratch: Vec::new() }
    }
}

/// Number of nodes of a height that have leaves below them.
pub(crate) fn nodes_at(height: usize, leaf_count: u64) -> u64 {
    match leaf_count.checked_sub(1) {
        Some(last) => last.checked_shr(height as u32).unwrap_or(0) + 1,
        None => 0,
    }
}

impl Levels {
    /// Hashes everything.
    pub(crate) fn build(leaves: &[Leaf]) -> Self {
        let mut levels = Self::default();
        levels.update(leaves, (0..leaves.len() as u64).collect());
        levels
    }

    /// The root; that of an empty tree if there are no leaves.
    pub(crate) fn root(&self) -> RawHash {
        self.levels[TREE_DEPTH].first().copied().unwrap_or_else(|| empty_hashes()[TREE_DEPTH])
    }

    /// The node at a position, empty ones included.
    pub(crate) fn node(&self, height: usize, position: u64) -> &RawHash {
        self.levels[height].get(position as usize).unwrap_or_else(|| &empty_hashes()[height])
    }

    /// Follows a change of the leaves. `dirty` holds the indices of changed and new leaves,
    /// ascending without repetition. After leaves were cut off, the last one that stays must be in
    /// it.
    pub(crate) fn update(&mut self, leaves: &[Leaf], mut dirty: Vec<u64>) {
        let leaf_count = leaves.len() as u64;
        for (height, level) in self.levels.iter_mut().enumerate() {
            level.resize(nodes_at(height, leaf_count) as usize, [0; 32]);
        }
        if dirty.is_empty() {
            return;
        }
        self.rehash(0, &dirty, |dirty, out| {
            hash_lanes(dirty.iter().map(|i| leaves[*i as usize].as_bytes().as_slice()), out);
        });
        for height in 1..=TREE_DEPTH {
            for i in &mut dirty {
                *i >>= 1;
            }
            dirty.dedup();
            let below = std::mem::take(&mut self.levels[height - 1]);
            let pair = |i: u64| 2 * i as usize..2 * i as usize + 2;
            // Only the last node of a height can lack its right child.
            let edge = match below.last() {
                Some(last) if below.len() % 2 == 1 => [*last, empty_hashes()[height - 1]],
                _ => [[0; 32]; 2],
            };
            self.rehash(height, &dirty, |dirty, out| {
                let children =
                    dirty.iter().map(|i| below.get(pair(*i)).unwrap_or(&edge).as_flattened());
                hash_lanes(children, out);
            });
            self.levels[height - 1] = below;
        }
    }

    /// Hashes the nodes at the given positions of one height and puts them in place.
    fn rehash(
        &mut self,
        height: usize,
        dirty: &[u64],
        hash: impl Fn(&[u64], &mut [RawHash]) + Sync,
    ) {
        self.scratch.resize(dirty.len(), [0; 32]);
        if dirty.len() < PARALLEL_HASHES {
            hash(dirty, &mut self.scratch);
        } else {
            self.scratch
                .par_chunks_mut(HASHES_PER_TASK)
                .zip(dirty.par_chunks(HASHES_PER_TASK))
                .for_each(|(out, dirty)| hash(dirty, out));
        }
        let level = &mut self.levels[height];
        for (i, hash) in dirty.iter().zip(&self.scratch) {
            level[*i as usize] = *hash;
        }
    }
}
