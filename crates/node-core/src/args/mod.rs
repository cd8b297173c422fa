//! Argument groups, one file each. Flags are dotted; every flag also reads the environment names in [`crate::config::env_names`] and the TOML file.

mod batcher;
mod chain;
mod dev;
mod l1;
mod log;
mod metrics;
mod otterscan;
mod prune;
mod rpc;
mod sensitive_url;
mod sequencer;
mod tree;
mod txpool;

pub use batcher::{BatcherArgs, ProverArgs};
pub use chain::{ChainArgs, DatadirArgs, GenesisFileError};
pub use dev::DevArgs;
pub use l1::{BlobSidecarChoice, L1Args, L1SenderArgs};
pub use log::{LogArgs, LogFormat};
pub use metrics::{MetricsArgs, StatusArgs};
pub use otterscan::OtterscanArgs;
pub use prune::PruneArgs;
pub use rpc::{RpcModuleSelection, RpcServerArgs};
pub use sensitive_url::SensitiveUrl;
pub use sequencer::SequencerArgs;
pub use tree::TreeArgs;
pub use txpool::TxPoolArgs;

use alloy_primitives::B256;
use std::{fmt, str::FromStr, time::Duration};

/// Parses `250ms`, `5s`, `10 minutes`, or plain seconds.
pub(crate) fn parse_duration(s: &str) -> Result<Duration, String> {
    if let Ok(seconds) = s.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(s).map_err(|error| format!("{error} (examples: 250ms, 5s, 10m)"))
}

/// A private key that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(B256);

impl SecretKey {
    /// Wraps raw key bytes.
    pub const fn new(key: B256) -> Self {
        Self(key)
    }

    /// The key itself.
    pub const fn expose(&self) -> &B256 {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl FromStr for SecretKey {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        // The text is not echoed: it may be a key with a typing error.
        s.parse().map(Self).map_err(|_| "a private key has 32 bytes of hex".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_redacted() {
        let key: SecretKey = format!("0x{}", "11".repeat(32)).parse().unwrap();
        assert_eq!(format!("{key} {key:?}"), "<redacted> <redacted>");
        let error = "0x1234deadbeef".parse::<SecretKey>().unwrap_err();
        assert!(!error.contains("1234"), "{error}");
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("3").unwrap(), Duration::from_secs(3));
        assert!(parse_duration("soon").is_err());
    }
}
