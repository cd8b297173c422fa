use crate::{BatchReader, StateProver, ZksApiError};
use alloy_primitives::Address;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tokio::sync::watch;
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
#[derive(Clone, Default)]
pub struct RpcShared {
    inner: Arc<SharedInner>,
}

impl fmt::Debug for RpcShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcShared")
            .field("bridgehub", &self.bridgehub())
            .field("highest_block", &self.highest_block())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct SharedInner {
    bridgehub: OnceLock<Address>,
    bytecode_supplier: OnceLock<Address>,
    batches: OnceLock<Arc<dyn BatchReader>>,
    state_prover: OnceLock<Arc<dyn StateProver>>,
    highest_block: watch::Sender<u64>,
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

    /// Sets the contract that publishes bytecodes for upgrades. The first value stays.
    pub fn set_bytecode_supplier(&self, address: Address) {
        let _ = self.inner.bytecode_supplier.set(address);
    }

    /// Bytecode supplier, once known.
    pub fn bytecode_supplier(&self) -> Option<Address> {
        self.inner.bytecode_supplier.get().copied()
    }

    /// Installs what `zks_` reads batches from. The first one stays.
    pub fn set_batches(&self, batches: Arc<dyn BatchReader>) {
        let _ = self.inner.batches.set(batches);
    }

    /// Batches.
    ///
    /// # Errors
    /// When nobody installed any.
    pub fn batches(&self) -> Result<Arc<dyn BatchReader>, ZksApiError> {
        self.inner.batches.get().cloned().ok_or(ZksApiError::NoBatches)
    }

    /// Installs what `zks_getProof` gets its proofs from. The first one stays.
    pub fn set_state_prover(&self, prover: Arc<dyn StateProver>) {
        let _ = self.inner.state_prover.set(prover);
    }

    /// Proofs from the state tree.
    ///
    /// # Errors
    /// When nobody installed them.
    pub fn state_prover(&self) -> Result<Arc<dyn StateProver>, ZksApiError> {
        self.inner.state_prover.get().cloned().ok_or(ZksApiError::NoStateTree)
    }

    /// Sets the newest block known to exist (an external node hears it from the node it follows). Never goes down.
    pub fn set_highest_block(&self, number: u64) {
        self.inner.highest_block.send_if_modified(|highest| {
            let higher = number > *highest;
            *highest = number.max(*highest);
            higher
        });
    }

    /// Newest block known to exist; 0 when nobody told.
    pub fn highest_block(&self) -> u64 {
        *self.inner.highest_block.borrow()
    }

    /// Follows [`Self::highest_block`].
    pub fn watch_highest_block(&self) -> watch::Receiver<u64> {
        self.inner.highest_block.subscribe()
    }
}
