//! The request to end, with its deadline.
//!
//! Until the deadline the lane goes on: what the journal held at the request is still committed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use journal::Interrupter;

#[derive(Default)]
pub(super) struct Stop {
    requested: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    deadline: Option<Instant>,
    interrupter: Option<Interrupter>,
}

impl Stop {
    pub(super) fn request(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.requested.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Whether the deadline has passed.
    pub(super) fn expired(&self) -> bool {
        self.requested()
            && self
                .lock()
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// From now on a request ends this reader's wait.
    pub(super) fn interrupts(&self, interrupter: Interrupter) {
        if self.requested() {
            interrupter.interrupt();
        }
        self.lock().interrupter = Some(interrupter);
    }

    /// Ends all waits once.
    pub(super) fn wake(&self) {
        let inner = self.lock();
        if let Some(interrupter) = &inner.interrupter {
            interrupter.interrupt();
        }
        self.changed.notify_all();
    }

    /// Sleeps, but not beyond the deadline; false when that has passed.
    pub(super) fn sleep(&self, duration: Duration) -> bool {
        let wake_at = Instant::now() + duration;
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if inner.deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let until = inner
                .deadline
                .map_or(wake_at, |deadline| deadline.min(wake_at));
            let Some(rest) = until
                .checked_duration_since(now)
                .filter(|rest| !rest.is_zero())
            else {
                return true;
            };
            inner = self
                .changed
                .wait_timeout(inner, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Sleeps, unless ending is or becomes wanted.
    pub(super) fn pause(&self, duration: Duration) {
        let inner = self.lock();
        if inner.deadline.is_none() {
            // Waking early is harmless: the caller looks again.
            drop(self.changed.wait_timeout(inner, duration));
        }
    }

    /// Nothing between lock and unlock can panic, so a poisoned lock holds whole values.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
