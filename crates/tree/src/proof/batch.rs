//! Witness of a block: what it read and wrote, from the old root to the new one.

use super::ProofError;
use crate::{
    CodecError, LEAF_BYTES, Leaf, MAX_GUARD_KEY, MIN_GUARD_KEY, TREE_DEPTH, TreeOutput,
    codec::{Reader, put_len},
    hash::{RawHash, empty_hashes, hash_all},
    levels::nodes_at,
};
use alloy_primitives::B256;

const FORMAT: u8 = 1;
const HIT: u8 = 0;
const MISS: u8 = 1;

/// Where a key stands in the tree before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The key is in the leaf with this index.
    Hit(u64),
    /// The key is missing; the leaf with this index has the largest key below. Always a leaf of the
    /// old tree, also if the block inserts a nearer key.
    Miss(u64),
}

/// Everything needed to check the reads of a block and to compute the root after its writes, made
/// against the version before the block. Empty for the first version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchProof {
    /// One per written key.
    pub operations: Vec<Operation>,
    /// One per read key.
    pub read_operations: Vec<Operation>,
    /// Leaves of the old tree, ascending by index: of each hit, both neighbours of each miss, and
    /// the last leaf if a key is inserted.
    pub leaves: Vec<(u64, Leaf)>,
    /// Node hashes that don't follow from the leaves, ascending by height and position. Empty
    /// subtrees beyond the last leaf are left out.
    pub hashes: Vec<B256>,
}

/// What a [`BatchProof`] proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBatch {
    /// The tree after the writes.
    pub output: TreeOutput,
    /// Values of the read keys before the writes, in their order; `None` for a key that was never
    /// written.
    pub reads: Vec<Option<B256>>,
}

impl BatchProof {
    /// Checks the proof against the trusted version before the block (`None` for the first
    /// version), and computes the version after it. Keys are given in the order in which the proof
    /// was made.
    ///
    /// Work and memory are bounded by the size of the proof and of the lists.
    pub fn verify(
        &self,
        previous: Option<TreeOutput>,
        reads: &[B256],
        writes: &[(B256, B256)],
    ) -> Result<VerifiedBatch, ProofError> {
        let Some(previous) = previous else {
            return self.verify_genesis(reads, writes);
        };
        let leaf_count = previous.leaf_count;
        // The upper bound keeps positions and link targets far from overflow.
        if !(2..=u64::MAX >> 1).contains(&leaf_count) {
            return Err(ProofError::LeafCount { leaf_count });
        }
        let mut last = None;
        for (index, _) in &self.leaves {
            if last.is_some_and(|last| *index <= last) || *index >= leaf_count {
                return Err(ProofError::LeafOrder { index: *index });
            }
            last = Some(*index);
        }
        if !self.leaves.is_empty() || !self.hashes.is_empty() {
            let found = fold(&self.leaves, leaf_count, &self.hashes)?;
            if found != previous.root {
                return Err(ProofError::RootMismatch { expected: previous.root, found });
            }
        }
        let reads = self.check_reads(reads)?;
        let output = if writes.is_empty() && self.operations.is_empty() {
            previous
        } else {
            let (leaves, leaf_count) = self.write(leaf_count, writes)?;
            TreeOutput { root: fold(&leaves, leaf_count, &self.hashes)?, leaf_count }
        };
        Ok(VerifiedBatch { output, reads })
    }

    fn verify_genesis(
        &self,
        reads: &[B256],
        writes: &[(B256, B256)],
    ) -> Result<VerifiedBatch, ProofError> {
        if *self != Self::default() || !reads.is_empty() {
            return Err(ProofError::GenesisNotEmpty);
        }
        // Nothing but guards: every new key lies between the two.
        let guards = Self {
            operations: vec![Operation::Miss(0); writes.len()],
            leaves: (0..).zip(Leaf::guards()).collect(),
            ..Self::default()
        };
        let (leaves, leaf_count) = guards.write(2, writes)?;
        let root = fold(&leaves, leaf_count, &[])?;
        Ok(VerifiedBatch { output: TreeOutput { root, leaf_count }, reads: Vec::new() })
    }

