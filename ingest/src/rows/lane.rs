//! The thread `rows`: reads the journal and hands batches to the writer.
//!
//! Owns: when a batch is handed over. Never: waits for the store except when a full batch finds the
//! writer's hands full, which is how an outage makes the lane stand still.
//!
//! A batch is handed over when it is full, or when its first record has waited for the batch delay;
//! if the writer is busy then, it goes on growing. Between two small reads the thread pauses, so
//! that a light load does not wake it for each message.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use journal::{Chunk, Position, ReadError};

use super::gather::{Gatherer, Work};
use super::status::Failure;
use super::{Settings, Shared, window};
use crate::prepare::Meaning;

/// A few milliseconds of decoding.
const READ_BYTES: usize = 1 << 20;

/// How long the reader waits for the first record of a batch before it looks around.
const IDLE_WAIT: Duration = Duration::from_millis(500);

/// Reads smaller than this are followed by a pause in which more can gather.
const SMALL_READ_RECORDS: usize = 256;
const PAUSE: Duration = Duration::from_millis(5);

/// How often a due batch asks whether the writer has room.
const ROOM_CHECK: Duration = Duration::from_millis(5);

pub(super) fn run(
    shared: &Shared,
    from: Position,
    meaning: Meaning,
    settings: Settings,
    writer: &SyncSender<Work>,
) {
    let mut gatherer = Gatherer::new(meaning, settings.batch_rows, from);
    let lane = Lane {
        shared,
        delay: settings.batch_delay,
        writer,
        next: from,
        sent: 0,
        stop_at: None,
    };
    if let Err(error) = lane.run(&mut gatherer) {
        shared.status.fail(unreadable(error));
    }
}

struct Lane<'l> {
    shared: &'l Shared,
    delay: Duration,
    writer: &'l SyncSender<Work>,
    next: Position,
    sent: u64,
    /// The journal's end when ending was asked for.
    stop_at: Option<Position>,
}

impl Lane<'_> {
    fn run(mut self, gatherer: &mut Gatherer) -> Result<(), ReadError> {
        if !self.warm_up(gatherer)? {
            return Ok(());
        }
        let mut reader = self.shared.journal.reader(self.next)?;
        self.shared.stop.interrupts(reader.interrupter());
        let mut chunks = Vec::new();
        loop {
            let records = reader.read(&mut chunks, READ_BYTES, self.wait(gatherer))?;
            for chunk in chunks.drain(..) {
                if self.add(gatherer, &chunk)?.is_break() {
                    return Ok(());
                }
            }
            self.shared.stats.set_series(gatherer.series_len());
            gatherer.tell();
            if self.is_due(gatherer)
                && self.writer_has_room()
                && self.hand_over(gatherer).is_break()
            {
                return Ok(());
            }
            if self.shared.status.has_failed() {
                return Ok(());
            }
            if self.shared.stop.requested() {
                if self.is_at_the_end() {
                    break;
                }
            } else if records < SMALL_READ_RECORDS {
                self.shared.stop.pause(PAUSE);
            }
        }
        if !gatherer.is_empty() {
            // If the writer has gone, the deadline has passed; the journal keeps the batch.
            let _ = self.hand_over(gatherer);
        }
        Ok(())
    }

    /// Rebuilds what the filters remember from the records before the first one; false when the
    /// deadline came first.
    fn warm_up(&self, gatherer: &mut Gatherer) -> Result<bool, ReadError> {
        let journal = &self.shared.journal;
        let mut begin = Position(self.next.0.saturating_sub(window::RECORDS)).max(journal.start());
        loop {
            match self.warm_up_from(begin, gatherer) {
                // The writer gives the stretch away when the journal is full; the rest must do.
                Err(ReadError::Released { start, .. }) if start > begin => begin = start,
                other => return other,
            }
        }
    }

    fn warm_up_from(&self, begin: Position, gatherer: &mut Gatherer) -> Result<bool, ReadError> {
        if begin >= self.next {
            return Ok(true);
        }
        let mut reader = self.shared.journal.reader(begin)?;
        let mut chunks = Vec::new();
        while reader.position() < self.next {
            // Not at the request to end: rows without the filters' memory could be duplicates.
            if self.shared.stop.expired() {
                return Ok(false);
            }
            reader.read(&mut chunks, READ_BYTES, IDLE_WAIT)?;
            for chunk in chunks.drain(..) {
                for (position, record) in chunk.records() {
                    if position < self.next {
                        gatherer.warm_up(position, &record);
                    }
                }
            }
        }
        tracing::debug!(from = %begin, to = %self.next, "the filters remember the last records");
        Ok(true)
    }

    fn add(
        &mut self,
        gatherer: &mut Gatherer,
        chunk: &Chunk,
    ) -> Result<ControlFlow<()>, ReadError> {
        for (position, record) in chunk.records() {
            if position < self.next {
                continue;
            }
            if position > self.next {
                return Err(gap(self.next, position));
            }
            gatherer.add(chunk, position, &record, &self.shared.stats);
            self.next = position.plus(1);
            if gatherer.is_full() && self.hand_over(gatherer).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        // A chunk whose records end early would lose the rest.
        if self.next < chunk.end() {
            Err(gap(self.next, chunk.end()))
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }

    /// How long to wait for records.
    fn wait(&self, gatherer: &Gatherer) -> Duration {
        match gatherer.begun() {
            _ if self.shared.stop.requested() => Duration::ZERO,
            None => IDLE_WAIT,
            Some(begun) => {
                let due = begun + self.delay;
                due.saturating_duration_since(Instant::now())
                    .max(ROOM_CHECK)
            }
        }
    }

    fn is_due(&self, gatherer: &Gatherer) -> bool {
        gatherer
            .begun()
            .is_some_and(|begun| begun.elapsed() >= self.delay)
    }

    fn writer_has_room(&self) -> bool {
        self.sent == self.shared.batches_taken.load(Ordering::Acquire)
    }

    /// Blocks while the writer has no room; breaks when it has ended.
    fn hand_over(&mut self, gatherer: &mut Gatherer) -> ControlFlow<()> {
        self.sent += 1;
        match self.writer.send(gatherer.take()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Whether the lane, asked to end, has read what the journal held then.
    fn is_at_the_end(&mut self) -> bool {
        let journal = &self.shared.journal;
        let end = *self.stop_at.get_or_insert_with(|| journal.end());
        self.next >= end || self.shared.stop.expired()
    }
}

fn gap(expected: Position, found: Position) -> ReadError {
    ReadError::Damaged {
        position: expected,
        reason: format!("the next readable record is at position {found}"),
    }
}

fn unreadable(error: ReadError) -> Failure {
    let hint = match &error {
        ReadError::Io { .. } => "look at the disk that holds the journal, then restart",
        ReadError::Damaged { .. } => "`millrace journal verify` shows what is damaged",
        ReadError::Released { .. } | ReadError::Beyond { .. } => {
            "the database and the journal do not belong together"
        }
    };
    Failure::new(
        "rows are no longer written: the journal cannot be read",
        hint,
    )
    .caused_by(error)
}
