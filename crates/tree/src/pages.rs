//! Leaves in a file, sixteen to a page, through a cache of bounded size.
//!
//! The file `leaves` is a flat array of the 72 bytes of each leaf. It carries no checksums: the node
//! above a page is in memory, and a page that is read is hashed and compared with it. The cached
//! form of a page also holds its nodes of heights 1 to 3, so that a changed leaf costs the hashes of
//! its pair and one node per height above.
//!
//! A checkpoint takes the changed pages as they are ([`LeafPages::freeze`]) and writes them while the
//! tree goes on: a page that changes meanwhile is copied first.

use crate::{
    Damage, DamageCause, LEAF_BYTES, Leaf, TreeError, TreeFile,
    cache::{PartsMut, Reader, Slots},
    hash::{RawHash, hash_bytes, hash_lanes, hash_scattered},
    index::ReadLeaves,
    levels::{Levels, nodes_at},
};
use rayon::prelude::*;
use std::{cell::RefCell, hint::black_box, ops::Range, sync::Arc};

/// Height of the node above a page.
pub(crate) const PAGE_HEIGHT: usize = 4;

/// Leaves in a page.
pub(crate) const PAGE_LEAVES: usize = 1 << PAGE_HEIGHT;

/// Bytes of a page in the file.
pub(crate) const PAGE_BYTES: usize = PAGE_LEAVES * LEAF_BYTES;

/// Name of the file.
pub(crate) const LEAVES_FILE: &str = "leaves";

/// Changed pairs of leaves that are hashed together: enough for full lanes, and few enough that their
/// pages stay near the processor from one height to the next.
const PAIRS_AT_ONCE: usize = 128;

/// Pages that are written in one piece at most.
const PAGES_PER_WRITE: usize = 1024;

/// Sixteen leaves and the nodes between them and the node above. Positions without a leaf are zero.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    leaves: [Leaf; PAGE_LEAVES],
    /// Height 1 at 0 to 7, height 2 at 8 to 11, height 3 at 12 and 13.
    nodes: [RawHash; PAGE_LEAVES - 2],
}

/// Pairs of leaves in a page. What has to be hashed is noted by pairs, numbered through the tree.
const PAGE_PAIRS: u64 = PAGE_LEAVES as u64 / 2;

/// Where the nodes of a height begin in a page.
const fn node_at(height: usize) -> usize {
    PAGE_LEAVES - (PAGE_LEAVES >> (height - 1))
}

impl Page {
    fn new() -> Arc<Self> {
        Arc::new(Self { leaves: [Leaf::EMPTY; PAGE_LEAVES], nodes: [[0; 32]; PAGE_LEAVES - 2] })
    }

    pub(crate) fn leaf(&self, index: u64) -> &Leaf {
        &self.leaves[index as usize % PAGE_LEAVES]
    }

    /// The node at a position of a height below the page's own.
    pub(crate) fn node(&self, height: usize, position: u64) -> RawHash {
        let position = position as usize % (PAGE_LEAVES >> height);
        match height {
            0 => hash_bytes(self.leaves[position].as_bytes()),
            _ => self.nodes[node_at(height) + position],
        }
    }
}

/// Hashes what is above some pairs of leaves, in lanes across all pages. `stale` are the pairs,
/// ascending, by place of the page and number in it; `out` gets the nodes above the pages.
fn hash_pages(pages: &mut [&mut Page], mut stale: Vec<(usize, usize)>, out: &mut [RawHash]) {
    let mut hashes = Vec::new();
    for height in 1..PAGE_HEIGHT {
        if height > 1 {
            stale.iter_mut().for_each(|(_, at)| *at /= 2);
            stale.dedup();
        }
        hashes.resize(stale.len(), [0; 32]);
        if height == 1 {
            let leaves = stale
                .iter()
                .flat_map(|(page, at)| &pages[*page].leaves[2 * at..2 * at + 2])
                .map(|leaf| leaf.as_bytes().as_slice());
            let mut below = vec![[0; 32]; 2 * stale.len()];
            hash_scattered::<LEAF_BYTES>(leaves, &mut below);
            hash_lanes(below.as_flattened().chunks_exact(64), &mut hashes);
        } else {
            let below = node_at(height - 1);
            let children = |(page, at): &(usize, usize)| {
                pages[*page].nodes[below + 2 * at..][..2].as_flattened()
            };
            hash_scattered::<64>(stale.iter().map(children), &mut hashes);
        }
        for ((page, at), hash) in stale.iter().zip(&hashes) {
            pages[*page].nodes[node_at(height) + at] = *hash;
        }
    }
    let top = node_at(PAGE_HEIGHT - 1);
    hash_scattered::<64>(pages.iter().map(|page| page.nodes[top..].as_flattened()), out);
}

