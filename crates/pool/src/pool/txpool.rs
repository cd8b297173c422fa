//! The state behind the pool's lock: transactions, senders, sub-pools.

use crate::{
    BlockInfo, CanonicalStateUpdate, InvalidPoolTransactionError, PoolConfig, PoolErrorKind,
    PoolSize, PoolTransaction, SubPoolLimit, ValidPoolTransaction,
};
use alloy_primitives::{
    Address, TxHash, U256,
    map::{AddressMap, HashMap, hash_map::Entry as MapEntry},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

/// Promotions that are kept for iterators which read them later; one that lags further rebuilds itself.
const PROMOTION_LOG_LEN: usize = 16_384;

/// Part of the pool a transaction is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubPool {
    /// Executable now.
    Pending,
    /// Executable but for a fee cap below the base fee.
    BaseFee,
    /// Nonce gap, balance too low, or behind a transaction that is not executable.
    Queued,
}

/// Lowest first: least fee cap, then latest arrival.
type EvictionKey = (u128, Reverse<u64>, Address, u64);

type Tx<T> = Arc<ValidPoolTransaction<T>>;

#[derive(Debug)]
struct Entry<T> {
    tx: Tx<T>,
    sub_pool: SubPool,
    /// Cost of this and all earlier transactions of the sender if it is pending, else zero.
    cumulative_cost: U256,
}

#[derive(Debug)]
struct Sender<T> {
    nonce: u64,
    balance: U256,
    txs: BTreeMap<u64, Entry<T>>,
}

#[derive(Debug, Default)]
struct SubPoolState {
    bytes: usize,
    by_fee: BTreeSet<EvictionKey>,
}

/// What an operation changed, for the listeners.
#[derive(Debug)]
pub(crate) struct Changes<T> {
    /// Became executable.
    pub(crate) promoted: Vec<Tx<T>>,
    /// Became not executable.
    pub(crate) demoted: Vec<Tx<T>>,
    /// Left the pool.
    pub(crate) discarded: Vec<Tx<T>>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { promoted: Vec::new(), demoted: Vec::new(), discarded: Vec::new() }
    }
}

/// Result of an insertion.
#[derive(Debug)]
pub(crate) struct Inserted<T> {
    pub(crate) tx: Tx<T>,
    pub(crate) sub_pool: SubPool,
    pub(crate) replaced: Option<Tx<T>>,
    pub(crate) changes: Changes<T>,
}

#[derive(Debug)]
pub(crate) struct TxPool<T> {
    config: PoolConfig,
    by_hash: HashMap<TxHash, Tx<T>>,
    senders: AddressMap<Sender<T>>,
    sub_pools: [SubPoolState; 3],
    block_info: BlockInfo,
    next_submission_id: u64,
    /// Accounts changed by the last two updates. A transaction that was validated against an older state is corrected by them.
    recent_accounts: [AddressMap<(u64, U256)>; 2],
    /// Transactions that became pending, oldest first; `promotions_end` counts all there ever were.
    promotions: VecDeque<Tx<T>>,
    promotions_end: u64,
}

