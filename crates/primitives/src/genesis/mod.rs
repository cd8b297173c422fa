//! Genesis files.
//!
//! A file gives the contracts and storage of block 0 and the state commitment they must lead to.
//! All published forms are read: storage as address -> slot -> value or as a list of hashed keys,
//! raw storage, raw preimages, with or without version and root. Unknown keys are tolerated,
//! because tools of the ecosystem add their own to the same file.

use crate::{
    account::AccountProperties,
    batch::{StoredBatchInfo, state_commitment},
    block::{BlockContext, BlockHashes},
    hash::blake2s_concat,
    header::{GENESIS_BLOCK_HASH, genesis_header},
    storage_key::{account_properties_flat_key, flat_storage_key},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Gas limit and pubdata limit in the context of block 0.
const GENESIS_CONTEXT_LIMIT: u64 = 100_000_000;

/// Contents of a genesis file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Genesis {
    /// Address and runtime code of each contract; if one repeats, the last counts. The only
    /// required key: a file without it is no genesis file.
    pub initial_contracts: Vec<(Address, Bytes)>,
    /// Storage by address and slot, or by hashed key.
    #[serde(default)]
    pub additional_storage: GenesisStorage,
    /// Storage by hashed key.
    #[serde(default)]
    pub additional_storage_raw: Vec<(B256, B256)>,
    /// Preimages by hash, stored as given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_preimages: Vec<(B256, Bytes)>,
    /// Version of the state transition function; newer files leave it to the protocol version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_version: Option<u32>,
    /// State commitment of block 0 (not the root of the tree, whatever the name says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis_root: Option<B256>,
}

/// Storage given in a genesis file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GenesisStorage {
    /// Values by address and slot.
    ByAddress(BTreeMap<Address, BTreeMap<B256, B256>>),
    /// Values by hashed key.
    ByKey(Vec<(B256, B256)>),
}

impl Default for GenesisStorage {
    fn default() -> Self {
        Self::ByAddress(BTreeMap::new())
    }
}

// By hand, because an untagged enum would hide which value is malformed, and because a map that
// names a key twice must not silently keep the last.
impl<'de> Deserialize<'de> for GenesisStorage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = GenesisStorage;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("a map address -> slot -> value or a list of [key, value]")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut accounts = BTreeMap::new();
                while let Some((address, slots)) = map.next_entry::<Address, UniqueMap>()? {
                    if accounts.insert(address, slots.0).is_some() {
                        return Err(serde::de::Error::custom(format!(
                            "address {address} occurs twice"
                        )));
                    }
                }
                Ok(GenesisStorage::ByAddress(accounts))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    entries.push(entry);
                }
                Ok(GenesisStorage::ByKey(entries))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

struct UniqueMap(BTreeMap<B256, B256>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("a map slot -> value")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut slots = BTreeMap::new();
                while let Some((slot, value)) = map.next_entry::<B256, B256>()? {
                    if slots.insert(slot, value).is_some() {
                        return Err(serde::de::Error::custom(format!("slot {slot} occurs twice")));
                    }
                }
                Ok(UniqueMap(slots))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// Error of reading a genesis file or of building its state.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The file is not JSON of the expected form.
    #[error("genesis file is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// Two entries have the same key.
    #[error("genesis file sets the state entry {0} twice")]
    DuplicateKey(B256),
    /// A contract's code is longer than its record can express.
    #[error("genesis contract {0} is too large")]
    CodeSize(Address),
    /// The state does not lead to the commitment in the file.
    #[error("genesis state has commitment {computed}, the genesis file says {expected}")]
    RootMismatch {
        /// Commitment of the state.
        computed: B256,
        /// Commitment in the file.
        expected: B256,
    },
}

/// State of block 0.
#[derive(Debug, Clone)]
pub struct GenesisState {
    /// State entries, ascending by flat key: the order in which they enter the tree.
    pub entries: Vec<(B256, B256)>,
    /// Bytecodes and account records by their Blake2s hash, ascending by hash.
    pub preimages: Vec<(B256, Vec<u8>)>,
    /// Records of the initial contracts, ascending by address.
    pub accounts: Vec<(Address, AccountProperties)>,
    /// Header of block 0.
    pub header: Header,
    /// Hash of block 0.
    pub block_hash: B256,
}

