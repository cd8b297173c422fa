//! End-to-end tests: the real binary, a real anvil with the shipped L1 state, real HTTP. Every test has ports and directories of its own and leaves no process behind.
//!
//! * `settlement`: deposits, transfers and contracts reach `finalized`
//! * `restart`: SIGTERM, `kill -9`, an L1 that goes away
//! * `refusal`: what the node refuses at start, and how it says so
//! * `cli`: `config`, `deposit`, `node --dev`

#![allow(unreachable_pub)] // the harness is a module of a test binary

mod cli;
mod harness;
mod refusal;
mod restart;
mod settlement;
