//! How long things took.
//!
//! Owns: the histogram and its summary. Never: decides what a latency counts from; its callers
//! count from the intended moment, which corrects for coordinated omission. Invariant: recording
//! allocates nothing.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Shortest and longest latency that is told apart, in nanoseconds: 1 µs and an hour. Longer ones
/// count as an hour.
const LOW_NS: u64 = 1_000;
const HIGH_NS: u64 = 3_600_000_000_000;
/// Three digits: a latency is right to a thousandth.
const DIGITS: u8 = 3;

#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(LOW_NS, HIGH_NS, DIGITS)
                .expect("the bounds are constants that hdrhistogram accepts"),
        )
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(HIGH_NS));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Fails only for different bounds, and there is one pair of bounds.
        let _ = self.0.add(&other.0);
    }

    /// `None` when nothing was recorded.
    pub(crate) fn summary(&self) -> Option<LatencySummary> {
        let at = |quantile| millis(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| LatencySummary {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1e6,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(self.0.max()),
        })
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencySummary {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_quantiles() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.summary(), None);
        for millis in 1..=1_000 {
            latencies.record(Duration::from_millis(millis));
        }
        let summary = latencies.summary().unwrap();
        assert_eq!(summary.count, 1_000);
        for (value, expected) in [
            (summary.p50_ms, 500.0),
            (summary.p99_ms, 990.0),
            (summary.max_ms, 1_000.0),
        ] {
            assert!(
                (value / expected - 1.0).abs() < 0.002,
                "{value} is not {expected}"
            );
        }
    }

    #[test]
    fn histograms_of_workers_add_up() {
        let (mut one, mut other) = (Latencies::new(), Latencies::new());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_secs(10_000));
        one.add(&other);
        let summary = one.summary().unwrap();
        assert_eq!(summary.count, 2);
        assert!(summary.max_ms >= 3_599_000.0);
    }
}
