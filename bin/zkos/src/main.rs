//! The `zkos` program.

use std::process::ExitCode;

/// Blocks come and go by the megabyte; the system's allocator gives such memory back to the kernel and faults it in
/// again with the next block.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    zkos::run()
}
