//! Pubdata in EIP-4844 blobs.
//!
//! The stream is a header element, zero byte and the length as eight big-endian bytes, followed by
//! the data in chunks of 31 bytes behind a zero byte each; it runs through the field elements of
//! all blobs, the last one padded with zeros.

use alloy_eips::eip4844::{
    AsCkzg, BYTES_PER_BLOB, BlobTransactionSidecar, Bytes48, FIELD_ELEMENTS_PER_BLOB, c_kzg,
    kzg_to_versioned_hash,
};
pub use alloy_eips::{
    eip4844::Blob,
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
};
use alloy_primitives::B256;
use core::fmt;

/// Most blobs the proving program accepts for one batch.
pub const MAX_BLOBS: usize = 9;
/// Most blobs that one transaction may carry on Ethereum, by [EIP-7594].
///
/// [EIP-7594]: https://eips.ethereum.org/EIPS/eip-7594
pub const MAX_BLOBS_PER_TX: usize = 6;
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
    Kzg(#[from] c_kzg::Error),
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

/// Form of the KZG proofs that a transaction carries beside its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SidecarForm {
    /// One proof per blob: networks before the Osaka fork ([EIP-4844]).
    ///
    /// [EIP-4844]: https://eips.ethereum.org/EIPS/eip-4844
    Eip4844,
    /// 128 cell proofs per blob: networks since the Osaka fork ([EIP-7594]).
    ///
    /// [EIP-7594]: https://eips.ethereum.org/EIPS/eip-7594
    Eip7594,
}

impl SidecarForm {
    /// Form of a sidecar.
    pub const fn of(sidecar: &BlobTransactionSidecarVariant) -> Self {
        match sidecar {
            BlobTransactionSidecarVariant::Eip4844(_) => Self::Eip4844,
            BlobTransactionSidecarVariant::Eip7594(_) => Self::Eip7594,
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Eip4844 => Self::Eip7594,
            Self::Eip7594 => Self::Eip4844,
        }
    }
}

impl fmt::Display for SidecarForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eip4844 => "EIP-4844",
            Self::Eip7594 => "EIP-7594",
        })
    }
}

/// Blobs with the commitments to them. Commitments and proofs take tens to hundreds of
/// milliseconds per blob: make them where that may block.
#[derive(Clone, PartialEq, Eq)]
pub struct CommittedBlobs {
    blobs: Vec<Blob>,
    commitments: Vec<Bytes48>,
}

impl CommittedBlobs {
    /// Lays `pubdata` out in blobs and commits to them.
    pub fn new(pubdata: &[u8]) -> Result<Self, BlobError> {
        let blobs = encode_blobs(pubdata)?;
        let commitments = kzg_commitments(&blobs)?;
        Ok(Self { blobs, commitments })
    }

    /// The blobs.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// KZG commitments, one per blob.
    pub fn commitments(&self) -> &[Bytes48] {
        &self.commitments
    }

    /// Versioned hashes of the blobs, as `BLOBHASH` shows them on L1.
    pub fn versioned_hashes(&self) -> Vec<B256> {
        versioned_hashes(&self.commitments)
    }

    /// Adds proofs: what a blob transaction carries.
    pub fn into_sidecar(
        self,
        form: SidecarForm,
    ) -> Result<BlobTransactionSidecarVariant, BlobError> {
        let Self { blobs, commitments } = self;
        let settings = kzg_settings();
        Ok(match form {
            SidecarForm::Eip4844 => {
                let mut proofs = Vec::with_capacity(blobs.len());
                for (blob, commitment) in blobs.iter().zip(&commitments) {
                    let proof =
                        settings.compute_blob_kzg_proof(blob.as_ckzg(), commitment.as_ckzg())?;
                    proofs.push(Bytes48::from(proof.to_bytes().into_inner()));
                }
                BlobTransactionSidecar { blobs, commitments, proofs }.into()
            }
            SidecarForm::Eip7594 => {
                let mut proofs = Vec::new();
                for blob in &blobs {
                    let (_cells, of_blob) =
                        settings.compute_cells_and_kzg_proofs(blob.as_ckzg())?;
                    proofs.extend(
                        of_blob.iter().map(|proof| Bytes48::from(proof.to_bytes().into_inner())),
                    );
                }
                BlobTransactionSidecarEip7594::new(blobs, commitments, proofs).into()
            }
        })
    }
}

