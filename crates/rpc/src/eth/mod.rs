//! The `eth_` namespace.

mod access_list;
mod block;
mod bundle;
mod cache;
mod call;
mod estimate;
mod fees;
mod fill;
mod filter;
mod log_cache;
mod logs;
mod pubsub;
mod request;
mod rpc;
mod simulate;
mod state;
mod state_view;
mod transaction;
mod work;

pub(crate) use bundle::Start;
pub use cache::{BlockAndReceipts, EthStateCache};
pub use filter::EthFilter;
pub use pubsub::EthPubSub;
pub(crate) use state_view::SimulationState;
pub(crate) use transaction::recover_raw_transaction;

use crate::{EthApiError, EthResult, RpcNodeCore, RpcShared};
use log_cache::LogCache;
use std::{fmt, sync::Arc, time::Duration};
use work::WorkClass;
use zkos_node_core::args::RpcServerArgs;

/// Reads of databases that run at once. They are short; the number only has to keep a flood of requests from filling the blocking pool.
const MAX_CONCURRENT_READS: usize = 64;
/// Log queries that run at once. One may walk over a hundred thousand blocks, so they must not take the places of getters.
const MAX_CONCURRENT_LOG_QUERIES: usize = 8;
/// Upper bound of the wait that a caller of `eth_sendRawTransactionSync` may ask for (EIP-7966 leaves it to the node).
const MAX_SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// Limits of the namespace.
#[derive(Debug, Clone)]
pub struct EthConfig {
    /// Gas of a call when the caller names none, and its upper limit.
    pub gas_cap: u64,
    /// Blocks that one log query may span.
    pub max_blocks_per_filter: u64,
    /// Logs that one query over several blocks may return.
    pub max_logs_per_response: usize,
    /// Unpolled filters are dropped after this time.
    pub stale_filter_ttl: Duration,
    /// Default wait of `eth_sendRawTransactionSync`.
    pub send_raw_transaction_sync_timeout: Duration,
    /// Factor on the pubdata price while gas is estimated.
    pub estimate_gas_pubdata_price_factor: f64,
    /// Calls that may execute at once.
    pub max_concurrent_calls: usize,
    /// Traces that may execute at once.
    pub max_concurrent_traces: usize,
    /// Whether callers may trace with JavaScript of their own.
    pub js_tracer: bool,
    /// Blocks that one `trace_filter` may span.
    pub max_trace_filter_blocks: u64,
    /// Blocks that one `eth_simulateV1` may make.
    pub max_simulate_blocks: u64,
}

impl From<&RpcServerArgs> for EthConfig {
    fn from(args: &RpcServerArgs) -> Self {
        Self {
            gas_cap: args.gas_cap,
            max_blocks_per_filter: args.max_blocks_per_filter,
            max_logs_per_response: args.max_logs_per_response,
            stale_filter_ttl: args.stale_filter_ttl,
            send_raw_transaction_sync_timeout: args.send_raw_transaction_sync_timeout,
            estimate_gas_pubdata_price_factor: args.estimate_gas_pubdata_price_factor,
            max_concurrent_calls: args.max_concurrent_calls,
            max_concurrent_traces: args.max_concurrent_traces,
            js_tracer: args.js_tracer,
            max_trace_filter_blocks: args.max_trace_filter_blocks,
            max_simulate_blocks: args.max_simulate_blocks,
        }
    }
}

/// `eth_` over a node. Cheap to clone.
pub struct EthApi<N: RpcNodeCore> {
    inner: Arc<EthApiInner<N>>,
}

struct EthApiInner<N: RpcNodeCore> {
    node: N,
    cache: EthStateCache<N::Provider>,
    log_cache: LogCache,
    config: EthConfig,
    shared: RpcShared,
    reads: WorkClass,
    logs: WorkClass,
    calls: WorkClass,
    traces: WorkClass,
    #[cfg(feature = "js-tracer")]
    scripts: WorkClass,
}

