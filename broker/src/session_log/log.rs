//! The log as the sessions see it: write an event, ask how far it is durable.
//!
//! Owns: what is refused, and which sessions are unsaved because of it. Never: blocks. Invariant:
//! an unsaved session has no event in the log behind the refused one, until a snapshot of it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, Weak};
use std::task::Waker;
use std::thread::JoinHandle;

use foldhash::HashMap;
use journal::{AppendError, Journal, Journals, Position, RecordBatch, State as JournalState};
use tracing::{error, warn};

use super::event::{self, Event};
use super::maintenance::{self, Signal, events_bytes_max};
use super::open::{self, OpenError, Opened};
use crate::lock::{lock, read};
use crate::session::State;
use crate::stats::Stats;

/// What the sessions are, for snapshots. Called from a thread of the log's own.
pub(crate) trait Source: Send + Sync + 'static {
    /// The client ids of all kept sessions. A session whose `Created` was written must be among
    /// them, so it is entered before.
    fn client_ids(&self) -> Vec<Box<str>>;

    /// Shows the session's state while nothing can change it or write an event of it; does nothing
    /// when there is no such session, or when its `Ended` was written.
    fn with_state(&self, client_id: &str, show: &mut dyn FnMut(&State));
}

/// What a log is made of.
pub(crate) struct Parts {
    /// Bytes of its files. Events are taken up to a third of it, the rest is for compaction.
    pub(crate) max_bytes: u64,
    /// The journal whose positions `Held` speaks of. Nobody may have appended to it since it was
    /// opened.
    pub(crate) telemetry: Arc<dyn Journal>,
    pub(crate) stats: Arc<Stats>,
    /// Microseconds since 1970, UTC: sessions that were attached at the end count as disconnected
    /// now.
    pub(crate) now: i64,
}

pub(crate) struct SessionLog {
    shared: Arc<Shared>,
    maintenance: Mutex<Option<JoinHandle<()>>>,
}

/// What the log and its thread share.
pub(super) struct Shared {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) telemetry: Arc<dyn Journal>,
    pub(super) stats: Arc<Stats>,
    pub(super) max_bytes: u64,
    /// Bytes in the log, about; the files are looked at after each compaction.
    pub(super) bytes: AtomicU64,
    /// Bytes that do not count against the limit of events while a compaction runs: what it has
    /// written, and some for events meanwhile, or it would never finish.
    pub(super) allowance_bytes: AtomicU64,
    /// More than so many bytes ask for a compaction.
    pub(super) compact_above: AtomicU64,
    /// `Held` was written since the last checkpoint.
    pub(super) held_written: AtomicBool,
    /// Held shared from an append of telemetry until its `Held` is written.
    pub(super) exchanges: RwLock<()>,
    /// Sessions the log lacks something of, and how often a batch of theirs was refused or skipped.
    pub(super) unsaved: Mutex<HashMap<Box<str>, u64>>,
    /// Its length, read without the lock.
    pub(super) unsaved_count: AtomicUsize,
    /// Woken when a snapshot of an unsaved session is written.
    pub(super) await_snapshots: Mutex<Vec<Waker>>,
    /// The operator has been told that changes are not saved.
    pub(super) warned: AtomicBool,
    poison_told: AtomicBool,
    pub(super) signal: Arc<Signal>,
}

/// Events of one session that become durable together or not at all.
pub(crate) struct Batch<'a> {
    client_id: &'a str,
    records: RecordBatch,
    held: bool,
    /// Events that end an exchange; the copies that it queued are worth nothing without them.
    completes: bool,
}

/// The shared side of the lock that checkpoints take exclusively.
#[must_use = "it must live until `Held` is written"]
pub(crate) struct Exchange<'a>(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, ()>);

