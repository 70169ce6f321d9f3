//! What stands above the file: environment variables and flags.
//!
//! Owns: the names of environment variables, and one value of unknown type becoming a typed one.
//! Never: reads the environment itself. Invariant: a variable that is not a key is an error that
//! names the variable.

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{Config, explain, keys};
use crate::diagnostics::Problem;

const PREFIX: &str = "MILLRACE_";

/// Variables with our prefix that are not keys: the path of the file itself, and what tests say to
/// the process.
const NOT_KEYS: [&str; 3] = ["MILLRACE_CONFIG", "MILLRACE_PASSWORD", "MILLRACE_TEST_"];

/// One value that replaces what the file says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    /// The flag (`--store`) or the environment variable (`MILLRACE_STORE__URL`).
    pub(crate) origin: String,
    /// The dotted key.
    pub(crate) key: String,
    pub(crate) value: Value,
}

impl Override {
    pub(crate) fn flag(flag: &str, key: &str, value: impl Into<String>) -> Override {
        Override {
            origin: flag.to_owned(),
            key: key.to_owned(),
            value: Value::String(value.into()),
        }
    }

    /// Lays the value over `table`.
    pub(super) fn apply(&self, table: &mut Table) {
        merge(table, self.tree(self.value.clone()));
    }

    fn tree(&self, value: Value) -> Table {
        let tree = self.key.rsplit('.').fold(value, |inner, key| {
            Value::Table([(key.to_owned(), inner)].into_iter().collect())
        });
        match tree {
            Value::Table(table) => table,
            _ => Table::new(),
        }
    }

    /// Whether the configuration takes this value, all others left at their defaults.
    fn check(&self, value: Value) -> Result<(), String> {
        match Config::deserialize(Value::Table(self.tree(value))) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.message().to_owned()),
        }
    }
}

/// The overrides among environment variables, and a problem for each that is none. Sorted by name.
pub(super) fn from_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Vec<Override>, Vec<Problem>) {
    let mut ours: Vec<_> = variables
        .into_iter()
        .filter(|(name, _)| is_key(name))
        .collect();
    ours.sort();
    let mut overrides = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in ours {
        match from_variable(&name, &text) {
            Ok(found) => overrides.push(found),
            Err(problem) => problems.push(problem),
        }
    }
    (overrides, problems)
}

/// `MILLRACE_JOURNAL__MAX_SIZE` for `journal.max_size`.
pub(super) fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

fn is_key(name: &str) -> bool {
    name.starts_with(PREFIX) && !NOT_KEYS.iter().any(|other| name.starts_with(other))
}

/// A variable has no type. Most keys take text (sizes and durations too), so text is tried first,
/// then what it would mean in the file: `true`, `5`, `["a", "b"]`.
fn from_variable(name: &str, text: &str) -> Result<Override, Problem> {
    let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
    let mut found = Override {
        origin: name.to_owned(),
        key,
        value: Value::String(text.to_owned()),
    };
    let Err(refused_text) = found.check(found.value.clone()) else {
        return Ok(found);
    };
    let Some(typed) = toml_value(text) else {
        return Err(refused(&found, &refused_text));
    };
    match found.check(typed.clone()) {
        Ok(()) => {
            found.value = typed;
            Ok(found)
        }
        Err(refused_typed) => Err(refused(&found, &refused_typed)),
    }
}

/// `None` when the text means nothing but itself.
fn toml_value(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    table.remove("value").filter(|value| !value.is_str())
}

fn refused(variable: &Override, message: &str) -> Problem {
    let origin = &variable.origin;
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(variable, rest);
    }
    // A key was taken for a section.
    if message.starts_with("invalid type: map") {
        return unknown(variable, "");
    }
    let key = variable
        .key
        .split('.')
        .map(|part| super::document::Step::Key(part.to_owned()));
    let explained = explain::serde_message(message, &key.collect::<Vec<_>>(), true);
    let expected = match explained.label.as_str() {
        "" => String::new(),
        label => format!(", {label}"),
    };
    let problem = Problem::new(format!(
        "environment variable `{origin}`: {}{expected}",
        explained.message
    ));
    match explained.hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn unknown(variable: &Override, rest: &str) -> Problem {
    let (name, known) = explain::quoted_and_expected(rest);
    let problem = Problem::new(format!(
        "environment variable `{}` names no key of the configuration",
        variable.origin
    ));
    if let Some(key) = with_other_underscores(&variable.key) {
        return problem.hint(explain::did_you_mean(&variable_name(&key)));
    }
    // The part that is not known, and what stands before it.
    let mut parts = variable.key.split('.');
    let before: Vec<_> = parts.by_ref().take_while(|part| *part != name).collect();
    match explain::nearest(name, &known) {
        Some(nearest) => {
            let key: Vec<_> = before.into_iter().chain([nearest]).chain(parts).collect();
            problem.hint(explain::did_you_mean(&variable_name(&key.join("."))))
        }
        None => problem.hint("keys are written `MILLRACE_SECTION__KEY`, with two underscores"),
    }
}

/// Letters that may differ when one underscore stands where two should, or the other way round.
const TYPOS_MAX: usize = 2;

/// The key that this is a typo of when underscores do not count.
fn with_other_underscores(written: &str) -> Option<String> {
    let plain = |key: &str| key.replace(['.', '_'], "");
    let wanted = plain(written);
    let keys = keys::sections().iter().flat_map(|(section, keys)| {
        keys.iter().map(move |key| match section.as_str() {
            "" => key.clone(),
            section => format!("{section}.{key}"),
        })
    });
    keys.filter(|key| !keys::sections().contains_key(key))
        .map(|key| (strsim::damerau_levenshtein(&plain(&key), &wanted), key))
        // In a short name two changed letters make another word.
        .filter(|(typos, key)| *typos <= TYPOS_MAX.min(key.len() / 4))
        .min()
        .map(|(_, key)| key)
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
