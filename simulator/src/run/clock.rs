//! One reading of both clocks.
//!
//! Owns: the wall-clock time of any moment of the run. Never: reads the wall clock again.
//! Invariant: moments that are apart by a duration have wall-clock times that are apart by it,
//! whatever happens to the system's clock meanwhile.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) started: Instant,
    /// Microseconds since 1970 at `started`.
    pub(crate) started_us: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            started: Instant::now(),
            started_us: micros(wall),
        }
    }

    /// Microseconds since 1970; `moment` is not before the start.
    pub(crate) fn wall_us(&self, moment: Instant) -> i64 {
        self.started_us
            .saturating_add(micros(moment.saturating_duration_since(self.started)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
