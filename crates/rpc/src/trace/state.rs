//! State around one transaction of a block, in the terms of revm, as tracers of state want it.

use super::observer::Touched;
use crate::eth::SimulationState;
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map, Entry, HashMap},
};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    state::{Account, AccountInfo, EvmState, EvmStorageSlot},
};
use std::{cell::RefCell, rc::Rc};
use zkos_executor::{StateError, StateView, TxChanges};
use zkos_primitives::AccountProperties;

/// The state can't be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct PreStateError(#[from] StateError);

impl DBErrorMarker for PreStateError {}

/// What the transactions of a block changed so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay {
    pub(crate) accounts: AddressMap<AccountProperties>,
    pub(crate) slots: HashMap<(Address, U256), U256>,
    /// Raw codes that are not stored yet, by internal hash.
    codes: B256Map<Bytes>,
}

impl Overlay {
    /// Adds what one more transaction changed.
    pub(crate) fn extend(&mut self, changes: &TxChanges) {
        for change in &changes.accounts {
            self.accounts.insert(change.address, change.after);
        }
        for change in &changes.slots {
            self.slots.insert((change.address, change.key), change.after);
        }
    }

    /// Adds the codes that it deployed.
    pub(crate) fn add_codes(&mut self, changes: &TxChanges, touched: Touched) {
        for (address, code) in touched.codes {
            let change = changes.accounts.iter().find(|change| change.address == address);
            if let Some(change) = change {
                self.codes.insert(change.after.bytecode_hash, code);
            }
        }
    }
}

/// The state that a block is executed on. The executor and the tracers of a session read it in turns.
#[derive(Clone)]
pub(super) struct SharedState<'a>(Rc<RefCell<&'a mut SimulationState>>);

impl<'a> SharedState<'a> {
    pub(super) fn new(state: &'a mut SimulationState) -> Self {
        Self(Rc::new(RefCell::new(state)))
    }
}

impl StateView for SharedState<'_> {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        self.0.borrow_mut().account(address)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        self.0.borrow_mut().storage(address, slot)
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        self.0.borrow_mut().preimage(hash)
    }

    fn code(&mut self, account: &AccountProperties) -> Result<Bytecode, StateError> {
        self.0.borrow_mut().code(account)
    }

    fn block_hash(&mut self, number: u64) -> Result<Option<B256>, StateError> {
        self.0.borrow_mut().block_hash(number)
    }
}

/// State before a transaction: that before its block, and what the transactions before it changed.
#[derive(Clone)]
pub(crate) struct PreState<'a> {
    base: SharedState<'a>,
    overlay: Rc<RefCell<Overlay>>,
}

impl<'a> PreState<'a> {
    pub(super) const fn new(base: SharedState<'a>, overlay: Rc<RefCell<Overlay>>) -> Self {
        Self { base, overlay }
    }

    pub(super) fn account(&self, address: Address) -> Result<AccountProperties, PreStateError> {
        if let Some(account) = self.overlay.borrow().accounts.get(&address) {
            return Ok(*account);
        }
        Ok(self.base.0.borrow_mut().account(address)?.unwrap_or_default())
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, PreStateError> {
        if let Some(value) = self.overlay.borrow().slots.get(&(address, slot)) {
            return Ok(*value);
        }
        Ok(self.base.0.borrow_mut().storage(address, slot)?.unwrap_or_default())
    }

    /// Account with code, which `known` may hold already.
    fn info(
        &self,
        account: &AccountProperties,
        known: Option<&Bytes>,
    ) -> Result<AccountInfo, PreStateError> {
        let overlay = self.overlay.borrow();
        let code = if account.unpadded_code_len == 0 {
            None
        } else if let Some(code) = known.or_else(|| overlay.codes.get(&account.bytecode_hash)) {
            Some(Bytecode::new_legacy(code.clone()))
        } else {
            Some(self.base.0.borrow_mut().code(account)?)
        };
        let hash = account.observable_bytecode_hash;
        Ok(AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: if hash.is_zero() { KECCAK256_EMPTY } else { hash },
            code,
            ..Default::default()
        })
    }

    /// Everything that a transaction touched, with original and present values, as revm returns it from an execution.
    pub(super) fn evm_state(
        &self,
        touched: &Touched,
        changes: &TxChanges,
    ) -> Result<EvmState, PreStateError> {
        let mut state = EvmState::default();
        for address in touched.slots.keys() {
            let account = self.account(*address)?;
            let mut entry = Account::from(self.info(&account, None)?);
            entry.mark_touch();
            state.insert(*address, entry);
        }
        for change in &changes.accounts {
            let info = self.info(&change.after, touched.codes.get(&change.address))?;
            let entry = state.entry(change.address).or_default();
            entry.info = info;
            entry.mark_touch();
            if change.before.unpadded_code_len == 0 && change.after.unpadded_code_len != 0 {
                entry.mark_created();
            }
        }
        for (address, slots) in &touched.slots {
            for slot in slots {
                let value = EvmStorageSlot::new(self.slot(*address, *slot)?, Default::default());
                if let Some(entry) = state.get_mut(address) {
                    entry.storage.insert(*slot, value);
                }
            }
        }
        for change in &changes.slots {
            let mut slot = EvmStorageSlot::new(change.before, Default::default());
            slot.present_value = change.after;
            let entry = match state.entry(change.address) {
                Entry::Occupied(entry) => entry.into_mut(),
                // The account may itself be unchanged and, in a hook, unseen.
                Entry::Vacant(entry) => {
                    let account = self.account(change.address)?;
                    entry.insert(Account::from(self.info(&account, None)?))
                }
            };
            entry.storage.insert(change.key, slot);
        }
        Ok(state)
    }
}

impl DatabaseRef for PreState<'_> {
    type Error = PreStateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, PreStateError> {
        let account = self.account(address)?;
        if account.is_empty() { Ok(None) } else { Ok(Some(self.info(&account, None)?)) }
    }

    // Accounts are given with their code.
    fn code_by_hash_ref(&self, _: B256) -> Result<Bytecode, PreStateError> {
        Ok(Bytecode::default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, PreStateError> {
        self.slot(address, slot)
    }

    // No tracer of a finished transaction asks for it.
    fn block_hash_ref(&self, _: u64) -> Result<B256, PreStateError> {
        Ok(B256::ZERO)
    }
}
