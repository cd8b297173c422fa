//! Stateless re-execution of batches: from a batch's input alone to its commitment.
//!
//! *What it is for.* [`build`] makes the input of a batch from its blocks, the state before it and
//! its tree: everything that the proving program, or anybody with a laptop, needs to execute the
//! batch again. [`execute`] does so, without a database and without a network, and gives all that
//! L1 is told about the batch; [`BatchClaim::check`] compares this with what was claimed.
//!
//! *What it must not do.* No I/O, no clock, no trust: nothing of an input is believed. What is not
//! bound by a hash that ends in the claim is at least canonical: there is one input for a batch.
//!
//! *How data moves.*
//!
//! ```text
//! records, state, tree --build--> BatchInput --words/bytes--> file, prover, RPC
//! BatchInput --execute--> BatchOutcome <--check--> BatchClaim (what L1 stores)
//! ```
//!
//! The input holds the tree leaves that the batch touches, with one proof for the whole batch
//! against the tree before it, and the preimages of the accounts and bytecodes it reads. State
//! between the blocks of the batch comes from executing them. `words` documents the layout.

mod build;
mod claim;
mod error;
mod execute;
mod input;
mod state;
mod words;

pub use build::{BuildError, build};
pub use claim::{BatchClaim, ClaimMismatch, Difference};
pub use error::StatelessError;
pub use execute::{BatchOutcome, execute};
pub use input::{BatchInput, BlockInput, ParentState};
pub use state::{StateReader, WitnessError};
pub use words::{DecodeError, INPUT_FORMAT, bytes_to_words, words_to_bytes};
