//! Times in payloads: from numbers and texts to microseconds, and back to RFC 3339.
//!
//! Owns: which moment a time value means. Never: looks at the clock, or at the machine's time zone.
//! Invariant: what is accepted lies in 1970..2200, so it fits every store and every unit.
//!
//! Numbers are told apart by magnitude; each range covers every moment from 1970-04-26 to 2200:
//!
//! ```text
//! number                unit           2026-01-01 is
//! 0 to 10^10            seconds                 1767225600
//! 10^10 to 10^13        milliseconds         1767225600000
//! 10^13 to 10^16        microseconds      1767225600000000
//! 10^16 and more        nanoseconds    1767225600000000000
//! ```
//!
//! Digits below a microsecond are cut off; a floating-point number is rounded to its nearest
//! microsecond.

mod calendar;
#[cfg(test)]
mod tests;
mod text;

pub use text::{Rfc3339, parse_text, parse_text_in, write_rfc3339};

use crate::Micros;

/// 2200-01-01T00:00:00Z: later times are a broken clock or a unit we did not expect.
pub const MICROS_END: Micros = 7_258_118_400_000_000;

const SECONDS_END: f64 = 1e10;
const MILLIS_END: f64 = 1e13;
const MICROS_UNIT_END: f64 = 1e16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("not a time")]
    Bad,
    /// A date and time without a zone names no moment.
    #[error("a time without a zone")]
    Naive,
    #[error("outside of 1970 to 2200")]
    OutOfRange,
    /// By the reader's choice; see [`crate::decode::Options`].
    #[error("that is {}, before the earliest time accepted", Rfc3339(*.0))]
    BeforeMin(Micros),
}

impl TimeError {
    /// A bounded word, for counting.
    pub fn reason(self) -> &'static str {
        match self {
            TimeError::Bad => "bad_time",
            TimeError::Naive => "naive_time",
            TimeError::OutOfRange => "time_out_of_range",
            TimeError::BeforeMin(_) => "time_before_min",
        }
    }
}

/// A whole number of seconds, milliseconds, microseconds or nanoseconds since 1970.
pub fn parse_integer(number: u64) -> Result<Micros, TimeError> {
    let micros = match number {
        0..10_000_000_000 => number * 1_000_000,
        10_000_000_000..10_000_000_000_000 => number * 1_000,
        10_000_000_000_000..10_000_000_000_000_000 => number,
        _ => number / 1_000,
    };
    in_range(i64::try_from(micros).map_err(|_| TimeError::OutOfRange)?)
}

/// A number of seconds, milliseconds, microseconds or nanoseconds since 1970, with a fraction.
pub fn parse_float(number: f64) -> Result<Micros, TimeError> {
    let micros = match number {
        _ if !number.is_finite() => return Err(TimeError::Bad),
        _ if number < 0.0 => return Err(TimeError::OutOfRange),
        _ if number < SECONDS_END => number * 1e6,
        _ if number < MILLIS_END => number * 1e3,
        _ if number < MICROS_UNIT_END => number,
        _ => number / 1e3,
    };
    // A float cast saturates, so a huge number stays out of range.
    in_range(micros.round() as Micros)
}

fn in_range(micros: Micros) -> Result<Micros, TimeError> {
    match micros {
        0..MICROS_END => Ok(micros),
        _ => Err(TimeError::OutOfRange),
    }
}
