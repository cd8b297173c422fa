//! Leaves in a file, sixteen to a page, through a cache of bounded size.
//!
//! The file `leaves` is a flat array of the 72 bytes of each leaf. It carries no checksums: the node
//! above a page is in memory, and a page that is read is hashed and compared with it. The cached
//! form of a page also holds its nodes of heights 2 and 3, so that a changed leaf costs the hashes of
//! its group of four and three nodes above.

use crate::{
    Damage, DamageCause, LEAF_BYTES, Leaf, TreeError, TreeFile,
    hash::{RawHash, hash_bytes, hash_lanes, hash_pair},
    levels::nodes_at,
};
use parking_lot::RwLock;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Height of the node above a page.
pub(crate) const PAGE_HEIGHT: usize = 4;

/// Leaves in a page.
pub(crate) const PAGE_LEAVES: usize = 1 << PAGE_HEIGHT;

/// Bytes of a page in the file.
pub(crate) const PAGE_BYTES: usize = PAGE_LEAVES * LEAF_BYTES;

/// Name of the file.
pub(crate) const LEAVES_FILE: &str = "leaves";

/// Leaves that are hashed together: the lowest stored nodes are two heights up.
const QUAD: usize = 4;
const QUADS: usize = PAGE_LEAVES / QUAD;

/// Pages that one thread hashes at a time.
const PAGES_PER_TASK: usize = 128;

/// Pages that are written in one piece at most.
const PAGES_PER_WRITE: usize = 1024;

/// Unchanged pages between changed ones that are written along to save a call.
const WRITE_GAP: u64 = 4;

/// Sixteen leaves and the nodes between them and the node above. Positions without a leaf are zero.
#[derive(Debug)]
pub(crate) struct Page {
    leaves: [Leaf; PAGE_LEAVES],
    /// Height 2 at 0 to 3, height 3 at 4 and 5.
    nodes: [RawHash; 6],
    /// Groups of four (bit per group) that have changed since they were hashed.
    stale: u8,
    /// Differs from the file.
    dirty: bool,
}

const ALL_STALE: u8 = (1 << QUADS) - 1;

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self {
            leaves: [Leaf::EMPTY; PAGE_LEAVES],
            nodes: [[0; 32]; 6],
            stale: ALL_STALE,
            dirty: false,
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
            1 => hash_pair(
                &self.node(0, 2 * position as u64),
                &self.node(0, 2 * position as u64 + 1),
            ),
            2 => self.nodes[position],
            _ => self.nodes[QUADS + position],
        }
    }

    fn stale_quads(&self) -> impl Iterator<Item = usize> {
        let stale = self.stale;
        (0..QUADS).filter(move |quad| stale & (1 << quad) != 0)
    }
}

