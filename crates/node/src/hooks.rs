//! reth: `node/builder/src/hooks.rs`.

use std::fmt;

/// A hook on the components.
pub(crate) type OnComponentInitialized<Node> = Box<dyn FnOnce(Node) -> eyre::Result<()> + Send>;
/// A hook on the launched node.
pub(crate) type OnNodeStarted<Full> = Box<dyn FnOnce(Full) -> eyre::Result<()> + Send>;

/// Hooks on the launch of a node. All of them run, in the order in which they were added; the first error aborts the launch.
// reth: a second hook of a kind replaces the first; here they are lists, so that plug-ins compose.
pub struct NodeHooks<Node, Full> {
    pub(crate) on_component_initialized: Vec<OnComponentInitialized<Node>>,
    pub(crate) on_node_started: Vec<OnNodeStarted<Full>>,
}

impl<Node, Full> Default for NodeHooks<Node, Full> {
    fn default() -> Self {
        Self { on_component_initialized: Vec::new(), on_node_started: Vec::new() }
    }
}

impl<Node, Full> fmt::Debug for NodeHooks<Node, Full> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHooks")
            .field("on_component_initialized", &self.on_component_initialized.len())
            .field("on_node_started", &self.on_node_started.len())
            .finish()
    }
}
