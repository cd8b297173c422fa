//! reth: `node/builder/src/builder`. The typestate that leads to a launched node.
//!
//! ```text
//! NodeBuilder -> WithLaunchContext<NodeBuilder>
//!   -> with_types -> WithLaunchContext<NodeBuilderWithTypes<T>>
//!   -> with_components, with_add_ons -> WithLaunchContext<NodeBuilderWithComponents<T, CB, AO>>
//!   -> launch().await -> NodeHandle
//! ```

mod states;

pub use states::{NodeBuilderWithComponents, NodeBuilderWithTypes};

use crate::{
    DefaultNodeLauncher, FullNode, LaunchNode, Node, NodeAdapter, NodeComponentsBuilder,
    NodeHandle, NodeTypesWithStorage, RethRpcAddOns, RpcHandle,
};
use std::{future::Future, sync::Arc};
use tokio::sync::mpsc;
use zkos_engine::ImportRequest;
use zkos_exex::ExExContext;
use zkos_node_core::{
    FullNodeComponents, FullNodeTypes, NodeAddOns, NodeConfig, NodeTypes, TaskExecutor,
};
use zkos_primitives::{ProtocolVersion, ZkChainSpec};
use zkos_rpc::RpcContext;
use zkos_storage::StorageOptions;

/// What every state of the builder carries.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) config: NodeConfig,
    pub(crate) chain_spec: Option<Arc<ZkChainSpec>>,
    pub(crate) storage_options: StorageOptions,
    pub(crate) block_import: Option<mpsc::Receiver<ImportRequest>>,
    pub(crate) protocol_version: Option<ProtocolVersion>,
}

impl Base {
    /// The chain: given, or built from the genesis file of the configuration.
    pub(crate) fn load_chain_spec(&self) -> eyre::Result<Arc<ZkChainSpec>> {
        if let Some(spec) = &self.chain_spec {
            return Ok(spec.clone());
        }
        Ok(self.config.chain.load_spec(None)?)
    }
}

/// Begin of the builder chain.
#[derive(Debug)]
pub struct NodeBuilder {
    pub(crate) base: Base,
}

impl NodeBuilder {
    /// A builder for a configuration.
    pub fn new(config: NodeConfig) -> Self {
        Self {
            base: Base {
                config,
                chain_spec: None,
                storage_options: StorageOptions::default(),
                block_import: None,
                protocol_version: None,
            },
        }
    }

    /// Sets the chain instead of reading the genesis file of the configuration.
    // reth: the chain is part of `NodeConfig`.
    #[must_use]
    pub fn with_chain_spec(mut self, chain_spec: Arc<ZkChainSpec>) -> Self {
        self.base.chain_spec = Some(chain_spec);
        self
    }

    /// Sets sizes and delays of the storage.
    // reth: takes the opened database; here the launcher opens it, after the checks that need no database.
    #[must_use]
    pub fn with_storage_options(mut self, options: StorageOptions) -> Self {
        self.base.storage_options = options;
        self
    }

    /// Makes the node import blocks instead of producing them.
    #[must_use]
    pub fn with_block_import(mut self, records: mpsc::Receiver<ImportRequest>) -> Self {
        self.base.block_import = Some(records);
        self
    }

    /// Sets the protocol version of produced blocks, as L1 knows it. Without it the version follows from the head and from upgrade transactions.
    #[must_use]
    pub const fn with_protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.base.protocol_version = Some(version);
        self
    }

    /// Binds the builder to where tasks are spawned.
    pub const fn with_launch_context(self, task_executor: TaskExecutor) -> WithLaunchContext<Self> {
        WithLaunchContext { builder: self, task_executor }
    }
}

/// A builder in any state, with where tasks are spawned.
#[derive(Debug)]
pub struct WithLaunchContext<Builder> {
    pub(crate) builder: Builder,
    pub(crate) task_executor: TaskExecutor,
}

