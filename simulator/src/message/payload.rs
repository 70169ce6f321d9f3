//! The shape of a message.
//!
//! Owns: which of the JSON shapes a fleet sends; `telemetry::encode` writes them. Never: decides
//! what is in them. Invariant: writing a message allocates nothing once its buffer has grown.
//!
//! ```text
//! flat     {"ts":1735689600000000,"temperature":21.5,"humidity":44.1}
//! values   {"ts":1735689600000000,"values":{"temperature":21.5,"humidity":44.1}}
//! batch    [{"ts":…,"values":{…}},{"ts":…,"values":{…}}]
//! ```

use serde::Deserialize;
use telemetry::encode::{self, Stamp, TimeForm};
use telemetry::{Micros, Value};

/// Samples in a message of the shape `batch`, unless another number is asked for.
pub(crate) const DEFAULT_BATCH_SIZE: usize = 10;

/// The shape of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadShape {
    #[default]
    Flat,
    Values,
    /// An array of several samples, oldest first.
    Batch,
}

/// The unit of `ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    #[default]
    Us,
    Ms,
}

impl TimeUnit {
    /// Microseconds between two times that this unit can tell apart.
    pub(crate) const fn step_us(self) -> i64 {
        match self {
            Self::Us => 1,
            Self::Ms => 1_000,
        }
    }

    const fn form(self) -> TimeForm {
        match self {
            Self::Us => TimeForm::Microseconds,
            Self::Ms => TimeForm::Milliseconds,
        }
    }
}

/// Appends one sample: a JSON object. Values are finite.
pub(crate) fn write<'a>(
    out: &mut Vec<u8>,
    shape: PayloadShape,
    unit: TimeUnit,
    time: Micros,
    values: impl Iterator<Item = (&'a str, f64)>,
) {
    let stamp = Some(Stamp {
        time,
        form: unit.form(),
    });
    let values = values.map(|(metric, value)| (metric, Value::Number(value)));
    match shape {
        PayloadShape::Flat => encode::flat(out, stamp, values),
        PayloadShape::Values | PayloadShape::Batch => encode::with_values(out, stamp, values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_written_as_documented() {
        let table = [
            (
                PayloadShape::Flat,
                TimeUnit::Us,
                r#"{"ts":1735689600123456,"temperature":21.5,"a\"b":-0.25}"#,
            ),
            (
                PayloadShape::Values,
                TimeUnit::Ms,
                r#"{"ts":1735689600123,"values":{"temperature":21.5,"a\"b":-0.25}}"#,
            ),
        ];
        for (shape, unit, expected) in table {
            let mut out = Vec::new();
            let values = [("temperature", 21.5), ("a\"b", -0.25)];
            write(
                &mut out,
                shape,
                unit,
                1_735_689_600_123_456,
                values.into_iter(),
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
