//! The decoder's memory: names and texts in one arena, entries as ranges of it.
//!
//! Owns: the bounds on names and values, and the time of a group of entries. Invariant: a failure
//! is kept here in full while the JSON reader unwinds with an empty error of its own.

use std::slice;

use super::error::{DecodeError, quote};
use super::json::WHITESPACE;
use super::options::{Options, TimeKey};
use super::syntax::{MARK, is_number};
use super::{DEPTH_MAX, VALUES_MAX};
use crate::{Entry, Micros, NAME_BYTES_MAX, Value};

/// A rare large message does not keep its memory: scratch beyond this is given back with the next
/// message.
pub(super) const RETAINED_BYTES_MAX: usize = 1 << 20;

/// The metric of a bare value when the topic names none.
const BARE_METRIC: &str = "value";

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) options: Options,
    /// Names and text values, one behind the other.
    text: String,
    /// The name under construction, from the topic's metric down to the current member.
    path: String,
    /// Bytes of `path` that are the topic's metric.
    prefix_len: usize,
    entries: Vec<RawEntry>,
    depth: usize,
    /// The first entry that waits for its object's time.
    group_start: usize,
    time: Option<TimeFound>,
    failure: Option<DecodeError>,
    /// Whether the mark stands for what is no finite number.
    marked: bool,
    not_finite: usize,
}

#[derive(Debug, Clone)]
struct RawEntry {
    metric: Span,
    time: Option<Micros>,
    value: RawValue,
}

#[derive(Debug, Clone)]
enum RawValue {
    Number(f64),
    Text(Span),
}

/// Bytes of the arena.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug)]
struct TimeFound {
    key: TimeKey,
    time: Result<Micros, DecodeError>,
}

impl Scratch {
    pub(super) fn new(options: Options) -> Scratch {
        Scratch {
            options,
            ..Scratch::default()
        }
    }

    pub(super) fn reset(&mut self, metric_from_topic: Option<&str>) -> Result<(), DecodeError> {
        self.text.clear();
        self.text.shrink_to(RETAINED_BYTES_MAX);
        self.entries.clear();
        self.entries
            .shrink_to(RETAINED_BYTES_MAX / size_of::<RawEntry>());
        self.path.clear();
        self.prefix_len = 0;
        self.depth = 0;
        self.group_start = 0;
        self.time = None;
        self.failure = None;
        self.marked = false;
        self.not_finite = 0;
        if let Some(metric) = metric_from_topic {
            self.enter(metric)?;
            self.prefix_len = self.path.len();
        }
        Ok(())
    }

