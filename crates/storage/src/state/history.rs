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
    put_head,
};
use crate::{
    codec::{decode_word, read_u64, unversioned, versioned},
    db::Database,
};
use alloy_primitives::B256;
use rocksdb::{ReadOptions, WriteBatch};
use std::sync::atomic::Ordering;
use zkos_storage_api::{ExecutedBlock, ProviderError, ProviderResult};

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

    /// Removes the values that block `number` superseded, and its list. Gives the number of values.
    pub(crate) fn prune_block(&self, number: u64) -> ProviderResult<usize> {
        let list_key = number.to_be_bytes();
        let Some(list) = self.values.get(BLOCK_KEYS, list_key)? else { return Ok(0) };
        let keys = unversioned(&self.values, &list_key, &list)?;
        let (keys, rest) = keys.as_chunks::<FLAT_KEY_LEN>();
        if !rest.is_empty() {
            return Err(self.values.corrupt(list_key, "list of keys has a broken length"));
        }
        let column = self.values.column(DATA)?;
        let mut batch = WriteBatch::default();
        let mut removed = 0;
        if let Some(before) = number.checked_sub(1) {
            for key in keys {
                let key = B256::from(key);
                if let Some((superseded, _)) = self.last_write(&key, before)? {
                    batch.delete_cf(column, history_key(&key, superseded));
                    removed += 1;
                }
            }
        }
        batch.delete_cf(self.values.column(BLOCK_KEYS)?, list_key);
        self.values.write(batch, false)?;
        Ok(removed)
    }

    /// Removes all values that are superseded at block `first`, by a pass over the whole column. `progress` is called with their number between batches and may end the pass early.
    pub(crate) fn sweep(
        &self,
        first: u64,
        mut progress: impl FnMut(usize) -> Continue,
    ) -> ProviderResult<Continue> {
        let column = self.values.column(DATA)?;
        let mut removed = 0;
        let mut batch = WriteBatch::default();
        // Key and block of the last value at or before `first`, so far.
        let mut kept: Option<[u8; FLAT_KEY_LEN + 8]> = None;
        let mut iterator = self.values.raw_iterator(DATA)?;
        iterator.seek_to_first();
        while let Some(found) = iterator.key() {
            let (key, block) =
                split(found).ok_or_else(|| self.values.corrupt(found, "key has no 40 bytes"))?;
            if block <= first {
                let superseded = kept.as_ref().filter(|kept| kept[..FLAT_KEY_LEN] == *key);
                if let Some(superseded) = superseded {
                    batch.delete_cf(column, superseded);
                    removed += 1;
                    if batch.len() >= BATCH {
                        self.values.write(std::mem::take(&mut batch), false)?;
                        if progress(removed) == Continue::Stop {
                            return Ok(Continue::Stop);
                        }
                    }
                }
                kept = Some(history_key(&B256::from_slice(key), block));
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.values.error(&error))?;
        self.values.write(batch, false)?;
        progress(removed);
        Ok(Continue::Yes)
    }
}

/// Flat key and block of a key of column `data`.
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let (key, number) = key.split_last_chunk::<8>()?;
    (key.len() == FLAT_KEY_LEN).then(|| (key, u64::from_be_bytes(*number)))
}
