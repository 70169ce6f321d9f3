//! Faults of syntax: a number that is no number, or no JSON at all, and the byte where it stands.

use super::error::{DecodeError, quote};

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
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
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
