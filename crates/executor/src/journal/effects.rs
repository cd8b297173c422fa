//! Changes of a transaction apart from the journal they were made on.
//!
//! An executor behind alloy-evm's traits runs a transaction, takes its changes out and rolls it back, because
//! whether they are kept is decided later, by somebody else.

use super::{AccId, Checkpoint, Journal};
use crate::{error::StateError, state::StateView};
use alloy_primitives::{Address, B256, Log, U256};
use zkos_primitives::AccountProperties;
use zksync_os_interface::types::L2ToL1LogWithPreimage;

/// Everything a transaction wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct TxEffects {
    pub(crate) accounts: Vec<AccountEffect>,
    pub(crate) slots: Vec<SlotEffect>,
    pub(crate) logs: Vec<Log>,
    pub(crate) l2_to_l1_logs: Vec<L2ToL1LogWithPreimage>,
}

/// Account that a transaction wrote to.
#[derive(Debug, Clone)]
pub(crate) struct AccountEffect {
    pub(crate) address: Address,
    pub(crate) before: AccountProperties,
    pub(crate) after: AccountProperties,
    pub(crate) destroyed: bool,
    exists: bool,
    hide_bytecode: bool,
}

/// Slot that a transaction wrote to.
#[derive(Debug, Clone)]
pub(crate) struct SlotEffect {
    pub(crate) address: Address,
    pub(crate) key: U256,
    pub(crate) before: U256,
    pub(crate) after: U256,
    exists: bool,
}

impl<S: StateView> Journal<S> {
    /// Takes out what the transaction wrote and rolls it back.
    pub(crate) fn take_effects(&mut self, start: Checkpoint) -> TxEffects {
        let accounts = self
            .dirty_accounts
            .iter()
            .map(|&id| {
                let entry = &self.accounts[id as usize];
                AccountEffect {
                    address: entry.address,
                    before: entry.tx_start,
                    after: entry.current,
                    destroyed: entry.destroyed,
                    exists: entry.exists,
                    hide_bytecode: entry.hide_bytecode,
                }
            })
            .collect();
        let slots = self
            .dirty_slots
            .iter()
            .map(|&id| {
                let slot = &self.slots[id as usize];
                SlotEffect {
                    address: self.accounts[slot.account as usize].address,
                    key: slot.key,
                    before: slot.tx_start,
                    after: slot.current,
                    exists: slot.exists,
                }
            })
            .collect();
        let logs = core::mem::take(&mut self.logs);
        let l2_to_l1_logs = core::mem::take(&mut self.l2_to_l1_logs);
        self.rollback(start);
        TxEffects { accounts, slots, logs, l2_to_l1_logs }
    }

    /// Writes the changes of a transaction as the current one.
    pub(crate) fn apply_effects(&mut self, effects: TxEffects) -> Result<(), StateError> {
        self.begin_tx();
        for effect in effects.accounts {
            let id: AccId = self.peek(effect.address)?;
            self.mark_dirty(id);
            let entry = &mut self.accounts[id as usize];
            entry.current = effect.after;
            entry.exists = effect.exists;
            entry.hide_bytecode = effect.hide_bytecode;
            if effect.destroyed {
                entry.destroyed = true;
                self.destroyed.push(id);
            }
        }
        for effect in effects.slots {
            let account = self.peek(effect.address)?;
            let id = self.materialize_slot(account, effect.key)?;
            self.mark_slot_dirty(id);
            let slot = &mut self.slots[id as usize];
            slot.current = effect.after;
            slot.exists = effect.exists;
        }
        self.logs = effects.logs;
        self.l2_to_l1_logs = effects.l2_to_l1_logs;
        Ok(())
    }

    /// Reads every known account and slot again, after somebody may have written to the state. What differs
    /// was written, so its leaf exists.
    pub(crate) fn reload(&mut self) -> Result<(), StateError> {
        let seen = |account: &AccountProperties| -> (u64, U256, B256) {
            let code = account.observable_bytecode_hash;
            let code = if account.observable_bytecode_len == 0 { B256::ZERO } else { code };
            (account.nonce, account.balance, code)
        };
        for entry in &mut self.accounts {
            let fresh = self.state.account(entry.address)?.unwrap_or_default();
            let (old, new) = (seen(&entry.current), seen(&fresh));
            if old == new {
                continue;
            }
            entry.current = if old.2 == new.2 {
                AccountProperties { nonce: new.0, balance: new.1, ..entry.current }
            } else {
                fresh
            };
            entry.exists = true;
        }
        for slot in &mut self.slots {
            let address = self.accounts[slot.account as usize].address;
            let fresh = self.state.storage(address, slot.key)?.unwrap_or_default();
            if fresh != slot.current {
                slot.current = fresh;
                slot.exists = true;
            }
        }
        Ok(())
    }
}
