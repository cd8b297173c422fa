//! The upper node hashes, one flat array per height, in memory.

use crate::{
    TREE_DEPTH,
    hash::{RawHash, empty_hashes, hash_scattered},
    pages::PAGE_HEIGHT,
};
use rayon::prelude::*;
use std::ops::Range;

/// Below this many changes a second thread costs more than it saves.
const PARALLEL_CHANGES: usize = 512;

/// Subtrees that are given to the threads at most: some more than there are threads, as they are not
/// equally much work, and few, as what is above all of them is hashed by one thread.
const SUBTREES: usize = 64;

/// Node hashes by height, from the root nodes of pages on, and position: 4 bytes per leaf
/// altogether. The array of a height ends with the ancestor of the last leaf; what lies beyond is
/// empty.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Index 0 is height [`PAGE_HEIGHT`].
    levels: Vec<Vec<RawHash>>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { levels: vec![Vec::new(); TREE_DEPTH + 1 - PAGE_HEIGHT] }
    }
}

/// Nodes below and at some node, to be changed without regard to the others.
struct Subtree<'a> {
    /// Its nodes by height, from `height` on.
    levels: Vec<&'a mut [RawHash]>,
    height: usize,
    /// Position of its first node at that height.
    first: u64,
}

impl Subtree<'_> {
    /// Positions of its lowest nodes.
    fn pages(&self) -> Range<u64> {
        self.first..self.first + self.levels.first().map_or(0, |lowest| lowest.len() as u64)
    }

    /// Puts nodes in place, given with their positions, ascending, and hashes everything above them.
    fn update(&mut self, changed: &[(u64, RawHash)]) {
        let mut dirty = Vec::with_capacity(changed.len());
        for (position, node) in changed {
            let at = position - self.first;
            self.levels[0][at as usize] = *node;
            dirty.push(at as usize);
        }
        self.hash_above(dirty);
    }

    /// Hashes what is above some of the lowest nodes.
    fn hash_above(&mut self, mut dirty: Vec<usize>) {
        let mut hashes = Vec::new();
        for above in 1..self.levels.len() {
            for at in &mut dirty {
                *at >>= 1;
            }
            dirty.dedup();
            let (below, level) = self.levels.split_at_mut(above);
            let (Some(below), Some(level)) = (below.last(), level.first_mut()) else { return };
            let (pairs, single) = below.as_chunks::<2>();
            // Only the last node of a height can lack its right child.
            let edge = match single {
                [last] => [*last, empty_hashes()[self.height + above - 1]],
                _ => [[0; 32]; 2],
            };
            hashes.resize(dirty.len(), [0; 32]);
            let pair = |at: &usize| pairs.get(*at).unwrap_or(&edge).as_flattened();
            hash_scattered::<64>(dirty.iter().map(pair), &mut hashes);
            for (at, hash) in dirty.iter().zip(&hashes) {
                level[*at] = *hash;
            }
        }
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
        levels.resize(pages.len() as u64);
        let nodes = |range: Range<u64>| range.map(|page| (page, pages[page as usize])).collect();
        levels.update(pages.len(), |range| range, nodes);
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

    /// Follows a change of the number of pages. If it grows or shrinks, the last page must be among
    /// those of the next update.
    pub(crate) fn resize(&mut self, page_count: u64) {
        for (above, level) in self.levels.iter_mut().enumerate() {
            level.resize(nodes_at(above, page_count) as usize, [0; 32]);
        }
    }

    /// Puts the nodes of changed pages in place and hashes everything above them, subtree by subtree,
    /// on several threads if `count`, the number of changes, is large. `part` gives, in order, what a
    /// subtree with a range of pages needs; `changed` makes its nodes of that, with their pages,
    /// ascending.
    pub(crate) fn update<T: Send>(
        &mut self,
        count: usize,
        mut part: impl FnMut(Range<u64>) -> T,
        changed: impl Fn(T) -> Vec<(u64, RawHash)> + Sync,
    ) {
        // Levels in a subtree above its pages.
        let height = match count < PARALLEL_CHANGES {
            true => TREE_DEPTH - PAGE_HEIGHT,
            false => self.levels[0].len().div_ceil(SUBTREES).next_power_of_two().ilog2() as usize,
        };
        let subtrees = self.subtrees(height);
        let mut parts = Vec::with_capacity(subtrees.len());
        for subtree in subtrees {
            let part = part(subtree.pages());
            parts.push((subtree, part));
        }
        let work = |(mut subtree, part): (Subtree<'_>, T)| {
            let changed = changed(part);
            subtree.update(&changed);
            let top = *subtree.levels.last()?.first()?;
            (!changed.is_empty()).then_some((subtree.first >> height, top))
        };
        let tops: Vec<(u64, RawHash)> = match parts.len() {
            0 | 1 => parts.into_iter().filter_map(work).collect(),
            _ => parts.into_par_iter().filter_map(work).collect(),
        };
        self.above(height).update(&tops);
    }

    /// Subtrees with some levels above their pages.
    fn subtrees(&mut self, height: usize) -> Vec<Subtree<'_>> {
        let levels = self.levels[..=height].iter_mut().enumerate();
        let mut levels: Vec<_> =
            levels.map(|(above, level)| level.chunks_mut(1 << (height - above))).collect();
        let mut subtrees = Vec::new();
        loop {
            let next: Vec<&mut [RawHash]> = levels.iter_mut().filter_map(Iterator::next).collect();
            if next.is_empty() {
                return subtrees;
            }
            let first = (subtrees.len() as u64) << height;
            subtrees.push(Subtree { levels: next, height: PAGE_HEIGHT, first });
        }
    }

    /// What is above the subtrees with some levels above their pages.
    fn above(&mut self, height: usize) -> Subtree<'_> {
        let levels = self.levels[height..].iter_mut().map(Vec::as_mut_slice).collect();
        Subtree { levels, height: PAGE_HEIGHT + height, first: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{hash_bytes, hash_pair};

    /// The root, node by node.
    fn root(mut nodes: Vec<RawHash>) -> RawHash {
        for height in PAGE_HEIGHT..TREE_DEPTH {
            let empty = empty_hashes()[height];
            nodes = nodes
                .chunks(2)
                .map(|pair| hash_pair(&pair[0], pair.get(1).unwrap_or(&empty)))
                .collect();
        }
        nodes[0]
    }

    #[test]
    fn subtrees_on_several_threads_give_the_root_of_all_nodes() {
        let node = |seed: usize| hash_bytes(&seed.to_be_bytes());
        let mut nodes: Vec<RawHash> = Vec::new();
        let mut levels = Levels::default();
        // Grown, changed all over or in few places, and cut.
        let sizes = [1, 2, 3, 700, 5_000, 5_001, 9_000, 4_097, 8_192, 3, 6_000];
        for (round, size) in sizes.into_iter().enumerate() {
            let old = nodes.len();
            let edge = old.min(size) - usize::from(old > 0);
            nodes.resize(size, [0; 32]);
            for stride in [1, 7, 3_001] {
                let mut changed: Vec<usize> = (0..size).step_by(stride).collect();
                changed.extend(edge..size);
                changed.sort_unstable();
                changed.dedup();
                changed.iter().for_each(|at| nodes[*at] = node(at * 100 + round * 10 + stride));
                levels.resize(size as u64);
                let part = |pages: Range<u64>| {
                    let mine = changed.iter().map(|at| *at as u64).filter(|at| pages.contains(at));
                    mine.collect::<Vec<_>>()
                };
                let with_nodes = |mine: Vec<u64>| {
                    mine.into_iter().map(|at| (at, nodes[at as usize])).collect::<Vec<_>>()
                };
                levels.update(changed.len(), part, with_nodes);
                assert_eq!(levels.root(), root(nodes.clone()), "{size} nodes, every {stride}th");
                assert_eq!(levels.page_nodes(), nodes);
            }
            assert_eq!(Levels::build(nodes.clone()).root(), levels.root());
        }
    }
}
