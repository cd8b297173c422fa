//! reth: `node/builder/src/rpc.rs`. The RPC servers as add-ons of the node.

use eyre::WrapErr;
use std::fmt;
use zkos_node_core::{AddOnsContext, FullNodeComponents, NodeAddOns};
use zkos_rpc::{RpcBuilder, RpcContext, RpcServerHandle, RpcShared};

/// A hook that adds or changes methods before servers start.
type ExtendRpcModules<N> = Box<dyn FnOnce(&mut RpcContext<N>) -> eyre::Result<()> + Send>;
/// A hook on the running servers.
type OnRpcStarted<N> = Box<dyn FnOnce(&N, &RpcHandle) -> eyre::Result<()> + Send>;

/// Hooks on the launch of RPC, run in order; the first error aborts the launch.
// reth: a second hook of a kind replaces the first.
pub struct RpcHooks<N: FullNodeComponents> {
    extend_rpc_modules: Vec<ExtendRpcModules<N>>,
    on_rpc_started: Vec<OnRpcStarted<N>>,
}

impl<N: FullNodeComponents> RpcHooks<N> {
    /// Adds a hook that adds or changes methods before servers start.
    pub fn push_extend_rpc_modules(
        &mut self,
        hook: impl FnOnce(&mut RpcContext<N>) -> eyre::Result<()> + Send + 'static,
    ) {
        self.extend_rpc_modules.push(Box::new(hook));
    }

    /// Adds a hook on the running servers.
    pub fn push_on_rpc_started(
        &mut self,
        hook: impl FnOnce(&N, &RpcHandle) -> eyre::Result<()> + Send + 'static,
    ) {
        self.on_rpc_started.push(Box::new(hook));
    }
}

impl<N: FullNodeComponents> Default for RpcHooks<N> {
    fn default() -> Self {
        Self { extend_rpc_modules: Vec::new(), on_rpc_started: Vec::new() }
    }
}

impl<N: FullNodeComponents> fmt::Debug for RpcHooks<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcHooks")
            .field("extend_rpc_modules", &self.extend_rpc_modules.len())
            .field("on_rpc_started", &self.on_rpc_started.len())
            .finish()
    }
}

/// Add-ons that serve RPC, so that the builder can pass hooks on to them.
pub trait RethRpcAddOns<N: FullNodeComponents>: NodeAddOns<N> {
    /// The hooks.
    fn hooks_mut(&mut self) -> &mut RpcHooks<N>;
}

/// Serves the namespaces that the configuration selects.
#[derive(Debug)]
pub struct RpcAddOns<N: FullNodeComponents> {
    hooks: RpcHooks<N>,
    shared: RpcShared,
}

impl<N: FullNodeComponents> Default for RpcAddOns<N> {
    fn default() -> Self {
        Self { hooks: RpcHooks::default(), shared: RpcShared::default() }
    }
}

impl<N: FullNodeComponents> RpcAddOns<N> {
    /// Uses this to learn what other parts of the node know, such as the bridgehub.
    #[must_use]
    pub fn with_shared(mut self, shared: RpcShared) -> Self {
        self.shared = shared;
        self
    }
}

/// Running RPC servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RpcHandle {
    /// The HTTP and WebSocket server.
    pub server: RpcServerHandle,
    /// Way to tell RPC what other parts of the node know.
    pub shared: RpcShared,
}

impl<N: FullNodeComponents> NodeAddOns<N> for RpcAddOns<N> {
    type Handle = RpcHandle;

    async fn launch_add_ons(self, ctx: AddOnsContext<N>) -> eyre::Result<RpcHandle> {
        let node = ctx.node;
        let args = node.config().rpc.clone();
        let shared = self.shared;
        let mut context =
            RpcBuilder::new(node.clone(), args).with_shared(shared.clone()).build()?;
        for hook in self.hooks.extend_rpc_modules {
            hook(&mut context).wrap_err("extend_rpc_modules hook failed")?;
        }
        let server = context.start().await?;
        let handle = RpcHandle { server, shared };
        let stop = handle.server.clone();
        let task_name = "rpc-server";
        node.task_executor().spawn_critical_with_graceful_shutdown_signal(
            task_name,
            |shutdown| async move {
                tokio::select! {
                    // Running calls end before the databases close.
                    () = shutdown.signalled() => stop.stop(),
                    () = stop.clone().stopped() => eyre::bail!("rpc server has stopped"),
                }
                stop.stopped().await;
                Ok(())
            },
        );
        for hook in self.hooks.on_rpc_started {
            hook(&node, &handle).wrap_err("on_rpc_started hook failed")?;
        }
        Ok(handle)
    }
}

impl<N: FullNodeComponents> RethRpcAddOns<N> for RpcAddOns<N> {
    fn hooks_mut(&mut self) -> &mut RpcHooks<N> {
        &mut self.hooks
    }
}
