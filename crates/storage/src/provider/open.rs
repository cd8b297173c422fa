use super::{BlockchainProvider, Inner, Site};
use crate::{
    PREIMAGES_DATABASE, STATE_DATABASE, StorageError, StorageOptions, WAL_DATABASE,
    db::{ChainMarker, DbEnv, join},
    flush::Flusher,
    lock::DirLock,
    maintenance::{check_not_restoring, remove_database},
    metrics::{AppendMetrics, FlushMetrics, PruneMetrics, WalMetrics},
    pipeline::Pipeline,
    prune::{PruneStatus, Pruner},
    repository::{RecentBlocks, Repository},
    state::StateStore,
    tree::TreeDirectory,
    wal::{HeightFile, Wal, WalWriter},
};
use alloy_primitives::{B256, Keccak256};
use parking_lot::{Mutex, RwLock};
use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::sync::{broadcast, watch};
use tracing::{info, warn};
use zkos_primitives::{BlockHashes, ZkChainSpec};
use zkos_storage_api::{ProviderError, StorageHeads, genesis_block, genesis_record};

/// Entry to the databases of a data directory.
#[derive(Debug)]
pub struct Storage;

impl Storage {
    /// Opens (creates) all databases under `path`, locked against other processes, and writes block 0 into those that are empty.
    ///
    /// The heads say how far each database has come. Blocks from `min(state, repository, wal) + 1` to `wal` are to be executed again from their records and given to
    /// `append`, which compares them with the log and refills what is behind. `latest` and `pending` are at that minimum until then.
    ///
    /// # Errors
    /// See [`StorageError`]; nothing is changed when the databases belong to another chain or a newer version.
    pub fn open(
        path: &Path,
        spec: &ZkChainSpec,
        options: StorageOptions,
    ) -> Result<(BlockchainProvider, StorageHeads), StorageError> {
        std::fs::create_dir_all(path).map_err(|source| StorageError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        let lock = DirLock::acquire(path)?;
        check_not_restoring(path)?;
        let marker = ChainMarker { chain_id: spec.chain_id(), genesis: genesis_fingerprint(spec) };
        let env = DbEnv::new(&options);
        let genesis = genesis_block(spec);

        let (mut height, durable_before) = HeightFile::open(path)?;
        if path.join(WAL_DATABASE).join("CURRENT").exists() {
            let log = Wal::check_end(path, durable_before.unwrap_or_default())?;
            log.database().has_marker(path, &marker)?;
        }
        let open_state = || StateStore::open(&env, path, &marker, spec.genesis_state(), &options);
        // After a kill each of them reads its journal.
        let (wal, state, repository) = std::thread::scope(|scope| {
            let state = scope.spawn(open_state);
            let repository = scope.spawn(|| Repository::open(&env, path, &marker, &genesis));
            (Wal::open(&env, path, &marker), join(state), join(repository))
        });
        let (wal, mut state, repository) = (wal?, state?, repository?);
        let tree = TreeDirectory::open(path, &marker)?;

        let durable = match wal.latest()? {
            Some(latest) => {
                // The tail is what a damaged disk loses first.
                if wal.record(latest)?.is_none() {
                    return Err(wal
                        .database()
                        .corrupt(latest.to_be_bytes(), "the latest record is missing")
                        .into());
                }
                latest
            }
            None => {
                wal.write_group(&[Arc::new(genesis_record(spec))], &mut BlockHashes::default())?;
                0
            }
        };
        height.write(durable)?;
        let lowest = durable.min(state.head()).min(repository.head());
        if lowest < state.first() {
            warn!(
                target: "storage", lowest, first = state.first(),
                "another database ends before the first block whose state is kept: databases state and preimages are built anew from the block log"
            );
            drop(state);
            // Records of accounts were removed with the state that named them.
            remove_database(path, STATE_DATABASE)?;
            remove_database(path, PREIMAGES_DATABASE)?;
            state = open_state()?;
        }
        let heads =
            StorageHeads { wal: durable, state: state.head(), repository: repository.head() };
        if heads.state > durable || heads.repository > durable {
            warn!(
                target: "storage", ?heads,
                "derived databases are ahead of the block log: blocks above it are compared when they come again"
            );
        }
        let tip = heads.wal.min(heads.state).min(heads.repository);
        info!(target: "storage", path = %path.display(), ?heads, tip, "databases opened");

        let genesis_hash = spec.genesis_state().block_hash;
        let site = Site { path: path.to_owned(), env, marker, genesis_hash };
        let provider = start(Parts {
            site,
            lock,
            wal,
            height,
            state,
            repository,
            tree,
            durable,
            tip,
            options,
        })?;
        Ok((provider, heads))
    }
}

struct Parts {
    site: Site,
    lock: DirLock,
    wal: Wal,
    height: HeightFile,
    state: StateStore,
    repository: Repository,
    tree: TreeDirectory,
    durable: u64,
    tip: u64,
    options: StorageOptions,
}

/// Starts the background threads.
fn start(parts: Parts) -> Result<BlockchainProvider, StorageError> {
    let Parts { site, lock, wal, height, state, repository, tree, durable, tip, options } = parts;
    let window = wal.next_window(durable)?;
    let (wal, state, repository) = (Arc::new(wal), Arc::new(state), Arc::new(repository));
    let pipeline = Arc::new(Pipeline::new(tip, durable));
    let recent = Arc::new(RwLock::new(RecentBlocks::new(tip + 1)));
    let canonical = Arc::new(AtomicU64::new(tip));
    let (durable_sender, durable_receiver) = watch::channel(durable);
    let (finalized, _) = watch::channel(0);
    let (prune_hold, _) = watch::channel(None);
    let (prune_status, _) = watch::channel(PruneStatus::default());
    let pruner = options.state_history_blocks.map(|keep| Pruner {
        pipeline: pipeline.clone(),
        state: state.clone(),
        finalized: finalized.subscribe(),
        hold: prune_hold.subscribe(),
        status: prune_status.clone(),
        keep,
        metrics: PruneMetrics::default(),
    });

    let writer = WalWriter {
        wal: wal.clone(),
        pipeline: pipeline.clone(),
        durable: durable_sender,
        height,
        window,
        options: options.clone(),
        metrics: WalMetrics::default(),
    };
    let flusher = Flusher {
        pipeline: pipeline.clone(),
        recent: recent.clone(),
        state: state.clone(),
        repository: repository.clone(),
        canonical: canonical.clone(),
        options: options.clone(),
        metrics: FlushMetrics::default(),
    };
    let inner = Inner {
        site,
        wal,
        state,
        repository,
        recent,
        tree: Arc::new(tree),
        pipeline,
        append: Mutex::new(()),
        set_canonical: Mutex::new(()),
        canonical,
        canonical_watch: watch::channel(tip).0,
        safe: watch::channel(0).0,
        finalized,
        prune_hold,
        prune_status,
        durable: durable_receiver,
        notifications: broadcast::channel(options.notification_capacity.max(1)).0,
        threads: Mutex::new(Vec::with_capacity(3)),
        options,
        metrics: AppendMetrics::default(),
        _lock: lock,
    };
    // If the second thread cannot start, dropping `inner` ends the first one.
    inner.threads.lock().push(spawn("zkos-wal", move || writer.run())?);
    let flush_thread = spawn("zkos-flush", move || flusher.run())?;
    inner.threads.lock().push(flush_thread);
    if let Some(pruner) = pruner {
        let thread = spawn("zkos-prune", move || pruner.run())?;
        inner.threads.lock().push(thread);
    }
    Ok(BlockchainProvider { inner: Arc::new(inner) })
}

fn spawn(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StorageError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|source| StorageError::Thread { name, source })
}

/// Keccak-256 over hash, state entries and preimage hashes of block 0. The block hash alone is the same for every chain.
pub(crate) fn genesis_fingerprint(spec: &ZkChainSpec) -> B256 {
    let genesis = spec.genesis_state();
    let mut hasher = Keccak256::new();
    hasher.update(genesis.block_hash);
    for (key, value) in &genesis.entries {
        hasher.update(key);
        hasher.update(value);
    }
    for (hash, _) in &genesis.preimages {
        hasher.update(hash);
    }
    hasher.finalize()
}

impl From<StorageError> for ProviderError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Provider(error) => error,
            other => Self::Incompatible(other.to_string()),
        }
    }
}
