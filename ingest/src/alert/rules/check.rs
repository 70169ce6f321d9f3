//! From what the user wrote to valid rules.
//!
//! Owns: every demand on a rule's values. Never: stops at the first error.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use toml::Spanned;

use super::super::silence::Silence;
use super::super::threshold::Threshold;
use super::file::{HumanDuration, RuleEntry, RuleFile};
use super::limit::limit;
use super::template::{TEMPLATE_BYTES_MAX, Template};
use super::{Condition, RULES_MAX, Rule, RuleError, Scope, Severity};

/// Part of two topics, of every event and of a database key.
const NAME_BYTES_MAX: usize = 128;

/// The lane looks for silent devices once a second.
const SILENT_FOR_MIN: Duration = Duration::from_secs(1);

/// Longer spans are a typo ("M" is months) rather than a wish.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// `unreadable`: what was found before. All errors come in the order of the file.
pub(super) fn check(
    file: &RuleFile,
    text: &str,
    unreadable: Vec<RuleError>,
) -> Result<Vec<Rule>, Vec<RuleError>> {
    let mut errors = Errors {
        text,
        list: unreadable,
    };
    let mut first_use: HashMap<&str, Range<usize>> = HashMap::new();
    let mut rules = Vec::with_capacity(file.rule.len());
    if let Some(excess) = file.rule.get(RULES_MAX) {
        errors.add(&excess.name, format!("more than {RULES_MAX} rules"), None);
    }
    for entry in &file.rule {
        if let Some(first) = first_use.insert(entry.name.get_ref(), entry.name.span()) {
            let line = text[..first.start].matches('\n').count() + 1;
            errors.add(
                &entry.name,
                format!("a second rule is called `{}`", entry.name.get_ref()),
                Some(format!("the first one is in line {line}")),
            );
        }
        rules.extend(rule(entry, &mut errors));
    }
    match errors.list {
        list if list.is_empty() => Ok(rules),
        mut list => {
            list.sort_by_key(|error| error.span.start);
            Err(list)
        }
    }
}

pub(super) struct Errors<'a> {
    text: &'a str,
    list: Vec<RuleError>,
}

impl Errors<'_> {
    pub(super) fn add<T>(&mut self, place: &Spanned<T>, message: String, hint: Option<String>) {
        self.list.push(RuleError {
            span: place.span(),
            message,
            hint,
        });
    }

    pub(super) fn hint<T>(&mut self, place: &Spanned<T>, message: impl Into<String>, hint: &str) {
        self.add(place, message.into(), Some(hint.to_owned()));
    }
}

/// `None` when an error was added.
fn rule(entry: &RuleEntry, errors: &mut Errors<'_>) -> Option<Rule> {
    let before = errors.list.len();
    check_name(&entry.name, errors);
    let scope = scope(entry, errors);
    // The condition may be what could not be read.
    let condition = if entry.is_incomplete {
        None
    } else {
        condition(entry, errors)
    };
    let severity = severity(entry, errors);
    let message = message(entry, errors);
    if errors.list.len() > before {
        return None;
    }
    Some(Rule {
        name: entry.name.get_ref().clone(),
        scope,
        condition: condition?,
        severity,
        message,
    })
}

fn check_name(name: &Spanned<String>, errors: &mut Errors<'_>) {
    let text = name.get_ref();
    let forbidden = |c: &char| matches!(c, '/' | '+' | '#') || c.is_control();
    if text.is_empty() {
        errors.hint(
            name,
            "the name is empty",
            "it becomes a level of the alert's topics",
        );
    } else if text.starts_with('$') {
        errors.hint(
            name,
            format!("the name `{text}` begins with `$`"),
            "such names belong to the broker",
        );
    } else if let Some(found) = text.chars().find(forbidden) {
        errors.hint(
            name,
            format!("the name contains `{}`", found.escape_debug()),
            "it becomes a level of the alert's topics, so it must not contain `/`, `+`, `#` or control characters",
        );
    } else if text.len() > NAME_BYTES_MAX {
        errors.add(
            name,
            format!("the name is longer than {NAME_BYTES_MAX} bytes"),
            None,
        );
    }
}

fn scope(entry: &RuleEntry, errors: &mut Errors<'_>) -> Scope {
    Scope {
        device: entry.device.as_ref().and_then(|text| glob(text, errors)),
        metric: entry.metric.as_ref().and_then(|text| glob(text, errors)),
        labels: entry
            .labels
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), glob(text, errors)?)))
            .collect(),
    }
}

fn glob(text: &Spanned<String>, errors: &mut Errors<'_>) -> Option<GlobMatcher> {
    if text.get_ref().is_empty() {
        errors.hint(
            text,
            "the pattern is empty",
            "leave the key out to cover everything",
        );
        return None;
    }
    // Names are no paths: `*` goes through every character, and `\` quotes the next one on every
    // system.
    let built = GlobBuilder::new(text.get_ref())
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    match built {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            let message = format!("the pattern cannot be read: {}", error.kind());
            errors.hint(text, message, "`*`, `?`, `[abc]` and `{a,b}` are special");
            None
        }
    }
}

