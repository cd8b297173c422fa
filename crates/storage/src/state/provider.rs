use super::StateStore;
use alloy_primitives::{Address, B256, BlockNumber, Bytes};
use std::sync::Arc;
use zkos_primitives::{AccountProperties, account_properties_flat_key};
use zkos_storage_api::{ProviderResult, StateProvider};

/// State after one block. Stays right while later blocks are appended and flushed.
#[derive(Debug, Clone)]
pub(crate) struct BlockState {
    store: Arc<StateStore>,
    number: BlockNumber,
}

impl BlockState {
    pub(crate) const fn new(store: Arc<StateStore>, number: BlockNumber) -> Self {
        Self { store, number }
    }
}

impl StateProvider for BlockState {
    fn block_number(&self) -> BlockNumber {
        self.number
    }

    fn read(&self, flat_key: B256) -> ProviderResult<Option<B256>> {
        self.store.read(flat_key, self.number)
    }

    fn account(&self, address: Address) -> ProviderResult<Option<AccountProperties>> {
        let hash = match self.read(account_properties_flat_key(address))? {
            Some(hash) if !hash.is_zero() => hash,
            _ => return Ok(None),
        };
        match self.store.account(hash)? {
            Some(account) => Ok(Some(account)),
            None => {
                // The block may have been pruned since the value was read.
                self.store.check_kept(self.number)?;
                Err(self.store.missing_preimage(hash, format_args!("record of account {address}")))
            }
        }
    }

    fn preimage(&self, hash: B256) -> ProviderResult<Option<Bytes>> {
        self.store.preimage(hash)
    }
}
