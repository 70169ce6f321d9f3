//! Faults of syntax: a number that is no number, or no JSON at all, and the byte where it stands.
//!
//! Python and others write NaN and Infinity, which JSON does not have. A message with one is read a
//! second time with a mark in its place, so that the other values are not lost with it.

use super::error::{DecodeError, quote};

/// The text that stands for what is no finite number: DEL in quotes. It is as short as the shortest
/// token, so that all bytes keep their places.
const MARK_IN_QUOTES: &str = "\"\u{7f}\"";
pub(super) const MARK: &str = "\u{7f}";

/// The reader's own error: is it a number that is no number, or no JSON at all?
pub(super) fn classify(text: &str, error: &serde_json::Error) -> DecodeError {
    let offset = offset_of(text, error);
    let message = error.to_string();
    let detail = message.split(" at line ").next().unwrap_or_default();
    let token = token_at(text, offset);
    // The words of serde_json's `ErrorCode::NumberOutOfRange`; a test holds them.
    if detail == "number out of range" || is_not_finite(token) {
        return DecodeError::NotFinite {
            offset,
            token: quote(token),
        };
    }
    DecodeError::NotJson {
        offset,
        detail: detail.to_owned(),
    }
}

/// From the error's line and column (both from 1, in bytes) to the offset of its byte.
fn offset_of(text: &str, error: &serde_json::Error) -> usize {
    let before = error.line().saturating_sub(1);
    let lines = text.split_inclusive('\n').take(before);
    let offset = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
    offset.min(text.len())
}

/// The word or number around a byte.
fn token_at(text: &str, offset: usize) -> &str {
    let bytes = text.as_bytes();
    let before = bytes[..offset]
        .iter()
        .rev()
        .take_while(|byte| belongs(byte))
        .count();
    let after = bytes[offset..]
        .iter()
        .take_while(|byte| belongs(byte))
        .count();
    // Both ends stand beside ASCII characters or at a boundary of their neighbours.
    text.get(offset - before..offset + after)
        .unwrap_or_default()
}

/// The tokens that languages write for what JSON has no number for.
pub(super) fn is_not_finite(token: &str) -> bool {
    let word = token.strip_prefix(['-', '+']).unwrap_or(token);
    ["nan", "inf", "infinity"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// A JSON number (RFC 8259, section 6).
pub(super) fn is_number(text: &str) -> bool {
    let (integer, rest) = split_digits(text.strip_prefix('-').unwrap_or(text));
    if integer.is_empty() || (integer.len() > 1 && integer.starts_with('0')) {
        return false;
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => (integer, rest),
    };
    let (exponent, rest) = match rest.strip_prefix(['e', 'E']) {
        Some(rest) => split_digits(rest.strip_prefix(['+', '-']).unwrap_or(rest)),
        None => (integer, rest),
    };
    !fraction.is_empty() && !exponent.is_empty() && rest.is_empty()
}

fn split_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

/// Copies a payload to `marked` with the mark in the place of every value that is no finite number;
/// false when there is none, or the payload has the mark itself.
pub(super) fn mark_not_finite(text: &str, marked: &mut String) -> bool {
    if text.contains(MARK) || text.contains("\\u007f") || text.contains("\\u007F") {
        return false;
    }
    marked.clear();
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            byte if belongs(byte) => {
                let end = at + bytes[at..].iter().take_while(|byte| belongs(byte)).count();
                let token = &text[at..end];
                if is_no_finite_number(token) && !is_name(&bytes[end..]) {
                    marked.push_str(&text[copied..at]);
                    marked.push_str(MARK_IN_QUOTES);
                    let rest = token.len().saturating_sub(MARK_IN_QUOTES.len());
                    marked.extend(std::iter::repeat_n(' ', rest));
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    marked.push_str(&text[copied..]);
    copied > 0
}

/// The byte behind a string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_no_finite_number(token: &str) -> bool {
    let too_large =
        || is_number(token) && token.parse::<f64>().is_ok_and(|number| !number.is_finite());
    is_not_finite(token) || too_large()
}

/// Whether what stands before these bytes is a member's name, wrong as it is.
fn is_name(behind: &[u8]) -> bool {
    let next = behind.iter().find(|byte| !byte.is_ascii_whitespace());
    next == Some(&b':')
}

/// Whether the byte is part of a word or number.
fn belongs(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