thread_local! {
    /// Where payloads are put together before they are copied into a batch.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A scratch buffer that a large message made bigger than this is given back.
const SCRATCH_KEPT_BYTES: usize = 64 << 10;

impl SessionLog {
    /// Opens the log in the journal of its name, or creates an empty one; the sessions in it, as
    /// they were at the end. Blocks until what it had to put right is durable.
    pub(crate) fn open(
        parts: Parts,
        journals: &dyn Journals,
    ) -> Result<(SessionLog, Vec<State>), OpenError> {
        let Opened {
            journal,
            sessions,
            unsaved,
        } = open::open(&parts, journals)?;
        let unsaved: HashMap<_, _> = sessions
            .iter()
            .filter(|_| unsaved)
            .map(|session| ((*session.client_id).into(), 1))
            .collect();
        let bytes = journal.status().size_bytes;
        let shared = Arc::new(Shared {
            journal,
            telemetry: parts.telemetry,
            stats: parts.stats,
            max_bytes: parts.max_bytes,
            bytes: AtomicU64::new(bytes),
            allowance_bytes: AtomicU64::new(0),
            compact_above: AtomicU64::new(maintenance::compact_above(0, parts.max_bytes)),
            // When the log did not take the checkpoint, one is due.
            held_written: AtomicBool::new(!unsaved.is_empty()),
            exchanges: RwLock::new(()),
            warned: AtomicBool::new(!unsaved.is_empty()),
            unsaved_count: AtomicUsize::new(unsaved.len()),
            unsaved: Mutex::new(unsaved),
            await_snapshots: Mutex::default(),
            poison_told: AtomicBool::new(false),
            signal: Arc::default(),
        });
        let log = SessionLog {
            shared,
            maintenance: Mutex::new(None),
        };
        Ok((log, sessions))
    }

    /// Starts the thread that writes snapshots and checkpoints and keeps the log small. It ends
    /// with `close`, or when `source` is gone.
    pub(crate) fn serve(&self, source: Weak<dyn Source>) -> std::io::Result<()> {
        let thread = maintenance::spawn(Arc::clone(&self.shared), source)?;
        *lock(&self.maintenance) = Some(thread);
        Ok(())
    }

    pub(crate) fn batch<'a>(&self, client_id: &'a str) -> Batch<'a> {
        Batch::new(client_id)
    }

    /// Writes the batch; to be called under the session's lock. The position from which on it is
    /// durable, to be compared with `durable`; `waker` is woken once when it is. `Position::ZERO`
    /// when there is nothing to wait for: the batch is empty, or the log cannot take it and the
    /// session is unsaved.
    pub(crate) fn write(&self, batch: Batch<'_>, waker: &Waker) -> Position {
        self.shared.write(batch, waker)
    }

    /// `write` of a single event.
    pub(crate) fn write_one(&self, client_id: &str, event: &Event<'_>, waker: &Waker) -> Position {
        let mut batch = Batch::new(client_id);
        batch.push(event);
        self.write(batch, waker)
    }

    /// Everything before this position survives power loss.
    #[cfg(test)]
    pub(crate) fn durable(&self) -> Position {
        self.shared.journal.durable()
    }

    /// Behind everything that was written.
    pub(crate) fn end(&self) -> Position {
        self.shared.journal.end()
    }

    /// Wakes `waker` once when `position` is durable, for those who wait for what others wrote.
    pub(crate) fn wake_when_durable(&self, position: Position, waker: &Waker) {
        self.shared.journal.wake_when_durable(position, waker);
    }

    /// Whether everything before the position survives power loss, or, because the log has stopped,
    /// no longer will.
    pub(crate) fn is_durable(&self, position: Position) -> bool {
        let journal = &self.shared.journal;
        position <= journal.durable() || journal.status().state == JournalState::Poisoned
    }

    /// Whether the log takes the session's events, so that what is written of it can be relied on.
    pub(crate) fn takes(&self, client_id: &str) -> bool {
        self.shared.unsaved_count.load(Ordering::Acquire) == 0
            || !lock(&self.shared.unsaved).contains_key(client_id)
    }

    /// The log did not take events of the session, on which others rely: where it must be durable
    /// for its snapshot to be. `None`: the snapshot is not written yet, and the waker is woken when
    /// it may be.
    pub(crate) fn saved_again(&self, client_id: &str, waker: &Waker) -> Option<Position> {
        let is_saved = || {
            let is_over = self.shared.journal.status().state == JournalState::Poisoned;
            (is_over || self.takes(client_id)).then(|| self.end())
        };
        is_saved().or_else(|| {
            lock(&self.shared.await_snapshots).push(waker.clone());
            // It may have been written in between.
            is_saved()
        })
    }

    /// What `held_through` of a new session is.
    pub(crate) fn telemetry_end(&self) -> Position {
        self.shared.telemetry.end()
    }

    /// To be held from appending telemetry of QoS 2 until its `Held` events are written. Taken
    /// before the session's lock, never with it held: whoever waits here would wait for a
    /// checkpoint that waits for one who waits for that lock.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        Exchange(read(&self.shared.exchanges))
    }

    /// Sessions whose latest changes are in memory only.
    #[cfg(test)]
    pub(crate) fn unsaved(&self) -> usize {
        self.shared.unsaved_count.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn maintenance(&self) -> maintenance::Maintenance {
        maintenance::Maintenance::new(Arc::clone(&self.shared))
    }

    #[cfg(test)]
    pub(super) fn journal(&self) -> &dyn Journal {
        &*self.shared.journal
    }

    /// Writes what is left, and ends the log; to be called when nothing changes any more. Blocks.
    pub(crate) fn close(&self) {
        self.shared.signal.stop();
        let thread = lock(&self.maintenance).take();
        // The thread itself drops the log when it is the last to hold the source.
        let thread = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            error!("the thread of the session log panicked");
        }
        self.shared.journal.close();
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(client_id: &'a str) -> Batch<'a> {
        Batch {
            client_id,
            records: RecordBatch::new(),
            held: false,
            completes: false,
        }
    }

    pub(crate) fn push(&mut self, event: &Event<'_>) {
        self.held |= matches!(
            event,
            Event::Held {
                telemetry: Some(_),
                ..
            }
        );
        self.completes |= matches!(
            event,
            Event::Held { ordinal: 1.., .. } | Event::Distributed { ordinal: 1.., .. }
        );
        SCRATCH.with_borrow_mut(|scratch| {
            self.records
                .push(&event::encode(self.client_id, event, scratch));
            if scratch.capacity() > SCRATCH_KEPT_BYTES {
                *scratch = Vec::new();
            }
        });
    }

    /// The whole state, in place of all that was told before: for changes that are not worth an
    /// event.
    pub(crate) fn push_state(&mut self, session: &State) {
        session.for_each_event(|event| self.push(event));
    }

    pub(super) fn byte_len(&self) -> u64 {
        self.records.byte_len() as u64
    }
}

impl Shared {
    fn write(&self, mut batch: Batch<'_>, waker: &Waker) -> Position {
        if batch.records.is_empty() {
            return Position::ZERO;
        }
        let bytes = batch.byte_len();
        if self.unsaved_count.load(Ordering::Acquire) > 0
            && let Some(times) = lock(&self.unsaved).get_mut(batch.client_id)
        {
            *times += 1;
            self.stats.sessions_unsaved_changes.add(1);
            return Position::ZERO;
        }
        let held = batch.held;
        match self.append(&mut batch, waker) {
            Ok(position) => {
                // After the append: a checkpoint that clears it in between has seen the event.
                self.held_written.fetch_or(held, Ordering::Release);
                let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if total > self.compact_above.load(Ordering::Relaxed) {
                    self.signal.compact();
                }
                position
            }
            Err(refusal) => {
                self.refused(batch.client_id, refusal);
                Position::ZERO
            }
        }
    }

    fn append(&self, batch: &mut Batch<'_>, waker: &Waker) -> Result<Position, AppendError> {
        let events = self
            .bytes
            .load(Ordering::Relaxed)
            .saturating_sub(self.allowance_bytes.load(Ordering::Relaxed));
        // What completes an exchange is small, and may use the room of compaction.
        let is_beyond = events + batch.byte_len() > events_bytes_max(self.max_bytes);
        if is_beyond && !batch.completes {
            self.signal.compact();
            return Err(AppendError::Full);
        }
        self.journal.append(&mut batch.records, waker)
    }

    /// Appends what the log itself writes: it may use the room that events may not.
    pub(super) fn append_own(&self, batch: &mut Batch<'_>) -> Result<Position, AppendError> {
        let bytes = batch.byte_len();
        let position = self.journal.append(&mut batch.records, Waker::noop())?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(position)
    }

    pub(super) fn wake_who_await_snapshots(&self) {
        let waiting = std::mem::take(&mut *lock(&self.await_snapshots));
        waiting.into_iter().for_each(Waker::wake);
    }

    fn refused(&self, client_id: &str, refusal: AppendError) {
        self.stats.sessions_unsaved_changes.add(1);
        if matches!(refusal, AppendError::Poisoned(_)) {
            self.wake_who_await_snapshots();
            if !self.poison_told.swap(true, Ordering::Relaxed) {
                error!(
                    "the session log stopped after a failed write: changes of kept sessions are in memory \
                     only; restart to recover"
                );
            }
            return;
        }
        let mut unsaved = lock(&self.unsaved);
        *unsaved.entry(client_id.into()).or_insert(0) += 1;
        self.unsaved_count.store(unsaved.len(), Ordering::Release);
        drop(unsaved);
        if !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                reason = %refusal,
                "the session log takes no changes: kept sessions go on in memory until there is room"
            );
        }
        self.signal.save();
    }
}
