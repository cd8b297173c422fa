//! The newest blocks, in memory.

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, TxHash, map::HashMap};
use std::{collections::VecDeque, sync::Arc};
use zkos_primitives::ReplayRecord;
use zkos_storage_api::ExecutedBlock;

/// A gapless run of the newest blocks with indexes over them. A block enters with its receipts and its index entries at once.
#[derive(Debug)]
pub(crate) struct RecentBlocks {
    /// Number of the first block kept, or of the next one when there is none.
    first: u64,
    blocks: VecDeque<ExecutedBlock>,
    numbers: HashMap<B256, u64>,
    transactions: HashMap<TxHash, (u64, u32)>,
    // Transactions from L1 are not in it: their nonces are ids of another kind.
    nonces: HashMap<(Address, u64), (u64, TxHash)>,
    transaction_count: usize,
}

impl RecentBlocks {
    /// No blocks; the next one is `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            first,
            blocks: VecDeque::new(),
            numbers: HashMap::default(),
            transactions: HashMap::default(),
            nonces: HashMap::default(),
            transaction_count: 0,
        }
    }

    /// Puts the next block. The caller has checked its number.
    pub(crate) fn push(&mut self, block: ExecutedBlock) {
        let number = block.number();
        debug_assert_eq!(number, self.first + self.blocks.len() as u64);
        self.numbers.insert(block.hash(), number);
        let transactions = &block.block.body().transactions;
        for ((index, tx), sender) in (0u32..).zip(transactions).zip(block.block.senders()) {
            self.transactions.insert(*tx.hash(), (number, index));
            if !tx.is_from_l1() {
                self.nonces.insert((*sender, tx.nonce()), (number, *tx.hash()));
            }
        }
        self.transaction_count += transactions.len();
        self.blocks.push_back(block);
    }

    pub(crate) fn get(&self, number: u64) -> Option<&ExecutedBlock> {
        self.blocks.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn record(&self, number: u64) -> Option<Arc<ReplayRecord>> {
        self.get(number).map(|block| block.record.clone())
    }

    pub(crate) fn number(&self, hash: &B256) -> Option<u64> {
        self.numbers.get(hash).copied()
    }

    /// Block and index of a transaction.
    pub(crate) fn transaction(&self, hash: &TxHash) -> Option<(u64, u32)> {
        self.transactions.get(hash).copied()
    }

    /// Block and hash of a transaction by sender and nonce.
    pub(crate) fn nonce(&self, sender: Address, nonce: u64) -> Option<(u64, TxHash)> {
        self.nonces.get(&(sender, nonce)).copied()
    }

    /// Blocks `from..=to` that are kept.
    pub(crate) fn range(&self, from: u64, to: u64, most: usize) -> Vec<ExecutedBlock> {
        (from..=to).take(most).map_while(|number| self.get(number).cloned()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Drops the oldest blocks while there are more than `most_blocks` or `most_transactions`, but none above `settled`. The dropped blocks are returned, so that the
    /// caller can free their memory without the lock.
    pub(crate) fn evict(
        &mut self,
        settled: u64,
        most_blocks: usize,
        most_transactions: usize,
    ) -> Vec<ExecutedBlock> {
        let mut evicted = Vec::new();
        while self.first <= settled
            && (self.blocks.len() > most_blocks || self.transaction_count > most_transactions)
        {
            let Some(block) = self.blocks.pop_front() else { break };
            let number = self.first;
            self.first += 1;
            self.numbers.remove(&block.hash());
            let transactions = &block.block.body().transactions;
            for (tx, sender) in transactions.iter().zip(block.block.senders()) {
                remove_if(&mut self.transactions, tx.hash(), |(block, _)| *block == number);
                if !tx.is_from_l1() {
                    remove_if(&mut self.nonces, &(*sender, tx.nonce()), |(block, _)| {
                        *block == number
                    });
                }
            }
            self.transaction_count -= transactions.len();
            evicted.push(block);
        }
        evicted
    }
}

fn remove_if<K: Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    key: &K,
    condition: impl FnOnce(&V) -> bool,
) {
    if map.get(key).is_some_and(condition) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkos_primitives::{Genesis, ZkChainSpec};
    use zkos_storage_api::test_utils::{ChainBuilder, TestBlock, test_transfer};

    #[test]
    fn eviction_respects_what_is_not_settled() {
        let genesis = Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap();
        let spec = ZkChainSpec::new(270, genesis).unwrap();
        let mut chain = ChainBuilder::new(&spec);
        let mut recent = RecentBlocks::new(1);
        let sender = Address::repeat_byte(1);
        let blocks: Vec<_> = (0..10)
            .map(|nonce| {
                chain.next_block(TestBlock {
                    transactions: vec![test_transfer(sender, nonce)],
                    ..Default::default()
                })
            })
            .collect();
        for block in &blocks {
            recent.push(block.clone());
        }
        assert_eq!(recent.evict(2, 4, usize::MAX).len(), 2);
        assert!(recent.get(2).is_none() && recent.get(3).is_some());
        assert_eq!(recent.nonce(sender, 1), None);
        assert_eq!(recent.nonce(sender, 2).unwrap().0, 3);
        assert_eq!(recent.evict(10, 4, usize::MAX).len(), 4);
        assert_eq!(recent.evict(10, 4, 2).len(), 2);
        assert_eq!(recent.len(), 2);
        assert_eq!(recent.number(&blocks[9].hash()), Some(10));
        assert_eq!(recent.number(&blocks[0].hash()), None);
        assert_eq!(recent.range(8, 10, 9).len(), 0);
        assert_eq!(recent.range(9, 12, 9).len(), 2);
        assert_eq!(recent.evict(10, 0, 0).len(), 2);
        assert!(recent.transactions.is_empty() && recent.nonces.is_empty());
    }
}
