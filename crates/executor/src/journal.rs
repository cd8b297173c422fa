//! State cache of one block with snapshots, and its metered accessors.
//!
//! Accounts and slots live in arenas that are addressed by index; an undo log restores values, warmth and
//! the "exists" flag that native prices depend on.

use crate::{
    code_cache::CodeCache,
    error::{AbortReason, Halt, StateError},
    native::{self, NativeMeter},
    state::StateView,
};
use alloy_primitives::{Address, B256, Bytes, Log, U256, map::HashMap};
use core::cmp::Ordering;
use revm::{bytecode::Bytecode, interpreter::Gas};
use zkos_primitives::{
    ACCOUNT_PROPERTIES_STORAGE_ADDRESS, AccountProperties, blake2s,
    bytecode::bytecode_padding_len,
    pubdata::{AccountDiff, value_diff_length},
};
use zksync_os_interface::types::L2ToL1LogWithPreimage;

/// Index of an account in the arena.
pub(crate) type AccId = u32;
/// Index of a slot in the arena.
pub(crate) type SlotId = u32;

const WARM_GAS: u64 = 100;
const COLD_ACCOUNT_EXTRA_GAS: u64 = 2_500;
const COLD_SLOT_EXTRA_GAS: u64 = 2_000;
const ACCESS_LIST_ADDRESS_GAS: u64 = 2_400;
const ACCESS_LIST_SLOT_GAS: u64 = 1_900;

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

/// Account as the block sees it.
#[derive(Debug)]
pub(crate) struct AccountEntry {
    pub(crate) address: Address,
    pub(crate) current: AccountProperties,
    /// Before the block.
    pub(crate) initial: AccountProperties,
    /// Before the current transaction; valid if `dirty_in` is the current transaction.
    tx_start: AccountProperties,
    /// The leaf is in the tree, or was written in this block.
    exists: bool,
    warm_in: u32,
    /// Warmth of the slot that holds the record: an access list can name it as a slot of 0x8003.
    leaf_warm_in: u32,
    dirty_in: u32,
    deployed_in: u32,
    /// The last code change was a force deployment.
    pub(crate) hide_bytecode: bool,
    /// Marked for destruction in the current transaction.
    destroyed: bool,
}

/// Storage slot as the block sees it.
#[derive(Debug)]
pub(crate) struct SlotEntry {
    pub(crate) account: AccId,
    pub(crate) key: U256,
    pub(crate) current: U256,
    pub(crate) initial: U256,
    tx_start: U256,
    exists: bool,
    warm_in: u32,
    dirty_in: u32,
}

/// Code fields of an account, for undo.
#[derive(Debug, Clone)]
struct CodeFields {
    properties: AccountProperties,
    deployed_in: u32,
    hide_bytecode: bool,
}

#[derive(Debug)]
enum Undo {
    WarmAccount(AccId),
    WarmLeaf(AccId),
    WarmSlot(SlotId),
    Balance(AccId, U256, bool),
    Nonce(AccId, u64, bool),
    Code(AccId, Box<CodeFields>, bool),
    Destroyed(AccId),
    Slot(SlotId, U256, bool),
    Transient((AccId, U256), U256),
}

/// Position to which the journal can be rolled back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint {
    undo: usize,
    logs: usize,
    l2_to_l1_logs: usize,
    refund: i64,
}

