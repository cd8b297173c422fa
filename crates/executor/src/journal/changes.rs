//! What a transaction, or the block, changed.

use super::{AccountEntry, Journal, SlotEntry};
use crate::state::StateView;
use alloy_primitives::{Address, U256};
use zkos_primitives::{
    AccountProperties,
    pubdata::{AccountDiff, value_diff_length},
};

/// Net pubdata of an L2 to L1 message besides its body: the log and the length prefix.
const MESSAGE_PUBDATA: u64 = 88 + 4;

impl<S: StateView> Journal<S> {
    /// Pubdata the transaction would publish, evaluated on the current state.
    pub(crate) fn net_pubdata(&self) -> u64 {
        let mut total = 0u64;
        for &id in &self.dirty_accounts {
            let entry = &self.accounts[id as usize];
            if entry.current != entry.initial && entry.current != entry.tx_start {
                total += 32
                    + AccountDiff::charged_length(
                        &entry.tx_start,
                        &entry.current,
                        !entry.hide_bytecode,
                    ) as u64;
            }
        }
        for &id in &self.dirty_slots {
            let slot = &self.slots[id as usize];
            if slot.current != slot.initial && slot.current != slot.tx_start {
                total += 32 + value_diff_length(slot.tx_start, slot.current) as u64;
            }
        }
        for log in &self.l2_to_l1_logs {
            total += match &log.preimage {
                Some(message) => MESSAGE_PUBDATA + message.len() as u64,
                None => 88,
            };
        }
        total
    }

    /// Accounts whose record differs from the one before the block.
    pub(crate) fn changed_accounts(&self) -> impl Iterator<Item = &AccountEntry> {
        self.accounts.iter().filter(|entry| entry.current != entry.initial)
    }

    /// Slots whose value differs from the one before the block.
    pub(crate) fn changed_slots(&self) -> impl Iterator<Item = &SlotEntry> {
        self.slots.iter().filter(|slot| slot.current != slot.initial)
    }

    /// Accounts and slots that the last transaction changed, with their values before it.
    pub(crate) fn tx_changes(&self) -> TxChanges {
        let accounts = self.dirty_accounts.iter().map(|&id| {
            let entry = &self.accounts[id as usize];
            AccountChange { address: entry.address, before: entry.tx_start, after: entry.current }
        });
        let slots = self.dirty_slots.iter().map(|&id| {
            let slot = &self.slots[id as usize];
            SlotChange {
                address: self.accounts[slot.account as usize].address,
                key: slot.key,
                before: slot.tx_start,
                after: slot.current,
            }
        });
        TxChanges {
            accounts: accounts.filter(|change| change.before != change.after).collect(),
            slots: slots.filter(|change| change.before != change.after).collect(),
        }
    }
}

/// State changes of one transaction, for tracers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxChanges {
    /// Changed accounts in the order of their first change.
    pub accounts: Vec<AccountChange>,
    /// Changed slots in the order of their first change.
    pub slots: Vec<SlotChange>,
}

/// Change of an account record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The account.
    pub address: Address,
    /// Record before the transaction.
    pub before: AccountProperties,
    /// Record after the transaction.
    pub after: AccountProperties,
}

/// Change of a storage slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotChange {
    /// Owner of the slot.
    pub address: Address,
    /// The slot.
    pub key: U256,
    /// Value before the transaction.
    pub before: U256,
    /// Value after the transaction.
    pub after: U256,
}
