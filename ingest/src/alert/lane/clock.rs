//! What time it is, so that tests can say so.

use std::time::{SystemTime, UNIX_EPOCH};

use telemetry::Micros;

/// The wall clock, as the gate stamps records with it.
pub trait Clock: Send {
    /// Microseconds since 1970, UTC.
    fn now(&self) -> Micros;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_micros() as Micros)
    }
}
