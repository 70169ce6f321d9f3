//! From what the user wrote to valid rules.
//!
//! Owns: every demand on a rule's values. Never: stops at the first error.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use documents::Mistakes;
use globset::{GlobBuilder, GlobMatcher};
use toml::Spanned;

use super::super::silence::Silence;
use super::super::threshold::Threshold;
use super::file::{HumanDuration, RuleEntry, RuleFile};
use super::limit::limit;
use super::template::{TEMPLATE_BYTES_MAX, Template};
use super::{Condition, RULES_MAX, Rule, Scope, Severity};

/// Part of two topics, of every event and of a database key.
const NAME_BYTES_MAX: usize = 128;

/// The lane looks for silent devices once a second.
const SILENT_FOR_MIN: Duration = Duration::from_secs(1);

/// Longer spans are a typo ("M" is months) rather than a wish.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The rules that are right; every demand that another one does not meet is a mistake.
pub(super) fn check(file: &RuleFile, mistakes: &mut Mistakes<'_>) -> Vec<Rule> {
    let mut first_use: HashMap<&str, Range<usize>> = HashMap::new();
    let mut rules = Vec::with_capacity(file.rule.len());
    if let Some(excess) = file.rule.get(RULES_MAX) {
        mistakes.add(excess.name.span(), format!("more than {RULES_MAX} rules"));
    }
    for entry in &file.rule {
        if let Some(first) = first_use.insert(entry.name.get_ref(), entry.name.span()) {
            let line = mistakes.document().place(first, "").line();
            mistakes.hint(
                entry.name.span(),
                format!("a second rule is called `{}`", entry.name.get_ref()),
                format!("the first one is in line {line}"),
            );
        }
        rules.extend(rule(entry, mistakes));
    }
    rules
}

/// `None` when an error was added.
fn rule(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Option<Rule> {
    let before = mistakes.len();
    check_name(&entry.name, mistakes);
    let scope = scope(entry, mistakes);
    // The condition may be what could not be read.
    let condition = if entry.is_incomplete {
        None
    } else {
        condition(entry, mistakes)
    };
    let severity = severity(entry, mistakes);
    let message = message(entry, mistakes);
    if mistakes.len() > before {
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

fn check_name(name: &Spanned<String>, mistakes: &mut Mistakes<'_>) {
    let text = name.get_ref();
    let forbidden = |c: &char| matches!(c, '/' | '+' | '#') || c.is_control();
    if text.is_empty() {
        mistakes.hint(
            name.span(),
            "the name is empty",
            "it becomes a level of the alert's topics",
        );
    } else if text.starts_with('$') {
        mistakes.hint(
            name.span(),
            format!("the name `{text}` begins with `$`"),
            "such names belong to the broker",
        );
    } else if let Some(found) = text.chars().find(forbidden) {
        mistakes.hint(name.span(),
            format!("the name contains `{}`", found.escape_debug()),
            "it becomes a level of the alert's topics, so it must not contain `/`, `+`, `#` or control characters",
        );
    } else if text.len() > NAME_BYTES_MAX {
        mistakes.add(
            name.span(),
            format!("the name is longer than {NAME_BYTES_MAX} bytes"),
        );
    }
}

fn scope(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Scope {
    Scope {
        device: entry.device.as_ref().and_then(|text| glob(text, mistakes)),
        metric: entry.metric.as_ref().and_then(|text| glob(text, mistakes)),
        labels: entry
            .labels
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), glob(text, mistakes)?)))
            .collect(),
    }
}

