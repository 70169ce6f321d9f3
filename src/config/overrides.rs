//! What stands above the file: environment variables and flags.
//!
//! Owns: the names of environment variables, and one value of unknown type becoming a typed one.
//! Never: reads the environment itself. Invariant: a variable that is not a key is an error that
//! names the variable.

use documents::{Document, Keys, Problem};
use toml::{Table, Value};

use super::Config;

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

    /// What the configuration has against this value, all others left at their defaults.
    fn problems(&self) -> Vec<Problem> {
        let text = format!("{} = {}", self.key, self.value);
        Document::new(&self.origin, text).deserialize::<Config>().1
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
    let keys = Keys::of::<Config>();
    for (name, text) in ours {
        match from_variable(&name, &text, &keys) {
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
fn from_variable(name: &str, text: &str, keys: &Keys) -> Result<Override, Problem> {
    let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
    if !keys.names().any(|known| known == key) {
        return Err(unknown(name, &key, keys));
    }
    let as_text = Override {
        origin: name.to_owned(),
        key,
        value: Value::String(text.to_owned()),
    };
    let refused_text = as_text.problems();
    if refused_text.is_empty() {
        return Ok(as_text);
    }
    let Some(value) = toml_value(text) else {
        return Err(refused(name, refused_text));
    };
    let typed = Override { value, ..as_text };
    match typed.problems() {
        refused_typed if refused_typed.is_empty() => Ok(typed),
        refused_typed => Err(refused(name, refused_typed)),
    }
}

/// `None` when the text means nothing but itself.
fn toml_value(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    table.remove("value").filter(|value| !value.is_str())
}

/// A variable is not a file: what would stand beside the caret stands behind the message.
fn refused(origin: &str, problems: Vec<Problem>) -> Problem {
    let about = format!("environment variable `{origin}`");
    let Some(first) = problems.into_iter().next() else {
        return Problem::new(format!("{about} cannot be used"));
    };
    let expected = match first.place {
        Some(place) if !place.label.is_empty() => format!(", {}", place.label),
        _ => String::new(),
    };
    Problem::new(format!("{about}: {}{expected}", first.message)).hint_if(first.hint)
}

fn unknown(origin: &str, key: &str, keys: &Keys) -> Problem {
    let problem = Problem::new(format!(
        "environment variable `{origin}` names no key of the configuration"
    ));
    let meant = with_other_underscores(key, keys).or_else(|| nearest_key(key, keys));
    match meant {
        Some(key) => problem.hint(documents::did_you_mean(&variable_name(&key))),
        None => problem.hint("keys are written `MILLRACE_SECTION__KEY`, with two underscores"),
    }
}

/// The key with its first part that is not known replaced by the one it resembles.
fn nearest_key(written: &str, keys: &Keys) -> Option<String> {
    let mut parts: Vec<&str> = written.split('.').collect();
    for at in 0..parts.len() {
        let known = keys.of_section(&parts[..at].join("."))?;
        if !known.contains(&parts[at]) {
            parts[at] = documents::nearest(parts[at], known.iter().copied())?;
            return Some(parts.join("."));
        }
    }
    None
}

/// Letters that may differ when one underscore stands where two should, or the other way round.
const TYPOS_MAX: usize = 2;

/// The key that this is a typo of when underscores do not count.
fn with_other_underscores(written: &str, keys: &Keys) -> Option<String> {
    let plain = |key: &str| key.replace(['.', '_'], "");
    let wanted = plain(written);
    let values = keys.names().filter(|key| keys.of_section(key).is_none());
    values
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
