//! Why a payload is not understood: a bounded word for counting, and the detail for people.

use super::{DEPTH_MAX, VALUES_MAX};
use crate::NAME_BYTES_MAX;
use crate::time::TimeError;

/// Texts of a payload are quoted in a message up to this many characters.
const QUOTED_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the payload is empty")]
    Empty,
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 { offset: usize },
    /// `offset` counts from the first byte behind a byte order mark.
    #[error("not JSON at byte {offset}: {detail}")]
    NotJson { offset: usize, detail: String },
    #[error("no finite number at byte {offset}: `{token}`")]
    NotFinite { offset: usize, token: String },
    #[error("`{key}` is `{text}`: {error}")]
    Time {
        key: String,
        text: String,
        error: TimeError,
    },
    #[error("objects and arrays nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("more than {VALUES_MAX} values")]
    TooManyValues,
    #[error("a value without a name")]
    EmptyName,
    #[error("the name `{name}…` is longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong { name: String },
    /// In a name or a text; PostgreSQL cannot store it.
    #[error("U+0000 in `{metric}`")]
    NulCharacter { metric: String },
    #[error("an array within the outer array")]
    UnsupportedShape,
}

impl DecodeError {
    /// A bounded word, for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeError::Empty => "empty",
            DecodeError::NotUtf8 { .. } => "not_utf8",
            DecodeError::NotJson { .. } => "not_json",
            DecodeError::NotFinite { .. } => "not_finite",
            DecodeError::Time { error, .. } => error.reason(),
            DecodeError::TooDeep => "too_deep",
            DecodeError::TooManyValues => "too_many_values",
            DecodeError::EmptyName => "empty_name",
            DecodeError::NameTooLong { .. } => "name_too_long",
            DecodeError::NulCharacter { .. } => "nul_character",
            DecodeError::UnsupportedShape => "unsupported_shape",
        }
    }
}

/// The beginning of a text of the payload, without the character that no store takes.
pub(super) fn quote(text: &str) -> String {
    text.chars()
        .take(QUOTED_CHARS_MAX)
        .map(|character| {
            if character == '\0' {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}
