//! Tests of the databases through the public surface of the crate.
#![allow(missing_docs)]

mod blocks;
mod damage;
mod faults;
mod helpers;
mod history;
mod maintenance;
mod ots_index;
mod prune;
mod recovery;
mod tree;
