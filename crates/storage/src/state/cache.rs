//! Bounded caches over the `state` and `preimages` databases.

use alloy_primitives::{B256, Bytes};
use parking_lot::Mutex;
use schnellru::{ByLength, Limiter, LruMap};
use zkos_primitives::AccountProperties;

/// Shards per cache. Keys are hashes, so their first byte spreads them evenly.
const SHARDS: usize = 32;

fn shard_of(key: &B256) -> usize {
    key[0] as usize % SHARDS
}

/// A value of a flat key and the block from which it holds, until the next write of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CachedSlot {
    pub(crate) since: u64,
    pub(crate) value: Option<B256>,
}

/// Latest flushed values of flat keys.
pub(crate) struct SlotCache {
    shards: Vec<Mutex<LruMap<B256, CachedSlot>>>,
}

impl SlotCache {
    pub(crate) fn new(slots: usize) -> Self {
        Self { shards: by_length(slots) }
    }

    pub(crate) fn get(&self, key: &B256) -> Option<CachedSlot> {
        self.shards[shard_of(key)].lock().get(key).copied()
    }

    /// Puts a value, if `still_valid` says so once no other thread can put one.
    pub(crate) fn put_if(&self, key: B256, slot: CachedSlot, still_valid: impl FnOnce() -> bool) {
        let mut shard = self.shards[shard_of(&key)].lock();
        if still_valid() {
            shard.insert(key, slot);
        }
    }
}

/// Decoded account records by their hash.
pub(crate) struct AccountCache {
    shards: Vec<Mutex<LruMap<B256, AccountProperties>>>,
}

impl AccountCache {
    pub(crate) fn new(entries: usize) -> Self {
        Self { shards: by_length(entries) }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<AccountProperties> {
        self.shards[shard_of(hash)].lock().get(hash).copied()
    }

    pub(crate) fn put(&self, hash: B256, account: AccountProperties) {
        self.shards[shard_of(&hash)].lock().insert(hash, account);
    }
}

/// Preimages by their hash, bounded by their bytes.
pub(crate) struct PreimageCache {
    shards: Vec<Mutex<LruMap<B256, Bytes, ByBytes>>>,
}

impl PreimageCache {
    pub(crate) fn new(bytes: usize) -> Self {
        let limit = bytes / SHARDS;
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(LruMap::new(ByBytes { limit, used: 0 })))
                .collect(),
        }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<Bytes> {
        self.shards[shard_of(hash)].lock().get(hash).cloned()
    }

    pub(crate) fn put(&self, hash: B256, preimage: Bytes) {
        self.shards[shard_of(&hash)].lock().insert(hash, preimage);
    }
}

fn by_length<V>(entries: usize) -> Vec<Mutex<LruMap<B256, V>>> {
    let per_shard = u32::try_from(entries / SHARDS).unwrap_or(u32::MAX).max(1);
    (0..SHARDS).map(|_| Mutex::new(LruMap::new(ByLength::new(per_shard)))).collect()
}

/// Bounds a map by the bytes of its values; a value above the whole limit is not taken.
#[derive(Debug)]
struct ByBytes {
    limit: usize,
    used: usize,
}

/// Bytes of an entry besides its preimage.
const ENTRY_OVERHEAD: usize = 96;

impl Limiter<B256, Bytes> for ByBytes {
    type KeyToInsert<'a> = B256;
    type LinkType = u32;

    fn is_over_the_limit(&self, _length: usize) -> bool {
        self.used > self.limit
    }

    fn on_insert(&mut self, _length: usize, key: B256, value: Bytes) -> Option<(B256, Bytes)> {
        let size = value.len() + ENTRY_OVERHEAD;
        if size > self.limit {
            return None;
        }
        self.used += size;
        Some((key, value))
    }

    fn on_replace(
        &mut self,
        _length: usize,
        _old_key: &mut B256,
        _new_key: B256,
        old_value: &mut Bytes,
        new_value: &mut Bytes,
    ) -> bool {
        self.used = self.used.saturating_sub(old_value.len()) + new_value.len();
        true
    }

    fn on_removed(&mut self, _key: &mut B256, value: &mut Bytes) {
        self.used = self.used.saturating_sub(value.len() + ENTRY_OVERHEAD);
    }

    fn on_cleared(&mut self) {
        self.used = 0;
    }

    fn on_grow(&mut self, _new_memory_usage: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preimages_are_bounded_by_bytes() {
        let cache = PreimageCache::new(SHARDS * 1000);
        // All in one shard.
        let key = |n: u8| B256::with_last_byte(n);
        for n in 0..50 {
            cache.put(key(n), vec![n; 100].into());
        }
        let kept = (0..50).filter(|n| cache.get(&key(*n)).is_some()).count();
        assert_eq!(kept, 1000 / (100 + ENTRY_OVERHEAD));
        assert!(cache.get(&key(49)).is_some());
        cache.put(key(99), vec![0; 2000].into());
        assert!(cache.get(&key(99)).is_none());
        assert!(cache.get(&key(49)).is_some());
    }

    #[test]
    fn slots_are_bounded_and_checked_under_the_lock() {
        let cache = SlotCache::new(SHARDS * 4);
        for n in 0..20 {
            let slot = CachedSlot { since: 1, value: None };
            cache.put_if(B256::with_last_byte(n), slot, || n != 19);
        }
        let kept: Vec<_> =
            (0..20).filter(|n| cache.get(&B256::with_last_byte(*n)).is_some()).collect();
        assert_eq!(kept, [15, 16, 17, 18]);
    }
}
