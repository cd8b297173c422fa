//! Metrics of the manager, one set per extension.

use metrics::{Counter, Gauge};
use metrics_derive::Metrics;

/// Metrics of one extension (label `exex`).
#[derive(Metrics, Clone)]
#[metrics(scope = "exex")]
pub(crate) struct ExExMetrics {
    /// Notifications handed over.
    pub(crate) notifications: Counter,
    /// Times the extension's channel was full when a notification came.
    pub(crate) full: Counter,
    /// Notifications in the extension's channel.
    pub(crate) queue: Gauge,
    /// Last finished height.
    pub(crate) finished_height: Gauge,
}
