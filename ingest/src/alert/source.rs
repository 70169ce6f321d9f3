//! The way from a record to samples, as the alerts lane needs it.
//!
//! Owns: the shape of that door, and the pipeline's way through it. Never: decides what a record means; `prepare` does.

use journal::{Position, Record};
use telemetry::NAME_BYTES_MAX;

use super::engine::Sample;
use crate::prepare::Preparer;

/// Decodes and enriches records. What cannot be understood yields nothing: the rows lane accounts for it.
pub trait Source: Send {
    /// The device of a record, from its topic alone; `None` when no topic template matches.
    fn device<'r>(&'r self, record: &Record<'r>) -> Option<&'r str>;

    /// The labels of a record's device, from topic and registry, as a JSON object of strings. Asked for once per device.
    fn device_labels(&self, record: &Record<'_>) -> String;

    /// Calls `each` for every sample that passes the stateless filters, in their order.
    fn samples(
        &mut self,
        position: Position,
        record: &Record<'_>,
        each: &mut dyn FnMut(&Sample<'_>),
    );
}

impl Source for Preparer {
    /// A name that no store takes is no device.
    fn device<'r>(&'r self, record: &Record<'r>) -> Option<&'r str> {
        let device = self.device_of(record)?;
        let valid = (1..=NAME_BYTES_MAX).contains(&device.len()) && !device.contains('\0');
        valid.then_some(device)
    }

    fn device_labels(&self, record: &Record<'_>) -> String {
        Preparer::device_labels(self, record)
    }

    fn samples(
        &mut self,
        position: Position,
        record: &Record<'_>,
        each: &mut dyn FnMut(&Sample<'_>),
    ) {
        let Ok(prepared) = self.prepare(position, record) else {
            return;
        };
        for sample in prepared.samples() {
            let series = prepared.series(sample.series);
            each(&Sample {
                series: sample.series.0,
                device: sample.device,
                metric: sample.metric,
                unit: series.unit,
                labels: series.labels,
                time: sample.time,
                has_device_time: sample.has_device_time,
                value: sample.value,
            });
        }
    }
}
