//! End-to-end tests: the real binary, a real anvil with the shipped L1 state, real HTTP. Every test has ports and directories of its own and leaves no process behind.
//!
//! * `settlement`: deposits, transfers and contracts reach `finalized`
//! * `restart`: SIGTERM, `kill -9`, an L1 that goes away
//! * `rpc`: traces of every block, simulation
//! * `refusal`: what the node refuses at start, and how it says so
//! * `data_availability`: blobs and validium
//! * `upgrade`: a protocol version that the node does not know
//! * `storage`: kills at random moments, `zkos db`
//! * `cli`: `config`, `deposit`, `node --dev`
//! * `verify`: batches verified from outside

#![allow(unreachable_pub)] // the harness is a module of a test binary

mod cli;
mod data_availability;
mod harness;
mod refusal;
mod restart;
mod rpc;
mod settlement;
mod storage;
mod upgrade;
mod verify;
