//! The words of telemetry: topics that name devices, payloads that hold samples, times.
//!
//! Owns: what a payload means. Never: does I/O, keeps state between messages. Invariant: the same
//! bytes always decode to the same samples.

mod clock;
pub mod decode;
pub mod encode;
pub mod time;
pub mod topic;
pub mod unit;

pub use clock::now_micros;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// Longest name of a device or a metric, after flattening. Names are columns of an index in every
/// store.
pub const NAME_BYTES_MAX: usize = 256;

/// What a metric was at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Always finite. Booleans are 0 and 1; integers beyond 2^53 lose precision.
    Number(f64),
    Text(&'a str),
}

/// One value of one metric out of a message; the device comes from the topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry<'a> {
    /// Nested objects are flattened with `.`: `engine.oil.temperature`.
    pub metric: &'a str,
    /// Time given by the device; `None` means: use the time of receipt.
    pub time: Option<Micros>,
    pub value: Value<'a>,
}
