//! Looking at one version of the tree.

use crate::{
    BatchProof, KeyProof, Leaf, LeafProof, NeighborProof, Operation, TREE_DEPTH, TreeError,
    TreeOutput,
    hash::{RawHash, empty_hashes, hash_all},
    index::{Found, contradiction},
    levels::nodes_at,
    tree::Dense,
};
use alloy_primitives::B256;
use std::collections::BTreeMap;

/// The tree as it was at one version: the latest one, seen through what changed since.
#[derive(Debug)]
pub struct TreeView<'a> {
    dense: &'a Dense,
    version: u64,
    leaf_count: u64,
    root: B256,
    /// Leaves of this version that have changed since.
    leaves: BTreeMap<u64, Leaf>,
    /// Node hashes of this version that differ from the latest ones, by height, ascending by
    /// position. On the right edge, if leaves were added since, they include every last node of a
    /// height. Empty if nothing changed.
    nodes: Vec<Vec<(u64, RawHash)>>,
}

/// Where a key stands in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The key is in the leaf with this index.
    Existing {
        /// Index of the leaf.
        index: u64,
    },
    /// The key was never written; it would stand between these two.
    Missing {
        /// Index of the leaf with the largest key below.
        left: u64,
        /// Index of the leaf with the smallest key above.
        right: u64,
    },
}

impl<'a> TreeView<'a> {
    pub(crate) fn latest(dense: &'a Dense, version: u64) -> Self {
        let TreeOutput { root, leaf_count } = dense.output();
        Self { dense, version, leaf_count, root, leaves: BTreeMap::new(), nodes: Vec::new() }
    }

    /// `leaves` are those of the first `leaf_count` that have changed since the version.
    pub(crate) fn historic(
        dense: &'a Dense,
        version: u64,
        leaf_count: u64,
        leaves: BTreeMap<u64, Leaf>,
    ) -> Result<Self, TreeError> {
        let mut view = Self { leaf_count, leaves, ..Self::latest(dense, version) };
        if leaf_count != dense.leaf_count() || !view.leaves.is_empty() {
            view.hash_changes()?;
        }
        Ok(view)
    }

    fn hash_changes(&mut self) -> Result<(), TreeError> {
        let last = self.leaf_count - 1;
        let bytes: Vec<_> = self.leaves.values().map(|leaf| *leaf.as_bytes()).collect();
        let mut changed: Vec<(u64, RawHash)> =
            self.leaves.keys().copied().zip(hash_all(&bytes)).collect();
        if self.leaf_count != self.dense.leaf_count() && !self.leaves.contains_key(&last) {
            changed.push((last, self.dense.node(0, last)?));
        }
        self.nodes = vec![changed];
        for height in 0..TREE_DEPTH {
            let below = &self.nodes[height];
            let count = nodes_at(height, self.leaf_count);
            let unchanged = |position: u64| {
                if position < count {
                    self.dense.node(height, position)
                } else {
                    Ok(empty_hashes()[height])
                }
            };
            let mut positions = Vec::with_capacity(below.len());
            let mut children: Vec<[u8; 64]> = Vec::with_capacity(below.len());
            for family in below.chunk_by(|a, b| a.0 >> 1 == b.0 >> 1) {
                let parent = family[0].0 >> 1;
                let mut pair = [0; 64];
                for (position, child) in (2 * parent..).zip(pair.chunks_exact_mut(32)) {
                    match family.iter().find(|(changed, _)| *changed == position) {
                        Some((_, hash)) => child.copy_from_slice(hash),
                        None => child.copy_from_slice(&unchanged(position)?),
                    }
                }
                positions.push(parent);
                children.push(pair);
            }
            let hashes = hash_all(&children);
            self.nodes.push(positions.into_iter().zip(hashes).collect());
        }
        self.root = self.node(TREE_DEPTH, 0)?;
        Ok(())
    }

    /// The version looked at.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Number of leaves, guards included.
    pub const fn leaf_count(&self) -> u64 {
        self.leaf_count
    }

    /// The root.
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// Root and leaf count.
    pub const fn output(&self) -> TreeOutput {
        TreeOutput { root: self.root, leaf_count: self.leaf_count }
    }

    pub(crate) fn into_changed_leaves(self) -> BTreeMap<u64, Leaf> {
        self.leaves
    }

    /// Hash of the node at a height (0 to 64) and position; empty subtrees beyond the last leaf
    /// included.
    pub(crate) fn node(&self, height: usize, position: u64) -> Result<B256, TreeError> {
        if position >= nodes_at(height, self.leaf_count) {
            return Ok(empty_hashes()[height].into());
        }
        let changed = self.nodes.get(height).and_then(|nodes| {
            nodes
                .binary_search_by_key(&position, |(position, _)| *position)
                .ok()
                .map(|i| nodes[i].1)
        });
        match changed {
            Some(hash) => Ok(hash.into()),
            None => self.trimmed(self.dense.node(height, position)).map(Into::into),
        }
    }

    /// The leaf with an index, `None` beyond the last.
    pub fn leaf(&self, index: u64) -> Result<Option<Leaf>, TreeError> {
        (index < self.leaf_count).then(|| self.existing_leaf(index)).transpose()
    }

