//! Parts of a file in memory, by their number.

use crate::TreeError;
use parking_lot::{RwLock, RwLockReadGuard};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Place of a part in memory.
#[derive(Debug)]
struct Slot<T> {
    item: Option<T>,
    /// Looked at since the clock last came by. Not in the item, to spare a look one more cache
    /// line.
    used: AtomicBool,
}

impl<T> Slot<T> {
    const fn new(item: Option<T>) -> Self {
        Self { item, used: AtomicBool::new(true) }
    }

    fn look(&self) -> Option<&T> {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.item.as_ref()
    }
}

/// A cache with a place for every part, given up by the clock. What was looked at stays until
/// [`Slots::trim`] is called: an operation can rely on what it has brought in.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    /// Under one lock, not one each: a lock is a fence to the processor, and who looks at many parts
    /// wants it to fetch several of them at a time.
    slots: RwLock<Vec<Slot<T>>>,
    resident: AtomicUsize,
    hand: AtomicUsize,
}

/// Parts that are in memory. Nothing is loaded or given up as long as it lives, so it must not be
/// held while that is waited for.
pub(crate) struct Reader<'a, T>(RwLockReadGuard<'a, Vec<Slot<T>>>);

impl<T> Reader<'_, T> {
    /// A part, if it is in memory.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0[at].look()
    }
}

/// Places of parts one after the other, to be changed.
pub(crate) struct PartsMut<'a, T> {
    slots: &'a mut [Slot<T>],
    first: usize,
}

impl<'a, T> PartsMut<'a, T> {
    /// Divides them before a part.
    pub(crate) fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.slots.split_at_mut(at - self.first);
        (Self { slots: left, first: self.first }, Self { slots: right, first: at })
    }

    /// The ones with the given numbers, ascending, as far as they are in memory.
    pub(crate) fn select(self, numbers: &[u64]) -> Vec<&'a mut T> {
        let Self { mut slots, first } = self;
        let (mut selected, mut next) = (Vec::with_capacity(numbers.len()), first);
        for number in numbers {
            let at = *number as usize;
            let Some((slot, rest)) = slots.get_mut(at - next..).and_then(<[_]>::split_first_mut)
            else {
                break;
            };
            selected.extend(&mut slot.item);
            (slots, next) = (rest, at + 1);
        }
        selected
    }
}

impl<T> Slots<T> {
    /// Places for a number of parts, none of them in memory.
    pub(crate) fn new(count: usize) -> Self {
        let mut slots = Vec::with_capacity(count);
        slots.resize_with(count, || Slot::new(None));
        let (resident, hand) = Default::default();
        Self { slots: RwLock::new(slots), resident, hand }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.read().len()
    }

    /// Number of parts in memory.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// What is in memory, to look at many parts.
    pub(crate) fn read(&self) -> Reader<'_, T> {
        Reader(self.slots.read())
    }

    /// Looks at a part, which is loaded if it is not in memory.
    pub(crate) fn with<R>(
        &self,
        at: usize,
        load: impl FnOnce() -> Result<T, TreeError>,
        look: impl FnOnce(&T) -> R,
    ) -> Result<R, TreeError> {
        if let Some(item) = self.read().get(at) {
            return Ok(look(item));
        }
        let loaded = load()?;
        let mut slots = self.slots.write();
        let slot = &mut slots[at];
        if slot.item.is_none() {
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        slot.used = AtomicBool::new(true);
        Ok(look(slot.item.get_or_insert(loaded)))
    }

    /// Looks at a part if it is in memory.
    pub(crate) fn peek<R>(&self, at: usize, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.slots.read()[at].item.as_ref().map(look)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.slots.get_mut()[at].item.as_mut()
    }

    /// All parts.
    pub(crate) fn parts_mut(&mut self) -> PartsMut<'_, T> {
        PartsMut { slots: self.slots.get_mut(), first: 0 }
    }

    pub(crate) fn put(&mut self, at: usize, item: T) {
        let before = self.slots.get_mut()[at].item.replace(item);
        *self.resident.get_mut() += usize::from(before.is_none());
    }

    /// Adds a part behind the last one.
    pub(crate) fn push(&mut self, item: T) {
        self.slots.get_mut().push(Slot::new(Some(item)));
        *self.resident.get_mut() += 1;
    }

    /// Drops the parts from a number on.
    pub(crate) fn truncate(&mut self, count: usize) {
        let slots = self.slots.get_mut();
        let dropped = slots.drain(count.min(slots.len())..);
        let resident = dropped.filter_map(|slot| slot.item).count();
        *self.resident.get_mut() -= resident;
    }

    /// Gives up parts that are not pinned while more than `limit` are in memory.
    pub(crate) fn trim(&self, limit: usize, pinned: impl Fn(usize) -> bool) {
        if self.resident() <= limit {
            return;
        }
        let mut slots = self.slots.write();
        let count = slots.len();
        for _ in 0..2 * count {
            if self.resident() <= limit {
                return;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % count;
            let slot = &mut slots[at];
            if std::mem::take(slot.used.get_mut()) || pinned(at) {
                continue;
            }
            if slot.item.take().is_some() {
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
        assert_eq!(slots.read().get(gone), None);
        assert!(slots.with(gone, || Err(TreeError::Halted), |_| ()).is_err());
        assert_eq!(slots.with(gone, || Ok(70), |item| *item).ok(), Some(70));
        assert_eq!(slots.read().get(gone), Some(&70));
        slots.put(gone, 71);
        slots.push(8);
        assert_eq!((slots.len(), slots.resident()), (9, 5));
        slots.truncate(0);
        assert_eq!((slots.len(), slots.resident()), (0, 0));
        slots.trim(0, |_| false);
    }

    #[test]
    fn parts_are_selected_by_number() {
        let mut slots = Slots::new(10);
        for at in [0, 2, 3, 7, 9] {
            slots.put(at, at);
        }
        let selected = |parts: PartsMut<'_, usize>, numbers: &[u64]| {
            parts.select(numbers).into_iter().map(|part| *part).collect::<Vec<_>>()
        };
        assert_eq!(selected(slots.parts_mut(), &[0, 1, 3, 9]), [0, 3, 9]);
        assert_eq!(selected(slots.parts_mut(), &[]), []);
        let (left, right) = slots.parts_mut().split(3);
        assert_eq!(selected(left, &[1, 2]), [2]);
        let (left, right) = right.split(8);
        assert_eq!((selected(left, &[3, 4, 7]), selected(right, &[9])), (vec![3, 7], vec![9]));
    }
}
