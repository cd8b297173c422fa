//! The preset node.

use crate::{
    BuilderContext, ComponentsBuilder, ExecutorBuilder, NodeAdapter, NodeBuilderWithComponents,
    NodeComponentsBuilder, PoolBuilder, RpcAddOns, WithLaunchContext,
};
use zkos_engine::FeeModel;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{FullNodeTypes, FullNodeTypesAdapter, NodeAddOns, NodeTypes};
use zkos_pool::{
    BlockInfo, CoinbaseTipOrdering, MaintainPoolConfig, Pool, PoolConfig, SubPoolLimit,
    TransactionPoolExt, ZkTransactionPool, ZkTransactionValidatorBuilder,
    maintain_transaction_pool,
};
use zkos_primitives::{ZkChainSpec, ZkPrimitives};
use zkos_storage::BlockchainProvider;

/// Node types over the databases of `zkos-storage`.
pub type NodeTypesWithStorage<T> = FullNodeTypesAdapter<T, BlockchainProvider>;

/// A preset: types together with the stock builders for them.
pub trait Node<N: FullNodeTypes>: NodeTypes
where
    N::Provider: Unpin,
{
    /// How components are built.
    type ComponentsBuilder: NodeComponentsBuilder<N>;
    /// What is launched on top.
    type AddOns: NodeAddOns<
        NodeAdapter<N, <Self::ComponentsBuilder as NodeComponentsBuilder<N>>::Pool>,
    >;

    /// How components are built.
    fn components_builder(&self) -> Self::ComponentsBuilder;
    /// What is launched on top.
    fn add_ons(&self) -> Self::AddOns;
}

/// A node of a ZKsync OS chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZkNode;

impl NodeTypes for ZkNode {
    type Primitives = ZkPrimitives;
    type ChainSpec = ZkChainSpec;
}

impl<N> Node<N> for ZkNode
where
    N: FullNodeTypes<Types = Self>,
    N::Provider: Unpin,
{
    type ComponentsBuilder = ComponentsBuilder<N, ZkPoolBuilder, ZkExecutorBuilder>;
    type AddOns = RpcAddOns<NodeAdapter<N, <ZkPoolBuilder as PoolBuilder<N>>::Pool>>;

    fn components_builder(&self) -> Self::ComponentsBuilder {
        ComponentsBuilder::default().pool(ZkPoolBuilder).executor(ZkExecutorBuilder)
    }

    fn add_ons(&self) -> Self::AddOns {
        RpcAddOns::default()
    }
}

/// The builder of a [`ZkNode`] to which hooks and extensions can be added.
pub type ZkNodeBuilder = WithLaunchContext<
    NodeBuilderWithComponents<
        NodeTypesWithStorage<ZkNode>,
        <ZkNode as Node<NodeTypesWithStorage<ZkNode>>>::ComponentsBuilder,
        <ZkNode as Node<NodeTypesWithStorage<ZkNode>>>::AddOns,
    >,
>;

/// Builds the executor with stock settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZkExecutorBuilder;

impl<N: FullNodeTypes> ExecutorBuilder<N> for ZkExecutorBuilder {
    async fn build_evm(self, _ctx: &BuilderContext<N>) -> eyre::Result<ZkEvmConfig> {
        Ok(ZkEvmConfig::new())
    }
}

/// Builds the stock pool over the node's provider and spawns its maintenance, which also restores and writes the backup.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZkPoolBuilder;

impl<N> PoolBuilder<N> for ZkPoolBuilder
where
    N: FullNodeTypes,
    N::Provider: Unpin,
{
    type Pool = ZkTransactionPool<N::Provider>;

    async fn build_pool(
        self,
        ctx: &BuilderContext<N>,
        _evm_config: ZkEvmConfig,
    ) -> eyre::Result<Self::Pool> {
        let config = ctx.config();
        let (args, sequencer) = (&config.txpool, &config.sequencer);
        let validator = ZkTransactionValidatorBuilder::new(ctx.chain_spec().chain_id())
            .max_tx_input_bytes(args.max_tx_input_bytes)
            .block_gas_limit(sequencer.block_gas_limit)
            .build(ctx.provider().clone());
        let limit = SubPoolLimit::new(args.max_count, args.max_size.saturating_mul(1024 * 1024));
        let pool = Pool::new(
            validator,
            CoinbaseTipOrdering::default(),
            PoolConfig {
                pending_limit: limit,
                basefee_limit: limit,
                queued_limit: limit,
                max_account_slots: args.max_account_slots,
                price_bump: args.price_bump,
                ..PoolConfig::default()
            },
        );
        pool.set_block_info(BlockInfo {
            last_seen_block_number: ctx.head.number,
            last_seen_block_hash: ctx.head.hash,
            block_gas_limit: sequencer.block_gas_limit,
            pending_basefee: FeeModel::from_args(sequencer).base_fee,
        });
        let maintain = MaintainPoolConfig {
            max_tx_lifetime: args.lifetime,
            backup_path: (!args.disable_transactions_backup)
                .then(|| config.data_dir().txpool_backup()),
            ..MaintainPoolConfig::default()
        };
        let (provider, maintained) = (ctx.provider().clone(), pool.clone());
        ctx.task_executor().spawn_critical_with_graceful_shutdown_signal(
            "txpool maintenance",
            |shutdown| async move {
                let signal = async move { shutdown.signalled().await };
                maintain_transaction_pool(provider, maintained, maintain, signal).await;
                Ok(())
            },
        );
        Ok(pool)
    }
}