impl fmt::Debug for CommittedBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the blobs: 128 KiB each.
        f.debug_struct("CommittedBlobs")
            .field("commitments", &self.commitments)
            .finish_non_exhaustive()
    }
}

/// The same blobs and commitments with proofs of another form.
pub fn convert_sidecar(
    sidecar: &BlobTransactionSidecarVariant,
    form: SidecarForm,
) -> Result<BlobTransactionSidecarVariant, BlobError> {
    CommittedBlobs { blobs: sidecar.blobs().to_vec(), commitments: sidecar.commitments().to_vec() }
        .into_sidecar(form)
}

/// The trusted setup of Ethereum, without the tables that speed up cell proofs: they cost 100 MB
/// and a second of start-up, and a batch has a handful of blobs.
fn kzg_settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

/// KZG commitments of blobs.
pub fn kzg_commitments(blobs: &[Blob]) -> Result<Vec<Bytes48>, BlobError> {
    let settings = kzg_settings();
    let commit = |blob: &c_kzg::Blob| -> Result<Bytes48, BlobError> {
        Ok(Bytes48::from(settings.blob_to_kzg_commitment(blob)?.to_bytes().into_inner()))
    };
    Blob::slice_as_ckzg(blobs).iter().map(commit).collect()
}

/// Versioned hashes of KZG commitments.
pub fn versioned_hashes(commitments: &[Bytes48]) -> Vec<B256> {
    commitments.iter().map(|commitment| kzg_to_versioned_hash(commitment.as_slice())).collect()
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
        sidecars_are_valid_and_convert();
    }

    fn known_commitments() {
        let pubdata: Vec<u8> = (0..64).collect();
        let blobs = CommittedBlobs::new(&pubdata).unwrap();
        assert_eq!(
            blobs.commitments(),
            [hex!(
                "afae50118a2c58f9facb34bf9b9ff4d983ce2dcd7ef7374abf7e3e5308f792c296204278d08322ce660448e8f337d624"
            )]
        );
        assert_eq!(
            blobs.versioned_hashes(),
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
        let blobs = CommittedBlobs::new(&pubdata).unwrap();
        assert_eq!(
            blobs.commitments(),
            [
                hex!(
                    "b2880870e97b12e881eefac5fb38debd570058b92ddc4504cf889ccc6b1433c2610f90fe91c1070e0423b496dd53b224"
                ),
                hex!(
                    "b165db2258ec6ff45777882f264e52e475e0cf3bfe68e34c159e82a693accf6ec69b9f8b3fc9ea3a229f189b663b7d03"
                ),
            ]
        );
        assert_eq!(
            blobs.versioned_hashes(),
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
        assert_eq!(decode_blobs(blobs.blobs()).unwrap(), pubdata);
    }

    fn empty_pubdata_is_one_blob_with_a_header() {
        let blobs = CommittedBlobs::new(&[]).unwrap();
        assert_eq!(
            blobs.versioned_hashes(),
            [b256!("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014")]
        );
        assert_eq!(decode_blobs(blobs.blobs()).unwrap(), Vec::<u8>::new());
    }

    /// Both forms pass the checks of a node, and each is made of the other.
    fn sidecars_are_valid_and_convert() {
        let pubdata = vec![0x5a; blob_capacity(1) + 1];
        let blobs = CommittedBlobs::new(&pubdata).unwrap();
        let expected = blobs.versioned_hashes();
        let legacy = blobs.clone().into_sidecar(SidecarForm::Eip4844).unwrap();
        let cells = blobs.into_sidecar(SidecarForm::Eip7594).unwrap();
        for (sidecar, form, proofs) in
            [(&legacy, SidecarForm::Eip4844, 2), (&cells, SidecarForm::Eip7594, 2 * 128)]
        {
            assert_eq!(SidecarForm::of(sidecar), form);
            assert_eq!(sidecar.versioned_hashes().collect::<Vec<_>>(), expected);
            sidecar.validate(&expected, kzg_settings()).unwrap();
            let count = match sidecar {
                BlobTransactionSidecarVariant::Eip4844(sidecar) => sidecar.proofs.len(),
                BlobTransactionSidecarVariant::Eip7594(sidecar) => sidecar.cell_proofs.len(),
            };
            assert_eq!(count, proofs);
        }
        assert_eq!(convert_sidecar(&legacy, SidecarForm::Eip4844.other()).unwrap(), cells);
        assert_eq!(convert_sidecar(&cells, SidecarForm::Eip7594.other()).unwrap(), legacy);
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
