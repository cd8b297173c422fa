//! From the record of a block to its entries in the index.

use crate::{OtterscanError, inspect::Touched};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, BlockNumber};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::execution::{ReplayError, StateProviderView, execute_record_with};
use zkos_primitives::ZkTxEnvelope;
use zkos_storage::{ContractCreation, OtsIndex, OtsIndexBlock, TxPlace};
use zkos_storage_api::{ProviderError, ReplayRecordReader, StateProviderFactory};

/// Blocks that become one batch of the index at most.
const MAX_RUN_BLOCKS: usize = 64;
/// A run ends with the block that brings it to so many entries.
const MAX_RUN_ENTRIES: usize = 20_000;
/// How long a request waits for the index to come as far as it needs.
const WAIT: Duration = Duration::from_secs(3);

/// What to do when the index does not fit the chain.
const REMEDY: &str = "delete the index (`zkos db rebuild-index` with the node stopped); the next start fills it again";

/// Why the index can't go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The index ends with a block that the log does not have.
    #[error("the index of addresses ends with block {} {}, but the write-ahead log ends with block {log}: {REMEDY}", head.number, head.hash)]
    AheadOfLog {
        /// Last block in the index.
        head: BlockNumHash,
        /// Last block of the log.
        log: BlockNumber,
    },
    /// The index was built over other blocks.
    #[error("the index of addresses has block {} {}, but the chain has {chain} there: {REMEDY}", head.number, head.hash)]
    OtherChain {
        /// Last block in the index.
        head: BlockNumHash,
        /// Hash of that block in the chain.
        chain: B256,
    },
    /// Blocks that are in the index were taken back.
    #[error("block {reverted} was reverted, but the index of addresses has come to block {}: {REMEDY}", head.number)]
    Reverted {
        /// First block that was reverted.
        reverted: BlockNumber,
        /// Last block in the index.
        head: BlockNumHash,
    },
    /// The state that a block was executed on is gone.
    #[error(
        "block {number} can't be executed again for the index of addresses, because the state before it is pruned (kept from block {first}): \
         start without --otterscan.index, or without --prune.state-history-blocks after `zkos db rebuild state`"
    )]
    StatePruned {
        /// The block.
        number: BlockNumber,
        /// First block whose state is kept.
        first: BlockNumber,
    },
    /// Storage failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A stored block gave another result.
    #[error(transparent)]
    Replay(#[from] Box<ReplayError>),
}

/// The way from the extension, which has the index, to the namespace, which reads it. Made before the node starts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AddressIndex(Arc<OnceLock<Arc<OtsIndex>>>);

impl AddressIndex {
    /// Gives the index to the readers. The first one stays.
    pub fn provide(&self, index: Arc<OtsIndex>) {
        // The extension starts once.
        let _ = self.0.set(index);
    }

    /// The index.
    ///
    /// # Errors
    /// [`OtterscanError::NoIndex`] when the node keeps none.
    pub fn get(&self) -> Result<&Arc<OtsIndex>, OtterscanError> {
        self.0.get().ok_or(OtterscanError::NoIndex)
    }

    /// The index, once it has come to block `head`: a moment behind the head of the chain, except while it is filled.
    ///
    /// # Errors
    /// [`OtterscanError::IndexBehind`] when that takes too long.
    pub(crate) async fn at(&self, head: BlockNumber) -> Result<&Arc<OtsIndex>, OtterscanError> {
        let index = self.get()?;
        let mut indexed = index.watch_head();
        let reached = indexed.wait_for(|indexed| indexed.number >= head);
        match tokio::time::timeout(WAIT, reached).await {
            Ok(Ok(_)) => Ok(index),
            // The index outlives its watchers, so the first error can't be.
            Ok(Err(_)) | Err(_) => {
                Err(OtterscanError::IndexBehind { indexed: index.head().number, head })
            }
        }
    }
}

/// What a run of [`Indexer::extend`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRun {
    /// Blocks added.
    pub blocks: usize,
    /// Pairs of address and transaction added.
    pub entries: usize,
}

