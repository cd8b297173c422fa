//! Tracing: blocks are executed again on the state before them, calls on a stored state, before the eyes of revm's inspectors.
//!
//! A traced transaction must come out as its receipt says (gas and status); a difference is a fault of the node and is reported as an internal error, never as a trace.

mod geth;
#[cfg(feature = "js-tracer")]
mod js;
mod observer;
mod parity;
mod replay;
mod session;
mod state;
mod watcher;

pub(crate) use observer::{Observer, RecordedSteps};
pub use parity::TraceApi;
pub(crate) use session::{Rules, Session};
pub(crate) use state::Overlay;
pub(crate) use watcher::CallWatcher;
