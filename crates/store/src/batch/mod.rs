//! What one store transaction writes, in the order of the journal.

mod split;

use journal::{Chunk, Position, Record};
use telemetry::Micros;

use crate::reason::Reason;

/// A series' dense number within this process; the store maps it to the database's id. Assigned
/// from 0 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey(pub u32);

/// A series as the store must know it; comes with the first batch that uses its key.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSeries {
    pub key: SeriesKey,
    pub device: String,
    pub metric: String,
    pub unit: String,
    /// A JSON object of strings, keys sorted.
    pub labels: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRow {
    pub series: SeriesKey,
    /// Which record of the batch it came from: position − `Batch::start`.
    pub record: u32,
    pub time: Micros,
    /// Finite.
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TextRow {
    pub series: SeriesKey,
    pub record: u32,
    pub time: Micros,
    pub value: String,
}

/// A record that could not become samples, kept as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// position − `Batch::start`.
    pub record: u32,
    pub received_at: Micros,
    pub client_id: String,
    pub topic: String,
    pub payload: Vec<u8>,
    /// One of a bounded set of words, for counting: `not_json`, `bad_time`, …
    pub reason: &'static str,
    /// What exactly was wrong, for people.
    pub detail: String,
}

impl DeadLetter {
    /// A record as a dead letter. `record_index`: its position − `Batch::start`. Its texts lose
    /// U+0000, which no database takes.
    pub fn new(
        record_index: u32,
        record: &Record<'_>,
        reason: &'static str,
        detail: String,
    ) -> DeadLetter {
        let clean = |text: &str| text.replace('\0', "\u{fffd}");
        DeadLetter {
            record: record_index,
            received_at: record.received_at,
            client_id: clean(record.client_id),
            topic: clean(record.topic),
            payload: record.payload.to_vec(),
            reason,
            detail: clean(&detail),
        }
    }
}

/// Values of one record that were filtered for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilteredValues {
    /// position − `Batch::start`.
    pub record: u32,
    pub reason: Reason,
    pub values: u32,
}

/// Where a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Stored,
    /// When its values were filtered for several reasons: the one whose filter is asked first.
    Filtered(Reason),
    DeadLettered,
}

/// The rows of consecutive records, and whatever alert changes wait for the same commit.
#[derive(Debug, Default)]
pub struct Batch {
    /// Position of the first record.
    pub start: Position,
    /// One per record, so the batch ends at `start + outcomes.len()`.
    pub outcomes: Vec<Outcome>,
    /// In record order.
    pub samples: Vec<SampleRow>,
    /// In record order.
    pub texts: Vec<TextRow>,
    /// In record order.
    pub dead_letters: Vec<DeadLetter>,
    /// In record order; records that are stored all the same are among them.
    pub filtered: Vec<FilteredValues>,
    pub new_series: Vec<NewSeries>,
    /// The records themselves, so that one the store refuses can be dead-lettered with its bytes.
    pub chunks: Vec<Chunk>,
    pub alerts: AlertChanges,
}

impl Batch {
    pub fn end(&self) -> Position {
        self.start.plus(self.outcomes.len() as u64)
    }
}

/// What a store transaction must write for the alerts lane. Empty when nothing changed.
#[derive(Debug, Clone, Default)]
pub struct AlertChanges {
    /// Everything before this position has been evaluated; `None`: unchanged since the last commit.
    pub position: Option<Position>,
    /// The latest state of each instance that changed (upsert by rule, device, metric); `state:
    /// None` deletes it.
    pub states: Vec<AlertStateRow>,
    /// Events in the order they were published.
    pub events: Vec<AlertEventRow>,
}

/// One alert instance as the database keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertStateRow {
    pub rule: String,
    pub device: String,
    /// Empty for rules without a metric, such as silence.
    pub metric: String,
    /// The engine's own state as JSON, opaque to the store; `None` deletes the instance.
    pub state: Option<String>,
}

/// One published event as the database keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertEventRow {
    /// Deterministic; unique in the table (a repeat is ignored).
    pub id: String,
    pub time: Micros,
    pub rule: String,
    pub device: String,
    pub metric: String,
    pub severity: String,
    /// firing, acknowledged or resolved.
    pub state: String,
    pub value: Option<f64>,
    /// The event as published, JSON.
    pub payload: String,
}
