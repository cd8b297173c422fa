//! State cache of one block with snapshots, and its metered accessors.
//!
//! Accounts and slots live in arenas that are addressed by index; an undo log restores values, warmth and
//! the "exists" flag that native prices depend on.

mod accounts;
mod changes;
mod effects;
mod storage;

pub(crate) use accounts::Access;
pub use changes::{AccountChange, SlotChange, TxChanges};
pub(crate) use effects::TxEffects;

use crate::{code_cache::CodeCache, error::StateError, native::NativeMeter, state::StateView};
use alloy_primitives::{
    Address, B256, Bytes, Log, U256,
    map::{AddressMap, B256Map, HashMap},
};
use revm::bytecode::Bytecode;
use zkos_primitives::AccountProperties;
use zksync_os_interface::types::L2ToL1LogWithPreimage;

/// Entries of the cache in front of the account index; a power of two.
const RECENT: usize = 16;

/// Index of an account in the arena.
pub(crate) type AccId = u32;
/// Index of a slot in the arena.
pub(crate) type SlotId = u32;

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

/// What an entry of the undo log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Balance, nonce or code of an account.
    Account(Address),
    /// A storage slot.
    Slot(Address, U256),
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
    account_ids: AddressMap<AccId>,
    /// The account last seen for each value of an address's last bits, to spare most look-ups.
    recent: [AccId; RECENT],
    slot_ids: HashMap<(AccId, U256), SlotId>,
    transient: HashMap<(AccId, U256), U256>,
    codes: B256Map<Bytecode>,
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

impl<S: StateView> Journal<S> {
    pub(crate) fn new(state: S, code_cache: CodeCache) -> Self {
        Self {
            state,
            code_cache,
            accounts: Vec::with_capacity(64),
            slots: Vec::with_capacity(64),
            account_ids: AddressMap::default(),
            recent: [0; RECENT],
            slot_ids: HashMap::default(),
            transient: HashMap::default(),
            codes: B256Map::default(),
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

    /// Rolls back the whole transaction.
    pub(crate) fn rollback_all(&mut self) {
        self.rollback(Checkpoint { undo: 0, logs: 0, l2_to_l1_logs: 0, refund: 0 });
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

    /// Index of an account, which is read into the arena if it is not there yet. Charges nothing and does not
    /// touch warmth.
    #[inline]
    fn materialize(&mut self, address: Address) -> Result<AccId, StateError> {
        let recent = usize::from(address[19]) % RECENT;
        let id = self.recent[recent];
        if self.accounts.get(id as usize).is_some_and(|entry| entry.address == address) {
            return Ok(id);
        }
        let id = match self.account_ids.get(&address) {
            Some(&id) => id,
            None => self.read_account(address)?,
        };
        self.recent[recent] = id;
        Ok(id)
    }

    #[inline(never)]
    fn read_account(&mut self, address: Address) -> Result<AccId, StateError> {
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

    /// Number of changes of the transaction that stand, for [`Self::change`].
    #[inline]
    pub(crate) const fn changes(&self) -> usize {
        self.undo.len()
    }

    /// What the change at `index` touched, if it is one of values and not only of warmth.
    pub(crate) fn change(&self, index: usize) -> Option<Change> {
        match self.undo.get(index)? {
            Undo::Balance(id, ..) | Undo::Nonce(id, ..) | Undo::Code(id, ..) => {
                Some(Change::Account(self.accounts.get(*id as usize)?.address))
            }
            Undo::Slot(id, ..) => {
                let slot = self.slots.get(*id as usize)?;
                let account = self.accounts.get(slot.account as usize)?;
                Some(Change::Slot(account.address, slot.key))
            }
            _ => None,
        }
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
}
