//! What differs between versions of the state transition function, in one table.
//!
//! The rest of the crate asks the [`ExecutionSpec`] of a block and never compares version numbers. A new
//! version is a new row; a value that starts to differ becomes a new column. Protocol versions 30.0 to 30.2
//! share execution version 5 (`zkos_primitives::PROTOCOL_VERSIONS` maps one to the other).

use crate::hooks::Precompile;
use alloy_primitives::{B256, U256};
use revm::primitives::hardfork::SpecId;

/// Rules of one execution version.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecutionSpec {
    /// Version number, as block contexts carry it.
    pub execution_version: u32,
    /// EVM level: instructions and their gas.
    pub hardfork: SpecId,
    /// First value of the rolling hash in the header's transactions root.
    pub transactions_root_seed: B256,
    /// What PREVRANDAO gives and the header's mix hash holds: the prover has no randomness beacon.
    pub prev_randao: U256,
    /// What BLOBBASEFEE gives.
    pub blob_base_fee: U256,
    /// Most L2 to L1 logs of a block: leaves of its log tree.
    pub max_l2_to_l1_logs: u64,
    /// Native of ADDMOD without the step.
    pub(crate) addmod_native: u16,
    /// Native of MULMOD without the step.
    pub(crate) mulmod_native: u16,
    /// Precompiles by the last two bytes of their address.
    pub(crate) precompiles: &'static [(u16, Precompile)],
}

/// All execution versions the crate implements, ascending.
pub const EXECUTION_SPECS: &[ExecutionSpec] = &[ExecutionSpec {
    execution_version: 5,
    hardfork: SpecId::CANCUN,
    transactions_root_seed: B256::ZERO,
    prev_randao: U256::ONE,
    blob_base_fee: U256::ONE,
    max_l2_to_l1_logs: 16_384,
    addmod_native: 2_000,
    mulmod_native: 4_000,
    precompiles: &[
        (0x01, Precompile::EcRecover),
        (0x02, Precompile::Sha256),
        (0x03, Precompile::Ripemd160),
        (0x04, Precompile::Identity),
        (0x05, Precompile::ModExp),
        (0x06, Precompile::Bn254Add),
        (0x07, Precompile::Bn254Mul),
        (0x08, Precompile::Bn254Pairing),
        (0x100, Precompile::P256Verify),
    ],
}];

impl ExecutionSpec {
    /// Rules of an execution version, none if the crate does not implement it.
    pub fn of(execution_version: u32) -> Option<&'static Self> {
        EXECUTION_SPECS.iter().find(|spec| spec.execution_version == execution_version)
    }

    /// The newest rules.
    pub const fn latest() -> &'static Self {
        &EXECUTION_SPECS[EXECUTION_SPECS.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkos_primitives::PROTOCOL_VERSIONS;

    #[test]
    fn every_protocol_version_has_rules() {
        for protocol in PROTOCOL_VERSIONS {
            let spec = ExecutionSpec::of(protocol.execution_version);
            assert!(spec.is_some(), "protocol version {}", protocol.version);
        }
        assert!(ExecutionSpec::of(0).is_none());
        assert!(EXECUTION_SPECS.is_sorted_by_key(|spec| spec.execution_version));
    }
}
