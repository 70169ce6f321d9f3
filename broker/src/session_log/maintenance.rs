//! The thread that looks after the log: snapshots of unsaved sessions, checkpoints, compaction.
//!
//! Owns: when these happen. Never: holds a lock while it waits for the disk. Invariant: nothing is
//! released before a durable snapshot of every session that lives, and a durable checkpoint, lie
//! behind it.
//!
//! Compaction writes the state of each session as one batch, under that session's lock, then a
//! checkpoint, waits until all that is durable and releases what was before the first snapshot.
//! Events go on meanwhile: those of a session lie before its snapshot, which forgets them, or
//! behind it. A crash in between leaves the old events and some snapshots, which is the same state.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use journal::{AppendError, Position};
use tracing::{debug, error, info, warn};

use super::event::Event;
use super::log::{Batch, Shared, Source};
use crate::lock::{lock, write};
use crate::session::State;

/// How often a checkpoint is written while QoS 2 telemetry comes in: what a start has to read of
/// the telemetry journal.
const TICK: Duration = Duration::from_secs(1);
/// Telemetry records after which a checkpoint is written even without QoS 2, so that a start never
/// reads more than these and a second's worth.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// Between two attempts when the log refuses.
const PAUSE: Duration = Duration::from_millis(50);
/// Rounds in which a compaction tries to have every session saved at once, while events of them go
/// on.
const ROUNDS_MAX: u32 = 8;
/// Between two attempts to compact when there was nothing to gain, or no room: measuring shows
/// every session, which is not for nothing.
const COMPACT_PAUSE: Duration = Duration::from_secs(10);

/// How long the end of the log waits for a full disk: its journal tries again each second, and what
/// ended before it may have given space back.
const FINISH_PATIENCE: Duration = Duration::from_secs(3);

/// A log smaller than this is left alone: reading it takes a tenth of a second.
const COMPACT_FLOOR_BYTES: u64 = 32 << 20;
/// A log so many times larger than the sessions in it is compacted: each byte of an event is then
/// written again at most a third of a time.
const COMPACT_FACTOR: u64 = 4;
/// The part of `max_bytes` that events may use. A compaction needs as much again as the sessions
/// in the log, and the sessions in memory may be larger than that while some are unsaved.
const EVENTS_PART: u64 = 3;

/// The bytes up to which events are taken.
pub(super) fn events_bytes_max(max_bytes: u64) -> u64 {
    max_bytes / EVENTS_PART
}

/// Bytes that events may use beyond that while a compaction is under way.
fn allowance_bytes(max_bytes: u64) -> u64 {
    events_bytes_max(max_bytes) / 2
}

/// The size that asks for a compaction, when the sessions take `live_bytes`.
pub(super) fn compact_above(live_bytes: u64, max_bytes: u64) -> u64 {
    let wanted = live_bytes.saturating_mul(COMPACT_FACTOR);
    // Early enough to be done before events are refused.
    wanted
        .max(COMPACT_FLOOR_BYTES)
        .min(events_bytes_max(max_bytes) / 2)
}

/// What the thread is asked to do.
#[derive(Default)]
pub(super) struct Signal {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default, Clone, Copy)]
struct Asked {
    stop: bool,
    compact: bool,
    save: bool,
}

impl Signal {
    pub(super) fn stop(&self) {
        self.ask(|asked| std::mem::replace(&mut asked.stop, true));
    }

    pub(super) fn compact(&self) {
        self.ask(|asked| std::mem::replace(&mut asked.compact, true));
    }

    pub(super) fn save(&self) {
        self.ask(|asked| std::mem::replace(&mut asked.save, true));
    }

    fn ask(&self, set: impl FnOnce(&mut Asked) -> bool) {
        let before = set(&mut lock(&self.asked));
        if !before {
            self.changed.notify_all();
        }
    }

