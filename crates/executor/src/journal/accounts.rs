//! Accounts: metered access, balances, nonces, code, destruction.

use super::{AccId, AccountEntry, CodeFields, Journal, Undo};
use crate::{
    error::{AbortReason, Halt, StateError},
    native,
    state::StateView,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use core::cmp::Ordering;
use revm::{bytecode::Bytecode, interpreter::Gas};
use zkos_primitives::{AccountProperties, blake2s, bytecode::bytecode_padding_len};

const WARM_GAS: u64 = 100;
const COLD_ACCOUNT_EXTRA_GAS: u64 = 2_500;
const ACCESS_LIST_ADDRESS_GAS: u64 = 2_400;

/// Which gas rule applies to an account access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// No gas at all (bootloader accesses, entry frame).
    Free,
    /// 100 warm, 2600 cold.
    Evm,
    /// Nothing if warm, 2600 if cold.
    SelfDestruct,
    /// The fixed price of an access list entry, whatever the warmth.
    Listed,
}

impl<S: StateView> Journal<S> {
    /// Makes an account warm without a charge.
    pub(crate) fn warm_free(&mut self, address: Address) -> Result<AccId, StateError> {
        let id = self.materialize(address)?;
        self.set_warm(id);
        Ok(id)
    }

    pub(super) fn set_warm(&mut self, id: AccId) {
        let entry = &mut self.accounts[id as usize];
        if entry.warm_in != self.epoch {
            entry.warm_in = self.epoch;
            self.undo.push(Undo::WarmAccount(id));
        }
        self.set_leaf_warm(id);
    }

    pub(super) fn set_leaf_warm(&mut self, id: AccId) {
        let entry = &mut self.accounts[id as usize];
        if entry.leaf_warm_in != self.epoch {
            entry.leaf_warm_in = self.epoch;
            self.undo.push(Undo::WarmLeaf(id));
        }
    }

    /// Native of the first read of the slot of a record in this transaction.
    pub(super) fn cold_leaf(&self, id: AccId) -> u64 {
        let entry = &self.accounts[id as usize];
        if entry.leaf_warm_in == self.epoch {
            0
        } else if entry.exists {
            native::COLD_SLOT_EXISTING
        } else {
            native::COLD_SLOT_NEW
        }
    }

    /// Metered access to an account record.
    pub(crate) fn access(
        &mut self,
        address: Address,
        access: Access,
        gas: &mut Gas,
    ) -> Result<AccId, Halt> {
        self.native.charge(native::WARM_ACCOUNT)?;
        let flat = match access {
            Access::Evm => WARM_GAS,
            Access::Listed => ACCESS_LIST_ADDRESS_GAS,
            Access::Free | Access::SelfDestruct => 0,
        };
        if !gas.record_regular_cost(flat) {
            return Err(Halt::OutOfGas);
        }
        let id = self.materialize(address)?;
        let entry = &self.accounts[id as usize];
        if entry.warm_in != self.epoch {
            if matches!(access, Access::Evm | Access::SelfDestruct) {
                let cost = match access {
                    _ if is_precompile_range(&address) => 0,
                    Access::SelfDestruct => COLD_ACCOUNT_EXTRA_GAS + WARM_GAS,
                    _ => COLD_ACCOUNT_EXTRA_GAS,
                };
                if !gas.record_regular_cost(cost) {
                    return Err(Halt::OutOfGas);
                }
            }
            let preimage =
                if entry.exists { native::PREIMAGE_FETCH + native::blake2s(124) } else { 0 };
            self.native.charge(native::WARM_SLOT + self.cold_leaf(id) + preimage)?;
            self.set_warm(id);
        }
        Ok(id)
    }

    /// [`Self::access`] outside of EVM gas.
    pub(crate) fn access_free(&mut self, address: Address) -> Result<AccId, Halt> {
        self.access(address, Access::Free, &mut Gas::new(0))
    }

    /// Code of an account, with the price of fetching it.
    pub(crate) fn fetch_code(&mut self, id: AccId) -> Result<Bytecode, Halt> {
        let properties = self.accounts[id as usize].current;
        if properties.bytecode_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        self.native
            .charge(native::PREIMAGE_FETCH + native::blake2s(properties.full_bytecode_len()))?;
        Ok(self.load_code(&properties)?)
    }

