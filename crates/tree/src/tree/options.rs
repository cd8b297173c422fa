//! Sizes and times.

use std::time::Duration;

/// Sizes of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeOptions {
    /// Bytes of leaves with their lower nodes that are kept in memory; a leaf takes 85. Beside them
    /// a tree needs about 28 bytes per leaf for the order of the keys and the upper nodes, and an
    /// update needs what it changes, so a single update larger than this exceeds it.
    ///
    /// Pages wait in this memory until a checkpoint writes them: the larger it is, the more writes
    /// to one page become one.
    pub cache_bytes: usize,
    /// Bytes of log after which a checkpoint writes the files. A start after a crash reads as much.
    pub checkpoint_log_bytes: u64,
}

impl Default for TreeOptions {
    /// 384 MiB, enough for more than four million leaves, and 256 MiB.
    fn default() -> Self {
        Self { cache_bytes: 384 << 20, checkpoint_log_bytes: 256 << 20 }
    }
}

/// What a tree takes up, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Leaves in memory with their lower nodes.
    pub cached_pages_bytes: usize,
    /// Those of them that wait for a checkpoint.
    pub unwritten_pages_bytes: usize,
    /// Order of the keys, in memory.
    pub key_index_bytes: usize,
    /// Log since the last checkpoint, on disk.
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
    /// Checkpoints: writing and syncing the files.
    pub checkpoint: Duration,
}