    /// Waits until something is asked for, or `timeout` is over; takes it, except `stop`.
    fn wait(&self, timeout: Duration) -> Asked {
        let nothing = |asked: &mut Asked| !(asked.stop || asked.compact || asked.save);
        let mut asked = self
            .changed
            .wait_timeout_while(lock(&self.asked), timeout, nothing)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let taken = *asked;
        asked.compact = false;
        asked.save = false;
        taken
    }

    /// Waits for `timeout`, or until the thread is to stop.
    fn pause(&self, timeout: Duration) -> bool {
        self.changed
            .wait_timeout_while(lock(&self.asked), timeout, |asked| !asked.stop)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .stop
    }
}

/// The journal has room again.
impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.save();
    }
}

pub(super) fn spawn(
    shared: Arc<Shared>,
    source: Weak<dyn Source>,
) -> std::io::Result<JoinHandle<()>> {
    let mut maintenance = Maintenance::new(shared);
    std::thread::Builder::new()
        .name("session-log".into())
        .spawn(move || maintenance.run(&source))
}

pub(super) struct Maintenance {
    shared: Arc<Shared>,
    /// Where the last checkpoint stands.
    checkpoint: Position,
    compact_not_before: Instant,
    /// The operator has been told that the sessions do not fit.
    too_large_told: bool,
}

/// Why something could not be done now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    #[error(transparent)]
    Refused(#[from] AppendError),
    #[error("there are unsaved sessions")]
    Unsaved,
    #[error("the log is closing")]
    Stopped,
}

impl Maintenance {
    pub(super) fn new(shared: Arc<Shared>) -> Maintenance {
        Maintenance {
            checkpoint: shared.telemetry.end(),
            compact_not_before: Instant::now(),
            shared,
            too_large_told: false,
        }
    }

    fn run(&mut self, source: &Weak<dyn Source>) {
        loop {
            let asked = self.shared.signal.wait(TICK);
            let Some(source) = source.upgrade() else {
                return;
            };
            if asked.stop {
                self.finish(&*source);
                return;
            }
            self.look_after(&*source, asked);
        }
    }

    fn look_after(&mut self, source: &dyn Source, asked: Asked) {
        let shared = Arc::clone(&self.shared);
        if self.wants_compaction(asked) {
            let pause = match self.compact(source) {
                Ok(true) => Duration::ZERO,
                Ok(false) => COMPACT_PAUSE,
                Err(obstacle) => {
                    debug!(%obstacle, "the session log is not compacted");
                    TICK
                }
            };
            self.compact_not_before = Instant::now() + pause;
        }
        if let Err(obstacle) = self.save_when_room(source) {
            debug!(%obstacle, "some sessions stay unsaved");
            shared
                .journal
                .wake_when_writable(&Waker::from(Arc::clone(&shared.signal)));
            shared.signal.pause(PAUSE);
        }
        if self.is_checkpoint_due()
            && let Err(obstacle) = self.write_checkpoint()
        {
            debug!(%obstacle, "no checkpoint");
        }
    }

    fn wants_compaction(&self, asked: Asked) -> bool {
        let bytes = self.shared.bytes.load(Ordering::Relaxed);
        let wanted = asked.compact || bytes > self.shared.compact_above.load(Ordering::Relaxed);
        wanted && Instant::now() >= self.compact_not_before
    }

    /// The last chance of what a full disk or a full log has kept in memory; no session changes any
    /// more.
    pub(super) fn finish(&mut self, source: &dyn Source) {
        let deadline = Instant::now() + FINISH_PATIENCE;
        self.wait_for_space(deadline);
        let mut saved = self.save_unsaved(source);
        if saved.is_err() {
            // The disk takes what lies in memory first; then the log may be too large.
            self.wait_for_space(deadline);
            saved = self.save_unsaved(source);
        }
        if saved.is_err() {
            saved = self.compact(source).map(drop);
        }
        if let Err(obstacle) = &saved {
            debug!(%obstacle, "some sessions stay unsaved");
        }
        self.wait_for_space(deadline);
        if self.is_checkpoint_due()
            && let Err(obstacle) = self.write_checkpoint()
        {
            debug!(%obstacle, "no checkpoint");
        }
        let sessions = self.shared.unsaved_count.load(Ordering::Acquire);
        if sessions > 0 {
            error!(
                sessions,
                "the latest changes of kept sessions are lost: the session log did not take them"
            );
        }
    }

