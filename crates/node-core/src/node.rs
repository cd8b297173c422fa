//! reth: `node/api` and `node/types`. The traits that components, extensions and add-ons see.

use crate::{NodeConfig, StageRegistry, TaskExecutor};
use alloy_primitives::{B256, Bytes};
use reth_primitives_traits::NodePrimitives;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc};
use tokio::sync::mpsc;
use zkos_executor::ZkEvmConfig;
use zkos_pool::TransactionPool;
use zkos_primitives::{ZkChainSpec, ZkTxEnvelope};
use zkos_storage_api::{BlockWriter, ForkChoiceWriter, FullProvider};

/// The stateless types of a node.
pub trait NodeTypes: Clone + fmt::Debug + Send + Sync + Unpin + 'static {
    /// Blocks, transactions, receipts.
    type Primitives: NodePrimitives;
    /// Chain specification.
    type ChainSpec: Send + Sync + fmt::Debug;
}

/// Node types plus the provider over the opened databases. Implemented by [`FullNodeTypesAdapter`], not by users.
pub trait FullNodeTypes: Clone + fmt::Debug + Send + Sync + Unpin + 'static {
    /// The stateless types.
    type Types: NodeTypes;
    /// Reads and (for the engine) writes.
    type Provider: FullProvider + BlockWriter + ForkChoiceWriter;
}

/// Binds node types to a provider type.
pub struct FullNodeTypesAdapter<T, P>(PhantomData<fn() -> (T, P)>);

impl<T, P> Clone for FullNodeTypesAdapter<T, P> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T, P> fmt::Debug for FullNodeTypesAdapter<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullNodeTypesAdapter")
    }
}

impl<T, P> FullNodeTypes for FullNodeTypesAdapter<T, P>
where
    T: NodeTypes,
    P: FullProvider + BlockWriter + ForkChoiceWriter,
{
    type Types = T;
    type Provider = P;
}

/// A transaction that comes from L1, with the code it needs.
#[derive(Debug, Clone)]
pub struct L1Transaction {
    /// A priority (0x7f) or upgrade (0x7e) transaction.
    pub tx: ZkTxEnvelope,
    /// Raw code that the block offers to the VM under its blake2s hash; only upgrades carry any.
    pub force_preimages: Vec<(B256, Bytes)>,
}

/// The ordered, bounded way from the L1 watcher to the engine. Priority transactions must be sent in the order of their ids, without gaps. A full queue makes the
/// watcher wait; nothing is dropped.
pub type L1TxSender = mpsc::Sender<L1Transaction>;

/// A node's components, as hooks, extensions and add-ons receive them. Cheap to clone.
pub trait FullNodeComponents: FullNodeTypes {
    /// The transaction pool.
    type Pool: TransactionPool + Clone + Unpin + 'static;

    /// The transaction pool.
    fn pool(&self) -> &Self::Pool;
    /// How blocks and calls are executed.
    fn evm_config(&self) -> &ZkEvmConfig;
    /// The databases.
    fn provider(&self) -> &Self::Provider;
    /// Where tasks are spawned.
    fn task_executor(&self) -> &TaskExecutor;
    /// The chain.
    fn chain_spec(&self) -> &Arc<ZkChainSpec>;
    /// Effective configuration.
    fn config(&self) -> &Arc<NodeConfig>;
    /// Status of every stage.
    fn stages(&self) -> &StageRegistry;
    /// Way in for transactions from L1.
    fn l1_transactions(&self) -> &L1TxSender;
}

/// What add-ons are launched with.
#[derive(Debug, Clone)]
pub struct AddOnsContext<N: FullNodeComponents> {
    /// The components.
    pub node: N,
}

/// Things launched on top of the components, RPC servers above all.
pub trait NodeAddOns<N: FullNodeComponents>: Send {
    /// What callers get to hold.
    type Handle: Clone + fmt::Debug + Send + Sync + 'static;

    /// Starts the add-ons.
    ///
    /// # Errors
    /// When a server can't bind or a hook fails; the launch of the node is then aborted.
    fn launch_add_ons(
        self,
        ctx: AddOnsContext<N>,
    ) -> impl Future<Output = eyre::Result<Self::Handle>> + Send;
}

impl<N: FullNodeComponents> NodeAddOns<N> for () {
    type Handle = ();

    async fn launch_add_ons(self, _ctx: AddOnsContext<N>) -> eyre::Result<()> {
        Ok(())
    }
}
