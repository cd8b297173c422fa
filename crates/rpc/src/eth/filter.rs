//! Polled filters.

use super::{EthApi, logs::Overflow};
use crate::{
    EthApiError, EthFilterError, RpcNodeCore,
    api::EthFilterApiServer,
    server::random_id,
    types::{RpcTransaction, rpc_transaction},
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, TxHash};
use alloy_rpc_types_eth::{
    Filter, FilterBlockOption, FilterChanges, FilterId, Log, PendingTransactionFilterKind,
};
use jsonrpsee::core::{RpcResult, async_trait};
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, sync::Arc, time::Instant};
use tokio::sync::mpsc;
use tracing::trace;
use zkos_pool::TransactionPool;
use zkos_storage_api::TransactionsProvider;

/// Filters installed at once, over all callers.
const MAX_FILTERS: usize = 10_000;

type Changes = FilterChanges<RpcTransaction>;

/// Log queries and polled filters. Cheap to clone; clones share the filters.
pub struct EthFilter<N: RpcNodeCore> {
    api: EthApi<N>,
    filters: Arc<Mutex<HashMap<FilterId, Arc<ActiveFilter>>>>,
}

struct ActiveFilter {
    last_poll: Mutex<Instant>,
    // Held over a whole poll: of two polls at once, one must wait for the other's position.
    kind: tokio::sync::Mutex<FilterKind>,
}

enum FilterKind {
    /// First block that was not reported yet.
    Blocks { next: u64 },
    /// The same, for the logs of blocks.
    Logs { filter: Arc<Filter>, next: u64 },
    /// Transactions that entered the pool.
    PendingTransactions { hashes: mpsc::Receiver<TxHash>, full: bool },
}

