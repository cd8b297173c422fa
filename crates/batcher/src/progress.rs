//! Tells how far something long has come: log lines, at most one in a while, and nothing where it is quick.

use std::time::{Duration, Instant};
use tracing::info;

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Something long.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    unit: &'static str,
    started: Instant,
    told: Instant,
    /// Where it stood at first.
    first: Option<u64>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, unit: &'static str) -> Self {
        let now = Instant::now();
        Self { what, unit, started: now, told: now, first: None }
    }

    /// Has come to `done` of `of`.
    pub(crate) fn set(&mut self, done: u64, of: u64) {
        let first = *self.first.get_or_insert(done);
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done.saturating_sub(first) as f64 / seconds.max(f64::EPSILON);
        let left = of.saturating_sub(done) as f64 / rate.max(f64::EPSILON);
        info!(
            target: "batcher", done, of, unit = self.unit,
            per_second = rate.round(), seconds_left = left.min(1e9).round(), "{}", self.what
        );
    }
}
