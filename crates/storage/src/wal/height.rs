use crate::StorageError;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Name of the file in the data directory.
pub const HEIGHT_FILE: &str = "zkos.durable";

/// Number and its checksum.
const LEN: usize = 12;

/// A second witness of how far the block log was synced: the log's own end is what damage hides best, because a cut journal looks like one that was never written further.
///
/// Written after each sync of the log and before the height is announced, but not synced itself: after a loss of power it may name an earlier block, never a later one.
#[derive(Debug)]
pub(crate) struct HeightFile {
    path: PathBuf,
    file: File,
}

impl HeightFile {
    /// Opens or creates the file. Gives the height in it; `None` when it is new, or not whole.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<u64>), StorageError> {
        let path = dir.join(HEIGHT_FILE);
        let io = |action, source| StorageError::Io { action, path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| io("open", source))?;
        let mut bytes = Vec::with_capacity(LEN);
        file.read_to_end(&mut bytes).map_err(|source| io("read", source))?;
        let height = decode(&bytes);
        if height.is_none() && !bytes.is_empty() {
            tracing::warn!(target: "storage", path = %path.display(), "height file is damaged, it is written anew");
        }
        Ok((Self { path, file }, height))
    }

    /// Notes that the log is synced up to a block.
    pub(crate) fn write(&mut self, height: u64) -> Result<(), StorageError> {
        let io = |source| StorageError::Io { action: "write", path: self.path.clone(), source };
        // One small write at the beginning: a killed process leaves the old bytes or the new ones.
        self.file.rewind().and_then(|()| self.file.write_all(&encode(height))).map_err(io)
    }

    /// Brings what was written to disk.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        let io = |source| StorageError::Io { action: "sync", path: self.path.clone(), source };
        self.file.sync_data().map_err(io)
    }
}

fn encode(height: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&height.to_be_bytes());
    let crc = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (height, crc) = bytes.split_first_chunk::<8>()?;
    let crc: [u8; 4] = crc.try_into().ok()?;
    (crc32fast::hash(height) == u32::from_le_bytes(crc)).then(|| u64::from_be_bytes(*height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_is_kept_and_damage_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, height) = HeightFile::open(dir.path()).unwrap();
        assert_eq!(height, None);
        for height in [7, u64::MAX, 300] {
            file.write(height).unwrap();
            assert_eq!(HeightFile::open(dir.path()).unwrap().1, Some(height));
        }
        let path = dir.path().join(HEIGHT_FILE);
        let good = std::fs::read(&path).unwrap();
        for position in 0..good.len() {
            let mut damaged = good.clone();
            damaged[position] ^= 4;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(HeightFile::open(dir.path()).unwrap().1, None);
            std::fs::write(&path, &good[..position]).unwrap();
            assert_eq!(HeightFile::open(dir.path()).unwrap().1, None);
        }
    }
}
