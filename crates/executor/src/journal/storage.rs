//! Storage slots: metered loads and stores, transient storage.

use super::{AccId, Journal, SlotEntry, SlotId, Undo};
use crate::{
    error::{Halt, StateError},
    native,
    state::StateView,
};
use alloy_primitives::{Address, B256, U256};
use revm::interpreter::Gas;
use zkos_primitives::ACCOUNT_PROPERTIES_STORAGE_ADDRESS;

const WARM_GAS: u64 = 100;
const COLD_SLOT_EXTRA_GAS: u64 = 2_000;
const ACCESS_LIST_SLOT_GAS: u64 = 1_900;

impl<S: StateView> Journal<S> {
    pub(super) fn materialize_slot(
        &mut self,
        account: AccId,
        key: U256,
    ) -> Result<SlotId, StateError> {
        if let Some(&id) = self.slot_ids.get(&(account, key)) {
            return Ok(id);
        }
        let address = self.accounts[account as usize].address;
        let value = self.state.storage(address, key)?;
        let id = self.slots.len() as SlotId;
        let current = value.unwrap_or_default();
        self.slots.push(SlotEntry {
            account,
            key,
            current,
            initial: current,
            tx_start: current,
            exists: value.is_some(),
            warm_in: 0,
            dirty_in: 0,
        });
        self.slot_ids.insert((account, key), id);
        Ok(id)
    }

    /// Current value of a slot without a charge and without touching warmth.
    pub(crate) fn peek_value(&mut self, address: Address, key: U256) -> Result<U256, StateError> {
        let account = self.materialize(address)?;
        let id = self.materialize_slot(account, key)?;
        Ok(self.slots[id as usize].current)
    }

    /// Metered access to a slot with its flat and its cold gas; the flag tells whether it was warm.
    #[inline]
    fn access_slot(
        &mut self,
        account: AccId,
        key: U256,
        gas: &mut Gas,
        flat: u64,
        cold: u64,
    ) -> Result<(SlotId, bool), Halt> {
        self.native.charge(native::WARM_SLOT)?;
        if !gas.record_regular_cost(flat) {
            return Err(Halt::OutOfGas);
        }
        let id = self.materialize_slot(account, key)?;
        let epoch = self.epoch;
        let slot = &mut self.slots[id as usize];
        let warm = slot.warm_in == epoch;
        if !warm {
            self.native.charge(if slot.exists {
                native::COLD_SLOT_EXISTING
            } else {
                native::COLD_SLOT_NEW
            })?;
            if !gas.record_regular_cost(cold) {
                return Err(Halt::OutOfGas);
            }
            slot.warm_in = epoch;
            self.undo.push(Undo::WarmSlot(id));
        }
        Ok((id, warm))
    }

    /// SLOAD.
    pub(crate) fn sload(
        &mut self,
        address: Address,
        key: U256,
        gas: &mut Gas,
    ) -> Result<U256, Halt> {
        let account = self.materialize(address)?;
        let (id, _) = self.access_slot(account, key, gas, WARM_GAS, COLD_SLOT_EXTRA_GAS)?;
        Ok(self.slots[id as usize].current)
    }

    /// Touches a slot named by an access list.
    pub(crate) fn touch_slot(
        &mut self,
        account: AccId,
        key: U256,
        gas: &mut Gas,
    ) -> Result<(), Halt> {
        let address = B256::from(key);
        if self.accounts[account as usize].address == ACCOUNT_PROPERTIES_STORAGE_ADDRESS
            && address[..12].iter().all(|byte| *byte == 0)
        {
            self.native.charge(native::WARM_SLOT)?;
            if !gas.record_regular_cost(ACCESS_LIST_SLOT_GAS) {
                return Err(Halt::OutOfGas);
            }
            let id = self.materialize(Address::from_word(address))?;
            self.native.charge(self.cold_leaf(id))?;
            self.set_leaf_warm(id);
            return Ok(());
        }
        self.access_slot(account, key, gas, ACCESS_LIST_SLOT_GAS, 0).map(drop)
    }

