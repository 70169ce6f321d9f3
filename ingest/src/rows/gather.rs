//! Records into a batch: prepare, the filters that remember, rows.
//!
//! Owns: the batch under construction and its bounds. Never: talks to the store. Invariant: records
//! go in one by one, in the journal's order, and each leaves exactly one outcome.

use std::time::Instant;

use journal::{Chunk, Position, Record};
use store::Reason;
use store::{Batch, DeadLetter, FilteredValues, Outcome, SampleRow, SeriesKey, TextRow};
use telemetry::{Micros, Value};

use super::relabelled::Relabelling;
use super::stats::Stats;
use crate::filter::Memory;
use crate::prepare::{Meaning, Preparer};

/// Bytes of records in one batch, which stay in memory until it is committed; large texts and dead
/// letters count here.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Records in one batch, for a stream of which all is filtered. A second of full load.
const BATCH_RECORDS_MAX: usize = 250_000;

/// A series that has no row yet.
const NOT_ANNOUNCED: u32 = u32::MAX;

pub(super) struct Gatherer {
    preparer: Preparer,
    memory: Memory,
    /// The store's key of each of the preparer's series: only what has rows is announced.
    keys: Vec<u32>,
    announced: u32,
    relabelling: Relabelling,
    work: Work,
    /// Rows, records and bytes of the batch under construction.
    bytes: usize,
    begun: Option<Instant>,
    batch_rows: usize,
}

/// A batch on its way to the writer.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) batch: Batch,
    /// When its first and last record were received.
    pub(super) received: (Micros, Micros),
}

impl Gatherer {
    pub(super) fn new(meaning: Meaning, batch_rows: usize, start: Position) -> Gatherer {
        let memory = Memory::new(&meaning.rules);
        let mut work = Work::default();
        work.batch.start = start;
        Gatherer {
            preparer: Preparer::new(meaning),
            memory,
            keys: Vec::new(),
            announced: 0,
            relabelling: Relabelling::default(),
            work,
            bytes: 0,
            begun: None,
            batch_rows,
        }
    }

    /// Lets the filters remember a record that is committed already.
    pub(super) fn warm_up(&mut self, position: Position, record: &Record<'_>) {
        if let Ok(prepared) = self.preparer.prepare(position, record) {
            if let Some(found) = prepared.relabelled {
                let series = prepared.series(found.series);
                self.relabelling.note(&series, record.topic, found.new);
            }
            for sample in prepared.samples() {
                self.memory.check(&sample, record.received_at);
            }
        }
    }

    /// Adds the next record; `chunk` is where it lies.
    pub(super) fn add(
        &mut self,
        chunk: &Chunk,
        position: Position,
        record: &Record<'_>,
        stats: &Stats,
    ) {
        let Work { batch, received } = &mut self.work;
        let index = batch.outcomes.len() as u32;
        if index == 0 {
            self.begun = Some(Instant::now());
            received.0 = record.received_at;
            stats.batch_begun(position, record.received_at);
        }
        received.1 = record.received_at;
        if batch
            .chunks
            .last()
            .is_none_or(|last| last.first() != chunk.first())
        {
            batch.chunks.push(chunk.clone());
        }
        self.bytes += record.payload.len() + record.topic.len();

        let prepared = match self.preparer.prepare(position, record) {
            Ok(prepared) => prepared,
            Err(error) => {
                let letter = DeadLetter::new(index, record, error.reason, error.detail);
                batch.dead_letters.push(letter);
                batch.outcomes.push(Outcome::DeadLettered);
                stats.record_in(0);
                return;
            }
        };
        let mut filtered = prepared.filtered;
        let mut is_stored = false;
        if let Some(found) = prepared.relabelled {
            stats.relabelled();
            let series = prepared.series(found.series);
            self.relabelling.note(&series, record.topic, found.new);
        }
        for sample in prepared.samples() {
            if let Some(reason) = self.memory.check(&sample, record.received_at) {
                filtered.add(reason);
                continue;
            }
            is_stored = true;
            let at = sample.series.0 as usize;
            if at >= self.keys.len() {
                self.keys.resize(at + 1, NOT_ANNOUNCED);
            }
            if self.keys[at] == NOT_ANNOUNCED {
                self.keys[at] = self.announced;
                self.announced += 1;
                let key = SeriesKey(self.keys[at]);
                batch
                    .new_series
                    .push(prepared.series(sample.series).announce(key));
            }
            let series = SeriesKey(self.keys[at]);
            match sample.value {
                Value::Number(value) => batch.samples.push(SampleRow {
                    series,
                    record: index,
                    time: sample.time,
                    value,
                }),
                Value::Text(value) => batch.texts.push(TextRow {
                    series,
                    record: index,
                    time: sample.time,
                    value: value.to_owned(),
                }),
            }
        }
        let mut first = None;
        for (reason, count) in filtered.iter().filter(|(_, count)| *count > 0) {
            first.get_or_insert(reason);
            if reason != Reason::NoValues {
                batch.filtered.push(FilteredValues {
                    record: index,
                    reason,
                    values: count as u32,
                });
            }
        }
        batch.outcomes.push(if is_stored {
            Outcome::Stored
        } else {
            Outcome::Filtered(first.unwrap_or(Reason::NoValues))
        });
        stats.record_in(prepared.values() as u64);
    }

    /// Tells the log what it was not told yet.
    pub(super) fn tell(&mut self) {
        self.relabelling.tell();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.work.batch.outcomes.is_empty()
    }

    /// Whether the batch must not grow further.
    pub(super) fn is_full(&self) -> bool {
        let batch = &self.work.batch;
        batch.samples.len() + batch.texts.len() >= self.batch_rows
            || batch.outcomes.len() >= BATCH_RECORDS_MAX
            || self.bytes >= BATCH_BYTES_MAX
    }

    /// When the first record of the batch came.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    pub(super) fn series_len(&self) -> usize {
        self.preparer.series_len()
    }

    /// The batch so far; the next one begins behind it.
    pub(super) fn take(&mut self) -> Work {
        let mut next = Work::default();
        next.batch.start = self.work.batch.end();
        next.batch.samples.reserve(self.work.batch.samples.len());
        next.batch.outcomes.reserve(self.work.batch.outcomes.len());
        self.bytes = 0;
        self.begun = None;
        std::mem::replace(&mut self.work, next)
    }
}
