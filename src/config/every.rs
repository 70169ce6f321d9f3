//! All mistakes of a section, though its crate reports one at a time.
//!
//! Owns: asking again with what was wrong taken out. Never: knows what a value means. Invariant:
//! each mistake is reported once, at the key and the number that the user wrote; the section counts
//! only when nothing was wrong.

use documents::ConfigError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Mistakes reported at most for one section, and so how often it is asked.
const MISTAKES_MAX: usize = 20;

/// An element of a list that is right, for one that is wrong: the others keep their numbers.
const STAND_INS: [(&str, &str); 2] = [
    ("listener", "kind = 'tcp'\naddress = '127.0.0.1:0'"),
    ("rule", "action = 'allow'"),
];

/// Asks `check` until it finds nothing more. `name`: the section's; keys of mistakes begin with it.
pub(super) fn mistake<C, T>(
    name: &str,
    section: &C,
    check: impl Fn(&C) -> Result<T, ConfigError>,
) -> Result<T, Vec<ConfigError>>
where
    C: Serialize + DeserializeOwned,
{
    let mut mistakes = match check(section) {
        Ok(settings) => return Ok(settings),
        Err(first) => vec![first],
    };
    let Ok(mut values) = Table::try_from(section) else {
        return Err(mistakes);
    };
    while mistakes.len() < MISTAKES_MAX {
        let last = mistakes.last().map_or("", |mistake| &mistake.key);
        let key = last.strip_prefix(name).unwrap_or(last);
        let key = key.trim_start_matches('.');
        let next = match take_out::<C>(&mut values, key).map(|section| check(&section)) {
            Some(Err(next)) => next,
            Some(Ok(_)) | None => break,
        };
        // A key that has its default now is not wrong any more: something else is.
        if mistakes.iter().any(|mistake| mistake.key == next.key) {
            break;
        }
        mistakes.push(next);
    }
    Err(mistakes)
}

/// The section without the entry: with its default, or with a stand-in for an element of a list.
/// `None` when there is none.
fn take_out<C: DeserializeOwned>(values: &mut Table, key: &str) -> Option<C> {
    let parts: Vec<&str> = key.split('.').collect();
    remove(values, &parts)?;
    C::deserialize(Value::Table(values.clone())).ok()
}

fn remove(table: &mut Table, parts: &[&str]) -> Option<()> {
    let (name, rest) = parts.split_first()?;
    if rest.is_empty() {
        return table.remove(*name).map(drop);
    }
    match table.get_mut(*name)? {
        Value::Table(inner) => remove(inner, rest),
        Value::Array(elements) => {
            let element = elements.get_mut(rest.first()?.parse::<usize>().ok()?)?;
            let (_, stand_in) = STAND_INS.into_iter().find(|(list, _)| list == name)?;
            *element = Value::Table(stand_in.parse().ok()?);
            Some(())
        }
        _ => table.remove(*name).map(drop),
    }
}
