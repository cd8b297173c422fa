//! The chain specification.

use crate::{
    genesis::{Genesis, GenesisError, GenesisState},
    version::ProtocolVersion,
};
use std::sync::Arc;

/// Execution version assumed for a genesis file that names none.
pub const DEFAULT_EXECUTION_VERSION: u32 = 5;

/// What makes a chain this chain: its id and its genesis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ZkChainSpec {
    chain_id: u64,
    genesis: Arc<Genesis>,
    genesis_state: Arc<GenesisState>,
}

impl ZkChainSpec {
    /// Builds the specification and the genesis state.
    pub fn new(chain_id: u64, genesis: Genesis) -> Result<Self, GenesisError> {
        let genesis_state = genesis.state()?;
        Ok(Self { chain_id, genesis: genesis.into(), genesis_state: genesis_state.into() })
    }

    /// Chain id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Contents of the genesis file.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// State of block 0.
    pub fn genesis_state(&self) -> &GenesisState {
        &self.genesis_state
    }

    /// Execution version of block 0: the one in the genesis file, or the default.
    pub fn genesis_execution_version(&self) -> u32 {
        self.genesis.execution_version.unwrap_or(DEFAULT_EXECUTION_VERSION)
    }

    /// Execution version of a block under `version`; none if the node cannot run it.
    pub fn execution_version(&self, version: ProtocolVersion) -> Option<u32> {
        version.execution_version()
    }
}