/// Fills the index from the write-ahead log. Blocking.
#[derive(Debug, Clone)]
pub struct Indexer<P> {
    provider: P,
    evm_config: ZkEvmConfig,
    index: Arc<OtsIndex>,
}

impl<P: ReplayRecordReader + StateProviderFactory> Indexer<P> {
    /// An indexer over the blocks of a provider.
    pub const fn new(provider: P, evm_config: ZkEvmConfig, index: Arc<OtsIndex>) -> Self {
        Self { provider, evm_config, index }
    }

    /// Checks that the last block of the index is one of the log.
    ///
    /// # Errors
    /// [`IndexError::AheadOfLog`], [`IndexError::OtherChain`].
    pub fn check_head(&self) -> Result<BlockNumHash, IndexError> {
        let head = self.index.head();
        let Some(record) = self.provider.replay_record(head.number)? else {
            return Err(IndexError::AheadOfLog { head, log: self.provider.durable_block_number() });
        };
        if record.block_hash != head.hash {
            return Err(IndexError::OtherChain { head, chain: record.block_hash });
        }
        Ok(head)
    }

    /// Adds the next blocks, up to `target` and as many as make one batch; ends early when `stop` is set. Nothing is added after an error.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn extend(&self, target: BlockNumber, stop: &AtomicBool) -> Result<IndexRun, IndexError> {
        let mut head = self.index.head();
        let mut blocks = Vec::new();
        let mut entries = 0;
        while head.number < target
            && blocks.len() < MAX_RUN_BLOCKS
            && entries < MAX_RUN_ENTRIES
            && !stop.load(Ordering::Relaxed)
        {
            let block = self.block(head)?;
            head = block.block;
            entries += block.touched.len();
            blocks.push(block);
        }
        self.index.append(&blocks)?;
        Ok(IndexRun { blocks: blocks.len(), entries })
    }

    /// Entries of the block after `head`.
    fn block(&self, head: BlockNumHash) -> Result<OtsIndexBlock, IndexError> {
        let number = head.number + 1;
        let record = self.provider.replay_record_or_err(number)?;
        let chain = record.block_context.block_hashes.parent();
        if chain != head.hash {
            return Err(IndexError::OtherChain { head, chain });
        }
        let state = match self.provider.history_by_block_number(head.number) {
            Err(ProviderError::StateNotAvailable { first, .. }) if head.number < first => {
                return Err(IndexError::StatePruned { number, first });
            }
            state => state?,
        };
        let view = StateProviderView::new(state).with_preimages(&record.force_preimages);
        let block = BlockNumHash::new(number, record.block_hash);
        let mut entries = OtsIndexBlock { block, touched: Vec::new(), created: Vec::new() };
        let mut index = 0;
        execute_record_with(&self.evm_config, record, view, |execution, tx, sender| {
            let mut touched = Touched::default();
            let success = match execution.inspect_transaction(tx, sender, &mut touched)? {
                Ok(output) => output.is_success(),
                Err(refused) => return Ok(Err(refused)),
            };
            let place = TxPlace { block: number, index };
            index += 1;
            if success {
                let created = touched.created.iter().map(|(contract, creator)| ContractCreation {
                    contract: *contract,
                    creator: *creator,
                    tx_hash: *tx.hash(),
                    place,
                });
                entries.created.extend(created);
            }
            touched.addresses.extend(touched_by(tx, sender));
            entries.touched.extend(touched.addresses.iter().map(|address| (*address, place.index)));
            Ok(Ok(()))
        })?;
        Ok(entries)
    }
}

/// Addresses that a transaction names itself, whatever its execution does: sender, callee or created contract, and the recipient of the refund of a priority transaction. A transaction is found
/// under these, and under the caller and the callee of each of its frames, whether they were reverted or not.
pub fn touched_by(tx: &ZkTxEnvelope, sender: Address) -> impl Iterator<Item = Address> {
    use alloy_consensus::Transaction;
    let callee = tx.to().or_else(|| tx.is_create().then(|| sender.create(tx.nonce())));
    let refund = tx.as_l1().map(|tx| tx.refund_recipient);
    [Some(sender), callee, refund].into_iter().flatten()
}
