//! Payload bytes to entries.
//!
//! Owns: which payloads are understood and what they mean. Never: keeps anything of a message but
//! the capacity of its scratch memory. Invariant: any bytes give entries within the bounds or an
//! error with a bounded reason, never a panic.
//!
//! What is understood, as UTF-8 (a byte order mark before it is skipped):
//!
//! ```text
//! {"k": v, …}                          one entry a member
//! {"ts": time, "values": {"k": v}}     the same: `values`, when it is an object, adds no prefix
//! [{…}, {…}]                           each object on its own, with its own time
//! v                                    one entry with the metric `value`, or the topic's metric
//! ```
//!
//! - A value is a number, a bool (0 or 1) or a text; null is ignored. Objects and arrays within are
//!   flattened: `{"engine": {"oil": [7]}}` is `engine.oil.0`. Equal names, repeated or made equal
//!   by flattening, are all kept.
//! - A time field at the top of an object gives its entries their time, wherever it stands; when
//!   there are several, the earlier of [`Options`] wins (`ts` over `timestamp` over `time`), and of
//!   one name the last. A name with dots is that of a member within. See [`crate::time`]. Null is
//!   no time. A time before the earliest of [`Options`] is refused.
//! - When the topic names the metric `m`, it is the prefix: `value` is `m`, another member `k` is
//!   `m.k`, and a payload that does not look like JSON is a text, as in `ON`.
//! - Integers become the nearest float. A number too large for one (1e999) and the tokens NaN and
//!   Infinity, which JSON does not have, are counted and no entries. Quoted, they are texts.
//! - A text that holds a number is a text, or that number ([`Options::numbers_in_quotes`]).
//! - U+0000 in a name or a text is refused here because PostgreSQL refuses it later.

mod error;
mod json;
mod options;
mod scratch;
mod syntax;
#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use options::{Options, TIME_FIELDS, TIME_MIN, TimeFields, TimeFieldsError};
pub use scratch::Entries;

use scratch::{RETAINED_BYTES_MAX, Scratch};

/// More entries than any device sends at once; a batch of a few thousand samples passes.
pub const VALUES_MAX: usize = 10_000;

/// Containers within containers. Real payloads have two or three; the bound keeps the stack small.
pub const DEPTH_MAX: usize = 32;

/// Decodes messages one after another without allocating, once its scratch memory has grown to
/// their size.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: Scratch,
    /// A payload with marks in the place of what is no finite number.
    marked: String,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder::default()
    }

    pub fn with_options(options: Options) -> Decoder {
        Decoder {
            scratch: Scratch::new(options),
            marked: String::new(),
        }
    }

    /// The entries of a message; none when it is understood but holds no value, as in `{}`, or
    /// nothing but numbers that are not finite.
    pub fn decode(
        &mut self,
        payload: &[u8],
        metric_from_topic: Option<&str>,
    ) -> Result<Entries<'_>, DecodeError> {
        self.scratch.reset(metric_from_topic)?;
        let text = std::str::from_utf8(payload).map_err(|error| DecodeError::NotUtf8 {
            offset: error.valid_up_to(),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let trimmed = text.trim_matches(json::WHITESPACE);
        if trimmed.is_empty() {
            return Err(DecodeError::Empty);
        }
        if metric_from_topic.is_some() && !json::looks_like_json(trimmed) {
            self.scratch.bare_text(trimmed)?;
        } else if let Err(error) = json::read(text, &mut self.scratch) {
            self.read_marked(text, metric_from_topic, error)?;
        }
        Ok(self.scratch.entries())
    }

    /// Reads a message again without the numbers that are not finite, if that was its fault.
    #[cold]
    fn read_marked(
        &mut self,
        text: &str,
        metric_from_topic: Option<&str>,
        error: DecodeError,
    ) -> Result<(), DecodeError> {
        let Decoder { scratch, marked } = self;
        let DecodeError::NotFinite { .. } = error else {
            return Err(error);
        };
        if !syntax::mark_not_finite(text, marked) {
            return Err(error);
        }
        scratch.reset(metric_from_topic)?;
        scratch.expect_marks();
        let read = json::read(marked, scratch);
        marked.clear();
        marked.shrink_to(RETAINED_BYTES_MAX);
        read
    }
}
