//! `acl.toml`: from text to rules, with the place of everything that is wrong.
//!
//! Owns: the names of the keys and every demand on their values. Never: stops at the first mistake.
//! Invariant: a file gives rules only when nothing in it is wrong.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::principal::Placeholder;
use super::rule::{Actions, Level, Names, Rule, Template, Who};
use super::{Decision, RuleError};
use mqtt::topic::TopicLimits;

/// Rules in one file; far more than anybody can look after, and few enough to read anew whenever
/// the file changes.
const RULES_MAX: usize = 10_000;

/// The keys of a `[[rule]]`.
const KEYS: [&str; 8] = [
    "allow",
    "deny",
    "user",
    "group",
    "client",
    "certificate",
    "anonymous",
    "topics",
];

/// Letters that differ, at most, between a key and a typo of it.
const TYPO_DISTANCE_MAX: usize = 2;

/// Reads the rules, or tells all that is wrong, in the order of the file.
pub(super) fn parse(text: &str) -> Result<Vec<Rule>, Vec<RuleError>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::default();
    for error in syntax {
        reader.add(error.span().unwrap_or(0..0), not_toml(error.message()));
    }
    let rules = if reader.errors.is_empty() {
        reader.document(document.get_ref())
    } else {
        Vec::new()
    };
    if reader.errors.is_empty() {
        Ok(rules)
    } else {
        reader.errors.sort_by_key(|error| error.span.start);
        Err(reader.errors)
    }
}

