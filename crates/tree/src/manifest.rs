//! The manifest: up to where the files are complete, which files hold the key index, and where the
//! log goes on.
//!
//! Two slots in a file, written in turn, so that an interrupted write leaves the other one.

use crate::{
    Damage, DamageCause, TREE_DEPTH, TreeError, TreeFile, TreeOutput,
    codec::{Reader, put_len},
    index::RunRecord,
};
use alloy_primitives::B256;

/// Name of the file.
pub(crate) const MANIFEST_FILE: &str = "manifest";

const FORMAT: u8 = 2;
/// Tag of the hash function: blake2s-256.
const BLAKE2S: u8 = 1;
/// Bytes of a record without runs: with its length and its checksum.
const RECORD: usize = 96;
/// Bytes of a run.
const RUN: usize = 32;
/// Distance of the slots: not within one sector or page of a disk.
const SLOT: u64 = 4096;

/// State of the files at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Counts checkpoints; decides which slot is the newer one.
    pub(crate) generation: u64,
    /// The log goes on at the start of this file ...
    pub(crate) segment: u64,
    /// ... with this frame.
    pub(crate) sequence: u64,
    /// `None` before version 0.
    pub(crate) latest: Option<Latest>,
    /// Runs of the key index; together they hold all leaves.
    pub(crate) runs: Vec<RunRecord>,
}

/// The versions of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latest {
    /// Latest version.
    pub(crate) version: u64,
    /// Oldest version that the log leads back to.
    pub(crate) oldest: u64,
    /// Root and leaf count of the latest version.
    pub(crate) output: TreeOutput,
}

impl Manifest {
    pub(crate) const FIRST: Self =
        Self { generation: 0, segment: 0, sequence: 0, latest: None, runs: Vec::new() };

