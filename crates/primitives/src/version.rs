//! Protocol versions and what follows from them.

use alloy_primitives::{B256, U256, b256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Semantic version of the protocol, as L1 keeps it. The major part has been 0 ever since.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, RlpEncodable, RlpDecodable,
)]
pub struct ProtocolVersion {
    /// Major version.
    pub major: u32,
    /// Minor version, raised by upgrades that carry an L2 transaction.
    pub minor: u32,
    /// Patch version, raised by upgrades of contracts or verification keys on L1 only.
    pub patch: u32,
}

/// Error of parsing or unpacking a [`ProtocolVersion`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolVersionError {
    /// The text is not of the form `major.minor.patch`.
    #[error("`{0}` is not a protocol version of the form major.minor.patch")]
    Text(String),
    /// The packed number has bits above the major version.
    #[error("packed protocol version {0} is out of range")]
    Packed(U256),
}

impl ProtocolVersion {
    /// Version 0.30.0.
    pub const V30_0: Self = Self::new(30, 0);
    /// Version 0.30.1.
    pub const V30_1: Self = Self::new(30, 1);
    /// Version 0.30.2.
    pub const V30_2: Self = Self::new(30, 2);

    /// Version `0.minor.patch`.
    pub const fn new(minor: u32, patch: u32) -> Self {
        Self { major: 0, minor, patch }
    }

    /// The number by which L1 knows the version: `major << 64 | minor << 32 | patch`.
    pub fn pack(&self) -> U256 {
        U256::from_limbs([
            u64::from(self.minor) << 32 | u64::from(self.patch),
            u64::from(self.major),
            0,
            0,
        ])
    }

    /// Inverse of [`Self::pack`].
    pub fn unpack(packed: U256) -> Result<Self, ProtocolVersionError> {
        let [low, high, rest @ ..] = *packed.as_limbs();
        match (u32::try_from(high), rest) {
            (Ok(major), [0, 0]) => Ok(Self { major, minor: (low >> 32) as u32, patch: low as u32 }),
            _ => Err(ProtocolVersionError::Packed(packed)),
        }
    }

    /// What the node knows about this version; none if it cannot run it.
    pub fn spec(&self) -> Option<&'static ProtocolVersionSpec> {
        PROTOCOL_VERSIONS.iter().find(|spec| spec.version == *self)
    }

    /// Version of the state transition function, none if the node cannot run this version.
    pub fn execution_version(&self) -> Option<u32> {
        self.spec().map(|spec| spec.execution_version)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ProtocolVersion {
    type Err = ProtocolVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ProtocolVersionError::Text(text.to_owned());
        let part = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse::<u32>().map_err(|_| error()) } else { Err(error()) }
        };
        let parts: Vec<_> = text.strip_prefix('v').unwrap_or(text).split('.').collect();
        match parts.as_slice() {
            [major, minor, patch] => {
                Ok(Self { major: part(major)?, minor: part(minor)?, patch: part(patch)? })
            }
            _ => Err(error()),
        }
    }
}

impl Serialize for ProtocolVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProtocolVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A protocol version the node can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolVersionSpec {
    /// The version.
    pub version: ProtocolVersion,
    /// Version of the state transition function.
    pub execution_version: u32,
    /// Version of the proving program.
    pub proving_version: u32,
    /// First byte of the calldata of a commit.
    pub commit_encoding_version: u8,
    /// Hash of the verification key of the proving program.
    pub verification_key_hash: B256,
}

/// All protocol versions the node can run, ascending.
pub const PROTOCOL_VERSIONS: &[ProtocolVersionSpec] = &[
    ProtocolVersionSpec {
        version: ProtocolVersion::V30_0,
        execution_version: 5,
        proving_version: 5,
        commit_encoding_version: 3,
        verification_key_hash: b256!(
            "996b02b1d0420e997b4dc0d629a3a1bba93ed3185ac463f17b02ff83be139581"
        ),
    },
    ProtocolVersionSpec {
        version: ProtocolVersion::V30_1,
        execution_version: 5,
        proving_version: 6,
        commit_encoding_version: 3,
        verification_key_hash: b256!(
            "124ebcd537a1e1c152774dd18f67660e35625bba0b669bf3b4836d636b105337"
        ),
    },
    ProtocolVersionSpec {
        version: ProtocolVersion::V30_2,
        execution_version: 5,
        proving_version: 6,
        commit_encoding_version: 3,
        verification_key_hash: b256!(
            "124ebcd537a1e1c152774dd18f67660e35625bba0b669bf3b4836d636b105337"
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form_is_strict() {
        assert_eq!("0.30.2".parse(), Ok(ProtocolVersion::V30_2));
        assert_eq!("v0.30.2".parse(), Ok(ProtocolVersion::V30_2));
        for bad in
            ["", "30.2", "0.30", "0.30.2.1", "0.30.x", "0.+30.2", "0.30.-1", "0.30.4294967296"]
        {
            assert!(bad.parse::<ProtocolVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_supported_versions_have_an_execution_version() {
        assert_eq!(ProtocolVersion::V30_0.execution_version(), Some(5));
        assert_eq!(ProtocolVersion::V30_2.execution_version(), Some(5));
        assert_eq!(ProtocolVersion::new(29, 0).execution_version(), None);
        assert_eq!(ProtocolVersion::new(31, 0).execution_version(), None);
        assert!(ProtocolVersion::unpack(U256::MAX).is_err());
    }

    proptest! {
        #[test]
        fn forms_round_trip(major in any::<u32>(), minor in any::<u32>(), patch in any::<u32>()) {
            let version = ProtocolVersion { major, minor, patch };
            prop_assert_eq!(ProtocolVersion::unpack(version.pack()), Ok(version));
            prop_assert_eq!(version.to_string().parse(), Ok(version));
            prop_assert_eq!(alloy_rlp::decode_exact(alloy_rlp::encode(version)), Ok(version));
            let json = serde_json::to_string(&version).unwrap();
            prop_assert_eq!(serde_json::from_str::<ProtocolVersion>(&json).unwrap(), version);
        }
    }
}