#[derive(Default)]
struct Reader {
    errors: Vec<RuleError>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl Reader {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (key, value) in document.iter() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("rule", DeValue::Array(entries)) => {
                    if let Some(excess) = entries.get(RULES_MAX) {
                        self.add(excess.span(), format!("more than {RULES_MAX} rules"));
                    }
                    rules.extend(entries.iter().filter_map(|entry| self.entry(entry)));
                }
                ("rule", _) => self.hint(key.span(), "not a list of rules", BEGIN),
                (unknown, _) => {
                    let hint = if is_typo(unknown, "rule") || KEYS.contains(&unknown) {
                        BEGIN.to_owned()
                    } else {
                        "the file holds `[[rule]]` tables and nothing else".to_owned()
                    };
                    self.hint(key.span(), format!("unknown key `{unknown}`"), hint);
                }
            }
        }
        if rules.is_empty() && self.errors.is_empty() {
            self.hint(
                0..0,
                "there are no rules, so nobody could publish or subscribe",
                "write at least one `[[rule]]`; without a file the rules of config/acl.toml hold",
            );
        }
        rules
    }

    fn entry(&mut self, entry: &Value<'_>) -> Option<Rule> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.hint(entry.span(), "not a rule", BEGIN);
            return None;
        };
        let before = self.errors.len();
        let mut span = entry.span();
        // Keys that a misspelt one stands for are not missing.
        let mut meant = Vec::new();
        for (key, value) in table.iter() {
            span.end = span.end.max(value.span().end);
            meant.extend(self.check_key(key));
        }
        let get = |name: &str| {
            let mut entries = table.iter();
            entries.find_map(|(key, value)| (key.get_ref() == name).then_some(value))
        };
        let effect = match (get("allow"), get("deny")) {
            (None, None) if meant.contains(&"allow") || meant.contains(&"deny") => None,
            (allow, deny) => self.effect(entry, allow, deny),
        };
        let who = Who {
            anonymous: self.anonymous(get("anonymous"), get("user")),
            user: get("user").map(|value| self.names("user", value)),
            group: get("group").map(|value| self.names("group", value)),
            client: get("client").map(|value| self.names("client", value)),
            certificate: get("certificate").map(|value| self.names("certificate", value)),
        };
        let topics = match get("topics") {
            Some(value) => self.topics(value),
            None if meant.contains(&"topics") => Vec::new(),
            None => {
                self.hint(
                    entry.span(),
                    "a rule needs the key `topics`",
                    "list topic filters, such as [\"devices/%u/#\"]",
                );
                Vec::new()
            }
        };
        let (effect, actions) = effect?;
        (self.errors.len() == before).then_some(Rule {
            effect,
            actions,
            who,
            topics,
            span,
        })
    }

    /// The key that an unknown one was probably meant to be.
    fn check_key(&mut self, key: &Spanned<DeString<'_>>) -> Option<&'static str> {
        let name = key.get_ref().as_ref();
        if KEYS.contains(&name) {
            return None;
        }
        let nearest = KEYS.into_iter().filter(|known| is_typo(name, known));
        let nearest = nearest.min_by_key(|known| strsim::damerau_levenshtein(name, known));
        let hint = match nearest {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("a rule knows the keys `{}`", KEYS.join("`, `")),
        };
        self.hint(key.span(), format!("unknown key `{name}`"), hint);
        nearest
    }

    fn effect(
        &mut self,
        entry: &Value<'_>,
        allow: Option<&Value<'_>>,
        deny: Option<&Value<'_>>,
    ) -> Option<(Decision, Actions)> {
        match (allow, deny) {
            (Some(value), None) => Some((Decision::Allow, self.actions("allow", value)?)),
            (None, Some(value)) => Some((Decision::Deny, self.actions("deny", value)?)),
            (Some(_), Some(deny)) => {
                let hint = "write two rules: the first that fits decides";
                self.hint(deny.span(), "a rule cannot both allow and deny", hint);
                None
            }
            (None, None) => {
                let hint = "write what it is about: \"publish\", \"subscribe\" or \"both\"";
                self.hint(entry.span(), "a rule needs the key `allow` or `deny`", hint);
                None
            }
        }
    }

    fn actions(&mut self, key: &str, value: &Value<'_>) -> Option<Actions> {
        match value.get_ref().as_str() {
            Some("publish") => return Some(Actions::Publish),
            Some("subscribe") => return Some(Actions::Subscribe),
            Some("both") => return Some(Actions::Both),
            Some(other) => self.hint(
                value.span(),
                format!("`{other}` is nothing that can be done with a topic"),
                "write \"publish\", \"subscribe\" or \"both\"",
            ),
            None => self.hint(
                value.span(),
                format!("wrong type of `{key}`"),
                "write \"publish\", \"subscribe\" or \"both\"",
            ),
        }
        None
    }

    fn anonymous(&mut self, anonymous: Option<&Value<'_>>, user: Option<&Value<'_>>) -> bool {
        let Some(value) = anonymous else { return false };
        match value.get_ref().as_bool() {
            Some(true) if user.is_some() => self.hint(
                value.span(),
                "a client without a user cannot have one of `user`",
                "leave out one of the two",
            ),
            Some(true) => {}
            Some(false) => self.hint(
                value.span(),
                "`anonymous` can only be true",
                "clients that have a user are meant by `user = \"*\"`",
            ),
            None => self.add(value.span(), "wrong type of `anonymous`, expected true"),
        }
        true
    }

    fn names(&mut self, key: &str, value: &Value<'_>) -> Names {
        let mut names = Names::default();
        for (span, name) in self.strings(key, value) {
            if name.is_empty() {
                let hint = match key {
                    "user" => "clients without a user are meant by `anonymous = true`",
                    _ => "leave the key out to mean everybody",
                };
                self.hint(span, format!("an empty name in `{key}`"), hint);
            } else if key == "client" && name == "%u" {
                names.own_user = true;
            } else if name.contains('%') && key == "client" {
                let hint = "`client` knows `%u` alone: the client id is the name of the user";
                self.hint(span, format!("`{name}` is not a client id"), hint);
            } else if name.contains('*') {
                names.globs.push(name.into());
            } else {
                names.exact.insert(name.into());
            }
        }
        names
    }

    fn topics(&mut self, value: &Value<'_>) -> Vec<Template> {
        let mut templates = Vec::new();
        for (span, filter) in self.strings("topics", value) {
            templates.extend(self.template(span, filter));
        }
        templates
    }

    fn template(&mut self, span: Range<usize>, filter: &str) -> Option<Template> {
        if filter.starts_with("$share/") {
            let hint = "write the filter behind the group: shared subscriptions are judged by it";
            self.hint(span, "a rule cannot name a share group", hint);
            return None;
        }
        if let Err(error) = TopicLimits::default().check_filter(filter) {
            self.add(span, format!("the filter `{filter}` {error}"));
            return None;
        }
        let mut levels = Vec::new();
        for level in filter.split('/') {
            match parse_level(level) {
                Ok(level) => levels.push(level),
                Err(message) => {
                    let hint = "a placeholder is a whole level: `%u` the user, `%c` the client id, \
                                `%{name}` a variable of the credentials";
                    self.hint(span.clone(), message, hint);
                    return None;
                }
            }
        }
        Some(Template {
            text: filter.into(),
            levels: levels.into(),
        })
    }

    /// One string, or a list of them, with their places.
    fn strings<'v>(&mut self, key: &str, value: &'v Value<'_>) -> Vec<(Range<usize>, &'v str)> {
        let elements = match value.get_ref() {
            DeValue::String(text) => return vec![(value.span(), text.as_ref())],
            DeValue::Array(elements) if elements.is_empty() => {
                self.add(value.span(), format!("`{key}` is an empty list"));
                return Vec::new();
            }
            DeValue::Array(elements) => elements.iter(),
            _ => {
                let message = format!("wrong type of `{key}`, expected a string or a list of them");
                self.add(value.span(), message);
                return Vec::new();
            }
        };
        let mut strings = Vec::new();
        for element in elements {
            match element.get_ref() {
                DeValue::String(text) => strings.push((element.span(), text.as_ref())),
                _ => self.add(
                    element.span(),
                    format!("wrong type in `{key}`, expected a string"),
                ),
            }
        }
        strings
    }

    fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.errors.push(RuleError {
            span,
            message: message.into(),
            hint: None,
        });
    }

    fn hint(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(RuleError {
            span,
            message: message.into(),
            hint: Some(hint.into()),
        });
    }
}

const BEGIN: &str = "rules begin with `[[rule]]`";

fn parse_level(level: &str) -> Result<Level, String> {
    let variable = || level.strip_prefix("%{")?.strip_suffix('}');
    Ok(match level {
        "+" => Level::Single,
        "#" => Level::Multi,
        "%u" => Level::Placeholder(Placeholder::User),
        "%c" => Level::Placeholder(Placeholder::Client),
        _ => match variable() {
            Some(name) if !name.is_empty() && !name.contains(['{', '}', '%']) => {
                Level::Placeholder(Placeholder::Variable(name.into()))
            }
            // A single `%`, as in `50%`, is a character like any other.
            None if !["%u", "%c", "%{"].iter().any(|it| level.contains(it))
                && !level.starts_with('%') =>
            {
                Level::Literal(level.into())
            }
            _ => return Err(format!("the level `{level}` is not a placeholder")),
        },
    })
}

fn is_typo(name: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(name, known) <= TYPO_DISTANCE_MAX
}

fn not_toml(message: &str) -> String {
    format!("not valid TOML: {}", message.trim().replace('\n', ", "))
}
