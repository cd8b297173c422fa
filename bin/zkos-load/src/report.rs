//! What is printed at the end.

use serde::Serialize;
use std::{fmt, time::Duration};

/// Latencies of requests.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds a request.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.push(latency.as_micros().try_into().unwrap_or(u32::MAX));
    }

    /// Adds all requests of another connection.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Number of requests.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds at percentiles.
    pub(crate) fn percentiles<const N: usize>(mut self, percentiles: [usize; N]) -> [f64; N] {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        percentiles.map(|p| self.0.get(last * p / 100).map_or(0.0, |us| f64::from(*us) / 1000.0))
    }
}

/// Result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Transactions that the node took.
    pub(crate) submitted: u64,
    /// Transactions that the node refused.
    pub(crate) rejected: u64,
    /// Why it refused the first one.
    pub(crate) first_error: Option<String>,
    /// Transactions that were included.
    pub(crate) included: u64,
    /// Whether all that were wanted were included in time.
    pub(crate) complete: bool,
    /// Seconds from the first submission to the last inclusion.
    pub(crate) seconds: f64,
    /// Included transactions per second over that time.
    pub(crate) tx_per_s: f64,
    /// Seconds until the last submission was answered.
    pub(crate) submit_seconds: f64,
    /// Median time of a request, milliseconds.
    pub(crate) request_p50_ms: f64,
    /// 99th percentile of the time of a request, milliseconds.
    pub(crate) request_p99_ms: f64,
}

impl Report {
    /// Puts a report together.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        submitted: u64,
        rejected: u64,
        first_error: Option<String>,
        included: u64,
        wanted: u64,
        submission_time: Duration,
        inclusion_time: Duration,
        latencies: Latencies,
    ) -> Self {
        let [request_p50_ms, request_p99_ms] = latencies.percentiles([50, 99]);
        let seconds = inclusion_time.as_secs_f64();
        Self {
            submitted,
            rejected,
            first_error,
            included,
            complete: included >= wanted,
            seconds,
            tx_per_s: if seconds > 0.0 { included as f64 / seconds } else { 0.0 },
            submit_seconds: submission_time.as_secs_f64(),
            request_p50_ms,
            request_p99_ms,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "submitted {}", self.submitted)?;
        writeln!(f, "included {}", self.included)?;
        writeln!(f, "seconds {:.3}", self.seconds)?;
        writeln!(f, "tx_per_s {:.1}", self.tx_per_s)?;
        writeln!(f, "submit_seconds {:.3}", self.submit_seconds)?;
        writeln!(f, "request_p50_ms {:.3}", self.request_p50_ms)?;
        write!(f, "request_p99_ms {:.3}", self.request_p99_ms)?;
        if self.rejected > 0 {
            let reason = self.first_error.as_deref().unwrap_or("no reason given");
            write!(f, "\nrejected {} (first: {reason})", self.rejected)?;
        }
        if !self.complete {
            f.write_str("\nincomplete: not everything was included in time")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let mut latencies = Latencies::default();
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        let (two, one) = (Duration::from_secs(2), Duration::from_secs(1));
        let report = Report::new(10, 0, None, 10, 10, one, two, latencies);
        assert_eq!((report.tx_per_s, report.complete), (5.0, true));
        assert_eq!((report.request_p50_ms, report.request_p99_ms), (50.0, 99.0));
        assert!(report.to_string().contains("tx_per_s 5.0"));
        let none = Report::new(0, 1, None, 0, 10, one, Duration::ZERO, Latencies::default());
        assert_eq!(none.tx_per_s, 0.0);
        assert!(none.to_string().contains("incomplete"));
    }
}
