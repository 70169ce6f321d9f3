//! What serde and the TOML parser object to, in words for the person who wrote the file.
//!
//! Owns: the wording of unknown keys, wrong types and values. Never: reads a file. Invariant: an
//! expectation that has no better words here is passed on as it is, so nothing is ever hidden.

use crate::fault::{Fault, FaultKind, Step};
use crate::{Keys, did_you_mean, nearest};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) message: String,
    /// What stands beside the caret; may be empty.
    pub(crate) label: String,
    pub(crate) hint: Option<String>,
}

/// `keys` of the whole document: an unknown one may belong into another section.
pub(crate) fn fault(fault: &Fault, keys: impl FnOnce() -> Keys) -> Explained {
    let path = fault.path();
    let key = dotted(&path);
    match &*fault.kind {
        FaultKind::UnknownKey { name, known } => unknown_key(name, known, &path, keys),
        FaultKind::UnknownValue { value, known } => Explained {
            message: format!("unknown value `{value}` of `{key}`"),
            label: format!("expected `{}`", known.join("` or `")),
            hint: nearest(value, known.iter().copied()).map(did_you_mean),
        },
        FaultKind::MissingKey(name) => Explained {
            message: format!("missing key `{name}` in {}", section(&path)),
            ..Explained::default()
        },
        FaultKind::WrongType { found, expected } => wrong("wrong type", &key, found, expected),
        FaultKind::WrongValue { found, expected } => wrong("wrong value", &key, found, expected),
        FaultKind::Other(message) if key.is_empty() => Explained {
            message: message.clone(),
            ..Explained::default()
        },
        FaultKind::Other(message) => Explained {
            message: format!("`{key}`: {message}"),
            ..Explained::default()
        },
    }
}

/// A message of the TOML parser.
pub(crate) fn syntax(message: &str) -> Explained {
    let (problem, expected) = match message.split_once(", expected ") {
        Some((problem, expected)) => (problem, format!("expected {expected}")),
        None => (message, String::new()),
    };
    Explained {
        message: format!("not valid TOML: {problem}"),
        label: expected,
        hint: None,
    }
}

fn unknown_key(
    name: &str,
    known: &[&str],
    path: &[&Step],
    keys: impl FnOnce() -> Keys,
) -> Explained {
    let message = match path {
        [] | [_] => format!("unknown key `{name}`"),
        [inside @ .., _] => format!("unknown key `{name}` in {}", section(inside)),
    };
    let elsewhere = || {
        let keys = keys();
        let section = keys.sections_with(name).next()?;
        Some(format!("`{name}` is a key of `[{section}]`"))
    };
    let all = || (!known.is_empty()).then(|| format!("known keys: {}", known.join(", ")));
    Explained {
        message,
        label: "not a known key".into(),
        hint: nearest(name, known.iter().copied())
            .map(did_you_mean)
            .or_else(elsewhere)
            .or_else(all),
    }
}

fn wrong(what: &str, key: &str, found: &str, expected: &str) -> Explained {
    let (expected, hint) = match expected {
        "a duration" => (
            expected,
            Some(r#"write a number and a unit, such as "10s" or "5m""#),
        ),
        // The words of the crate `bytesize`.
        "parsable string" | "an integer or string" => (
            "a size",
            Some(r#"write a number and a unit, such as "256MB" or "64KB""#),
        ),
        "u8" | "u16" | "u32" | "u64" | "usize" => ("a whole number, not negative", None),
        "i8" | "i16" | "i32" | "i64" | "isize" => ("a whole number", None),
        "f32" | "f64" => ("a number", None),
        "path string" => ("a path", None),
        "a boolean" => ("true or false", None),
        "a string" => ("a text in quotes", None),
        "a sequence" => ("a list", None),
        "a map" => ("a section", None),
        // The names of our own types mean nothing to the reader.
        _ if expected.starts_with("struct ") => ("a section", None),
        _ if expected.starts_with("enum ") => ("a text in quotes", None),
        _ => (expected, None),
    };
    let found = match found {
        "sequence" => "a list",
        "map" => "a section",
        other => other,
    };
    // A number was expected, and stands in quotes.
    let quoted = found
        .strip_prefix("string \"")
        .and_then(|text| text.strip_suffix('"'));
    let quoted = quoted.filter(|text| expected.contains("number") && text.parse::<f64>().is_ok());
    let unquote = quoted.map(|text| format!("leave out the quotes: {text}"));
    Explained {
        message: format!("{what} of `{key}`: {found}"),
        label: format!("expected {expected}"),
        hint: hint.map(str::to_owned).or(unquote),
    }
}

/// `journal.max_size`; elements of lists are left out.
fn dotted(path: &[&Step]) -> String {
    let keys = path.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Element => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// As the header of the section would be written.
fn section(path: &[&Step]) -> String {
    let name = dotted(path);
    match path.last() {
        None => "the file".to_owned(),
        Some(Step::Key(_)) => format!("`[{name}]`"),
        Some(Step::Element) => format!("`[[{name}]]`"),
    }
}
