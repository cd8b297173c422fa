//! Test doubles: a provider in memory and a builder of chains that need no execution.

mod builder;
mod memory;

pub use builder::{ChainBuilder, TestBlock, test_transfer};
pub use memory::MemoryProvider;
