//! Recent blocks with receipts, and recent block contexts.

use alloy_primitives::B256;
use parking_lot::Mutex;
use schnellru::{LruMap, UnlimitedCompact};
use std::{fmt, sync::Arc};
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;
use zkos_node_core::TaskExecutor;
use zkos_primitives::{BlockContext, ZkReceipt};
use zkos_storage_api::{
    CanonStateNotification, ExecutedBlock, FullProvider, ProviderResult, RecoveredZkBlock,
};

/// Blocks kept at most.
const MAX_BLOCKS: usize = 512;
/// Transactions kept at most, over all blocks: bounds the memory.
const MAX_TRANSACTIONS: usize = 200_000;
/// Block contexts kept at most (8 KiB each).
const MAX_CONTEXTS: usize = 256;

/// A block and its receipts.
#[derive(Debug, Clone)]
pub struct BlockAndReceipts {
    /// The block.
    pub block: Arc<RecoveredZkBlock>,
    /// Its receipts, in transaction order.
    pub receipts: Arc<Vec<ZkReceipt>>,
}

/// Keeps what was read or announced last, by block hash. An entry never goes stale, because a hash names its content; so notifications that were missed cost
/// a read, not a wrong answer.
pub struct EthStateCache<P> {
    provider: P,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    blocks: LruMap<B256, BlockAndReceipts, UnlimitedCompact>,
    transactions: usize,
    contexts: LruMap<B256, Arc<BlockContext>, UnlimitedCompact>,
}

impl<P: Clone> Clone for EthStateCache<P> {
    fn clone(&self) -> Self {
        Self { provider: self.provider.clone(), inner: self.inner.clone() }
    }
}

impl<P> fmt::Debug for EthStateCache<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("EthStateCache")
            .field("blocks", &inner.blocks.len())
            .field("transactions", &inner.transactions)
            .finish_non_exhaustive()
    }
}

impl<P: FullProvider> EthStateCache<P> {
    /// An empty cache.
    pub fn new(provider: P) -> Self {
        let inner = Inner {
            blocks: LruMap::new(UnlimitedCompact),
            transactions: 0,
            contexts: LruMap::new(UnlimitedCompact),
        };
        Self { provider, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Spawns a task that puts every announced block into the cache.
    pub fn spawn_warm_up(&self, executor: &TaskExecutor) {
        let mut notifications = self.provider.subscribe_to_canonical_state();
        let this = self.clone();
        executor.spawn_task("rpc-cache", async move {
            loop {
                match notifications.recv().await {
                    Ok(notification) => this.on_notification(&notification),
                    Err(RecvError::Lagged(missed)) => {
                        debug!(target: "rpc::cache", missed, "missed notifications, blocks are read on demand");
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }

    fn on_notification(&self, notification: &CanonStateNotification) {
        for block in notification.committed().blocks() {
            self.insert(block);
        }
    }

    /// Puts an executed block into the cache.
    pub fn insert(&self, block: &ExecutedBlock) {
        let hash = block.hash();
        let mut inner = self.inner.lock();
        inner.insert_block(
            hash,
            BlockAndReceipts { block: block.block.clone(), receipts: block.receipts.clone() },
        );
        inner.insert_context(hash, Arc::new(block.record.block_context.clone()));
    }

    /// Hash of a canonical block.
    pub fn canonical_hash(&self, number: u64) -> ProviderResult<Option<B256>> {
        self.provider.block_hash(number)
    }

    /// Block by hash.
    pub fn block(&self, hash: B256) -> ProviderResult<Option<Arc<RecoveredZkBlock>>> {
        if let Some(found) = self.inner.lock().blocks.get(&hash) {
            return Ok(Some(found.block.clone()));
        }
        self.provider.recovered_block(hash.into())
    }

    /// Block and receipts by hash. Reads fill the cache.
    pub fn block_and_receipts(&self, hash: B256) -> ProviderResult<Option<BlockAndReceipts>> {
        if let Some(found) = self.inner.lock().blocks.get(&hash) {
            return Ok(Some(found.clone()));
        }
        let found = self.read_block_and_receipts(hash)?;
        if let Some(found) = &found {
            self.inner.lock().insert_block(hash, found.clone());
        }
        Ok(found)
    }

    /// Block and receipts by hash, for whoever walks over many blocks: leaves the cache to the blocks that are asked for by name.
    pub(super) fn peek_block_and_receipts(
        &self,
        hash: B256,
    ) -> ProviderResult<Option<BlockAndReceipts>> {
        if let Some(found) = self.inner.lock().blocks.peek(&hash) {
            return Ok(Some(found.clone()));
        }
        self.read_block_and_receipts(hash)
    }

    fn read_block_and_receipts(&self, hash: B256) -> ProviderResult<Option<BlockAndReceipts>> {
        let Some(block) = self.provider.recovered_block(hash.into())? else { return Ok(None) };
        let Some(receipts) = self.provider.receipts_by_block(hash.into())? else {
            return Ok(None);
        };
        Ok(Some(BlockAndReceipts { block, receipts }))
    }

    /// Context with which a canonical block was executed.
    pub fn block_context(
        &self,
        number: u64,
        hash: B256,
    ) -> ProviderResult<Option<Arc<BlockContext>>> {
        if let Some(found) = self.inner.lock().contexts.get(&hash) {
            return Ok(Some(found.clone()));
        }
        let Some(record) = self.provider.replay_record(number)? else { return Ok(None) };
        let context = Arc::new(record.block_context.clone());
        if record.block_hash == hash {
            self.inner.lock().insert_context(hash, context.clone());
        }
        Ok(Some(context))
    }
}

impl Inner {
    fn insert_block(&mut self, hash: B256, block: BlockAndReceipts) {
        let added = block.block.body().transactions.len();
        // The entry is already there when two readers missed it at once.
        if let Some(old) = self.blocks.remove(&hash) {
            self.transactions -= old.block.body().transactions.len();
        }
        self.blocks.insert(hash, block);
        self.transactions += added;
        while self.blocks.len() > MAX_BLOCKS || self.transactions > MAX_TRANSACTIONS {
            let Some((_, evicted)) = self.blocks.pop_oldest() else { break };
            self.transactions -= evicted.block.body().transactions.len();
        }
    }

    fn insert_context(&mut self, hash: B256, context: Arc<BlockContext>) {
        self.contexts.insert(hash, context);
        while self.contexts.len() > MAX_CONTEXTS {
            self.contexts.pop_oldest();
        }
    }
}