impl<T: PoolTransaction> TxPool<T> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self {
            config,
            by_hash: HashMap::default(),
            senders: AddressMap::default(),
            sub_pools: Default::default(),
            block_info: BlockInfo::default(),
            next_submission_id: 0,
            recent_accounts: Default::default(),
            promotions: VecDeque::new(),
            promotions_end: 0,
        }
    }

    pub(crate) const fn block_info(&self) -> BlockInfo {
        self.block_info
    }

    pub(crate) fn get(&self, hash: &TxHash) -> Option<&Tx<T>> {
        self.by_hash.get(hash)
    }

    pub(crate) fn size(&self) -> PoolSize {
        let count = |pool: SubPool| self.sub_pools[pool as usize].by_fee.len();
        let bytes = |pool: SubPool| self.sub_pools[pool as usize].bytes;
        PoolSize {
            pending: count(SubPool::Pending),
            pending_size: bytes(SubPool::Pending),
            basefee: count(SubPool::BaseFee),
            basefee_size: bytes(SubPool::BaseFee),
            queued: count(SubPool::Queued),
            queued_size: bytes(SubPool::Queued),
            total: self.by_hash.len(),
        }
    }

    /// All transactions with their sub-pool.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SubPool, &Tx<T>)> {
        let entries = self.senders.values().flat_map(|sender| sender.txs.values());
        entries.map(|entry| (entry.sub_pool, &entry.tx))
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = &TxHash> {
        self.by_hash.keys()
    }

    pub(crate) fn senders(&self) -> impl Iterator<Item = &Address> {
        self.senders.keys()
    }

    /// Transactions of a sender with nonces from `nonce`, ascending.
    pub(crate) fn by_sender(&self, sender: Address, nonce: u64) -> impl Iterator<Item = &Tx<T>> {
        let sender = self.senders.get(&sender);
        sender.into_iter().flat_map(move |sender| sender.txs.range(nonce..)).map(|(_, e)| &e.tx)
    }

    /// Nonce of a sender with transactions in the pool, as far as the pool knows.
    pub(crate) fn account_nonce(&self, sender: Address) -> Option<u64> {
        self.senders.get(&sender).map(|sender| sender.nonce)
    }

    /// Transaction with this nonce, if it is executable now.
    pub(crate) fn pending_at(&self, sender: Address, nonce: u64) -> Option<&Tx<T>> {
        let entry = self.senders.get(&sender)?.txs.get(&nonce)?;
        (entry.sub_pool == SubPool::Pending).then_some(&entry.tx)
    }

    /// First executable transaction of each sender.
    pub(crate) fn pending_heads(&self) -> impl Iterator<Item = &Tx<T>> {
        self.senders.values().filter_map(|sender| {
            let entry = sender.txs.get(&sender.nonce)?;
            (entry.sub_pool == SubPool::Pending).then_some(&entry.tx)
        })
    }

    /// Number of promotions so far.
    pub(crate) const fn promotions_end(&self) -> u64 {
        self.promotions_end
    }

    /// Promotions from number `from`; `None` if they are not kept any more.
    pub(crate) fn promotions_since(&self, from: u64) -> Option<impl Iterator<Item = &Tx<T>>> {
        let behind = usize::try_from(self.promotions_end - from).ok()?;
        let skip = self.promotions.len().checked_sub(behind)?;
        Some(self.promotions.iter().skip(skip))
    }

    /// Inserts a validated transaction.
    pub(crate) fn insert(
        &mut self,
        mut tx: ValidPoolTransaction<T>,
        state_nonce: u64,
        balance: U256,
    ) -> Result<Inserted<T>, PoolErrorKind> {
        let (hash, address, nonce) = (*tx.hash(), tx.sender(), tx.nonce());
        if self.by_hash.contains_key(&hash) {
            return Err(PoolErrorKind::AlreadyImported);
        }
        let mut changes = Changes::default();
        let recent = self.recent_accounts.iter().find_map(|accounts| accounts.get(&address));
        let (state_nonce, balance) = match recent {
            Some(&(recent_nonce, recent)) if recent_nonce > state_nonce => (recent_nonce, recent),
            _ => (state_nonce, balance),
        };
        // The validator may have seen a newer state than the pool, or the other way round.
        let known = self.senders.get(&address).map(|sender| (sender.nonce, sender.balance));
        if let Some((known_nonce, known_balance)) = known
            && (state_nonce > known_nonce
                || (state_nonce == known_nonce && balance != known_balance))
        {
            self.set_account(address, state_nonce, balance, false, &mut changes);
        }
        let next_nonce = self.senders.get(&address).map_or(state_nonce, |sender| sender.nonce);
        if nonce < next_nonce {
            return Err(
                InvalidPoolTransactionError::NonceTooLow { tx: nonce, state: next_nonce }.into()
            );
        }

        let sender = match self.senders.entry(address) {
            MapEntry::Occupied(entry) => entry.into_mut(),
            MapEntry::Vacant(entry) => {
                entry.insert(Sender { nonce: state_nonce, balance, txs: BTreeMap::new() })
            }
        };
        let replaced = match sender.txs.get(&nonce) {
            Some(old) if is_underpriced(&old.tx, &tx, self.config.price_bump) => {
                return Err(PoolErrorKind::ReplacementUnderpriced);
            }
            Some(old) => Some((old.tx.clone(), old.sub_pool)),
            None if sender.txs.len() >= self.config.max_account_slots && !tx.origin.is_local() => {
                self.drop_if_empty(address);
                return Err(PoolErrorKind::SpammerExceededCapacity(address));
            }
            None => None,
        };

        tx.submission_id = self.next_submission_id;
        self.next_submission_id += 1;
        let tx = Arc::new(tx);
        if let Some((old, sub_pool)) = &replaced {
            self.by_hash.remove(old.hash());
            self.sub_pools[*sub_pool as usize].remove(old);
        }
        self.by_hash.insert(hash, tx.clone());
        self.sub_pools[SubPool::Queued as usize].add(&tx);
        if let Some(sender) = self.senders.get_mut(&address) {
            let entry =
                Entry { tx: tx.clone(), sub_pool: SubPool::Queued, cumulative_cost: U256::ZERO };
            sender.txs.insert(nonce, entry);
        }
        self.reclassify_from(address, nonce, &mut changes);
        self.enforce_limits(&mut changes);
        if changes.discarded.iter().any(|discarded| discarded.hash() == &hash) {
            return Err(PoolErrorKind::DiscardedOnInsert);
        }
        let sub_pool = self
            .senders
            .get(&address)
            .and_then(|sender| sender.txs.get(&nonce))
            .map_or(SubPool::Queued, |entry| entry.sub_pool);
        Ok(Inserted { tx, sub_pool, replaced: replaced.map(|(old, _)| old), changes })
    }

    /// Removes transactions; later ones of their senders get a nonce gap.
    pub(crate) fn remove(&mut self, hashes: &[TxHash]) -> (Vec<Tx<T>>, Changes<T>) {
        let mut changes = Changes::default();
        let mut removed = Vec::with_capacity(hashes.len());
        // First nonce removed of each sender: everything behind it is looked at once.
        let mut first = AddressMap::<u64>::default();
        for hash in hashes {
            if let Some(tx) = self.take(hash) {
                let nonce = tx.nonce();
                first.entry(tx.sender()).and_modify(|min| *min = nonce.min(*min)).or_insert(nonce);
                removed.push(tx);
            }
        }
        for (sender, nonce) in first {
            self.reclassify_from(sender, nonce, &mut changes);
            self.drop_if_empty(sender);
        }
        self.enforce_limits(&mut changes);
        (removed, changes)
    }

    /// Takes in a new head; returns the included transactions that were in the pool.
    pub(crate) fn on_canonical_state_change(
        &mut self,
        update: &CanonicalStateUpdate,
    ) -> (Vec<Tx<T>>, Changes<T>) {
        let mut changes = Changes::default();
        let mut mined = Vec::new();
        for hash in &update.mined_transactions {
            mined.extend(self.take(hash));
        }
        // Nonces of the senders of included transactions, in case the update does not name them.
        let mut mined_nonces = AddressMap::<u64>::default();
        for tx in &mined {
            let next = tx.nonce() + 1;
            mined_nonces.entry(tx.sender()).and_modify(|max| *max = next.max(*max)).or_insert(next);
        }
        self.recent_accounts.swap(0, 1);
        self.recent_accounts[0].clear();
        if update.reset_accounts {
            self.recent_accounts[1].clear();
        }
        for account in &update.changed_accounts {
            self.recent_accounts[0].insert(account.address, (account.nonce, account.balance));
            let applied = self.set_account(
                account.address,
                account.nonce,
                account.balance,
                update.reset_accounts,
                &mut changes,
            );
            if applied && mined_nonces.get(&account.address).is_none_or(|n| *n <= account.nonce) {
                mined_nonces.remove(&account.address);
            }
        }
        for (address, nonce) in mined_nonces {
            let Some(sender) = self.senders.get_mut(&address) else { continue };
            sender.nonce = sender.nonce.max(nonce);
            let (nonce, balance) = (sender.nonce, sender.balance);
            self.set_account(address, nonce, balance, true, &mut changes);
        }
        self.set_block_info_inner(update.block_info, &mut changes);
        self.enforce_limits(&mut changes);
        (mined, changes)
    }

    pub(crate) fn set_block_info(&mut self, info: BlockInfo) -> Changes<T> {
        let mut changes = Changes::default();
        self.set_block_info_inner(info, &mut changes);
        self.enforce_limits(&mut changes);
        changes
    }

    fn set_block_info_inner(&mut self, info: BlockInfo, changes: &mut Changes<T>) {
        let old = std::mem::replace(&mut self.block_info, info);
        if old.pending_basefee != info.pending_basefee {
            let senders: Vec<Address> = self.senders.keys().copied().collect();
            for sender in senders {
                self.reclassify_all(sender, changes);
            }
        }
    }

    /// Sets nonce and balance of a sender with transactions in the pool, and drops those whose nonce is used up. Without `force` an older nonce is ignored; returns
    /// whether it was not.
    fn set_account(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        force: bool,
        changes: &mut Changes<T>,
    ) -> bool {
        let Some(sender) = self.senders.get_mut(&address) else { return false };
        if nonce < sender.nonce && !force {
            return false;
        }
        sender.nonce = nonce;
        sender.balance = balance;
        let valid = sender.txs.split_off(&nonce);
        let stale = std::mem::replace(&mut sender.txs, valid);
        for entry in stale.into_values() {
            self.by_hash.remove(entry.tx.hash());
            self.sub_pools[entry.sub_pool as usize].remove(&entry.tx);
            changes.discarded.push(entry.tx);
        }
        self.reclassify_all(address, changes);
        self.drop_if_empty(address);
        true
    }

    /// Takes a transaction out without looking at those behind it.
    fn take(&mut self, hash: &TxHash) -> Option<Tx<T>> {
        let tx = self.by_hash.remove(hash)?;
        if let Some(entry) =
            self.senders.get_mut(&tx.sender()).and_then(|sender| sender.txs.remove(&tx.nonce()))
        {
            self.sub_pools[entry.sub_pool as usize].remove(&entry.tx);
        }
        Some(tx)
    }

    fn drop_if_empty(&mut self, address: Address) {
        if self.senders.get(&address).is_some_and(|sender| sender.txs.is_empty()) {
            self.senders.remove(&address);
        }
    }

    /// Decides anew in which sub-pools all transactions of a sender belong: its account or the base fee changed.
    fn reclassify_all(&mut self, address: Address, changes: &mut Changes<T>) {
        self.reclassify(address, 0, true, changes);
    }

    /// Decides anew where the transactions behind an inserted or removed one belong, and it itself.
    fn reclassify_from(&mut self, address: Address, nonce: u64, changes: &mut Changes<T>) {
        self.reclassify(address, nonce, false, changes);
    }

    fn reclassify(&mut self, address: Address, from: u64, all: bool, changes: &mut Changes<T>) {
        let Some(sender) = self.senders.get_mut(&address) else { return };
        let base_fee = u128::from(self.block_info.pending_basefee);
        // `next` is the nonce that would continue a gapless run of pending transactions, if there is one.
        let previous = sender.txs.range((Bound::Unbounded, Bound::Excluded(from))).next_back();
        let (mut next, mut cumulative) = match previous {
            None => (Some(sender.nonce), U256::ZERO),
            Some((nonce, entry)) if entry.sub_pool == SubPool::Pending => {
                (nonce.checked_add(1), entry.cumulative_cost)
            }
            Some(_) => (None, U256::ZERO),
        };
        for (nonce, entry) in sender.txs.range_mut(from..) {
            let total = cumulative.saturating_add(*entry.tx.cost());
            let sub_pool = if next != Some(*nonce) || total > sender.balance {
                SubPool::Queued
            } else if entry.tx.max_fee_per_gas() < base_fee {
                SubPool::BaseFee
            } else {
                SubPool::Pending
            };
            (next, cumulative) = match sub_pool {
                SubPool::Pending => (nonce.checked_add(1), total),
                _ => (None, U256::ZERO),
            };
            let settled = entry.sub_pool == sub_pool && entry.cumulative_cost == cumulative;
            entry.cumulative_cost = cumulative;
            if entry.sub_pool != sub_pool {
                self.sub_pools[entry.sub_pool as usize].remove(&entry.tx);
                self.sub_pools[sub_pool as usize].add(&entry.tx);
                if sub_pool == SubPool::Pending {
                    changes.promoted.push(entry.tx.clone());
                    if self.promotions.len() == PROMOTION_LOG_LEN {
                        self.promotions.pop_front();
                    }
                    self.promotions.push_back(entry.tx.clone());
                    self.promotions_end += 1;
                } else if entry.sub_pool == SubPool::Pending {
                    changes.demoted.push(entry.tx.clone());
                }
                entry.sub_pool = sub_pool;
            } else if settled && !all && *nonce > from {
                // What follows depends on this one only, which has not changed.
                break;
            }
        }
    }

    /// Throws out the lowest-paying transactions of sub-pools that are over their limit.
    fn enforce_limits(&mut self, changes: &mut Changes<T>) {
        for (pool, limit) in [
            (SubPool::Pending, self.config.pending_limit),
            (SubPool::BaseFee, self.config.basefee_limit),
            // Last, because what is behind a transaction thrown out above becomes queued.
            (SubPool::Queued, self.config.queued_limit),
        ] {
            while self.is_over(pool, limit) {
                let Some(&(_, _, sender, nonce)) = self.sub_pools[pool as usize].by_fee.first()
                else {
                    break;
                };
                let hash = self
                    .senders
                    .get(&sender)
                    .and_then(|sender| sender.txs.get(&nonce))
                    .map(|entry| *entry.tx.hash());
                let Some(tx) = hash.and_then(|hash| self.take(&hash)) else { break };
                changes.promoted.retain(|promoted| promoted.hash() != tx.hash());
                changes.discarded.push(tx);
                self.reclassify_from(sender, nonce, changes);
                self.drop_if_empty(sender);
            }
        }
    }

    fn is_over(&self, pool: SubPool, limit: SubPoolLimit) -> bool {
        let state = &self.sub_pools[pool as usize];
        limit.is_exceeded(state.by_fee.len(), state.bytes)
    }

    /// Checks that all parts agree with each other.
    #[cfg(test)]
    pub(crate) fn assert_invariants(&self) {
        let mut counts = [0usize; 3];
        let mut bytes = [0usize; 3];
        let mut total = 0;
        for (address, sender) in &self.senders {
            assert!(!sender.txs.is_empty(), "empty sender {address}");
            let (mut next, mut cumulative) = (Some(sender.nonce), U256::ZERO);
            for (nonce, entry) in &sender.txs {
                total += 1;
                assert!(*nonce >= sender.nonce);
                assert_eq!((entry.tx.sender(), entry.tx.nonce()), (*address, *nonce));
                assert!(Arc::ptr_eq(&self.by_hash[entry.tx.hash()], &entry.tx));
                cumulative += *entry.tx.cost();
                let expected = if next != Some(*nonce) || cumulative > sender.balance {
                    SubPool::Queued
                } else if entry.tx.max_fee_per_gas() < u128::from(self.block_info.pending_basefee) {
                    SubPool::BaseFee
                } else {
                    SubPool::Pending
                };
                assert_eq!(entry.sub_pool, expected, "{address} {nonce}");
                next = (expected == SubPool::Pending).then_some(nonce + 1);
                counts[expected as usize] += 1;
                bytes[expected as usize] += entry.tx.size();
                assert!(
                    self.sub_pools[expected as usize].by_fee.contains(&eviction_key(&entry.tx))
                );
            }
        }
        assert_eq!(total, self.by_hash.len());
        for (state, (count, bytes)) in self.sub_pools.iter().zip(counts.into_iter().zip(bytes)) {
            assert_eq!((state.by_fee.len(), state.bytes), (count, bytes));
        }
    }
}

