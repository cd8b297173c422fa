use std::path::PathBuf;
use zkos_storage_api::ProviderError;

/// What to do about a damaged database.
fn remedy(database: &str) -> &'static str {
    match database {
        crate::WAL_DATABASE => "; restore a checkpoint (`zkos db checkpoint restore`)",
        crate::OTS_INDEX_DATABASE => {
            "; if it is damaged, delete it (`zkos db rebuild-index`): it is refilled from the block log"
        }
        _ => "; if it is damaged, delete it (`zkos db rebuild`): it is refilled from the block log",
    }
}

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
    /// The engine cannot open a database: damaged files, or no room for new ones.
    #[error("cannot open database {database} in {}: {message}{}", path.display(), remedy(database))]
    Open {
        /// Name of the database.
        database: &'static str,
        /// Directory of the database.
        path: PathBuf,
        /// The engine's message.
        message: String,
    },
    /// Files of a database are there, but the one that names the current state is not.
    #[error("database {database} in {} has {file} but no file CURRENT: it is damaged{}", path.display(), remedy(database))]
    Incomplete {
        /// Name of the database.
        database: &'static str,
        /// Directory of the database.
        path: PathBuf,
        /// A file that was found.
        file: String,
    },
    /// The block log ends before a block that was reported as durable.
    #[error(
        "the block log in {} ends at block {found}, but block {durable} was durable ({witness}): the log is damaged; {journal}restore a checkpoint, or delete {witness} to go on without the lost blocks",
        path.display()
    )]
    LogCut {
        /// The data directory.
        path: PathBuf,
        /// Last block of the log; nothing was changed.
        found: u64,
        /// Last block that is known to have been in it.
        durable: u64,
        /// File or database that knows it.
        witness: String,
        /// The damaged place of the journal, when it was found, with a separator after it.
        journal: String,
    },
    /// What cannot be refilled is not deleted.
    #[error("{database} is no database that can be deleted and refilled: choose among {}", crate::DERIVED_DATABASES.join(", "))]
    NotDerived {
        /// What was named.
        database: String,
    },
    /// A checkpoint cannot be made or restored.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        reason: String,
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
