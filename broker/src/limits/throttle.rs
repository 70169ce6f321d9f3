//! What one client may send in a time, if there is such a limit.
//!
//! Owns: two rates, publishes and bytes. Never: drops anything; a client beyond its rate is not
//! read until it is within it again, so that its own TCP connection slows it down.

use std::time::{Duration, Instant};

use super::TokenBucket;

/// The limits of every client, for a second; `None`: none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClientRates {
    pub(crate) publishes: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

pub(crate) struct Throttle {
    publishes: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
}

impl ClientRates {
    /// What measures a new client; `None`: there is nothing to measure.
    pub(crate) fn throttle(&self, now: Instant) -> Option<Box<Throttle>> {
        if self.publishes.is_none() && self.bytes.is_none() {
            return None;
        }
        let bucket = |rate: u64| TokenBucket::new(rate, now);
        Some(Box::new(Throttle {
            publishes: self.publishes.map(bucket),
            bytes: self.bytes.map(bucket),
        }))
    }
}

impl Throttle {
    /// The client sent this much; how long it must not be read, if at all.
    pub(crate) fn charge(&mut self, publishes: u64, bytes: u64, now: Instant) -> Option<Duration> {
        let take = |bucket: &mut Option<TokenBucket>, count| bucket.as_mut()?.take(count, now);
        take(&mut self.publishes, publishes).max(take(&mut self.bytes, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_both_rates_decides() {
        let rates = ClientRates {
            publishes: Some(10),
            bytes: Some(1_000),
        };
        let now = Instant::now();
        let mut throttle = rates.throttle(now).expect("limits");
        assert_eq!(throttle.charge(10, 1_000, now), None);
        assert_eq!(
            throttle.charge(5, 100, now),
            Some(Duration::from_millis(500))
        );
        assert_eq!(throttle.charge(0, 1_900, now), Some(Duration::from_secs(2)));
    }

    #[test]
    fn without_limits_nothing_is_measured() {
        assert!(ClientRates::default().throttle(Instant::now()).is_none());
        let rates = ClientRates {
            bytes: Some(1),
            ..ClientRates::default()
        };
        let now = Instant::now();
        let mut throttle = rates.throttle(now).expect("a limit");
        assert_eq!(throttle.charge(1_000_000, 0, now), None);
    }
}
