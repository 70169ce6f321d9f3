//! The lane's thread.

#[cfg(test)]
mod clock_tests;
mod settle;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use journal::{Chunk, Journal, Position, ReadError, Reader, Record, State};
use telemetry::Micros;
use tracing::{error, info, warn};

use super::super::engine::{Effects, Engine, Origin, Restored, Sample, Stage};

use super::super::pending::{AlertCheckpoint, Pending};
use super::super::published::Entry;
use super::super::publisher::Publisher;
use super::super::rules::Rules;
use super::super::source::Source;
use super::super::stats::Stats;
use super::clock::WallClock;
use super::{Control, Parts};

/// Longest wait for records: the lane looks at the clock and at its stop flags in between.
const READ_TIMEOUT: Duration = Duration::from_millis(200);

/// Taken from the journal at once; enough to read a backlog quickly, and a bound on what is kept in
/// memory.
const READ_BYTES_MAX: usize = 1 << 20;

/// Records looked at again after a restart: the stretch that the journal keeps for the duplicate
/// filter anyway.
const WARM_UP_RECORDS: u64 = 500_000;

/// A record may be stamped and not yet in the journal; nobody is called silent for that.
const GRACE: Micros = 100_000;

/// Events handled between two looks at the stop flag when many devices fall silent at once.
const SILENCES_AT_ONCE: usize = 256;

/// Devices have this long after a start to send again what a crash took along; clients reconnect
/// within seconds.
const RESEND_WINDOW: Micros = 5 * 60 * 1_000_000;

/// A store that takes longer than this at the start is mentioned.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(2);

/// Pause after the disk failed to give a record.
const READ_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Lane {
    journal: Arc<dyn Journal>,
    rules: Arc<Rules>,
    source: Box<dyn Source>,
    pending: Pending,
    clock: WallClock,
    control: Arc<Control>,
    stats: Arc<Stats>,
    engine: Engine,
    publisher: Publisher,
    effects: Effects,
    started_at: Micros,
    /// The journal's end when the process began.
    started_end: Position,
    /// Where warm-up ends and replay begins: the position in the database.
    replay_from: Position,
    /// Where replay ends.
    live_from: Position,
    /// The record to come.
    next: Position,
    /// What the store's writer was told last.
    recorded: Position,
    watches_silence: bool,
    /// The journal refuses records, so silence means nothing.
    refusing: bool,
    /// `published.log` holds entries of an earlier process that may still be asked for.
    remembers: bool,
    /// Where the name of a record's device may be made.
    name: String,
}

/// The lane is told to stop.
struct Stopped;

type Flow = ControlFlow<Stopped>;

impl Lane {
    pub(super) fn new(parts: Parts, control: Arc<Control>, stats: Arc<Stats>) -> Lane {
        let clock = WallClock::new(parts.clock);
        let started_at = clock.now();
        let noted = parts.pending.noted_journal_end();
        let started_end = noted.unwrap_or_else(|| parts.journal.end());
        Lane {
            engine: Engine::new(Arc::clone(&parts.rules), &parts.config, started_at),
            publisher: Publisher::new(parts.outlet, Arc::clone(&stats)),
            journal: parts.journal,
            source: parts.source,
            pending: parts.pending,
            clock,
            control,
            stats,
            effects: Effects::default(),
            started_at,
            started_end,
            replay_from: Position::ZERO,
            live_from: Position::ZERO,
            next: Position::ZERO,
            recorded: Position::ZERO,
            watches_silence: parts.rules.watch_silence(),
            refusing: false,
            remembers: true,
            name: String::new(),
            rules: parts.rules,
        }
    }

    pub(super) fn run(mut self) {
        let Some(checkpoint) = self.wait_for_checkpoint() else {
            return;
        };
        if self.begin(&checkpoint).is_break() {
            return;
        }
        if self.rules.is_empty() {
            self.follow();
            return;
        }
        while let Err(failure) = self.read_journal() {
            match failure {
                ReadError::Io { .. } => {
                    warn!(error = %chain(&failure), "alerts cannot read the journal, trying again");
                    thread::park_timeout(READ_RETRY);
                    if self.is_told_to_stop() {
                        return;
                    }
                }
                _ => {
                    self.stats.failed.store(1, Ordering::Relaxed);
                    error!(error = %chain(&failure), "alerts have stopped: the journal cannot be read further");
                    return;
                }
            }
        }
    }