/// Pages of which something has to be hashed.
pub(crate) struct StalePages<'a> {
    pages: PartsMut<'a, Arc<Page>>,
    /// Pairs of leaves that have changed, ascending.
    pairs: &'a [u64],
}

impl<'a> StalePages<'a> {
    /// Divides them before a page.
    pub(crate) fn split(self, page: u64) -> (Self, Self) {
        let (left, right) = self.pages.split(page as usize);
        let middle = self.pairs.partition_point(|pair| pair / PAGE_PAIRS < page);
        let (left_pairs, right_pairs) = self.pairs.split_at(middle);
        (Self { pages: left, pairs: left_pairs }, Self { pages: right, pairs: right_pairs })
    }

    /// Hashes them; gives them, ascending, with the nodes above them. The pages are in memory.
    pub(crate) fn hash(self) -> Vec<(u64, RawHash)> {
        let Self { mut pages, mut pairs } = self;
        let mut nodes = Vec::new();
        while let Some(last) = pairs.get(PAIRS_AT_ONCE.min(pairs.len()).saturating_sub(1)) {
            let rest = Self { pages, pairs }.split(last / PAGE_PAIRS + 1);
            rest.0.hash_some(&mut nodes);
            (pages, pairs) = (rest.1.pages, rest.1.pairs);
        }
        nodes
    }

    fn hash_some(self, nodes: &mut Vec<(u64, RawHash)>) {
        let Self { pages, pairs } = self;
        let numbers: Vec<u64> =
            pairs.chunk_by(same_page).map(|pairs| pairs[0] / PAGE_PAIRS).collect();
        let stale = pairs.chunk_by(same_page).enumerate().flat_map(|(page, pairs)| {
            pairs.iter().map(move |pair| (page, (pair % PAGE_PAIRS) as usize))
        });
        let mut pages: Vec<&mut Page> =
            pages.select(&numbers).into_iter().map(Arc::make_mut).collect();
        let mut hashes = vec![[0; 32]; numbers.len()];
        hash_pages(&mut pages, stale.collect(), &mut hashes);
        nodes.extend(numbers.into_iter().zip(hashes));
    }
}

const fn same_page(a: &u64, b: &u64) -> bool {
    *a / PAGE_PAIRS == *b / PAGE_PAIRS
}

/// Hashes neighbours together.
fn hash_children(children: &[RawHash]) -> Vec<RawHash> {
    let mut out = vec![[0; 32]; children.len() / 2];
    hash_lanes(children.as_flattened().chunks_exact(64), &mut out);
    out
}

/// Nodes above pages that lie together as in the file.
pub(crate) fn hash_raw_pages(bytes: &[u8]) -> Vec<RawHash> {
    let mut hashes = vec![[0; 32]; bytes.len() / LEAF_BYTES];
    hash_lanes(bytes.chunks_exact(LEAF_BYTES), &mut hashes);
    for _ in 0..PAGE_HEIGHT {
        hashes = hash_children(&hashes);
    }
    hashes
}

/// All leaves of the latest version.
#[derive(Debug)]
pub(crate) struct LeafPages {
    file: Arc<dyn TreeFile>,
    leaf_count: u64,
    pages: Slots<Arc<Page>>,
    /// Pages that may be in memory, changed ones not counted.
    limit: usize,
    /// By page: the round in which it was last changed, counted by checkpoints from one on.
    changed: Vec<u32>,
    round: u32,
    /// Changes up to this round are in the file.
    written: u32,
    /// Pages changed in this round, in no order.
    dirty: Vec<u64>,
    /// Number of pages that a checkpoint is writing.
    frozen: usize,
    /// Pairs of leaves of which something is to be hashed, in no order, some of them several times.
    stale: Vec<u64>,
}

