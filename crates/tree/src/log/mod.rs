//! The log: every change of the tree is in it before it is anywhere else, and it is the history.
//!
//! The log is a row of files, `log-` and a number in hexadecimal. A checkpoint begins a new one; once
//! it is finished, what came before is no longer needed to redo anything, but a file stays as long
//! as it leads back to a version that is kept.
//!
//! A file is synced when the checkpoint that ends it gets there; the next file may be on disk before.
//! So the log ends where it is first torn, and what lies behind goes.

mod frame;

pub(crate) use frame::{Frame, Restored};

use crate::{
    Damage, DamageCause, TreeError, TreeFile, TreeOutput, TreeStore, changes::Changes,
    manifest::Latest,
};
use frame::{HEADER_BYTES, Header, version_bytes};
use std::{collections::BTreeMap, sync::Arc};

const PREFIX: &str = "log-";

/// Name of a file of the log.
fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// Number of a file of the log.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| segment_name(*number) == name)
}

#[derive(Debug)]
struct Segment {
    file: Arc<dyn TreeFile>,
    /// Highest version of which a frame is in it.
    newest: Option<u64>,
}

/// Where a version stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: u64,
}

#[derive(Debug)]
pub(crate) struct Log {
    /// Never empty.
    segments: BTreeMap<u64, Segment>,
    /// The one that is written.
    current: u64,
    /// End of the written one.
    end: u64,
    /// Number of the next frame.
    sequence: u64,
    history: BTreeMap<u64, Place>,
}

/// The frames of one update, to be written in one piece.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    frames: Vec<(u64, Frame)>,
}

impl Batch {
    pub(crate) fn push(&mut self, version: u64, frame: Frame) {
        self.frames.push((version, frame));
    }

    /// The changes of its versions, oldest first.
    pub(crate) fn changes(&self) -> impl DoubleEndedIterator<Item = &Changes> {
        self.frames.iter().filter_map(|(_, frame)| match frame {
            Frame::Version { changes, .. } => Some(changes),
            Frame::Truncation { .. } | Frame::Pruning => None,
        })
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut().map(|(_, frame)| frame)
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = (u64, &Frame)> {
        self.frames.iter().map(|(version, frame)| (*version, frame))
    }
}

/// What an attempt to write left behind.
#[derive(Debug)]
pub(crate) struct AppendError {
    pub(crate) error: TreeError,
    /// The log is as it was. Otherwise nobody knows.
    pub(crate) undone: bool,
}

/// A place in the log, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position<'a> {
    name: &'a str,
    offset: u64,
}

impl Position<'_> {
    pub(crate) fn damage(&self, cause: DamageCause) -> Damage {
        Damage::new(self.name, self.offset, cause)
    }
}

impl Log {
    /// Makes the first file of a tree that is begun.
    pub(crate) fn begin(store: &impl TreeStore) -> Result<(), TreeError> {
        let name = segment_name(0);
        store.open_file(&name).map_err(TreeError::io("create", &name))?;
        store.sync().map_err(TreeError::io("sync", ""))
    }

