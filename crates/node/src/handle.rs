//! reth: `node/builder/src/{node,handle}.rs`. The launched node.

use crate::NodeExitFuture;
use std::{ops::Deref, sync::Arc};
use zkos_engine::{ChainHead, EngineHandle};
use zkos_exex::ExExManagerHandle;
use zkos_node_core::{FullNodeComponents, NodeAddOns};

/// A launched node. Cheap to clone.
#[derive(Debug)]
pub struct FullNode<Node: FullNodeComponents, AddOns: NodeAddOns<Node>> {
    /// The components; also reachable by dereferencing.
    pub components: Node,
    /// The engine.
    pub engine: EngineHandle,
    /// Head after start-up recovery. The L1 watcher starts at its `next_l1_priority_id`.
    pub recovered_head: Arc<ChainHead>,
    /// The execution extensions.
    pub exex_manager: ExExManagerHandle,
    /// What the add-ons gave.
    pub add_ons_handle: AddOns::Handle,
}

impl<Node: FullNodeComponents, AddOns: NodeAddOns<Node>> Clone for FullNode<Node, AddOns> {
    fn clone(&self) -> Self {
        Self {
            components: self.components.clone(),
            engine: self.engine.clone(),
            recovered_head: self.recovered_head.clone(),
            exex_manager: self.exex_manager.clone(),
            add_ons_handle: self.add_ons_handle.clone(),
        }
    }
}

impl<Node: FullNodeComponents, AddOns: NodeAddOns<Node>> Deref for FullNode<Node, AddOns> {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.components
    }
}

/// Handle of a launched node.
#[derive(Debug)]
pub struct NodeHandle<Node: FullNodeComponents, AddOns: NodeAddOns<Node>> {
    /// The node.
    pub node: FullNode<Node, AddOns>,
    /// Resolves when the node stops.
    pub node_exit_future: NodeExitFuture,
}

impl<Node: FullNodeComponents, AddOns: NodeAddOns<Node>> NodeHandle<Node, AddOns> {
    /// Waits for the node to stop.
    ///
    /// # Errors
    /// When it stops by itself.
    pub async fn wait_for_node_exit(self) -> eyre::Result<()> {
        self.node_exit_future.await
    }
}
