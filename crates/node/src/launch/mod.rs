//! reth: `node/builder/src/launch`. From a finished builder to a running node.
//!
//! Order: metrics recorder and endpoint, genesis, databases, components, `on_component_initialized`, execution extensions (each initialised in turn), engine, start-up
//! recovery, status endpoint, add-ons, `on_node_started`. Whatever fails aborts the launch; the runner then shuts down what runs already.

mod pruning;

use crate::{
    BuilderContext, FullNode, NodeAdapter, NodeBuilderWithComponents, NodeComponentsBuilder,
    NodeExitFuture, NodeHandle, NodeTypesWithStorage, builder::Base,
};
use eyre::WrapErr;
use std::{future::Future, sync::Arc, time::Instant};
use tokio::sync::mpsc;
use tracing::{debug, info};
use zkos_engine::{Engine, EngineConfig, EngineMode};
use zkos_exex::{BoxedLaunchExEx, ExExContext, ExExManagerBuilder, ExExManagerHandle};
use zkos_node_core::{
    AddOnsContext, FullNodeComponents, L1Transaction, NodeAddOns, NodeTypes, StageRegistry,
    TaskExecutor, metrics_server,
};
use zkos_primitives::ZkChainSpec;
use zkos_storage::{BlockchainProvider, Storage};
use zkos_storage_api::BlockNumReader;

/// Transactions from L1 that may wait for the engine.
const L1_TRANSACTIONS_BUFFER: usize = 256;

/// Launches a node from a finished builder. Implemented for closures.
pub trait LaunchNode<Target>: Send {
    /// The launched node.
    type Node;

    /// Launches it.
    ///
    /// # Errors
    /// When the launch is aborted.
    fn launch_node(self, target: Target) -> impl Future<Output = eyre::Result<Self::Node>> + Send;
}

impl<Target, F, Fut, N> LaunchNode<Target> for F
where
    F: FnOnce(Target) -> Fut + Send,
    Fut: Future<Output = eyre::Result<N>> + Send,
{
    type Node = N;

    fn launch_node(self, target: Target) -> impl Future<Output = eyre::Result<N>> + Send {
        self(target)
    }
}

/// The stock launcher.
#[derive(Debug, Clone)]
pub struct DefaultNodeLauncher {
    task_executor: TaskExecutor,
}

impl DefaultNodeLauncher {
    /// A launcher that spawns there.
    pub const fn new(task_executor: TaskExecutor) -> Self {
        Self { task_executor }
    }

    /// Opens the databases on the blocking pool.
    async fn open_storage(
        &self,
        base: &Base,
        chain_spec: &Arc<ZkChainSpec>,
    ) -> eyre::Result<BlockchainProvider> {
        let path = base.config.data_dir().root().to_owned();
        let (options, spec) = (base.storage_options.clone(), chain_spec.clone());
        let (provider, _heads) = self
            .task_executor
            .spawn_blocking(move || Storage::open(&path, &spec, options))
            .await?
            .wrap_err("can't open the databases")?;
        Ok(provider)
    }

    /// Initialises the extensions one after the other and spawns them with their manager.
    async fn launch_exexs<Node: FullNodeComponents>(
        &self,
        node: &Node,
        exexs: Vec<(String, Box<dyn BoxedLaunchExEx<Node>>)>,
    ) -> eyre::Result<ExExManagerHandle>
    where
        Node::Provider: Unpin,
    {
        let mut builder = ExExManagerBuilder::new(exexs.len(), node.stages().clone());
        for (id, exex) in exexs {
            let channels = builder.register(
                &id,
                node.provider().clone(),
                node.evm_config().clone(),
                self.task_executor.clone(),
            );
            let context = ExExContext {
                head: node.provider().chain_info()?.into(),
                config: node.config().clone(),
                events: channels.events,
                notifications: channels.notifications,
                components: node.clone(),
            };
            let running = exex
                .launch(context)
                .await
                .wrap_err_with(|| format!("execution extension {id} failed to initialise"))?;
            info!(target: "exex", %id, "execution extension started");
            self.task_executor.spawn_critical_task(format!("exex {id}"), running);
        }
        let (manager, handle) = builder.build();
        if handle.has_exexs() {
            self.task_executor.spawn_critical_task("exex manager", manager.run());
        }
        Ok(handle)
    }
}

impl<T, CB, AO> LaunchNode<NodeBuilderWithComponents<NodeTypesWithStorage<T>, CB, AO>>
    for DefaultNodeLauncher