/// Pages for a checkpoint to write.
#[derive(Debug)]
pub(crate) struct FrozenPages {
    file: Arc<dyn TreeFile>,
    pages: Vec<(u64, Arc<Page>)>,
}

impl LeafPages {
    /// Leaves in a file, `cache_bytes` of them in memory.
    pub(crate) fn new(file: Box<dyn TreeFile>, leaf_count: u64, cache_bytes: usize) -> Self {
        let count = nodes_at(PAGE_HEIGHT, leaf_count) as usize;
        Self {
            file: file.into(),
            leaf_count,
            pages: Slots::new(count),
            limit: cache_bytes / Self::RESIDENT_BYTES,
            changed: vec![0; count],
            round: 1,
            written: 0,
            dirty: Vec::new(),
            frozen: 0,
            stale: Vec::new(),
        }
    }

    /// Memory of a cached page, that of the allocator included.
    const RESIDENT_BYTES: usize = size_of::<Page>() + 32;

    pub(crate) const fn leaf_count(&self) -> u64 {
        self.leaf_count
    }

    pub(crate) fn page_count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Memory of pages that wait to be written, in bytes; those that a checkpoint is writing are not
    /// counted.
    pub(crate) const fn dirty_bytes(&self) -> usize {
        self.dirty.len() * Self::RESIDENT_BYTES
    }

