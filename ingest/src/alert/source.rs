//! The way from a record to samples, as the alerts lane needs it.
//!
//! Owns: the shape of that door, and the pipeline's way through it. Never: decides what a record
//! means; `prepare` does.

use journal::{Position, Record};
use telemetry::NAME_BYTES_MAX;

use super::engine::Sample;
use crate::prepare::Preparer;

/// Decodes and enriches records. What cannot be understood yields nothing: the rows lane accounts
/// for it.
pub trait Source: Send {
    /// The device of a record, without its payload; `None` when no topic template matches. A name
    /// of several parts of the topic is made in `name`.
    fn device<'r>(&'r self, record: &Record<'r>, name: &'r mut String) -> Option<&'r str>;

    /// The labels of a record's device, from topic and registry, as a JSON object of strings. Asked
    /// for once per device.
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
    fn device<'r>(&'r self, record: &Record<'r>, name: &'r mut String) -> Option<&'r str> {
        let device = self.device_of(record, name)?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Config;
    use crate::prepare::Meaning;
    use crate::registry::Registry;

    fn preparer() -> Preparer {
        let devices = "device,site,metric,unit,scale\nboiler-*,north,,,\nboiler-*,,t,K,2\n";
        let meaning = Config::default().meaning(Default::default()).unwrap();
        Preparer::new(Meaning {
            registry: Arc::new(Registry::of_text(devices)),
            ..meaning
        })
    }

    fn record<'a>(topic: &'a str, payload: &'a str) -> Record<'a> {
        Record {
            received_at: 5,
            qos: 1,
            packet_id: None,
            content_type: "",
            client_id: "client",
            user: "",
            topic,
            payload: payload.as_bytes(),
        }
    }

    #[test]
    fn samples_come_enriched_and_converted() {
        let mut source = preparer();
        let record = record("devices/boiler-1/telemetry", r#"{"t":21,"mode":"auto"}"#);
        let mut name = String::new();
        assert_eq!(
            Source::device(&source, &record, &mut name),
            Some("boiler-1")
        );
        let labels = Source::device_labels(&source, &record);
        assert_eq!(labels, r#"{"site":"north"}"#);
        let mut seen = Vec::new();
        Source::samples(&mut source, Position(0), &record, &mut |sample| {
            let Sample {
                series,
                device,
                metric,
                unit,
                labels,
                time,
                has_device_time,
                value,
            } = *sample;
            assert!((series, time, has_device_time) == (seen.len() as u32, 5, false));
            seen.push(format!("{device} {metric} {value:?} {unit} {labels}"));
        });
        assert_eq!(
            seen,
            [
                r#"boiler-1 t Number(42.0) K {"site":"north"}"#,
                r#"boiler-1 mode Text("auto")  {"site":"north"}"#
            ]
        );
    }

    #[test]
    fn what_is_not_finite_hides_nothing_else() {
        let mut source = preparer();
        let record = record("devices/boiler-1/telemetry", r#"{"p":NaN,"t":21}"#);
        let mut seen = Vec::new();
        Source::samples(&mut source, Position(0), &record, &mut |sample| {
            seen.push(format!("{} {:?}", sample.metric, sample.value));
        });
        assert_eq!(seen, ["t Number(42.0)"]);
    }

    #[test]
    fn what_is_not_understood_yields_nothing() {
        let mut source = preparer();
        let broken = record("devices/boiler-1/telemetry", "{");
        // It is a sign of life all the same.
        let mut name = String::new();
        assert_eq!(
            Source::device(&source, &broken, &mut name),
            Some("boiler-1")
        );
        Source::samples(&mut source, Position(0), &broken, &mut |sample| {
            panic!("{sample:?}");
        });
        let long = format!("devices/{}/telemetry", "x".repeat(NAME_BYTES_MAX + 1));
        for topic in ["elsewhere", "devices//telemetry", long.as_str()] {
            let found = record(topic, "{}");
            assert_eq!(Source::device(&source, &found, &mut name), None, "{topic}");
        }
    }
}
