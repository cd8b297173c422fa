//! The last executed block, as the next one needs it.

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use zkos_primitives::{BlockHashes, ProtocolVersion, ReplayRecord};

/// Everything about the chain so far that the next block depends on besides the state.
#[derive(Debug, Clone)]
pub struct ChainHead {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// Its timestamp, seconds.
    pub timestamp: u64,
    /// Window of block hashes for the next block.
    pub next_block_hashes: BlockHashes,
    /// Id of the next priority transaction.
    pub next_l1_priority_id: u64,
    /// Protocol version of the block.
    pub protocol_version: ProtocolVersion,
}

impl ChainHead {
    /// The head after the block of a record.
    pub fn after(record: &ReplayRecord) -> Self {
        let priority = record.transactions.iter().filter(|tx| tx.as_l1().is_some()).count();
        Self {
            number: record.block_number(),
            hash: record.block_hash,
            timestamp: record.block_context.timestamp,
            next_block_hashes: record.block_context.block_hashes.next(record.block_hash),
            next_l1_priority_id: record.starting_l1_priority_id + priority as u64,
            protocol_version: record.protocol_version,
        }
    }

    /// Number and hash.
    pub const fn num_hash(&self) -> BlockNumHash {
        BlockNumHash { number: self.number, hash: self.hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkos_primitives::{BlockContext, TxL1Priority, TxUpgrade, ZkTxEnvelope};

    #[test]
    fn priority_ids_count_priority_transactions_only() {
        let record = ReplayRecord {
            block_context: BlockContext { block_number: 3, timestamp: 9, ..Default::default() },
            starting_l1_priority_id: 5,
            transactions: vec![
                ZkTxEnvelope::from(TxUpgrade::default()),
                ZkTxEnvelope::from(TxL1Priority::default()),
            ],
            block_hash: B256::repeat_byte(7),
            ..Default::default()
        };
        let head = ChainHead::after(&record);
        assert_eq!((head.number, head.timestamp, head.next_l1_priority_id), (3, 9, 6));
        assert_eq!(head.next_block_hashes.parent(), B256::repeat_byte(7));
    }
}
