//! What the `db` of a script shows: the state before the instruction that it looks at, and in `result` that after the transaction.

use crate::trace::state::{PreState, PreStateError};
use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseRef,
    bytecode::Bytecode,
    state::{AccountInfo, EvmState},
};
use std::convert::Infallible;

/// State in the middle of a transaction.
pub(super) struct LiveState<'a> {
    before: PreState<'a>,
    /// What the transaction changed so far; here while a callback runs.
    pub(super) changes: EvmState,
    /// Slot that the running instruction writes, and its value before if the transaction changed it already.
    written: Option<(Address, U256, Option<U256>)>,
    /// Why a read failed. The inspector is told of an empty account, because it takes errors of its database for impossible in places.
    pub(super) failed: Option<PreStateError>,
}

impl<'a> LiveState<'a> {
    pub(super) fn new(before: PreState<'a>) -> Self {
        Self { before, changes: EvmState::default(), written: None, failed: None }
    }

    /// The next instruction is about to run; it may write a slot.
    pub(super) fn begin_instruction(&mut self, writes: Option<(Address, U256)>) {
        self.written = writes.map(|(address, key)| (address, key, self.changed_slot(address, key)));
    }

    /// The instruction is over.
    pub(super) fn end_instruction(&mut self) {
        self.written = None;
    }

    fn changed_slot(&self, address: Address, key: U256) -> Option<U256> {
        Some(self.changes.get(&address)?.storage.get(&key)?.present_value)
    }

    fn or_default<T: Default>(&mut self, read: Result<T, PreStateError>) -> Result<T, Infallible> {
        Ok(read.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            T::default()
        }))
    }
}

impl Database for LiveState<'_> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        match self.changes.get(&address) {
            Some(account) => Ok((!account.info.is_empty()).then(|| account.info.clone())),
            None => {
                let read = self.before.basic_ref(address);
                self.or_default(read)
            }
        }
    }

    // Accounts are given with their code.
    fn code_by_hash(&mut self, _: B256) -> Result<Bytecode, Infallible> {
        Ok(Bytecode::default())
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, Infallible> {
        let value = match self.written {
            Some((account, slot, before)) if (account, slot) == (address, key) => before,
            _ => self.changed_slot(address, key),
        };
        match value {
            Some(value) => Ok(value),
            None => {
                let read = self.before.storage_ref(address, key);
                self.or_default(read)
            }
        }
    }

    // Scripts can't ask for it.
    fn block_hash(&mut self, _: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}

/// State after a transaction.
pub(super) struct AfterState<'a, 'b> {
    pub(super) before: &'a PreState<'b>,
    /// What the transaction touched.
    pub(super) state: &'a EvmState,
}

impl DatabaseRef for AfterState<'_, '_> {
    type Error = PreStateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, PreStateError> {
        match self.state.get(&address) {
            Some(account) => Ok((!account.info.is_empty()).then(|| account.info.clone())),
            None => self.before.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, PreStateError> {
        self.before.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, key: U256) -> Result<U256, PreStateError> {
        match self.state.get(&address).and_then(|account| account.storage.get(&key)) {
            Some(slot) => Ok(slot.present_value),
            None => self.before.storage_ref(address, key),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, PreStateError> {
        self.before.block_hash_ref(number)
    }
}
