//! Reads the framing of RocksDB's journals (`*.log`), to name the place of damage.
//!
//! A journal is a sequence of blocks of 32 KiB. A record lies within a block and begins with a header: masked CRC-32C (4 bytes, little endian) over type and payload, length
//! of the payload (2 bytes, little endian), type (1 byte); the recycled types 5 to 8 have the number of the journal (4 bytes) after it, which belongs to the checksum.
//! Less than a header at the end of a block is filled with zeros.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;
const RECYCLED: std::ops::RangeInclusive<u8> = 5..=8;

/// Where a journal stops being readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDamage {
    /// The journal.
    pub file: PathBuf,
    /// Offset of the record, bytes.
    pub offset: u64,
    /// Bytes from there to the end of the file.
    pub rest: u64,
    /// What is wrong with it.
    pub kind: JournalDamageKind,
}

/// What is wrong with a record of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalDamageKind {
    /// The checksum does not fit.
    Checksum,
    /// The record goes beyond its block.
    Length,
    /// The file ends within the record, as after a crash in the middle of a write.
    Cut,
}

impl fmt::Display for JournalDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            JournalDamageKind::Checksum => "fails its checksum",
            JournalDamageKind::Length => "has an impossible length",
            JournalDamageKind::Cut => "is cut",
        };
        let Self { file, offset, rest, .. } = self;
        write!(f, "record at offset {offset} of {} {what}, {rest} bytes from there", file.display())
    }
}

/// The first damage in each journal of a database, in the order of the files.
pub(crate) fn scan(database: &Path) -> io::Result<Vec<JournalDamage>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(database)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => found.extend(first_damage(&bytes).map(|(offset, kind)| JournalDamage {
                file,
                offset: offset as u64,
                rest: (bytes.len() - offset) as u64,
                kind,
            })),
            // A running node removes journals that it no longer needs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn first_damage(bytes: &[u8]) -> Option<(usize, JournalDamageKind)> {
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        let last = (index + 1) * BLOCK >= bytes.len();
        let mut at = 0;
        while let Some(header) = block.get(at..at + HEADER) {
            let (length, kind) = (usize::from(header[4]) | usize::from(header[5]) << 8, header[6]);
            if kind == 0 && length == 0 && header[..4] == [0; 4] {
                // Preallocated space.
                break;
            }
            let extra = if RECYCLED.contains(&kind) { 4 } else { 0 };
            let Some(checked) = block.get(at + 6..at + HEADER + extra + length) else {
                let damage = if last { JournalDamageKind::Cut } else { JournalDamageKind::Length };
                return Some((index * BLOCK + at, damage));
            };
            let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            if mask(crc32c(checked)) != stored {
                return Some((index * BLOCK + at, JournalDamageKind::Checksum));
            }
            at += HEADER + extra + length;
        }
        if last && at < block.len() && block[at..].iter().any(|byte| *byte != 0) {
            return Some((index * BLOCK + at, JournalDamageKind::Cut));
        }
    }
    None
}

/// RocksDB stores checksums rotated and shifted, so that a checksum over data with checksums in it is no special case.
const fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocksdb::{DB, Options};

    #[test]
    fn known_checksum() {
        // The check value of CRC-32C.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// What RocksDB writes is read without complaint; each flip and each cut is found at the record that it hits.
    #[test]
    fn damage_is_found_in_real_journals() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.create_if_missing(true);
        let db = DB::open(&options, dir.path()).unwrap();
        for n in 0..40u64 {
            db.put(n.to_be_bytes(), vec![n as u8; 3000]).unwrap();
        }
        db.flush_wal(true).unwrap();
        assert_eq!(scan(dir.path()).unwrap(), []);
        let file = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "log"))
            .unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.len() > 3 * BLOCK);
        for position in (0..bytes.len()).step_by(997) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x20;
            let (offset, _) = first_damage(&damaged).expect("a flip is found");
            assert!(offset <= position && position - offset < 3200, "{position}: {offset}");
        }
        for cut in (1..2900).step_by(83) {
            let (_, kind) = first_damage(&bytes[..bytes.len() - cut]).expect("a cut is found");
            assert_eq!(kind, JournalDamageKind::Cut);
        }
        drop(db);
        std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        let damage = &scan(dir.path()).unwrap()[0];
        assert!(damage.to_string().contains("is cut"), "{damage}");
        assert_eq!(damage.offset + damage.rest, bytes.len() as u64 - 5);
    }
}
