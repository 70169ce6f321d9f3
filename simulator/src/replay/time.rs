//! Times in recorded files.
//!
//! Owns: reading a time that may lack its zone. Never: guesses a zone; the zone is given.
//! Invariant: a time that has a zone or is an epoch means the same whatever zone is given.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use telemetry::Micros;
use telemetry::time::{MICROS_END, TimeError};

/// Microseconds since 1970. A naive time that falls into a gap of its zone (spring) is moved behind
/// it; one that occurs twice (autumn) is the first of the two.
pub(crate) fn parse(text: &str, zone: &TimeZone) -> Result<Micros, TimeError> {
    match telemetry::time::parse_text(text) {
        Err(TimeError::Naive) => parse_naive(text, zone),
        // The forms of RFC 3339 that leave the time of day out, and spaces instead of `T`.
        Err(TimeError::Bad) => parse_naive(text, zone),
        result => result,
    }
}

fn parse_naive(text: &str, zone: &TimeZone) -> Result<Micros, TimeError> {
    let text = text.trim_ascii();
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(DateTime::from))
        .map_err(|_| TimeError::Bad)?;
    let micros = zone
        .to_timestamp(civil)
        .map_err(|_| TimeError::OutOfRange)?
        .as_microsecond();
    if (0..MICROS_END).contains(&micros) {
        Ok(micros)
    } else {
        Err(TimeError::OutOfRange)
    }
}