impl<Builder> WithLaunchContext<Builder> {
    /// Where tasks are spawned.
    pub const fn task_executor(&self) -> &TaskExecutor {
        &self.task_executor
    }

    fn map<Next>(self, f: impl FnOnce(Builder) -> Next) -> WithLaunchContext<Next> {
        WithLaunchContext { builder: f(self.builder), task_executor: self.task_executor }
    }

    /// Applies a function.
    #[must_use]
    pub fn apply(self, f: impl FnOnce(Self) -> Self) -> Self {
        f(self)
    }

    /// Applies a function if a condition holds.
    #[must_use]
    pub fn apply_if(self, condition: bool, f: impl FnOnce(Self) -> Self) -> Self {
        if condition { f(self) } else { self }
    }
}

impl WithLaunchContext<NodeBuilder> {
    /// The configuration.
    pub const fn config(&self) -> &NodeConfig {
        &self.builder.base.config
    }

    /// Fixes the stateless types.
    pub fn with_types<T: NodeTypes>(
        self,
    ) -> WithLaunchContext<NodeBuilderWithTypes<NodeTypesWithStorage<T>>> {
        self.map(|builder| NodeBuilderWithTypes::new(builder.base))
    }

    /// Types, components and add-ons of a preset.
    #[allow(clippy::type_complexity)]
    pub fn node<N>(
        self,
        node: N,
    ) -> WithLaunchContext<
        NodeBuilderWithComponents<NodeTypesWithStorage<N>, N::ComponentsBuilder, N::AddOns>,
    >
    where
        N: Node<NodeTypesWithStorage<N>>,
    {
        self.with_types::<N>()
            .with_components(node.components_builder())
            .with_add_ons(node.add_ons())
    }
}

impl<T: FullNodeTypes> WithLaunchContext<NodeBuilderWithTypes<T>> {
    /// Sets how components are built.
    pub fn with_components<CB: NodeComponentsBuilder<T>>(
        self,
        components_builder: CB,
    ) -> WithLaunchContext<NodeBuilderWithComponents<T, CB, ()>>
    where
        T::Provider: Unpin,
    {
        self.map(|builder| builder.with_components(components_builder))
    }
}

/// The components that hooks and extensions of a builder see.
type Adapter<T, CB> = NodeAdapter<T, <CB as NodeComponentsBuilder<T>>::Pool>;

impl<T, CB> WithLaunchContext<NodeBuilderWithComponents<T, CB, ()>>
where
    T: FullNodeTypes,
    T::Provider: Unpin,
    CB: NodeComponentsBuilder<T>,
{
    /// Sets the add-ons. Hooks on components and extensions added before stay; hooks on the started node are added after.
    // reth: replaces everything added before.
    pub fn with_add_ons<AO: NodeAddOns<Adapter<T, CB>>>(
        self,
        add_ons: AO,
    ) -> WithLaunchContext<NodeBuilderWithComponents<T, CB, AO>> {
        self.map(|builder| builder.with_add_ons(add_ons))
    }
}

