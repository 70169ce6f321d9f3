//! The broker's clock.
//!
//! Owns: the only reading of the wall clock in this crate, and the seconds that sessions, wills and
//! keep-alives are measured in. Never: sleeps or wakes. Invariant: seconds never go back, and a
//! moment that was asked for is never reached early.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time as the broker sees it; it comes in from outside, so that a test can move it.
pub(crate) trait Clock: Send + Sync {
    /// Microseconds since 1970, UTC.
    fn now_micros(&self) -> i64;

    /// Time since the clock was started. It never goes back, whatever is done to the wall clock.
    fn elapsed(&self) -> Duration;

    /// Whole seconds since 1970, UTC.
    fn unix_seconds(&self) -> u64 {
        (self.now_micros() / 1_000_000).unsigned_abs()
    }

    /// Whole seconds since the clock was started.
    fn seconds(&self) -> u32 {
        self.elapsed().as_secs() as u32
    }

    /// The first of the clock's seconds that is no earlier than so long from now; `u32::MAX` where
    /// they end. The part of a second that has passed does not shorten the wait: a client gets the
    /// time that it asked for.
    fn second_after(&self, wait: Duration) -> u32 {
        if wait.is_zero() {
            return self.seconds();
        }
        let at = self.elapsed().saturating_add(wait);
        let begun = at.as_secs() + u64::from(at.subsec_nanos() > 0);
        u32::try_from(begun).unwrap_or(u32::MAX)
    }

    /// The clock's second at a time given in seconds since 1970; never before now.
    fn second_at(&self, unix_seconds: u64) -> u32 {
        let now = Duration::from_micros(self.now_micros().unsigned_abs());
        self.second_after(Duration::from_secs(unix_seconds).saturating_sub(now))
    }
}

/// The machine's clock.
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn start() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        now_micros()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Microseconds since 1970, UTC, for code that no clock is handed to.
pub(crate) fn now_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        // A clock before 1970: telemetry's own bounds deal with it.
        Err(_) => 0,
    }
}

/// The machine's clock, with the seconds of sessions and wills moved ahead by hand.
#[cfg(any(test, fuzzing))]
pub(crate) struct SkippedClock {
    system: SystemClock,
    skipped_millis: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, fuzzing))]
impl SkippedClock {
    pub(crate) fn start() -> SkippedClock {
        SkippedClock {
            system: SystemClock::start(),
            skipped_millis: Default::default(),
        }
    }

    /// Lets time pass. The wall clock stays: it may be set back or ahead at any time.
    pub(crate) fn skip(&self, time: Duration) {
        let millis = time.as_millis() as u64;
        self.skipped_millis
            .fetch_add(millis, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(any(test, fuzzing))]
impl Clock for SkippedClock {
    fn now_micros(&self) -> i64 {
        self.system.now_micros()
    }

    fn elapsed(&self) -> Duration {
        let skipped = self
            .skipped_millis
            .load(std::sync::atomic::Ordering::Relaxed);
        self.system.elapsed() + Duration::from_millis(skipped)
    }
}
