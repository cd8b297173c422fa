//! The seam to the file system: the few operations that the tree needs of a directory of its own.

mod copy;
#[cfg(any(test, feature = "test-utils"))]
mod crash;
mod fs;
mod memory;

pub use copy::{TreeVersion, copy_files, is_tree_file};
#[cfg(any(test, feature = "test-utils"))]
pub use crash::{CrashStore, Survival};
pub use fs::FsStore;
pub use memory::InMemoryStore;

use std::{fmt, io, sync::Arc};

/// A directory that belongs to one tree. Object-safe; all methods may block.
///
/// The tree writes its log first and everything else only after the log is synced, so a store has
/// to promise no more than a file system does: what was synced stays, what was not may be there in
/// whole, in part or not at all after a crash.
pub trait TreeStore: fmt::Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing, creates it if it is not there.
    fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>>;

    /// Removes a file. It is no error if there is none.
    fn remove_file(&self, name: &str) -> io::Result<()>;

    /// Names of all files, in any order.
    fn files(&self) -> io::Result<Vec<String>>;

    /// Makes created and removed files durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file of a [`TreeStore`].
pub trait TreeFile: fmt::Debug + Send + Sync {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from an offset; an error of kind `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes at an offset; the file grows as needed, with zeros in between.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends (with zeros) to a size.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<T: TreeStore + ?Sized> TreeStore for $pointer {
            fn open_file(&self, name: &str) -> io::Result<Box<dyn TreeFile>> {
                (**self).open_file(name)
            }

            fn remove_file(&self, name: &str) -> io::Result<()> {
                (**self).remove_file(name)
            }

            fn files(&self) -> io::Result<Vec<String>> {
                (**self).files()
            }

            fn sync(&self) -> io::Result<()> {
                (**self).sync()
            }
        }
    )*};
}

delegate!(Arc<T>, Box<T>);