    /// Opens the log and gives `redo` all frames from the given place on, whole updates only. What
    /// an interrupted write left at the end is cut off.
    pub(crate) fn open(
        store: &impl TreeStore,
        first_segment: u64,
        first_sequence: u64,
        mut redo: impl FnMut(Position<'_>, u64, Frame) -> Result<(), TreeError>,
    ) -> Result<Self, TreeError> {
        let names = store.files().map_err(TreeError::io("list", ""))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        if numbers.binary_search(&first_segment).is_err() {
            let name = segment_name(first_segment);
            return Err(Damage::new(name, 0, DamageCause::Truncated).into());
        }
        let mut log = Self {
            segments: BTreeMap::new(),
            current: first_segment,
            end: 0,
            sequence: first_sequence,
            history: BTreeMap::new(),
        };
        let mut expected = None;
        // The log has ended.
        let mut torn = false;
        for &number in &numbers {
            if torn {
                remove(store, number)?;
                continue;
            }
            let name = segment_name(number);
            let file = store.open_file(&name).map_err(TreeError::io("open", &name))?;
            let size = file.size().map_err(TreeError::io("look at", &name))?;
            let replay = number >= first_segment;
            let mut scan = Scan { file: &*file, name: &name, size, offset: 0 };
            let first = match number == first_segment {
                true => Some(first_sequence),
                false => scan.first_sequence()?,
            };
            if first.zip(expected).is_some_and(|(first, expected)| first > expected) {
                if number > first_segment {
                    // The end of the file before is lost so neatly that nothing is torn.
                    remove(store, number)?;
                    torn = true;
                    continue;
                }
                // Of files that were no longer needed some have been removed and some not. If they
                // were needed, the tree will miss them.
                for number in std::mem::take(&mut log.segments).into_keys() {
                    remove(store, number)?;
                }
                log.history.clear();
                expected = first;
            }
            if number == first_segment {
                if expected.is_some_and(|expected| expected != first_sequence) {
                    return Err(Damage::new(name, 0, DamageCause::Sequence).into());
                }
                expected = Some(first_sequence);
            }
            let mut whole = 0;
            let mut newest = None;
            let mut pending: Vec<(u64, Header, Option<Frame>)> = Vec::new();
            while let Some((offset, header, payload)) = scan.next(replay, expected)? {
                let frame = payload
                    .map(|payload| Frame::decode(&header, &payload))
                    .transpose()
                    .map_err(|error| Damage::new(&name, offset, DamageCause::Format(error)))?;
                expected = Some(header.sequence + 1);
                pending.push((offset, header, frame));
                if !header.last {
                    continue;
                }
                whole = scan.offset;
                for (offset, header, frame) in pending.drain(..) {
                    newest = newest.max(Some(header.version));
                    if header.is_truncation() {
                        log.forget_after(header.version);
                    } else if header.is_version() {
                        log.history.insert(header.version, Place { segment: number, offset });
                    }
                    if let Some(frame) = frame {
                        redo(Position { name: &name, offset }, header.version, frame)?;
                    }
                    log.sequence = header.sequence + 1;
                }
            }
            if whole < size {
                if !replay {
                    return Err(Damage::new(name, whole, DamageCause::Checksum).into());
                }
                torn = true;
                file.set_size(whole).map_err(TreeError::io("cut", &name))?;
                file.sync().map_err(TreeError::io("sync", &name))?;
            }
            if replay && (number == first_segment || whole > 0) {
                log.current = number;
                log.end = whole;
            }
            log.segments.insert(number, Segment { file: file.into(), newest });
        }
        // The next checkpoint will make them again.
        let empty = log.segments.split_off(&(log.current + 1));
        for number in empty.keys() {
            remove(store, *number)?;
        }
        Ok(log)
    }

    /// Sequence number of the next frame.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes in the file that is written.
    pub(crate) const fn current_bytes(&self) -> u64 {
        self.end
    }

    fn current(&self) -> Result<(&dyn TreeFile, String), TreeError> {
        let name = segment_name(self.current);
        match self.segments.get(&self.current) {
            Some(segment) => Ok((&*segment.file, name)),
            None => Err(Damage::new(name, 0, DamageCause::Truncated).into()),
        }
    }

    /// Writes an update, without sync.
    pub(crate) fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let undone = |error| AppendError { error, undone: true };
        let (file, name) = self.current().map_err(undone)?;
        let size = batch.changes().map(|changes| {
            version_bytes(changes.values.len(), changes.links.len(), changes.added.len())
        });
        let mut bytes = Vec::with_capacity(size.sum::<usize>() + HEADER_BYTES);
        let mut places = Vec::with_capacity(batch.frames.len());
        let last = batch.frames.len().saturating_sub(1);
        for (at, (version, frame)) in batch.frames.iter().enumerate() {
            places.push(self.end + bytes.len() as u64);
            frame.encode(self.sequence + at as u64, *version, at == last, &mut bytes);
        }
        if let Err(error) = file.write_all_at(&bytes, self.end) {
            let undone = file.set_size(self.end).is_ok();
            return Err(AppendError { error: TreeError::io("write", &name)(error), undone });
        }
        self.end += bytes.len() as u64;
        self.sequence += batch.frames.len() as u64;
        for ((version, frame), offset) in batch.frames.iter().zip(places) {
            match frame {
                Frame::Version { .. } => {
                    self.history.insert(*version, Place { segment: self.current, offset });
                }
                Frame::Truncation { .. } => self.forget_after(*version),
                Frame::Pruning => {}
            }
            if let Some(segment) = self.segments.get_mut(&self.current) {
                segment.newest = segment.newest.max(Some(*version));
            }
        }
        Ok(())
    }

    /// Lets the log go on in a new file, which becomes durable with the directory.
    pub(crate) fn begin_segment(&mut self, store: &impl TreeStore) -> Result<(), TreeError> {
        let number = self.current + 1;
        let name = segment_name(number);
        let file = store.open_file(&name).map_err(TreeError::io("create", &name))?;
        file.set_size(0).map_err(TreeError::io("cut", &name))?;
        self.segments.insert(number, Segment { file: file.into(), newest: None });
        self.current = number;
        self.end = 0;
        Ok(())
    }

    /// Number of the file that is written.
    pub(crate) const fn current_segment(&self) -> u64 {
        self.current
    }

    /// The files from a number on, to be synced.
    pub(crate) fn files_from(&self, first: u64) -> Vec<LogFile> {
        let files = self.segments.range(first..);
        files
            .map(|(number, segment)| LogFile { number: *number, file: segment.file.clone() })
            .collect()
    }

    fn forget_after(&mut self, version: u64) {
        if let Some(after) = version.checked_add(1) {
            self.history.split_off(&after);
        }
    }

    /// Gives up the way back from versions up to this one.
    pub(crate) fn forget_to(&mut self, version: u64) {
        self.history = self.history.split_off(&(version + 1));
    }