where
    T: NodeTypes,
    CB: NodeComponentsBuilder<NodeTypesWithStorage<T>>,
    AO: NodeAddOns<NodeAdapter<NodeTypesWithStorage<T>, CB::Pool>> + 'static,
{
    type Node = NodeHandle<NodeAdapter<NodeTypesWithStorage<T>, CB::Pool>, AO>;

    async fn launch_node(
        self,
        target: NodeBuilderWithComponents<NodeTypesWithStorage<T>, CB, AO>,
    ) -> eyre::Result<Self::Node> {
        let started = Instant::now();
        let NodeBuilderWithComponents { mut base, components_builder, add_ons, hooks, exexs } =
            target;
        let chain_spec = base.load_chain_spec()?;
        let stages = StageRegistry::default();

        // Before any component registers a metric: what is registered earlier goes nowhere.
        if base.config.metrics.enabled {
            let recorder = metrics_server::install_recorder()?;
            let address = base.config.metrics.socket_addr();
            let bound =
                metrics_server::serve_metrics(address, recorder, &self.task_executor).await?;
            info!(target: "node", address = %bound, "metrics endpoint started");
        }

        let provider = self.open_storage(&base, &chain_spec).await?;
        let prunes = provider.prunes_state();
        if prunes && !exexs.is_empty() {
            // Before anybody can say which blocks are final.
            pruning::hold_all(&provider);
        }
        let head = provider.chain_info()?;
        info!(
            target: "node",
            chain_id = chain_spec.chain_id(),
            head = head.best_number,
            hash = %head.best_hash,
            "databases opened"
        );
        let block_import = base.block_import.take();
        let protocol_version = base.protocol_version;
        let config = Arc::new(base.config);
        let context = BuilderContext {
            head: head.into(),
            provider,
            task_executor: self.task_executor.clone(),
            config: config.clone(),
            chain_spec: chain_spec.clone(),
            stages: stages.clone(),
        };
        let components = components_builder.build_components(&context).await?;
        let (l1_sender, l1_transactions) = mpsc::channel::<L1Transaction>(L1_TRANSACTIONS_BUFFER);
        let node: NodeAdapter<NodeTypesWithStorage<T>, CB::Pool> = NodeAdapter {
            components,
            provider: context.provider,
            task_executor: self.task_executor.clone(),
            chain_spec,
            config: config.clone(),
            stages: stages.clone(),
            l1_transactions: l1_sender,
        };
        debug!(target: "node", "components built");
        for hook in hooks.on_component_initialized {
            hook(node.clone()).wrap_err("on_component_initialized hook failed")?;
        }

        let exex_manager = self.launch_exexs(&node, exexs).await?;
        if prunes {
            let (slowest, stage) = (exex_manager.slowest(), stages.register(pruning::STAGE));
            let follow = pruning::follow_extensions(node.provider().clone(), slowest, stage);
            self.task_executor.spawn_critical_task("prune gate", follow);
        }

        let mut engine_config = EngineConfig::new(&config);
        engine_config.protocol_version = protocol_version;
        let engine = Engine {
            config: engine_config,
            evm_config: node.evm_config().clone(),
            provider: node.provider().clone(),
            pool: node.pool().clone(),
            extensions: exex_manager.sender(),
            stages: stages.clone(),
        };
        let mode = match block_import {
            Some(records) => EngineMode::Import { records },
            None => EngineMode::Produce { l1_transactions },
        };
        // Early, so that a long recovery can be watched.
        if config.status.enabled {
            let address = config.status.address;
            let bound = metrics_server::serve_status(address, stages, &self.task_executor).await?;
            info!(target: "node", address = %bound, "status endpoint started");
        }
        let engine = engine.spawn(mode, &self.task_executor)?;
        let recovered_head = Arc::new(engine.recovered().await?);

        let add_ons_handle = add_ons.launch_add_ons(AddOnsContext { node: node.clone() }).await?;
        let node_exit_future =
            NodeExitFuture::new(engine.clone(), self.task_executor.on_shutdown_signal());
        let node =
            FullNode { components: node, engine, recovered_head, exex_manager, add_ons_handle };
        for hook in hooks.on_node_started {
            hook(node.clone()).wrap_err("on_node_started hook failed")?;
        }
        info!(target: "node", elapsed = ?started.elapsed(), "node started");
        Ok(NodeHandle { node, node_exit_future })
    }
}
