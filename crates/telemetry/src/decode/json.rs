//! JSON into the scratch memory, in one pass and without a tree.
//!
//! Owns: how the shapes are told apart while they are read. Never: allocates for a message without
//! escapes. The visitors carry no results: entries, times and failures all go to `Scratch`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::{DecodeError, quote};
use super::options::TimeKey;
use super::scratch::Scratch;
use super::syntax::{classify, is_not_finite};
use crate::Micros;
use crate::time::{TimeError, parse_float, parse_integer, parse_text_in};

/// RFC 8259, section 2.
pub(super) const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A member of the outer object that is the whole of its metric when the topic names it.
const VALUE: &str = "value";
/// A member of the outer object whose members count as the outer object's own.
const VALUES: &str = "values";

/// Whether a trimmed payload on a topic that names the metric is JSON, or meant to be, rather than
/// a bare text.
pub(super) fn looks_like_json(trimmed: &str) -> bool {
    let begins = |first: char| matches!(first, '{' | '[' | '"' | '-' | '+' | '.' | '0'..='9');
    trimmed.starts_with(begins)
        || matches!(trimmed, "true" | "false" | "null")
        || is_not_finite(trimmed)
}

pub(super) fn read(text: &str, scratch: &mut Scratch) -> Result<(), DecodeError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let outer = Outer {
        scratch: &mut *scratch,
        element: None,
    };
    outer
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| {
            let failure = scratch.take_failure();
            failure.unwrap_or_else(|| classify(text, &error))
        })
}

/// The payload itself, or one element of an outer array.
struct Outer<'s> {
    scratch: &'s mut Scratch,
    element: Option<usize>,
}

/// A value somewhere within; the scratch memory holds its name.
struct Inner<'s> {
    scratch: &'s mut Scratch,
    /// For `values` of the outer object: the name's length without it, should it be an object.
    transparent: Option<usize>,
    /// Its place in the array around it, not yet in the name.
    element: Option<usize>,
}

/// A member's name.
struct Key<'s> {
    scratch: &'s mut Scratch,
    outer: bool,
}

enum KeyKind {
    Time(TimeKey),
    Values,
    Metric,
}

/// The value of a time member.
struct Time<'s> {
    scratch: &'s mut Scratch,
    key: TimeKey,
}

/// Keeps the failure and gives the JSON reader an error to unwind with.
fn check<T, E: Error>(scratch: &mut Scratch, result: Result<T, DecodeError>) -> Result<T, E> {
    result.map_err(|failure| {
        scratch.fail(failure);
        E::custom("")
    })
}

impl<'de> DeserializeSeed<'de> for Outer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl Outer<'_> {
    fn bare<E: Error>(
        self,
        push: impl FnOnce(&mut Scratch) -> Result<(), DecodeError>,
    ) -> Result<(), E> {
        let path_len = self.scratch.path_len();
        let pushed = self.scratch.enter_bare(self.element);
        let pushed = pushed.and_then(|()| push(self.scratch));
        self.scratch.leave(path_len);
        check(self.scratch, pushed)
    }
}

