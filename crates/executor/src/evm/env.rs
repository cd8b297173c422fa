//! Block environment and rules in the form of alloy-evm.

use crate::{ExecutionError, ExecutionSpec, StateError, env::BlockEnv as Env};
use alloy_evm::{EvmEnv, env::BlockEnvironment};
use alloy_primitives::{Address, B256, Bytes, U256};
use core::{
    fmt::{self, Debug},
    hash::{Hash, Hasher},
};
use revm::{
    context::{Block, BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
};
use std::sync::Arc;
use zkos_primitives::{AccountProperties, BlockContext, BlockHashes};

/// Rules of a block: alloy-evm's name for an [`ExecutionSpec`].
#[derive(Clone, Copy)]
pub struct ZkSpecId(&'static ExecutionSpec);

impl ZkSpecId {
    /// The rules behind the name.
    pub const fn rules(self) -> &'static ExecutionSpec {
        self.0
    }
}

impl From<&'static ExecutionSpec> for ZkSpecId {
    fn from(spec: &'static ExecutionSpec) -> Self {
        Self(spec)
    }
}

impl Default for ZkSpecId {
    fn default() -> Self {
        Self(ExecutionSpec::latest())
    }
}

impl From<ZkSpecId> for SpecId {
    fn from(spec: ZkSpecId) -> Self {
        spec.0.hardfork
    }
}

impl PartialEq for ZkSpecId {
    fn eq(&self, other: &Self) -> bool {
        self.0.execution_version == other.0.execution_version
    }
}

impl Eq for ZkSpecId {}

impl Hash for ZkSpecId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.execution_version.hash(state);
    }
}

impl Debug for ZkSpecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ZkSpecId").field(&self.0.execution_version).finish()
    }
}

/// What the protocol knows of the state before a block and revm's `Database` cannot say.
///
/// Native prices, and with them gas, depend on whether a leaf is in the state tree: a slot that was set to
/// zero is, a slot that was never written is not, and `Database::storage` gives zero for both. Account
/// records also tell an account that was deployed with empty code from one without code.
///
/// Without a source the executor assumes that a leaf exists if and only if its value is not the default one,
/// and that an account has an execution environment if and only if it has code. Both hold for a state that no
/// ZKsync OS block has touched yet (tests, forks of other chains, state overrides).
pub trait TreeSource: Debug + Send + Sync {
    /// Account record before the block, `None` if its leaf is absent.
    fn account(&self, address: Address) -> Result<Option<AccountProperties>, StateError>;

    /// Whether the leaf of a slot is present before the block.
    fn has_slot(&self, address: Address, slot: U256) -> Result<bool, StateError>;

    /// Preimage of a blake2s hash, as [`StateView::preimage`](crate::StateView::preimage). Protocol upgrades
    /// name the code of force deployments by it.
    fn preimage(&self, hash: B256) -> Result<Option<Bytes>, StateError>;
}

/// Block environment: revm's, and the fields of the block context that it lacks.
#[derive(Debug, Clone, Default)]
pub struct ZkBlockEnv {
    /// revm's part. `prevrandao`, `difficulty` and blob fields are fixed by the rules and not read.
    pub inner: BlockEnv,
    /// Price of pubdata in wei per byte.
    pub pubdata_price: U256,
    /// Price of the native resource in wei per unit; zero makes every L2 transaction a fatal error.
    pub native_price: U256,
    /// Limit of charged pubdata of the block in bytes.
    pub pubdata_limit: u64,
    /// Hashes of the last 256 blocks; `None` asks the database.
    pub block_hashes: Option<BlockHashes>,
    /// What the database cannot say; see [`TreeSource`].
    pub tree: Option<Arc<dyn TreeSource>>,
}

impl From<&BlockContext> for ZkBlockEnv {
    fn from(context: &BlockContext) -> Self {
        Self {
            inner: BlockEnv {
                number: U256::from(context.block_number),
                beneficiary: context.coinbase,
                timestamp: U256::from(context.timestamp),
                gas_limit: context.gas_limit,
                basefee: context.eip1559_basefee.saturating_to(),
                ..Default::default()
            },
            pubdata_price: context.pubdata_price,
            native_price: context.native_price,
            pubdata_limit: context.pubdata_limit,
            block_hashes: Some(context.block_hashes.clone()),
            tree: None,
        }
    }
}

impl Block for ZkBlockEnv {
    fn number(&self) -> U256 {
        self.inner.number
    }
    fn beneficiary(&self) -> Address {
        self.inner.beneficiary
    }
    fn timestamp(&self) -> U256 {
        self.inner.timestamp
    }
    fn gas_limit(&self) -> u64 {
        self.inner.gas_limit
    }
    fn basefee(&self) -> u64 {
        self.inner.basefee
    }
    fn difficulty(&self) -> U256 {
        self.inner.difficulty
    }
    fn prevrandao(&self) -> Option<B256> {
        self.inner.prevrandao
    }
    fn blob_excess_gas_and_price(&self) -> Option<BlobExcessGasAndPrice> {
        self.inner.blob_excess_gas_and_price
    }
}

impl BlockEnvironment for ZkBlockEnv {
    fn inner_mut(&mut self) -> &mut BlockEnv {
        &mut self.inner
    }
}

/// alloy-evm's environment with our rules and block.
pub type ZkEvmEnv = EvmEnv<ZkSpecId, ZkBlockEnv>;

/// Environment of the block that `context` describes.
///
/// # Errors
/// If the execution version is unknown or the context is outside of what the protocol can represent.
pub fn evm_env(context: &BlockContext) -> Result<ZkEvmEnv, ExecutionError> {
    let spec = ExecutionSpec::of(context.execution_version).ok_or(
        ExecutionError::UnknownExecutionVersion {
            block_number: context.block_number,
            execution_version: context.execution_version,
        },
    )?;
    Env::new(context, spec)?;
    let cfg = CfgEnv::new_with_spec(ZkSpecId(spec)).with_chain_id(context.chain_id);
    Ok(EvmEnv::new(cfg, ZkBlockEnv::from(context)))
}

/// The executor's own form. Numbers out of range are clamped here and refused by [`check`].
pub(super) fn executor_env(env: &ZkEvmEnv) -> Env {
    let block = &env.block_env;
    let hashes = block.block_hashes.as_ref().map(|hashes| hashes.0.clone());
    Env {
        spec: env.cfg_env.spec.0,
        chain_id: env.cfg_env.chain_id,
        number: block.inner.number.saturating_to(),
        timestamp: block.inner.timestamp.saturating_to(),
        base_fee: U256::from(block.inner.basefee),
        pubdata_price: block.pubdata_price,
        native_price: block.native_price,
        coinbase: block.inner.beneficiary,
        gas_limit: block.inner.gas_limit,
        pubdata_limit: block.pubdata_limit,
        parent_hash: hashes.as_ref().map_or(B256::ZERO, |hashes| hashes[255].into()),
        block_hashes: hashes,
    }
}

/// Refuses what the protocol cannot represent.
pub(super) fn check(env: &ZkEvmEnv, executor: &Env) -> Result<(), ExecutionError> {
    let inner = &env.block_env.inner;
    if inner.number > U256::from(u64::MAX) || inner.timestamp > U256::from(u64::MAX) {
        return Err(ExecutionError::InvalidContext {
            block_number: executor.number,
            reason: "block number or timestamp exceeds u64",
        });
    }
    executor.check()
}
