//! Batches made, written, read, executed and refused.

mod batches;
mod chain;
mod hostile;
mod published;