impl Genesis {
    /// Reads a genesis file.
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        Ok(serde_json::from_str(json)?)
    }

    /// Builds the state of block 0.
    pub fn state(&self) -> Result<GenesisState, GenesisError> {
        let mut preimages: BTreeMap<B256, Vec<u8>> =
            self.additional_preimages.iter().map(|(hash, bytes)| (*hash, bytes.to_vec())).collect();
        let mut accounts = BTreeMap::new();
        let contracts: BTreeMap<_, _> = self.initial_contracts.iter().cloned().collect();
        for (address, code) in contracts {
            if u32::try_from(code.len()).is_err() {
                return Err(GenesisError::CodeSize(address));
            }
            let mut account = AccountProperties::new_eoa(1, U256::ZERO);
            let stored = account.set_deployed_code(&code);
            preimages.insert(stored.bytecode_hash, stored.preimage);
            preimages.insert(account.compute_hash(), account.encode().to_vec());
            accounts.insert(address, account);
        }

        let mut entries: BTreeMap<B256, B256> = accounts
            .iter()
            .map(|(address, account)| {
                (account_properties_flat_key(*address), account.compute_hash())
            })
            .collect();
        for (key, value) in self.storage_entries() {
            if entries.insert(key, value).is_some() {
                return Err(GenesisError::DuplicateKey(key));
            }
        }
        Ok(GenesisState {
            entries: entries.into_iter().collect(),
            preimages: preimages.into_iter().collect(),
            accounts: accounts.into_iter().collect(),
            header: genesis_header(),
            block_hash: GENESIS_BLOCK_HASH,
        })
    }

    fn storage_entries(&self) -> Vec<(B256, B256)> {
        let mut entries = self.additional_storage_raw.clone();
        match &self.additional_storage {
            GenesisStorage::ByKey(list) => entries.extend(list),
            GenesisStorage::ByAddress(accounts) => {
                for (address, slots) in accounts {
                    entries.extend(
                        slots
                            .iter()
                            .map(|(slot, value)| (flat_storage_key(*address, *slot), *value)),
                    );
                }
            }
        }
        entries
    }

    /// Context of block 0.
    pub fn block_context(&self, chain_id: u64, execution_version: u32) -> BlockContext {
        BlockContext {
            chain_id,
            eip1559_basefee: U256::from(1_000_000_000u64),
            native_price: U256::ONE,
            gas_limit: GENESIS_CONTEXT_LIMIT,
            pubdata_limit: GENESIS_CONTEXT_LIMIT,
            execution_version,
            blob_fee: U256::ONE,
            ..Default::default()
        }
    }

    /// Checks the commitment of a tree built from [`GenesisState::entries`] against the file and
    /// returns it.
    pub fn verify_root(&self, tree_root: B256, leaf_count: u64) -> Result<B256, GenesisError> {
        let computed = genesis_commitment(tree_root, leaf_count);
        match self.genesis_root {
            Some(expected) if expected != computed => {
                Err(GenesisError::RootMismatch { computed, expected })
            }
            _ => Ok(computed),
        }
    }
}

/// State commitment of block 0 with the given tree.
pub fn genesis_commitment(tree_root: B256, leaf_count: u64) -> B256 {
    let hashes_blake = block_hashes_blake(&BlockHashes::default(), GENESIS_BLOCK_HASH);
    state_commitment(tree_root, leaf_count, 0, hashes_blake, 0)
}

/// Blake2s over 256 block hashes, oldest first: entries 1.. of the window of a block, followed by
/// the block's own hash.
pub fn block_hashes_blake(window: &BlockHashes, block_hash: B256) -> B256 {
    let mut bytes = Vec::with_capacity(256 * 32);
    for hash in &window.0[1..] {
        bytes.extend_from_slice(&hash.to_be_bytes::<32>());
    }
    blake2s_concat([bytes.as_slice(), block_hash.as_slice()])
}

/// Stored info of batch 0, as L1 computes it when the chain is created.
pub fn genesis_batch(genesis_commitment: B256) -> StoredBatchInfo {
    StoredBatchInfo {
        batch_number: 0,
        state_commitment: genesis_commitment,
        number_of_layer1_txs: 0,
        priority_operations_hash: KECCAK256_EMPTY,
        dependency_roots_rolling_hash: B256::ZERO,
        l2_logs_tree_root: B256::ZERO,
        commitment: B256::with_last_byte(1),
    }
}

#[cfg(test)]
mod tests;
