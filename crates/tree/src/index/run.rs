//! A sorted, immutable file of entries.
//!
//! | bytes | content |
//! |---|---|
//! | 1024 each | blocks: 63 prefixes, 63 leaf indices, number of the block, CRC-32 of it all |
//! | 8 each | first prefix of each block |
//! | 4 | CRC-32 of these prefixes |
//!
//! The last block is filled up with zeros. Integers are little endian.

use super::{Candidates, Entry, NEAR, guess, upper_bound, upper_bound_near};
use crate::{Damage, DamageCause, TreeError, TreeFile, TreeStore, cache::Slots};
use rayon::prelude::*;
use std::{hint::black_box, sync::Arc};

/// Start of the names of the files.
pub(crate) const PREFIX: &str = "keys-";

/// Name of the file of a run.
pub(crate) fn run_name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// Number of the run in a file.
pub(crate) fn run_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| run_name(*number) == name)
}

/// Entries in a block.
const ENTRIES: usize = 63;
const BLOCK_BYTES: usize = 1024;

/// Blocks that are read or written at a time.
pub(super) const BLOCKS_PER_CALL: usize = 512;

/// What the manifest knows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunRecord {
    /// Its file.
    pub(crate) number: u64,
    /// Entries in the file.
    pub(crate) entries: u64,
    /// First leaf.
    pub(crate) first: u64,
    /// End of the leaves; the file may have entries of later ones, which have been cut off.
    pub(crate) limit: u64,
}

impl RunRecord {
    fn blocks(&self) -> u64 {
        self.entries.div_ceil(ENTRIES as u64)
    }
}

/// Where a prefix stands in a run.
struct Place {
    /// Behind the last block that begins at or below it.
    end: usize,
    /// Place in that block, about.
    guess: usize,
}

#[derive(Debug)]
struct Block {
    len: usize,
    prefixes: [u64; ENTRIES],
    indices: [u64; ENTRIES],
}

impl Block {
    fn entry(&self, at: usize) -> Entry {
        Entry { prefix: self.prefixes[at], index: self.indices[at] }
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = Entry> {
        (0..self.len).map(|at| self.entry(at))
    }

    /// Offers the entries at and below the prefix that have an index below `limit`, the highest
    /// first. False once no further entry can matter.
    fn offer(&self, near: Option<usize>, limit: u64, found: &mut Candidates) -> bool {
        let (at, prefix) = (|i: usize| self.prefixes[i], found.prefix());
        let end = match near {
            Some(near) => upper_bound_near(near, self.len, at, prefix),
            None => upper_bound(self.len, at, prefix),
        };
        let mut entries = (0..end).rev().map(|at| self.entry(at));
        entries.all(|entry| entry.index >= limit || found.offer(entry))
    }

    /// `None` if the checksum does not fit.
    fn decode(bytes: &[u8; BLOCK_BYTES], number: u64, len: usize) -> Option<Self> {
        let (content, check) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*check) {
            return None;
        }
        let (numbers, _) = content.as_chunks::<8>();
        let place =
            content[2 * 8 * ENTRIES..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if place != Some(number) {
            return None;
        }
        let mut block = Self { len, prefixes: [0; ENTRIES], indices: [0; ENTRIES] };
        let targets = block.prefixes.iter_mut().chain(&mut block.indices);
        for (target, bytes) in targets.zip(numbers) {
            *target = u64::from_le_bytes(*bytes);
        }
        Some(block)
    }

    fn encode(entries: &[Entry], number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + BLOCK_BYTES, 0);
        let block = &mut out[start..];
        for (at, entry) in entries.iter().enumerate() {
            block[8 * at..][..8].copy_from_slice(&entry.prefix.to_le_bytes());
            block[8 * (ENTRIES + at)..][..8].copy_from_slice(&entry.index.to_le_bytes());
        }
        block[16 * ENTRIES..][..8].copy_from_slice(&number.to_le_bytes());
        let check = crc32fast::hash(&block[..BLOCK_BYTES - 4]);
        block[BLOCK_BYTES - 4..].copy_from_slice(&check.to_le_bytes());
    }
}

#[derive(Debug)]
pub(crate) struct Run {
    record: RunRecord,
    file: Arc<dyn TreeFile>,
    /// First prefix of each block.
    fences: Vec<u64>,
    blocks: Slots<Box<Block>>,
}

impl Run {
    /// Memory of a cached block, that of the allocator included.
    const RESIDENT_BYTES: usize = size_of::<Block>() + 16;

