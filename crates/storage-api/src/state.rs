use crate::{ProviderError, ProviderResult};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use zkos_primitives::{AccountProperties, flat_storage_key};

/// State after one block.
#[auto_impl::auto_impl(&, Box, Arc)]
pub trait StateProvider: Send + Sync {
    /// Number of the block after which this state stands.
    fn block_number(&self) -> BlockNumber;
    /// Value of a leaf by flat key; `None` when the leaf is absent (which is not the same as zero).
    fn read(&self, flat_key: B256) -> ProviderResult<Option<B256>>;
    /// Account record; `None` when absent.
    fn account(&self, address: Address) -> ProviderResult<Option<AccountProperties>>;
    /// Preimage by hash: account records (124 bytes), padded bytecodes, force-deployed raw code.
    fn preimage(&self, hash: B256) -> ProviderResult<Option<Bytes>>;

    /// Value of a slot, zero when absent.
    fn storage(&self, address: Address, slot: B256) -> ProviderResult<B256> {
        Ok(self.read(flat_storage_key(address, slot))?.unwrap_or_default())
    }

    /// Balance in wei, zero when absent.
    fn balance(&self, address: Address) -> ProviderResult<U256> {
        Ok(self.account(address)?.map(|account| account.balance).unwrap_or_default())
    }

    /// Nonce, zero when absent.
    fn nonce(&self, address: Address) -> ProviderResult<u64> {
        Ok(self.account(address)?.map(|account| account.nonce).unwrap_or_default())
    }

    /// Observable code (padding and jump table cut off), empty when none.
    fn code(&self, address: Address) -> ProviderResult<Bytes> {
        let Some(account) = self.account(address)? else { return Ok(Bytes::new()) };
        if account.unpadded_code_len == 0 {
            return Ok(Bytes::new());
        }
        let padded =
            self.preimage(account.bytecode_hash)?.ok_or_else(|| ProviderError::Corrupt {
                database: "preimages",
                key: format!("{:x}", account.bytecode_hash),
                reason: format!("bytecode of {address} is missing"),
            })?;
        let len = account.unpadded_code_len as usize;
        if padded.len() < len {
            return Err(ProviderError::Corrupt {
                database: "preimages",
                key: format!("{:x}", account.bytecode_hash),
                reason: format!("bytecode of {address} has {} bytes, expected {len}", padded.len()),
            });
        }
        Ok(padded.slice(..len))
    }
}

/// A state provider behind a pointer.
pub type StateProviderBox = Box<dyn StateProvider>;

/// Gives the state at any stored block.
#[auto_impl::auto_impl(&, Arc)]
pub trait StateProviderFactory {
    /// State after the canonical head.
    fn latest(&self) -> ProviderResult<StateProviderBox>;
    /// State after the last appended block, which may not be canonical yet. Used by the engine and the pool.
    fn pending(&self) -> ProviderResult<StateProviderBox>;
    /// State after a block.
    ///
    /// # Errors
    /// [`ProviderError::StateNotAvailable`] outside the stored range.
    fn history_by_block_number(&self, number: BlockNumber) -> ProviderResult<StateProviderBox>;
    /// State after the block an id names.
    ///
    /// # Errors
    /// [`ProviderError::BlockNotFound`] when there is no such block.
    fn state_by_block_id(&self, id: BlockId) -> ProviderResult<StateProviderBox>;
}