    /// Numbers of the files before `end` that lead back to no version from `oldest` on. They can go
    /// once a manifest says so: if the pruning were only in the log, a crash could undo it and not
    /// the removal.
    pub(crate) fn obsolete(&self, end: u64, oldest: u64) -> Vec<u64> {
        let old = self.segments.range(..end);
        old.take_while(|(_, segment)| segment.newest.is_none_or(|newest| newest <= oldest))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Files that have been removed.
    pub(crate) fn forget_segments(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.segments.remove(number);
        }
    }

    /// What a version changed.
    pub(crate) fn changes(&self, version: u64) -> Result<Changes, TreeError> {
        let missing = |name: String| Damage::new(name, 0, DamageCause::MissingVersion { version });
        let place = self.history.get(&version).ok_or_else(|| missing(PREFIX.to_owned()))?;
        let name = segment_name(place.segment);
        let segment = self.segments.get(&place.segment).ok_or_else(|| missing(name.clone()))?;
        let size = segment.file.size().map_err(TreeError::io("look at", &name))?;
        let mut scan = Scan { file: &*segment.file, name: &name, size, offset: place.offset };
        let damage = |cause| Damage::new(&name, place.offset, cause);
        let (_, header, payload) =
            scan.next(true, None)?.ok_or_else(|| damage(DamageCause::Checksum))?;
        let frame = Frame::decode(&header, payload.as_deref().unwrap_or_default())
            .map_err(|error| damage(DamageCause::Format(error)))?;
        match frame {
            Frame::Version { changes, .. } if header.version == version => Ok(changes),
            _ => Err(damage(DamageCause::Sequence).into()),
        }
    }

    /// The first of some versions that the log can't undo.
    pub(crate) fn missing(&self, mut versions: std::ops::RangeInclusive<u64>) -> Option<u64> {
        versions.find(|version| !self.history.contains_key(version))
    }
}

/// A file of the log.
#[derive(Debug)]
pub(crate) struct LogFile {
    number: u64,
    file: Arc<dyn TreeFile>,
}

impl LogFile {
    pub(crate) fn sync(&self) -> Result<(), TreeError> {
        self.file.sync().map_err(TreeError::io("sync", &segment_name(self.number)))
    }
}

/// The versions that opening the tree of a store will find, given those at its checkpoint.
pub(crate) fn latest(
    store: &impl TreeStore,
    first_segment: u64,
    first_sequence: u64,
    checkpoint: Option<Latest>,
) -> Result<Option<Latest>, TreeError> {
    let mut latest = checkpoint;
    if first_sequence == 0 {
        Log::begin(store)?;
    }
    Log::open(store, first_segment, first_sequence, |_, version, frame| {
        let oldest = latest.map_or(0, |latest| latest.oldest);
        match frame {
            Frame::Version { record, .. } => {
                let root = record.root.unwrap_or_default();
                let output = TreeOutput { root, leaf_count: record.leaf_count };
                latest = Some(Latest { version, oldest, output });
            }
            Frame::Truncation { output, .. } => latest = Some(Latest { version, oldest, output }),
            Frame::Pruning => {}
        }
        Ok(())
    })?;
    Ok(latest)
}

/// Removes a file of the log.
pub(crate) fn remove(store: &impl TreeStore, number: u64) -> Result<(), TreeError> {
    let name = segment_name(number);
    store.remove_file(&name).map_err(TreeError::io("remove", &name))
}

/// Reads one frame after the other.
struct Scan<'a> {
    file: &'a dyn TreeFile,
    name: &'a str,
    size: u64,
    offset: u64,
}

type Scanned = (u64, Header, Option<Vec<u8>>);

impl Scan<'_> {
    /// Number of the first frame, if there is one.
    fn first_sequence(&self) -> Result<Option<u64>, TreeError> {
        let mut start = Scan { offset: 0, ..*self };
        Ok(start.next(false, None)?.map(|(_, header, _)| header.sequence))
    }

    /// The next frame with its offset, `None` where no whole frame begins. The payload is read and
    /// checked on demand.
    fn next(&mut self, payload: bool, sequence: Option<u64>) -> Result<Option<Scanned>, TreeError> {
        let offset = self.offset;
        let Some(left) = self.size.checked_sub(offset + HEADER_BYTES as u64) else {
            return Ok(None);
        };
        let mut header = [0; HEADER_BYTES];
        self.read(&mut header, offset)?;
        let Some(header) = Header::decode(&header).filter(|header| header.len <= left) else {
            return Ok(None);
        };
        if sequence.is_some_and(|sequence| sequence != header.sequence) {
            // Whole, but of another place.
            return Err(Damage::new(self.name, offset, DamageCause::Sequence).into());
        }
        let start = offset + HEADER_BYTES as u64;
        let payload = if payload {
            let mut bytes = vec![0; header.len as usize];
            self.read(&mut bytes, start)?;
            if !header.fits(&bytes) {
                return Ok(None);
            }
            Some(bytes)
        } else {
            None
        };
        self.offset = start + header.len;
        Ok(Some((offset, header, payload)))
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), TreeError> {
        self.file.read_exact_at(buffer, offset).map_err(TreeError::read(self.name, offset))
    }
}
