//! What is remembered of every version for good: a flat array in the file `versions`.

use crate::{CodecError, Damage, DamageCause, TreeError, TreeFile, codec::Reader};
use alloy_primitives::B256;
use rayon::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// Name of the file.
pub(crate) const VERSIONS_FILE: &str = "versions";

const FORMAT: u8 = 1;

/// Bytes of a record in the file: record and CRC-32 over version and record.
const SLOT: u64 = VersionRecord::BYTES as u64 + 4;

/// Records that are read at a time when all are read.
const PER_READ: u64 = 1 << 14;

/// What is remembered of a version for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionRecord {
    /// Root; `None` for a version in the middle of a burst, whose hashing was skipped. It can be
    /// computed while the log reaches the version.
    pub(crate) root: Option<B256>,
    /// Number of leaves, guards included.
    pub(crate) leaf_count: u64,
    /// Digest of the entries that made the version, by which it is recognised when it is given
    /// again.
    pub(crate) entries_digest: B256,
}

impl VersionRecord {
    /// Size of [`VersionRecord::encode`].
    pub(crate) const BYTES: usize = 76;

    /// Format byte 1, flag (`u8`: 1 if a root is there), two zeros, leaf count (`u64` little
    /// endian), root (32 bytes, zero if not there), digest (32 bytes).
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[0] = FORMAT;
        out[1] = self.root.is_some().into();
        out[4..12].copy_from_slice(&self.leaf_count.to_le_bytes());
        out[12..44].copy_from_slice(self.root.unwrap_or_default().as_slice());
        out[44..].copy_from_slice(self.entries_digest.as_slice());
        out
    }

    /// Reads [`VersionRecord::encode`].
    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, CodecError> {
        let mut reader = Reader::new("version record", bytes, FORMAT)?;
        let has_root = match reader.array()? {
            [0, 0, 0] => false,
            [1, 0, 0] => true,
            _ => return Err(reader.bad_field("flag")),
        };
        let leaf_count = reader.u64()?;
        let root = reader.b256()?;
        Ok(Self { root: has_root.then_some(root), leaf_count, entries_digest: reader.b256()? })
    }

    fn checksum(version: u64, bytes: &[u8]) -> [u8; 4] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&version.to_le_bytes());
        hasher.update(bytes);
        hasher.finalize().to_le_bytes()
    }
}

/// Reads what stands in the file for a version.
fn decode(version: u64, slot: &[u8; SLOT as usize]) -> Result<VersionRecord, TreeError> {
    let damage = |cause| Damage::new(VERSIONS_FILE, version * SLOT, cause);
    let (record, check) = slot.split_first_chunk().ok_or_else(|| damage(DamageCause::Truncated))?;
    if VersionRecord::checksum(version, record) != *check {
        return Err(damage(DamageCause::Checksum).into());
    }
    Ok(VersionRecord::decode(record).map_err(|error| damage(DamageCause::Format(error)))?)
}

/// The records of all versions.
#[derive(Debug)]
pub(crate) struct Versions {
    file: Arc<dyn TreeFile>,
    /// Those since the last checkpoint: not in the file, or there as before a truncation.
    recent: BTreeMap<u64, VersionRecord>,
    /// Those before them that a checkpoint is writing.
    frozen: Arc<BTreeMap<u64, VersionRecord>>,
}

/// Records for a checkpoint to write.
#[derive(Debug)]
pub(crate) struct FrozenVersions {
    file: Arc<dyn TreeFile>,
    records: Arc<BTreeMap<u64, VersionRecord>>,
}

impl Versions {
    /// `count` of them are in the file.
    pub(crate) fn open(file: Box<dyn TreeFile>, count: u64) -> Result<Self, TreeError> {
        let size = file.size().map_err(TreeError::io("look at", VERSIONS_FILE))?;
        if count.checked_mul(SLOT).is_none_or(|needed| size < needed) {
            return Err(Damage::new(VERSIONS_FILE, size, DamageCause::Truncated).into());
        }
        Ok(Self { file: file.into(), recent: BTreeMap::new(), frozen: Arc::default() })
    }

    /// Checks the first `count` records in the file, save for those that are about to be replaced.
    pub(crate) fn check(&self, count: u64) -> Result<(), TreeError> {
        let check = |part: u64| {
            let first = part * PER_READ;
            let mut bytes = vec![0; ((count - first).min(PER_READ) * SLOT) as usize];
            let offset = first * SLOT;
            self.file
                .read_exact_at(&mut bytes, offset)
                .map_err(TreeError::read(VERSIONS_FILE, offset))?;
            let slots = bytes.as_chunks().0;
            (first..)
                .zip(slots)
                .filter(|(version, _)| !self.recent.contains_key(version))
                .try_for_each(|(version, slot)| decode(version, slot).map(drop))
        };
        (0..count.div_ceil(PER_READ)).into_par_iter().try_for_each(check)
    }

