//! revm's `Database` as a [`StateView`].

use super::env::TreeSource;
use crate::{StateError, StateView};
use alloy_evm::Database;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::HashMap};
use revm::{bytecode::Bytecode, state::AccountInfo};
use std::sync::Arc;
use zkos_primitives::{AccountProperties, bytecode::delegation_target};

/// State before the next transaction, read from a revm database.
#[derive(Debug)]
pub(crate) struct DbState<DB> {
    pub(super) db: DB,
    tree: Option<Arc<dyn TreeSource>>,
    /// Codes by their keccak-256.
    codes: HashMap<B256, Bytecode>,
    /// Records by the keccak-256 of a code, with the code fields set and all others zero.
    fields: HashMap<B256, AccountProperties>,
    /// Stored forms by blake2s, of the codes above.
    preimages: HashMap<B256, Bytes>,
}

fn backend<E: core::error::Error + Send + Sync + 'static>(error: E) -> StateError {
    StateError::Backend(Box::new(error))
}

/// revm's view of a record, without the code itself.
pub(crate) fn account_info(account: &AccountProperties) -> AccountInfo {
    AccountInfo {
        balance: account.balance,
        nonce: account.nonce,
        code_hash: observable_hash(account),
        ..Default::default()
    }
}

/// Code hash as revm has it: that of the empty string for accounts without code.
pub(crate) fn observable_hash(account: &AccountProperties) -> B256 {
    if account.observable_bytecode_hash.is_zero() {
        KECCAK256_EMPTY
    } else {
        account.observable_bytecode_hash
    }
}

/// `record` with the nonce and balance of another one.
const fn with_code_of(account: AccountProperties, code: &AccountProperties) -> AccountProperties {
    AccountProperties { nonce: account.nonce, balance: account.balance, ..*code }
}

impl<DB: Database> DbState<DB> {
    pub(super) fn new(db: DB, tree: Option<Arc<dyn TreeSource>>) -> Self {
        Self {
            db,
            tree,
            codes: HashMap::default(),
            fields: HashMap::default(),
            preimages: HashMap::default(),
        }
    }

    /// Code by its keccak-256; delegation designators are plain bytes here.
    fn bytecode(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = self.db.code_by_hash(hash).map_err(backend)?;
        Ok(self.keep(hash, &code))
    }

    fn keep(&mut self, hash: B256, code: &Bytecode) -> Bytecode {
        let entry = self.codes.entry(hash);
        entry.or_insert_with(|| Bytecode::new_legacy(code.original_bytes())).clone()
    }

    /// Record with the fields that it keeps of a code.
    fn code_fields(&mut self, hash: B256) -> Result<AccountProperties, StateError> {
        if let Some(fields) = self.fields.get(&hash) {
            return Ok(*fields);
        }
        let code = self.bytecode(hash)?.original_bytes();
        let mut fields = AccountProperties::default();
        let stored = match delegation_target(&code) {
            Some(target) => fields.set_delegation(target),
            None => fields.set_deployed_code(&code),
        };
        self.preimages.insert(stored.bytecode_hash, stored.preimage.into());
        self.fields.insert(hash, fields);
        Ok(fields)
    }
}

impl<DB: Database> StateView for DbState<DB> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        let info = self.db.basic(address).map_err(backend)?;
        let record = match &self.tree {
            Some(tree) => tree.account(address)?,
            None => None,
        };
        let Some(info) = info else {
            return Ok(record.map(|_| AccountProperties::default()));
        };
        let account = AccountProperties::new_eoa(info.nonce, info.balance);
        let hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
        if let Some(code) = &info.code
            && hash != KECCAK256_EMPTY
        {
            self.keep(hash, code);
        }
        // The record knows more of its code than the hash says.
        if let Some(record) = &record
            && observable_hash(record) == hash
        {
            return Ok(Some(with_code_of(account, record)));
        }
        if hash == KECCAK256_EMPTY {
            return Ok((record.is_some() || !account.is_trivial()).then_some(account));
        }
        let code = self.code_fields(hash)?;
        Ok(Some(with_code_of(account, &code)))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        let value = self.db.storage(address, slot).map_err(backend)?;
        let exists = !value.is_zero()
            || match &self.tree {
                Some(tree) => tree.has_slot(address, slot)?,
                None => false,
            };
        Ok(exists.then_some(value))
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        if let Some(preimage) = self.preimages.get(&hash) {
            return Ok(Some(preimage.clone()));
        }
        match &self.tree {
            Some(tree) => tree.preimage(hash),
            None => Ok(None),
        }
    }

    fn code(&mut self, account: &AccountProperties) -> Result<Bytecode, StateError> {
        self.bytecode(observable_hash(account))
    }

    fn block_hash(&mut self, number: u64) -> Result<Option<B256>, StateError> {
        self.db.block_hash(number).map(Some).map_err(backend)
    }
}