/// State cache of one block.
#[derive(Debug)]
pub(crate) struct Journal<S> {
    pub(crate) state: S,
    pub(crate) accounts: Vec<AccountEntry>,
    pub(crate) slots: Vec<SlotEntry>,
    account_ids: HashMap<Address, AccId>,
    slot_ids: HashMap<(AccId, U256), SlotId>,
    transient: HashMap<(AccId, U256), U256>,
    codes: HashMap<B256, Bytecode>,
    code_cache: CodeCache,
    undo: Vec<Undo>,
    dirty_accounts: Vec<AccId>,
    dirty_slots: Vec<SlotId>,
    destroyed: Vec<AccId>,
    /// Number of the current transaction attempt; zero means "never".
    epoch: u32,
    /// EVM refund counter of the current transaction.
    pub(crate) refund: i64,
    /// Native meter of the current transaction.
    pub(crate) native: NativeMeter,
    /// Events of the current transaction.
    pub(crate) logs: Vec<Log>,
    /// L2 to L1 logs of the current transaction.
    pub(crate) l2_to_l1_logs: Vec<L2ToL1LogWithPreimage>,
    /// Bytecode preimages recorded in the block. Frames and transactions that revert leave theirs here too:
    /// the protocol publishes whatever was recorded.
    pub(crate) preimages: Vec<(B256, Bytes)>,
}

/// Net pubdata of an L2 to L1 message besides its body: the log and the length prefix.
const MESSAGE_PUBDATA: u64 = 88 + 4;

impl<S: StateView> Journal<S> {
    pub(crate) fn new(state: S, code_cache: CodeCache) -> Self {
        Self {
            state,
            code_cache,
            accounts: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            account_ids: HashMap::default(),
            slot_ids: HashMap::default(),
            transient: HashMap::default(),
            codes: HashMap::default(),
            undo: Vec::with_capacity(256),
            dirty_accounts: Vec::new(),
            dirty_slots: Vec::new(),
            destroyed: Vec::new(),
            epoch: 0,
            refund: 0,
            native: NativeMeter::default(),
            logs: Vec::new(),
            l2_to_l1_logs: Vec::new(),
            preimages: Vec::new(),
        }
    }

    /// Starts a transaction attempt.
    pub(crate) fn begin_tx(&mut self) -> Checkpoint {
        self.epoch += 1;
        self.refund = 0;
        self.undo.clear();
        self.dirty_accounts.clear();
        self.dirty_slots.clear();
        self.destroyed.clear();
        self.transient.clear();
        self.logs.clear();
        self.l2_to_l1_logs.clear();
        self.checkpoint()
    }

