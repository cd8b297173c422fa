use clap::Args;
use std::{io, path::PathBuf, sync::Arc};
use zkos_primitives::{Genesis, GenesisError, ZkChainSpec};

/// Where data lives.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Data directory")]
pub struct DatadirArgs {
    /// Directory of all databases
    #[arg(id = "datadir", long = "datadir", value_name = "DIR", default_value = "./db/node1")]
    pub datadir: PathBuf,
}

impl Default for DatadirArgs {
    fn default() -> Self {
        Self { datadir: "./db/node1".into() }
    }
}

/// Which chain.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Chain")]
pub struct ChainArgs {
    /// L2 chain id
    #[arg(id = "chain.id", long = "chain.id", value_name = "ID", default_value_t = 270)]
    pub chain_id: u64,
    /// Genesis file; without it the genesis of the local chain, which is part of the binary
    #[arg(id = "chain.genesis", long = "chain.genesis", value_name = "FILE")]
    pub genesis: Option<PathBuf>,
}

impl Default for ChainArgs {
    fn default() -> Self {
        Self { chain_id: 270, genesis: None }
    }
}

impl ChainArgs {
    /// The chain: its id with the genesis of the named file, or else with `built_in`, the JSON that a program carries.
    ///
    /// # Errors
    /// There is neither file nor built-in genesis, the file can't be read, or it is no valid genesis.
    pub fn load_spec(&self, built_in: Option<&str>) -> Result<Arc<ZkChainSpec>, GenesisFileError> {
        let read;
        let json = match (&self.genesis, built_in) {
            (Some(path), _) => {
                read = std::fs::read_to_string(path)
                    .map_err(|source| GenesisFileError::Read { path: path.clone(), source })?;
                &read
            }
            (None, Some(built_in)) => built_in,
            (None, None) => return Err(GenesisFileError::Missing),
        };
        let spec = Genesis::from_json(json)
            .and_then(|genesis| ZkChainSpec::new(self.chain_id, genesis))
            .map_err(|source| GenesisFileError::Invalid { path: self.genesis.clone(), source })?;
        Ok(Arc::new(spec))
    }
}

/// Why there is no genesis.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    /// None was named, and the program carries none.
    #[error("no genesis; name a file with --chain.genesis")]
    Missing,
    /// The file can't be read.
    #[error("can't read genesis file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The genesis is malformed or contradicts itself.
    #[error("{}: {source}", path.as_ref().map_or_else(|| "built-in genesis".to_owned(), |path| format!("genesis file {}", path.display())))]
    Invalid {
        /// The file; none for the built-in genesis.
        path: Option<PathBuf>,
        /// What is wrong.
        source: GenesisError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = r#"{"initial_contracts": []}"#;

    #[test]
    fn the_named_file_comes_before_the_built_in_genesis() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("genesis.json");
        let args = |genesis| ChainArgs { chain_id: 7, genesis };
        let spec = args(None).load_spec(Some(EMPTY)).unwrap();
        assert_eq!((spec.chain_id(), spec.genesis().execution_version), (7, None));

        std::fs::write(&file, r#"{"initial_contracts": [], "execution_version": 5}"#).unwrap();
        let spec = args(Some(file.clone())).load_spec(Some(EMPTY)).unwrap();
        assert_eq!(spec.genesis().execution_version, Some(5));

        assert!(matches!(args(None).load_spec(None), Err(GenesisFileError::Missing)));
        std::fs::write(&file, "{}").unwrap();
        let error = args(Some(file.clone())).load_spec(None).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
        std::fs::remove_file(&file).unwrap();
        let error = args(Some(file)).load_spec(None).unwrap_err();
        assert!(matches!(error, GenesisFileError::Read { .. }), "{error}");
        let error = args(None).load_spec(Some("{}")).unwrap_err().to_string();
        assert!(error.starts_with("built-in genesis"), "{error}");
    }
}
