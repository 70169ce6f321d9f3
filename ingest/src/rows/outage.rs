//! What happens while the store is away: back-off, and a log that says it once in a while.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use store::StoreError;

use super::status::chain;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// When someone must act, trying often is of no use.
const FATAL_DELAY: Duration = Duration::from_secs(10);
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Outage {
    since: Option<Instant>,
    warned: Option<Instant>,
    next_delay: Duration,
    attempts: u64,
}

impl Default for Outage {
    fn default() -> Outage {
        Outage {
            since: None,
            warned: None,
            next_delay: FIRST_DELAY,
            attempts: 0,
        }
    }
}

impl Outage {
    /// An attempt failed; how long to wait before the next.
    pub(super) fn failed(&mut self, error: &StoreError) -> Duration {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.attempts += 1;
        let fatal = match error {
            StoreError::Fatal { hint, .. } => Some(hint),
            _ => None,
        };
        if self
            .warned
            .is_none_or(|warned| now - warned >= WARNING_INTERVAL)
        {
            self.warned = Some(now);
            let away_seconds = (now - since).as_secs();
            let cause = chain(error);
            match fatal {
                Some(hint) => tracing::error!(
                    away_seconds,
                    hint = %hint,
                    "no rows are written; the journal keeps them: {cause}"
                ),
                None => tracing::warn!(
                    away_seconds,
                    "the store is away, trying again; the journal keeps what comes: {cause}"
                ),
            }
        }
        if fatal.is_some() {
            return FATAL_DELAY;
        }
        let delay = self.next_delay;
        self.next_delay = (delay * 2).min(LONGEST_DELAY);
        jittered(delay)
    }

    /// The store answers again.
    pub(super) fn over(&mut self, store: &str) {
        if let Some(since) = self.since {
            let away_seconds = since.elapsed().as_secs_f64();
            let attempts = self.attempts;
            tracing::info!(store, away_seconds, attempts, "the store is back");
        }
        *self = Outage::default();
    }

    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }
}

/// Three quarters to five quarters, so that many instances do not come back at once.
fn jittered(delay: Duration) -> Duration {
    // A fresh `RandomState` has fresh keys: enough randomness for this.
    let random = RandomState::new().hash_one(0_u8) % 512;
    delay.mul_f64(0.75 + random as f64 / 1_024.0)
}
