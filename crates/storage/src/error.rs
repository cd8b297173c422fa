use std::path::PathBuf;
use zkos_storage_api::ProviderError;

/// Why the databases could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process has the directory open.
    #[error("data directory {} is in use by process {pid}: stop that process or choose another directory", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// What the other process wrote into the lock file; `unknown` when unreadable.
        pid: String,
    },
    /// The file system refused (missing rights, read-only, disk full).
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb (`create`, `open`, ...).
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A database was written by a later version of this program.
    #[error("database {database} in {} has format {found}, this version reads up to {supported}: use a newer version of the program", path.display())]
    NewerFormat {
        /// Name of the database.
        database: &'static str,
        /// The data directory.
        path: PathBuf,
        /// Format number found.
        found: u32,
        /// Highest format number that this build knows.
        supported: u32,
    },
    /// A database belongs to another chain.
    #[error(
        "database {database} in {} belongs to chain {found_chain} with genesis {found_genesis}, not to chain {chain} with genesis {genesis}: choose another data directory",
        path.display()
    )]
    ForeignChain {
        /// Name of the database.
        database: &'static str,
        /// The data directory.
        path: PathBuf,
        /// Chain id found.
        found_chain: u64,
        /// Genesis fingerprint found.
        found_genesis: alloy_primitives::B256,
        /// Chain id of the configuration.
        chain: u64,
        /// Genesis fingerprint of the configuration.
        genesis: alloy_primitives::B256,
    },
    /// A directory with this name holds data, but not of this program.
    #[error("database {database} in {} holds data without our marker: it was not written by this program", path.display())]
    Unmarked {
        /// Name of the database.
        database: &'static str,
        /// The data directory.
        path: PathBuf,
    },
    /// There is no database where one must be.
    #[error("no database {database} in {}", path.display())]
    Missing {
        /// Name of the database.
        database: &'static str,
        /// The data directory.
        path: PathBuf,
    },
    /// The operating system refused a thread.
    #[error("cannot start thread {name}: {source}")]
    Thread {
        /// Name of the thread.
        name: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A database could not be read or holds damaged records.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}
