//! A directory whose machine can be stopped at any moment.

use super::{
    TreeFile, TreeStore,
    memory::{read, write},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, sync::Arc};

/// What an unexpected end leaves of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// All of it: the process was killed, the machine went on.
    All,
    /// Nothing.
    Nothing,
    /// Whole sectors of 512 bytes, each of them or not, in no order; and of created and removed
    /// files some. The number seeds the choice.
    Some(u64),
}

/// Keeps files in memory, counts what is done to them, and fails every operation from a chosen one
/// on; [`CrashStore::restart`] then gives the directory as the next process finds it.
#[derive(Debug, Default)]
pub struct CrashStore {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Files whose removal is not synced.
    removed: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Operations that changed or synced something.
    operations: u64,
    /// Changes that are still allowed.
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// The creation of the file is synced.
    listed: bool,
}

const SECTOR: usize = 512;

fn dead() -> io::Error {
    io::Error::other("the machine has stopped")
}

impl Disk {
    /// Counts a change. When the machine stops at this one, false is returned once: the change may
    /// happen in part.
    fn step(&mut self) -> io::Result<bool> {
        self.operations += 1;
        match &mut self.left {
            None => Ok(true),
            Some(0) => Err(dead()),
            Some(left) => {
                *left -= 1;
                Ok(*left > 0)
            }
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.left == Some(0) { Err(dead()) } else { Ok(()) }
    }
}

impl CrashStore {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of writes, cuts, removals and syncs so far.
    pub fn operations(&self) -> u64 {
        self.disk.lock().operations
    }

    /// The machine stops in the middle of the operation with this number from now on, counted from
    /// one.
    pub fn stop_at(&self, operation: u64) {
        self.disk.lock().left = Some(operation);
    }

    /// True once the machine has stopped.
    pub fn stopped(&self) -> bool {
        self.disk.lock().left == Some(0)
    }

    /// The content of a file, if it is there.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.disk.lock().files.get(name).map(|content| content.lock().now.clone())
    }

    /// Replaces the content of a file behind the back of the tree.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk.lock();
        let content = disk.files.entry(name.to_owned()).or_default();
        *content.lock() = Content { now: bytes.clone(), synced: bytes, listed: true };
    }

    /// A copy of the directory, for another experiment on the same files.
    #[must_use]
    pub fn fork(&self) -> Self {
        self.restart(Survival::All)
    }

    /// The directory as the next process finds it.
    #[must_use]
    pub fn restart(&self, survival: Survival) -> Self {
        let disk = self.disk.lock();
        let mut random = Random(match survival {
            Survival::Some(seed) => seed,
            Survival::All | Survival::Nothing => 0,
        });
        let mut keep = |what: Survival| match what {
            Survival::All => true,
            Survival::Nothing => false,
            Survival::Some(_) => random.coin(),
        };
        let mut files = BTreeMap::new();
        for (name, content) in &disk.files {
            let content = content.lock();
            if !content.listed && !keep(survival) {
                continue;
            }
            files.insert(name.clone(), surviving(&content, survival, &mut keep));
        }
        for (name, content) in &disk.removed {
            // A removal is undone where other changes are lost.
            if !files.contains_key(name) && !keep(survival) {
                files.insert(name.clone(), surviving(&content.lock(), survival, &mut keep));
            }
        }
        let files = files
            .into_iter()
            .map(|(name, now)| {
                let content = Content { synced: now.clone(), now, listed: true };
                (name, Arc::new(Mutex::new(content)))
            })
            .collect();
        Self { disk: Arc::new(Mutex::new(Disk { files, ..Disk::default() })) }
    }
}

fn surviving(
    content: &Content,
    survival: Survival,
    keep: &mut impl FnMut(Survival) -> bool,
) -> Vec<u8> {
    let (now, synced) = (&content.now, &content.synced);
    let size = if keep(survival) { now.len() } else { synced.len() };
    let mut out = vec![0; size];
    for start in (0..size).step_by(SECTOR) {
        let end = (start + SECTOR).min(size);
        let from = if keep(survival) { now } else { synced };
        let have = from.len().clamp(start, end);
        if have > start {
            out[start..have].copy_from_slice(&from[start..have]);
        }
    }
    out
}

struct Random(u64);

impl Random {
    fn coin(&mut self) -> bool {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }
}

impl TreeStore for CrashStore {
    fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>> {
        let mut disk = self.disk.lock();
        disk.alive()?;
        let content = disk.files.entry(name.to_owned()).or_default().clone();
        Ok(Box::new(CrashFile { disk: self.disk.clone(), content }))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let whole = disk.step()?;
        if let Some(content) = disk.files.remove(name) {
            disk.removed.insert(name.to_owned(), content);
        }
        if whole { Ok(()) } else { Err(dead()) }
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let disk = self.disk.lock();
        disk.alive()?;
        Ok(disk.files.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if !disk.step()? {
            return Err(dead());
        }
        disk.removed.clear();
        for content in disk.files.values() {
            content.lock().listed = true;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct CrashFile {
    disk: Arc<Mutex<Disk>>,
    content: Arc<Mutex<Content>>,
}

impl CrashFile {
    fn change(&self, change: impl FnOnce(&mut Content, bool) -> io::Result<()>) -> io::Result<()> {
        let whole = self.disk.lock().step()?;
        change(&mut self.content.lock(), whole)?;
        if whole { Ok(()) } else { Err(dead()) }
    }
}

impl TreeFile for CrashFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.lock().alive()?;
        Ok(self.content.lock().now.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.lock().alive()?;
        read(&self.content.lock().now, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(|content, whole| {
            let done = if whole { bytes.len() } else { bytes.len() / 2 };
            write(&mut content.now, &bytes[..done], offset)
        })
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.change(|content, _| {
            content.now.resize(size as usize, 0);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.change(|content, whole| {
            if whole {
                content.synced = content.now.clone();
            }
            Ok(())
        })
    }
}