    pub(crate) fn open(store: &impl TreeStore, record: RunRecord) -> Result<Self, TreeError> {
        let name = run_name(record.number);
        let file = store.open_file(&name).map_err(TreeError::io("open", &name))?;
        let size = file.size().map_err(TreeError::io("look at", &name))?;
        let count = record.blocks();
        let end = count.checked_mul(BLOCK_BYTES as u64);
        let whole = end.and_then(|end| end.checked_add(count.checked_mul(8)? + 4));
        let (Some(end), Some(whole)) = (end, whole) else {
            return Err(Damage::new(name, 0, DamageCause::Sequence).into());
        };
        if size != whole {
            return Err(Damage::new(name, size, DamageCause::Truncated).into());
        }
        let mut bytes = vec![0; count as usize * 8 + 4];
        file.read_exact_at(&mut bytes, end).map_err(TreeError::read(&name, end))?;
        let (fences, check) = bytes.split_at(count as usize * 8);
        if crc32fast::hash(fences).to_le_bytes() != *check {
            return Err(Damage::new(name, end, DamageCause::Checksum).into());
        }
        let fences = fences.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Ok(Self { record, file: file.into(), fences, blocks: Slots::new(count as usize) })
    }

    pub(crate) const fn record(&self) -> RunRecord {
        self.record
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.blocks.resident() * Self::RESIDENT_BYTES + self.blocks.len() * 32
    }

    pub(crate) fn trim(&self, cache_bytes: usize) {
        self.blocks.trim(cache_bytes / Self::RESIDENT_BYTES, |_| false);
    }

    fn len_of(&self, block: u64) -> usize {
        (self.record.entries - block * ENTRIES as u64).min(ENTRIES as u64) as usize
    }

    /// Reads blocks past the cache.
    fn read(&self, blocks: std::ops::Range<u64>) -> Result<Vec<Block>, TreeError> {
        let name = run_name(self.record.number);
        let offset = blocks.start * BLOCK_BYTES as u64;
        let mut bytes = vec![0; (blocks.end - blocks.start) as usize * BLOCK_BYTES];
        self.file.read_exact_at(&mut bytes, offset).map_err(TreeError::read(&name, offset))?;
        let decode = |(number, bytes): (u64, &[u8; BLOCK_BYTES])| {
            let len = self.len_of(number);
            let block = Block::decode(bytes, number, len)
                .filter(|block| block.entries().map(|entry| entry.prefix).is_sorted());
            let damage = || {
                let offset = number * BLOCK_BYTES as u64;
                Damage::new(&name, offset, DamageCause::Checksum).into()
            };
            block.ok_or_else(damage)
        };
        blocks.zip(bytes.as_chunks().0).map(decode).collect()
    }

    /// Reads one block; it is checked against what is in memory.
    fn load(&self, number: u64) -> Result<Box<Block>, TreeError> {
        let name = || run_name(self.record.number);
        let offset = number * BLOCK_BYTES as u64;
        let mut bytes = [0; BLOCK_BYTES];
        self.file.read_exact_at(&mut bytes, offset).map_err(TreeError::read(&name(), offset))?;
        let block = Block::decode(&bytes, number, self.len_of(number))
            .filter(|block| block.prefixes[0] == self.fences[number as usize]);
        block.map(Box::new).ok_or_else(|| Damage::new(name(), offset, DamageCause::Checksum).into())
    }

    /// Offers what stands at and below the prefixes of some searches and has an index below `limit`.
    /// `open` are the places of these searches.
    pub(crate) fn seek(
        &self,
        limit: u64,
        found: &mut [Candidates],
        open: &[usize],
    ) -> Result<(), TreeError> {
        let places: Vec<Place> = open.iter().map(|at| self.place(found[*at].prefix())).collect();
        let blocks = self.blocks.read();
        // Has the processor fetch all blocks at the same time.
        let fetched = places.iter().filter_map(|place| {
            let block = blocks.get(place.end.checked_sub(1)?)?;
            let (low, high) =
                (place.guess.saturating_sub(NEAR + 1), (place.guess + NEAR).min(ENTRIES - 1));
            Some(block.prefixes[low] ^ block.prefixes[high] ^ block.indices[place.guess])
        });
        black_box(fetched.fold(0, |sum, line| sum ^ line));
        let mut missing = Vec::new();
        for (at, place) in open.iter().zip(places) {
            let Some(number) = place.end.checked_sub(1) else { continue };
            match blocks.get(number) {
                Some(block) => {
                    if !block.offer(Some(place.guess), limit, &mut found[*at]) {
                        continue;
                    }
                    // All of the block is below the prefix, or too new.
                    missing.push((*at, number));
                }
                None => missing.push((*at, place.end)),
            }
        }
        drop(blocks);
        for (at, end) in missing {
            self.seek_below(end, limit, &mut found[at])?;
        }
        Ok(())
    }

    /// Offers the entries of the blocks before `end`.
    fn seek_below(&self, end: usize, limit: u64, found: &mut Candidates) -> Result<(), TreeError> {
        for number in (0..end).rev() {
            let load = || self.load(number as u64);
            if !self.blocks.with(number, load, |block| block.offer(None, limit, found))? {
                break;
            }
        }
        Ok(())
    }