    /// Length of what follows (`u32`); format byte 2, depth (`u8`, 64), hash function (`u8`, 1), 1 if
    /// there is a version (`u8`); generation, segment, sequence, version, oldest version, leaf count
    /// (`u64` each); root; list of runs: number, entries, first leaf, end of the leaves (`u64`
    /// each); CRC-32 of it all. Integers are little endian.
    fn encode(&self) -> Vec<u8> {
        const NONE: Latest = Latest {
            version: 0,
            oldest: 0,
            output: TreeOutput { root: B256::ZERO, leaf_count: 0 },
        };
        let latest = self.latest.unwrap_or(NONE);
        let len = RECORD + RUN * self.runs.len();
        let mut out = Vec::with_capacity(len);
        put_len(&mut out, len - 4);
        out.extend([FORMAT, TREE_DEPTH as u8, BLAKE2S, self.latest.is_some().into()]);
        for number in [
            self.generation,
            self.segment,
            self.sequence,
            latest.version,
            latest.oldest,
            latest.output.leaf_count,
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend(latest.output.root);
        put_len(&mut out, self.runs.len());
        for RunRecord { number, entries, first, limit } in &self.runs {
            for number in [number, entries, first, limit] {
                out.extend(number.to_le_bytes());
            }
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// Reads what stands in a slot, `None` if its checksum does not fit.
    fn decode(slot: &[u8]) -> Option<Result<Self, DamageCause>> {
        let (len, rest) = slot.split_first_chunk::<4>()?;
        let end = 4usize.checked_add(u32::from_le_bytes(*len) as usize)?;
        let (record, check) = slot.get(..end)?.split_last_chunk::<4>()?;
        if crc32fast::hash(record) != u32::from_le_bytes(*check) {
            return None;
        }
        let content = rest.get(..end.checked_sub(8)?)?;
        Some(Self::parse(content).map_err(DamageCause::Format))
    }

    fn parse(record: &[u8]) -> Result<Self, crate::CodecError> {
        let mut reader = Reader::new("manifest", record, FORMAT)?;
        if reader.u8()? != TREE_DEPTH as u8 {
            return Err(reader.bad_field("depth"));
        }
        if reader.u8()? != BLAKE2S {
            return Err(reader.bad_field("hash function"));
        }
        let has_version = reader.u8()? == 1;
        let [generation, segment, sequence] = [reader.u64()?, reader.u64()?, reader.u64()?];
        let [version, oldest, leaf_count] = [reader.u64()?, reader.u64()?, reader.u64()?];
        let output = TreeOutput { root: reader.b256()?, leaf_count };
        let mut runs = Vec::new();
        for _ in 0..reader.list_len(RUN)? {
            let [number, entries] = [reader.u64()?, reader.u64()?];
            runs.push(RunRecord { number, entries, first: reader.u64()?, limit: reader.u64()? });
        }
        reader.finish()?;
        let latest = has_version.then_some(Latest { version, oldest, output });
        Ok(Self { generation, segment, sequence, latest, runs })
    }

    /// The newest manifest in a file, `None` if the file has none.
    pub(crate) fn read(file: &dyn TreeFile) -> Result<Option<Self>, TreeError> {
        let size = file.size().map_err(TreeError::io("look at", MANIFEST_FILE))?;
        let mut newest: Option<Self> = None;
        for offset in [0, SLOT] {
            let mut bytes = vec![0; size.saturating_sub(offset).min(SLOT) as usize];
            if bytes.is_empty() {
                continue;
            }
            file.read_exact_at(&mut bytes, offset)
                .map_err(TreeError::read(MANIFEST_FILE, offset))?;
            if let Some(slot) = Self::decode(&bytes) {
                let slot = slot.map_err(|cause| Damage::new(MANIFEST_FILE, offset, cause))?;
                if newest.as_ref().is_none_or(|newest| newest.generation < slot.generation) {
                    newest = Some(slot);
                }
            }
        }
        Ok(newest)
    }

    /// Writes the manifest over the older of the two and syncs it. There are never more than a few
    /// runs, as each is several times as large as the next, so that a slot has room for them.
    pub(crate) fn write(&self, file: &dyn TreeFile) -> Result<(), TreeError> {
        file.write_all_at(&self.encode(), self.generation % 2 * SLOT)
            .map_err(TreeError::io("write", MANIFEST_FILE))?;
        file.sync().map_err(TreeError::io("sync", MANIFEST_FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodecError, InMemoryStore, TreeStore};

    fn manifest(generation: u64) -> Manifest {
        let output = TreeOutput { root: B256::repeat_byte(generation as u8), leaf_count: 9 };
        Manifest {
            generation,
            segment: generation,
            sequence: 7 * generation,
            latest: Some(Latest { version: 5 + generation, oldest: 3, output }),
            runs: (0..generation).map(run).collect(),
        }
    }

    fn run(number: u64) -> RunRecord {
        RunRecord { number, entries: 7, first: 3 * number, limit: 3 * number + 3 }
    }

    #[test]
    fn the_newer_slot_counts_and_the_older_one_replaces_it() {
        let file = InMemoryStore::new().open_file(MANIFEST_FILE).expect("memory");
        assert_eq!(Manifest::read(&*file).expect("empty"), None);
        for written in [Manifest::FIRST, manifest(1), manifest(2), manifest(3)] {
            written.write(&*file).expect("memory");
            assert_eq!(Manifest::read(&*file).expect("whole"), Some(written.clone()));
        }
        for position in 0..(RECORD + 3 * RUN) as u64 {
            let at = SLOT + position;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("written");
            file.write_all_at(&[byte[0] ^ 4], at).expect("memory");
            assert_eq!(Manifest::read(&*file).expect("whole"), Some(manifest(2)));
            file.write_all_at(&byte, at).expect("memory");
        }
        file.write_all_at(&[9], 7).expect("memory");
        file.write_all_at(&[9], SLOT + 7).expect("memory");
        assert_eq!(Manifest::read(&*file).expect("nothing whole"), None);
    }

    #[test]
    fn another_tree_is_refused() {
        for (position, field) in [(5, "depth"), (6, "hash function")] {
            let mut bytes = manifest(1).encode();
            bytes[position] += 1;
            let end = bytes.len() - 4;
            let check = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&check.to_le_bytes());
            assert_eq!(
                Manifest::decode(&bytes),
                Some(Err(DamageCause::Format(CodecError::BadField { what: "manifest", field })))
            );
        }
    }
}
