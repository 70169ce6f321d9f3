//! `alerts.toml` as the user wrote it, with the place of each value.
//!
//! Owns: the names of the keys. Never: judges values; that is `check`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::RuleError;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleFile {
    pub rule: Vec<RuleEntry>,
}

/// One `[[rule]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    pub name: Spanned<String>,
    pub device: Option<Spanned<String>>,
    pub metric: Option<Spanned<String>>,
    #[serde(default)]
    pub labels: BTreeMap<String, Spanned<String>>,
    pub above: Option<Spanned<f64>>,
    pub below: Option<Spanned<f64>>,
    pub outside: Option<Spanned<[f64; 2]>>,
    pub clear: Option<Spanned<Clear>>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<HumanDuration>>,
    pub silent_for: Option<Spanned<HumanDuration>>,
    pub severity: Option<Spanned<String>>,
    pub message: Option<Spanned<String>>,
}

/// The keys of a `[[rule]]`.
pub(super) const KEYS: [&str; 12] = [
    "name",
    "device",
    "metric",
    "labels",
    "above",
    "below",
    "outside",
    "clear",
    "for",
    "silent_for",
    "severity",
    "message",
];

/// Where the alert ends.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "invalid type, expected a number, or a range `[low, high]`"
)]
pub enum Clear {
    At(f64),
    Range([f64; 2]),
}

/// `"30s"`, `"1h 30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
        humantime_serde::deserialize(deserializer).map(HumanDuration)
    }
}

impl RuleFile {
    /// Ends at the first thing that is not TOML or not of the right type.
    pub fn parse(text: &str) -> Result<RuleFile, RuleError> {
        toml::from_str(text).map_err(|error| shape_error(&error, text))
    }
}

fn shape_error(error: &toml::de::Error, text: &str) -> RuleError {
    let message = error.message().trim().replace('\n', ", ");
    let span = error.span().unwrap_or(0..text.len().min(1));
    match message.split('`').nth(1) {
        Some(key) if message.starts_with("unknown field") => unknown_key(key, span),
        Some(key) if message.starts_with("missing field") => RuleError {
            span,
            message: format!("a rule needs the key `{key}`"),
            hint: None,
        },
        _ => RuleError {
            span,
            message: lower_first(&message),
            hint: None,
        },
    }
}

fn unknown_key(key: &str, span: Range<usize>) -> RuleError {
    let known = KEYS.into_iter().chain(["rule"]);
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 2 && *distance < known.len());
    let hint = match nearest {
        Some((_, "rule")) => "rules begin with `[[rule]]`".to_owned(),
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("a rule knows the keys `{}`", KEYS.join("`, `")),
    };
    RuleError {
        span,
        message: format!("unknown key `{key}`"),
        hint: Some(hint),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