    /// Memory of all cached pages, in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.pages.resident() * Self::RESIDENT_BYTES
    }

    /// Reads a page without looking at its hashes.
    fn read(&self, page: u64) -> Result<Arc<Page>, TreeError> {
        let mut loaded = Page::new();
        let offset = page * PAGE_BYTES as u64;
        let mut bytes = [0; PAGE_BYTES];
        let count = (self.leaf_count - page * PAGE_LEAVES as u64).min(PAGE_LEAVES as u64) as usize;
        let bytes = &mut bytes[..count * LEAF_BYTES];
        self.file.read_exact_at(bytes, offset).map_err(TreeError::read(LEAVES_FILE, offset))?;
        let leaves = &mut Arc::make_mut(&mut loaded).leaves;
        for (leaf, bytes) in leaves.iter_mut().zip(bytes.as_chunks().0) {
            *leaf = Leaf::from_bytes(*bytes);
        }
        Ok(loaded)
    }

    fn load(&self, page: u64, node: &RawHash) -> Result<Arc<Page>, TreeError> {
        let mut loaded = self.read(page)?;
        let mut found = [[0; 32]];
        let pairs = (0..PAGE_PAIRS as usize).map(|pair| (0, pair)).collect();
        hash_pages(&mut [Arc::make_mut(&mut loaded)], pairs, &mut found);
        if found[0] != *node {
            let offset = page * PAGE_BYTES as u64;
            return Err(Damage::new(LEAVES_FILE, offset, DamageCause::PageHash).into());
        }
        Ok(loaded)
    }

    /// Looks at a page, given the node above it.
    ///
    /// # Panics
    /// Beyond the last page.
    pub(crate) fn with<T>(
        &self,
        page: u64,
        node: &RawHash,
        look: impl FnOnce(&Page) -> T,
    ) -> Result<T, TreeError> {
        self.pages.with(page as usize, || self.load(page, node), |page| look(page))
    }

    /// To look at many leaves, given the nodes above the pages.
    pub(crate) fn reader<'a>(&'a self, nodes: &'a [RawHash]) -> LeafReader<'a> {
        LeafReader { pages: self, nodes, reader: RefCell::new(None) }
    }

    /// Gives up unchanged pages while there are too many. Nothing else does: between two calls,
    /// pages that were looked at stay.
    pub(crate) fn trim(&self) {
        let limit = self.limit.max(self.dirty.len() + self.frozen);
        self.pages.trim(limit, |page| self.is_dirty(page));
    }

    /// True for a page that differs from the file.
    fn is_dirty(&self, page: usize) -> bool {
        self.changed[page] > self.written
    }

    fn mark_dirty(&mut self, page: u64) {
        let changed = &mut self.changed[page as usize];
        if *changed != self.round {
            *changed = self.round;
            self.dirty.push(page);
        }
    }

    /// Has the processor fetch leaves that are about to be changed.
    pub(crate) fn fetch(&self, indices: impl Iterator<Item = u64>) {
        fetch(&self.pages.read(), indices);
    }

    /// A page that is in memory, to be changed at a leaf.
    ///
    /// # Panics
    /// If the page is not in memory: it has to be looked at before.
    fn page_mut(&mut self, index: u64) -> &mut Page {
        let number = index / PAGE_LEAVES as u64;
        self.mark_dirty(number);
        let page = self.pages.get_mut(number as usize).expect(
            "pages are loaded before they are changed, and stay until the end of the update",
        );
        let pair = index / 2;
        if self.stale.last() != Some(&pair) {
            self.stale.push(pair);
        }
        Arc::make_mut(page)
    }

    /// Notes that all of a page is to be hashed.
    fn mark_stale(&mut self, page: u64) {
        self.stale.extend(PAGE_PAIRS * page..PAGE_PAIRS * (page + 1));
    }

    /// Changes a leaf whose page is in memory.
    pub(crate) fn leaf_mut(&mut self, index: u64) -> &mut Leaf {
        &mut self.page_mut(index).leaves[index as usize % PAGE_LEAVES]
    }

    /// Adds a leaf; the last page, unless it is full, is in memory.
    pub(crate) fn push(&mut self, leaf: Leaf) {
        let index = self.leaf_count;
        if index.is_multiple_of(PAGE_LEAVES as u64) {
            self.mark_stale(self.page_count());
            self.pages.push(Page::new());
            self.changed.push(0);
        }
        self.leaf_count += 1;
        *self.leaf_mut(index) = leaf;
    }

    /// Cuts off leaves. The page in which the cut lies is in memory.
    pub(crate) fn truncate(&mut self, leaf_count: u64) {
        let pages = nodes_at(PAGE_HEIGHT, leaf_count);
        self.pages.truncate(pages as usize);
        self.changed.truncate(pages as usize);
        self.dirty.retain(|page| *page < pages);
        self.stale.retain(|pair| pair / PAGE_PAIRS < pages);
        let end = (pages * PAGE_LEAVES as u64).min(self.leaf_count);
        for index in leaf_count..end {
            *self.leaf_mut(index) = Leaf::EMPTY;
        }
        self.leaf_count = leaf_count;
    }

    /// Hashes what has changed, up to the root.
    pub(crate) fn rehash(&mut self, levels: &mut Levels) {
        let mut pairs = std::mem::take(&mut self.stale);
        pairs.sort_unstable();
        pairs.dedup();
        levels.resize(self.page_count());
        let mut rest = Some(StalePages { pages: self.pages.parts_mut(), pairs: &pairs });
        let part = |range: Range<u64>| {
            let (part, behind) = rest.take()?.split(range.end);
            rest = Some(behind);
            Some(part)
        };
        levels.update(pairs.len(), part, |part| part.map(StalePages::hash).unwrap_or_default());
        pairs.clear();
        self.stale = pairs;
    }

    /// Brings a page into memory whose node is not known because the file may be half-way between
    /// two versions; it will be hashed by the next [`rehash`](Self::rehash).
    pub(crate) fn load_unchecked(&mut self, page: u64) -> Result<(), TreeError> {
        if self.pages.get_mut(page as usize).is_none() {
            let loaded = self.read(page)?;
            self.pages.put(page as usize, loaded);
            self.mark_stale(page);
        }
        Ok(())
    }

    /// Pages as they are in the file, or in memory where they differ from it.
    pub(crate) fn read_raw(&self, pages: Range<u64>) -> Result<Vec<u8>, TreeError> {
        let first = pages.start;
        let mut bytes = vec![0; (pages.end - first) as usize * PAGE_BYTES];
        let offset = first * PAGE_BYTES as u64;
        // Pages that were added since the file was last written are not in it yet.
        let size = self.file.size().map_err(TreeError::io("look at", LEAVES_FILE))?;
        let have = size.saturating_sub(offset).min(bytes.len() as u64) as usize;
        if have > 0 {
            self.file
                .read_exact_at(&mut bytes[..have], offset)
                .map_err(TreeError::read(LEAVES_FILE, offset))?;
        }
        for (number, bytes) in pages.zip(bytes.chunks_exact_mut(PAGE_BYTES)) {
            if self.is_dirty(number as usize) {
                self.pages.peek(number as usize, |page| page.write_to(bytes));
            } else {
                // What lies behind the last leaf are leaves that were cut off.
                let count = (self.leaf_count - number * PAGE_LEAVES as u64).min(PAGE_LEAVES as u64);
                bytes[count as usize * LEAF_BYTES..].fill(0);
            }
        }
        Ok(bytes)
    }

    /// Hands the changed pages to a checkpoint, as they are now. [`Self::written`] or
    /// [`Self::not_written`] follows.
    pub(crate) fn freeze(&mut self) -> FrozenPages {
        let dirty = std::mem::take(&mut self.dirty);
        let reader = self.pages.read();
        let page = |page: &u64| Some((*page, reader.get(*page as usize)?.clone()));
        let mut pages: Vec<_> = dirty.par_iter().filter_map(page).collect();
        drop(reader);
        pages.par_sort_unstable_by_key(|(page, _)| *page);
        self.frozen = pages.len();
        self.round += 1;
        FrozenPages { file: self.file.clone(), pages }
    }

    /// What was frozen is in the file for good.
    pub(crate) const fn written(&mut self) {
        self.written = self.round - 1;
        self.frozen = 0;
    }

    /// What was frozen may be in the file or not.
    pub(crate) fn not_written(&mut self, frozen: &FrozenPages) {
        self.frozen = 0;
        for page in frozen.numbers() {
            // Pages may have been cut off since.
            if page < self.page_count() && self.is_dirty(page as usize) {
                self.mark_dirty(page);
            }
        }
    }
}

