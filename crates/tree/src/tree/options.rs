//! Sizes and times.

use std::time::Duration;

/// Sizes of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeOptions {
    /// Bytes of memory for leaves with their lower nodes and for the key index: a leaf takes 101 for
    /// the one and 16 for the other. Beside them a tree needs about 7 bytes per leaf for the upper
    /// nodes and the places of pages, an update needs what it changes, and a checkpoint holds what
    /// it writes while the tree goes on.
    ///
    /// Changed leaves wait in this memory until a checkpoint writes them: the larger it is, the more
    /// writes to one page become one.
    pub cache_bytes: usize,
    /// Bytes of log after which a checkpoint writes the files. A start after a crash reads as much,
    /// or twice as much if a checkpoint was under way.
    pub checkpoint_log_bytes: u64,
    /// Checkpoints that are due are written by a thread of their own while updates go on. Otherwise
    /// the update that is next waits.
    pub background_checkpoints: bool,
}

/// Memory for a cached leaf with its lower nodes; the key index has its own.
const BYTES_PER_LEAF: usize = 101;

impl TreeOptions {
    /// Leaves that the memory holds. A tree that is much larger reads a page from the disk for most
    /// of the keys that are spread over all of it.
    pub const fn cached_leaves(&self) -> u64 {
        (self.page_bytes() / BYTES_PER_LEAF) as u64
    }

    /// Memory for the key index, a part of the whole.
    pub(crate) const fn index_bytes(&self) -> usize {
        self.cache_bytes / 8
    }

    /// Memory for pages of leaves, the rest.
    pub(crate) const fn page_bytes(&self) -> usize {
        self.cache_bytes - self.index_bytes()
    }
}

impl Default for TreeOptions {
    /// 768 MiB, enough for more than six million leaves, and 256 MiB of log; in the background.
    fn default() -> Self {
        Self {
            cache_bytes: 768 << 20,
            checkpoint_log_bytes: 256 << 20,
            background_checkpoints: true,
        }
    }
}

/// Is told how many of how many leaves have been read.
pub(crate) type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// What a tree takes up, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Leaves in memory with their lower nodes.
    pub cached_pages_bytes: usize,
    /// Those of them that wait for a checkpoint.
    pub unwritten_pages_bytes: usize,
    /// Key index in memory.
    pub key_index_bytes: usize,
    /// Log since the last checkpoint was begun, on disk.
    pub log_bytes: u64,
}

/// Where the time of updates went, summed up since the tree was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeTimes {
    /// Finding keys, reading pages that are not in memory.
    pub locate: Duration,
    /// Changing leaves, links and the order of the keys.
    pub change: Duration,
    /// Hashing from changed leaves up to the root.
    pub hash: Duration,
    /// Writing the log.
    pub log: Duration,
    /// Beginning and ending checkpoints; for those that are not in the background, writing them.
    pub checkpoint: Duration,
    /// Waiting for a checkpoint because the next one was due before it was finished.
    pub wait: Duration,
    /// Number of checkpoints finished.
    pub checkpoints: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_holds_six_million_leaves() {
        assert!((6_000_000..8_000_000).contains(&TreeOptions::default().cached_leaves()));
    }
}
