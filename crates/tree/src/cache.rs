//! Parts of a file in memory, by their number.

use crate::TreeError;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Place of a part in memory.
#[derive(Debug)]
struct Slot<T> {
    item: RwLock<Option<T>>,
    /// Looked at since the clock last came by. Not in the item, to spare a look one more cache
    /// line.
    used: AtomicBool,
}

impl<T> Slot<T> {
    const fn new(item: Option<T>) -> Self {
        Self { item: RwLock::new(item), used: AtomicBool::new(true) }
    }
}

/// A cache with a place for every part, given up by the clock. What was looked at stays until
/// [`Slots::trim`] is called: an operation can rely on what it has brought in.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    resident: AtomicUsize,
    hand: AtomicUsize,
}

impl<T> Slots<T> {
    /// Places for a number of parts, none of them in memory.
    pub(crate) fn new(count: usize) -> Self {
        let mut slots = Vec::with_capacity(count);
        slots.resize_with(count, || Slot::new(None));
        Self { slots, resident: AtomicUsize::new(0), hand: AtomicUsize::new(0) }
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Number of parts in memory.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Looks at a part, which is loaded if it is not in memory.
    pub(crate) fn with<R>(
        &self,
        at: usize,
        load: impl FnOnce() -> Result<T, TreeError>,
        look: impl FnOnce(&T) -> R,
    ) -> Result<R, TreeError> {
        let slot = &self.slots[at];
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        if let Some(item) = &*slot.item.read() {
            return Ok(look(item));
        }
        let loaded = load()?;
        let mut place = slot.item.write();
        if place.is_none() {
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        Ok(look(place.get_or_insert(loaded)))
    }

    /// Looks at a part if it is in memory.
    pub(crate) fn peek<R>(&self, at: usize, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.slots[at].item.read().as_ref().map(look)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.slots[at].item.get_mut().as_mut()
    }

    pub(crate) fn take(&mut self, at: usize) -> Option<T> {
        let item = self.slots[at].item.get_mut().take();
        *self.resident.get_mut() -= usize::from(item.is_some());
        item
    }

    pub(crate) fn put(&mut self, at: usize, item: T) {
        let before = self.slots[at].item.get_mut().replace(item);
        *self.resident.get_mut() += usize::from(before.is_none());
    }

    /// Adds a part behind the last one.
    pub(crate) fn push(&mut self, item: T) {
        self.slots.push(Slot::new(Some(item)));
        *self.resident.get_mut() += 1;
    }

    /// Drops the parts from a number on.
    pub(crate) fn truncate(&mut self, count: usize) {
        let dropped = self.slots.drain(count.min(self.slots.len())..);
        let resident = dropped.filter_map(|slot| slot.item.into_inner()).count();
        *self.resident.get_mut() -= resident;
    }

    /// Gives up parts that are not pinned while more than `limit` are in memory.
    pub(crate) fn trim(&self, limit: usize, pinned: impl Fn(usize) -> bool) {
        for _ in 0..2 * self.slots.len() {
            if self.resident() <= limit {
                return;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % self.slots.len();
            let slot = &self.slots[at];
            if slot.used.swap(false, Ordering::Relaxed) || pinned(at) {
                continue;
            }
            let Some(mut item) = slot.item.try_write() else { continue };
            if item.take().is_some() {
                self.resident.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_until_they_are_trimmed() {
        let mut slots = Slots::new(8);
        for at in 0..8 {
            assert_eq!(slots.with(at, || Ok(at), |item| *item).ok(), Some(at));
        }
        assert_eq!(slots.resident(), 8);
        slots.trim(3, |at| at == 5);
        assert_eq!(slots.resident(), 3);
        assert_eq!(slots.peek(5, |item| *item), Some(5));
        let gone = (0..8).find(|at| slots.peek(*at, |_| ()).is_none()).expect("five are gone");
        assert!(slots.with(gone, || Err(TreeError::Halted), |_| ()).is_err());
        assert_eq!(slots.with(gone, || Ok(70), |item| *item).ok(), Some(70));
        assert_eq!(slots.take(gone), Some(70));
        slots.put(gone, 71);
        slots.push(8);
        assert_eq!((slots.len(), slots.resident()), (9, 5));
        slots.truncate(0);
        assert_eq!((slots.len(), slots.resident()), (0, 0));
        slots.trim(0, |_| false);
    }
}
