//! How many rows a second arrive, as far as it decides which index the newest partition can afford.
//!
//! A B-tree answers "one series over an hour" in a fraction of a millisecond at any load, and takes
//! three quarters of the COPY speed (docs/storage.md has the figures). Below `HEAVY` that costs a
//! tenth of a core, so it is kept; above, it goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Rows a second from which on the newest partition goes without a B-tree. A B-tree costs about 1
/// µs a row.
const HEAVY: f64 = 100_000.0;
/// Rows a second below which it gets one again: well apart, so that a load near the limit does not
/// flap.
const LIGHT: f64 = 30_000.0;
/// How long a heavy load must last: a batch of late data after a short outage is not one.
const HEAVY_FOR: Duration = Duration::from_secs(5);
/// How long a light load must last before an index is built again.
const LIGHT_FOR: Duration = Duration::from_secs(60);

/// Shared by the store, which counts, and the maintenance thread, which looks at the clock.
#[derive(Debug, Default)]
pub(super) struct LoadRate {
    rows: AtomicU64,
    heavy: AtomicBool,
}

impl LoadRate {
    pub(super) fn add(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn is_heavy(&self) -> bool {
        self.heavy.load(Ordering::Relaxed)
    }

    pub(super) fn set_heavy(&self, heavy: bool) {
        self.heavy.store(heavy, Ordering::Relaxed);
    }
}

/// The maintenance thread's side: turns counts and durations into heavy or light.
#[derive(Debug, Default)]
pub(super) struct Judge {
    rows_before: u64,
    /// How long the rate has contradicted the present judgement.
    contradicted_for: Duration,
}

impl Judge {
    /// Looks at what came in during the last `elapsed`; true when the judgement changed.
    pub(super) fn look(&mut self, rate: &LoadRate, elapsed: Duration) -> bool {
        let rows = rate.rows.load(Ordering::Relaxed);
        let per_second = (rows - self.rows_before) as f64 / elapsed.as_secs_f64().max(1e-3);
        self.rows_before = rows;
        let heavy = rate.is_heavy();
        let (contradicted, patience) = if heavy {
            (per_second < LIGHT, LIGHT_FOR)
        } else {
            (per_second > HEAVY, HEAVY_FOR)
        };
        if !contradicted {
            self.contradicted_for = Duration::ZERO;
            return false;
        }
        self.contradicted_for += elapsed;
        if self.contradicted_for < patience {
            return false;
        }
        self.contradicted_for = Duration::ZERO;
        rate.set_heavy(!heavy);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pass(judge: &mut Judge, rate: &LoadRate, seconds: u32, per_second: u64) -> u32 {
        (0..seconds)
            .filter(|_| {
                rate.add(per_second);
                judge.look(rate, SECOND)
            })
            .count() as u32
    }

    #[test]
    fn only_a_lasting_change_counts() {
        let rate = LoadRate::default();
        let mut judge = Judge::default();
        assert_eq!(pass(&mut judge, &rate, 4, 500_000), 0);
        assert_eq!(pass(&mut judge, &rate, 1, 0), 0);
        assert_eq!(pass(&mut judge, &rate, 4, 500_000), 0);
        assert!(!rate.is_heavy());
        assert_eq!(pass(&mut judge, &rate, 1, 500_000), 1);
        assert!(rate.is_heavy());
        // Between the two limits nothing changes, however long.
        assert_eq!(pass(&mut judge, &rate, 600, 50_000), 0);
        assert!(rate.is_heavy());
        assert_eq!(pass(&mut judge, &rate, 59, 10), 0);
        assert_eq!(pass(&mut judge, &rate, 1, 10), 1);
        assert!(!rate.is_heavy());
    }
}
