//! The account record and its 124-byte encoding.

use crate::{
    bytecode::{StoredBytecode, delegation_designator, pad_and_artifacts},
    hash::blake2s,
};
use alloy_primitives::{Address, B256, U256, b256};

/// Length of an encoded account record in bytes.
pub const ACCOUNT_PROPERTIES_LEN: usize = 124;
/// Versioning word of a deployed EVM contract.
pub const VERSIONING_DEPLOYED_EVM: u64 = 0x0101_0100_0000_0000;
/// Versioning word of an account that delegates its code (EIP-7702).
pub const VERSIONING_DELEGATED: u64 = 0x0201_0100_0000_0000;
/// Hash of the record whose fields are all zero. An absent record means the same account.
pub const TRIVIAL_ACCOUNT_HASH: B256 =
    b256!("7a2b5e8d3961f5c992b2fa0ad45881ac0873fd0dced3c4b9085b02879c8a02b2");

/// Deployment status: the most significant byte of the versioning word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// No code was ever set, or it was cleared.
    None,
    /// Deployed contract; its code may be empty.
    Deployed,
    /// EIP-7702 delegation.
    Delegated,
    /// A value that no known protocol version writes.
    Unknown(u8),
}

/// Error of [`AccountProperties::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountDecodeError {
    /// Wrong number of bytes.
    #[error("account record has {0} bytes instead of 124")]
    Length(usize),
}

/// Everything the state holds about an account besides its storage slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountProperties {
    /// Status, execution environment and code version; see [`VERSIONING_DEPLOYED_EVM`].
    pub versioning: u64,
    /// Nonce.
    pub nonce: u64,
    /// Balance in wei of the base token.
    pub balance: U256,
    /// Blake2s of the stored bytecode (code, padding, artifacts); zero without code.
    pub bytecode_hash: B256,
    /// Length of the code in bytes.
    pub unpadded_code_len: u32,
    /// Length of the artifacts in bytes.
    pub artifacts_len: u32,
    /// Keccak-256 of the code, as `EXTCODEHASH` shows it; zero without code.
    pub observable_bytecode_hash: B256,
    /// Length of the code as `EXTCODESIZE` shows it.
    pub observable_bytecode_len: u32,
}

impl AccountProperties {
    /// Account without code.
    pub fn new_eoa(nonce: u64, balance: U256) -> Self {
        Self { nonce, balance, ..Default::default() }
    }

    /// Sets all code fields to those of a deployed contract and returns the bytecode's stored form.
    pub fn set_deployed_code(&mut self, code: &[u8]) -> StoredBytecode {
        self.set_code(code, VERSIONING_DEPLOYED_EVM)
    }

    /// Sets all code fields to those of a delegation to `target` and returns the stored form of
    /// the designator.
    pub fn set_delegation(&mut self, target: Address) -> StoredBytecode {
        self.set_code(&delegation_designator(target), VERSIONING_DELEGATED)
    }

    /// Clears all code fields (end of a delegation).
    pub fn clear_code(&mut self) {
        *self = Self::new_eoa(self.nonce, self.balance);
    }

    fn set_code(&mut self, code: &[u8], versioning: u64) -> StoredBytecode {
        let stored = pad_and_artifacts(code);
        self.versioning = versioning;
        self.bytecode_hash = stored.bytecode_hash;
        self.unpadded_code_len = stored.code_len;
        self.artifacts_len = stored.artifacts_len;
        self.observable_bytecode_hash = stored.observable_hash;
        self.observable_bytecode_len = stored.code_len;
        stored
    }

    /// Deployment status of the account.
    pub const fn deployment_status(&self) -> DeploymentStatus {
        match (self.versioning >> 56) as u8 {
            0 => DeploymentStatus::None,
            1 => DeploymentStatus::Deployed,
            2 => DeploymentStatus::Delegated,
            other => DeploymentStatus::Unknown(other),
        }
    }

    /// Execution environment: 0 none, 1 EVM.
    pub const fn execution_environment(&self) -> u8 {
        (self.versioning >> 48) as u8
    }

    /// True if the account delegates its code.
    pub const fn is_delegated(&self) -> bool {
        matches!(self.deployment_status(), DeploymentStatus::Delegated)
    }

    /// True for an account with code that is not a delegation; its owner cannot send transactions
    /// (EIP-3607).
    pub const fn is_contract(&self) -> bool {
        self.observable_bytecode_len != 0 && !self.is_delegated()
    }

