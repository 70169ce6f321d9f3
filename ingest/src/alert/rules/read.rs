//! From the text of `alerts.toml` to its values.
//!
//! Owns: which type each key has, and the words for a value that has another. Never: stops at the
//! first mistake, shows a name of a type of ours. Invariant: a value that could not be read is an
//! error, and its rule is marked as incomplete.

use std::collections::BTreeMap;

use documents::Mistakes;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::file::{KEYS, RuleEntry, RuleFile};

const BEGIN: &str = "rules begin with `[[rule]]`";

type Value<'t> = Spanned<DeValue<'t>>;

/// What a value must be, as the end of a sentence, and an example of it.
#[derive(Clone, Copy)]
struct Demand(&'static str);

const NUMBER: Demand = Demand("a number, such as 80");
const TEXT: Demand = Demand("a text in quotes");
const DURATION: Demand = Demand("a duration in quotes, such as \"5m\" or \"1h 30m\"");
const RANGE: Demand = Demand("a range of two numbers, such as [10, 80]");
const CLEAR: Demand = Demand("a number, such as 75, or a range, such as [20, 70]");
const TEXTS: Demand = Demand("a table of texts, such as { site = \"north\" }");

/// The rules as far as they can be read; what cannot is a mistake.
pub(super) fn read(document: &DeTable<'_>, mistakes: &mut Mistakes<'_>) -> RuleFile {
    let rule = Reader { mistakes }.document(document);
    RuleFile { rule }
}

struct Reader<'m, 'd> {
    mistakes: &'m mut Mistakes<'d>,
}

impl Reader<'_, '_> {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<RuleEntry> {
        let mut rules = Vec::new();
        for (key, value) in document.iter() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("rule", DeValue::Array(entries)) => {
                    rules.extend(entries.iter().filter_map(|entry| self.entry(entry)));
                }
                ("rule", _) => {
                    let message = "`rule` is not a list of rules";
                    self.mistakes.hint(key.span(), message, BEGIN);
                }
                _ => self.unknown_key(key),
            }
        }
        rules
    }

    /// `None`: it has no name that could be used.
    fn entry(&mut self, entry: &Value<'_>) -> Option<RuleEntry> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.mistakes.hint(entry.span(), "not a rule", BEGIN);
            return None;
        };
        let before = self.mistakes.len();
        for (key, _) in table.iter() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                self.unknown_key(key);
            }
        }
        let mut fields = Fields {
            reader: self,
            table,
        };
        let name = fields.get("name", TEXT);
        let read = RuleEntry {
            name: name.clone().unwrap_or(Spanned::new(0..0, String::new())),
            device: fields.get("device", TEXT),
            metric: fields.get("metric", TEXT),
            labels: fields.labels(),
            above: fields.get("above", NUMBER),
            below: fields.get("below", NUMBER),
            outside: fields.get("outside", RANGE),
            clear: fields.get("clear", CLEAR),
            hold: fields.get("for", DURATION),
            silent_for: fields.get("silent_for", DURATION),
            severity: fields.get("severity", TEXT),
            message: fields.get("message", TEXT),
            is_incomplete: false,
        };
        if name.is_none() && !table.iter().any(|(key, _)| key.get_ref() == "name") {
            let message = "a rule needs the key `name`";
            self.mistakes.add(entry.span(), message);
        }
        name?;
        Some(RuleEntry {
            is_incomplete: self.mistakes.len() > before,
            ..read
        })
    }

    fn unknown_key(&mut self, key: &Spanned<DeString<'_>>) {
        if documents::is_typo(key.get_ref(), "rule") {
            let message = format!("unknown key `{}`", key.get_ref());
            self.mistakes.hint(key.span(), message, BEGIN);
        } else {
            let all = || format!("a rule knows the keys `{}`", KEYS.join("`, `"));
            self.mistakes.unknown_key(key, &KEYS, all);
        }
    }

    /// One value; what it is instead of what it must be is an error.
    fn value<T: DeserializeOwned>(
        &mut self,
        key: &str,
        value: &Value<'_>,
        demand: Demand,
    ) -> Option<Spanned<T>> {
        match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(_) => {
                let message = format!("`{key}` must be {}", demand.0);
                match unquoted(value) {
                    Some(hint) => self.mistakes.hint(value.span(), message, hint),
                    None => self.mistakes.add(value.span(), message),
                }
                None
            }
        }
    }
}

/// A number that was written as a text.
fn unquoted(value: &Value<'_>) -> Option<String> {
    let text = value.get_ref().as_str()?.trim();
    let number: f64 = text.parse().ok()?;
    (number.is_finite()).then(|| format!("leave out the quotes: {text}"))
}

struct Fields<'r, 'm, 'd, 't, 'i> {
    reader: &'r mut Reader<'m, 'd>,
    table: &'t DeTable<'i>,
}

impl<'t, 'i> Fields<'_, '_, '_, 't, 'i> {
    fn get<T: DeserializeOwned>(&mut self, key: &str, demand: Demand) -> Option<Spanned<T>> {
        let value = self.find(key)?;
        self.reader.value(key, value, demand)
    }

    fn labels(&mut self) -> BTreeMap<String, Spanned<String>> {
        let Some(value) = self.find("labels") else {
            return BTreeMap::new();
        };
        let DeValue::Table(labels) = value.get_ref() else {
            let message = format!("`labels` must be {}", TEXTS.0);
            self.reader.mistakes.add(value.span(), message);
            return BTreeMap::new();
        };
        let mut read = BTreeMap::new();
        for (name, value) in labels.iter() {
            let key = format!("labels.{}", name.get_ref());
            if let Some(text) = self.reader.value(&key, value, TEXT) {
                read.insert(name.get_ref().to_string(), text);
            }
        }
        read
    }

    fn find(&self, key: &str) -> Option<&'t Value<'i>> {
        let mut entries = self.table.iter();
        entries.find_map(|(name, value)| (name.get_ref() == key).then_some(value))
    }
}
