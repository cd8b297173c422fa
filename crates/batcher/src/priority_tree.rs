//! The tree of priority transactions, as L1 keeps it, and the proofs that `executeBatches` wants.
//!
//! L1 pushes the hash of every priority transaction into an incremental Merkle tree whose height grows with it and remembers every root it ever had. Batches are executed in
//! order, so a proof is always for the range that begins at the first transaction not yet executed; it is made against the tree as it was after the last transaction
//! of the range, which keeps it short and independent of what L1 receives meanwhile. What lies left of the range enters only through the roots of complete
//! subtrees, one per bit of the range's start: that is all that is kept of executed transactions.

use alloy_primitives::{B256, Keccak256, keccak256};
use std::collections::VecDeque;

/// Proof that a range of hashes stands in the tree. All paths are as long as the tree is high.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorityRangeProof {
    /// Left neighbours of the range, from the leaves up; zero where the range begins at an even index.
    pub left_path: Vec<B256>,
    /// Right neighbours of the range, from the leaves up; zero where the range ends at an odd index.
    pub right_path: Vec<B256>,
    /// The hashes themselves.
    pub item_hashes: Vec<B256>,
}

/// Priority transactions that are not yet executed on L1, and the frontier of those that are.
#[derive(Debug, Clone)]
pub struct PriorityTree {
    /// Number of leaves left of `pending`.
    start: u64,
    /// Root of the complete subtree of `2^k` leaves that ends left of `start`, where bit `k` of `start` is set.
    frontier: Vec<B256>,
    /// Hashes from `start` on.
    pending: VecDeque<B256>,
    /// Roots of empty subtrees by height.
    zeros: Vec<B256>,
}

/// A range reaches past the known transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} priority transactions from id {start} on are needed, {known} are known")]
pub struct UnknownPriorityTransactions {
    /// First id of the range.
    pub start: u64,
    /// Length of the range.
    pub wanted: usize,
    /// Known ids from the start on.
    pub known: usize,
}

impl Default for PriorityTree {
    fn default() -> Self {
        Self {
            start: 0,
            frontier: Vec::new(),
            pending: VecDeque::new(),
            zeros: vec![keccak256([])],
        }
    }
}

impl PriorityTree {
    /// Id of the first transaction that is not executed.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Id that the next pushed transaction gets.
    pub fn next_id(&self) -> u64 {
        self.start + self.pending.len() as u64
    }

    /// Appends the hash of the next priority transaction.
    pub fn push(&mut self, hash: B256) {
        self.pending.push_back(hash);
    }

    /// Proves the first `len` transactions that are not executed.
    ///
    /// # Errors
    /// When fewer are known.
    pub fn prove(&mut self, len: usize) -> Result<PriorityRangeProof, UnknownPriorityTransactions> {
        self.check_known(len)?;
        if len == 0 {
            return Ok(PriorityRangeProof::default());
        }
        let size = self.start + len as u64;
        let height = size.next_power_of_two().trailing_zeros() as usize;
        self.extend_zeros(height);

        let item_hashes: Vec<B256> = self.pending.iter().take(len).copied().collect();
        let (mut left_path, mut right_path) =
            (Vec::with_capacity(height), Vec::with_capacity(height));
        let mut nodes = item_hashes.clone();
        let mut first = self.start;
        for level in 0..height {
            let starts_odd = first & 1 == 1;
            let ends_even = (first + nodes.len() as u64) & 1 == 1;
            let left = if starts_odd { self.frontier[level] } else { B256::ZERO };
            let right = if ends_even { self.zeros[level] } else { B256::ZERO };
            left_path.push(left);
            right_path.push(right);
            let padded: Vec<B256> = starts_odd
                .then_some(left)
                .into_iter()
                .chain(nodes)
                .chain(ends_even.then_some(right))
                .collect();
            nodes = padded.chunks_exact(2).map(|pair| hash_pair(pair[0], pair[1])).collect();
            first /= 2;
        }
        Ok(PriorityRangeProof { left_path, right_path, item_hashes })
    }

    /// Forgets the first `len` transactions: they are executed.
    ///
    /// # Errors
    /// When fewer are known.
    pub fn trim(&mut self, len: usize) -> Result<(), UnknownPriorityTransactions> {
        self.check_known(len)?;
        for leaf in self.pending.drain(..len) {
            let mut carry = leaf;
            let mut level = 0;
            while self.start >> level & 1 == 1 {
                carry = hash_pair(self.frontier[level], carry);
                level += 1;
            }
            if level == self.frontier.len() {
                self.frontier.push(carry);
            } else {
                self.frontier[level] = carry;
            }
            self.start += 1;
        }
        Ok(())
    }

    fn check_known(&self, wanted: usize) -> Result<(), UnknownPriorityTransactions> {
        let known = self.pending.len();
        if known < wanted {
            return Err(UnknownPriorityTransactions { start: self.start, wanted, known });
        }
        Ok(())
    }

    fn extend_zeros(&mut self, height: usize) {
        while self.zeros.len() <= height {
            let below = self.zeros[self.zeros.len() - 1];
            self.zeros.push(hash_pair(below, below));
        }
    }
}

