//! What serde objects to, as data.
//!
//! Owns: the error of our deserializer. Never: words it for people, which is `explain`. Invariant:
//! names and expectations are kept as serde gives them, so that no text has to be taken apart.

use std::fmt;
use std::ops::Range;

use serde::de::{Error, Expected, Unexpected};
use toml::Spanned;
use toml::de::DeValue;

/// One step from the root of a document to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    /// An element of a list.
    Element,
}

/// An entry of a parsed document, by where it lies in memory.
pub(crate) type EntryId = *const Spanned<DeValue<'static>>;

#[derive(Debug)]
pub(crate) struct Fault {
    /// Boxed, because the error of every value is as large as the largest.
    pub(crate) kind: Box<FaultKind>,
    pub(crate) span: Option<Range<usize>>,
    /// The innermost entry around it; `None`: the document itself.
    pub(crate) entry: Option<EntryId>,
    /// From the innermost entry outwards.
    path: Vec<Step>,
    /// It only says that an entry is missing that was left out because it is wrong.
    pub(crate) is_consequence: bool,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    UnknownKey {
        name: String,
        known: &'static [&'static str],
    },
    UnknownValue {
        value: String,
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    WrongType {
        found: String,
        expected: String,
    },
    WrongValue {
        found: String,
        expected: String,
    },
    Other(String),
}

impl Fault {
    fn new(kind: FaultKind) -> Fault {
        Fault {
            kind: Box::new(kind),
            span: None,
            entry: None,
            path: Vec::new(),
            is_consequence: false,
        }
    }

    /// Adds the place, unless a place further inside is known.
    pub(crate) fn at(mut self, span: Range<usize>) -> Fault {
        self.span.get_or_insert(span);
        self
    }

    /// Adds the entry that it happened in.
    pub(crate) fn inside(mut self, step: Step, entry: EntryId) -> Fault {
        self.path.push(step);
        self.entry.get_or_insert(entry);
        self
    }

    /// From the root.
    pub(crate) fn path(&self) -> Vec<&Step> {
        self.path.iter().rev().collect()
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(FaultKind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(FaultKind::WrongType {
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(FaultKind::WrongValue {
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    fn unknown_variant(value: &str, known: &'static [&'static str]) -> Fault {
        let value = value.to_owned();
        Fault::new(FaultKind::UnknownValue { value, known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Fault {
        let name = name.to_owned();
        Fault::new(FaultKind::UnknownKey { name, known })
    }

    fn missing_field(name: &'static str) -> Fault {
        Fault::new(FaultKind::MissingKey(name))
    }
}

// serde asks for both.
impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}
