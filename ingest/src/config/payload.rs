//! The keys of `[ingest]` that say how payloads are to be read.
//!
//! Owns: their checks, and what becomes of them: the zone is looked up here, once. Never: reads a
//! payload.

use std::fmt;

use documents::ConfigError;
use jiff::tz::TimeZone;
use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use telemetry::decode::{Options, TIME_FIELDS, TimeFields};
use telemetry::time::parse_text_in;

use super::{Config, wrong};

/// 2000-01-01, as [`telemetry::decode::TIME_MIN`]; a test holds them together.
pub(super) const MIN_TIME: &str = "2000-01-01";

/// One name, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TimeField(pub Vec<String>);

impl Default for TimeField {
    fn default() -> TimeField {
        TimeField(TIME_FIELDS.map(str::to_owned).to_vec())
    }
}

impl<'de> Deserialize<'de> for TimeField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeField, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = TimeField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<TimeField, E> {
                Ok(TimeField(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<TimeField, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(names)).map(TimeField)
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl Config {
    pub(super) fn options(&self) -> Result<Options, ConfigError> {
        let wrong = |key, problem: String, hint: &str| wrong(key, &problem).hint(hint);
        let time_fields = TimeFields::new(&self.time_field.0).map_err(|error| {
            let hint = "write the name of a member, such as \"sampled_at\", or a list of names";
            wrong("time_field", error.to_string(), hint)
        })?;
        let zone = match &self.time_zone {
            Some(name) => Some(zone(name).ok_or_else(|| {
                let hint = "write \"UTC\" or a name such as \"Europe/Berlin\"; zones other than \
                            UTC come from the system's time zone database (tzdata)";
                wrong("time_zone", format!("is `{name}`: no known zone"), hint)
            })?),
            None => None,
        };
        // A bare number would be seconds, and `2000` a moment in 1970.
        let time_min = Some(self.min_time.as_str())
            .filter(|text| text.contains('-'))
            .and_then(|text| parse_text_in(text, Some(&TimeZone::UTC)).ok())
            .ok_or_else(|| {
                let hint = "write a date such as \"2000-01-01\", or a time with its zone, from \
                            1970 on";
                wrong("min_time", format!("is `{}`: no time", self.min_time), hint)
            })?;
        Ok(Options {
            numbers_in_quotes: self.numbers_in_quotes,
            time_fields,
            zone,
            time_min,
        })
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok()
}