impl<'de> Visitor<'de> for Outer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, an array of objects or a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let scratch = self.scratch;
        let descended = scratch.descend();
        check(scratch, descended)?;
        scratch.begin_group();
        let path_len = scratch.path_len();
        while let Some(kind) = map.next_key_seed(Key {
            scratch: &mut *scratch,
            outer: true,
        })? {
            let scratch = &mut *scratch;
            match kind {
                KeyKind::Time(key) => map.next_value_seed(Time { scratch, key })?,
                KeyKind::Values => map.next_value_seed(Inner {
                    scratch,
                    transparent: Some(path_len),
                    element: None,
                })?,
                KeyKind::Metric => map.next_value_seed(Inner {
                    scratch,
                    transparent: None,
                    element: None,
                })?,
            }
            scratch.leave(path_len);
        }
        scratch.ascend();
        let ended = scratch.end_group();
        check(scratch, ended)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let scratch = self.scratch;
        if self.element.is_some() {
            return check(scratch, Err(DecodeError::UnsupportedShape));
        }
        let descended = scratch.descend();
        check(scratch, descended)?;
        let mut index = 0;
        while elements
            .next_element_seed(Outer {
                scratch: &mut *scratch,
                element: Some(index),
            })?
            .is_some()
        {
            index += 1;
        }
        scratch.ascend();
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.bare(|scratch| scratch.push_number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.bare(|scratch| scratch.push_number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.bare(|scratch| scratch.push_number(number as f64))
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<(), E> {
        self.bare(|scratch| scratch.push_number(f64::from(u8::from(on))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.bare(|scratch| scratch.push_text(text))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if let Some(index) = self.element {
            let entered = self.scratch.enter_index(index);
            check(self.scratch, entered)?;
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let scratch = self.scratch;
        let descended = scratch.descend();
        check(scratch, descended)?;
        if let Some(path_len) = self.transparent {
            scratch.leave(path_len);
        }
        let path_len = scratch.path_len();
        while let Some(kind) = map.next_key_seed(Key {
            scratch: &mut *scratch,
            outer: false,
        })? {
            let scratch = &mut *scratch;
            match kind {
                KeyKind::Time(key) => map.next_value_seed(Time { scratch, key })?,
                KeyKind::Values | KeyKind::Metric => map.next_value_seed(Inner {
                    scratch,
                    transparent: None,
                    element: None,
                })?,
            }
            scratch.leave(path_len);
        }
        scratch.ascend();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let scratch = self.scratch;
        let descended = scratch.descend();
        check(scratch, descended)?;
        let path_len = scratch.path_len();
        let mut index = 0;
        while elements
            .next_element_seed(Inner {
                scratch: &mut *scratch,
                transparent: None,
                element: Some(index),
            })?
            .is_some()
        {
            scratch.leave(path_len);
            index += 1;
        }
        scratch.ascend();
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let pushed = self.scratch.push_number(number);
        check(self.scratch, pushed)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<(), E> {
        self.visit_f64(f64::from(u8::from(on)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let pushed = self.scratch.push_text(text);
        check(self.scratch, pushed)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = KeyKind;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<KeyKind, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = KeyKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<KeyKind, E> {
        if self.outer {
            if let Some(key) = self.scratch.options.time_fields.find(name) {
                return Ok(KeyKind::Time(key));
            }
            if name == VALUE && self.scratch.has_prefix() {
                return Ok(KeyKind::Metric);
            }
        }
        let entered = self.scratch.enter(name);
        check(self.scratch, entered)?;
        if !self.outer
            && let Some(key) = self.scratch.nested_time()
        {
            return Ok(KeyKind::Time(key));
        }
        match name {
            VALUES if self.outer => Ok(KeyKind::Values),
            _ => Ok(KeyKind::Metric),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Time<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl Time<'_> {
    fn found<T: fmt::Display>(self, time: Result<Micros, TimeError>, value: T) {
        let options = &self.scratch.options;
        let time = time
            .and_then(|time| {
                if time >= options.time_min {
                    Ok(time)
                } else {
                    Err(TimeError::BeforeMin(time))
                }
            })
            .map_err(|error| DecodeError::Time {
                key: options.time_fields.name(self.key).to_owned(),
                text: quote(&value.to_string()),
                error,
            });
        self.scratch.found_time(self.key, time);
    }

    fn refused<E: Error>(self, text: &str) -> Result<(), E> {
        let error = DecodeError::Time {
            key: self.scratch.options.time_fields.name(self.key).to_owned(),
            text: text.to_owned(),
            error: TimeError::Bad,
        };
        check(self.scratch, Err(error))
    }
}

impl<'de> Visitor<'de> for Time<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.found(parse_integer(number), number);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        let time = u64::try_from(number).map_err(|_| TimeError::OutOfRange);
        self.found(time.and_then(parse_integer), number);
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.found(parse_float(number), number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.scratch.is_mark(text) {
            self.found(Err(TimeError::Bad), "NaN");
            return Ok(());
        }
        let zone = self.scratch.options.zone.as_ref();
        let time = parse_text_in(text, zone);
        self.found(time, text);
        Ok(())
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<(), E> {
        self.found(Err(TimeError::Bad), on);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refused("{…}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refused("[…]")
    }
}
