//! Which values name which account record, so that a record goes when the last value that names it goes.
//!
//! Accounts with the same nonce, balance and code share a record. Where old state is pruned, column `account_refs` of database `preimages` has an entry
//! `record hash || flat key || block` for every value of an account in column `data` of database `state`. It is written with the record, before the value, and removed before the
//! value, so that at every moment each value that a kept block can see has its entry. Bytecodes have none and are never removed.
//!
//! Values from before the entries were begun get theirs by one pass over `data`; until it is done no record is removed. The pass can't tell an account's value from a slot that
//! happens to hold the hash of a record: an entry too many keeps a record too long, which harms nobody.

use super::{
    ACCOUNT_REFS, Continue, DATA, FLAT_KEY_LEN, META, PREIMAGES_FIRST_KEY, STORAGE, StateStore,
    put_head, split_history_key,
};
use crate::{
    codec::{decode_word, read_u64, versioned},
    db::Database,
};
use alloy_primitives::{B256, map::B256Set};
use rocksdb::{ReadOptions, WriteBatch};
use std::{collections::BTreeSet, sync::atomic::Ordering};
use zkos_primitives::{
    ACCOUNT_PROPERTIES_LEN, BlockOutput, addresses::ACCOUNT_PROPERTIES_STORAGE_ADDRESS,
};
use zkos_storage_api::ProviderResult;

/// First block from which on every account's value has an entry.
const REFS_FROM_KEY: &[u8] = b"account_refs_from";
/// There while values up to this block may lack their entries.
const REFS_DUE_KEY: &[u8] = b"account_refs_due";
/// Entries in one batch at most.
const BATCH: usize = 10_000;

const REF_LEN: usize = 2 * FLAT_KEY_LEN + 8;
type RefKey = [u8; REF_LEN];

/// A value that no kept block sees: what it is, by flat key and block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Superseded {
    pub(super) key: B256,
    pub(super) block: u64,
    pub(super) value: B256,
}

fn ref_key(value: &B256, key: &B256, block: u64) -> RefKey {
    let mut out = [0; REF_LEN];
    out[..FLAT_KEY_LEN].copy_from_slice(value.as_slice());
    out[FLAT_KEY_LEN..2 * FLAT_KEY_LEN].copy_from_slice(key.as_slice());
    out[2 * FLAT_KEY_LEN..].copy_from_slice(&block.to_be_bytes());
    out
}

/// Begins the entries after the last block of either database, or ends them: with a gap they would be worth nothing.
pub(super) fn start_or_stop_refs(
    preimages: &Database,
    head: u64,
    preimages_head: u64,
    wanted: bool,
) -> ProviderResult<()> {
    let from = read_u64(preimages, META, REFS_FROM_KEY)?;
    let mut batch = WriteBatch::default();
    match (from, wanted) {
        (None, true) => {
            // Preimages may be ahead: values of the blocks between are written without their entries.
            let last = head.max(preimages_head);
            put_head(preimages, &mut batch, REFS_FROM_KEY, last.saturating_add(1))?;
            put_head(preimages, &mut batch, REFS_DUE_KEY, last)?;
        }
        (Some(_), false) => {
            let column = preimages.column(ACCOUNT_REFS)?;
            batch.delete_range_cf(column, [0; REF_LEN], [0xff; REF_LEN]);
            batch.delete_cf(preimages.column(META)?, REFS_FROM_KEY);
            batch.delete_cf(preimages.column(META)?, REFS_DUE_KEY);
        }
        (None, false) | (Some(_), true) => return Ok(()),
    }
    preimages.write(batch, true)
}

/// Adds the entries of what a block wrote.
pub(super) fn put_refs(
    preimages: &Database,
    batch: &mut WriteBatch,
    block: u64,
    output: &BlockOutput,
) -> ProviderResult<()> {
    let column = preimages.column(ACCOUNT_REFS)?;
    let of_account = |account| account == ACCOUNT_PROPERTIES_STORAGE_ADDRESS;
    for write in output.storage_writes.iter().filter(|write| of_account(write.account)) {
        batch.put_cf(column, ref_key(&write.value, &write.key, block), versioned(&[]));
    }
    Ok(())
}

