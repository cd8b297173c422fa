//! Argument groups, one file each. Flags are dotted; every flag also reads the environment names in [`crate::config::env_names`] and the TOML file.

mod batcher;
mod chain;
mod dev;
mod l1;
mod log;
mod metrics;
mod rpc;
mod sequencer;
mod txpool;

pub use batcher::{BatcherArgs, ProverArgs};
pub use chain::{ChainArgs, DatadirArgs};
pub use dev::DevArgs;
pub use l1::{L1Args, L1SenderArgs};
pub use log::{LogArgs, LogFormat};
pub use metrics::{MetricsArgs, StatusArgs};
pub use rpc::{RpcModuleSelection, RpcServerArgs};
pub use sequencer::SequencerArgs;
pub use txpool::TxPoolArgs;

use alloy_primitives::B256;
use std::{fmt, str::FromStr, time::Duration};
use url::Url;

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

/// A URL whose user, password, path and query are not printed (they often hold an API key).
#[derive(Clone, PartialEq, Eq)]
pub struct SensitiveUrl(Url);

impl SensitiveUrl {
    /// The full URL.
    pub const fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for SensitiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        if self.0.path().len() > 1 || self.0.query().is_some() {
            f.write_str("/<redacted>")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SensitiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SensitiveUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(s).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("scheme `{}` is not supported, use http or https", url.scheme()));
        }
        Ok(Self(url))
    }
}

impl From<Url> for SensitiveUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_urls_are_redacted() {
        let key: SecretKey = format!("0x{}", "11".repeat(32)).parse().unwrap();
        assert_eq!(format!("{key} {key:?}"), "<redacted> <redacted>");
        let error = "0x1234deadbeef".parse::<SecretKey>().unwrap_err();
        assert!(!error.contains("1234"), "{error}");
        let url: SensitiveUrl = "https://user:pw@host:99/v2/KEY?x=1".parse().unwrap();
        assert_eq!(url.to_string(), "https://host:99/<redacted>");
        let url: SensitiveUrl = "http://localhost:8545".parse().unwrap();
        assert_eq!(url.to_string(), "http://localhost:8545");
        assert!("ftp://x".parse::<SensitiveUrl>().is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("3").unwrap(), Duration::from_secs(3));
        assert!(parse_duration("soon").is_err());
    }
}
