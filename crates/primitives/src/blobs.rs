//! Pubdata in EIP-4844 blobs.
//!
//! The stream is a header element, zero byte and the length as eight big-endian bytes, followed by
//! the data in chunks of 31 bytes behind a zero byte each; it runs through the field elements of
//! all blobs, the last one padded with zeros.

use alloy_eips::eip4844::{AsCkzg, BYTES_PER_BLOB, FIELD_ELEMENTS_PER_BLOB, c_kzg};
pub use alloy_eips::{
    eip4844::{Blob, BlobTransactionSidecar},
    eip7594::BlobTransactionSidecarEip7594,
};
use alloy_primitives::B256;

/// Most blobs the proving program accepts for one batch.
pub const MAX_BLOBS: usize = 9;
/// Data bytes in a field element.
const BYTES_PER_ELEMENT: usize = 31;

/// Error of working with blobs.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The pubdata needs more blobs than a batch may have.
    #[error("pubdata of {len} bytes needs {blobs} blobs, at most {MAX_BLOBS} are possible")]
    TooMany {
        /// Length of the pubdata in bytes.
        len: usize,
        /// Blobs it needs.
        blobs: usize,
    },
    /// The blobs do not hold a stream of the expected layout.
    #[error("blobs are malformed: {0}")]
    Malformed(&'static str),
    /// The KZG library refused.
    #[error("kzg computation failed: {0}")]
    Kzg(String),
}

/// Number of blobs that pubdata of `len` bytes takes.
pub const fn blob_count(len: usize) -> usize {
    (len.div_ceil(BYTES_PER_ELEMENT) + 1).div_ceil(FIELD_ELEMENTS_PER_BLOB as usize)
}

/// Most bytes of pubdata that fit into `blobs` blobs.
pub const fn blob_capacity(blobs: usize) -> usize {
    match (FIELD_ELEMENTS_PER_BLOB as usize * blobs).checked_sub(1) {
        Some(elements) => elements * BYTES_PER_ELEMENT,
        None => 0,
    }
}

/// Lays `pubdata` out in blobs.
pub fn encode_blobs(pubdata: &[u8]) -> Result<Vec<Blob>, BlobError> {
    let count = blob_count(pubdata.len());
    if count > MAX_BLOBS {
        return Err(BlobError::TooMany { len: pubdata.len(), blobs: count });
    }
    let mut bytes = vec![0u8; count * BYTES_PER_BLOB];
    let (header, elements) = bytes.split_at_mut(32);
    header[1..9].copy_from_slice(&(pubdata.len() as u64).to_be_bytes());
    for (element, chunk) in elements.chunks_exact_mut(32).zip(pubdata.chunks(BYTES_PER_ELEMENT)) {
        element[1..=chunk.len()].copy_from_slice(chunk);
    }
    Ok(bytes.chunks_exact(BYTES_PER_BLOB).map(Blob::from_slice).collect())
}

/// Reads pubdata back from blobs; every byte must be as [`encode_blobs`] writes it.
pub fn decode_blobs(blobs: &[Blob]) -> Result<Vec<u8>, BlobError> {
    let mut elements = blobs.iter().flat_map(|blob| blob.as_slice().chunks_exact(32));
    let header = elements.next().ok_or(BlobError::Malformed("no blobs"))?;
    let len = u64::from_be_bytes(core::array::from_fn(|i| header[1 + i]));
    let len = usize::try_from(len).map_err(|_| BlobError::Malformed("length out of range"))?;
    if len > blob_capacity(blobs.len()) {
        return Err(BlobError::Malformed("length exceeds the blobs"));
    }
    let mut pubdata = Vec::with_capacity(len);
    for element in elements {
        let take = BYTES_PER_ELEMENT.min(len - pubdata.len());
        pubdata.extend_from_slice(&element[1..=take]);
    }
    // Covers the zero bytes, the padding and superfluous blobs.
    if encode_blobs(&pubdata)? != blobs {
        return Err(BlobError::Malformed("bytes outside the data are not zero"));
    }
    Ok(pubdata)
}

/// The trusted setup of Ethereum, without the tables that speed up cell proofs: they cost 100 MB and a second of start-up, and a batch has a handful of blobs.
fn kzg_settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

/// Sidecar with blob proofs (EIP-4844).
pub fn sidecar_eip4844(blobs: Vec<Blob>) -> Result<BlobTransactionSidecar, BlobError> {
    BlobTransactionSidecar::try_from_blobs_with_settings(blobs, kzg_settings())
        .map_err(|error| BlobError::Kzg(error.to_string()))
}

/// Sidecar with cell proofs (EIP-7594).
pub fn sidecar_eip7594(blobs: Vec<Blob>) -> Result<BlobTransactionSidecarEip7594, BlobError> {
    BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, kzg_settings())
        .map_err(|error| BlobError::Kzg(error.to_string()))
}

/// KZG commitments of blobs.
pub fn kzg_commitments(blobs: &[Blob]) -> Result<Vec<[u8; 48]>, BlobError> {
    let settings = kzg_settings();
    Blob::slice_as_ckzg(blobs)
        .iter()
        .map(|blob| {
            settings
                .blob_to_kzg_commitment(blob)
                .map(|commitment| commitment.to_bytes().into_inner())
                .map_err(|error| BlobError::Kzg(error.to_string()))
        })
        .collect()
}

