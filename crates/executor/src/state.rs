//! What the executor reads from: accounts, slots, bytecodes and raw preimages.

use crate::error::StateError;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use zkos_primitives::{
    AccountProperties, account_properties_flat_key, bytecode::bytecode_padding_len,
    flat_storage_key,
};
use zksync_os_interface::traits::{PreimageSource, ReadStorage};

/// State before the block, as the executor sees it.
///
/// The distinction between an absent leaf (`None`) and a zero leaf is part of the protocol: it decides
/// native prices. A node serves decoded records from its caches; [`FlatState`] adapts the two traits of
/// the official interface.
pub trait StateView {
    /// Account record, `None` if the account's leaf is absent from the state tree.
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError>;

    /// Storage word, `None` if the leaf is absent from the state tree.
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError>;

    /// Preimage of a blake2s hash: an account record, a padded bytecode, or the raw code of a force deployment.
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError>;

    /// Analysed code of `account`, whose internal bytecode hash is not zero.
    ///
    /// Implementations with a code cache override this.
    fn code(&mut self, account: &AccountProperties) -> Result<Bytecode, StateError> {
        let hash = account.bytecode_hash;
        let preimage = self.preimage(hash)?.ok_or(StateError::MissingBytecode { hash })?;
        decode_bytecode(account, &preimage)
    }

    /// Hash of one of the last 256 blocks. Asked only if the block context does not carry them.
    fn block_hash(&mut self, number: u64) -> Result<Option<B256>, StateError> {
        let _ = number;
        Ok(None)
    }
}

impl<S: StateView + ?Sized> StateView for &mut S {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        (**self).account(address)
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        (**self).storage(address, slot)
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        (**self).preimage(hash)
    }
    fn code(&mut self, account: &AccountProperties) -> Result<Bytecode, StateError> {
        (**self).code(account)
    }
    fn block_hash(&mut self, number: u64) -> Result<Option<B256>, StateError> {
        (**self).block_hash(number)
    }
}

impl<S: StateView + ?Sized> StateView for Box<S> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        (**self).account(address)
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        (**self).storage(address, slot)
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        (**self).preimage(hash)
    }
    fn code(&mut self, account: &AccountProperties) -> Result<Bytecode, StateError> {
        (**self).code(account)
    }
    fn block_hash(&mut self, number: u64) -> Result<Option<B256>, StateError> {
        (**self).block_hash(number)
    }
}

/// Cuts the code out of a stored bytecode preimage (`code || padding || jump bitmap`) and analyses it.
pub fn decode_bytecode(
    account: &AccountProperties,
    preimage: &Bytes,
) -> Result<Bytecode, StateError> {
    let malformed = |reason| StateError::MalformedPreimage { hash: account.bytecode_hash, reason };
    let len = account.unpadded_code_len as usize;
    let full = len + bytecode_padding_len(len) + account.artifacts_len as usize;
    if preimage.len() != full {
        return Err(malformed("length differs from the account record"));
    }
    Ok(Bytecode::new_legacy(preimage.slice(..len)))
}

/// [`StateView`] over a flat key-value state and a preimage source.
#[derive(Debug)]
pub struct FlatState<R, P> {
    /// Flat key to value.
    pub storage: R,
    /// Hash to preimage.
    pub preimages: P,
}

impl<R, P> FlatState<R, P> {
    /// Joins the two sources.
    pub const fn new(storage: R, preimages: P) -> Self {
        Self { storage, preimages }
    }
}

impl<R: ReadStorage, P: PreimageSource> StateView for FlatState<R, P> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        let Some(hash) = self.storage.read(account_properties_flat_key(address)) else {
            return Ok(None);
        };
        if hash.is_zero() {
            return Ok(Some(AccountProperties::default()));
        }
        let encoded = self
            .preimages
            .get_preimage(hash)
            .ok_or(StateError::MissingAccount { address, hash })?;
        AccountProperties::decode(&encoded)
            .map(Some)
            .map_err(|_| StateError::MalformedPreimage { hash, reason: "account record length" })
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        let key = flat_storage_key(address, B256::from(slot));
        Ok(self.storage.read(key).map(Into::into))
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.preimages.get_preimage(hash).map(Bytes::from))
    }
}
