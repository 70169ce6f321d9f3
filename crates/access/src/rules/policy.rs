//! A file's rules, compiled, and the file itself.
//!
//! Owns: reading it, and the decision. Never: changes; a new file is a new policy. Invariant: a
//! policy exists only when nothing in its file was wrong.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{LoadError, RuleError};
use super::index::{Found, Index};
use super::principal::Principal;
use super::rule::Rule;
use super::{Action, Decision, file, reserved};

/// The rules without a file; the same text is shipped for people to copy.
const BUILT_IN: &str = include_str!("../../../../config/acl.toml");

/// A file of rules is written by hand, or from a list of users; anything larger is the wrong file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub struct Policy {
    source: Option<PathBuf>,
    text: Arc<str>,
    pub(super) rules: Vec<Rule>,
    index: Index,
}

impl Policy {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Policy, LoadError> {
        let text = read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        Policy::from_text(path, text)
    }

    /// Checks what was read from the file.
    fn from_text(path: &Path, text: String) -> Result<Policy, LoadError> {
        match Policy::parse(&text) {
            Ok(policy) => Ok(Policy {
                source: Some(path.to_owned()),
                ..policy
            }),
            Err(errors) => Err(LoadError::Invalid {
                path: path.to_owned(),
                text,
                errors,
            }),
        }
    }

    /// All that is wrong, not only the first; what is not TOML is told alone.
    pub fn parse(text: &str) -> Result<Policy, Vec<RuleError>> {
        let rules = file::parse(text)?;
        Ok(Policy {
            source: None,
            text: text.into(),
            index: Index::of(&rules),
            rules,
        })
    }

    /// The rules that hold without a file.
    pub fn built_in() -> Policy {
        // A test reads them with every build.
        Policy::parse(BUILT_IN).unwrap_or_else(|errors| unreachable!("{errors:?}"))
    }

    /// The file; `None`: built in.
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// The whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Whether the client may do it. `topic` is valid; of a subscribe it is the whole filter.
    pub(super) fn decide(
        &self,
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Decision {
        if action == Action::Publish && reserved(topic).is_some() {
            return Decision::Deny;
        }
        let topic = subject_of(action, topic);
        match self.index.decide(&self.rules, principal, action, topic) {
            Found { rule: None, .. } => Decision::Deny,
            Found { partly: true, .. } => Decision::Partly,
            Found {
                rule: Some(rule), ..
            } => self.rules[rule].effect,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Policy");
        shown.field("source", &self.source);
        shown.field("rules", &self.rules.len()).finish()
    }
}

/// The file's text, within its bound.
fn read(path: &Path) -> io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        let message = format!("larger than {} MB", FILE_BYTES_MAX / (1024 * 1024));
        return Err(io::Error::other(message));
    }
    std::fs::read_to_string(path)
}

/// What rules are held against: a shared subscription is judged by the filter behind its group.
pub(super) fn subject_of(action: Action, topic: &str) -> &str {
    let unshared = || topic.strip_prefix("$share/")?.split_once('/');
    match action {
        Action::Publish => topic,
        Action::Subscribe => unshared().map_or(topic, |(_group, filter)| filter),
    }
}