impl StateStore {
    /// Last block of those whose values may lack their entries; `None` when all have them.
    pub(crate) fn refs_due(&self) -> ProviderResult<Option<u64>> {
        read_u64(&self.preimages, META, REFS_DUE_KEY)
    }

    /// Gives all values up to block `last` their entries, by a pass over the whole column. `proceed` is called between batches with the number of entries and may end the pass early.
    pub(crate) fn collect_refs(
        &self,
        last: u64,
        mut proceed: impl FnMut(usize) -> Continue,
    ) -> ProviderResult<Continue> {
        let column = self.preimages.column(ACCOUNT_REFS)?;
        let mut batch = WriteBatch::default();
        let (mut count, mut seen) = (0, 0);
        let mut iterator = self.values.raw_iterator(DATA)?;
        iterator.seek_to_first();
        while let Some((found, value)) = iterator.item() {
            let (key, block) = split_history_key(found)
                .ok_or_else(|| self.values.corrupt(found, "key has no 40 bytes"))?;
            let value = decode_word(&self.values, found, value)?;
            if block <= last && self.is_account_record(&value)? {
                let entry = ref_key(&value, &B256::from_slice(key), block);
                batch.put_cf(column, entry, versioned(&[]));
                count += 1;
            }
            seen += 1;
            if seen % BATCH == 0 {
                self.preimages.write(std::mem::take(&mut batch), false)?;
                if proceed(count) == Continue::Stop {
                    return Ok(Continue::Stop);
                }
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.values.error(&error))?;
        batch.delete_cf(self.preimages.column(META)?, REFS_DUE_KEY);
        self.preimages.write(batch, false)?;
        proceed(count);
        Ok(Continue::Yes)
    }

    fn is_account_record(&self, hash: &B256) -> ProviderResult<bool> {
        // With the version byte.
        let record = self.preimages.get(STORAGE, hash)?;
        Ok(record.is_some_and(|record| record.len() == 1 + ACCOUNT_PROPERTIES_LEN))
    }

    /// Removes the entries of values that are about to be removed, and the records that nothing names any more. `first` is the first readable block. Gives the number of records.
    pub(super) fn release(&self, superseded: &[Superseded], first: u64) -> ProviderResult<usize> {
        // The flush may be about to write a record that is unnamed now.
        let _gate = self.preimages_gate.lock();
        let complete = self.refs_due()?.is_none();
        let (refs, records) =
            (self.preimages.column(ACCOUNT_REFS)?, self.preimages.column(STORAGE)?);
        let mut batch = WriteBatch::default();
        let mut released = BTreeSet::new();
        let mut hashes = B256Set::default();
        for Superseded { key, block, value } in superseded {
            let entry = ref_key(value, key, *block);
            if self.preimages.get(ACCOUNT_REFS, entry)?.is_some() {
                batch.delete_cf(refs, entry);
                released.insert(entry);
                hashes.insert(*value);
            }
        }
        let mut removed = 0;
        if complete {
            for hash in hashes {
                if !self.is_named(&hash, &released)? {
                    batch.delete_cf(records, hash);
                    removed += 1;
                }
            }
        }
        if removed > 0 {
            // In one batch with the removals: whoever finds a record gone finds why.
            let first = first.max(self.preimages_first.load(Ordering::SeqCst));
            put_head(&self.preimages, &mut batch, PREIMAGES_FIRST_KEY, first)?;
            self.preimages_first.store(first, Ordering::SeqCst);
        }
        if !batch.is_empty() {
            self.preimages.write(batch, false)?;
        }
        Ok(removed)
    }

    /// Whether a value that is not released names a record.
    fn is_named(&self, hash: &B256, released: &BTreeSet<RefKey>) -> ProviderResult<bool> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let mut iterator =
            self.preimages.raw().raw_iterator_cf_opt(self.preimages.column(ACCOUNT_REFS)?, options);
        iterator.seek(hash);
        let mut named = false;
        while let Some(entry) = iterator.key() {
            if !entry.starts_with(hash.as_slice()) {
                break;
            }
            if !<&RefKey>::try_from(entry).is_ok_and(|entry| released.contains(entry)) {
                named = true;
                break;
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.preimages.error(&error))?;
        Ok(named)
    }
}
