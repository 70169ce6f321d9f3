//! Alert rules: what the user wrote in `alerts.toml`, checked once, and what is true afterwards.
//!
//! Owns: the meaning of a rule's keys. Never: looks at a sample. Invariant: a `Rules` that exists
//! is valid; whatever is wrong with the file is an error that says where.

mod check;
mod file;
mod limit;
mod read;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use documents::{Document, FileError, Mistakes, Problem};
use globset::GlobMatcher;
use serde::{Deserialize, Serialize};
use telemetry::Micros;

pub use template::{Facts, Template, number};

use super::labels::Labels;
use super::silence::Silence;
use super::threshold::Threshold;

/// Rules in one file at most: each series that is seen is held against every rule once, and nobody
/// can look after more.
pub const RULES_MAX: usize = 1_000;

/// What the file is to people.
const WHAT: &str = "alert rules";

/// Room for as many rules, each with the longest name and message; more is the wrong file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The valid rules of a file, in its order.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// When to raise an alert, about what, and what it says.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique, and valid as a level of a topic.
    pub name: String,
    pub scope: Scope,
    pub condition: Condition,
    pub severity: Severity,
    /// What the user wants it to say; `None`: the default words of the condition.
    pub message: Option<Template>,
}

/// What a rule covers; a part that is absent covers everything.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub device: Option<GlobMatcher>,
    /// Always there for a threshold. For silence, absent means: any message of the device counts.
    pub metric: Option<GlobMatcher>,
    /// All of them must be there and match.
    pub labels: Vec<(String, GlobMatcher)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    Threshold(Threshold),
    Silence(Silence),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Rules {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Rules, FileError> {
        let document = Document::read(path, WHAT, FILE_BYTES_MAX)?;
        Rules::parse(&document).map_err(|problems| FileError::Wrong {
            what: WHAT,
            path: path.to_owned(),
            problems,
        })
    }

    /// All that is wrong, not only the first; of what is not TOML, nothing else is looked at.
    pub fn parse(document: &Document) -> Result<Rules, Vec<Problem>> {
        let table = document.parse()?;
        let mut mistakes = Mistakes::new(document);
        let file = read::read(table.get_ref(), &mut mistakes);
        let rules = check::check(&file, &mut mistakes);
        mistakes.finish(Rules { rules })
    }

    /// The rules of a text that is right.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Rules {
        Rules::parse(&Document::new("alerts.toml", text)).expect("rules that are right")
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// By its index in the file's order.
    pub fn get(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)
    }

    pub fn find(&self, name: &str) -> Option<(u32, &Rule)> {
        let index = self.rules.iter().position(|rule| rule.name == name)?;
        Some((index as u32, &self.rules[index]))
    }

    /// Whether any rule waits for silence.
    pub fn watch_silence(&self) -> bool {
        self.iter()
            .any(|rule| matches!(rule.condition, Condition::Silence(_)))
    }
}

impl Rule {
    /// Whether this rule is about the device alone, whatever its messages hold.
    pub fn is_about_device(&self) -> bool {
        self.scope.metric.is_none()
    }

    /// How long after a device's last report it counts as silent.
    pub fn silence(&self) -> Option<Micros> {
        match self.condition {
            Condition::Silence(silence) => Some(silence.interval),
            Condition::Threshold(_) => None,
        }
    }
}

impl Scope {
    pub fn covers_device(&self, device: &str) -> bool {
        self.device
            .as_ref()
            .is_none_or(|glob| glob.is_match(device))
    }

    pub fn covers_metric(&self, metric: &str) -> bool {
        self.metric
            .as_ref()
            .is_none_or(|glob| glob.is_match(metric))
    }

    pub fn covers_labels(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(name, glob)| labels.get(name).is_some_and(|value| glob.is_match(value)))
    }
}

impl Severity {
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
