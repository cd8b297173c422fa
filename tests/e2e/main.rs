//! End-to-end tests: the real binary, a real anvil with the shipped L1 state, real HTTP. Every test has ports and directories of its own and leaves no process behind.
//!
//! * `settlement`: deposits, transfers and contracts reach `finalized`
//! * `restart`: SIGTERM, `kill -9`, an L1 that goes away
//! * `clients`: ethers, viem, zksync-ethers, web3.py and `cast` do what applications do
//! * `withdrawal`: proofs of messages and of state, used on L1
//! * `rpc`: traces of every block, simulation
//! * `otterscan`: its pages, one after the other, and its index deleted and filled again
//! * `refusal`: what the node refuses at start, and how it says so
//! * `data_availability`: blobs and validium
//! * `upgrade`: a protocol version that the node does not know
//! * `storage`: kills at random moments, `zkos db`
//! * `cli`: `config`, `deposit`, `node --dev`
//! * `verify`: batches verified from outside

#![allow(unreachable_pub)] // the harness is a module of a test binary

mod cli;
mod clients;
mod data_availability;
mod harness;
mod otterscan;
mod refusal;
mod restart;
mod rpc;
mod settlement;
mod storage;
mod upgrade;
mod verify;
mod withdrawal;

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_zkos");
