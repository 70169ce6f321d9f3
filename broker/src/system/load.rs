//! Moving averages, as monitoring tools know them from other brokers: per minute, over 1, 5 and 15
//! minutes.
//!
//! Owns: the averages. Never: reads a counter; it is given their values.

use std::time::Duration;

/// Minutes the averages look back; also in the topics' names.
pub(super) const WINDOWS_MINUTES: [u32; 3] = [1, 5, 15];

/// What is averaged: the part of the topic between `load/` and the window.
pub(super) const RATES: [&str; 5] = [
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
    "connections",
];

/// One average for each of `WINDOWS_MINUTES`, of each of `RATES`; events per minute.
pub(super) type Averages = [[f64; WINDOWS_MINUTES.len()]; RATES.len()];

pub(super) struct Loads {
    /// Updates a minute.
    updates: f64,
    /// How much of the old average remains after one update.
    decays: [f64; WINDOWS_MINUTES.len()],
    totals: [u64; RATES.len()],
    averages: Averages,
}

impl Loads {
    /// To be updated every `interval`.
    pub(super) fn new(interval: Duration) -> Loads {
        let updates = 60.0 / interval.as_secs_f64();
        Loads {
            updates,
            decays: WINDOWS_MINUTES.map(|minutes| (-1.0 / (updates * f64::from(minutes))).exp()),
            totals: [0; RATES.len()],
            averages: Averages::default(),
        }
    }

    /// Takes the counters' values, in the order of `RATES`; the averages up to now.
    pub(super) fn update(&mut self, totals: &[u64; RATES.len()]) -> Averages {
        for (rate, total) in totals.iter().enumerate() {
            let per_minute = total.saturating_sub(self.totals[rate]) as f64 * self.updates;
            for (average, decay) in self.averages[rate].iter_mut().zip(self.decays) {
                *average = per_minute + decay * (*average - per_minute);
            }
        }
        self.totals = *totals;
        self.averages
    }
}