impl<N: RpcNodeCore> Clone for EthApi<N> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<N: RpcNodeCore> fmt::Debug for EthApi<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EthApi").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> EthApi<N> {
    /// The namespace over a node. Spawns the task that keeps the cache warm.
    pub fn new(node: N, config: EthConfig, shared: RpcShared) -> Self {
        let cache = EthStateCache::new(node.provider().clone());
        cache.spawn_warm_up(node.task_executor());
        Self {
            inner: Arc::new(EthApiInner {
                reads: WorkClass::new("read", MAX_CONCURRENT_READS),
                logs: WorkClass::new("log", MAX_CONCURRENT_LOG_QUERIES),
                calls: WorkClass::new("call", config.max_concurrent_calls),
                traces: WorkClass::new("trace", config.max_concurrent_traces),
                #[cfg(feature = "js-tracer")]
                scripts: WorkClass::new("script", config.max_concurrent_traces),
                node,
                cache,
                log_cache: LogCache::default(),
                config,
                shared,
            }),
        }
    }

    /// The node.
    pub fn node(&self) -> &N {
        &self.inner.node
    }

    /// Reads blocks and state.
    pub fn provider(&self) -> &N::Provider {
        self.inner.node.provider()
    }

    /// The pool.
    pub fn pool(&self) -> &N::Pool {
        self.inner.node.pool()
    }

    /// Recent blocks, receipts and contexts.
    pub fn cache(&self) -> &EthStateCache<N::Provider> {
        &self.inner.cache
    }

    /// Limits.
    pub fn config(&self) -> &EthConfig {
        &self.inner.config
    }

    /// What other parts of the node tell.
    pub fn shared(&self) -> &RpcShared {
        &self.inner.shared
    }

    /// Runs a short read: here and now while memory has all of it, otherwise on the blocking pool. What it puts together must be small, or it keeps others waiting; it
    /// may run twice, and must not remember a failure.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: Fn(&Self) -> Result<T, E> + Send + 'static,
    {
        match self.inner.reads.at_once(|| Some(read(self))).await {
            Some(result) => result,
            None => self.spawn_read(read).await,
        }
    }

    /// Runs a read of the databases on the blocking pool.
    pub async fn spawn_read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: FnOnce(&Self) -> Result<T, E> + Send + 'static,
    {
        self.spawn_bounded(self.inner.reads.clone(), read).await
    }

    /// Runs a walk over blocks in search of logs on the blocking pool.
    pub async fn spawn_log_query<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: FnOnce(&Self) -> Result<T, E> + Send + 'static,
    {
        self.spawn_bounded(self.inner.logs.clone(), query).await
    }

    /// Runs something that executes transactions on the blocking pool.
    pub async fn spawn_call<T, E, F>(&self, call: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: FnOnce(&Self) -> Result<T, E> + Send + 'static,
    {
        self.spawn_bounded(self.inner.calls.clone(), call).await
    }

    /// Runs something that executes whole blocks or records what happens on the blocking pool.
    pub async fn spawn_trace<T, E, F>(&self, trace: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: FnOnce(&Self) -> Result<T, E> + Send + 'static,
    {
        self.spawn_bounded(self.inner.traces.clone(), trace).await
    }

    /// Waits for a place to trace with JavaScript. Such a trace may outlive its request, so it takes no place of the others.
    #[cfg(feature = "js-tracer")]
    pub(crate) async fn script_place(&self) -> EthResult<tokio::sync::OwnedSemaphorePermit> {
        self.inner.scripts.acquire().await
    }

    async fn spawn_bounded<T, E, F>(&self, class: WorkClass, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<EthApiError> + Send + 'static,
        F: FnOnce(&Self) -> Result<T, E> + Send + 'static,
    {
        let permit = class.acquire().await?;
        let this = self.clone();
        let task = self.node().task_executor().spawn_blocking(move || {
            // Held until the work is done, also when the caller has gone away.
            let _permit = permit;
            f(&this)
        });
        task.await.map_err(EthApiError::internal)?
    }

    /// Number of the canonical head. Does not touch a database.
    pub(crate) fn head_number(&self) -> EthResult<u64> {
        use zkos_storage_api::BlockNumReader;
        Ok(self.provider().best_block_number()?)
    }
}
