//! Tests of the databases through the public surface of the crate.
#![allow(missing_docs)]

mod blocks;
mod faults;
mod helpers;
mod history;
mod recovery;
mod tree;
