//! The local chain that the binary carries: genesis, L1 state, addresses and public keys. Nothing here is used on an L1 that is not local, but for the genesis and the
//! bridgehub, which simply do not exist there.

use alloy_primitives::{Address, B256};
use eyre::WrapErr;
use serde::Deserialize;

/// Genesis of chain 270.
pub(crate) const GENESIS: &str = include_str!("../../../genesis.json");
/// State of the local L1 for anvil.
pub(crate) const L1_STATE: &str = include_str!("../../../etc/l1/zkos-l1-state.json");
const DEPLOYMENT: &str = include_str!("../../../etc/l1/deployment.json");

/// What was deployed on the local L1.
#[derive(Debug, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) contracts: Contracts,
    pub(crate) operators: Operators,
    pub(crate) rich_account: Account,
    pub(crate) anvil_version: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Contracts {
    pub(crate) bridgehub: Address,
    pub(crate) bytecodes_supplier: Address,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Operators {
    pub(crate) commit: Account,
    pub(crate) prove: Account,
    pub(crate) execute: Account,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) private_key: B256,
}

/// Reads the description that the binary carries.
pub(crate) fn deployment() -> eyre::Result<Deployment> {
    serde_json::from_str(DEPLOYMENT).wrap_err("deployment.json in this binary is malformed")
}