    pub(super) fn entries(&self) -> Entries<'_> {
        Entries {
            raw: self.entries.iter(),
            text: &self.text,
            not_finite: self.not_finite,
        }
    }

    /// What follows is the payload with marks in it.
    pub(super) fn expect_marks(&mut self) {
        self.marked = true;
    }

    pub(super) fn is_mark(&self, text: &str) -> bool {
        self.marked && text == MARK
    }

    /// The time field that the name under construction is, in an object within.
    pub(super) fn nested_time(&self) -> Option<TimeKey> {
        let fields = &self.options.time_fields;
        if !fields.has_nested() {
            return None;
        }
        let path = &self.path[self.prefix_len..];
        fields.find_nested(path.strip_prefix('.').unwrap_or(path))
    }

    pub(super) fn has_prefix(&self) -> bool {
        self.prefix_len > 0
    }

    /// The name's length before a member is entered; give it to `leave` afterwards.
    pub(super) fn path_len(&self) -> usize {
        self.path.len()
    }

    pub(super) fn leave(&mut self, path_len: usize) {
        self.path.truncate(path_len);
    }

    /// Appends a member's name to the name under construction.
    pub(super) fn enter(&mut self, name: &str) -> Result<(), DecodeError> {
        if name.is_empty() {
            return Err(DecodeError::EmptyName);
        }
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        if self.path.len() > NAME_BYTES_MAX {
            return Err(DecodeError::NameTooLong {
                name: quote(&self.path),
            });
        }
        self.check_nul(name)
    }

    pub(super) fn enter_index(&mut self, index: usize) -> Result<(), DecodeError> {
        // An index beyond the bound on values needs nulls before it; it is still written right.
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = index;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.enter(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    /// Begins the name of a value that stands alone, or as the element `index` of the outer array.
    pub(super) fn enter_bare(&mut self, index: Option<usize>) -> Result<(), DecodeError> {
        if !self.has_prefix() {
            self.enter(BARE_METRIC)?;
        }
        match index {
            Some(index) => self.enter_index(index),
            None => Ok(()),
        }
    }

    pub(super) fn descend(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        Ok(())
    }

    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn push_number(&mut self, number: f64) -> Result<(), DecodeError> {
        self.push(RawValue::Number(number))
    }

    pub(super) fn push_text(&mut self, text: &str) -> Result<(), DecodeError> {
        if self.is_mark(text) {
            self.check_room()?;
            self.not_finite += 1;
            return Ok(());
        }
        if self.options.numbers_in_quotes
            && let Some(number) = number_in(text)
        {
            return self.push_number(number);
        }
        self.check_nul(text)?;
        let value = RawValue::Text(self.keep(text));
        self.push(value)
    }

    /// A whole payload that is a text without quotes.
    pub(super) fn bare_text(&mut self, text: &str) -> Result<(), DecodeError> {
        self.enter_bare(None)?;
        self.push_text(text)
    }

    pub(super) fn begin_group(&mut self) {
        self.group_start = self.entries.len();
        self.time = None;
    }

    pub(super) fn found_time(&mut self, key: TimeKey, time: Result<Micros, DecodeError>) {
        if self.time.as_ref().is_none_or(|found| key <= found.key) {
            self.time = Some(TimeFound { key, time });
        }
    }

    /// Gives the group's entries the time that was found among them.
    pub(super) fn end_group(&mut self) -> Result<(), DecodeError> {
        if let Some(found) = self.time.take() {
            let time = found.time?;
            for entry in &mut self.entries[self.group_start..] {
                entry.time = Some(time);
            }
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, error: DecodeError) {
        self.failure = Some(error);
    }

    pub(super) fn take_failure(&mut self) -> Option<DecodeError> {
        self.failure.take()
    }

    fn push(&mut self, value: RawValue) -> Result<(), DecodeError> {
        self.check_room()?;
        let start = self.text.len();
        self.text.push_str(&self.path);
        let metric = Span {
            start,
            end: self.text.len(),
        };
        self.entries.push(RawEntry {
            metric,
            time: None,
            value,
        });
        Ok(())
    }

    fn check_room(&self) -> Result<(), DecodeError> {
        if self.entries.len() + self.not_finite >= VALUES_MAX {
            return Err(DecodeError::TooManyValues);
        }
        Ok(())
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        Span {
            start,
            end: self.text.len(),
        }
    }

    fn check_nul(&self, text: &str) -> Result<(), DecodeError> {
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::NulCharacter {
                metric: quote(&self.path),
            });
        }
        Ok(())
    }
}

/// What is written as JSON writes a finite number; `007` and `1,5` are not.
fn number_in(text: &str) -> Option<f64> {
    let text = text.trim_matches(WHITESPACE);
    let number: f64 = if is_number(text) {
        text.parse().ok()?
    } else {
        return None;
    };
    number.is_finite().then_some(number)
}

/// The entries of one message, in the payload's order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    raw: slice::Iter<'a, RawEntry>,
    text: &'a str,
    not_finite: usize,
}

impl<'a> Entries<'a> {
    /// The entry `index` of those that have not been iterated over.
    pub fn get(&self, index: usize) -> Option<Entry<'a>> {
        self.raw.as_slice().get(index).map(|raw| self.entry(raw))
    }

    /// Further values that are no finite numbers, and so no entries.
    pub fn not_finite(&self) -> usize {
        self.not_finite
    }

    fn entry(&self, raw: &RawEntry) -> Entry<'a> {
        let text = self.text;
        Entry {
            metric: &text[raw.metric.start..raw.metric.end],
            time: raw.time,
            value: match raw.value {
                RawValue::Number(number) => Value::Number(number),
                RawValue::Text(span) => Value::Text(&text[span.start..span.end]),
            },
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let raw = self.raw.next()?;
        Some(self.entry(raw))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raw.size_hint()
    }
}

impl ExactSizeIterator for Entries<'_> {}