    fn wait_for_checkpoint(&self) -> Option<AlertCheckpoint> {
        let (pending, drain) = (&self.pending, &self.control.drain);
        let soon = pending.wait_for_checkpoint(drain, CHECKPOINT_PATIENCE);
        if soon.is_some() || self.is_told_to_stop() {
            return soon;
        }
        info!("alerts wait for the database, which holds the states of alerts");
        pending.wait_for_checkpoint(drain, Duration::MAX)
    }

    /// Takes up what the database and `published.log` know.
    fn begin(&mut self, checkpoint: &AlertCheckpoint) -> Flow {
        let (start, end) = (self.journal.start(), self.journal.end());
        let from = checkpoint.position;
        if from < start {
            let lost = start.since(from);
            warn!(
                %from, %start, lost,
                "the journal begins behind the position of the alerts; records in between are not evaluated"
            );
        } else if from > end {
            error!(
                %from, %end,
                "the database knows alerts of records that the journal does not hold; going on at its end"
            );
        }
        self.replay_from = from.clamp(start, end);
        self.live_from = end;
        self.recorded = from;
        self.next = Position(self.replay_from.0.saturating_sub(WARM_UP_RECORDS)).max(start);

        let restored = Restored::new(self.restored_entries());
        let now = self.look_at_clock();
        self.engine
            .restore(&checkpoint.states, restored, now, &mut self.effects);
        self.publisher.adopt(self.engine.active());
        self.settle(self.replay_from)?;
        self.engine.enter(Stage::WarmUp, &mut self.effects);
        self.advance_stage(self.next)
    }

    /// What an earlier process published. Its records that are not in the journal any more are
    /// lost; that is written down, since after another crash it could not be seen any more.
    fn restored_entries(&self) -> Vec<Entry> {
        let mut entries = self.pending.take_restored();
        let mut newly_lost = Vec::new();
        for entry in &mut entries {
            if !entry.lost && entry.position >= self.started_end {
                entry.lost = true;
                newly_lost.push(*entry);
            }
        }
        self.pending.announce(&newly_lost);
        entries
    }

    /// Without rules nothing needs to be read, but the journal must not keep records for the
    /// alerts.
    fn follow(&mut self) {
        loop {
            let end = self.journal.end();
            self.next = end;
            let flow = self.advance_stage(end);
            self.record_position();
            self.count(end);
            if flow.is_break() || self.is_told_to_stop() {
                return;
            }
            thread::park_timeout(READ_TIMEOUT);
        }
    }

    /// Until told to stop.
    fn read_journal(&mut self) -> Result<(), ReadError> {
        let mut reader = self.journal.reader(self.next)?;
        let mut chunks = Vec::new();
        loop {
            let drained = self.next >= self.journal.end();
            if self.is_told_to_stop() && (drained || self.control.stop.load(Ordering::Acquire)) {
                return Ok(());
            }
            let patience = self.patience();
            if self
                .read_within(patience, reader.as_mut(), &mut chunks)?
                .is_break()
            {
                return Ok(());
            }
        }
    }

    /// What is there, or a look at the clock when nothing comes in time.
    fn read_within(
        &mut self,
        patience: Duration,
        reader: &mut dyn Reader,
        chunks: &mut Vec<Chunk>,
    ) -> Result<Flow, ReadError> {
        self.watch_journal();
        chunks.clear();
        reader.read(chunks, READ_BYTES_MAX, patience)?;
        // Before the records are looked at: a step is known before what was stamped behind it.
        self.look_at_clock();
        for (position, record) in chunks.iter().flat_map(Chunk::records) {
            // A reader that starts within a chunk may hand over the whole of it.
            if position >= self.next && self.evaluate(position, &record).is_break() {
                return Ok(Flow::Break(Stopped));
            }
        }
        self.next = self.next.max(reader.position());
        Ok(self.after_read())
    }

    /// One record: what it tells, and at once what follows from it.
    fn evaluate(&mut self, position: Position, record: &Record<'_>) -> Flow {
        self.advance_stage(position)?;
        let received_at = match self.engine.stage() {
            Stage::WarmUp | Stage::Replay => self.clock.replayed(record.received_at),
            Stage::Live => self.clock.believed(position, record.received_at),
        };
        let record = &Record {
            received_at,
            ..*record
        };
        if self.engine.stage() != Stage::WarmUp {
            self.tick(received_at.min(self.clock.now()) - GRACE)?;
        }
        let origin = Origin {
            position,
            received_at,
        };
        let Lane {
            source,
            engine,
            effects,
            stats,
            name,
            ..
        } = self;
        let wanted = source.device(record, name).is_some_and(|device| {
            let labels = || source.device_labels(record);
            engine.report(origin, device, labels, effects)
        });
        if wanted {
            let mut each = |sample: &Sample<'_>| engine.sample(origin, sample, effects);
            source.samples(position, record, &mut each);
        }
        add(&stats.records, 1);
        let outcome = if wanted {
            &stats.decoded
        } else {
            &stats.skipped
        };
        add(outcome, 1);
        self.next = position.plus(1);
        if self.effects.is_empty() {
            return Flow::Continue(());
        }
        self.settle(self.next.max(self.replay_from))
    }