impl SubPoolState {
    fn add<T: PoolTransaction>(&mut self, tx: &Tx<T>) {
        self.bytes += tx.size();
        self.by_fee.insert(eviction_key(tx));
    }

    fn remove<T: PoolTransaction>(&mut self, tx: &Tx<T>) {
        if self.by_fee.remove(&eviction_key(tx)) {
            self.bytes -= tx.size();
        }
    }
}

fn eviction_key<T: PoolTransaction>(tx: &Tx<T>) -> EvictionKey {
    (tx.max_fee_per_gas(), Reverse(tx.submission_id), tx.sender(), tx.nonce())
}

/// True unless `new` raises both fee cap and tip of `old` by `bump` percent.
fn is_underpriced<T: PoolTransaction>(
    old: &ValidPoolTransaction<T>,
    new: &ValidPoolTransaction<T>,
    bump: u128,
) -> bool {
    let raised = |value: u128| {
        let rest = (value % 100).saturating_mul(bump).div_ceil(100);
        value.saturating_add((value / 100).saturating_mul(bump)).saturating_add(rest)
    };
    let tip = |tx: &ValidPoolTransaction<T>| tx.transaction.priority_fee_or_price();
    new.max_fee_per_gas() < raised(old.max_fee_per_gas()) || tip(new) < raised(tip(old))
}
