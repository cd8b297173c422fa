//! How much memory a piece of work takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// Bytes allocated and not freed by this thread; below zero if it frees what others allocated.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator with a count per thread.
#[derive(Debug, Clone, Copy)]
pub struct Counting;

fn count(change: isize) {
    // A thread that is being torn down is not measured.
    let _ = LIVE.try_with(|live| {
        let now = live.get() + change;
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new block may exist at the same time.
        count(size as isize);
        let new = unsafe { System.realloc(memory, layout, size) };
        count(-(layout.size() as isize));
        new
    }
}

/// What does not grow with the input: error texts, the 8 KiB of a window of block hashes, tables built on first use.
const SLACK: usize = 256 << 10;

/// Does `work` on an input of `len` bytes, and panics if it needs more than `factor` bytes for each of them at any
/// moment.
pub fn bounded<T>(len: usize, factor: usize, work: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    let taken = usize::try_from(PEAK.get() - before).unwrap_or(0);
    assert!(taken <= SLACK + factor * len, "{taken} bytes of memory for an input of {len}");
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_passes() {
        assert_eq!(bounded(100, 2, || vec![1u8; 150].len()), 150);
    }

    #[test]
    #[should_panic(expected = "bytes of memory")]
    fn large_work_does_not() {
        bounded(100, 2, || vec![1u8; SLACK + 300].len());
    }

    #[test]
    #[should_panic(expected = "bytes of memory")]
    fn a_peak_counts_even_if_it_is_over() {
        bounded(0, 1, || {
            drop(vec![0u8; 2 * SLACK]);
        });
    }
}