    pub(crate) fn insert(&mut self, version: u64, record: VersionRecord) {
        self.recent.insert(version, record);
    }

    pub(crate) fn forget_after(&mut self, version: u64) {
        if let Some(after) = version.checked_add(1) {
            self.recent.split_off(&after);
        }
    }

    /// The record of a version that the tree has.
    pub(crate) fn get(&self, version: u64) -> Result<VersionRecord, TreeError> {
        let record = self.recent.get(&version).or_else(|| self.frozen.get(&version));
        if let Some(record) = record {
            return Ok(*record);
        }
        let offset = version.saturating_mul(SLOT);
        let mut bytes = [0; SLOT as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(TreeError::read(VERSIONS_FILE, offset))?;
        decode(version, &bytes)
    }

    /// Hands what is not in the file to a checkpoint. [`Self::written`] or [`Self::not_written`]
    /// follows.
    pub(crate) fn freeze(&mut self) -> FrozenVersions {
        self.frozen = Arc::new(std::mem::take(&mut self.recent));
        FrozenVersions { file: self.file.clone(), records: self.frozen.clone() }
    }

    /// What was frozen is in the file for good.
    pub(crate) fn written(&mut self) {
        self.frozen = Arc::default();
    }

    /// What was frozen may be in the file or not.
    pub(crate) fn not_written(&mut self) {
        for (version, record) in &*std::mem::take(&mut self.frozen) {
            self.recent.entry(*version).or_insert(*record);
        }
    }
}

impl FrozenVersions {
    /// Writes and syncs them.
    pub(crate) fn write(&self) -> Result<(), TreeError> {
        let mut start = 0;
        let mut buffer: Vec<u8> = Vec::new();
        let flush = |start: u64, buffer: &[u8]| match buffer {
            [] => Ok(()),
            bytes => self
                .file
                .write_all_at(bytes, start * SLOT)
                .map_err(TreeError::io("write", VERSIONS_FILE)),
        };
        for (version, record) in &*self.records {
            if start + buffer.len() as u64 / SLOT != *version {
                flush(start, &buffer)?;
                buffer.clear();
                start = *version;
            }
            let record = record.encode();
            buffer.extend_from_slice(&record);
            buffer.extend_from_slice(&VersionRecord::checksum(*version, &record));
        }
        flush(start, &buffer)?;
        self.file.sync().map_err(TreeError::io("sync", VERSIONS_FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InMemoryStore, TreeStore};

    fn record(version: u64) -> VersionRecord {
        VersionRecord {
            root: (version % 3 != 1).then_some(B256::repeat_byte(version as u8)),
            leaf_count: version + 2,
            entries_digest: B256::repeat_byte(!version as u8),
        }
    }

    #[test]
    fn records_are_found_in_memory_and_in_the_file() {
        let store = InMemoryStore::new();
        let open = |count| {
            Versions::open(store.open_file(VERSIONS_FILE).expect("memory"), count).expect("whole")
        };
        let mut versions = open(0);
        for round in 0..3 {
            for version in 5 * round..5 * round + 7 {
                versions.insert(version, record(version));
            }
            for stage in 0..3 {
                for version in 0..5 * round + 7 {
                    assert_eq!(versions.get(version).expect("known"), record(version));
                }
                match stage {
                    0 => {
                        versions.freeze();
                        versions.not_written();
                        versions.freeze().write().expect("memory");
                    }
                    1 => versions.written(),
                    _ => versions = open(5 * round + 7),
                }
            }
        }
        assert!(Versions::open(store.open_file(VERSIONS_FILE).expect("memory"), 18).is_err());
        versions.insert(3, record(8));
        assert_eq!(versions.get(3).expect("known"), record(8));
        versions.forget_after(2);
        assert_eq!(versions.get(3).expect("known"), record(3));
    }

    #[test]
    fn flipped_bits_are_found() {
        let store = InMemoryStore::new();
        let file = || store.open_file(VERSIONS_FILE).expect("memory");
        let mut versions = Versions::open(file(), 0).expect("empty");
        (0..3).for_each(|version| versions.insert(version, record(version)));
        versions.freeze().write().expect("memory");
        versions.written();
        for position in SLOT..2 * SLOT {
            let mut byte = [0];
            file().read_exact_at(&mut byte, position).expect("written");
            file().write_all_at(&[byte[0] ^ 64], position).expect("memory");
            match versions.get(1) {
                Err(TreeError::Damaged(damage)) => {
                    assert_eq!(damage, Damage::new(VERSIONS_FILE, SLOT, DamageCause::Checksum));
                }
                other => panic!("{other:?}"),
            }
            file().write_all_at(&byte, position).expect("memory");
        }
        assert_eq!(versions.get(1).expect("whole again"), record(1));
    }
}
