//! What log queries need of the blocks they have looked at.

use alloy_primitives::{B256, Bloom};
use alloy_rpc_types_eth::{Filter, Log};
use parking_lot::Mutex;
use schnellru::{LruMap, UnlimitedCompact};
use std::{fmt, sync::Arc};

/// Blocks whose blooms are kept (some 300 bytes each).
const MAX_BLOOMS: usize = 65_536;
/// Bytes of logs that are kept, over all blocks.
const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;

/// Blooms and logs of canonical blocks by number. Filled by the queries themselves, so that blocks nobody asks for cost nothing.
///
/// A number names one block for good: the canonical head never goes back while a node runs.
pub(super) struct LogCache {
    inner: Mutex<Inner>,
    max_log_bytes: usize,
}

struct Inner {
    blooms: LruMap<u64, BlockBloom, UnlimitedCompact>,
    logs: LruMap<u64, Arc<BlockLogs>, UnlimitedCompact>,
    log_bytes: usize,
}

/// Hash of a block, and its bloom unless it has no logs.
struct BlockBloom {
    hash: B256,
    bloom: Option<Box<Bloom>>,
}

/// All logs of a block, in order.
#[derive(Debug)]
pub(super) struct BlockLogs {
    logs: Vec<Log>,
    bytes: usize,
}

/// What is known of a block, in view of a filter.
#[derive(Debug)]
pub(super) enum Known {
    /// No log of it can match.
    Excluded,
    /// Some may: these are its logs.
    Logs(Arc<BlockLogs>),
    /// Some may: this is its hash.
    Candidate(B256),
    /// Nothing.
    Nothing,
}

impl BlockLogs {
    /// The logs of a block.
    pub(super) fn new(mut logs: Vec<Log>) -> Self {
        logs.shrink_to_fit();
        let size =
            |log: &Log| size_of::<Log>() + size_of_val(log.topics()) + log.inner.data.data.len();
        let bytes = size_of::<Self>() + logs.iter().map(size).sum::<usize>();
        Self { logs, bytes }
    }

    /// Adds the logs that a filter accepts.
    pub(super) fn collect(&self, filter: &Filter, out: &mut Vec<Log>) {
        out.extend(self.logs.iter().filter(|log| filter.matches(&log.inner)).cloned());
    }
}

impl Default for LogCache {
    fn default() -> Self {
        Self::new(MAX_LOG_BYTES)
    }
}

impl fmt::Debug for LogCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("LogCache")
            .field("blooms", &inner.blooms.len())
            .field("blocks", &inner.logs.len())
            .field("log_bytes", &inner.log_bytes)
            .finish_non_exhaustive()
    }
}

impl LogCache {
    fn new(max_log_bytes: usize) -> Self {
        let inner = Inner {
            blooms: LruMap::new(UnlimitedCompact),
            logs: LruMap::new(UnlimitedCompact),
            log_bytes: 0,
        };
        Self { inner: Mutex::new(inner), max_log_bytes }
    }

    /// What is known of a block.
    pub(super) fn get(&self, number: u64, filter: &Filter) -> Known {
        let mut inner = self.inner.lock();
        let Some(BlockBloom { hash, bloom }) = inner.blooms.get(&number) else {
            return Known::Nothing;
        };
        if !bloom.as_ref().is_some_and(|bloom| filter.matches_bloom(**bloom)) {
            return Known::Excluded;
        }
        let hash = *hash;
        match inner.logs.get(&number) {
            Some(logs) => Known::Logs(logs.clone()),
            None => Known::Candidate(hash),
        }
    }

    /// Keeps hash and bloom of a block.
    pub(super) fn insert_bloom(&self, number: u64, hash: B256, bloom: &Bloom) {
        let bloom = (!bloom.is_zero()).then(|| Box::new(*bloom));
        let mut inner = self.inner.lock();
        inner.blooms.insert(number, BlockBloom { hash, bloom });
        while inner.blooms.len() > MAX_BLOOMS {
            inner.blooms.pop_oldest();
        }
    }

    /// Keeps the logs of a block, unless they would drive out most others.
    pub(super) fn insert_logs(&self, number: u64, logs: Arc<BlockLogs>) {
        if logs.bytes > self.max_log_bytes / 4 {
            return;
        }
        let mut inner = self.inner.lock();
        // It is there already when two queries missed it at once.
        if let Some(old) = inner.logs.remove(&number) {
            inner.log_bytes -= old.bytes;
        }
        inner.log_bytes += logs.bytes;
        inner.logs.insert(number, logs);
        while inner.log_bytes > self.max_log_bytes {
            let Some((_, evicted)) = inner.logs.pop_oldest() else { break };
            inner.log_bytes -= evicted.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, LogData, logs_bloom};

    fn logs(address: u8, data: usize) -> Vec<Log> {
        let data = LogData::new_unchecked(vec![B256::ZERO], vec![0; data].into());
        let inner = alloy_primitives::Log { address: Address::repeat_byte(address), data };
        vec![Log { inner, ..Default::default() }]
    }

    fn insert(cache: &LogCache, number: u64, logs: Vec<Log>) {
        let bloom = logs_bloom(logs.iter().map(|log| &log.inner));
        cache.insert_bloom(number, B256::repeat_byte(number as u8), &bloom);
        cache.insert_logs(number, Arc::new(BlockLogs::new(logs)));
    }

    #[test]
    fn what_cannot_match_is_excluded() {
        let cache = LogCache::default();
        insert(&cache, 1, logs(0xaa, 0));
        cache.insert_bloom(2, B256::repeat_byte(2), &Bloom::ZERO);
        let filter = |address| Filter::new().address(Address::repeat_byte(address));
        assert!(matches!(cache.get(1, &filter(0xbb)), Known::Excluded));
        assert!(matches!(cache.get(2, &Filter::new()), Known::Excluded));
        assert!(matches!(cache.get(3, &Filter::new()), Known::Nothing));
        let Known::Logs(found) = cache.get(1, &filter(0xaa)) else { panic!("not kept") };
        let mut out = Vec::new();
        found.collect(&filter(0xaa), &mut out);
        found.collect(&filter(0xbb), &mut out);
        assert_eq!(out, logs(0xaa, 0));
    }

    #[test]
    fn bytes_are_bounded() {
        let cache = LogCache::new(40_000);
        for number in 1..=20 {
            insert(&cache, number, logs(0xaa, 4_000));
        }
        assert!(cache.inner.lock().log_bytes <= 40_000);
        assert!(matches!(cache.get(1, &Filter::new()), Known::Candidate(_)));
        assert!(matches!(cache.get(20, &Filter::new()), Known::Logs(_)));
        // Twice the same, and one that is too big.
        insert(&cache, 20, logs(0xaa, 4_000));
        insert(&cache, 21, logs(0xaa, 20_000));
        assert!(matches!(cache.get(21, &Filter::new()), Known::Candidate(_)));
        let inner = cache.inner.lock();
        let sum: usize = inner.logs.iter().map(|(_, logs)| logs.bytes).sum();
        assert_eq!(inner.log_bytes, sum);
    }
}
