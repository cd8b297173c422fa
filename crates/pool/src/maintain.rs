//! Keeps the pool in step with the chain.

use crate::{
    BlockInfo, CanonicalStateUpdate, ChangedAccount, TransactionPoolExt, backup,
    metrics::PoolMetrics,
};
use alloy_consensus::BlockHeader;
use alloy_primitives::{Address, TxHash, map::AddressMap};
use futures::{FutureExt, pin_mut};
use std::{
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval_at},
};
use zkos_storage_api::{
    CanonStateNotification, CanonStateSubscriptions, Chain, ProviderResult, ReplayRecordReader,
    StateProviderFactory, TransactionsProvider,
};

/// Accounts that are read at once when the pool is brought in step after a gap.
const RELOAD_CHUNK: usize = 100;

/// Configuration of [`maintain_transaction_pool`].
#[derive(Debug, Clone)]
pub struct MaintainPoolConfig {
    /// Age at which transactions that are not executable are dropped.
    pub max_tx_lifetime: Duration,
    /// How often ages are looked at.
    pub eviction_interval: Duration,
    /// Where the pool is backed up; `None` for no backup.
    pub backup_path: Option<PathBuf>,
    /// How often the backup is written.
    pub backup_interval: Duration,
}

impl Default for MaintainPoolConfig {
    fn default() -> Self {
        Self {
            max_tx_lifetime: Duration::from_secs(3 * 60 * 60),
            eviction_interval: Duration::from_secs(60),
            backup_path: None,
            backup_interval: Duration::from_secs(60),
        }
    }
}

/// Restores the pool from its backup, then feeds canonical notifications to it until `shutdown` or the end of the notifications, and writes the backup: every now and then,
/// and at the end.
///
/// A receiver that lags has lost blocks: then all accounts in the pool are read anew, and transactions that are in the chain by now are removed.
pub async fn maintain_transaction_pool<P, Pool>(
    provider: P,
    pool: Pool,
    config: MaintainPoolConfig,
    shutdown: impl Future<Output = ()> + Send,
) where
    P: StateProviderFactory
        + CanonStateSubscriptions
        + TransactionsProvider
        + ReplayRecordReader
        + zkos_storage_api::BlockNumReader
        + Clone
        + Send
        + Sync
        + 'static,
    Pool: TransactionPoolExt,
{
    let metrics = PoolMetrics::default();
    // Before the first read, so that nothing falls between.
    let mut notifications = provider.subscribe_to_canonical_state();
    // Who built the pool may know the fees of the next block better than the last one tells.
    let BlockInfo { block_gas_limit, pending_basefee, .. } = pool.block_info();
    resync(&provider, &pool);
    if block_gas_limit != 0 {
        pool.set_block_info(BlockInfo { block_gas_limit, pending_basefee, ..pool.block_info() });
    }
    if let Some(path) = &config.backup_path {
        match backup::restore_backup(&pool, path).await {
            Ok((0, 0)) => {}
            Ok((taken, total)) => {
                tracing::info!(taken, total, path = %path.display(), "transactions restored from backup");
            }
            Err(error) => tracing::warn!(%error, "transactions not restored"),
        }
    }

    let now = tokio::time::Instant::now();
    let mut eviction = interval_at(now + config.eviction_interval, config.eviction_interval);
    let mut backups = interval_at(now + config.backup_interval, config.backup_interval);
    eviction.set_missed_tick_behavior(MissedTickBehavior::Delay);
    backups.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shutdown = shutdown.fuse();
    pin_mut!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            notification = notifications.recv() => match notification {
                Ok(CanonStateNotification::Commit { new }) => {
                    pool.on_canonical_state_change(update_of(&new));
                }
                Ok(CanonStateNotification::Reorg { old, new }) => {
                    pool.on_canonical_state_change(update_of(&new));
                    reinject(&pool, &old).await;
                    resync(&provider, &pool);
                }
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "transaction pool missed blocks, reading all accounts anew");
                    metrics.resyncs.increment(1);
                    notifications = notifications.resubscribe();
                    resync(&provider, &pool);
                }
                Err(RecvError::Closed) => break,
            },
            _ = eviction.tick() => {
                if let Some(deadline) = Instant::now().checked_sub(config.max_tx_lifetime) {
                    let evicted = pool.evict_stale(deadline);
                    if evicted > 0 {
                        tracing::debug!(evicted, "stale transactions dropped");
                    }
                }
            }
            _ = backups.tick(), if config.backup_path.is_some() => save(&pool, &config).await,
        }
    }
    save(&pool, &config).await;
}

