//! Times written as text: RFC 3339 in and out, and digits that are an epoch.
//!
//! The common forms are read by hand, a nanosecond a byte; whatever else has a zone (`+0200`, a
//! leap second, hours alone) goes to jiff, which also tells a time without a zone from a text that
//! is no time at all.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::calendar::{civil_from_days, days_from_civil, days_in_month};
use super::{TimeError, in_range, parse_float, parse_integer};
use crate::Micros;

/// A longer text is no time.
const TEXT_BYTES_MAX: usize = 64;

/// A number of seconds … nanoseconds in digits (with a fraction or without), or a date and time
/// with a zone (RFC 3339).
pub fn parse_text(text: &str) -> Result<Micros, TimeError> {
    parse_text_in(text, None)
}

/// As [`parse_text`], and a date and time without a zone is one of `zone`, if there is one.
///
/// Where clocks are put forward, a time that is left out counts as if they had not been (02:30 is
/// 03:30). Where they are put back, a time that comes twice is the first (RFC 5545, section 3.3.5).
pub fn parse_text_in(text: &str, zone: Option<&TimeZone>) -> Result<Micros, TimeError> {
    let text = text.trim_ascii();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(TimeError::Bad);
    }
    if let Some(number) = parse_number(text) {
        return number;
    }
    match parse_common(text.as_bytes()) {
        Some((micros, Some(offset_minutes))) => in_range(micros - offset_minutes * 60_000_000),
        Some((micros, None)) => {
            let zone = zone.ok_or(TimeError::Naive)?;
            let clock = Timestamp::from_microsecond(micros).map_err(|_| TimeError::OutOfRange)?;
            in_zone(Offset::UTC.to_datetime(clock), zone)
        }
        None => parse_other(text, zone),
    }
}

fn in_zone(clock: DateTime, zone: &TimeZone) -> Result<Micros, TimeError> {
    let moment = zone
        .to_timestamp(clock)
        .map_err(|_| TimeError::OutOfRange)?;
    in_range(moment.as_microsecond())
}

/// Appends the time as `2026-01-31T08:15:00Z`, with three digits of a second or six where they are
/// needed. Times outside of 1970 to 2200 are set to the nearest end.
pub fn write_rfc3339(out: &mut Vec<u8>, time: Micros) {
    let mut text = [0; RFC3339_BYTES_MAX];
    let length = format_rfc3339(&mut text, time);
    out.extend_from_slice(&text[..length]);
}

/// Displays a time as `write_rfc3339` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339(pub Micros);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; RFC3339_BYTES_MAX];
        let length = format_rfc3339(&mut text, self.0);
        f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

/// Digits, perhaps with a sign or one decimal point; `None` when it is not a number.
fn parse_number(text: &str) -> Option<Result<Micros, TimeError>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut points = 0;
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return None,
        }
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit()) || digits.ends_with('.') {
        return None;
    }
    match (negative, points) {
        (true, 0 | 1) => Some(Err(TimeError::OutOfRange)),
        (false, 0) => Some(
            digits
                .parse()
                .map_or(Err(TimeError::OutOfRange), parse_integer),
        ),
        (false, 1) => Some(digits.parse().map_or(Err(TimeError::Bad), parse_float)),
        _ => None,
    }
}

/// `2026-01-31T08:15:00[.123456789][Z|+02:00]`, as microseconds of its own clock and minutes from
/// UTC; `None` for any other form.
fn parse_common(text: &[u8]) -> Option<(Micros, Option<i64>)> {
    let (date_time, mut rest) = text.split_at_checked(19)?;
    let separators = [date_time[4], date_time[7], date_time[13], date_time[16]];
    if separators != *b"--::" || !matches!(date_time[10], b'T' | b't' | b' ') {
        return None;
    }
    let year = digits(&date_time[0..4])?;
    let (month, day) = (digits(&date_time[5..7])?, digits(&date_time[8..10])?);
    let (hour, minute) = (digits(&date_time[11..13])?, digits(&date_time[14..16])?);
    let second = digits(&date_time[17..19])?;
    let date_exists = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !date_exists || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 {
            return None;
        }
        let mut scale = 100_000;
        for digit in &fraction[..length.min(6)] {
            micros += i64::from(digit - b'0') * scale;
            scale /= 10;
        }
        rest = &fraction[length..];
    }
    let offset_minutes = match rest {
        b"" => None,
        _ => Some(parse_offset(rest)?),
    };
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds * 1_000_000 + micros, offset_minutes))
}

fn parse_offset(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let offset = hours * 60 + minutes;
            let valid = hours <= 23 && minutes <= 59;
            valid.then_some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn parse_other(text: &str, zone: Option<&TimeZone>) -> Result<Micros, TimeError> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return in_range(moment.as_microsecond());
    }
    let clock = text.parse::<DateTime>().map_err(|_| TimeError::Bad)?;
    // A zone's name in brackets would be passed over.
    match zone.filter(|_| !text.contains('[')) {
        Some(zone) => in_zone(clock, zone),
        None => Err(TimeError::Naive),
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let mut number = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

/// `2026-01-31T08:15:00.123456Z`
const RFC3339_BYTES_MAX: usize = 27;

fn format_rfc3339(text: &mut [u8; RFC3339_BYTES_MAX], time: Micros) -> usize {
    let time = time.clamp(0, super::MICROS_END);
    let (seconds, micros) = (time / 1_000_000, time % 1_000_000);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    text[..20].copy_from_slice(b"0000-00-00T00:00:00.");
    put_digits(&mut text[0..4], year);
    put_digits(&mut text[5..7], month);
    put_digits(&mut text[8..10], day);
    put_digits(&mut text[11..13], second_of_day / 3_600);
    put_digits(&mut text[14..16], second_of_day / 60 % 60);
    put_digits(&mut text[17..19], second_of_day % 60);
    let end = match micros {
        0 => 19,
        _ if micros % 1_000 == 0 => {
            put_digits(&mut text[20..23], micros / 1_000);
            23
        }
        _ => {
            put_digits(&mut text[20..26], micros);
            26
        }
    };
    text[end] = b'Z';
    end + 1
}

fn put_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