/// Reads many leaves.
pub(crate) struct LeafReader<'a> {
    pages: &'a LeafPages,
    nodes: &'a [RawHash],
    /// Given back while a page is read from the file.
    reader: RefCell<Option<Reader<'a, Arc<Page>>>>,
}

impl ReadLeaves for LeafReader<'_> {
    fn read(&self, index: u64) -> Result<Leaf, TreeError> {
        let number = index / PAGE_LEAVES as u64;
        let mut held = self.reader.borrow_mut();
        let reader = held.get_or_insert_with(|| self.pages.pages.read());
        if let Some(page) = reader.get(number as usize) {
            return Ok(*page.leaf(index));
        }
        *held = None;
        self.pages.with(number, &self.nodes[number as usize], |page| *page.leaf(index))
    }

    fn fetch(&self, indices: impl Iterator<Item = u64>) {
        let mut held = self.reader.borrow_mut();
        fetch(held.get_or_insert_with(|| self.pages.pages.read()), indices);
    }
}

/// Has the processor fetch leaves, several at a time.
fn fetch(reader: &Reader<'_, Arc<Page>>, indices: impl Iterator<Item = u64>) {
    let mut sum = 0;
    for index in indices {
        if let Some(page) = reader.get((index / PAGE_LEAVES as u64) as usize) {
            let leaf = page.leaf(index).as_bytes();
            // The three places that a change of the leaf will look at.
            sum += Arc::strong_count(page) as u64 + u64::from(leaf[0] ^ leaf[LEAF_BYTES - 1]);
        }
    }
    black_box(sum);
}

impl Page {
    fn write_to(&self, bytes: &mut [u8]) {
        for (leaf, bytes) in self.leaves.iter().zip(bytes.chunks_exact_mut(LEAF_BYTES)) {
            bytes.copy_from_slice(leaf.as_bytes());
        }
    }
}

impl FrozenPages {
    /// Numbers of the pages, ascending.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.pages.iter().map(|(page, _)| *page)
    }

    /// Writes and syncs them.
    pub(crate) fn write(&self) -> Result<(), TreeError> {
        let mut buffer = Vec::new();
        for run in self.pages.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
            for part in run.chunks(PAGES_PER_WRITE) {
                buffer.resize(part.len() * PAGE_BYTES, 0);
                for ((_, page), bytes) in part.iter().zip(buffer.chunks_exact_mut(PAGE_BYTES)) {
                    page.write_to(bytes);
                }
                self.file
                    .write_all_at(&buffer, part[0].0 * PAGE_BYTES as u64)
                    .map_err(TreeError::io("write", LEAVES_FILE))?;
            }
        }
        self.file.sync().map_err(TreeError::io("sync", LEAVES_FILE))
    }
}