async fn save<Pool: TransactionPoolExt>(pool: &Pool, config: &MaintainPoolConfig) {
    let Some(path) = config.backup_path.clone() else { return };
    let pool = pool.clone();
    match tokio::task::spawn_blocking(move || backup::save_backup(&pool, &path)).await {
        Ok(Ok(saved)) => tracing::debug!(saved, "transactions backed up"),
        Ok(Err(error)) => tracing::warn!(%error, "transactions not backed up"),
        Err(error) => tracing::warn!(%error, "backup of transactions failed"),
    }
}

/// What a run of blocks changes for the pool.
fn update_of(chain: &Chain) -> CanonicalStateUpdate {
    let mut accounts = AddressMap::<ChangedAccount>::default();
    let mut mined_transactions = Vec::new();
    for block in chain.blocks() {
        for diff in &block.output.account_diffs {
            let account =
                ChangedAccount { address: diff.address, nonce: diff.nonce, balance: diff.balance };
            accounts.insert(diff.address, account);
        }
        let transactions = &block.block.body().transactions;
        mined_transactions
            .extend(transactions.iter().filter(|tx| !tx.is_from_l1()).map(|tx| *tx.hash()));
    }
    let tip = chain.tip();
    let context = &tip.record.block_context;
    CanonicalStateUpdate {
        block_info: BlockInfo {
            last_seen_block_number: tip.number(),
            last_seen_block_hash: tip.hash(),
            block_gas_limit: tip.block.header().gas_limit(),
            // The next block's, unless the producer says otherwise.
            pending_basefee: context.eip1559_basefee.saturating_to(),
        },
        changed_accounts: accounts.into_values().collect(),
        mined_transactions,
        reset_accounts: false,
    }
}

/// Offers the transactions of replaced blocks to the pool again.
async fn reinject<Pool: TransactionPoolExt>(pool: &Pool, old: &Chain) {
    use crate::{PoolTransaction, TransactionOrigin};
    let transactions = old
        .blocks()
        .iter()
        .flat_map(|block| block.block.clone_transactions_recovered())
        .filter(|tx| !tx.is_from_l1())
        .map(Pool::Transaction::from_recovered)
        .collect();
    pool.add_transactions(TransactionOrigin::Local, transactions).await;
}

/// Reads the head and all accounts in the pool anew, and removes what is in the chain.
fn resync<P, Pool>(provider: &P, pool: &Pool)
where
    P: StateProviderFactory
        + TransactionsProvider
        + ReplayRecordReader
        + zkos_storage_api::BlockNumReader,
    Pool: TransactionPoolExt,
{
    match read_update(provider, pool) {
        Ok(update) => pool.on_canonical_state_change(update),
        Err(error) => tracing::error!(%error, "transaction pool can't read the chain"),
    }
}

fn read_update<P, Pool>(provider: &P, pool: &Pool) -> ProviderResult<CanonicalStateUpdate>
where
    P: StateProviderFactory
        + TransactionsProvider
        + ReplayRecordReader
        + zkos_storage_api::BlockNumReader,
    Pool: TransactionPoolExt,
{
    let head = provider.chain_info()?;
    let mut block_info = BlockInfo {
        last_seen_block_number: head.best_number,
        last_seen_block_hash: head.best_hash,
        ..pool.block_info()
    };
    // The context of block 0 says nothing about those that follow.
    if head.best_number > 0
        && let Some(record) = provider.replay_record(head.best_number)?
    {
        block_info.block_gas_limit = record.block_context.gas_limit;
        block_info.pending_basefee = record.block_context.eip1559_basefee.saturating_to();
    }
    let mut changed_accounts = Vec::new();
    let mut mined_transactions: Vec<TxHash> = Vec::new();
    let senders: Vec<Address> = pool.unique_senders();
    for chunk in senders.chunks(RELOAD_CHUNK) {
        let state = provider.pending()?;
        for address in chunk {
            let account = state.account(*address)?.unwrap_or_default();
            changed_accounts.push(ChangedAccount {
                address: *address,
                nonce: account.nonce,
                balance: account.balance,
            });
            for tx in pool.get_transactions_by_sender(*address) {
                if tx.nonce() < account.nonce
                    && provider.transaction_by_hash_with_meta(*tx.hash())?.is_some()
                {
                    mined_transactions.push(*tx.hash());
                }
            }
        }
    }
    Ok(CanonicalStateUpdate {
        block_info,
        changed_accounts,
        mined_transactions,
        reset_accounts: true,
    })
}
