//! Waking connections at the right moment.
//!
//! Owns: the deadlines of one worker's connections, and the one timer behind them. Never: knows
//! what a deadline is for. Invariant: a connection is woken at or after its deadline, on Linux
//! within some tens of microseconds; tokio's own timer rounds up to a millisecond, which would
//! drown the latencies that are to be measured.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::Instant;

use tokio::sync::Notify;

/// One for each worker, on its thread.
pub(crate) struct Pacer {
    state: RefCell<State>,
    /// An earlier deadline than the timer knows has been set.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    armed: Option<Instant>,
}

#[derive(Default)]
struct Entry {
    deadline: Option<Instant>,
    waker: Option<Waker>,
    /// The earliest of this entry's places in the queue.
    queued: Option<Instant>,
}

impl Pacer {
    /// With room for `connections`, numbered from 0.
    pub(crate) fn new(connections: usize) -> Self {
        let entries = (0..connections).map(|_| Entry::default()).collect();
        Self {
            state: RefCell::new(State {
                entries,
                ..State::default()
            }),
            earlier: Notify::new(),
        }
    }

    /// Waits for the deadline; for ever when there is none. One wait at a time for each number.
    pub(crate) async fn until(&self, number: usize, deadline: Option<Instant>) {
        poll_fn(|context| {
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            let mut state = self.state.borrow_mut();
            let State {
                entries,
                queue,
                armed,
            } = &mut *state;
            let entry = &mut entries[number];
            entry.deadline = Some(deadline);
            match &mut entry.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            if entry.queued.is_none_or(|queued| deadline < queued) {
                entry.queued = Some(deadline);
                queue.push(Reverse((deadline, number)));
                if armed.is_none_or(|armed| deadline < armed) {
                    self.earlier.notify_one();
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes whoever is due, for as long as it is polled.
    pub(crate) async fn run(&self) -> io::Result<()> {
        let timer = Timer::new()?;
        loop {
            let next = self.fire(Instant::now());
            self.state.borrow_mut().armed = next;
            match next {
                Some(next) => {
                    tokio::select! {
                        result = timer.sleep_until(next) => result?,
                        () = self.earlier.notified() => {}
                    }
                }
                None => self.earlier.notified().await,
            }
        }
    }

    /// Wakes everything due at `now`; returns the next deadline.
    fn fire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        let State { entries, queue, .. } = &mut *state;
        while let Some(&Reverse((at, number))) = queue.peek() {
            if at > now {
                return Some(at);
            }
            queue.pop();
            let entry = &mut entries[number];
            if entry.queued != Some(at) {
                continue;
            }
            entry.queued = None;
            match entry.deadline {
                // The deadline was moved back after it had been queued.
                Some(deadline) if deadline > now => {
                    entry.queued = Some(deadline);
                    queue.push(Reverse((deadline, number)));
                }
                Some(_) => {
                    entry.deadline = None;
                    if let Some(waker) = &entry.waker {
                        waker.wake_by_ref();
                    }
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(target_os = "linux")]
struct Timer(tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Timer {
    fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Deprecated because a type may answer with another descriptor from call to call; an
        // `OwnedFd` cannot, and the replacement is an unsafe function, which this workspace does
        // without.
        #[expect(deprecated, reason = "sound for an OwnedFd, see above")]
        let timer = tokio::io::unix::AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    async fn sleep_until(&self, deadline: Instant) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        // Zero would disarm the timer.
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(std::time::Duration::from_nanos(1));
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut ticks = [0; 8];
            let read = rustix::io::read(self.0.get_ref(), &mut ticks);
            ready.clear_ready();
            match read {
                Ok(_) => return Ok(()),
                // The readiness was that of an earlier setting.
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn sleep_until(&self, deadline: Instant) -> io::Result<()> {
        tokio::time::sleep_until(deadline.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn waits_end_in_the_order_of_their_deadlines_and_never_early() {
        let local = tokio::task::LocalSet::new();
        let pacer = Rc::new(Pacer::new(50));
        let ended = Rc::new(RefCell::new(Vec::new()));
        let start = Instant::now();
        let waits: Vec<_> = (0..50_u64)
            .map(|number| {
                let (pacer, ended) = (Rc::clone(&pacer), Rc::clone(&ended));
                local.spawn_local(async move {
                    // The later numbers have the earlier deadlines; each waits twice.
                    for round in 1..=2 {
                        let deadline = start + Duration::from_micros(round * 30_000 - number * 200);
                        pacer.until(number as usize, Some(deadline)).await;
                        assert!(Instant::now() >= deadline);
                        ended.borrow_mut().push((round, number));
                    }
                })
            })
            .collect();
        let running = Rc::clone(&pacer);
        local
            .run_until(async move {
                let all = async {
                    for wait in waits {
                        wait.await.unwrap();
                    }
                };
                tokio::select! {
                    result = running.run() => result.unwrap(),
                    () = all => {}
                }
            })
            .await;
        let ended = ended.borrow();
        assert_eq!(ended.len(), 100);
        assert!(ended[..50].iter().all(|(round, _)| *round == 1));
    }

    #[tokio::test]
    async fn a_deadline_may_be_moved_forward_and_back() {
        let pacer = Pacer::new(1);
        let start = Instant::now();
        let moved = async {
            for millis in [60_000, 20, 40, 10] {
                let wait = pacer.until(0, Some(start + Duration::from_millis(millis)));
                // Polled once, then given up: what `select!` does to it.
                let _ = poll_once(wait).await;
            }
            pacer
                .until(0, Some(start + Duration::from_millis(30)))
                .await;
        };
        tokio::select! {
            result = pacer.run() => result.unwrap(),
            () = moved => {}
        }
        // The minute that was asked for first is not waited for.
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(30) && elapsed < Duration::from_secs(50));
    }

    async fn poll_once(future: impl Future<Output = ()>) -> Poll<()> {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
