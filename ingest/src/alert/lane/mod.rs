//! The alerts lane: a thread that reads the journal, steps the engine and publishes what follows.
//!
//! Owns: the lane's position and its way through a restart. Never: waits for the store (except when
//! very many events wait for it), reads what another lane has read. Invariant: an event is in
//! `published.log` before it is published, and reaches the store together with the position behind
//! the record that caused it.
//!
//! A restart goes through three stages. *Warm-up* looks at the latest records that were evaluated
//! already, so that samples older than these are known to be late. *Replay* evaluates the records
//! behind the position in the database; what an earlier process published is not published again.
//! Then the retained messages are put right, and the lane is *live*.

mod clock;
mod run;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use journal::Journal;

pub use clock::{Clock, SystemClock};

use super::Config;
use super::outlet::Outlet;
use super::pending::Pending;
use super::rules::Rules;
use super::source::Source;
use super::stats::Stats;

/// What the lane works with.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub rules: Arc<Rules>,
    pub config: Config,
    pub source: Box<dyn Source>,
    pub outlet: Box<dyn Outlet>,
    pub pending: Pending,
    pub clock: Box<dyn Clock>,
}

/// The running lane.
#[derive(Debug)]
pub struct LaneHandle {
    thread: JoinHandle<()>,
    control: Arc<Control>,
    /// Disconnected when the thread ends.
    done: Receiver<()>,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct Control {
    /// Read to the journal's end, then stop.
    drain: AtomicBool,
    /// Stop at once; what is not evaluated is evaluated after the next start.
    stop: AtomicBool,
}

/// Starts the thread `alerts`. It waits for `Pending::deliver_checkpoint`, then evaluates from
/// there.
///
/// Silence is measured from here on. When the gate is running already, `Pending::note_journal_end`
/// must have been called before it started.
pub fn spawn(parts: Parts) -> io::Result<LaneHandle> {
    let control = Arc::new(Control::default());
    let stats = Arc::new(Stats::default());
    let (running, done) = channel();
    let lane = run::Lane::new(parts, Arc::clone(&control), Arc::clone(&stats));
    let thread = Builder::new().name("alerts".to_owned()).spawn(move || {
        lane.run();
        drop(running);
    })?;
    Ok(LaneHandle {
        thread,
        control,
        done,
        stats,
    })
}

impl LaneHandle {
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Whether the thread has ended, of itself or by a defect.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets the lane read to the journal's end, at most until the deadline, and waits for the
    /// thread. The store's writer must still be running. False when the deadline came first
    /// (nothing is lost: the rest is evaluated after the next start) or the thread panicked.
    pub fn stop(self, deadline: Instant) -> bool {
        self.control.drain.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let left = deadline.saturating_duration_since(Instant::now());
        let drained = self.done.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        self.control.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().is_ok() && drained
    }
}
