//! From the text of `alerts.toml` to its values.
//!
//! Owns: which type each key has, and the words for a value that has another. Never: stops at the
//! first mistake, shows a name of a type of ours. Invariant: a value that could not be read is an
//! error, and its rule is marked as incomplete.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::RuleError;
use super::file::{KEYS, RuleEntry, RuleFile};

const BEGIN: &str = "rules begin with `[[rule]]`";
/// Letters that differ, at most, between a key and a typo of it.
const TYPO_DISTANCE_MAX: usize = 2;

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

/// The rules as far as they can be read, and all that cannot. What is not TOML has no rules.
pub(super) fn read(text: &str) -> (RuleFile, Vec<RuleError>) {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::default();
    for error in syntax {
        let span = error.span().unwrap_or(0..text.len().min(1));
        let message = error.message().trim().replace('\n', ", ");
        reader.add(span, lower_first(&message), None);
    }
    let rule = if reader.errors.is_empty() {
        reader.document(document.get_ref())
    } else {
        Vec::new()
    };
    (RuleFile { rule }, reader.errors)
}

#[derive(Default)]
struct Reader {
    errors: Vec<RuleError>,
}

impl Reader {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<RuleEntry> {
        let mut rules = Vec::new();
        for (key, value) in document.iter() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("rule", DeValue::Array(entries)) => {
                    rules.extend(entries.iter().filter_map(|entry| self.entry(entry)));
                }
                ("rule", _) => self.add(
                    key.span(),
                    "`rule` is not a list of rules".into(),
                    Some(BEGIN.into()),
                ),
                _ => self.unknown_key(key),
            }
        }
        rules
    }

    /// `None`: it has no name that could be used.
    fn entry(&mut self, entry: &Value<'_>) -> Option<RuleEntry> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.add(entry.span(), "not a rule".into(), Some(BEGIN.into()));
            return None;
        };
        let before = self.errors.len();
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
            self.add(entry.span(), "a rule needs the key `name`".into(), None);
        }
        name?;
        Some(RuleEntry {
            is_incomplete: self.errors.len() > before,
            ..read
        })
    }

    fn unknown_key(&mut self, key: &Spanned<DeString<'_>>) {
        let name = key.get_ref().as_ref();
        let known = KEYS.into_iter().chain(["rule"]);
        let nearest = known
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .min()
            .filter(|(distance, known)| *distance <= TYPO_DISTANCE_MAX && *distance < known.len());
        let hint = match nearest {
            Some((_, "rule")) => BEGIN.to_owned(),
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("a rule knows the keys `{}`", KEYS.join("`, `")),
        };
        self.add(key.span(), format!("unknown key `{name}`"), Some(hint));
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
                self.add(value.span(), message, unquoted(value));
                None
            }
        }
    }

    fn add(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        self.errors.push(RuleError {
            span,
            message,
            hint,
        });
    }
}

/// A number that was written as a text.
fn unquoted(value: &Value<'_>) -> Option<String> {
    let text = value.get_ref().as_str()?.trim();
    let number: f64 = text.parse().ok()?;
    (number.is_finite()).then(|| format!("leave out the quotes: {text}"))
}

struct Fields<'r, 't, 'i> {
    reader: &'r mut Reader,
    table: &'t DeTable<'i>,
}

impl<'t, 'i> Fields<'_, 't, 'i> {
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
            self.reader.add(value.span(), message, None);
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

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
