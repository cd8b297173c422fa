//! The executor's journal, lent to a precompile as revm's.
//!
//! Precompiles of a node's author see revm's journal. It starts empty over the [`Loan`], a database that shows
//! the executor's current state, and what the precompile changed is written back when it succeeded. Reads
//! and writes pay the same native as the instructions do; gas is what the precompile declares.

use super::{
    precompiles::Port,
    state::{account_info, observable_hash},
};
use crate::{
    StateError, StateView,
    error::{Fatal, Halt},
    hooks::{self, HookCall},
    native,
    vm::Vm,
};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use core::fmt;
use revm::{
    Database,
    bytecode::Bytecode,
    context::{Journal, JournalEntry},
    context_interface::journaled_state::JournalTr,
    interpreter::Gas,
    state::{Account, AccountInfo},
};
use std::collections::BTreeMap;
use zkos_primitives::bytecode::delegation_target;

/// Database over the executor's current state. Asked for a block hash while the port holds a request, it
/// runs the requested hook.
pub(super) struct Loan<'a, S> {
    vm: &'a mut Vm<S>,
    port: &'a Port,
    /// Set when a hook or a read ended the transaction.
    pub(super) halt: Option<Halt>,
}

impl<S> fmt::Debug for Loan<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("halt", &self.halt).finish_non_exhaustive()
    }
}

impl<'a, S: StateView> Loan<'a, S> {
    pub(super) const fn new(vm: &'a mut Vm<S>, port: &'a Port) -> Self {
        Self { vm, port, halt: None }
    }
}

/// The executor has stopped; the reason is in [`Loan::halt`].
#[derive(Debug, thiserror::Error)]
#[error("the transaction is out of native or cannot go on")]
struct Stopped;

impl<S: StateView> Database for Loan<'_, S> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let id = self.vm.journal.peek(address)?;
        let account = *self.vm.journal.account(id);
        if account.is_trivial() {
            return Ok(None);
        }
        let code = self.vm.journal.load_code(&account)?;
        Ok(Some(AccountInfo { code: Some(code), ..account_info(&account) }))
    }

    /// Never needed: [`Self::basic`] gives the code.
    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        Err(StateError::MissingBytecode { hash })
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, StateError> {
        self.vm.journal.peek_value(address, key)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        let Some(request) = self.port.request.take() else {
            return self.vm.block_hash(number).map(B256::from);
        };
        let call = HookCall {
            kind: request.kind,
            is_static: request.is_static,
            caller: request.caller,
            value: request.value,
            input: &request.input,
            gas: request.gas,
        };
        match hooks::run(self.vm, request.hook, &call) {
            Ok(result) => {
                self.port.response.replace(Some(result));
                Ok(B256::ZERO)
            }
            Err(halt) => {
                self.halt = Some(halt);
                Err(StateError::Backend(Box::new(Stopped)))
            }
        }
    }
}

/// Shows the precompile the transient storage of the transaction.
pub(super) fn lend_transient<S: StateView>(journal: &mut Journal<Loan<'_, S>>) {
    let spec = journal.database.vm.env.spec.hardfork;
    journal.set_spec_id(spec);
    let Journal { database, inner } = journal;
    for ((address, key), value) in database.vm.journal.transient_values() {
        inner.transient_storage.entry(address).or_default().insert(key, value);
    }
}

/// Writes the changes of a precompile into the executor's journal.
pub(super) fn settle<S: StateView>(
    journal: Journal<Loan<'_, S>, JournalEntry>,
    precompile: Address,
    gas_refunded: i64,
) -> Result<(), Halt> {
    let Journal { database: Loan { vm, .. }, inner } = journal;
    let refund = vm.journal.refund;
    // Gas is the precompile's business, only native is metered here.
    let mut gas = Gas::new(u64::MAX);
    let mut accounts: Vec<(Address, Account)> = inner.state.into_iter().collect();
    accounts.sort_unstable_by_key(|(address, _)| *address);
    for (address, account) in accounts {
        settle_account(vm, precompile, address, &account)?;
        let mut slots: Vec<_> = account.storage.into_iter().collect();
        slots.sort_unstable_by_key(|(key, _)| *key);
        for (key, slot) in slots {
            if slot.is_changed() {
                vm.journal.sstore(address, key, slot.present_value, &mut gas)?;
            } else {
                vm.journal.sload(address, key, &mut gas)?;
            }
        }
    }
    // revm forgets a transient slot that becomes zero.
    let mut transient: BTreeMap<(Address, U256), U256> =
        vm.journal.transient_values().map(|(slot, _)| (slot, U256::ZERO)).collect();
    for (address, slots) in inner.transient_storage.iter() {
        transient.extend(slots.iter().map(|(key, value)| ((*address, *key), *value)));
    }
    for ((address, key), value) in transient {
        if vm.journal.transient_value(address, key) != value {
            vm.journal.tstore(address, key, value, &mut gas)?;
        }
    }
    for log in inner.logs {
        vm.journal.native.charge(native::event(log.topics().len(), log.data.data.len()))?;
        vm.journal.logs.push(log);
    }
    vm.journal.refund = refund.saturating_add(gas_refunded);
    Ok(())
}

fn settle_account<S: StateView>(
    vm: &mut Vm<S>,
    precompile: Address,
    address: Address,
    account: &Account,
) -> Result<(), Halt> {
    let journal = &mut vm.journal;
    let id = journal.access_free(address)?;
    let loaded = account.original_info();
    let (info, now) = (&account.info, *journal.account(id));
    if *info == loaded {
        return Ok(());
    }
    // A wrapper changed by itself what the hook that it wraps changed too: neither result is right.
    if account_info(&now) != loaded {
        let message = format!("account {address} changed through the journal and by a hook");
        return Err(Halt::Fatal(Box::new(Fatal::Precompile(precompile, message))));
    }
    if info.balance != now.balance {
        journal.native.charge(native::WRITE_ACCOUNT)?;
        journal.set_balance(id, info.balance);
    }
    if info.nonce != now.nonce {
        journal.native.charge(native::WRITE_ACCOUNT)?;
        journal.set_nonce(id, info.nonce);
    }
    if info.code_hash != observable_hash(&now) {
        let code = info.code.as_ref().map(Bytecode::original_bytes).unwrap_or_default();
        if let Some(target) = delegation_target(&code) {
            journal.set_delegation(id, target)?;
        } else if info.code_hash == KECCAK256_EMPTY {
            journal.set_delegation(id, Address::ZERO)?;
        } else {
            journal.deploy_code(address, code)?;
        }
    }
    Ok(())
}
