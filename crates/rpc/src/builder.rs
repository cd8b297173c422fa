use crate::{
    DebugApi, EthApi, EthFilter, EthPubSub, NetApi, RpcModules, RpcNodeCore, RpcServer,
    RpcServerError, RpcServerHandle, RpcShared, TraceApi, TxPoolApi, Web3Api, ZksApi,
    api::{
        DebugApiServer, EthApiServer, EthFilterApiServer, EthPubSubApiServer, NetApiServer,
        TraceApiServer, TxPoolApiServer, Web3ApiServer, ZksApiServer,
    },
};
use std::fmt;
use zkos_node_core::args::RpcServerArgs;

/// Builds the namespaces of a node and starts their server: `RpcBuilder::new(node, args).build()?` gives an [`RpcContext`], in which hooks add, replace or
/// remove methods, and [`RpcContext::start`] serves what is there then.
#[derive(Debug)]
pub struct RpcBuilder<N> {
    node: N,
    args: RpcServerArgs,
    shared: RpcShared,
}

impl<N: RpcNodeCore> RpcBuilder<N> {
    /// A builder over a node.
    pub fn new(node: N, args: RpcServerArgs) -> Self {
        Self { node, args, shared: RpcShared::default() }
    }

    /// Uses this instead of a new [`RpcShared`], so that its owner can tell RPC things before and after the build.
    #[must_use]
    pub fn with_shared(mut self, shared: RpcShared) -> Self {
        self.shared = shared;
        self
    }

    /// Builds the selected namespaces. Spawns the tasks behind them; nothing is served yet.
    ///
    /// # Errors
    /// When two namespaces register the same method, or the build lacks what the configuration asks for.
    pub fn build(self) -> Result<RpcContext<N>, RpcServerError> {
        let Self { node, args, shared } = self;
        if args.js_tracer && !cfg!(feature = "js-tracer") {
            return Err(RpcServerError::NoJsTracer);
        }
        let eth = EthApi::new(node.clone(), (&args).into(), shared);
        let filter = EthFilter::new(eth.clone());
        let pubsub = EthPubSub::new(eth.clone());
        let ws_api = args.ws_api.as_ref().unwrap_or(&args.http_api);
        let mut modules =
            RpcModules::with_transports(args.http_api.clone(), ws_api.clone(), args.ipc_api());
        modules.merge_if_module_configured("eth", EthApiServer::into_rpc(eth.clone()))?;
        modules.merge_if_module_configured("eth", filter.clone().into_rpc())?;
        modules.merge_if_module_configured("eth", pubsub.into_rpc())?;
        let net = NetApi::new(node.chain_spec().chain_id());
        modules.merge_if_module_configured("net", net.into_rpc())?;
        modules.merge_if_module_configured("web3", Web3Api.into_rpc())?;
        modules.merge_if_module_configured("txpool", TxPoolApi::new(eth.clone()).into_rpc())?;
        modules.merge_if_module_configured("zks", ZksApi::new(eth.clone()).into_rpc())?;
        modules.merge_if_module_configured("debug", DebugApi::new(eth.clone()).into_rpc())?;
        modules.merge_if_module_configured("trace", TraceApi::new(eth.clone()).into_rpc())?;
        Ok(RpcContext { node, args, eth, filter, modules })
    }
}

/// What hooks get to see and change between build and start (reth: `RpcContext`).
pub struct RpcContext<N: RpcNodeCore> {
    /// The node.
    pub node: N,
    /// Server configuration.
    pub args: RpcServerArgs,
    /// The `eth_` namespace, for use by other namespaces.
    pub eth: EthApi<N>,
    /// Log queries and polled filters.
    pub filter: EthFilter<N>,
    /// The methods that will be served.
    pub modules: RpcModules,
}

impl<N: RpcNodeCore> fmt::Debug for RpcContext<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcContext").field("modules", &self.modules).finish_non_exhaustive()
    }
}

impl<N: RpcNodeCore> RpcContext<N> {
    /// The way for other parts of the node to tell RPC things.
    pub fn shared(&self) -> &RpcShared {
        self.eth.shared()
    }

    /// The pool.
    pub fn pool(&self) -> &N::Pool {
        self.node.pool()
    }

    /// The databases.
    pub fn provider(&self) -> &N::Provider {
        self.node.provider()
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the address can't be bound or the configuration is wrong.
    pub async fn start(self) -> Result<RpcServerHandle, RpcServerError> {
        RpcServer::start(&self.args, self.modules).await
    }
}
