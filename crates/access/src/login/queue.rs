//! The queue before the slow hash.
//!
//! Owns: how many passwords are hashed at a time and how many logins may wait. Never: runs a hash
//! on a thread that serves clients. Invariant: whoever waits leaves within the time limit, one way
//! or the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Processors that are left to everything else while passwords are hashed, where there is more than
/// one.
const CORES_LEFT: usize = 1;

pub(super) struct Queue {
    /// In turn: tokio's semaphore is fair.
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    patience: Duration,
}

/// Too many wait, or for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// One of `waiting_max` places; kept until the login is decided.
pub(super) struct Waiting<'a> {
    queue: &'a Queue,
    deadline: Instant,
}

/// The right to hash now; given back when it is dropped.
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Queue {
    pub(super) fn new(waiting_max: usize, patience: Duration) -> Queue {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Queue {
            turns: Arc::new(Semaphore::new(cores.saturating_sub(CORES_LEFT).max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
            patience,
        }
    }

    pub(super) fn enter(&self) -> Result<Waiting<'_>, Busy> {
        let entered = Waiting {
            queue: self,
            deadline: Instant::now() + self.patience,
        };
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.waiting_max {
            Ok(entered)
        } else {
            Err(Busy)
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Waiting<'_> {
    /// Waits for something else that is needed first.
    pub(super) async fn for_other<T>(&self, other: impl Future<Output = T>) -> Result<T, Busy> {
        tokio::time::timeout_at(self.deadline, other)
            .await
            .map_err(|_elapsed| Busy)
    }

    pub(super) async fn for_turn(&self) -> Result<Turn, Busy> {
        let turns = Arc::clone(&self.queue.turns);
        let permit = self.for_other(turns.acquire_owned()).await?;
        // The semaphore is never closed.
        permit.map(Turn).map_err(|_closed| Busy)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Runs the work where it disturbs nobody. The turn is taken until the work is done, also when
    /// nobody waits for it any more. `None` when it panicked.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let done = tokio::task::spawn_blocking(move || {
            let _turn = self;
            work()
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let queue = Queue::new(2, Duration::from_secs(60));
        let first = queue.enter().expect("a place");
        let second = queue.enter().expect("a place");
        assert!(queue.enter().is_err());
        assert_eq!(queue.waiting(), 2);
        drop(first);
        let third = queue.enter().expect("a place again");
        assert_eq!(
            third.for_turn().await.expect("free").run(|| 7).await,
            Some(7)
        );
        drop((second, third));
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let queue = Queue::new(100, Duration::from_millis(20));
        let mut turns = Vec::new();
        while queue.turns.available_permits() > 0 {
            let waiting = queue.enter().expect("a place");
            turns.push(waiting.for_turn().await.expect("free"));
        }
        let late = queue.enter().expect("a place");
        assert!(late.for_turn().await.is_err());
        drop(turns);
        let next = queue.enter().expect("a place");
        assert!(next.for_turn().await.is_ok());
    }
}
