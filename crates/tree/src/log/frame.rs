//! Byte form of what stands in the log.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `ZKTL` |
//! | 4 | kind: 1 version, 2 truncation, 3 pruning |
//! | 5 | 1 on the last frame of an update |
//! | 6..8 | zero |
//! | 8..16 | sequence number, one more than that of the frame before |
//! | 16..24 | version |
//! | 24..32 | length of the payload |
//! | 32..36 | CRC-32 of the payload |
//! | 36..40 | CRC-32 of the 36 bytes before |
//!
//! Integers are little endian.

use crate::{
    CodecError, LEAF_BYTES, TreeOutput, VersionRecord,
    changes::Changes,
    codec::{Reader, put_len},
};
use alloy_primitives::B256;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 40;

const MAGIC: [u8; 4] = *b"ZKTL";
const FORMAT: u8 = 1;
const VERSION: u8 = 1;
const TRUNCATION: u8 = 2;
const PRUNING: u8 = 3;

/// A leaf as a truncation leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) index: u64,
    pub(crate) value: B256,
    pub(crate) next: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A version was added.
    Version { record: VersionRecord, changes: Changes },
    /// Later versions were dropped. The leaf count is that of the version.
    Truncation { output: TreeOutput, restored: Vec<Restored> },
    /// Versions before this one can no longer be gone back to.
    Pruning,
}

/// What is known of a frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    kind: u8,
    /// No frame of the same update follows.
    pub(crate) last: bool,
    pub(crate) sequence: u64,
    pub(crate) version: u64,
    pub(crate) len: u64,
    check: u32,
}

impl Header {
    /// `None` for bytes that are no header.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| bytes[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if bytes[..4] != MAGIC || u32_at(36)? != crc32fast::hash(&bytes[..36]) {
            return None;
        }
        Some(Self {
            kind: bytes[4],
            last: bytes[5] == 1,
            sequence: u64_at(8)?,
            version: u64_at(16)?,
            len: u64_at(24)?,
            check: u32_at(32)?,
        })
    }

    pub(crate) const fn is_version(&self) -> bool {
        self.kind == VERSION
    }

    pub(crate) const fn is_truncation(&self) -> bool {
        self.kind == TRUNCATION
    }

    /// True if this is the header of the payload.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        self.len == payload.len() as u64 && self.check == crc32fast::hash(payload)
    }
}

impl Frame {
    const fn kind(&self) -> u8 {
        match self {
            Self::Version { .. } => VERSION,
            Self::Truncation { .. } => TRUNCATION,
            Self::Pruning => PRUNING,
        }
    }

    /// Appends header and payload.
    pub(crate) fn encode(&self, sequence: u64, version: u64, last: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.push(FORMAT);
        match self {
            Self::Version { record, changes } => {
                out.extend_from_slice(&record.encode());
                changes.encode(out);
            }
            Self::Truncation { output, restored } => {
                out.extend_from_slice(output.root.as_slice());
                out.extend_from_slice(&output.leaf_count.to_le_bytes());
                put_len(out, restored.len());
                for Restored { index, value, next } in restored {
                    out.extend_from_slice(&index.to_le_bytes());
                    out.extend_from_slice(value.as_slice());
                    out.extend_from_slice(&next.to_le_bytes());
                }
            }
            Self::Pruning => {}
        }
        let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
        header[..4].copy_from_slice(&MAGIC);
        header[4] = self.kind();
        header[5] = last.into();
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        header[16..24].copy_from_slice(&version.to_le_bytes());
        header[24..32].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        header[32..36].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let check = crc32fast::hash(&header[..36]);
        header[36..].copy_from_slice(&check.to_le_bytes());
    }