    /// Ends an included transaction: destroys the marked accounts.
    pub(crate) fn commit_tx(&mut self) {
        for i in 0..self.destroyed.len() {
            let id = self.destroyed[i];
            let entry = &mut self.accounts[id as usize];
            if !entry.destroyed {
                continue;
            }
            entry.destroyed = false;
            entry.current = AccountProperties::default();
            entry.hide_bytecode = false;
            entry.exists = true;
            for slot in &mut self.slots {
                if slot.account == id {
                    slot.current = U256::ZERO;
                    slot.exists = false;
                }
            }
        }
        self.destroyed.clear();
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            undo: self.undo.len(),
            logs: self.logs.len(),
            l2_to_l1_logs: self.l2_to_l1_logs.len(),
            refund: self.refund,
        }
    }

    pub(crate) fn rollback(&mut self, to: Checkpoint) {
        while self.undo.len() > to.undo {
            let Some(undo) = self.undo.pop() else { break };
            match undo {
                Undo::WarmAccount(id) => self.accounts[id as usize].warm_in = 0,
                Undo::WarmLeaf(id) => self.accounts[id as usize].leaf_warm_in = 0,
                Undo::WarmSlot(id) => self.slots[id as usize].warm_in = 0,
                Undo::Balance(id, old, exists) => {
                    let entry = &mut self.accounts[id as usize];
                    entry.current.balance = old;
                    entry.exists = exists;
                }
                Undo::Nonce(id, old, exists) => {
                    let entry = &mut self.accounts[id as usize];
                    entry.current.nonce = old;
                    entry.exists = exists;
                }
                Undo::Code(id, old, exists) => {
                    let entry = &mut self.accounts[id as usize];
                    entry.current = AccountProperties {
                        nonce: entry.current.nonce,
                        balance: entry.current.balance,
                        ..old.properties
                    };
                    entry.deployed_in = old.deployed_in;
                    entry.hide_bytecode = old.hide_bytecode;
                    entry.exists = exists;
                }
                Undo::Destroyed(id) => self.accounts[id as usize].destroyed = false,
                Undo::Slot(id, old, exists) => {
                    let slot = &mut self.slots[id as usize];
                    slot.current = old;
                    slot.exists = exists;
                }
                Undo::Transient(key, old) => {
                    self.transient.insert(key, old);
                }
            }
        }
        self.logs.truncate(to.logs);
        self.l2_to_l1_logs.truncate(to.l2_to_l1_logs);
        self.refund = to.refund;
    }

    #[inline]
    pub(crate) fn account(&self, id: AccId) -> &AccountProperties {
        &self.accounts[id as usize].current
    }

    /// Reads the record into the arena without charging anything or touching warmth.
    fn materialize(&mut self, address: Address) -> Result<AccId, StateError> {
        if let Some(&id) = self.account_ids.get(&address) {
            return Ok(id);
        }
        let record = self.state.account(address)?;
        let id = self.accounts.len() as AccId;
        let exists = record.is_some();
        let current = record.unwrap_or_default();
        self.accounts.push(AccountEntry {
            address,
            current,
            initial: current,
            tx_start: current,
            exists,
            warm_in: 0,
            leaf_warm_in: 0,
            dirty_in: 0,
            deployed_in: 0,
            hide_bytecode: false,
            destroyed: false,
        });
        self.account_ids.insert(address, id);
        Ok(id)
    }

    /// Index of an account without a charge and without touching warmth.
    pub(crate) fn peek(&mut self, address: Address) -> Result<AccId, StateError> {
        self.materialize(address)
    }

    /// Current value of a loaded slot, the one before the transaction, and the one before the last write.
    pub(crate) fn peek_slot(&self, address: Address, key: U256) -> Option<(U256, U256, U256)> {
        let account = self.account_ids.get(&address)?;
        let id = *self.slot_ids.get(&(*account, key))?;
        let slot = &self.slots[id as usize];
        let original = if slot.dirty_in == self.epoch { slot.tx_start } else { slot.current };
        let previous = match self.undo.last() {
            Some(Undo::Slot(last, old, _)) if *last == id => *old,
            _ => slot.current,
        };
        Some((slot.current, original, previous))
    }

    /// Makes an account warm without a charge.
    pub(crate) fn warm_free(&mut self, address: Address) -> Result<AccId, StateError> {
        let id = self.materialize(address)?;
        self.set_warm(id);
        Ok(id)
    }

    fn set_warm(&mut self, id: AccId) {
        let entry = &mut self.accounts[id as usize];
        if entry.warm_in != self.epoch {
            entry.warm_in = self.epoch;
            self.undo.push(Undo::WarmAccount(id));
        }
        self.set_leaf_warm(id);
    }

    fn set_leaf_warm(&mut self, id: AccId) {
        let entry = &mut self.accounts[id as usize];
        if entry.leaf_warm_in != self.epoch {
            entry.leaf_warm_in = self.epoch;
            self.undo.push(Undo::WarmLeaf(id));
        }
    }

    /// Native of the first read of the slot of a record in this transaction.
    fn cold_leaf(&self, id: AccId) -> u64 {
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
    fn mark_dirty(&mut self, id: AccId) {
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

    fn materialize_slot(&mut self, account: AccId, key: U256) -> Result<SlotId, StateError> {
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

        if slot.dirty_in != epoch {
            slot.dirty_in = epoch;
            slot.tx_start = current;
            self.dirty_slots.push(id);
        }
        self.undo.push(Undo::Slot(id, current, slot.exists));
        slot.current = new;
        slot.exists = true;
        Ok(current)
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

/// Addresses 0x01 to 0x0a never pay the cold surcharge.
pub(crate) fn is_precompile_range(address: &Address) -> bool {
    address.0[..19].iter().all(|byte| *byte == 0) && (1..=10).contains(&address.0[19])
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