    /// Until the disk has taken what it refused, or the deadline has passed.
    fn wait_for_space(&self, deadline: Instant) {
        let journal = &self.shared.journal;
        let rest = deadline.saturating_duration_since(Instant::now());
        // A log that has stopped has said so.
        let _ = journal.wait_durable(journal.end(), rest);
    }

    /// Saves what is unsaved, unless the log is as large as events may make it.
    fn save_when_room(&mut self, source: &dyn Source) -> Result<(), Obstacle> {
        let shared = &self.shared;
        if shared.unsaved_count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        if shared.bytes.load(Ordering::Relaxed) >= events_bytes_max(shared.max_bytes) {
            return Err(AppendError::Full.into());
        }
        self.save_unsaved(source)
    }

    pub(super) fn save_unsaved(&mut self, source: &dyn Source) -> Result<(), Obstacle> {
        let shared = &self.shared;
        let unsaved: Vec<_> = lock(&shared.unsaved)
            .iter()
            .map(|(client_id, times)| (client_id.clone(), *times))
            .collect();
        for (client_id, times) in unsaved {
            let mut saved = None;
            source.with_state(&client_id, &mut |session| {
                saved = Some(snapshot(shared, session));
            });
            match saved {
                Some(saved) => drop(saved?),
                None => forget(shared, &client_id, times)?,
            }
        }
        if shared.unsaved_count.load(Ordering::Acquire) == 0
            && shared.warned.swap(false, Ordering::Relaxed)
        {
            info!("all kept sessions are saved again");
        }
        Ok(())
    }

    fn is_checkpoint_due(&self) -> bool {
        let told = self.shared.held_written.load(Ordering::Acquire);
        told || self.shared.telemetry.end().since(self.checkpoint) >= CHECKPOINT_RECORDS
    }

    pub(super) fn write_checkpoint(&mut self) -> Result<(), Obstacle> {
        let shared = &self.shared;
        let exclusive = write(&shared.exchanges);
        if shared.unsaved_count.load(Ordering::Acquire) > 0 {
            return Err(Obstacle::Unsaved);
        }
        let position = shared.telemetry.end();
        let mut batch = Batch::new("");
        batch.push(&Event::Checkpoint {
            journal: shared.telemetry.identity(),
            position,
        });
        shared.append_own(&mut batch)?;
        shared.held_written.store(false, Ordering::Release);
        drop(exclusive);
        self.checkpoint = position;
        Ok(())
    }

    /// False when there is nothing to gain, or no room.
    pub(super) fn compact(&mut self, source: &dyn Source) -> Result<bool, Obstacle> {
        let shared = Arc::clone(&self.shared);
        let client_ids = source.client_ids();
        let live = measure(source, &client_ids);
        let before = shared.bytes.load(Ordering::Relaxed);
        if !self.is_worth_it(live, before) {
            return Ok(false);
        }
        let from = shared.journal.end();
        let allowance = allowance_bytes(shared.max_bytes);
        shared.allowance_bytes.store(allowance, Ordering::Relaxed);
        let written = self.write_all(source, &client_ids);
        shared.allowance_bytes.store(0, Ordering::Relaxed);
        written?;
        self.wait_durable(shared.journal.end())?;
        shared.journal.release(from);
        shared.bytes.fetch_sub(before, Ordering::Relaxed);
        let above = compact_above(live, shared.max_bytes);
        shared.compact_above.store(above, Ordering::Relaxed);
        shared.stats.session_log_compactions.add(1);
        debug!(before, after = live, "the session log was compacted");
        Ok(true)
    }