fn glob(text: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<GlobMatcher> {
    if text.get_ref().is_empty() {
        mistakes.hint(
            text.span(),
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
            mistakes.hint(
                text.span(),
                message,
                "`*`, `?`, `[abc]` and `{a,b}` are special",
            );
            None
        }
    }
}

fn condition(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Option<Condition> {
    let mut places = Vec::new();
    places.extend(entry.above.as_ref().map(Spanned::span));
    places.extend(entry.below.as_ref().map(Spanned::span));
    places.extend(entry.outside.as_ref().map(Spanned::span));
    places.extend(entry.silent_for.as_ref().map(Spanned::span));
    match places.len() {
        0 => {
            mistakes.hint(
                entry.name.span(),
                format!("the rule `{}` has no condition", entry.name.get_ref()),
                "add one of `above`, `below`, `outside` and `silent_for`",
            );
            return None;
        }
        1 => {}
        _ => {
            places.sort_by_key(|span| span.start);
            let span = places[1].clone();
            mistakes.hint(
                span,
                "a rule has one condition, this is the second",
                "write another `[[rule]]` for it",
            );
            return None;
        }
    }
    match &entry.silent_for {
        Some(silent_for) => silence(entry, silent_for, mistakes).map(Condition::Silence),
        None => threshold(entry, mistakes).map(Condition::Threshold),
    }
}

fn silence(
    entry: &RuleEntry,
    silent_for: &Spanned<HumanDuration>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Silence> {
    if let Some(clear) = &entry.clear {
        mistakes.hint(
            clear.span(),
            "`clear` needs a threshold",
            "silence ends with the next message",
        );
    }
    if let Some(hold) = &entry.hold {
        mistakes.hint(
            hold.span(),
            "`for` needs a threshold",
            "`silent_for` itself says how long",
        );
    }
    let interval = duration(silent_for, mistakes)?;
    if silent_for.get_ref().0 < SILENT_FOR_MIN {
        mistakes.add(
            silent_for.span(),
            "`silent_for` must be at least one second".to_owned(),
        );
        return None;
    }
    Some(Silence { interval })
}

fn threshold(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Option<Threshold> {
    if entry.metric.is_none() {
        mistakes.hint(
            entry.name.span(),
            format!(
                "the rule `{}` has a threshold and no `metric`",
                entry.name.get_ref()
            ),
            "say which metric is compared; `metric = \"*\"` for all of them",
        );
    }
    let hold = match &entry.hold {
        Some(hold) => duration(hold, mistakes)?,
        None => 0,
    };
    let limit = limit(entry, mistakes)?;
    Some(Threshold { limit, hold })
}

/// In microseconds.
fn duration(place: &Spanned<HumanDuration>, mistakes: &mut Mistakes<'_>) -> Option<i64> {
    let duration = place.get_ref().0;
    if duration > DURATION_MAX {
        mistakes.hint(
            place.span(),
            "longer than a year",
            "`m` is minutes and `M` is months",
        );
        return None;
    }
    i64::try_from(duration.as_micros()).ok()
}

fn severity(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Severity {
    let Some(word) = &entry.severity else {
        return Severity::Warning;
    };
    let known = Severity::ALL
        .into_iter()
        .find(|severity| severity.as_str() == word.get_ref());
    known.unwrap_or_else(|| {
        mistakes.hint(
            word.span(),
            format!("unknown severity `{}`", word.get_ref()),
            "it is one of `info`, `warning` and `critical`",
        );
        Severity::Warning
    })
}

fn message(entry: &RuleEntry, mistakes: &mut Mistakes<'_>) -> Option<Template> {
    let message = entry.message.as_ref()?;
    if message.get_ref().len() > TEMPLATE_BYTES_MAX {
        mistakes.add(
            message.span(),
            format!("the message is longer than {TEMPLATE_BYTES_MAX} bytes"),
        );
        return None;
    }
    let template = match Template::parse(message.get_ref()) {
        Ok(template) => template,
        Err(error) => {
            let span = within(message, error.span, mistakes.document().text());
            mistakes.hint(span, error.message, error.hint);
            return None;
        }
    };
    if entry.silent_for.is_some() {
        if template.has_value() {
            mistakes.hint(
                message.span(),
                "the message speaks of `{value}` or `{unit}`, and silence has neither",
                "`{threshold}` says how long the device may be silent",
            );
        }
        if entry.metric.is_none() && template.has_metric() {
            mistakes.hint(
                message.span(),
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