    fn existing_leaf(&self, index: u64) -> Result<Leaf, TreeError> {
        match self.leaves.get(&index) {
            Some(leaf) => Ok(*leaf),
            None => self.trimmed(self.dense.leaf(index)),
        }
    }

    /// To be put around what may bring a page into memory.
    fn trimmed<T>(&self, result: T) -> T {
        self.dense.trim();
        result
    }

    /// Where a key stands.
    pub fn lookup(&self, key: &B256) -> Result<Lookup, TreeError> {
        let found =
            self.trimmed(self.dense.find_all(std::slice::from_ref(key), self.leaf_count))?;
        self.located(*found.first().ok_or_else(|| contradiction(0))?)
    }

    fn located(&self, found: Found) -> Result<Lookup, TreeError> {
        Ok(match found {
            Found::Exact(index) => Lookup::Existing { index },
            Found::Below(left) => Lookup::Missing { left, right: self.existing_leaf(left)?.next() },
        })
    }

    /// Value of a key; `None` if it was never written up to this version.
    pub fn get(&self, key: &B256) -> Result<Option<B256>, TreeError> {
        match self.lookup(key)? {
            Lookup::Existing { index } => self.existing_leaf(index).map(|leaf| Some(leaf.value())),
            Lookup::Missing { .. } => Ok(None),
        }
    }

    /// The 64 hashes beside the way from a leaf to the root, leaf side first. `None` beyond the
    /// last leaf.
    pub fn full_path(&self, index: u64) -> Result<Option<[B256; TREE_DEPTH]>, TreeError> {
        if index >= self.leaf_count {
            return Ok(None);
        }
        let mut path = [B256::ZERO; TREE_DEPTH];
        for (height, sibling) in path.iter_mut().enumerate() {
            *sibling = self.node(height, (index >> height) ^ 1)?;
        }
        Ok(Some(path))
    }

    /// Leaf with its siblings up to the height above which they are all empty.
    fn prove_leaf(&self, index: u64) -> Result<(B256, LeafProof), TreeError> {
        let leaf = self.existing_leaf(index)?;
        let kept = (u64::BITS - (self.leaf_count - 1).leading_zeros()).max(1) as usize;
        let siblings: Result<_, TreeError> =
            (0..kept).map(|height| self.node(height, (index >> height) ^ 1)).collect();
        let (value, next_index) = (leaf.value(), leaf.next());
        Ok((leaf.key(), LeafProof { index, value, next_index, siblings: siblings? }))
    }

    /// Proof of what is stored under a key, or that nothing is.
    pub fn prove(&self, key: &B256) -> Result<KeyProof, TreeError> {
        let neighbor = |index| {
            let (leaf_key, leaf) = self.prove_leaf(index)?;
            Ok::<_, TreeError>(NeighborProof { leaf, leaf_key })
        };
        Ok(match self.lookup(key)? {
            Lookup::Existing { index } => KeyProof::Existing(self.prove_leaf(index)?.1),
            Lookup::Missing { left, right } => KeyProof::NonExisting {
                left_neighbor: neighbor(left)?,
                right_neighbor: neighbor(right)?,
            },
        })
    }

    /// Witness of a block that starts from this version, see [`BatchProof`].
    pub fn prove_batch(&self, reads: &[B256], writes: &[B256]) -> Result<BatchProof, TreeError> {
        let mut needed = Vec::with_capacity(2 * (reads.len() + writes.len()) + 1);
        let mut locate = |keys: &[B256]| -> Result<Vec<Operation>, TreeError> {
            let found = self.dense.find_all(keys, self.leaf_count)?;
            let operation = |found| match self.located(found)? {
                Lookup::Existing { index } => {
                    needed.push(index);
                    Ok(Operation::Hit(index))
                }
                Lookup::Missing { left, right } => {
                    needed.extend([left, right]);
                    Ok(Operation::Miss(left))
                }
            };
            found.into_iter().map(operation).collect()
        };
        let read_operations = locate(reads)?;
        let operations = locate(writes)?;
        if operations.iter().any(|operation| matches!(operation, Operation::Miss(_))) {
            needed.push(self.leaf_count - 1);
        }
        needed.sort_unstable();
        needed.dedup();
        let leaves: Result<_, TreeError> =
            needed.iter().map(|index| Ok((*index, self.existing_leaf(*index)?))).collect();
        let (leaves, hashes) = (leaves?, self.missing_hashes(needed)?);
        Ok(BatchProof { operations, read_operations, leaves, hashes })
    }

    /// Hashes that lead from the given leaves (ascending) to the root, beside those that follow
    /// from the leaves.
    fn missing_hashes(&self, mut known: Vec<u64>) -> Result<Vec<B256>, TreeError> {
        let mut hashes = Vec::new();
        if known.is_empty() {
            return Ok(hashes);
        }
        for height in 0..TREE_DEPTH {
            let count = nodes_at(height, self.leaf_count);
            for family in known.chunk_by(|a, b| a >> 1 == b >> 1) {
                let sibling = family[0] ^ 1;
                if family.len() == 1 && sibling < count {
                    hashes.push(self.node(height, sibling)?);
                }
            }
            for position in &mut known {
                *position >>= 1;
            }
            known.dedup();
        }
        Ok(hashes)
    }
}