    /// Whether there is something to gain, and room for it.
    fn is_worth_it(&mut self, live: u64, before: u64) -> bool {
        let max_bytes = self.shared.max_bytes;
        let room = max_bytes.saturating_sub(before + allowance_bytes(max_bytes));
        if live + live / 8 > room {
            if !std::mem::replace(&mut self.too_large_told, true) {
                warn!(
                    sessions_bytes = live,
                    log_bytes = before,
                    max_bytes,
                    "the kept sessions are too large for `broker.max_session_log_size`: changes of them \
                     may be lost with a crash"
                );
            }
            return false;
        }
        self.too_large_told = false;
        before > live + live / 4
    }

    fn write_all(&mut self, source: &dyn Source, client_ids: &[Box<str>]) -> Result<(), Obstacle> {
        let shared = Arc::clone(&self.shared);
        for client_id in client_ids {
            loop {
                let mut written = Ok(0);
                source.with_state(client_id, &mut |session| {
                    written = snapshot(&shared, session);
                });
                match written {
                    Ok(bytes) => {
                        shared.allowance_bytes.fetch_add(bytes, Ordering::Relaxed);
                        break;
                    }
                    Err(AppendError::Busy) => self.wait_durable(shared.journal.end())?,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.save_unsaved(source)?;
            match self.write_checkpoint() {
                Err(Obstacle::Unsaved) => {}
                result => return result,
            }
        }
        Err(Obstacle::Unsaved)
    }

    fn wait_durable(&self, position: Position) -> Result<(), Obstacle> {
        let shared = &self.shared;
        loop {
            match shared.journal.wait_durable(position, TICK) {
                Ok(true) => return Ok(()),
                Ok(false) if shared.signal.pause(Duration::ZERO) => return Err(Obstacle::Stopped),
                Ok(false) => {}
                Err(poisoned) => {
                    error!(error = %poisoned, "the session log is not compacted");
                    return Err(AppendError::from(poisoned).into());
                }
            }
        }
    }
}

/// What snapshots of all sessions would take now.
fn measure(source: &dyn Source, client_ids: &[Box<str>]) -> u64 {
    let mut bytes = 0;
    for client_id in client_ids {
        source.with_state(client_id, &mut |session| {
            let mut batch = Batch::new(client_id);
            batch.push_state(session);
            bytes += batch.byte_len();
        });
    }
    bytes
}

/// Writes the session's state; it is not unsaved from here on. To be called while the session
/// cannot change. Its bytes.
fn snapshot(shared: &Shared, session: &State) -> Result<u64, AppendError> {
    let mut batch = Batch::new(&session.client_id);
    batch.push_state(session);
    let bytes = batch.byte_len();
    shared.append_own(&mut batch)?;
    shared.stats.session_snapshots.add(1);
    if shared.unsaved_count.load(Ordering::Acquire) > 0 {
        let mut unsaved = lock(&shared.unsaved);
        unsaved.remove(&*session.client_id);
        shared.unsaved_count.store(unsaved.len(), Ordering::Release);
        drop(unsaved);
        shared.wake_who_await_snapshots();
    }
    Ok(bytes)
}

/// Writes the end of an unsaved session that is no more, unless it was refused again since it had
/// been `times` refused: then another has begun under its client id.
fn forget(shared: &Shared, client_id: &str, times: u64) -> Result<(), AppendError> {
    let mut unsaved = lock(&shared.unsaved);
    if unsaved.get(client_id) != Some(&times) {
        return Ok(());
    }
    let mut batch = Batch::new(client_id);
    batch.push(&Event::Ended);
    shared.append_own(&mut batch)?;
    unsaved.remove(client_id);
    shared.unsaved_count.store(unsaved.len(), Ordering::Release);
    Ok(())
}
