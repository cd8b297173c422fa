use alloy_primitives::Address;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use zkos_executor::ZkEvmConfig;
use zkos_node_core::{FullNodeComponents, StageRegistry, TaskExecutor};
use zkos_pool::TransactionPool;
use zkos_primitives::ZkChainSpec;
use zkos_storage_api::FullProvider;

/// The slice of a node that RPC needs. Implemented for every [`FullNodeComponents`].
pub trait RpcNodeCore: Clone + Send + Sync + 'static {
    /// Reads blocks and state.
    type Provider: FullProvider;
    /// The transaction pool.
    type Pool: TransactionPool + Clone + 'static;

    /// The databases.
    fn provider(&self) -> &Self::Provider;
    /// The transaction pool.
    fn pool(&self) -> &Self::Pool;
    /// How calls are executed.
    fn evm_config(&self) -> &ZkEvmConfig;
    /// The chain.
    fn chain_spec(&self) -> &Arc<ZkChainSpec>;
    /// Status of every stage.
    fn stages(&self) -> &StageRegistry;
    /// Where tasks are spawned.
    fn task_executor(&self) -> &TaskExecutor;
}

impl<N: FullNodeComponents> RpcNodeCore for N {
    type Provider = N::Provider;
    type Pool = N::Pool;

    fn provider(&self) -> &Self::Provider {
        FullNodeComponents::provider(self)
    }

    fn pool(&self) -> &Self::Pool {
        FullNodeComponents::pool(self)
    }

    fn evm_config(&self) -> &ZkEvmConfig {
        FullNodeComponents::evm_config(self)
    }

    fn chain_spec(&self) -> &Arc<ZkChainSpec> {
        FullNodeComponents::chain_spec(self)
    }

    fn stages(&self) -> &StageRegistry {
        FullNodeComponents::stages(self)
    }

    fn task_executor(&self) -> &TaskExecutor {
        FullNodeComponents::task_executor(self)
    }
}

/// What other parts of the node tell RPC after it was built. Shared, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RpcShared {
    inner: Arc<SharedInner>,
}

#[derive(Debug, Default)]
struct SharedInner {
    bridgehub: OnceLock<Address>,
    highest_block: AtomicU64,
}

impl RpcShared {
    /// Sets the bridgehub on the settlement layer. The first value stays.
    pub fn set_bridgehub(&self, address: Address) {
        // Both can only come from the same discovery, so a second value is the same one.
        let _ = self.inner.bridgehub.set(address);
    }

    /// Bridgehub, once known.
    pub fn bridgehub(&self) -> Option<Address> {
        self.inner.bridgehub.get().copied()
    }

    /// Sets the newest block known to exist (an external node hears it from the node it follows). Never goes down.
    pub fn set_highest_block(&self, number: u64) {
        self.inner.highest_block.fetch_max(number, Ordering::Relaxed);
    }

    /// Newest block known to exist; 0 when nobody told.
    pub fn highest_block(&self) -> u64 {
        self.inner.highest_block.load(Ordering::Relaxed)
    }
}
