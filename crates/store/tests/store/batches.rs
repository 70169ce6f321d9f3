//! Batches for tests.

use journal::Position;
use store::Reason;
use store::{Batch, DeadLetter, FilteredValues, NewSeries, Outcome, SampleRow, SeriesKey, TextRow};
use uuid::Uuid;

/// 2026-03-15T12:00:00Z, in microseconds.
pub(crate) const NOON: i64 = 1_773_576_000_000_000;

pub(crate) fn journal(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A batch whose records are added one by one; each holds what its method says.
pub(crate) fn batch(start: u64) -> BatchBuilder {
    BatchBuilder(Batch {
        start: Position(start),
        ..Batch::default()
    })
}

pub(crate) struct BatchBuilder(Batch);

impl BatchBuilder {
    /// Defines a series without unit or labels.
    pub(crate) fn series(self, key: u32, device: &str, metric: &str) -> BatchBuilder {
        self.series_with(key, device, metric, "", "{}")
    }

    pub(crate) fn series_with(
        mut self,
        key: u32,
        device: &str,
        metric: &str,
        unit: &str,
        labels: &str,
    ) -> BatchBuilder {
        self.0.new_series.push(NewSeries {
            key: SeriesKey(key),
            device: device.into(),
            metric: metric.into(),
            unit: unit.into(),
            labels: labels.into(),
        });
        self
    }

    /// A stored record with one sample.
    pub(crate) fn sample(mut self, key: u32, time: i64, value: f64) -> BatchBuilder {
        let record = self.record(Outcome::Stored);
        self.0.samples.push(SampleRow {
            series: SeriesKey(key),
            record,
            time,
            value,
        });
        self
    }

    /// A stored record with one text.
    pub(crate) fn text(mut self, key: u32, time: i64, value: &str) -> BatchBuilder {
        let record = self.record(Outcome::Stored);
        self.0.texts.push(TextRow {
            series: SeriesKey(key),
            record,
            time,
            value: value.into(),
        });
        self
    }

    /// A filtered record of one value.
    pub(crate) fn filtered(self) -> BatchBuilder {
        self.filtered_for(Reason::Duplicate, 1)
    }

    /// A record all of whose values are filtered for one reason.
    pub(crate) fn filtered_for(mut self, reason: Reason, values: u32) -> BatchBuilder {
        let record = self.record(Outcome::Filtered(reason));
        self.0.filtered.push(FilteredValues {
            record,
            reason,
            values,
        });
        self
    }

    /// A dead-lettered record.
    pub(crate) fn dead(mut self, topic: &str, payload: &[u8], detail: &str) -> BatchBuilder {
        let record = self.record(Outcome::DeadLettered);
        self.0.dead_letters.push(DeadLetter {
            record,
            received_at: NOON,
            client_id: "client".into(),
            topic: topic.into(),
            payload: payload.into(),
            reason: "not_json",
            detail: detail.into(),
        });
        self
    }

    pub(crate) fn build(self) -> Batch {
        self.0
    }

    fn record(&mut self, outcome: Outcome) -> u32 {
        self.0.outcomes.push(outcome);
        self.0.outcomes.len() as u32 - 1
    }
}
