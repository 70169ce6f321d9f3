//! Entries to payload bytes, in the shapes that `decode` reads.
//!
//! Owns: the JSON that devices (the simulator's) send. Never: allocates beyond the output.
//! Invariant: what is written here decodes to the same entries.
//!
//! Everything is appended, so that a batch is `[`, payloads with `,` between them, `]`; [`array`]
//! does that.

#[cfg(test)]
mod tests;

use std::io::Write;

use crate::time::write_rfc3339;
use crate::{Micros, Value};

/// How a device writes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeForm {
    Seconds,
    #[default]
    Milliseconds,
    Microseconds,
    /// `"2026-01-31T08:15:00Z"`
    Rfc3339,
}

/// A time and how to write it; its smaller digits are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub time: Micros,
    pub form: TimeForm,
}

/// `{"ts":…,"k":v,…}`
pub fn flat<'a>(
    out: &mut Vec<u8>,
    stamp: Option<Stamp>,
    values: impl IntoIterator<Item = (&'a str, Value<'a>)>,
) {
    out.push(b'{');
    let separator = write_stamp(out, stamp);
    members(out, separator, values);
    out.push(b'}');
}

/// `{"ts":…,"values":{"k":v,…}}`
pub fn with_values<'a>(
    out: &mut Vec<u8>,
    stamp: Option<Stamp>,
    values: impl IntoIterator<Item = (&'a str, Value<'a>)>,
) {
    out.push(b'{');
    if write_stamp(out, stamp) {
        out.push(b',');
    }
    out.extend_from_slice(b"\"values\":{");
    members(out, false, values);
    out.extend_from_slice(b"}}");
}

/// `[…,…]`, each element written by `write`.
pub fn array<T>(
    out: &mut Vec<u8>,
    elements: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

/// One value alone: the payload for a topic that names the metric.
pub fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Number(value) => number(out, value),
        Value::Text(value) => text(out, value),
    }
}

/// The shortest digits that read back as the same number; null for what is not finite.
pub fn number(out: &mut Vec<u8>, number: f64) {
    to_json(out, &number);
}

/// A JSON string with its quotes.
pub fn text(out: &mut Vec<u8>, text: &str) {
    to_json(out, text);
}

fn members<'a>(
    out: &mut Vec<u8>,
    mut separator: bool,
    values: impl IntoIterator<Item = (&'a str, Value<'a>)>,
) {
    for (metric, member) in values {
        if separator {
            out.push(b',');
        }
        separator = true;
        text(out, metric);
        out.push(b':');
        value(out, member);
    }
}

/// True when there is something before the next member.
fn write_stamp(out: &mut Vec<u8>, stamp: Option<Stamp>) -> bool {
    let Some(Stamp { time, form }) = stamp else {
        return false;
    };
    out.extend_from_slice(b"\"ts\":");
    let number = match form {
        TimeForm::Seconds => time / 1_000_000,
        TimeForm::Milliseconds => time / 1_000,
        TimeForm::Microseconds => time,
        TimeForm::Rfc3339 => {
            out.push(b'"');
            write_rfc3339(out, time);
            out.push(b'"');
            return true;
        }
    };
    write!(out, "{number}").expect("writing to memory does not fail");
    true
}

fn to_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a number or a text always has a JSON form");
}
