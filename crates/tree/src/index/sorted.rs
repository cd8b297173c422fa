//! Sorted entries in memory.

use super::{Candidates, Entry, guess, upper_bound, upper_bound_near};
use std::hint::black_box;

/// Most entries in a chunk; a full one is split in two.
const CHUNK: usize = 256;

/// Entries sorted by prefix, in chunks of bounded size under one sorted array of their first
/// prefixes: two searches per look-up. Entries with equal prefixes stand in no order.
#[derive(Debug, Default)]
pub(crate) struct SortedKeys {
    /// First prefix of each chunk.
    fences: Vec<u64>,
    /// Never holds an empty chunk.
    chunks: Vec<Vec<Entry>>,
    len: usize,
}

impl SortedKeys {
    pub(crate) const fn new() -> Self {
        Self { fences: Vec::new(), chunks: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.len() * (CHUNK * size_of::<Entry>() + 8) + self.chunks.capacity() * 24
    }

    /// All entries, ascending by prefix.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.chunks.iter().flatten().copied()
    }

    /// Chunk and place in it behind the last entry that is not above `prefix`.
    fn position(&self, prefix: u64) -> Option<(usize, usize)> {
        let (chunk, near) = self.place(prefix)?;
        let entries = &self.chunks[chunk];
        Some((chunk, upper_bound_near(near, entries.len(), |i| entries[i].prefix, prefix)))
    }

    /// Chunk of that entry and, about, its place.
    fn place(&self, prefix: u64) -> Option<(usize, usize)> {
        let fences = &self.fences;
        let end = upper_bound(fences.len(), |i| fences[i], prefix);
        let chunk = end.checked_sub(1)?;
        let last = fences.get(end).copied().unwrap_or(u64::MAX);
        Some((chunk, guess(prefix, fences[chunk], last, self.chunks[chunk].len())))
    }

    /// Has the processor fetch what stands at some prefixes, several at a time.
    pub(crate) fn fetch(&self, prefixes: impl Iterator<Item = u64>) {
        let entry = |prefix| {
            let (chunk, near) = self.place(prefix)?;
            self.chunks[chunk].get(near)
        };
        black_box(prefixes.filter_map(entry).fold(0, |sum, entry| sum ^ entry.index));
    }

    /// Offers what stands at and below a prefix and has an index below `limit`.
    pub(crate) fn seek(&self, limit: u64, found: &mut Candidates) {
        let Some((chunk, end)) = self.position(found.prefix()) else { return };
        let below = self.chunks[..chunk].iter().rev().map(Vec::as_slice);
        let entries = std::iter::once(&self.chunks[chunk][..end]).chain(below);
        for entry in entries.flat_map(|entries| entries.iter().rev()) {
            if entry.index < limit && !found.offer(*entry) {
                return;
            }
        }
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.len += 1;
        if self.chunks.is_empty() {
            self.fences.push(entry.prefix);
            self.chunks.push(vec![entry]);
            return;
        }
        let (mut chunk, mut place) = self.position(entry.prefix).unwrap_or((0, 0));
        if self.chunks[chunk].len() == CHUNK {
            let mut upper = Vec::with_capacity(CHUNK);
            upper.extend(self.chunks[chunk].drain(CHUNK / 2..));
            self.fences.insert(chunk + 1, upper[0].prefix);
            self.chunks.insert(chunk + 1, upper);
            if place > CHUNK / 2 {
                chunk += 1;
                place -= CHUNK / 2;
            }
        }
        self.chunks[chunk].insert(place, entry);
        if place == 0 {
            self.fences[chunk] = entry.prefix;
        }
    }

    /// Keeps the entries with an index below `limit`.
    pub(crate) fn truncate(&mut self, limit: u64) {
        if self.iter().all(|entry| entry.index < limit) {
            return;
        }
        for chunk in &mut self.chunks {
            chunk.retain(|entry| entry.index < limit);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.fences = self.chunks.iter().map(|chunk| chunk[0].prefix).collect();
        self.len = self.chunks.iter().map(Vec::len).sum();
    }
}
