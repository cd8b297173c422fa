//! The crate against a real anvil with the shipped L1 state. Skipped where these are missing.

mod blobs;
mod discovery;
mod harness;
mod sender;
mod settlement;
mod upgrade;
mod watcher;
