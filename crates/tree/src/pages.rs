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
    cache::Slots,
    hash::{RawHash, hash_bytes, hash_lanes},
    levels::nodes_at,
};
use rayon::prelude::*;
use std::sync::Arc;

/// Height of the node above a page.
pub(crate) const PAGE_HEIGHT: usize = 4;

/// Leaves in a page.
pub(crate) const PAGE_LEAVES: usize = 1 << PAGE_HEIGHT;

/// Bytes of a page in the file.
pub(crate) const PAGE_BYTES: usize = PAGE_LEAVES * LEAF_BYTES;

/// Name of the file.
pub(crate) const LEAVES_FILE: &str = "leaves";

/// Pages that one thread hashes at a time.
const PAGES_PER_TASK: usize = 128;

/// Pages that are written in one piece at most.
const PAGES_PER_WRITE: usize = 1024;

/// Sixteen leaves and the nodes between them and the node above. Positions without a leaf are zero.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    leaves: [Leaf; PAGE_LEAVES],
    /// Height 1 at 0 to 7, height 2 at 8 to 11, height 3 at 12 and 13.
    nodes: [RawHash; PAGE_LEAVES - 2],
    /// Pairs of leaves (bit per pair) that have changed since they were hashed.
    stale: u8,
}

/// Where the nodes of a height begin in a page.
const fn node_at(height: usize) -> usize {
    PAGE_LEAVES - (PAGE_LEAVES >> (height - 1))
}

impl Page {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            leaves: [Leaf::EMPTY; PAGE_LEAVES],
            nodes: [[0; 32]; PAGE_LEAVES - 2],
            stale: u8::MAX,
        })
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

    /// Positions of a height above changed leaves.
    fn stale(&self, height: usize) -> impl Iterator<Item = usize> + use<> {
        let (stale, span) = (self.stale, 1 << (height - 1));
        let mask = u8::MAX >> (8 - span);
        (0..PAGE_LEAVES >> height).filter(move |at| stale & (mask << (at * span)) != 0)
    }
}

/// Hashes what has changed in pages, in lanes across all of them; `out` gets the nodes above.
fn hash_pages(pages: &mut [&mut Page], out: &mut [RawHash]) {
    let mut hashes = Vec::new();
    for height in 1..PAGE_HEIGHT {
        let stale: Vec<(usize, usize)> = pages
            .iter()
            .enumerate()
            .flat_map(|(page, content)| content.stale(height).map(move |at| (page, at)))
            .collect();
        hashes.resize(stale.len(), [0; 32]);
        if height == 1 {
            let leaves: Vec<&[u8]> = stale
                .iter()
                .flat_map(|(page, at)| &pages[*page].leaves[2 * at..2 * at + 2])
                .map(|leaf| leaf.as_bytes().as_slice())
                .collect();
            let mut below = vec![[0; 32]; leaves.len()];
            hash_lanes(leaves.into_iter(), &mut below);
            hash_lanes(below.as_flattened().chunks_exact(64), &mut hashes);
        } else {
            let below = node_at(height - 1);
            let children = |(page, at): &(usize, usize)| {
                pages[*page].nodes[below + 2 * at..][..2].as_flattened()
            };
            hash_lanes(stale.iter().map(children), &mut hashes);
        }
        for ((page, at), hash) in stale.into_iter().zip(&hashes) {
            pages[page].nodes[node_at(height) + at] = *hash;
        }
    }
    let top = node_at(PAGE_HEIGHT - 1);
    hash_lanes(pages.iter().map(|page| page.nodes[top..].as_flattened()), out);
    for page in pages {
        page.stale = 0;
    }
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
    /// Pages of which something is to be hashed, in no order.
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

    pub(crate) const fn page_count(&self) -> u64 {
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
        hash_pages(&mut [Arc::make_mut(&mut loaded)], &mut found);
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
        let page = Arc::make_mut(page);
        if page.stale == 0 {
            self.stale.push(number);
        }
        page.stale |= 1 << (index as usize % PAGE_LEAVES / 2);
        page
    }

    /// Changes a leaf whose page is in memory.
    pub(crate) fn leaf_mut(&mut self, index: u64) -> &mut Leaf {
        &mut self.page_mut(index).leaves[index as usize % PAGE_LEAVES]
    }

    /// Adds a leaf; the last page, unless it is full, is in memory.
    pub(crate) fn push(&mut self, leaf: Leaf) {
        let index = self.leaf_count;
        if index.is_multiple_of(PAGE_LEAVES as u64) {
            self.stale.push(self.page_count());
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
        self.stale.retain(|page| *page < pages);
        let end = (pages * PAGE_LEAVES as u64).min(self.leaf_count);
        for index in leaf_count..end {
            *self.leaf_mut(index) = Leaf::EMPTY;
        }
        self.leaf_count = leaf_count;
    }

    /// Hashes all changed pages; gives them, ascending, with the nodes above them.
    pub(crate) fn rehash(&mut self) -> Vec<(u64, RawHash)> {
        let mut stale = std::mem::take(&mut self.stale);
        stale.sort_unstable();
        let mut pages: Vec<(u64, Arc<Page>)> = stale
            .into_iter()
            .filter_map(|page| Some((page, self.pages.take(page as usize)?)))
            .collect();
        let mut nodes = vec![[0; 32]; pages.len()];
        let hash = |pages: &mut [(u64, Arc<Page>)], nodes: &mut [RawHash]| {
            let mut pages: Vec<&mut Page> =
                pages.iter_mut().map(|(_, page)| Arc::make_mut(page)).collect();
            hash_pages(&mut pages, nodes);
        };
        if pages.len() <= PAGES_PER_TASK {
            hash(&mut pages, &mut nodes);
        } else {
            pages
                .par_chunks_mut(PAGES_PER_TASK)
                .zip(nodes.par_chunks_mut(PAGES_PER_TASK))
                .for_each(|(pages, nodes)| hash(pages, nodes));
        }
        let put_back = |((number, page), node)| {
            self.pages.put(number as usize, page);
            (number, node)
        };
        pages.into_iter().zip(nodes).map(put_back).collect()
    }

    /// Brings a page into memory whose node is not known because the file may be half-way between
    /// two versions; it will be hashed by the next [`rehash`](Self::rehash).
    pub(crate) fn load_unchecked(&mut self, page: u64) -> Result<(), TreeError> {
        if self.pages.get_mut(page as usize).is_none() {
            let loaded = self.read(page)?;
            self.pages.put(page as usize, loaded);
            self.stale.push(page);
        }
        Ok(())
    }

    /// Pages as they are in the file, or in memory where they differ from it.
    pub(crate) fn read_raw(&self, pages: std::ops::Range<u64>) -> Result<Vec<u8>, TreeError> {
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
        let page = |page: &u64| Some((*page, self.pages.peek(*page as usize, Arc::clone)?));
        let mut pages: Vec<_> = dirty.par_iter().filter_map(page).collect();
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
