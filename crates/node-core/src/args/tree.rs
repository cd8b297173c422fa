use clap::{Args, value_parser};

/// The state Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "State tree")]
pub struct TreeArgs {
    /// Megabytes of memory for leaves and key index of the state tree; 120 MB hold a million leaves. Leaves that changed wait here for the next checkpoint of the tree
    #[arg(id = "tree.cache-size", long = "tree.cache-size", value_name = "MB", default_value_t = 768, value_parser = value_parser!(u64).range(16..=1 << 20))]
    pub cache_size: u64,
}

impl TreeArgs {
    /// The same in bytes.
    pub fn cache_bytes(&self) -> usize {
        usize::try_from(self.cache_size << 20).unwrap_or(usize::MAX)
    }
}

impl Default for TreeArgs {
    fn default() -> Self {
        Self { cache_size: 768 }
    }
}
