//! The tree as plainly as it can be written, with another implementation of the hash.

use crate::blake2s;
use alloy_primitives::B256;
use std::collections::BTreeMap;
use zkos_tree::TreeOutput;

#[derive(Clone, Debug)]
pub(crate) struct NaiveTree {
    /// Key and value by index.
    leaves: Vec<(B256, B256)>,
}

impl NaiveTree {
    pub(crate) fn new() -> Self {
        Self { leaves: vec![(B256::ZERO, B256::ZERO), (B256::repeat_byte(0xff), B256::ZERO)] }
    }

    pub(crate) fn extend(&mut self, entries: &[(B256, B256)]) {
        for (key, value) in entries {
            match self.leaves.iter_mut().find(|(known, _)| known == key) {
                Some(leaf) => leaf.1 = *value,
                None => self.leaves.push((*key, *value)),
            }
        }
    }

    pub(crate) fn get(&self, key: &B256) -> Option<B256> {
        self.leaves.iter().find(|(known, _)| known == key).map(|leaf| leaf.1)
    }

    pub(crate) fn output(&self) -> TreeOutput {
        let order: BTreeMap<B256, u64> =
            (0..).zip(&self.leaves).map(|(index, (key, _))| (*key, index)).collect();
        let mut hashes: Vec<B256> = self
            .leaves
            .iter()
            .map(|(key, value)| {
                let above = order.range::<B256, _>(key..).nth(1).map_or(1, |(_, index)| *index);
                blake2s([key.as_slice(), value.as_slice(), &above.to_le_bytes()].concat())
            })
            .collect();
        let mut empty = blake2s([0; 72]);
        for _ in 0..64 {
            if hashes.len() % 2 == 1 {
                hashes.push(empty);
            }
            hashes = hashes.chunks(2).map(|pair| blake2s(pair.concat())).collect();
            empty = blake2s([empty, empty].concat());
        }
        TreeOutput { root: hashes[0], leaf_count: self.leaves.len() as u64 }
    }
}
