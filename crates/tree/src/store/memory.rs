//! A directory that forgets everything at exit.

use super::{TreeFile, TreeStore};
use parking_lot::RwLock;
use std::{collections::BTreeMap, io, sync::Arc};

type Content = Arc<RwLock<Vec<u8>>>;

/// Keeps the files in memory. For tests and for trees that are cheap to build again.
#[derive(Debug, Default)]
pub struct InMemoryStore {
    files: RwLock<BTreeMap<String, Content>>,
}

impl InMemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl TreeStore for InMemoryStore {
    fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>> {
        let content = self.files.write().entry(name.to_owned()).or_default().clone();
        Ok(Box::new(MemoryFile(content)))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.files.write().remove(name);
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.files.read().keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile(Content);

/// An offset or size that memory can hold.
fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Writes into the content of a file that is held in memory.
pub(super) fn write(content: &mut Vec<u8>, bytes: &[u8], offset: u64) -> io::Result<()> {
    let start = position(offset)?;
    let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
    Ok(())
}

/// Reads from the content of a file that is held in memory.
pub(super) fn read(content: &[u8], buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let start = position(offset)?;
    let range = start..start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
    buffer.copy_from_slice(content.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

impl TreeFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.read().len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read(&self.0.read(), buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write(&mut self.0.write(), bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.write().resize(position(size)?, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
