//! A rate, as a bucket of tokens that fills steadily and may be overdrawn once.
//!
//! What is taken has already happened (a read of many packets), so a bucket can go below zero;
//! nothing more is taken before it is above zero again. On average the rate holds exactly, whatever
//! the size of a piece.

use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    per_second: f64,
    /// As many as a second brings: a burst of that much passes at once.
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket. `per_second` is not 0.
    pub(crate) fn new(per_second: u64, now: Instant) -> TokenBucket {
        TokenBucket {
            per_second: per_second as f64,
            tokens: per_second as f64,
            filled_at: now,
        }
    }

    /// Takes `count`; how long to wait before anything more may be taken, if at all.
    pub(crate) fn take(&mut self, count: u64, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second) - count as f64;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_second_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100, start);
        for _ in 0..100 {
            assert_eq!(bucket.take(1, start), None);
        }
        let mut now = start;
        for _ in 0..50 {
            let wait = bucket.take(10, now).expect("it is empty");
            assert!(wait <= Duration::from_millis(101), "{wait:?}");
            now += wait;
        }
        let passed = (now - start).as_secs_f64();
        assert!((4.9..=5.1).contains(&passed), "500 in {passed} s");
    }

    #[test]
    fn rest_is_not_saved_beyond_a_second() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(bucket.take(10, later), None);
        assert!(bucket.take(1, later).is_some());
    }

    #[test]
    fn a_clock_that_stands_still_fills_nothing() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1, start);
        assert_eq!(bucket.take(1, start), None);
        assert_eq!(bucket.take(1, start), Some(Duration::from_secs(1)));
        assert_eq!(bucket.take(1, start), Some(Duration::from_secs(2)));
    }
}