    /// Position of a leaf in the list.
    fn position(&self, index: u64) -> Result<usize, ProofError> {
        self.leaves
            .binary_search_by_key(&index, |(index, _)| *index)
            .map_err(|_| ProofError::MissingLeaf { index })
    }

    /// Checks where a key stands; returns the position of its leaf or of the leaf below it.
    fn check(&self, key: &B256, operation: Operation) -> Result<usize, ProofError> {
        match operation {
            Operation::Hit(index) => {
                let position = self.position(index)?;
                if self.leaves[position].1.key() != *key {
                    return Err(ProofError::WrongLeaf { key: *key, index });
                }
                Ok(position)
            }
            Operation::Miss(left) => {
                let position = self.position(left)?;
                let below = &self.leaves[position].1;
                let right = below.next();
                let above = &self.leaves[self.position(right)?].1;
                if !(below.key() < *key && *key < above.key()) {
                    return Err(ProofError::NotBetween { key: *key, left, right });
                }
                Ok(position)
            }
        }
    }

    fn check_reads(&self, reads: &[B256]) -> Result<Vec<Option<B256>>, ProofError> {
        let operations = self.read_operations.len();
        if operations != reads.len() {
            return Err(ProofError::OperationCount { operations, keys: reads.len() });
        }
        let value = |(key, operation): (&B256, &Operation)| {
            let position = self.check(key, *operation)?;
            Ok(matches!(operation, Operation::Hit(_)).then(|| self.leaves[position].1.value()))
        };
        reads.iter().zip(&self.read_operations).map(value).collect()
    }

    /// The known leaves after the writes, and the new leaf count.
    fn write(
        &self,
        leaf_count: u64,
        writes: &[(B256, B256)],
    ) -> Result<(Vec<(u64, Leaf)>, u64), ProofError> {
        let operations = self.operations.len();
        if operations != writes.len() {
            return Err(ProofError::OperationCount { operations, keys: writes.len() });
        }
        let mut leaves = self.leaves.clone();
        let mut written = vec![false; leaves.len()];
        // Key, position in `leaves`, position of the old leaf below.
        let mut inserted: Vec<(B256, usize, usize)> = Vec::new();
        for ((key, value), operation) in writes.iter().zip(&self.operations) {
            if *key == MIN_GUARD_KEY || *key == MAX_GUARD_KEY {
                return Err(ProofError::GuardKey { key: *key });
            }
            let position = self.check(key, *operation)?;
            match operation {
                Operation::Hit(_) => {
                    if std::mem::replace(&mut written[position], true) {
                        return Err(ProofError::DuplicateKey { key: *key });
                    }
                    leaves[position].1.set_value(value);
                }
                Operation::Miss(_) => {
                    inserted.push((*key, leaves.len(), position));
                    leaves
                        .push((leaf_count + inserted.len() as u64 - 1, Leaf::new(*key, *value, 0)));
                }
            }
        }
        if inserted.is_empty() {
            return Ok((leaves, leaf_count));
        }
        // Without the last old leaf the hashes to the left of the new ones would be anybody's
        // choice.
        self.position(leaf_count - 1)?;
        inserted.sort_unstable_by_key(|(key, ..)| *key);
        if let Some(pair) = inserted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ProofError::DuplicateKey { key: pair[0].0 });
        }
        for run in inserted.chunk_by(|a, b| a.2 == b.2) {
            let mut last = run[0].2;
            let after = leaves[last].1.next();
            for (_, position, _) in run {
                let index = leaves[*position].0;
                leaves[last].1.set_next(index);
                last = *position;
            }
            leaves[last].1.set_next(after);
        }
        Ok((leaves, leaf_count + inserted.len() as u64))
    }

    /// Byte form: format byte 1; operations, then read operations: count (`u32`), then per
    /// operation a tag (`u8`, 0 hit, 1 miss) and an index (`u64`); leaves: count (`u32`), then per
    /// leaf its index (`u64`) and 72 bytes; hashes: count (`u32`), then 32 bytes each. Integers are
    /// little endian.
    pub fn encode(&self) -> Vec<u8> {
        let operations = self.operations.len() + self.read_operations.len();
        let mut out = Vec::with_capacity(
            17 + operations * 9 + self.leaves.len() * 80 + self.hashes.len() * 32,
        );
        out.push(FORMAT);
        for operations in [&self.operations, &self.read_operations] {
            put_len(&mut out, operations.len());
            for operation in operations {
                let (tag, index) = match operation {
                    Operation::Hit(index) => (HIT, index),
                    Operation::Miss(index) => (MISS, index),
                };
                out.push(tag);
                out.extend_from_slice(&index.to_le_bytes());
            }
        }
        put_len(&mut out, self.leaves.len());
        for (index, leaf) in &self.leaves {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(leaf.as_bytes());
        }
        put_len(&mut out, self.hashes.len());
        for hash in &self.hashes {
            out.extend_from_slice(hash.as_slice());
        }
        out
    }

    /// Reads [`BatchProof::encode`]. Allocates no more than a small multiple of the input.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("batch proof", bytes, FORMAT)?;
        let mut lists = [Vec::new(), Vec::new()];
        for operations in &mut lists {
            let len = reader.list_len(9)?;
            operations.reserve_exact(len);
            for _ in 0..len {
                let tag = reader.u8()?;
                let index = reader.u64()?;
                operations.push(match tag {
                    HIT => Operation::Hit(index),
                    MISS => Operation::Miss(index),
                    _ => return Err(reader.bad_field("operation")),
                });
            }
        }
        let [operations, read_operations] = lists;
        let len = reader.list_len(8 + LEAF_BYTES)?;
        let mut leaves = Vec::with_capacity(len);
        for _ in 0..len {
            leaves.push((reader.u64()?, Leaf::from_bytes(reader.array()?)));
        }
        let len = reader.list_len(32)?;
        let mut hashes = Vec::with_capacity(len);
        for _ in 0..len {
            hashes.push(reader.b256()?);
        }
        reader.finish()?;
        Ok(Self { operations, read_operations, leaves, hashes })
    }
}

