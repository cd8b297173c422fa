//! reth: `exex/exex/src/context.rs`. What an extension gets.

use crate::{ExExEvent, ExExEventSender, ExExNotifications};
use alloy_eips::BlockNumHash;
use std::sync::Arc;
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{FullNodeComponents, L1TxSender, NodeConfig, StageRegistry, TaskExecutor};
use zkos_primitives::ZkChainSpec;

/// Everything an extension works with.
#[derive(Debug)]
pub struct ExExContext<Node: FullNodeComponents> {
    /// Canonical head when the extension was launched. Blocks that are durable but not canonical yet follow as live notifications.
    pub head: BlockNumHash,
    /// Effective configuration.
    pub config: Arc<NodeConfig>,
    /// Way to the node; report [`ExExEvent::FinishedHeight`] here.
    pub events: ExExEventSender,
    /// Notifications. An extension that keeps state of its own sets its head first, or it misses what happened while it was away.
    pub notifications: ExExNotifications<Node::Provider>,
    /// The node's components.
    pub components: Node,
}

impl<Node: FullNodeComponents> ExExContext<Node> {
    /// The transaction pool.
    pub fn pool(&self) -> &Node::Pool {
        self.components.pool()
    }

    /// How blocks and calls are executed.
    pub fn evm_config(&self) -> &ZkEvmConfig {
        self.components.evm_config()
    }

    /// The databases.
    pub fn provider(&self) -> &Node::Provider {
        self.components.provider()
    }

    /// Where tasks are spawned.
    pub fn task_executor(&self) -> &TaskExecutor {
        self.components.task_executor()
    }

    /// The chain.
    pub fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        self.components.chain_spec()
    }

    /// Status of every stage.
    pub fn stages(&self) -> &StageRegistry {
        self.components.stages()
    }

    /// Way in for transactions from L1.
    pub fn l1_transactions(&self) -> &L1TxSender {
        self.components.l1_transactions()
    }

    /// Reports that everything up to and including a block has been handled.
    pub fn send_finished_height(&self, height: BlockNumHash) {
        self.events.send(ExExEvent::FinishedHeight(height));
    }
}
