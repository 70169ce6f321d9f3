//! The state behind its lock, and who is signalled when it changes.
//!
//! Owns: the lock, the condition variables, the copies of positions that are read without the lock.
//! Never: does I/O. Invariant: nobody is woken and nothing is freed while the lock is held.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::config::Settings;
use crate::disk::Disk;
use crate::local::state::{CommittedFrame, Pending, Reclaim, State, Stopped};
use crate::{Chunk, Poisoned, Position};

pub(crate) struct Shared {
    pub(crate) identity: Uuid,
    pub(crate) settings: Settings,
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Readers at the end wait here.
    grown: Condvar,
    /// Threads that wait for durability wait here.
    settled: Condvar,
    durable: AtomicU64,
    end: AtomicU64,
    start: AtomicU64,
}

/// What the writer does next.
pub(crate) struct Task {
    pub(crate) reclaim: Option<Reclaim>,
    pub(crate) closing: bool,
}

impl Shared {
    pub(crate) fn new(
        identity: Uuid,
        settings: Settings,
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        state: State,
    ) -> Shared {
        Shared {
            identity,
            settings,
            dir,
            disk,
            durable: AtomicU64::new(state.durable.0),
            end: AtomicU64::new(state.end.0),
            start: AtomicU64::new(state.catalog.start().0),
            state: Mutex::new(state),
            work: Condvar::new(),
            grown: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn end(&self) -> Position {
        Position(self.end.load(Ordering::Acquire))
    }

    pub(crate) fn start(&self) -> Position {
        Position(self.start.load(Ordering::Acquire))
    }

    /// No code that holds the lock can leave the state half changed by panicking, so a poisoned
    /// lock is as good as any.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the new end and signals the writer and readers if they sleep. Consumes the lock.
    pub(crate) fn appended(&self, mut state: MutexGuard<'_, State>) {
        self.end.store(state.end.0, Ordering::Release);
        let writer = std::mem::take(&mut state.writer_sleeps);
        let readers = std::mem::take(&mut state.readers_wait);
        drop(state);
        if writer {
            self.work.notify_one();
        }
        if readers {
            self.grown.notify_all();
        }
    }

    /// Signals the writer if it sleeps. Consumes the lock.
    pub(crate) fn nudge(&self, mut state: MutexGuard<'_, State>) {
        state.nudged = true;
        let writer = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if writer {
            self.work.notify_one();
        }
    }

    /// Ends the waits of readers so that they look at their interrupters.
    pub(crate) fn interrupt_readers(&self) {
        let mut state = self.lock();
        state.readers_wait = false;
        drop(state);
        self.grown.notify_all();
    }

    /// Waits on `grown` until something is appended (or a signal comes for no reason), at most
    /// until `deadline`.
    pub(crate) fn wait_grown<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        state.readers_wait = true;
        wait(&self.grown, state, deadline)
    }

    pub(crate) fn wait_durable(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<bool, Poisoned> {
        if self.durable() >= position {
            return Ok(true);
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if state.durable >= position {
                return Ok(true);
            }
            if state.stopped.is_some() {
                return Err(Poisoned);
            }
            if has_passed(deadline) {
                return Ok(false);
            }
            state.settlers_wait = true;
            state = wait(&self.settled, state, deadline);
        }
    }

    /// Blocks the writer until there is something to do. Moves what has gathered to `taken` if that
    /// is empty. While `paused_until` lies ahead nothing is done unless something was released.
    pub(crate) fn next_task(
        &self,
        taken: &mut Vec<Pending>,
        paused_until: &mut Option<Instant>,
    ) -> Task {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.nudged) || has_passed(*paused_until) {
                *paused_until = None;
            }
            let paused = paused_until.is_some();
            let reclaim = state.reclaim();
            let busy = !taken.is_empty() || !state.gathered.is_empty() || reclaim.is_some();
            if state.closing || (busy && !paused) {
                if taken.is_empty() {
                    std::mem::swap(taken, &mut state.gathered);
                }
                return Task {
                    reclaim,
                    closing: state.closing,
                };
            }
            state.writer_sleeps = true;
            state = wait(&self.work, state, *paused_until);
            state.writer_sleeps = false;
        }
    }

    pub(crate) fn has_gathered(&self) -> bool {
        !self.lock().gathered.is_empty()
    }

    /// A frame is durable: everybody who waited for it learns so. Returns whether this ended the
    /// lack of disk space.
    pub(crate) fn committed(
        &self,
        pendings: &[Pending],
        frame_bytes: u64,
        scratch: &mut Scratch,
    ) -> bool {
        let Some(frame) = CommittedFrame::of(pendings, frame_bytes) else {
            return false;
        };
        let mut state = self.lock();
        let recovered = state.commit(&frame);
        self.durable.store(state.durable.0, Ordering::Release);
        let durable = state.durable;
        state.tail.evict(durable, &mut scratch.evicted);
        state.take_writable(&self.settings, &mut scratch.wakers);
        state.take_durable_waiters(&mut scratch.wakers);
        let settlers = std::mem::take(&mut state.settlers_wait);
        drop(state);
        if settlers {
            self.settled.notify_all();
        }
        for pending in pendings {
            pending.waker.wake_by_ref();
        }
        scratch.flush();
        recovered
    }

    /// The oldest segment is about to be removed: readers find that it is gone before its file is.
    pub(crate) fn retire_oldest(&self) {
        let mut state = self.lock();
        state.catalog.retire_oldest();
        self.start.store(state.catalog.start().0, Ordering::Release);
    }

    /// The file of a retired segment of `bytes` is gone.
    pub(crate) fn reclaimed(&self, bytes: u64, scratch: &mut Scratch) {
        let mut state = self.lock();
        state.reclaimed(bytes);
        state.take_writable(&self.settings, &mut scratch.wakers);
        drop(state);
        scratch.flush();
    }

    /// The writer is gone: everybody who waits learns so. `taken` is what it had in hand.
    pub(crate) fn stop(&self, why: Stopped, taken: Vec<Pending>) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.stopped = Some(why);
        let gathered = std::mem::take(&mut state.gathered);
        state.take_writable(&self.settings, &mut wakers);
        state.take_durable_waiters(&mut wakers);
        drop(state);
        self.settled.notify_all();
        self.grown.notify_all();
        for pending in taken.into_iter().chain(gathered) {
            pending.waker.wake();
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Buffers of the writer for what is woken and freed outside the lock.
#[derive(Default)]
pub(crate) struct Scratch {
    evicted: Vec<Chunk>,
    wakers: Vec<Waker>,
}

impl Scratch {
    fn flush(&mut self) {
        self.evicted.clear();
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, State> {
    match deadline {
        Some(deadline) => {
            let rest = deadline.saturating_duration_since(Instant::now());
            condition
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
        None => condition
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner),
    }
}
