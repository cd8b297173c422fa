//! Paths below the data directory.

use std::path::{Path, PathBuf};

/// The data directory and its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Wraps a path; nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself; the databases lie directly below it.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Backup of pool transactions.
    pub fn txpool_backup(&self) -> PathBuf {
        self.0.join("txpool-transactions-backup.rlp")
    }

    /// Dumps of blocks that failed to execute.
    pub fn block_dumps(&self) -> PathBuf {
        self.0.join("block_dumps")
    }

    /// Cached FRI proofs, shared by nodes of one operator.
    pub fn fri_proofs(&self) -> PathBuf {
        self.0.join("shared").join("fri_batch_envelopes")
    }

    /// State file of the anvil that `--dev` starts.
    pub fn dev_l1_state(&self) -> PathBuf {
        self.0.join("dev-l1-state.json")
    }
}