fn condition(entry: &RuleEntry, errors: &mut Errors<'_>) -> Option<Condition> {
    let mut places = Vec::new();
    places.extend(entry.above.as_ref().map(Spanned::span));
    places.extend(entry.below.as_ref().map(Spanned::span));
    places.extend(entry.outside.as_ref().map(Spanned::span));
    places.extend(entry.silent_for.as_ref().map(Spanned::span));
    match places.len() {
        0 => {
            errors.hint(
                &entry.name,
                format!("the rule `{}` has no condition", entry.name.get_ref()),
                "add one of `above`, `below`, `outside` and `silent_for`",
            );
            return None;
        }
        1 => {}
        _ => {
            places.sort_by_key(|span| span.start);
            errors.list.push(RuleError {
                span: places[1].clone(),
                message: "a rule has one condition, this is the second".to_owned(),
                hint: Some("write another `[[rule]]` for it".to_owned()),
            });
            return None;
        }
    }
    match &entry.silent_for {
        Some(silent_for) => silence(entry, silent_for, errors).map(Condition::Silence),
        None => threshold(entry, errors).map(Condition::Threshold),
    }
}

fn silence(
    entry: &RuleEntry,
    silent_for: &Spanned<HumanDuration>,
    errors: &mut Errors<'_>,
) -> Option<Silence> {
    if let Some(clear) = &entry.clear {
        errors.hint(
            clear,
            "`clear` needs a threshold",
            "silence ends with the next message",
        );
    }
    if let Some(hold) = &entry.hold {
        errors.hint(
            hold,
            "`for` needs a threshold",
            "`silent_for` itself says how long",
        );
    }
    let interval = duration(silent_for, errors)?;
    if silent_for.get_ref().0 < SILENT_FOR_MIN {
        errors.add(
            silent_for,
            "`silent_for` must be at least one second".to_owned(),
            None,
        );
        return None;
    }
    Some(Silence { interval })
}

fn threshold(entry: &RuleEntry, errors: &mut Errors<'_>) -> Option<Threshold> {
    if entry.metric.is_none() {
        errors.hint(
            &entry.name,
            format!(
                "the rule `{}` has a threshold and no `metric`",
                entry.name.get_ref()
            ),
            "say which metric is compared; `metric = \"*\"` for all of them",
        );
    }
    let hold = match &entry.hold {
        Some(hold) => duration(hold, errors)?,
        None => 0,
    };
    let limit = limit(entry, errors)?;
    Some(Threshold { limit, hold })
}

/// In microseconds.
fn duration(place: &Spanned<HumanDuration>, errors: &mut Errors<'_>) -> Option<i64> {
    let duration = place.get_ref().0;
    if duration > DURATION_MAX {
        errors.hint(
            place,
            "longer than a year",
            "`m` is minutes and `M` is months",
        );
        return None;
    }
    i64::try_from(duration.as_micros()).ok()
}

fn severity(entry: &RuleEntry, errors: &mut Errors<'_>) -> Severity {
    let Some(word) = &entry.severity else {
        return Severity::Warning;
    };
    let known = Severity::ALL
        .into_iter()
        .find(|severity| severity.as_str() == word.get_ref());
    known.unwrap_or_else(|| {
        errors.hint(
            word,
            format!("unknown severity `{}`", word.get_ref()),
            "it is one of `info`, `warning` and `critical`",
        );
        Severity::Warning
    })
}

fn message(entry: &RuleEntry, errors: &mut Errors<'_>) -> Option<Template> {
    let message = entry.message.as_ref()?;
    if message.get_ref().len() > TEMPLATE_BYTES_MAX {
        errors.add(
            message,
            format!("the message is longer than {TEMPLATE_BYTES_MAX} bytes"),
            None,
        );
        return None;
    }
    let template = match Template::parse(message.get_ref()) {
        Ok(template) => template,
        Err(error) => {
            let span = within(message, error.span, errors.text);
            errors.list.push(RuleError {
                span,
                message: error.message,
                hint: Some(error.hint),
            });
            return None;
        }
    };
    if entry.silent_for.is_some() {
        if template.has_value() {
            errors.hint(
                message,
                "the message speaks of `{value}` or `{unit}`, and silence has neither",
                "`{threshold}` says how long the device may be silent",
            );
        }
        if entry.metric.is_none() && template.has_metric() {
            errors.hint(
                message,
                "the message speaks of `{metric}`, and the rule has none",
                "leave the placeholder out, or give the rule a `metric`",
            );
        }
    }
    Some(template)
}

/// A part of a string as bytes of the file: exact when the string is written without escapes, else
/// the whole string.
fn within(place: &Spanned<String>, part: Range<usize>, text: &str) -> Range<usize> {
    let whole = place.span();
    let written = text.get(whole.clone()).unwrap_or_default();
    match written.find(place.get_ref().as_str()) {
        Some(start) => whole.start + start + part.start..whole.start + start + part.end,
        None => whole,
    }
}
