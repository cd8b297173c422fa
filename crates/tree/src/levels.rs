//! The upper node hashes, one flat array per height, in memory.

use crate::{
    TREE_DEPTH,
    hash::{HASHES_PER_TASK, PARALLEL_HASHES, RawHash, empty_hashes, hash_lanes},
    pages::PAGE_HEIGHT,
};
use rayon::prelude::*;

/// Node hashes by height, from the root nodes of pages on, and position: 4 bytes per leaf
/// altogether. The array of a height ends with the ancestor of the last leaf; what lies beyond is
/// empty.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Index 0 is height [`PAGE_HEIGHT`].
    levels: Vec<Vec<RawHash>>,
    /// Reused between updates.
    scratch: Vec<RawHash>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { levels: vec![Vec::new(); TREE_DEPTH + 1 - PAGE_HEIGHT], scratch: Vec::new() }
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
    /// Hashes everything above the given page nodes.
    pub(crate) fn build(pages: Vec<RawHash>) -> Self {
        let mut levels = Self::default();
        let all = (0..pages.len() as u64).collect();
        levels.levels[0] = pages;
        levels.hash_above(all);
        levels
    }

    /// The root; that of an empty tree if there are no leaves.
    pub(crate) fn root(&self) -> RawHash {
        self.levels[TREE_DEPTH - PAGE_HEIGHT]
            .first()
            .copied()
            .unwrap_or_else(|| empty_hashes()[TREE_DEPTH])
    }

    /// The node at a position of a height from [`PAGE_HEIGHT`] on, empty ones included.
    pub(crate) fn node(&self, height: usize, position: u64) -> &RawHash {
        self.levels[height - PAGE_HEIGHT]
            .get(position as usize)
            .unwrap_or_else(|| &empty_hashes()[height])
    }

    /// The nodes of all pages.
    pub(crate) fn page_nodes(&self) -> &[RawHash] {
        &self.levels[0]
    }

    /// Follows a change of pages, given ascending with their nodes. After pages were cut off, the
    /// last one that stays must be among them.
    pub(crate) fn update(&mut self, page_count: u64, changed: &[(u64, RawHash)]) {
        self.levels[0].resize(page_count as usize, [0; 32]);
        for (page, node) in changed {
            self.levels[0][*page as usize] = *node;
        }
        self.hash_above(changed.iter().map(|(page, _)| *page).collect());
    }

    /// Hashes what is above the given positions of the lowest height.
    fn hash_above(&mut self, mut dirty: Vec<u64>) {
        let pages = self.levels[0].len() as u64;
        for (above, level) in self.levels.iter_mut().enumerate().skip(1) {
            level.resize(nodes_at(above, pages) as usize, [0; 32]);
        }
        if dirty.is_empty() {
            return;
        }
        for above in 1..self.levels.len() {
            for i in &mut dirty {
                *i >>= 1;
            }
            dirty.dedup();
            let below = std::mem::take(&mut self.levels[above - 1]);
            let pair = |i: u64| 2 * i as usize..2 * i as usize + 2;
            // Only the last node of a height can lack its right child.
            let edge = match below.last() {
                Some(last) if below.len() % 2 == 1 => {
                    [*last, empty_hashes()[PAGE_HEIGHT + above - 1]]
                }
                _ => [[0; 32]; 2],
            };
            self.rehash(above, &dirty, |dirty, out| {
                let children =
                    dirty.iter().map(|i| below.get(pair(*i)).unwrap_or(&edge).as_flattened());
                hash_lanes(children, out);
            });
            self.levels[above - 1] = below;
        }
    }

    /// Hashes the nodes at the given positions of one array and puts them in place.
    fn rehash(
        &mut self,
        above: usize,
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
        let level = &mut self.levels[above];
        for (i, hash) in dirty.iter().zip(&self.scratch) {
            level[*i as usize] = *hash;
        }
    }
}