    /// Reads the payload of a header.
    pub(crate) fn decode(header: &Header, payload: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("log frame", payload, FORMAT)?;
        let frame = match header.kind {
            VERSION => {
                let record = VersionRecord::decode(&reader.array()?)?;
                Self::Version { record, changes: Changes::decode(&mut reader)? }
            }
            TRUNCATION => {
                let root = reader.b256()?;
                let leaf_count = reader.u64()?;
                let len = reader.list_len(8 + 32 + 8)?;
                let mut restored = Vec::with_capacity(len);
                for _ in 0..len {
                    let index = reader.u64()?;
                    if index >= leaf_count {
                        return Err(reader.bad_field("leaf index"));
                    }
                    restored.push(Restored { index, value: reader.b256()?, next: reader.u64()? });
                }
                Self::Truncation { output: TreeOutput { root, leaf_count }, restored }
            }
            PRUNING => Self::Pruning,
            _ => return Err(reader.bad_field("kind")),
        };
        reader.finish()?;
        Ok(frame)
    }
}

/// Payload size of a version by what it changes, in bytes.
pub(crate) const fn version_bytes(values: usize, links: usize, added: usize) -> usize {
    HEADER_BYTES + 100 + 72 * values + 24 * links + LEAF_BYTES * added
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Leaf,
        changes::{LinkChange, ValueChange},
    };
    use proptest::prelude::*;

    fn b256() -> impl Strategy<Value = B256> {
        any::<[u8; 32]>().prop_map(Into::into)
    }

    fn changes() -> impl Strategy<Value = Changes> {
        let values = prop::collection::vec((0..1000u64, b256(), b256()), 0..5);
        let links = prop::collection::vec((0..1000u64, any::<u64>(), any::<u64>()), 0..5);
        let added = prop::collection::vec((b256(), b256(), any::<u64>()), 0..5);
        (1000..u64::MAX / 2, values, links, added).prop_map(|(leaf_count, values, links, added)| {
            let value = |(index, old, new)| ValueChange { index, old, new };
            let link = |(index, old, new)| LinkChange { index, old, new };
            let leaf = |(key, value, next)| Leaf::new(key, value, next);
            Changes {
                leaf_count,
                values: values.into_iter().map(value).collect(),
                links: links.into_iter().map(link).collect(),
                added: added.into_iter().map(leaf).collect(),
            }
        })
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let version = (changes(), b256(), b256(), any::<bool>()).prop_map(
            |(changes, root, digest, has_root)| {
                let leaf_count = changes.leaf_count_after();
                let record = VersionRecord {
                    root: has_root.then_some(root),
                    leaf_count,
                    entries_digest: digest,
                };
                Frame::Version { record, changes }
            },
        );
        let restored = prop::collection::vec((0..9u64, b256(), any::<u64>()), 0..5);
        let truncation = (b256(), restored).prop_map(|(root, restored)| {
            let leaf = |(index, value, next)| Restored { index, value, next };
            Frame::Truncation {
                output: TreeOutput { root, leaf_count: 9 },
                restored: restored.into_iter().map(leaf).collect(),
            }
        });
        prop_oneof![version, truncation, Just(Frame::Pruning)]
    }

    proptest! {
        #[test]
        fn round_trip_and_no_flipped_byte(frame in frame(), sequence: u64, version: u64, last: bool, at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut bytes = Vec::new();
            frame.encode(sequence, version, last, &mut bytes);
            let read = |bytes: &[u8]| {
                let (header, payload) = bytes.split_first_chunk()?;
                let header = Header::decode(header)?;
                header.fits(payload).then(|| (header, Frame::decode(&header, payload)))
            };
            let (header, decoded) = read(&bytes).expect("own encoding");
            prop_assert_eq!((header.sequence, header.version, header.last), (sequence, version, last));
            prop_assert_eq!(decoded, Ok(frame));

            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(read(&bytes).is_none());
            bytes[at] ^= flip;
            prop_assert!(read(&bytes[..at]).is_none());
        }

        #[test]
        fn noise_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES..300), kind in 0u8..5) {
            let header = Header { kind, last: true, sequence: 0, version: 0, len: 0, check: 0 };
            let mut payload = bytes;
            payload[0] = FORMAT;
            let _ = Frame::decode(&header, &payload);
        }
    }
}
