//! Reads that must not wait for a disk.
//!
//! Most of what RPC is asked for lies in memory, and then handing a read to another thread costs more than the read. A provider cannot know who asks, and whether an answer
//! lies in memory is known only on the way to it; so the asking thread says what it can afford, and the provider refuses in the one place where it would go to the disk.

use crate::ProviderError;
use std::cell::Cell;

/// What the running thread can afford.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Anything.
    Disk,
    /// Memory only.
    Memory,
    /// Memory only, and more was needed.
    Refused,
}

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(Scope::Disk) };
}

/// Puts the scope of the caller back, also after a panic.
struct Restore(Scope);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0);
    }
}

/// Runs `read` while providers give this thread only what they have in memory and refuse the rest with [`ProviderError::NotInMemory`]. `None` when one of them
/// refused, whatever `read` made of it: the read is then to be done again where it may wait.
pub fn try_in_memory<T>(read: impl FnOnce() -> T) -> Option<T> {
    let restore = Restore(SCOPE.replace(Scope::Memory));
    let value = read();
    let refused = SCOPE.get() == Scope::Refused;
    drop(restore);
    (!refused).then_some(value)
}

/// For providers: whether the running thread may wait for a disk.
pub fn may_use_disk() -> bool {
    SCOPE.get() == Scope::Disk
}

/// For providers: refuses the running thread what is not in memory.
pub fn not_in_memory() -> ProviderError {
    SCOPE.set(match SCOPE.get() {
        Scope::Disk => Scope::Disk,
        Scope::Memory | Scope::Refused => Scope::Refused,
    });
    ProviderError::NotInMemory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_seen_however_the_read_ends() {
        assert!(may_use_disk());
        assert_eq!(try_in_memory(|| (may_use_disk(), 7)), Some((false, 7)));
        let swallowed = try_in_memory(|| {
            drop(not_in_memory());
            7
        });
        assert_eq!(swallowed, None);
        assert!(may_use_disk());
    }

    #[test]
    fn scopes_nest_and_survive_panics() {
        let outer = try_in_memory(|| {
            assert_eq!(try_in_memory(not_in_memory).map(drop), None);
            assert!(!may_use_disk());
            // Only the inner read was refused something.
            3
        });
        assert_eq!(outer, Some(3));
        let panicked = std::panic::catch_unwind(|| try_in_memory(|| panic!("read")));
        assert!(panicked.is_err());
        assert!(may_use_disk());
    }

    #[test]
    fn other_threads_are_not_concerned() {
        let elsewhere = try_in_memory(|| std::thread::spawn(may_use_disk).join().unwrap());
        assert_eq!(elsewhere, Some(true));
    }
}
