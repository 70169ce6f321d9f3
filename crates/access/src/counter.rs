//! A number that is shown to people and never decides anything.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or (for gauges) is moved up and down by its owner.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Moves a gauge up or down.
    pub fn shift(&self, by: i64) {
        self.0.fetch_add(by as u64, Ordering::Relaxed);
    }

    /// Moves it up to `value` if it is lower.
    pub fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