fn hash_pair(left: B256, right: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(left);
    hasher.update(right);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;
    use proptest::prelude::*;

    /// What the L1 contract does with a proof.
    fn fold_like_l1(start: u64, proof: &PriorityRangeProof) -> B256 {
        let mut items = proof.item_hashes.clone();
        let (mut s, mut m) = (start as usize, items.len());
        for level in 0..proof.left_path.len() {
            let parity = s & 1;
            let next_len = m / 2 + (parity | (m & 1));
            for j in 0..next_len {
                let lhs = if j == 0 && parity == 1 {
                    proof.left_path[level]
                } else {
                    items[2 * j - parity]
                };
                let rhs = if j == next_len - 1 && (m - parity) & 1 == 1 {
                    proof.right_path[level]
                } else {
                    items[2 * j + 1 - parity]
                };
                items[j] = hash_pair(lhs, rhs);
            }
            m = next_len;
            s /= 2;
        }
        items[0]
    }

    /// Root of the incremental tree over all leaves.
    fn root_like_l1(leaves: &[B256]) -> B256 {
        let mut nodes = leaves.to_vec();
        let mut zero = keccak256([]);
        while nodes.len() > 1 {
            if nodes.len() % 2 == 1 {
                nodes.push(zero);
            }
            nodes = nodes.chunks_exact(2).map(|pair| hash_pair(pair[0], pair[1])).collect();
            zero = hash_pair(zero, zero);
        }
        nodes[0]
    }

    fn published_leaves() -> Vec<B256> {
        vec![
            b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece"),
            b256!("c99fec1c606ef0b8e5ed9fcdfd970787248a9130227ea815a8a66f9649e5e800"),
            keccak256(B256::with_last_byte(2)),
            keccak256(B256::with_last_byte(3)),
            keccak256(B256::with_last_byte(4)),
        ]
    }

    fn tree_at(leaves: &[B256], start: usize) -> PriorityTree {
        let mut tree = PriorityTree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.trim(start).unwrap();
        tree
    }

    #[test]
    fn published_roots() {
        let leaves = published_leaves();
        let roots = [
            b256!("4164624346d4c915977debf68dbd721f8ae86b964080925aecf6911dd47a6ece"),
            b256!("fd070d474d97eb3c4803a41b32b88e936c4ab4e4d1ec9c23aa551aacbc3c5a42"),
            b256!("3f876deca2afb0d38af3b38193f07dff0af3d955c6037ee83ded6436705a3c8e"),
            b256!("e74358d2fa89b5c9015be727cede02a4b673ce3d46b6d347a59c628268a86aaf"),
            b256!("a56f69722c8973a581168193b14bd6d69915040a64269b17fa1b35361b6c9428"),
        ];
        for (index, root) in roots.into_iter().enumerate() {
            let proof = tree_at(&leaves, 0).prove(index + 1).unwrap();
            assert_eq!(fold_like_l1(0, &proof), root);
            assert_eq!(root_like_l1(&leaves[..=index]), root);
        }
    }

    #[test]
    fn published_range_proofs() {
        let leaves = published_leaves();
        let proof = tree_at(&leaves[..1], 0).prove(1).unwrap();
        assert!(proof.left_path.is_empty() && proof.right_path.is_empty());
        let proof = tree_at(&leaves[..2], 0).prove(2).unwrap();
        assert_eq!((proof.left_path, proof.right_path), (vec![B256::ZERO], vec![B256::ZERO]));
        let proof = tree_at(&leaves, 2).prove(3).unwrap();
        let left = b256!("fd070d474d97eb3c4803a41b32b88e936c4ab4e4d1ec9c23aa551aacbc3c5a42");
        assert_eq!(proof.left_path, [B256::ZERO, left, B256::ZERO]);
        let right = [
            keccak256([]),
            b256!("9c6b2c1b0d0b25a008e6c882cc7b415f309965c72ad2b944ac0931048ca31cd5"),
            B256::ZERO,
        ];
        assert_eq!(proof.right_path, right);
        let proof = tree_at(&leaves[..4], 3).prove(1).unwrap();
        assert_eq!(proof.left_path, [leaves[2], left]);
        assert_eq!(proof.right_path, [B256::ZERO; 2]);
    }

    #[test]
    fn too_long_ranges_are_refused() {
        let mut tree = tree_at(&published_leaves(), 2);
        assert_eq!((tree.start(), tree.next_id()), (2, 5));
        let error = UnknownPriorityTransactions { start: 2, wanted: 4, known: 3 };
        assert_eq!(tree.prove(4).unwrap_err(), error);
        assert_eq!(tree.trim(4).unwrap_err(), error);
        assert_eq!(tree.prove(0).unwrap(), PriorityRangeProof::default());
    }

    proptest! {
        #[test]
        fn any_range_folds_to_a_root_that_l1_had(start in 0usize..70, len in 1usize..70) {
            let leaves: Vec<B256> =
                (0..start + len).map(|index| keccak256(index.to_be_bytes())).collect();
            let proof = tree_at(&leaves, start).prove(len).unwrap();
            prop_assert_eq!(fold_like_l1(start as u64, &proof), root_like_l1(&leaves));
        }
    }
}
