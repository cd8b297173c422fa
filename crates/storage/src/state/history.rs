//! Values of old blocks: reading them, and removing what no kept block can see.
//!
//! A value of a key is superseded at block F when the key was written again at or before F. Readers at F and above never see it. Pruning to F first raises `first_block` to F,
//! for readers on other threads and on disk, and only then removes: what a reader below F might find missing it does not report, because it looks at `first_block` again
//! after reading.
//!
//! Each block's list in `block_keys` names the keys whose values before it are superseded, so that pruning costs as much as the pruned blocks wrote, whatever the size of
//! the state. Blocks from before the lists were begun need one pass over all of `data`.

use super::{
    BLOCK_KEYS, DATA, FIRST_KEY, FLAT_KEY_LEN, LISTED_FROM_KEY, META, StateStore, history_key,
    put_head, refs::Superseded,
};
use crate::{
    codec::{decode_word, read_u64, unversioned, versioned},
    db::Database,
};
use alloy_primitives::B256;
use rocksdb::{ReadOptions, WriteBatch};
use std::sync::atomic::Ordering;
use zkos_storage_api::{ExecutedBlock, ProviderError, ProviderResult, may_use_disk, not_in_memory};

/// Removals in one batch at most.
const BATCH: usize = 10_000;

/// There while superseded values of blocks without lists may be left; the last of these blocks.
const SWEEP_DUE_KEY: &[u8] = b"sweep_due";

/// How a pass over the values of all blocks goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continue {
    Yes,
    Stop,
}

/// Begins the lists after block `head`, or ends them: with a gap they would be worth nothing.
pub(super) fn start_or_stop_lists(
    values: &Database,
    head: u64,
    wanted: bool,
) -> ProviderResult<()> {
    let listed = read_u64(values, META, LISTED_FROM_KEY)?;
    let mut batch = WriteBatch::default();
    match (listed, wanted) {
        (None, true) => {
            put_head(values, &mut batch, LISTED_FROM_KEY, head.saturating_add(1))?;
            put_head(values, &mut batch, SWEEP_DUE_KEY, head)?;
        }
        (Some(_), false) => {
            let column = values.column(BLOCK_KEYS)?;
            batch.delete_range_cf(column, [0; 8], [0xff; 8]);
            batch.delete_cf(values.column(META)?, LISTED_FROM_KEY);
            batch.delete_cf(values.column(META)?, SWEEP_DUE_KEY);
        }
        (None, false) | (Some(_), true) => return Ok(()),
    }
    values.write(batch, true)
}

/// Adds the lists of the blocks above `head`.
pub(super) fn put_lists(
    values: &Database,
    batch: &mut WriteBatch,
    blocks: &[ExecutedBlock],
    head: u64,
) -> ProviderResult<()> {
    let column = values.column(BLOCK_KEYS)?;
    for block in blocks.iter().filter(|block| block.number() > head) {
        let writes = &block.output.storage_writes;
        let mut keys = Vec::with_capacity(writes.len() * FLAT_KEY_LEN);
        for write in writes {
            keys.extend_from_slice(write.key.as_slice());
        }
        batch.put_cf(column, block.number().to_be_bytes(), versioned(&keys));
    }
    Ok(())
}

/// First block whose state an opened `state` database can answer.
pub(crate) fn stored_first(values: &Database) -> ProviderResult<u64> {
    Ok(read_u64(values, META, FIRST_KEY)?.unwrap_or_default())
}

