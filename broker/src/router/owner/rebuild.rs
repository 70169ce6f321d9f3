//! A new router in place of one that failed, or that holds too much.
//!
//! Owns: when that happens, and what is delivered while there is none. Never: loses what the window
//! holds. Invariant: afterwards the router knows every filter of the table before it gets a
//! message.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, error, warn};

use super::super::laps::Laps;
use super::super::link::{Failure, Link};
use super::{CAPACITY_MIN, Owner, deliver, segment_bytes};

/// Dead filters that are tolerated beyond the number of live ones. Each costs every message that
/// matches it an append, while a rebuild costs less than a millisecond and a few microseconds a
/// filter.
pub(in crate::router) const DEAD_MAX: usize = 32;
/// Failures without progress before the router is bypassed.
const ATTEMPTS_MAX: u32 = 3;
/// How long the router is then bypassed before the next attempt.
const BYPASS_PERIOD: Duration = Duration::from_secs(1);

impl Owner {
    pub(super) fn must_renew(&self) -> bool {
        let (live, dead) = (self.table.live(), self.table.dead());
        // A rebuild is finished before the next: all filters that there were are linked, and what
        // was published again has come through. New ones may come without end; they are not waited
        // for.
        let linked = self.links_again == 0 || !self.table.has_unlinked();
        linked
            && self.window.confirmed() >= self.last_at_rebuild
            && (dead > live + DEAD_MAX
                || live + dead > self.capacity
                || self.topics.len() > self.settings.topics_max)
    }

    pub(super) fn renew(&mut self) {
        debug!(
            filters = self.table.live(),
            filters_dead = self.table.dead(),
            topics = self.topics.len(),
            "rebuilding the router to free what nobody uses"
        );
        self.counters.renewals.fetch_add(1, Ordering::Relaxed);
        self.rebuild();
    }

    pub(super) fn recover(&mut self, failure: &Failure) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        let confirmed = self.window.confirmed();
        if confirmed > self.confirmed_at_failure {
            self.attempts = 0;
        }
        self.confirmed_at_failure = confirmed;
        self.attempts += 1;
        error!(
            reason = failure as &dyn std::error::Error,
            filters = self.table.live(),
            in_flight = self.window.len(),
            attempt = self.attempts,
            "the router failed; rebuilding it, no message is lost"
        );
        if self.attempts >= ATTEMPTS_MAX || self.closed {
            self.bypass(BYPASS_PERIOD);
        }
        if !self.closed {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let mut live = self.table.live();
        let link = loop {
            self.capacity = (live * 2).next_power_of_two().max(CAPACITY_MIN);
            match Link::connect(segment_bytes(self.capacity)) {
                Ok(link) => break link,
                Err(failure) => {
                    error!(
                        reason = &failure as &dyn std::error::Error,
                        "cannot start a router"
                    );
                    self.bypass(BYPASS_PERIOD);
                    if self.closed {
                        return;
                    }
                    live = self.table.live();
                }
            }
        };
        self.link.stop();
        self.link = link;
        self.laps = Laps::new(self.window.confirmed());
        self.table.relink();
        self.window.rewind(segment_bytes(self.capacity));
        self.topics.clear();
        self.batch.clear();
        self.links_in_flight = 0;
        self.links_again = self.table.live();
        self.last_at_rebuild = self.window.last();
        self.silence = Duration::ZERO;
    }

    /// Delivers by matching each message with each filter, without the router.
    fn bypass(&mut self, period: Duration) {
        warn!(
            filters = self.table.live(),
            ?period,
            "matching without the router"
        );
        let end = Instant::now() + period;
        loop {
            self.bypass_window();
            self.closed = !self.intake.take(&mut self.backlog);
            while let Some(command) = self.backlog.pop_front() {
                self.begin(command);
                self.bypass_window();
            }
            self.settle();
            let left = end.saturating_duration_since(Instant::now());
            if self.closed || left.is_zero() {
                return;
            }
            if self.intake.prepare_sleep(self.closed) {
                thread::park_timeout(left);
            }
        }
    }

    fn bypass_window(&mut self) {
        let (first, last) = (self.window.confirmed() + 1, self.window.last());
        for sequence in first..=last {
            let Some(message) = self.window.get(sequence) else {
                break;
            };
            self.table.bypass(sequence, &message.topic, |filter| {
                deliver(&*self.deliver, &self.counters, filter, message);
            });
            self.counters.bypassed.fetch_add(1, Ordering::Relaxed);
        }
        self.window.confirm(last, &mut self.released);
        // The router that knew them is gone.
        self.table.retire(last, |_| ());
    }
}
