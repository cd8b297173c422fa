//! Fuzz targets of the node: what each one checks, apart from the engine that drives it.
//!
//! *What it is for.* Every module with a `run` function takes arbitrary bytes and panics if a property of the node
//! does not hold for them. The binaries in `fuzz_targets/` hand that function to libFuzzer.
//!
//! *What it must not do.* It knows no engine, reads no file and keeps nothing between two inputs, so that a finding
//! can be repeated from its bytes alone.
//!
//! *How data moves.* Bytes are either given to a decoder as they are, or read as a recipe
//! ([`arbitrary::Unstructured`]) from which valid things are built and then damaged.

pub mod executor;
pub mod memory;
pub mod replay_record;
pub mod seeds;
pub mod transactions;
pub mod tree_proof;
pub mod witness;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
