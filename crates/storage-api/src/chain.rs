use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, BlockNumber};
use reth_primitives_traits::RecoveredBlock;
use std::sync::Arc;
use zkos_primitives::{BlockOutput, ReplayRecord, ZkBlock, ZkReceipt};

/// A block with the senders of its transactions. Its header carries the real logs bloom; its hash is the one of the zero-bloom header and is never recomputed.
pub type RecoveredZkBlock = RecoveredBlock<ZkBlock>;

/// A block with everything that its execution gave. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ExecutedBlock {
    /// Header (with bloom), transactions and senders.
    pub block: Arc<RecoveredZkBlock>,
    /// Receipts in transaction order.
    pub receipts: Arc<Vec<ZkReceipt>>,
    /// Writes, account diffs, preimages, pubdata, native used.
    pub output: Arc<BlockOutput>,
    /// The record from which the block can be executed again.
    pub record: Arc<ReplayRecord>,
}

impl ExecutedBlock {
    /// Block number.
    pub fn number(&self) -> BlockNumber {
        self.block.header().number()
    }

    /// Block hash.
    pub fn hash(&self) -> B256 {
        self.block.hash()
    }

    /// Number and hash.
    pub fn num_hash(&self) -> BlockNumHash {
        BlockNumHash::new(self.number(), self.hash())
    }
}

/// A gapless run of canonical blocks, never empty.
#[derive(Debug, Clone)]
pub struct Chain {
    blocks: Vec<ExecutedBlock>,
}

impl Chain {
    /// Builds a chain from blocks in ascending order; `None` when empty or not gapless.
    pub fn new(blocks: Vec<ExecutedBlock>) -> Option<Self> {
        let gapless = blocks.windows(2).all(|w| w[0].number() + 1 == w[1].number());
        (!blocks.is_empty() && gapless).then_some(Self { blocks })
    }

    /// The blocks, ascending.
    pub fn blocks(&self) -> &[ExecutedBlock] {
        &self.blocks
    }

    /// First block.
    pub fn first(&self) -> &ExecutedBlock {
        &self.blocks[0]
    }

    /// Last block.
    pub fn tip(&self) -> &ExecutedBlock {
        &self.blocks[self.blocks.len() - 1]
    }

    /// Inclusive range of block numbers.
    pub fn range(&self) -> std::ops::RangeInclusive<BlockNumber> {
        self.first().number()..=self.tip().number()
    }
}

impl From<ExecutedBlock> for Chain {
    fn from(block: ExecutedBlock) -> Self {
        Self { blocks: vec![block] }
    }
}
