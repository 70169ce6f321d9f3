//! The rows lane: the journal's records, decoded and filtered, as rows in the store.
//!
//! Owns: which records are committed, in which batches, and what becomes of one that the store
//! refuses. Never: waits for the alerts lane, drops a record. Invariant: every record of the
//! journal ends in exactly one of stored, filtered and dead-lettered, and the store's position
//! moves in the transaction that says so.
//!
//! ```text
//! journal ──read──▶ thread `rows` ──batches, one may wait──▶ thread `store-writer` ──▶ store
//!                   prepare                                  durable?
//!                   filter                                   commit, retry, split
//!                   gather                                   release the journal
//! ```
//!
//! The writer loads the checkpoint first and hands it on: to the rows thread, which begins there,
//! and through [`Pending`] to the alerts lane. Its commits carry the alert changes that wait.

mod commit;
mod gather;
mod lane;
mod losses;
mod outage;
mod relabelled;
mod release;
mod stats;
mod status;
mod stop;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use stats::{Account, Snapshot};
pub use status::{Failure, State};

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use journal::Journal;
use store::Reasons;
use store::Store;

use crate::alert::Pending;
use crate::prepare::Meaning;
use stats::Stats;
use status::Status;
use stop::Stop;

/// How the lane batches.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rows after which a batch is handed to the writer.
    pub batch_rows: usize,
    /// Time after a batch's first record at which it is handed over, full or not.
    pub batch_delay: Duration,
}

/// What the lane is made of.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub store: Box<dyn Store>,
    pub meaning: Meaning,
    pub settings: Settings,
    /// `None` when no alerts lane runs: then the alerts' position goes along with the rows'.
    pub pending: Option<Pending>,
}

/// What the lane's threads share.
struct Shared {
    journal: Arc<dyn Journal>,
    stats: Stats,
    status: Status,
    stop: Stop,
    /// Batches the writer has taken from the channel.
    batches_taken: AtomicU64,
}

/// The running lane.
pub struct Handle {
    shared: Arc<Shared>,
    /// Disconnected when both threads have ended.
    ended: Receiver<()>,
}

/// How the lane ended.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// Everything in the journal when the stop was asked for is committed.
    pub drained: bool,
    /// `None` when the store was never reached.
    pub account: Option<Account>,
    /// Why records were filtered or dead-lettered.
    pub reasons: Reasons,
}

/// Starts the lane's two threads.
pub fn spawn(parts: Parts) -> io::Result<Handle> {
    let shared = Arc::new(Shared {
        journal: parts.journal,
        stats: Stats::default(),
        status: Status::default(),
        stop: Stop::default(),
        batches_taken: AtomicU64::new(0),
    });
    let (begin_sender, begin) = mpsc::sync_channel(1);
    let (batch_sender, batches) = mpsc::sync_channel(1);
    let (ended_sender, ended) = mpsc::sync_channel(0);

    let writer = writer::Writer::new(shared.clone(), parts.store, parts.pending);
    start("store-writer", &shared, ended_sender.clone(), move || {
        writer.run(&begin_sender, &batches);
    })?;
    let lane_shared = shared.clone();
    start("rows", &shared, ended_sender, move || {
        let Ok(from) = begin.recv() else {
            return;
        };
        lane::run(
            &lane_shared,
            from,
            parts.meaning,
            parts.settings,
            &batch_sender,
        );
    })
    .inspect_err(|_| shared.stop.request(Instant::now()))?;
    Ok(Handle { shared, ended })
}

impl Handle {
    /// Whether the lane runs, still waits for the store, or has failed.
    pub fn state(&self) -> State {
        self.shared.status.get()
    }

    /// Waits until the store was reached for the first time, or has refused for good.
    pub fn wait_until_started(&self, timeout: Duration) -> State {
        self.shared.status.wait_until_started(timeout)
    }

    /// What of the journal has ended where, at this moment; `None` before the store was first
    /// reached.
    pub fn account(&self) -> Option<Account> {
        self.shared.stats.account(&*self.shared.journal)
    }

    pub fn stats(&self) -> Snapshot {
        self.shared.stats.snapshot(&*self.shared.journal)
    }

    /// For whoever shows figures.
    pub fn observer(&self) -> Observer {
        Observer {
            shared: self.shared.clone(),
        }
    }

    /// Commits what the journal holds now, and ends; gives up at the deadline, which loses nothing:
    /// the journal keeps what is not committed. Stop the alerts lane first, so that its last
    /// changes are part of the last commit.
    pub fn stop(self, deadline: Instant) -> Stopped {
        let target = self.shared.journal.end();
        self.shared.stop.request(deadline);
        let patience = deadline.saturating_duration_since(Instant::now()) + STOP_GRACE;
        let ended = self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        let (account, reasons) = self
            .shared
            .stats
            .account_by_reason(&*self.shared.journal)
            .unzip();
        let drained = account.is_some_and(|account| account.position >= target);
        if !ended {
            tracing::warn!("the store did not answer in time; its last transaction is left to it");
        }
        Stopped {
            drained,
            account,
            reasons: reasons.unwrap_or_default(),
        }
    }
}

impl Drop for Handle {
    /// A handle that is dropped without `stop` ends the lane at once.
    fn drop(&mut self) {
        if !self.shared.stop.requested() {
            self.shared.stop.request(Instant::now());
        }
    }
}

/// Reads the lane's counters from anywhere.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
}

impl Observer {
    /// As `Handle::account`.
    pub fn account(&self) -> Option<Account> {
        self.shared.stats.account(&*self.shared.journal)
    }

    /// The account, and why records were filtered or dead-lettered, at one moment.
    pub fn account_by_reason(&self) -> Option<(Account, Reasons)> {
        self.shared.stats.account_by_reason(&*self.shared.journal)
    }

    /// As `Handle::stats`.
    pub fn stats(&self) -> Snapshot {
        self.shared.stats.snapshot(&*self.shared.journal)
    }

    /// As `Handle::state`.
    pub fn state(&self) -> State {
        self.shared.status.get()
    }
}

/// A commit that is under way at the deadline may take so much longer.
const STOP_GRACE: Duration = Duration::from_millis(500);

fn start(
    name: &'static str,
    shared: &Arc<Shared>,
    ended: mpsc::SyncSender<()>,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let shared = shared.clone();
    let body = move || {
        let _ended = ended;
        let _watch = Watch { name, shared };
        run();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
}

/// Notices a thread that ends without being asked to.
struct Watch {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() || !self.shared.stop.requested() {
            // A failure that has been reported stands.
            self.shared.status.fail(Failure::defect(self.name));
        }
        // The other thread must not wait for this one.
        self.shared.stop.wake();
    }
}
