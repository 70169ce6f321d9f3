//! `alerts.toml` as the user wrote it, with the place of each value.
//!
//! Owns: the names of the keys. Never: reads a text, which is `read`, or judges values, which is
//! `check`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// The whole file.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleFile {
    pub(super) rule: Vec<RuleEntry>,
}

/// One `[[rule]]`.
#[derive(Debug, Clone)]
pub(super) struct RuleEntry {
    pub(super) name: Spanned<String>,
    pub(super) device: Option<Spanned<String>>,
    pub(super) metric: Option<Spanned<String>>,
    pub(super) labels: BTreeMap<String, Spanned<String>>,
    pub(super) above: Option<Spanned<f64>>,
    pub(super) below: Option<Spanned<f64>>,
    pub(super) outside: Option<Spanned<Pair>>,
    pub(super) clear: Option<Spanned<Clear>>,
    /// `for`.
    pub(super) hold: Option<Spanned<HumanDuration>>,
    pub(super) silent_for: Option<Spanned<HumanDuration>>,
    pub(super) severity: Option<Spanned<String>>,
    pub(super) message: Option<Spanned<String>>,
    /// Something in it could not be read: what seems to be missing may be there.
    pub(super) is_incomplete: bool,
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
#[serde(untagged)]
pub(super) enum Clear {
    At(f64),
    Range(Pair),
}

/// Two numbers, and no third that would be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub(super) struct Pair(pub(super) [f64; 2]);

impl TryFrom<Vec<f64>> for Pair {
    type Error = &'static str;

    fn try_from(numbers: Vec<f64>) -> Result<Pair, &'static str> {
        let pair = numbers.try_into().map(Pair);
        pair.map_err(|_| "not two numbers")
    }
}

/// `"30s"`, `"1h 30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HumanDuration(pub(super) Duration);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
        humantime_serde::deserialize(deserializer).map(HumanDuration)
    }
}