/// Root of a tree of which some leaves (ascending, within the leaf count) and the hashes beside
/// their paths are known.
fn fold(leaves: &[(u64, Leaf)], leaf_count: u64, hashes: &[B256]) -> Result<B256, ProofError> {
    let bytes: Vec<_> = leaves.iter().map(|(_, leaf)| *leaf.as_bytes()).collect();
    let mut known: Vec<(u64, RawHash)> =
        leaves.iter().map(|(index, _)| *index).zip(hash_all(&bytes)).collect();
    let mut unused = hashes.iter();
    let mut next_hash =
        || unused.next().map(|hash| hash.0).ok_or(ProofError::MissingHashes { len: hashes.len() });
    let mut pairs: Vec<[RawHash; 2]> = Vec::with_capacity(known.len());
    for (height, empty) in empty_hashes()[..TREE_DEPTH].iter().enumerate() {
        let count = nodes_at(height, leaf_count);
        pairs.clear();
        for family in known.chunk_by(|a, b| a.0 >> 1 == b.0 >> 1) {
            pairs.push(match *family {
                [(_, left), (_, right)] => [left, right],
                [(position, hash), ..] if position % 2 == 1 => [next_hash()?, hash],
                [(position, hash), ..] if position + 1 < count => [hash, next_hash()?],
                [(_, hash), ..] => [hash, *empty],
                [] => continue,
            });
        }
        for (position, _) in &mut known {
            *position >>= 1;
        }
        known.dedup_by_key(|(position, _)| *position);
        let parents: Vec<RawHash> = hash_pairs(&pairs);
        for ((_, hash), parent) in known.iter_mut().zip(parents) {
            *hash = parent;
        }
    }
    match (known.first(), unused.len()) {
        (Some((_, root)), 0) => Ok(root.into()),
        (_, left) => Err(ProofError::UnusedHashes { left }),
    }
}

fn hash_pairs(pairs: &[[RawHash; 2]]) -> Vec<RawHash> {
    let (bytes, _) = pairs.as_flattened().as_flattened().as_chunks::<64>();
    hash_all(bytes)
}
