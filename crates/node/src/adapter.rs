//! reth: `node/builder/src/builder/states.rs`. The bag of components.

use crate::Components;
use std::{fmt, sync::Arc};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{
    FullNodeComponents, FullNodeTypes, L1TxSender, NodeConfig, StageRegistry, TaskExecutor,
};
use zkos_pool::TransactionPool;
use zkos_primitives::ZkChainSpec;

/// Components of a node, as hooks, extensions and add-ons get them. Cheap to clone.
pub struct NodeAdapter<N: FullNodeTypes, Pool> {
    pub(crate) components: Components<Pool>,
    pub(crate) provider: N::Provider,
    pub(crate) task_executor: TaskExecutor,
    pub(crate) chain_spec: Arc<ZkChainSpec>,
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) stages: StageRegistry,
    pub(crate) l1_transactions: L1TxSender,
}

impl<N: FullNodeTypes, Pool: Clone> Clone for NodeAdapter<N, Pool> {
    fn clone(&self) -> Self {
        Self {
            components: self.components.clone(),
            provider: self.provider.clone(),
            task_executor: self.task_executor.clone(),
            chain_spec: self.chain_spec.clone(),
            config: self.config.clone(),
            stages: self.stages.clone(),
            l1_transactions: self.l1_transactions.clone(),
        }
    }
}

impl<N: FullNodeTypes, Pool> fmt::Debug for NodeAdapter<N, Pool> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeAdapter")
            .field("chain_id", &self.chain_spec.chain_id())
            .finish_non_exhaustive()
    }
}

impl<N, Pool> FullNodeTypes for NodeAdapter<N, Pool>
where
    N: FullNodeTypes,
    N::Provider: Unpin,
    Pool: TransactionPool + Clone + Unpin + 'static,
{
    type Types = N::Types;
    type Provider = N::Provider;
}

impl<N, Pool> FullNodeComponents for NodeAdapter<N, Pool>
where
    N: FullNodeTypes,
    N::Provider: Unpin,
    Pool: TransactionPool + Clone + Unpin + 'static,
{
    type Pool = Pool;

    fn pool(&self) -> &Pool {
        &self.components.pool
    }

    fn evm_config(&self) -> &ZkEvmConfig {
        &self.components.evm_config
    }

    fn provider(&self) -> &N::Provider {
        &self.provider
    }

    fn task_executor(&self) -> &TaskExecutor {
        &self.task_executor
    }

    fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        &self.chain_spec
    }

    fn config(&self) -> &Arc<NodeConfig> {
        &self.config
    }

    fn stages(&self) -> &StageRegistry {
        &self.stages
    }

    fn l1_transactions(&self) -> &L1TxSender {
        &self.l1_transactions
    }
}