    /// Code of a record, unmetered.
    pub(crate) fn load_code(
        &mut self,
        properties: &AccountProperties,
    ) -> Result<Bytecode, StateError> {
        if properties.bytecode_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&properties.bytecode_hash) {
            return Ok(code.clone());
        }
        let code = if properties.unpadded_code_len == 0 {
            Bytecode::default()
        } else if let Some(code) = self.code_cache.get(&properties.bytecode_hash) {
            code
        } else {
            let code = self.state.code(properties)?;
            self.code_cache.insert(properties.bytecode_hash, code.clone());
            code
        };
        self.codes.insert(properties.bytecode_hash, code.clone());
        Ok(code)
    }

    /// Saves the value before the transaction on the first change in it.
    pub(super) fn mark_dirty(&mut self, id: AccId) {
        let epoch = self.epoch;
        let entry = &mut self.accounts[id as usize];
        if entry.dirty_in != epoch {
            entry.dirty_in = epoch;
            entry.tx_start = entry.current;
            self.dirty_accounts.push(id);
        }
    }

    /// Sets a balance; no charge.
    pub(crate) fn set_balance(&mut self, id: AccId, balance: U256) {
        self.mark_dirty(id);
        let entry = &mut self.accounts[id as usize];
        self.undo.push(Undo::Balance(id, entry.current.balance, entry.exists));
        entry.current.balance = balance;
        entry.exists = true;
    }

    /// Adds to a balance; no charge.
    pub(crate) fn credit(&mut self, id: AccId, amount: U256) -> Result<(), AbortReason> {
        let entry = &self.accounts[id as usize];
        let balance = entry
            .current
            .balance
            .checked_add(amount)
            .ok_or(AbortReason::BalanceOverflow(entry.address))?;
        self.set_balance(id, balance);
        Ok(())
    }

    /// Subtracts from a balance; no charge.
    pub(crate) fn debit(&mut self, id: AccId, amount: U256) -> Result<(), AbortReason> {
        let entry = &self.accounts[id as usize];
        let balance = entry
            .current
            .balance
            .checked_sub(amount)
            .ok_or(AbortReason::BalanceUnderflow(entry.address))?;
        self.set_balance(id, balance);
        Ok(())
    }

    /// Increments a nonce with its write charge; `None` if it would overflow.
    pub(crate) fn increment_nonce(&mut self, id: AccId) -> Result<Option<u64>, Halt> {
        self.native.charge(native::WRITE_ACCOUNT)?;
        let old = self.accounts[id as usize].current.nonce;
        let Some(new) = old.checked_add(1) else { return Ok(None) };
        self.set_nonce(id, new);
        Ok(Some(old))
    }

    pub(crate) fn set_nonce(&mut self, id: AccId, nonce: u64) {
        self.mark_dirty(id);
        let entry = &mut self.accounts[id as usize];
        self.undo.push(Undo::Nonce(id, entry.current.nonce, entry.exists));
        entry.current.nonce = nonce;
        entry.exists = true;
    }

    /// Moves value between two accounts with the native price of both updates.
    ///
    /// `Err(Ok(reason))` means that a balance bound is violated; nothing must be kept then.
    pub(crate) fn transfer(
        &mut self,
        from: Address,
        to: Address,
        amount: U256,
        access: Access,
        gas: &mut Gas,
    ) -> Result<Result<(), AbortReason>, Halt> {
        let from = self.access(from, access, gas)?;
        self.native.charge(native::WRITE_ACCOUNT)?;
        if let Err(reason) = self.debit(from, amount) {
            return Ok(Err(reason));
        }
        let to = self.access(to, access, gas)?;
        self.native.charge(native::WRITE_ACCOUNT)?;
        Ok(self.credit(to, amount))
    }

    fn replace_code(&mut self, id: AccId, update: impl FnOnce(&mut AccountEntry)) {
        self.mark_dirty(id);
        let entry = &mut self.accounts[id as usize];
        let old = CodeFields {
            properties: entry.current,
            deployed_in: entry.deployed_in,
            hide_bytecode: entry.hide_bytecode,
        };
        self.undo.push(Undo::Code(id, Box::new(old), entry.exists));
        entry.exists = true;
        update(entry);
    }

    /// Stores the code of a new contract. The 200 gas per byte are charged by the caller.
    pub(crate) fn deploy_code(&mut self, address: Address, code: Bytes) -> Result<(), Halt> {
        let id = self.access_free(address)?;
        self.native.charge(native::keccak(code.len()))?;
        self.native.charge(native::ANALYSIS_PER_BYTE * code.len() as u64)?;
        let mut properties = AccountProperties::default();
        // Code that starts with 0xef is refused before, so this is never a delegation designator.
        let stored = properties.set_deployed_code(&code);
        self.native.charge(native::blake2s(stored.preimage.len()))?;
        self.native.charge(native::PREIMAGE_RECORD)?;
        self.codes.insert(stored.bytecode_hash, Bytecode::new_legacy(code));
        self.preimages.push((stored.bytecode_hash, stored.preimage.into()));
        self.native.charge(native::WRITE_ACCOUNT)?;
        let epoch = self.epoch;
        self.replace_code(id, |entry| {
            entry.current = AccountProperties {
                nonce: entry.current.nonce,
                balance: entry.current.balance,
                ..properties
            };
            entry.deployed_in = epoch;
            entry.hide_bytecode = false;
        });
        Ok(())
    }

    /// Sets the code of an account by the blake2s hash of its raw code, as protocol upgrades do.
    pub(crate) fn force_deploy(
        &mut self,
        id: AccId,
        code_hash: B256,
        code_len: u32,
        observable_hash: B256,
    ) -> Result<(), Halt> {
        let code = self
            .preimages
            .iter()
            .find(|(hash, _)| *hash == code_hash)
            .map(|(_, preimage)| preimage.clone());
        let code = match code {
            Some(code) => code,
            None => self
                .state
                .preimage(code_hash)?
                .ok_or(AbortReason::UnknownForceDeployment(code_hash))?,
        };
        let code = match code.len().cmp(&(code_len as usize)) {
            Ordering::Equal => code,
            // The upgrade names the length; the hash of a prefix is not checked by the protocol.
            Ordering::Greater => code.slice(..code_len as usize),
            Ordering::Less => return Err(AbortReason::UnknownForceDeployment(code_hash).into()),
        };
        self.native.charge(native::PREIMAGE_FETCH + native::blake2s(code.len()))?;
        self.native.charge(native::ANALYSIS_PER_BYTE * code.len() as u64)?;
        let artifacts = zkos_primitives::bytecode::jumpdest_bitmap(&code);
        let mut preimage = code.to_vec();
        preimage.resize(code.len() + bytecode_padding_len(code.len()), 0);
        preimage.extend_from_slice(&artifacts);
        self.native.charge(native::blake2s(preimage.len()))?;
        self.native.charge(native::PREIMAGE_RECORD)?;
        let bytecode_hash = blake2s(&preimage);
        let epoch = self.epoch;
        self.codes.insert(bytecode_hash, Bytecode::new_legacy(code));
        self.preimages.push((bytecode_hash, preimage.into()));
        self.native.charge(native::WRITE_ACCOUNT)?;
        self.replace_code(id, |entry| {
            entry.current = AccountProperties {
                nonce: entry.current.nonce,
                balance: entry.current.balance,
                versioning: zkos_primitives::account::VERSIONING_DEPLOYED_EVM,
                bytecode_hash,
                unpadded_code_len: code_len,
                artifacts_len: artifacts.len() as u32,
                observable_bytecode_hash: observable_hash,
                observable_bytecode_len: code_len,
            };
            entry.deployed_in = epoch;
            entry.hide_bytecode = true;
        });
        Ok(())
    }

    /// Sets or (for the zero address) clears an EIP-7702 delegation.
    pub(crate) fn set_delegation(&mut self, id: AccId, target: Address) -> Result<(), Halt> {
        let address = self.accounts[id as usize].address;
        let id = self.access_free(address)?;
        let mut properties = AccountProperties::default();
        if !target.is_zero() {
            self.native.charge(native::keccak(23))?;
            let stored = properties.set_delegation(target);
            self.native.charge(native::blake2s(stored.preimage.len()))?;
            self.native.charge(native::PREIMAGE_RECORD)?;
            let designator = Bytes::copy_from_slice(&stored.preimage[..23]);
            self.codes.insert(stored.bytecode_hash, Bytecode::new_legacy(designator));
            self.preimages.push((stored.bytecode_hash, stored.preimage.into()));
        }
        self.native.charge(native::WRITE_ACCOUNT)?;
        self.replace_code(id, |entry| {
            entry.current = AccountProperties {
                nonce: entry.current.nonce,
                balance: entry.current.balance,
                ..properties
            };
            entry.hide_bytecode = false;
        });
        Ok(())
    }

    /// SELFDESTRUCT: returns the amount that moved and whether the beneficiary was empty before.
    pub(crate) fn self_destruct(
        &mut self,
        address: Address,
        beneficiary: Address,
        in_constructor: bool,
        gas: &mut Gas,
    ) -> Result<(U256, bool), Halt> {
        let id = self.access(address, Access::SelfDestruct, gas)?;
        self.native.charge(native::WRITE_ACCOUNT)?;
        let entry = &mut self.accounts[id as usize];
        let amount = entry.current.balance;
        let destroy = in_constructor || entry.deployed_in == self.epoch;
        if destroy && !entry.destroyed {
            entry.destroyed = true;
            self.undo.push(Undo::Destroyed(id));
            self.destroyed.push(id);
        }
        let mut was_empty = false;
        if address != beneficiary {
            self.transfer(address, beneficiary, amount, Access::SelfDestruct, gas)?
                .map_err(Halt::from)?;
            let to = self.account(self.account_ids[&beneficiary]);
            was_empty = to.nonce == 0 && to.unpadded_code_len == 0 && to.balance == amount;
        } else if destroy {
            self.set_balance(id, U256::ZERO);
        }
        Ok((amount, was_empty))
    }
}

/// Addresses 0x01 to 0x0a never pay the cold surcharge.
fn is_precompile_range(address: &Address) -> bool {
    address.0[..19].iter().all(|byte| *byte == 0) && (1..=10).contains(&address.0[19])
}