    /// Where a prefix stands.
    fn place(&self, prefix: u64) -> Place {
        let fences = &self.fences;
        let end = upper_bound(fences.len(), |i| fences[i], prefix);
        let first = end.checked_sub(1).map_or(0, |block| fences[block]);
        let last = fences.get(end).copied().unwrap_or(u64::MAX);
        Place { end, guess: guess(prefix, first, last, ENTRIES - 1) }
    }

    /// Sums up [`Entry::digest`] of the entries with an index below `limit`, reading the file.
    pub(crate) fn digest(&self, limit: u64) -> Result<u64, TreeError> {
        let parts = (0..self.record.blocks().div_ceil(BLOCKS_PER_CALL as u64)).into_par_iter();
        let sum = |part: u64| {
            let first = part * BLOCKS_PER_CALL as u64;
            let end = self.record.blocks().min(first + BLOCKS_PER_CALL as u64);
            let blocks = self.read(first..end)?;
            let fences = &self.fences[first as usize..end as usize];
            if let Some(wrong) = blocks.iter().zip(fences).position(|(b, f)| b.prefixes[0] != *f) {
                let offset = (first + wrong as u64) * BLOCK_BYTES as u64;
                let name = run_name(self.record.number);
                return Err(Damage::new(name, offset, DamageCause::Sequence).into());
            }
            let entries = blocks.iter().flat_map(|block| block.entries());
            let entries = entries.filter(|entry| entry.index < limit);
            Ok(entries.map(Entry::digest).fold(0, u64::wrapping_add))
        };
        parts.map(sum).try_reduce(|| 0, |a, b| Ok(a.wrapping_add(b)))
    }
}

/// Reads the entries of a run from the first to the last.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    run: &'a Run,
    limit: u64,
    next: u64,
    entries: std::vec::IntoIter<Entry>,
}

impl<'a> Cursor<'a> {
    /// Entries with an index below `limit`.
    pub(super) fn new(run: &'a Run, limit: u64) -> Self {
        Self { run, limit, next: 0, entries: Vec::new().into_iter() }
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry>, TreeError> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            let blocks = self.run.record.blocks();
            if self.next == blocks {
                return Ok(None);
            }
            let end = blocks.min(self.next + BLOCKS_PER_CALL as u64);
            let read = self.run.read(self.next..end)?;
            let entries = read.iter().flat_map(|block| block.entries());
            let entries: Vec<_> = entries.filter(|entry| entry.index < self.limit).collect();
            self.entries = entries.into_iter();
            self.next = end;
        }
    }
}

/// Writes a run.
#[derive(Debug)]
pub(super) struct Writer {
    record: RunRecord,
    file: Box<dyn TreeFile>,
    block: Vec<Entry>,
    buffer: Vec<u8>,
    written: u64,
    fences: Vec<u64>,
}

impl Writer {
    /// Begins a run of the leaves from `first` to `limit`.
    pub(super) fn new(
        store: &impl TreeStore,
        number: u64,
        first: u64,
        limit: u64,
    ) -> Result<Self, TreeError> {
        let name = run_name(number);
        let file = store.open_file(&name).map_err(TreeError::io("create", &name))?;
        // An attempt may have been interrupted.
        file.set_size(0).map_err(TreeError::io("cut", &name))?;
        Ok(Self {
            record: RunRecord { number, entries: 0, first, limit },
            file,
            block: Vec::with_capacity(ENTRIES),
            buffer: Vec::new(),
            written: 0,
            fences: Vec::new(),
        })
    }

    /// Adds an entry; prefixes must not descend.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), TreeError> {
        self.block.push(entry);
        self.record.entries += 1;
        if self.block.len() == ENTRIES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), TreeError> {
        let Some(first) = self.block.first() else { return Ok(()) };
        Block::encode(&self.block, self.fences.len() as u64, &mut self.buffer);
        self.fences.push(first.prefix);
        self.block.clear();
        if self.buffer.len() >= BLOCKS_PER_CALL * BLOCK_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), TreeError> {
        let name = run_name(self.record.number);
        self.file
            .write_all_at(&self.buffer, self.written)
            .map_err(TreeError::io("write", &name))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the run and syncs it.
    pub(super) fn finish(mut self) -> Result<Run, TreeError> {
        self.end_block()?;
        let start = self.buffer.len();
        for fence in &self.fences {
            self.buffer.extend_from_slice(&fence.to_le_bytes());
        }
        let check = crc32fast::hash(&self.buffer[start..]);
        self.buffer.extend_from_slice(&check.to_le_bytes());
        self.write()?;
        let name = run_name(self.record.number);
        self.file.sync().map_err(TreeError::io("sync", &name))?;
        let Self { record, file, fences, .. } = self;
        Ok(Run { record, file: file.into(), blocks: Slots::new(fences.len()), fences })
    }
}