impl<N: RpcNodeCore> Clone for EthFilter<N> {
    fn clone(&self) -> Self {
        Self { api: self.api.clone(), filters: self.filters.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for EthFilter<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EthFilter")
            .field("filters", &self.filters.lock().len())
            .finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> EthFilter<N> {
    /// Filters over a node. Spawns the task that drops filters nobody polls.
    pub fn new(api: EthApi<N>) -> Self {
        let this = Self { api, filters: Default::default() };
        let ttl = this.api.config().stale_filter_ttl;
        let filters = Arc::downgrade(&this.filters);
        this.api.node().task_executor().spawn_task("rpc-stale-filters", async move {
            let mut interval = tokio::time::interval(ttl.max(std::time::Duration::from_millis(1)));
            loop {
                interval.tick().await;
                let Some(filters) = filters.upgrade() else { return };
                filters.lock().retain(|id, filter| {
                    let keep = filter.last_poll.lock().elapsed() < ttl;
                    if !keep {
                        trace!(target: "rpc::filter", ?id, "filter dropped, not polled for too long");
                    }
                    keep
                });
            }
        });
        this
    }

    fn install(&self, kind: FilterKind) -> Result<FilterId, EthFilterError> {
        let id = FilterId::Str(random_id());
        let mut filters = self.filters.lock();
        if filters.len() >= MAX_FILTERS {
            return Err(EthFilterError::TooManyFilters(MAX_FILTERS));
        }
        let filter = ActiveFilter {
            last_poll: Mutex::new(Instant::now()),
            kind: tokio::sync::Mutex::new(kind),
        };
        filters.insert(id.clone(), Arc::new(filter));
        Ok(id)
    }

    fn active(&self, id: &FilterId) -> Result<Arc<ActiveFilter>, EthFilterError> {
        let filters = self.filters.lock();
        let filter = filters.get(id).ok_or_else(|| EthFilterError::FilterNotFound(id.clone()))?;
        *filter.last_poll.lock() = Instant::now();
        Ok(filter.clone())
    }

    fn next_block(&self) -> Result<u64, EthFilterError> {
        Ok(self.api.head_number()? + 1)
    }

    /// What happened since the last poll. The position moves only when the answer was put together, so a failed poll loses nothing.
    pub async fn poll(&self, id: &FilterId) -> Result<Changes, EthFilterError> {
        let active = self.active(id)?;
        let mut kind = active.kind.lock().await;
        match &mut *kind {
            FilterKind::Blocks { next } => {
                let first = *next;
                let (hashes, after) =
                    self.api.spawn_read(move |api| block_hashes(api, first)).await?;
                *next = after;
                Ok(FilterChanges::Hashes(hashes))
            }
            FilterKind::Logs { filter, next } => {
                let (filter, first) = (filter.clone(), *next);
                let (logs, after) =
                    self.api.spawn_log_query(move |api| new_logs(api, &filter, first)).await?;
                *next = after;
                Ok(FilterChanges::Logs(logs))
            }
            FilterKind::PendingTransactions { hashes, full } => {
                let mut new = Vec::new();
                while let Ok(hash) = hashes.try_recv() {
                    new.push(hash);
                }
                if !*full {
                    return Ok(FilterChanges::Hashes(new));
                }
                let transactions =
                    self.api.spawn_read(move |api| pool_transactions(api, new)).await?;
                Ok(FilterChanges::Transactions(transactions))
            }
        }
    }

    /// All logs that match an installed log filter.
    pub async fn all_logs(&self, id: &FilterId) -> Result<Vec<Log>, EthFilterError> {
        let active = self.active(id)?;
        let filter = match &*active.kind.lock().await {
            FilterKind::Logs { filter, .. } => filter.clone(),
            _ => return Err(EthFilterError::NotALogFilter),
        };
        self.api.spawn_log_query(move |api| api.logs_for_filter(&filter)).await
    }
}

fn block_hashes<N: RpcNodeCore>(
    api: &EthApi<N>,
    first: u64,
) -> Result<(Vec<B256>, u64), EthFilterError> {
    let head = api.head_number()?;
    let mut hashes = Vec::new();
    for number in first..=head {
        let hash = api.cache().canonical_hash(number)?;
        hashes.push(hash.ok_or(EthApiError::BlockNotFound(number.into()))?);
    }
    Ok((hashes, first.max(head + 1)))
}

fn new_logs<N: RpcNodeCore>(
    api: &EthApi<N>,
    filter: &Filter,
    first: u64,
) -> Result<(Vec<Log>, u64), EthFilterError> {
    let head = api.head_number()?;
    let after = first.max(head + 1);
    let FilterBlockOption::Range { from_block, to_block } = filter.block_option else {
        // A block named by its hash exists already or never will.
        return Ok((Vec::new(), after));
    };
    let number = |bound: Option<BlockNumberOrTag>| match bound {
        Some(BlockNumberOrTag::Number(number)) => Some(number),
        Some(BlockNumberOrTag::Earliest) => Some(0),
        _ => None,
    };
    let from = number(from_block).unwrap_or_default().max(first);
    let to = number(to_block).unwrap_or(u64::MAX).min(head);
    if from > to {
        return Ok((Vec::new(), after));
    }
    // What does not fit into one answer comes with the next poll.
    let found = api.logs_in_range(filter, from..=to, Overflow::Stop)?;
    let after = if found.last_block < to { found.last_block + 1 } else { after };
    Ok((found.logs, after))
}

fn pool_transactions<N: RpcNodeCore>(
    api: &EthApi<N>,
    hashes: Vec<TxHash>,
) -> Result<Vec<RpcTransaction>, EthFilterError> {
    let mut transactions = Vec::with_capacity(hashes.len());
    for hash in hashes {
        if let Some(tx) = api.pool().get(&hash) {
            transactions.push(rpc_transaction(tx.to_consensus(), None));
        } else if let Some((tx, meta)) = api.provider().transaction_by_hash_with_meta(hash)? {
            // Included in the meantime; its place is shown.
            transactions.push(rpc_transaction(tx, Some(&meta)));
        }
    }
    Ok(transactions)
}

#[async_trait]
impl<N: RpcNodeCore> EthFilterApiServer for EthFilter<N> {
    async fn new_filter(&self, filter: Filter) -> RpcResult<FilterId> {
        if filter.block_option.ensure_valid_block_range().is_err() {
            return Err(EthFilterError::InvalidBlockRange.into());
        }
        let next = self.next_block()?;
        Ok(self.install(FilterKind::Logs { filter: Arc::new(filter), next })?)
    }

    async fn new_block_filter(&self) -> RpcResult<FilterId> {
        Ok(self.install(FilterKind::Blocks { next: self.next_block()? })?)
    }

    async fn new_pending_transaction_filter(
        &self,
        kind: Option<PendingTransactionFilterKind>,
    ) -> RpcResult<FilterId> {
        let full = matches!(kind, Some(PendingTransactionFilterKind::Full));
        let hashes = self.api.pool().pending_transactions_listener();
        Ok(self.install(FilterKind::PendingTransactions { hashes, full })?)
    }

    async fn filter_changes(&self, id: FilterId) -> RpcResult<Changes> {
        Ok(self.poll(&id).await?)
    }

    async fn filter_logs(&self, id: FilterId) -> RpcResult<Vec<Log>> {
        Ok(self.all_logs(&id).await?)
    }

    async fn uninstall_filter(&self, id: FilterId) -> RpcResult<bool> {
        Ok(self.filters.lock().remove(&id).is_some())
    }

    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        let logs = self.api.spawn_log_query(move |api| api.logs_for_filter(&filter)).await;
        Ok(logs?)
    }
}
