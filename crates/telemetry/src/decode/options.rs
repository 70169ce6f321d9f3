//! What a user decides about payloads: where the time stands, which times count, what quotes mean.
//!
//! Owns: these choices, resolved once. Never: looks at a payload.

use jiff::tz::TimeZone;

use crate::{Micros, NAME_BYTES_MAX};

/// Names of the time field by default; of several in one object the first of the list counts.
pub const TIME_FIELDS: [&str; 3] = ["ts", "timestamp", "time"];

/// More names than fleets have dialects; each is compared with the names of a message.
const TIME_FIELDS_MAX: usize = 16;

/// 2000-01-01T00:00:00Z: a device that says less counts from its own start.
pub const TIME_MIN: Micros = 946_684_800_000_000;

#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a text that holds a number is that number.
    pub numbers_in_quotes: bool,
    pub time_fields: TimeFields,
    /// The zone of times that name none; without one they are refused.
    pub zone: Option<TimeZone>,
    /// Earlier times are refused.
    pub time_min: Micros,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            numbers_in_quotes: false,
            time_fields: TimeFields::default(),
            zone: None,
            time_min: TIME_MIN,
        }
    }
}

/// Names of the time field; the earlier wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFields {
    names: Vec<String>,
    /// They are those of [`TIME_FIELDS`], which are found without comparing each.
    default: bool,
    /// One of them has a dot: it stands in an object within.
    nested: bool,
}

/// Its place among the time fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimeKey(u8);

/// Why names cannot be those of a time field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeFieldsError {
    #[error("has an empty name")]
    Empty,
    #[error("has a name of more than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("has {0} names, not {TIME_FIELDS_MAX} at most")]
    TooMany(usize),
}

impl Default for TimeFields {
    fn default() -> TimeFields {
        TimeFields {
            names: TIME_FIELDS.map(str::to_owned).to_vec(),
            default: true,
            nested: false,
        }
    }
}

impl TimeFields {
    /// Without names every message has the time of its receipt.
    pub fn new(names: &[String]) -> Result<TimeFields, TimeFieldsError> {
        if names.len() > TIME_FIELDS_MAX {
            return Err(TimeFieldsError::TooMany(names.len()));
        }
        for name in names {
            if name.is_empty() {
                return Err(TimeFieldsError::Empty);
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(TimeFieldsError::TooLong);
            }
        }
        Ok(TimeFields {
            names: names.to_vec(),
            default: *names == TIME_FIELDS,
            nested: names.iter().any(|name| name.contains('.')),
        })
    }

    /// By the name of a member of the outer object.
    pub(super) fn find(&self, name: &str) -> Option<TimeKey> {
        if self.default {
            return match name {
                "ts" => Some(TimeKey(0)),
                "timestamp" => Some(TimeKey(1)),
                "time" => Some(TimeKey(2)),
                _ => None,
            };
        }
        let place = self.names.iter().position(|known| known == name)?;
        Some(TimeKey(place as u8))
    }

    pub(super) fn has_nested(&self) -> bool {
        self.nested
    }

    /// By the flattened name of a member of an object within.
    pub(super) fn find_nested(&self, path: &str) -> Option<TimeKey> {
        let place = self
            .names
            .iter()
            .position(|known| known.contains('.') && known == path)?;
        Some(TimeKey(place as u8))
    }

    pub(super) fn name(&self, key: TimeKey) -> &str {
        self.names
            .get(usize::from(key.0))
            .map_or("", String::as_str)
    }
}
