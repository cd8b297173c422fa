//! The provider over the databases.

mod open;
mod read;
mod write;

pub use open::Storage;
pub(crate) use open::genesis_fingerprint;

use crate::{
    CheckpointManifest, OnProgress, OtsIndex, StorageError, StorageStats,
    db::{ChainMarker, DatabaseStats, DbEnv},
    lock::DirLock,
    maintenance::create_checkpoint,
    metrics::AppendMetrics,
    options::StorageOptions,
    pipeline::{Mode, Pipeline},
    prune::{PruneHold, PruneStatus},
    repository::{RecentBlocks, Repository},
    state::StateStore,
    tree::TreeDirectory,
    wal::Wal,
};
use alloy_primitives::B256;
use parking_lot::{Mutex, RwLock};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    thread::JoinHandle,
};
use tokio::sync::{broadcast, watch};
use zkos_storage_api::{BlockWriter, CanonStateNotification, ProviderError, ProviderResult};

/// All databases of a node behind the traits of `zkos-storage-api`. Cheap to clone.
///
/// When the last clone is dropped everything appended is written and the databases are closed; [`Self::shutdown`] does it earlier and reports errors.
#[derive(Debug, Clone)]
pub struct BlockchainProvider {
    inner: Arc<Inner>,
}

/// What opening a further database takes.
#[derive(Debug)]
struct Site {
    path: PathBuf,
    env: DbEnv,
    marker: ChainMarker,
    genesis_hash: B256,
}

#[derive(Debug)]
struct Inner {
    site: Site,
    wal: Arc<Wal>,
    state: Arc<StateStore>,
    repository: Arc<Repository>,
    recent: Arc<RwLock<RecentBlocks>>,
    tree: Arc<TreeDirectory>,
    pipeline: Arc<Pipeline>,
    /// Serializes `append`.
    append: Mutex<()>,
    /// Serializes `set_canonical_head`.
    set_canonical: Mutex<()>,
    canonical: Arc<AtomicU64>,
    canonical_watch: watch::Sender<u64>,
    safe: watch::Sender<u64>,
    finalized: watch::Sender<u64>,
    prune_hold: watch::Sender<Option<PruneHold>>,
    prune_status: watch::Sender<PruneStatus>,
    durable: watch::Receiver<u64>,
    notifications: broadcast::Sender<CanonStateNotification>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    options: StorageOptions,
    metrics: AppendMetrics,
    _lock: DirLock,
}

impl BlockchainProvider {
    /// Files of the Merkle tree, in directory `tree`.
    pub fn tree_store(&self) -> Arc<TreeDirectory> {
        self.inner.tree.clone()
    }

    /// Opens (creates) the index of addresses, in database `ots_index`. Blocks; call it once.
    ///
    /// # Errors
    /// When it is damaged, or open already.
    pub fn open_ots_index(&self) -> Result<OtsIndex, StorageError> {
        let Site { path, env, marker, genesis_hash } = &self.inner.site;
        OtsIndex::open_in(env, path, marker, *genesis_hash)
    }

    /// Keeps the state that somebody still needs from being pruned, until the next call; `None` lets it go. What is gone already does not come back.
    pub fn hold_pruning(&self, hold: Option<PruneHold>) {
        self.inner.prune_hold.send_replace(hold);
        self.inner.pipeline.update(|_| ());
    }

    /// How far pruning is and who holds it back. Without pruning it stays at its default.
    pub fn prune_status(&self) -> watch::Receiver<PruneStatus> {
        self.inner.prune_status.subscribe()
    }

    /// Whether old state is pruned.
    pub fn prunes_state(&self) -> bool {
        self.inner.options.state_history_blocks.is_some()
    }

    /// Writes everything appended so far, ends the background threads and syncs all databases. Later appends fail with `WriterStopped`; reads go on.
    ///
    /// # Errors
    /// When writing has failed, now or before.
    pub fn shutdown(&self) -> ProviderResult<()> {
        self.inner.end(Mode::Drain);
        self.inner.pipeline.check()?;
        self.inner.pipeline.stop("storage is shut down");
        for database in self.inner.databases() {
            database.sync()?;
        }
        Ok(())
    }

    /// Makes a consistent copy of all databases at `to`, which must not exist, while the chain goes on. `progress` is told how far it is.
    ///
    /// # Errors
    /// When the copy cannot be made; nothing is left of it then.
    pub fn checkpoint(
        &self,
        to: &Path,
        progress: &mut OnProgress<'_>,
    ) -> Result<CheckpointManifest, StorageError> {
        let inner = &self.inner;
        let [preimages, values] = inner.state.databases();
        let databases = [values, inner.repository.database(), preimages, inner.wal.database()];
        create_checkpoint(&databases, Some(&inner.tree), to, progress)
    }

    /// Ends the background threads without writing anything more, as a crash would.
    #[doc(hidden)]
    pub fn abandon(&self) {
        self.inner.end(Mode::Abandon);
        self.inner.pipeline.stop("storage was abandoned");
    }

    /// Sizes of all databases and heads.
    pub fn stats(&self) -> ProviderResult<StorageStats> {
        let databases = self
            .inner
            .databases()
            .into_iter()
            .map(|database| database.stats())
            .collect::<Result<Vec<DatabaseStats>, ProviderError>>()?;
        Ok(StorageStats { databases, heads: Some(self.heads()) })
    }
}

impl Inner {
    fn databases(&self) -> Vec<&Arc<crate::db::Database>> {
        let [preimages, values] = self.state.databases();
        vec![self.wal.database(), preimages, values, self.repository.database()]
    }

    /// Ends the threads. A second call finds none.
    fn end(&self, mode: Mode) {
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        self.pipeline.update(|progress| progress.mode = mode);
        for thread in threads {
            let name = thread.thread().name().map(str::to_owned);
            if thread.join().is_err() {
                tracing::error!(target: "storage", thread = name, "storage thread panicked");
                self.pipeline.stop("a storage thread panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end(Mode::Drain);
    }
}
