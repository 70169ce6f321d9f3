//! The names of all configuration keys, learned from the types themselves.
//!
//! Owns: nothing but the question. Never: lists a key by hand. Invariant: a key that a crate adds
//! to its section is known here at once, because serde names the fields of a struct when it refuses
//! an unknown one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize as _;
use toml::Value;

use super::{Config, explain};

/// No key of ours is called like this, so asking for it makes serde list the ones there are.
const PROBE: &str = "?";

/// Sections within sections; deeper nesting would be hard to write by hand.
const DEPTH_MAX: usize = 4;

/// The keys of each section by its dotted name; the top level is called "". Arrays of tables are
/// sections too.
pub(super) fn sections() -> &'static BTreeMap<String, Vec<String>> {
    static SECTIONS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
        let mut sections = BTreeMap::new();
        learn(&mut Vec::new(), &mut sections);
        sections
    });
    &SECTIONS
}

/// The sections that have a key of this name, without the top level.
pub(super) fn sections_with(key: &str) -> Vec<&'static str> {
    let with_key = sections()
        .iter()
        .filter(|(name, keys)| !name.is_empty() && keys.iter().any(|known| known == key));
    with_key.map(|(name, _)| name.as_str()).collect()
}

fn learn(path: &mut Vec<String>, sections: &mut BTreeMap<String, Vec<String>>) {
    let Some(keys) = fields_of(path) else { return };
    sections.insert(path.join("."), keys.clone());
    if path.len() == DEPTH_MAX {
        return;
    }
    for key in keys {
        path.push(key);
        learn(path, sections);
        path.pop();
    }
}

/// The keys below `path` when it is a section, or an array of them.
fn fields_of(path: &[String]) -> Option<Vec<String>> {
    let probe = Value::Table(
        [(PROBE.to_owned(), Value::Boolean(true))]
            .into_iter()
            .collect(),
    );
    refused_with_fields(path, probe.clone())
        .or_else(|| refused_with_fields(path, Value::Array(vec![probe])))
}

fn refused_with_fields(path: &[String], value: Value) -> Option<Vec<String>> {
    let document = path.iter().rev().fold(value, |inner, key| {
        Value::Table([(key.clone(), inner)].into_iter().collect())
    });
    let error = Config::deserialize(document).err()?;
    let rest = error.message().strip_prefix("unknown field ")?;
    let (name, known) = explain::quoted_and_expected(rest);
    (name == PROBE).then(|| known.into_iter().map(str::to_owned).collect())
}