impl<T, CB, AO> WithLaunchContext<NodeBuilderWithComponents<T, CB, AO>>
where
    T: FullNodeTypes,
    T::Provider: Unpin,
    CB: NodeComponentsBuilder<T>,
    AO: NodeAddOns<Adapter<T, CB>>,
{
    /// The configuration.
    pub const fn config(&self) -> &NodeConfig {
        &self.builder.base.config
    }

    /// Changes the add-ons.
    #[must_use]
    pub fn map_add_ons(self, f: impl FnOnce(AO) -> AO) -> Self {
        self.map(|mut builder| {
            builder.add_ons = f(builder.add_ons);
            builder
        })
    }

    /// Adds a hook that runs once the components exist, before extensions and engine.
    #[must_use]
    pub fn on_component_initialized(
        self,
        hook: impl FnOnce(Adapter<T, CB>) -> eyre::Result<()> + Send + 'static,
    ) -> Self {
        self.map(|mut builder| {
            builder.hooks.on_component_initialized.push(Box::new(hook));
            builder
        })
    }

    /// Adds a hook that runs when everything is started.
    #[must_use]
    pub fn on_node_started(
        self,
        hook: impl FnOnce(FullNode<Adapter<T, CB>, AO>) -> eyre::Result<()> + Send + 'static,
    ) -> Self {
        self.map(|mut builder| {
            builder.hooks.on_node_started.push(Box::new(hook));
            builder
        })
    }

    /// Installs an execution extension under a name. The closure's future initialises it, and its error aborts the launch; the future that this one returns runs as long as the
    /// node, and its end takes the node down.
    #[must_use]
    pub fn install_exex<F, R, E>(self, id: impl Into<String>, exex: F) -> Self
    where
        F: FnOnce(ExExContext<Adapter<T, CB>>) -> R + Send + 'static,
        R: Future<Output = eyre::Result<E>> + Send + 'static,
        E: Future<Output = eyre::Result<()>> + Send + 'static,
    {
        self.map(|mut builder| {
            builder.exexs.push((id.into(), Box::new(exex)));
            builder
        })
    }

    /// [`Self::install_exex`] if a condition holds.
    #[must_use]
    pub fn install_exex_if<F, R, E>(self, condition: bool, id: impl Into<String>, exex: F) -> Self
    where
        F: FnOnce(ExExContext<Adapter<T, CB>>) -> R + Send + 'static,
        R: Future<Output = eyre::Result<E>> + Send + 'static,
        E: Future<Output = eyre::Result<()>> + Send + 'static,
    {
        if condition { self.install_exex(id, exex) } else { self }
    }

    /// Adds a hook that adds RPC methods before the servers start.
    #[must_use]
    pub fn extend_rpc_modules(
        self,
        hook: impl FnOnce(&mut RpcContext<Adapter<T, CB>>) -> eyre::Result<()> + Send + 'static,
    ) -> Self
    where
        AO: RethRpcAddOns<Adapter<T, CB>>,
    {
        self.map(|mut builder| {
            builder.add_ons.hooks_mut().push_extend_rpc_modules(hook);
            builder
        })
    }

    /// Adds a hook that runs when the RPC servers have started.
    #[must_use]
    pub fn on_rpc_started(
        self,
        hook: impl FnOnce(&Adapter<T, CB>, &RpcHandle) -> eyre::Result<()> + Send + 'static,
    ) -> Self
    where
        AO: RethRpcAddOns<Adapter<T, CB>>,
    {
        self.map(|mut builder| {
            builder.add_ons.hooks_mut().push_on_rpc_started(hook);
            builder
        })
    }

    /// Launches with a launcher of one's own.
    ///
    /// # Errors
    /// The launcher's.
    pub async fn launch_with<L>(self, launcher: L) -> eyre::Result<L::Node>
    where
        L: LaunchNode<NodeBuilderWithComponents<T, CB, AO>>,
    {
        launcher.launch_node(self.builder).await
    }
}

impl<T, CB, AO> WithLaunchContext<NodeBuilderWithComponents<NodeTypesWithStorage<T>, CB, AO>>
where
    T: NodeTypes,
    CB: NodeComponentsBuilder<NodeTypesWithStorage<T>>,
    AO: NodeAddOns<Adapter<NodeTypesWithStorage<T>, CB>> + 'static,
    Adapter<NodeTypesWithStorage<T>, CB>: FullNodeComponents,
{
    /// Launches the node.
    ///
    /// # Errors
    /// When storage can't be opened, a component can't be built, a hook or the initialisation of an extension fails, start-up recovery fails, or a port is taken.
    pub async fn launch(
        self,
    ) -> eyre::Result<NodeHandle<Adapter<NodeTypesWithStorage<T>, CB>, AO>> {
        let launcher = DefaultNodeLauncher::new(self.task_executor.clone());
        self.launch_with(launcher).await
    }
}