/// Versioned hashes of blobs, as `BLOBHASH` shows them on L1.
pub fn versioned_hashes(blobs: &[Blob]) -> Result<Vec<B256>, BlobError> {
    Ok(kzg_commitments(blobs)?
        .iter()
        .map(|commitment| alloy_eips::eip4844::kzg_to_versioned_hash(commitment))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{DaCommitmentScheme, da_commitment};
    use alloy_primitives::{b256, hex};
    use proptest::prelude::*;

    // One test, because loading the trusted setup takes seconds in a build without optimisation.
    #[test]
    fn kzg() {
        known_commitments();
        empty_pubdata_is_one_blob_with_a_header();
        sidecars_agree_with_the_hashes();
        cell_proofs_agree_with_the_hashes();
    }

    fn known_commitments() {
        let pubdata: Vec<u8> = (0..64).collect();
        let blobs = encode_blobs(&pubdata).unwrap();
        assert_eq!(
            kzg_commitments(&blobs).unwrap(),
            [hex!(
                "afae50118a2c58f9facb34bf9b9ff4d983ce2dcd7ef7374abf7e3e5308f792c296204278d08322ce660448e8f337d624"
            )]
        );
        assert_eq!(
            versioned_hashes(&blobs).unwrap(),
            [b256!("018fbac8a17fa4d1d113e5ba34291f0e10dbc8b6e319cb384da283b3ec2aa832")]
        );
        let (commitment, input) =
            da_commitment(DaCommitmentScheme::BlobsZksyncOs, &pubdata).unwrap();
        assert_eq!(
            commitment,
            b256!("24d453f10787cd8392d7b5264644439d98233a19ea0ed352867c079be5eef49b")
        );
        assert_eq!(input.as_ref(), [0u8; 32]);

        let pubdata: Vec<u8> = (0..130_000usize).map(|i| (7 * i + 3) as u8).collect();
        let blobs = encode_blobs(&pubdata).unwrap();
        assert_eq!(blobs.len(), 2);
        assert_eq!(
            versioned_hashes(&blobs).unwrap(),
            [
                b256!("01d94d82e7df6e58b093e09fa4a6bd8806a1eec94e6e98643c5d3018abac80a6"),
                b256!("01fb80b361c054f6975318f0cf20f1a8ffbdc15de74ed7dc1698eab2085b357e"),
            ]
        );
        let (commitment, input) =
            da_commitment(DaCommitmentScheme::BlobsZksyncOs, &pubdata).unwrap();
        assert_eq!(
            commitment,
            b256!("4b956918ceb563ce5e77e44a0e296f5a760290795a7b07e1bc6b851f6c704ccf")
        );
        assert_eq!(input.as_ref(), [0u8; 64]);
        assert_eq!(decode_blobs(&blobs).unwrap(), pubdata);
    }

    fn empty_pubdata_is_one_blob_with_a_header() {
        let blobs = encode_blobs(&[]).unwrap();
        assert_eq!(
            versioned_hashes(&blobs).unwrap(),
            [b256!("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014")]
        );
        assert_eq!(decode_blobs(&blobs).unwrap(), Vec::<u8>::new());
    }

    fn sidecars_agree_with_the_hashes() {
        let blobs = encode_blobs(b"pubdata").unwrap();
        let expected = versioned_hashes(&blobs).unwrap();
        let sidecar = sidecar_eip4844(blobs).unwrap();
        assert_eq!(sidecar.versioned_hashes().collect::<Vec<_>>(), expected);
        sidecar.validate(&expected, kzg_settings()).unwrap();
    }

    fn cell_proofs_agree_with_the_hashes() {
        let blobs = encode_blobs(b"pubdata").unwrap();
        let expected = versioned_hashes(&blobs).unwrap();
        let sidecar = sidecar_eip7594(blobs).unwrap();
        assert_eq!(sidecar.versioned_hashes().collect::<Vec<_>>(), expected);
        assert_eq!(sidecar.cell_proofs.len(), 128);
    }

    #[test]
    fn capacity_borders() {
        assert_eq!(blob_capacity(0), 0);
        assert_eq!(blob_capacity(1), 126_945);
        assert_eq!(blob_capacity(6), 761_825);
        for blobs in 1..=MAX_BLOBS {
            assert_eq!(blob_count(blob_capacity(blobs)), blobs);
            assert_eq!(blob_count(blob_capacity(blobs) + 1), blobs + 1);
        }
        assert!(encode_blobs(&vec![1; blob_capacity(MAX_BLOBS)]).is_ok());
        assert!(matches!(
            encode_blobs(&vec![1; blob_capacity(MAX_BLOBS) + 1]),
            Err(BlobError::TooMany { blobs: 10, .. })
        ));
    }

    #[test]
    fn decoding_is_strict() {
        let blobs = encode_blobs(b"pubdata").unwrap();
        for at in [0, 9, 31, 32, 40, 64, BYTES_PER_BLOB - 1] {
            let mut bad = blobs.clone();
            bad[0][at] = 1;
            assert!(decode_blobs(&bad).is_err(), "byte {at}");
        }
        let mut extra = blobs.clone();
        extra.push(Blob::ZERO);
        assert!(decode_blobs(&extra).is_err());
        assert!(decode_blobs(&[]).is_err());
        let mut long = blobs;
        long[0][1] = 0xff;
        assert!(decode_blobs(&long).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn layout_round_trips(pubdata in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let blobs = encode_blobs(&pubdata).unwrap();
            prop_assert_eq!(blobs.len(), blob_count(pubdata.len()));
            prop_assert_eq!(decode_blobs(&blobs).unwrap(), pubdata);
        }
    }
}
