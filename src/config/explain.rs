//! What serde and the TOML parser say, in words for the person who wrote the file.
//!
//! Owns: the wording of unknown keys, wrong types and values, and the nearest known name. Never:
//! reads a file. Invariant: a message that is not recognised is passed on as it is, so nothing is
//! ever hidden.

use super::document::Step;
use super::keys;

/// The similarity below which a name is no longer a typo of another; clap uses the same for its
/// suggestions.
const SIMILARITY_MIN: f64 = 0.7;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explained {
    pub(super) message: String,
    /// What stands beside the caret; may be empty.
    pub(super) label: String,
    pub(super) hint: Option<String>,
}

/// A message of serde about the entry at `path`; of our configuration, other sections are known as
/// well.
pub(super) fn serde_message(message: &str, path: &[Step], is_configuration: bool) -> Explained {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(rest, path, is_configuration);
    }
    let key = dotted(path);
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (value, known) = quoted_and_expected(rest);
        return Explained {
            message: format!("unknown value `{value}` of `{key}`"),
            label: format!("expected {}", one_of(&known)),
            hint: nearest(value, &known).map(did_you_mean),
        };
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return Explained {
            message: format!("missing key {rest} in {}", section(path)),
            label: String::new(),
            hint: None,
        };
    }
    for (prefix, what) in [
        ("invalid type: ", "wrong type"),
        ("invalid value: ", "wrong value"),
    ] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, ""));
            return wrong_value(what, &key, found, expected);
        }
    }
    let about = if key.is_empty() {
        String::new()
    } else {
        format!("`{key}`: ")
    };
    Explained {
        message: format!("{about}{message}"),
        label: String::new(),
        hint: None,
    }
}

/// A message of the TOML parser: the message, and what stands beside the caret.
pub(super) fn syntax_message(message: &str) -> (String, String) {
    match message.split_once(", expected ") {
        Some((problem, expected)) => (
            format!("not valid TOML: {problem}"),
            format!("expected {expected}"),
        ),
        None => (format!("not valid TOML: {message}"), String::new()),
    }
}

/// The known name that `name` is most likely a typo of.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The unknown name and the known ones, out of serde's "`x`, expected one of `a`, `b`".
pub(super) fn quoted_and_expected(rest: &str) -> (&str, Vec<&str>) {
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let name = quoted.next().unwrap_or_default();
    (name, quoted.collect())
}

fn unknown_key(rest: &str, path: &[Step], is_configuration: bool) -> Explained {
    let (name, known) = quoted_and_expected(rest);
    let inside = path
        .split_last()
        .map(|(_, parents)| parents)
        .unwrap_or_default();
    let message = match inside {
        [] => format!("unknown key `{name}`"),
        _ => format!("unknown key `{name}` in {}", section(inside)),
    };
    let elsewhere = || {
        let sections = if is_configuration {
            keys::sections_with(name)
        } else {
            Vec::new()
        };
        let found = sections.first()?;
        Some(format!("`{name}` is a key of `[{found}]`"))
    };
    let all = || (!known.is_empty()).then(|| format!("known keys: {}", known.join(", ")));
    let hint = nearest(name, &known)
        .map(did_you_mean)
        .or_else(elsewhere)
        .or_else(all);
    Explained {
        message,
        label: "not a known key".into(),
        hint,
    }
}

fn wrong_value(what: &str, key: &str, found: &str, expected: &str) -> Explained {
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
        label: if expected.is_empty() {
            String::new()
        } else {
            format!("expected {expected}")
        },
        hint: hint.map(str::to_owned).or(unquote),
    }
}

/// `journal.max_size`; elements of arrays are left out.
fn dotted(path: &[Step]) -> String {
    let keys = path.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Element(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// As the header of the section would be written.
fn section(path: &[Step]) -> String {
    let name = dotted(path);
    match path.last() {
        None => "the file".to_owned(),
        Some(Step::Key(_)) => format!("`[{name}]`"),
        Some(Step::Element(_)) => format!("`[[{name}]]`"),
    }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}
