//! Failed logins, by address and by user, and when it is enough.
//!
//! Owns: the counts. Never: judges a password. Invariant: what is remembered is bounded, whoever
//! knocks from however many addresses; and what is forgotten early is what has been quiet the
//! longest.
//!
//! A count leaks away evenly: `max` failures may come at once, after them one in `window / max`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::peer::network_of;

/// Addresses, and names, that are remembered at a time, some 32 bytes each: more than a botnet's
/// share that could do harm, since each of them has only a few attempts.
const REMEMBERED_MAX: usize = 200_000;

/// Counts failures of both kinds.
pub(super) struct Throttle {
    by_address: Mutex<Failures>,
    by_user: Mutex<Failures>,
    /// Random for each process, so that nobody can aim at another's count.
    hasher: RandomState,
}

/// Where an attempt comes from, and as whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    address: u64,
    user: u64,
}

impl Attempt {
    /// One of so many slots, the same for the same name.
    pub(super) fn user_slot(self, slots: usize) -> usize {
        (self.user % slots as u64) as usize
    }
}

impl Throttle {
    pub(super) fn new(per_address: u32, per_user: u32, window: Duration) -> Throttle {
        Throttle {
            by_address: Mutex::new(Failures::new(per_address, window, REMEMBERED_MAX)),
            by_user: Mutex::new(Failures::new(per_user, window, REMEMBERED_MAX)),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn attempt(&self, address: IpAddr, user: &str) -> Attempt {
        Attempt {
            address: self.hasher.hash_one(network_of(address)),
            user: self.hasher.hash_one(user),
        }
    }

    /// A number for the client's network, the same as long as the process lives.
    pub(super) fn network_number(&self, attempt: Attempt) -> u64 {
        attempt.address
    }

    /// Whether a further wrong password is one too many. `is_familiar`: the user has logged in from
    /// there, so failures from elsewhere do not lock it out.
    pub(super) fn is_spent(&self, attempt: Attempt, is_familiar: bool, now: Instant) -> bool {
        lock(&self.by_address).is_spent(attempt.address, now)
            || (!is_familiar && lock(&self.by_user).is_spent(attempt.user, now))
    }

    pub(super) fn failed(&self, attempt: Attempt, now: Instant) {
        lock(&self.by_address).add(attempt.address, now);
        lock(&self.by_user).add(attempt.user, now);
    }

    /// A failure that says nothing about a user's password, such as an expired token.
    pub(super) fn failed_from(&self, attempt: Attempt, now: Instant) {
        lock(&self.by_address).add(attempt.address, now);
    }
}

/// Counts that leak, in two generations: who has been quiet for a whole window has nothing left to
/// remember.
struct Failures {
    max: f64,
    window: Duration,
    remembered_max: usize,
    current: HashMap<u64, Leaking>,
    previous: HashMap<u64, Leaking>,
    turned: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Leaking {
    level: f64,
    at: Instant,
}

impl Failures {
    fn new(max: u32, window: Duration, remembered_max: usize) -> Failures {
        Failures {
            max: f64::from(max),
            window,
            remembered_max,
            current: HashMap::new(),
            previous: HashMap::new(),
            turned: None,
        }
    }

    fn is_spent(&self, key: u64, now: Instant) -> bool {
        self.level(key, now) + 1.0 > self.max
    }

    fn add(&mut self, key: u64, now: Instant) {
        self.turn(now);
        let level = self.level(key, now) + 1.0;
        self.current.insert(key, Leaking { level, at: now });
    }

    fn level(&self, key: u64, now: Instant) -> f64 {
        let Some(found) = self.current.get(&key).or_else(|| self.previous.get(&key)) else {
            return 0.0;
        };
        let passed = now.saturating_duration_since(found.at).as_secs_f64();
        (found.level - passed * self.max / self.window.as_secs_f64()).max(0.0)
    }

    /// Forgets the older generation when a window has passed, or when the younger one is as large
    /// as it may become.
    fn turn(&mut self, now: Instant) {
        let turned = *self.turned.get_or_insert(now);
        let is_old = now.saturating_duration_since(turned) >= self.window;
        if is_old || self.current.len() >= self.remembered_max / 2 {
            self.previous = std::mem::take(&mut self.current);
            self.turned = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let throttle = Throttle::new(3, 100, WINDOW);
        let attempt = throttle.attempt(address("192.0.2.1"), "bob");
        let start = Instant::now();
        for _ in 0..3 {
            assert!(!throttle.is_spent(attempt, false, start));
            throttle.failed(attempt, start);
        }
        assert!(throttle.is_spent(attempt, false, start));
        assert!(throttle.is_spent(attempt, false, start + Duration::from_secs(19)));
        let later = start + Duration::from_secs(21);
        assert!(!throttle.is_spent(attempt, false, later));
        throttle.failed(attempt, later);
        assert!(throttle.is_spent(attempt, false, later));
        assert!(!throttle.is_spent(attempt, false, start + 3 * WINDOW));
    }

    #[test]
    fn a_user_is_not_locked_out_of_where_it_is_known() {
        let throttle = Throttle::new(100, 2, WINDOW);
        let now = Instant::now();
        for number in 1..=2u8 {
            let attacker = IpAddr::from([198, 51, 100, number]);
            throttle.failed(throttle.attempt(attacker, "bob"), now);
        }
        let home = throttle.attempt(address("192.0.2.1"), "bob");
        assert!(throttle.is_spent(home, false, now));
        assert!(!throttle.is_spent(home, true, now));
        let other = throttle.attempt(address("192.0.2.1"), "alice");
        assert!(!throttle.is_spent(other, false, now));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let throttle = Throttle::new(1, 100, WINDOW);
        let now = Instant::now();
        throttle.failed_from(throttle.attempt(address("2001:db8::1"), "a"), now);
        for (text, spent) in [
            ("2001:db8::ffff:1", true),
            ("2001:db8:0:1::1", false),
            ("192.0.2.1", false),
        ] {
            let attempt = throttle.attempt(address(text), "b");
            assert_eq!(throttle.is_spent(attempt, false, now), spent, "{text}");
        }
        throttle.failed_from(throttle.attempt(address("::ffff:192.0.2.1"), "a"), now);
        let mapped = throttle.attempt(address("192.0.2.1"), "b");
        assert!(throttle.is_spent(mapped, false, now));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stays() {
        let mut failures = Failures::new(1, WINDOW, 100);
        let now = Instant::now();
        for key in 0..10_000 {
            failures.add(key, now);
            assert!(failures.current.len() + failures.previous.len() <= 100);
            assert!(failures.is_spent(key, now));
        }
        assert!(failures.is_spent(9_960, now));
        assert!(!failures.is_spent(0, now));
        failures.add(1, now + WINDOW);
        failures.add(2, now + 2 * WINDOW);
        assert_eq!(failures.current.len() + failures.previous.len(), 2);
    }
}