    /// The records of one read are evaluated.
    fn after_read(&mut self) -> Flow {
        self.advance_stage(self.next)?;
        self.record_position();
        let end = self.journal.end();
        if self.engine.stage() == Stage::Live && self.next >= end && !self.is_told_to_stop() {
            let now = self.look_at_clock();
            self.tick(now - GRACE)?;
            if self.remembers && now >= self.started_at.saturating_add(RESEND_WINDOW) {
                self.remembers = false;
                self.pending.forget(self.engine.forget_restored());
            }
        }
        self.count(end);
        Flow::Continue(())
    }

    /// Leaves warm-up and replay when everything before `position` is evaluated.
    fn advance_stage(&mut self, position: Position) -> Flow {
        if self.engine.stage() == Stage::WarmUp && position >= self.replay_from {
            self.engine.enter(Stage::Replay, &mut self.effects);
        }
        if self.engine.stage() == Stage::Replay && position >= self.live_from {
            let now = self.look_at_clock();
            self.engine.leave_future(self.clock.replayed_max(), now);
            self.engine.enter(Stage::Live, &mut self.effects);
            self.settle(self.live_from)?;
            self.publisher.go_live();
        }
        Flow::Continue(())
    }

    fn tick(&mut self, now: Micros) -> Flow {
        let mut more = !self.refusing;
        while more {
            more = self.engine.tick(now, SILENCES_AT_ONCE, &mut self.effects);
            self.settle(self.next)?;
        }
        Flow::Continue(())
    }

    /// Tells the store's writer how far the lane has come, when nothing else did.
    fn record_position(&mut self) {
        if self.next > self.recorded.max(self.replay_from) {
            self.recorded = self.next;
            self.pending.record(self.next, [], []);
        }
    }

    /// While the journal takes no records nobody can report; afterwards everybody gets the whole
    /// interval again.
    fn watch_journal(&mut self) {
        if !self.watches_silence {
            return;
        }
        let refusing = self.journal.status().state != State::Open;
        if self.refusing && !refusing {
            let now = self.look_at_clock();
            self.engine.listen_since(now);
        }
        self.refusing = refusing;
    }

    /// What time it is. When somebody has set the clock, what is timed goes on as if it had always
    /// shown the new time.
    fn look_at_clock(&mut self) -> Micros {
        let journal = &self.journal;
        let by = self.clock.look(|| journal.end());
        let now = self.clock.now();
        if by != 0 {
            let direction = if by > 0 { "forward" } else { "back" };
            warn!(
                seconds = by.saturating_abs() / 1_000_000,
                "the clock was set {direction}; what alert rules measure goes on as if it had not been"
            );
            self.started_at = self.started_at.saturating_add(by);
            self.engine.clock_was_set(by, now);
        }
        now
    }

    /// How long to wait for records: until the next deadline, at most until the next look at the
    /// flags.
    fn patience(&self) -> Duration {
        let Some(deadline) = self.engine.next_deadline() else {
            return READ_TIMEOUT;
        };
        let left = deadline
            .saturating_add(GRACE)
            .saturating_sub(self.clock.now());
        // At least a millisecond, so that a deadline that cannot fire now does not make the lane
        // spin.
        Duration::from_micros(left.max(1_000).unsigned_abs()).min(READ_TIMEOUT)
    }

    fn is_told_to_stop(&self) -> bool {
        self.control.drain.load(Ordering::Acquire)
    }

    fn count(&self, end: Position) {
        let counters = self.engine.counters();
        let stats = &self.stats;
        for (counter, value) in [
            (&stats.evaluated, counters.evaluated),
            (&stats.out_of_order, counters.out_of_order),
            (&stats.instances_refused, counters.instances_refused),
            (&stats.instances, self.engine.instances_len() as u64),
            (&stats.position, self.next.0),
            (&stats.lag, end.since(self.next)),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// An error and what caused it, in one line of the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