/// Hashes what has changed in pages, in lanes across all of them; `out` gets the nodes above.
fn hash_pages(pages: &mut [(u64, Box<Page>)], out: &mut [RawHash]) {
    let quads: Vec<(usize, usize)> = pages
        .iter()
        .enumerate()
        .flat_map(|(at, (_, page))| page.stale_quads().map(move |quad| (at, quad)))
        .collect();
    let leaves: Vec<&[u8]> = quads
        .iter()
        .flat_map(|(at, quad)| &pages[*at].1.leaves[QUAD * quad..QUAD * (quad + 1)])
        .map(|leaf| leaf.as_bytes().as_slice())
        .collect();
    let mut hashes = vec![[0; 32]; leaves.len()];
    hash_lanes(leaves.iter().copied(), &mut hashes);
    for _ in 0..2 {
        hashes = hash_children(&hashes);
    }
    for ((at, quad), hash) in quads.iter().zip(&hashes) {
        pages[*at].1.nodes[*quad] = *hash;
    }

    let mut halves: Vec<(usize, usize)> = quads.iter().map(|(at, quad)| (*at, quad / 2)).collect();
    halves.dedup();
    hashes.resize(halves.len(), [0; 32]);
    let children = |(at, half): &(usize, usize)| pages[*at].1.nodes[2 * half..][..2].as_flattened();
    hash_lanes(halves.iter().map(children), &mut hashes);
    for ((at, half), hash) in halves.iter().zip(&hashes) {
        pages[*at].1.nodes[QUADS + half] = *hash;
    }

    hash_lanes(pages.iter().map(|(_, page)| page.nodes[QUADS..].as_flattened()), out);
    for (_, page) in pages {
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

/// Place of a page in memory.
#[derive(Debug, Default)]
struct Slot {
    /// `None` if the page is only in the file. A page that differs from the file is always here.
    page: RwLock<Option<Box<Page>>>,
    /// Read since the cache last came by. Not in the page, to spare a look-up one more cache line.
    used: AtomicBool,
}

/// All leaves of the latest version.
#[derive(Debug)]
pub(crate) struct LeafPages {
    file: Box<dyn TreeFile>,
    leaf_count: u64,
    /// By page.
    slots: Vec<Slot>,
    resident: AtomicUsize,
    /// Pages that may be resident, changed ones not counted.
    limit: usize,
    hand: AtomicUsize,
    /// Pages that differ from the file, in no order.
    dirty: Vec<u64>,
    /// Pages of which something is to be hashed, in no order.
    stale: Vec<u64>,
}

impl LeafPages {
    /// Leaves in a file, `cache_bytes` of them in memory.
    pub(crate) fn new(file: Box<dyn TreeFile>, leaf_count: u64, cache_bytes: usize) -> Self {
        let mut pages = Self {
            file,
            leaf_count,
            slots: Vec::new(),
            resident: AtomicUsize::new(0),
            limit: cache_bytes / Self::RESIDENT_BYTES,
            hand: AtomicUsize::new(0),
            dirty: Vec::new(),
            stale: Vec::new(),
        };
        pages.slots.resize_with(nodes_at(PAGE_HEIGHT, leaf_count) as usize, Slot::default);
        pages
    }

    /// Memory of a cached page, that of the allocator included.
    const RESIDENT_BYTES: usize = size_of::<Page>() + 16;

    pub(crate) const fn leaf_count(&self) -> u64 {
        self.leaf_count
    }

    pub(crate) fn page_count(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Memory of pages that wait to be written, in bytes.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.len() * Self::RESIDENT_BYTES
    }

    /// Memory of all cached pages, in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.resident.load(Ordering::Relaxed) * Self::RESIDENT_BYTES
    }

    pub(crate) fn file(&self) -> &dyn TreeFile {
        &*self.file
    }

    /// Reads a page without looking at its hashes.
    fn read(&self, page: u64) -> Result<Box<Page>, TreeError> {
        let mut loaded = Page::new();
        let offset = page * PAGE_BYTES as u64;
        let mut bytes = [0; PAGE_BYTES];
        let count = (self.leaf_count - page * PAGE_LEAVES as u64).min(PAGE_LEAVES as u64) as usize;
        let bytes = &mut bytes[..count * LEAF_BYTES];
        self.file.read_exact_at(bytes, offset).map_err(TreeError::read(LEAVES_FILE, offset))?;
        for (leaf, bytes) in loaded.leaves.iter_mut().zip(bytes.as_chunks().0) {
            *leaf = Leaf::from_bytes(*bytes);
        }
        Ok(loaded)
    }

    fn load(&self, page: u64, node: &RawHash) -> Result<Box<Page>, TreeError> {
        let mut pages = [(page, self.read(page)?)];
        let mut found = [[0; 32]];
        hash_pages(&mut pages, &mut found);
        if found[0] != *node {
            let offset = page * PAGE_BYTES as u64;
            return Err(Damage::new(LEAVES_FILE, offset, DamageCause::PageHash).into());
        }
        let [(_, page)] = pages;
        Ok(page)
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
        let slot = &self.slots[page as usize];
        slot.used.store(true, Ordering::Relaxed);
        if let Some(page) = &*slot.page.read() {
            return Ok(look(page));
        }
        let loaded = self.load(page, node)?;
        let mut place = slot.page.write();
        if place.is_none() {
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        Ok(look(place.get_or_insert(loaded)))
    }

    /// Gives up unchanged pages while there are too many. Nothing else does: between two calls,
    /// pages that were looked at stay.
    pub(crate) fn trim(&self) {
        let limit = self.limit.max(self.dirty.len());
        for _ in 0..2 * self.slots.len() {
            if self.resident.load(Ordering::Relaxed) <= limit {
                return;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % self.slots.len();
            let slot = &self.slots[at];
            let Some(mut page) = slot.page.try_write() else { continue };
            let used = slot.used.swap(false, Ordering::Relaxed);
            if !used && page.as_ref().is_some_and(|page| !page.dirty) {
                *page = None;
                self.resident.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// A page that is in memory, to be changed at a leaf.
    ///
    /// # Panics
    /// If the page is not in memory: it has to be looked at before.
    fn page_mut(&mut self, index: u64) -> &mut Page {
        let number = index / PAGE_LEAVES as u64;
        let page = self.slots[number as usize].page.get_mut().as_mut().expect(
            "pages are loaded before they are changed, and stay until the end of the update",
        );
        if !page.dirty {
            page.dirty = true;
            self.dirty.push(number);
        }
        if page.stale == 0 {
            self.stale.push(number);
        }
        page.stale |= 1 << (index as usize % PAGE_LEAVES / QUAD);
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
            let number = self.slots.len() as u64;
            let mut page = Page::new();
            page.dirty = true;
            self.dirty.push(number);
            self.stale.push(number);
            self.slots.push(Slot { page: RwLock::new(Some(page)), used: AtomicBool::new(true) });
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        self.leaf_count += 1;
        *self.leaf_mut(index) = leaf;
    }

    /// Cuts off leaves. The page in which the cut lies is in memory.
    pub(crate) fn truncate(&mut self, leaf_count: u64) {
        let pages = nodes_at(PAGE_HEIGHT, leaf_count);
        for slot in self.slots.drain(pages as usize..) {
            if slot.page.into_inner().is_some() {
                self.resident.fetch_sub(1, Ordering::Relaxed);
            }
        }
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
        let mut pages: Vec<(u64, Box<Page>)> = stale
            .into_iter()
            .filter_map(|page| Some((page, self.slots[page as usize].page.get_mut().take()?)))
            .collect();
        let mut nodes = vec![[0; 32]; pages.len()];
        if pages.len() <= PAGES_PER_TASK {
            hash_pages(&mut pages, &mut nodes);
        } else {
            pages
                .par_chunks_mut(PAGES_PER_TASK)
                .zip(nodes.par_chunks_mut(PAGES_PER_TASK))
                .for_each(|(pages, nodes)| hash_pages(pages, nodes));
        }
        let put_back = |((number, page), node)| {
            *self.slots[number as usize].page.get_mut() = Some(page);
            (number, node)
        };
        pages.into_iter().zip(nodes).map(put_back).collect()
    }

    /// Brings a page into memory whose node is not known because the file may be half-way between
    /// two versions; it will be hashed by the next [`rehash`](Self::rehash).
    pub(crate) fn load_unchecked(&mut self, page: u64) -> Result<(), TreeError> {
        if self.slots[page as usize].page.get_mut().is_none() {
            let loaded = self.read(page)?;
            *self.slots[page as usize].page.get_mut() = Some(loaded);
            self.resident.fetch_add(1, Ordering::Relaxed);
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
            if let Some(page) = &*self.slots[number as usize].page.read()
                && page.dirty
            {
                for (leaf, bytes) in page.leaves.iter().zip(bytes.chunks_exact_mut(LEAF_BYTES)) {
                    bytes.copy_from_slice(leaf.as_bytes());
                }
            } else {
                // What lies behind the last leaf are leaves that were cut off.
                let count = (self.leaf_count - number * PAGE_LEAVES as u64).min(PAGE_LEAVES as u64);
                bytes[count as usize * LEAF_BYTES..].fill(0);
            }
        }
        Ok(bytes)
    }

    /// Pages that differ from the file, ascending.
    pub(crate) fn dirty_pages(&mut self) -> &[u64] {
        self.dirty.sort_unstable();
        &self.dirty
    }

    /// Writes all changed pages, without sync. They count as changed until
    /// [`mark_clean`](Self::mark_clean).
    pub(crate) fn write_dirty(&mut self) -> Result<(), TreeError> {
        self.dirty.sort_unstable();
        let mut buffer = Vec::new();
        let mut start = 0;
        for &page in &self.dirty {
            let next = start + (buffer.len() / PAGE_BYTES) as u64;
            let bridge = next..page;
            let joined = !buffer.is_empty()
                && page - next <= WRITE_GAP
                && buffer.len() < PAGES_PER_WRITE * PAGE_BYTES
                && bridge.clone().all(|page| self.slots[page as usize].page.read().is_some());
            if joined {
                for page in bridge {
                    self.append_page(page, &mut buffer);
                }
            } else {
                self.write_at(start, &buffer)?;
                buffer.clear();
                start = page;
            }
            self.append_page(page, &mut buffer);
        }
        self.write_at(start, &buffer)
    }

    fn append_page(&self, page: u64, out: &mut Vec<u8>) {
        if let Some(page) = &*self.slots[page as usize].page.read() {
            for leaf in &page.leaves {
                out.extend_from_slice(leaf.as_bytes());
            }
        }
    }

    fn write_at(&self, page: u64, bytes: &[u8]) -> Result<(), TreeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file
            .write_all_at(bytes, page * PAGE_BYTES as u64)
            .map_err(TreeError::io("write", LEAVES_FILE))
    }

    /// All changed pages are in the file for good.
    pub(crate) fn mark_clean(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            if let Some(page) = self.slots[page as usize].page.get_mut() {
                page.dirty = false;
            }
        }
    }
}
