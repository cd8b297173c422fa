//! Data availability: modes, commitment schemes, and the commitments themselves.

use crate::blobs::{BlobError, CommittedBlobs, MAX_BLOBS_PER_TX, blob_capacity};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable};
use serde::{Deserialize, Serialize};

/// Pubdata source byte of the L1 validator: the pubdata is in the calldata.
const SOURCE_CALLDATA: u8 = 0;

/// Where the pubdata of the chain is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PubdataMode {
    /// Blobs carried by the commit transaction.
    Blobs,
    /// Calldata of the commit transaction.
    Calldata,
    /// Nowhere on L1.
    Validium,
    /// Calldata of a commit to a gateway, which relays it.
    RelayedL2Calldata,
}

impl PubdataMode {
    /// Scheme of the commitment.
    pub const fn scheme(self) -> DaCommitmentScheme {
        match self {
            Self::Blobs => DaCommitmentScheme::BlobsZksyncOs,
            Self::Calldata | Self::RelayedL2Calldata => {
                DaCommitmentScheme::BlobsAndPubdataKeccak256
            }
            Self::Validium => DaCommitmentScheme::EmptyNoDa,
        }
    }

    /// Most bytes of pubdata that L1 takes for one batch; none if it takes no pubdata at all.
    ///
    /// Blobs: what one transaction may carry. Calldata: what the validator on L1 accepts, so that the
    /// transaction also stays below the 128 KiB that nodes forward.
    pub const fn max_pubdata(self) -> Option<usize> {
        match self {
            Self::Blobs => Some(blob_capacity(MAX_BLOBS_PER_TX)),
            Self::Calldata | Self::RelayedL2Calldata => Some(126_976),
            Self::Validium => None,
        }
    }

    /// True if L1 prices the chain as a rollup.
    pub const fn is_rollup(self) -> bool {
        !matches!(self, Self::Validium)
    }
}

impl core::fmt::Display for PubdataMode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self, f)
    }
}

impl core::str::FromStr for PubdataMode {
    type Err = DaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Blobs, Self::Calldata, Self::Validium, Self::RelayedL2Calldata]
            .into_iter()
            .find(|mode| mode.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| DaError::UnknownMode(text.to_owned()))
    }
}

/// Scheme of the data availability commitment, as the contracts number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum DaCommitmentScheme {
    /// Not set; no batch can be committed with it.
    #[default]
    None = 0,
    /// No data on L1 (validium).
    EmptyNoDa = 1,
    /// Keccak-256 of the pubdata; the proving program does not know it.
    PubdataKeccak256 = 2,
    /// Header with the Keccak-256 of the pubdata, as used with calldata.
    BlobsAndPubdataKeccak256 = 3,
    /// Versioned hashes of the blobs.
    BlobsZksyncOs = 4,
}

impl TryFrom<DaCommitmentScheme> for PubdataMode {
    type Error = DaError;

    /// How a batch that L1 took with this scheme was published.
    fn try_from(scheme: DaCommitmentScheme) -> Result<Self, Self::Error> {
        match scheme {
            DaCommitmentScheme::EmptyNoDa => Ok(Self::Validium),
            DaCommitmentScheme::BlobsAndPubdataKeccak256 => Ok(Self::Calldata),
            DaCommitmentScheme::BlobsZksyncOs => Ok(Self::Blobs),
            DaCommitmentScheme::None | DaCommitmentScheme::PubdataKeccak256 => {
                Err(DaError::Unsupported(scheme))
            }
        }
    }
}

impl From<DaCommitmentScheme> for u8 {
    fn from(scheme: DaCommitmentScheme) -> Self {
        scheme as Self
    }
}

impl TryFrom<u8> for DaCommitmentScheme {
    type Error = DaError;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            0 => Self::None,
            1 => Self::EmptyNoDa,
            2 => Self::PubdataKeccak256,
            3 => Self::BlobsAndPubdataKeccak256,
            4 => Self::BlobsZksyncOs,
            other => return Err(DaError::UnknownScheme(other)),
        })
    }
}

impl Encodable for DaCommitmentScheme {
    fn encode(&self, out: &mut dyn BufMut) {
        u8::from(*self).encode(out);
    }

    fn length(&self) -> usize {
        1
    }
}

impl Decodable for DaCommitmentScheme {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        u8::decode(buf)?
            .try_into()
            .map_err(|_| alloy_rlp::Error::Custom("unknown data availability scheme"))
    }
}

/// Error of a data availability commitment.
#[derive(Debug, thiserror::Error)]
pub enum DaError {
    /// No scheme has this number.
    #[error("unknown data availability commitment scheme {0}")]
    UnknownScheme(u8),
    /// No mode has this name.
    #[error("unknown pubdata mode `{0}`, expected Blobs, Calldata, Validium or RelayedL2Calldata")]
    UnknownMode(String),
    /// The proving program cannot commit this way.
    #[error("batches cannot be committed with data availability scheme {0:?}")]
    Unsupported(DaCommitmentScheme),
    /// The pubdata cannot be put into blobs.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Commitment to `pubdata` and the input that the validator on L1 needs to accept it.
///
/// For blobs the input is one zero word per blob, which tells L1 to take the hash of the blob that
/// the same transaction carries. Computing it takes a KZG commitment per blob; a caller that needs
/// the blobs too should make [`CommittedBlobs`] itself and use [`da_commitment_of_blobs`].
pub fn da_commitment(scheme: DaCommitmentScheme, pubdata: &[u8]) -> Result<(B256, Bytes), DaError> {
    match scheme {
        DaCommitmentScheme::EmptyNoDa => Ok((B256::ZERO, Bytes::from(vec![0u8; 32]))),
        DaCommitmentScheme::BlobsAndPubdataKeccak256 => {
            let mut input = Vec::with_capacity(97 + 1 + pubdata.len() + 32);
            // hash of state diffs: unused
            input.extend_from_slice(&[0u8; 32]);
            input.extend_from_slice(keccak256(pubdata).as_slice());
            // number of blobs, and the linear hash of the only one: unused
            input.push(1);
            input.extend_from_slice(&[0u8; 32]);
            let commitment = keccak256(&input);
            input.push(SOURCE_CALLDATA);
            input.extend_from_slice(pubdata);
            // blob commitment: unused
            input.extend_from_slice(&[0u8; 32]);
            Ok((commitment, input.into()))
        }
        DaCommitmentScheme::BlobsZksyncOs => {
            Ok(da_commitment_of_blobs(&CommittedBlobs::new(pubdata)?.versioned_hashes()))
        }
        DaCommitmentScheme::None | DaCommitmentScheme::PubdataKeccak256 => {
            Err(DaError::Unsupported(scheme))
        }
    }
}

/// Commitment of [`DaCommitmentScheme::BlobsZksyncOs`] and input of the validator for blobs that
/// the commit transaction carries.
pub fn da_commitment_of_blobs(versioned_hashes: &[B256]) -> (B256, Bytes) {
    let commitment = keccak256(versioned_hashes.concat());
    (commitment, Bytes::from(vec![0u8; 32 * versioned_hashes.len()]))
}