impl StateStore {
    /// First block whose state is readable.
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Ordering::SeqCst)
    }

    /// Error if the state of a block is pruned.
    pub(crate) fn check_kept(&self, number: u64) -> ProviderResult<()> {
        let first = self.first();
        if number >= first {
            return Ok(());
        }
        let last = self.flushed.load(Ordering::SeqCst);
        Err(ProviderError::StateNotAvailable { number, first, last })
    }

    /// Last value written at or before `number`, from disk.
    pub(super) fn read_history(&self, key: &B256, number: u64) -> ProviderResult<Option<B256>> {
        if !may_use_disk() {
            // A seek reads blocks of several tables; hardly ever are all of them cached.
            return Err(not_in_memory());
        }
        let found = self.last_write(key, number)?;
        self.check_kept(number)?;
        match found {
            Some((_, value)) => Ok(Some(value)),
            None => Ok(None),
        }
    }

    /// Last write of a key at or before a block: number and value.
    fn last_write(&self, key: &B256, number: u64) -> ProviderResult<Option<(u64, B256)>> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let mut iterator =
            self.values.raw().raw_iterator_cf_opt(self.values.column(DATA)?, options);
        iterator.seek_for_prev(history_key(key, number));
        let write = match iterator.item() {
            Some((found, value)) => match split(found) {
                Some((found_key, block)) if found_key == key.as_slice() => {
                    Some((block, decode_word(&self.values, found, value)?))
                }
                _ => None,
            },
            None => None,
        };
        iterator.status().map_err(|error| self.values.error(&error))?;
        Ok(write)
    }

    /// Last block of those whose superseded values take a pass to find; `None` when the pass is done.
    pub(crate) fn sweep_due(&self) -> ProviderResult<Option<u64>> {
        read_u64(&self.values, META, SWEEP_DUE_KEY)
    }

    /// Notes that the pass is done.
    pub(crate) fn set_swept(&self) -> ProviderResult<()> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.values.column(META)?, SWEEP_DUE_KEY);
        self.values.write(batch, false)
    }

    /// Makes `first` the first readable block; what only earlier blocks see is removed afterwards.
    pub(crate) fn raise_first(&self, first: u64) -> ProviderResult<()> {
        let mut batch = WriteBatch::default();
        put_head(&self.values, &mut batch, FIRST_KEY, first)?;
        self.values.write(batch, false)?;
        self.first.store(first, Ordering::SeqCst);
        Ok(())
    }

    /// Removes what the blocks from `from` to `first` superseded, by their lists. `removed` is called after each block.
    pub(crate) fn prune_lists(
        &self,
        from: u64,
        first: u64,
        mut removed: impl FnMut(Removed),
    ) -> ProviderResult<()> {
        let mut iterator = self.values.raw_iterator(BLOCK_KEYS)?;
        iterator.seek(from.to_be_bytes());
        while let Some((list_key, list)) = iterator.item() {
            let number: [u8; 8] = list_key
                .try_into()
                .map_err(|_| self.values.corrupt(list_key, "key has no 8 bytes"))?;
            let number = u64::from_be_bytes(number);
            if number > first {
                break;
            }
            removed(self.prune_list(number, list, first)?);
            iterator.next();
        }
        iterator.status().map_err(|error| self.values.error(&error))
    }

    /// Removes the values that block `number` superseded, and its list.
    fn prune_list(&self, number: u64, list: &[u8], first: u64) -> ProviderResult<Removed> {
        let list_key = number.to_be_bytes();
        let keys = unversioned(&self.values, &list_key, list)?;
        let (keys, rest) = keys.as_chunks::<FLAT_KEY_LEN>();
        if !rest.is_empty() {
            return Err(self.values.corrupt(list_key, "list of keys has a broken length"));
        }
        let mut superseded = Vec::with_capacity(keys.len());
        if let Some(before) = number.checked_sub(1) {
            for key in keys {
                let key = B256::from(key);
                if let Some((block, value)) = self.last_write(&key, before)? {
                    superseded.push(Superseded { key, block, value });
                }
            }
        }
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.values.column(BLOCK_KEYS)?, list_key);
        self.remove(&superseded, batch, first)
    }

    /// Removes values: first what they name, then they.
    fn remove(
        &self,
        superseded: &[Superseded],
        mut batch: WriteBatch,
        first: u64,
    ) -> ProviderResult<Removed> {
        let records = self.release(superseded, first)?;
        let column = self.values.column(DATA)?;
        for Superseded { key, block, .. } in superseded {
            batch.delete_cf(column, history_key(key, *block));
        }
        self.values.write(batch, false)?;
        Ok(Removed { values: superseded.len(), records })
    }

    /// Removes all values that are superseded at block `first`, by a pass over the whole column. `progress` is called with what was removed between batches and may end the pass early.
    pub(crate) fn sweep(
        &self,
        first: u64,
        mut progress: impl FnMut(Removed) -> Continue,
    ) -> ProviderResult<Continue> {
        let mut superseded = Vec::new();
        // Last value at or before `first`, so far.
        let mut kept: Option<Superseded> = None;
        let mut iterator = self.values.raw_iterator(DATA)?;
        iterator.seek_to_first();
        while let Some((found, value)) = iterator.item() {
            let (key, block) =
                split(found).ok_or_else(|| self.values.corrupt(found, "key has no 40 bytes"))?;
            if block <= first {
                let key = B256::from_slice(key);
                let value = decode_word(&self.values, found, value)?;
                let before = kept.replace(Superseded { key, block, value });
                superseded.extend(before.filter(|before| before.key == key));
                if superseded.len() >= BATCH {
                    let removed = self.remove(&superseded, WriteBatch::default(), first)?;
                    superseded.clear();
                    if progress(removed) == Continue::Stop {
                        return Ok(Continue::Stop);
                    }
                }
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.values.error(&error))?;
        progress(self.remove(&superseded, WriteBatch::default(), first)?);
        Ok(Continue::Yes)
    }
}

/// What a step of pruning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Values of keys.
    pub(crate) values: usize,
    /// Records of accounts.
    pub(crate) records: usize,
}

impl Removed {
    pub(crate) const fn add(&mut self, more: Self) {
        self.values += more.values;
        self.records += more.records;
    }
}

/// Flat key and block of a key of column `data`.
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let (key, number) = key.split_last_chunk::<8>()?;
    (key.len() == FLAT_KEY_LEN).then(|| (key, u64::from_be_bytes(*number)))
}