    /// Empty in the sense of EIP-161: no nonce, no balance, no code.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.observable_bytecode_len == 0
    }

    /// True if all fields are zero, the state of an account that was never written.
    pub fn is_trivial(&self) -> bool {
        *self == Self::default()
    }

    /// Length of the stored bytecode in bytes: code, padding and artifacts.
    pub const fn full_bytecode_len(&self) -> usize {
        let code = self.unpadded_code_len as usize;
        code + crate::bytecode::bytecode_padding_len(code) + self.artifacts_len as usize
    }

    /// The 124-byte encoding; all integers big endian.
    pub fn encode(&self) -> [u8; ACCOUNT_PROPERTIES_LEN] {
        let mut out = [0u8; ACCOUNT_PROPERTIES_LEN];
        out[0..8].copy_from_slice(&self.versioning.to_be_bytes());
        out[8..16].copy_from_slice(&self.nonce.to_be_bytes());
        out[16..48].copy_from_slice(&self.balance.to_be_bytes::<32>());
        out[48..80].copy_from_slice(self.bytecode_hash.as_slice());
        out[80..84].copy_from_slice(&self.unpadded_code_len.to_be_bytes());
        out[84..88].copy_from_slice(&self.artifacts_len.to_be_bytes());
        out[88..120].copy_from_slice(self.observable_bytecode_hash.as_slice());
        out[120..124].copy_from_slice(&self.observable_bytecode_len.to_be_bytes());
        out
    }

    /// Reads the 124-byte encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, AccountDecodeError> {
        let bytes: &[u8; ACCOUNT_PROPERTIES_LEN] =
            bytes.try_into().map_err(|_| AccountDecodeError::Length(bytes.len()))?;
        let u64_at = |at: usize| u64::from_be_bytes(core::array::from_fn(|i| bytes[at + i]));
        let u32_at = |at: usize| u32::from_be_bytes(core::array::from_fn(|i| bytes[at + i]));
        Ok(Self {
            versioning: u64_at(0),
            nonce: u64_at(8),
            balance: U256::from_be_slice(&bytes[16..48]),
            bytecode_hash: B256::from_slice(&bytes[48..80]),
            unpadded_code_len: u32_at(80),
            artifacts_len: u32_at(84),
            observable_bytecode_hash: B256::from_slice(&bytes[88..120]),
            observable_bytecode_len: u32_at(120),
        })
    }

    /// Blake2s of the encoding: the value of the account's leaf in the state tree.
    pub fn compute_hash(&self) -> B256 {
        blake2s(self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};
    use proptest::prelude::*;

    #[test]
    fn known_hashes() {
        assert_eq!(AccountProperties::default().compute_hash(), TRIVIAL_ACCOUNT_HASH);
        let eoa = AccountProperties::new_eoa(1, U256::from(10u64.pow(18)));
        assert_eq!(
            eoa.compute_hash(),
            b256!("b12b08b76da99fbea7742adc0288e17288bb1427381d994c5ecc453e053926b0")
        );

        let mut contract = AccountProperties::default();
        contract.set_deployed_code(&hex!("0123456789"));
        assert!(contract.is_contract());
        assert_eq!(contract.full_bytecode_len(), 16);
        assert_eq!(
            contract.compute_hash(),
            b256!("18e2e6bd75fdf065f8ffa901de0baa0e5a3e901406e0eea4979cf54ecbe5bd6f")
        );

        let mut empty_code = AccountProperties::new_eoa(1, U256::ZERO);
        empty_code.set_deployed_code(&[]);
        assert!(!empty_code.is_contract());
        assert_eq!(empty_code.execution_environment(), 1);
        assert_eq!(
            empty_code.compute_hash(),
            b256!("aa0d92078a907742d2e485c73f25fc68bd0f985de82fb1d1d2ff8da6153c19eb")
        );

        let mut delegated = AccountProperties::new_eoa(1, U256::ZERO);
        delegated.set_delegation(address!("0000000000000000000000000000000000001234"));
        assert!(delegated.is_delegated() && !delegated.is_contract());
        assert_eq!(
            delegated.compute_hash(),
            b256!("55ea89f59c50e68a6e4dea111aa678bca9792d5a04c506fa173a299570f0142c")
        );
        delegated.clear_code();
        assert_eq!(delegated, AccountProperties::new_eoa(1, U256::ZERO));
    }

    #[test]
    fn decode_refuses_other_lengths() {
        let encoded = AccountProperties::default().encode();
        assert_eq!(AccountProperties::decode(&encoded[1..]), Err(AccountDecodeError::Length(123)));
        let mut long = encoded.to_vec();
        long.push(0);
        assert_eq!(AccountProperties::decode(&long), Err(AccountDecodeError::Length(125)));
    }

    proptest! {
        #[test]
        fn every_encoding_round_trips(bytes in proptest::collection::vec(any::<u8>(), ACCOUNT_PROPERTIES_LEN)) {
            let decoded = AccountProperties::decode(&bytes).unwrap();
            prop_assert_eq!(decoded.encode().to_vec(), bytes);
        }
    }
}
