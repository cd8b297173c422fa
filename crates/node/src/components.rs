//! reth: `node/builder/src/components`. Builders of the components that depend on each other.

use alloy_eips::BlockNumHash;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{FullNodeTypes, NodeConfig, StageRegistry, TaskExecutor};
use zkos_pool::TransactionPool;
use zkos_primitives::ZkChainSpec;

/// What component builders get.
pub struct BuilderContext<N: FullNodeTypes> {
    /// Canonical head at launch.
    pub head: BlockNumHash,
    pub(crate) provider: N::Provider,
    pub(crate) task_executor: TaskExecutor,
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) chain_spec: Arc<ZkChainSpec>,
    pub(crate) stages: StageRegistry,
}

impl<N: FullNodeTypes> fmt::Debug for BuilderContext<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuilderContext").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<N: FullNodeTypes> BuilderContext<N> {
    /// The databases.
    pub const fn provider(&self) -> &N::Provider {
        &self.provider
    }

    /// Where tasks are spawned.
    pub const fn task_executor(&self) -> &TaskExecutor {
        &self.task_executor
    }

    /// Effective configuration.
    pub const fn config(&self) -> &Arc<NodeConfig> {
        &self.config
    }

    /// The chain.
    pub const fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        &self.chain_spec
    }

    /// Status of every stage.
    pub const fn stages(&self) -> &StageRegistry {
        &self.stages
    }

    /// Whether the chain is a local one for development.
    pub fn is_dev(&self) -> bool {
        self.config.dev.dev
    }
}

/// The components of a node.
#[derive(Debug, Clone)]
pub struct Components<Pool> {
    /// The transaction pool.
    pub pool: Pool,
    /// How blocks and calls are executed.
    pub evm_config: ZkEvmConfig,
}

/// Builds all components.
pub trait NodeComponentsBuilder<N: FullNodeTypes>: Send {
    /// The transaction pool.
    type Pool: TransactionPool + Clone + Unpin + 'static;

    /// Builds the components.
    ///
    /// # Errors
    /// When one of them can't be built; the launch is then aborted.
    fn build_components(
        self,
        ctx: &BuilderContext<N>,
    ) -> impl Future<Output = eyre::Result<Components<Self::Pool>>> + Send;
}

/// Builds the executor. Implemented for closures.
pub trait ExecutorBuilder<N: FullNodeTypes>: Send {
    /// Builds the executor's configuration.
    ///
    /// # Errors
    /// When it can't be built.
    fn build_evm(
        self,
        ctx: &BuilderContext<N>,
    ) -> impl Future<Output = eyre::Result<ZkEvmConfig>> + Send;
}

impl<N, F, Fut> ExecutorBuilder<N> for F
where
    N: FullNodeTypes,
    F: FnOnce(&BuilderContext<N>) -> Fut + Send,
    Fut: Future<Output = eyre::Result<ZkEvmConfig>> + Send,
{
    fn build_evm(
        self,
        ctx: &BuilderContext<N>,
    ) -> impl Future<Output = eyre::Result<ZkEvmConfig>> + Send {
        self(ctx)
    }
}

/// Builds the transaction pool and spawns what maintains it. Implemented for closures.
pub trait PoolBuilder<N: FullNodeTypes>: Send {
    /// The transaction pool.
    type Pool: TransactionPool + Clone + Unpin + 'static;

    /// Builds the pool.
    ///
    /// # Errors
    /// When it can't be built.
    fn build_pool(
        self,
        ctx: &BuilderContext<N>,
        evm_config: ZkEvmConfig,
    ) -> impl Future<Output = eyre::Result<Self::Pool>> + Send;
}

impl<N, F, Fut, Pool> PoolBuilder<N> for F
where
    N: FullNodeTypes,
    Pool: TransactionPool + Clone + Unpin + 'static,
    F: FnOnce(&BuilderContext<N>, ZkEvmConfig) -> Fut + Send,
    Fut: Future<Output = eyre::Result<Pool>> + Send,
{
    type Pool = Pool;

    fn build_pool(
        self,
        ctx: &BuilderContext<N>,
        evm_config: ZkEvmConfig,
    ) -> impl Future<Output = eyre::Result<Pool>> + Send {
        self(ctx, evm_config)
    }
}

/// The stock [`NodeComponentsBuilder`]: executor, then pool.
// reth: five slots; here block production and import are the engine's, and the checks of consensus are part of execution.
pub struct ComponentsBuilder<N, PoolB, ExecB> {
    pool_builder: PoolB,
    executor_builder: ExecB,
    _node: PhantomData<fn() -> N>,
}

impl<N, PoolB: fmt::Debug, ExecB: fmt::Debug> fmt::Debug for ComponentsBuilder<N, PoolB, ExecB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentsBuilder")
            .field("pool_builder", &self.pool_builder)
            .field("executor_builder", &self.executor_builder)
            .finish()
    }
}

impl<N> Default for ComponentsBuilder<N, (), ()> {
    fn default() -> Self {
        Self { pool_builder: (), executor_builder: (), _node: PhantomData }
    }
}

impl<N, PoolB, ExecB> ComponentsBuilder<N, PoolB, ExecB> {
    /// Sets the pool builder.
    pub fn pool<B>(self, pool_builder: B) -> ComponentsBuilder<N, B, ExecB> {
        ComponentsBuilder {
            pool_builder,
            executor_builder: self.executor_builder,
            _node: PhantomData,
        }
    }

    /// Sets the executor builder.
    pub fn executor<B>(self, executor_builder: B) -> ComponentsBuilder<N, PoolB, B> {
        ComponentsBuilder { pool_builder: self.pool_builder, executor_builder, _node: PhantomData }
    }
}

impl<N, PoolB, ExecB> NodeComponentsBuilder<N> for ComponentsBuilder<N, PoolB, ExecB>
where
    N: FullNodeTypes,
    PoolB: PoolBuilder<N>,
    ExecB: ExecutorBuilder<N>,
{
    type Pool = PoolB::Pool;

    async fn build_components(
        self,
        ctx: &BuilderContext<N>,
    ) -> eyre::Result<Components<Self::Pool>> {
        let evm_config = self.executor_builder.build_evm(ctx).await?;
        let pool = self.pool_builder.build_pool(ctx, evm_config.clone()).await?;
        Ok(Components { pool, evm_config })
    }
}