    /// SSTORE; returns the value before.
    pub(crate) fn sstore(
        &mut self,
        address: Address,
        key: U256,
        new: U256,
        gas: &mut Gas,
    ) -> Result<U256, Halt> {
        let account = self.materialize(address)?;
        let (id, warm) = self.access_slot(account, key, gas, WARM_GAS, COLD_SLOT_EXTRA_GAS)?;
        let epoch = self.epoch;
        let slot = &mut self.slots[id as usize];
        let current = slot.current;
        let original = if slot.dirty_in == epoch { slot.tx_start } else { current };

        self.native.charge(if slot.exists {
            native::WRITE_SLOT_EXISTING
        } else {
            native::WRITE_SLOT_NEW
        })?;
        let base = if new == current || current != original {
            100
        } else if original.is_zero() {
            20_000
        } else {
            2_900
        };
        if !gas.record_regular_cost(if warm { base - WARM_GAS } else { base }) {
            return Err(Halt::OutOfGas);
        }
        self.refund += sstore_refund(original, current, new);

        self.undo.push(Undo::Slot(id, current, slot.exists));
        self.mark_slot_dirty(id);
        let slot = &mut self.slots[id as usize];
        slot.current = new;
        slot.exists = true;
        Ok(current)
    }

    /// Saves the value before the transaction on the first change in it.
    #[inline]
    pub(super) fn mark_slot_dirty(&mut self, id: SlotId) {
        let epoch = self.epoch;
        let slot = &mut self.slots[id as usize];
        if slot.dirty_in != epoch {
            slot.dirty_in = epoch;
            slot.tx_start = slot.current;
            self.dirty_slots.push(id);
        }
    }

    /// Transient storage of the transaction.
    pub(crate) fn transient_values(&self) -> impl Iterator<Item = ((Address, U256), U256)> {
        self.transient.iter().map(|((account, key), value)| {
            ((self.accounts[*account as usize].address, *key), *value)
        })
    }

    /// Transient value without a charge.
    pub(crate) fn transient_value(&self, address: Address, key: U256) -> U256 {
        self.account_ids
            .get(&address)
            .and_then(|account| self.transient.get(&(*account, key)))
            .copied()
            .unwrap_or_default()
    }

    /// TLOAD.
    pub(crate) fn tload(
        &mut self,
        address: Address,
        key: U256,
        gas: &mut Gas,
    ) -> Result<U256, Halt> {
        self.native.charge(native::TRANSIENT)?;
        if !gas.record_regular_cost(WARM_GAS) {
            return Err(Halt::OutOfGas);
        }
        let account = self.materialize(address)?;
        Ok(self.transient.get(&(account, key)).copied().unwrap_or_default())
    }

    /// TSTORE.
    pub(crate) fn tstore(
        &mut self,
        address: Address,
        key: U256,
        value: U256,
        gas: &mut Gas,
    ) -> Result<(), Halt> {
        self.native.charge(native::TRANSIENT)?;
        if !gas.record_regular_cost(WARM_GAS) {
            return Err(Halt::OutOfGas);
        }
        let account = self.materialize(address)?;
        let old = self.transient.insert((account, key), value).unwrap_or_default();
        self.undo.push(Undo::Transient((account, key), old));
        Ok(())
    }
}

/// EIP-3529 refund of a storage write.
fn sstore_refund(original: U256, current: U256, new: U256) -> i64 {
    const CLEARS: i64 = 4_800;
    if new == current {
        return 0;
    }
    if original == current {
        return if !original.is_zero() && new.is_zero() { CLEARS } else { 0 };
    }
    let mut refund = 0;
    if !original.is_zero() {
        if current.is_zero() {
            refund -= CLEARS;
        } else if new.is_zero() {
            refund += CLEARS;
        }
    }
    if original == new {
        refund += if original.is_zero() { 20_000 - 100 } else { 5_000 - 2_100 - 100 };
    }
    refund
}
