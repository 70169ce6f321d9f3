//! Who set a value, so that a wrong one is shown where it was written.
//!
//! Owns: the way from a key to a flag, a variable or a line. Never: judges a value. Invariant: what
//! was laid on top last is named, because that is what counts.

use std::error::Error;
use std::path::Path;

use access::rules;
use access::users::{self, UserError};
use documents::{Document, Place, Problem};
use ingest::alert::{LoadError, RuleError};
use ingest::filter::FilterError;
use ingest::registry::RegistryError;

use super::Override;

pub(super) struct Origins<'a> {
    pub(super) document: Option<&'a Document>,
    /// In the order they were laid over each other.
    pub(super) overrides: &'a [Override],
}

impl Origins<'_> {
    /// A wrong value of a dotted key, or of something below it.
    pub(super) fn problem(
        &self,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let message = message.into();
        let problem = match self.overrides.iter().rev().find(|found| found.key == key) {
            Some(found) => Problem::new(format!("{message} (set by `{}`)", found.origin)),
            None => match self
                .document
                .and_then(|document| document.nearest_place_of(key))
            {
                Some(place) => Problem::new(message).at(place),
                None => Problem::new(message),
            },
        };
        problem.hint_if(hint)
    }

    pub(super) fn filter(&self, error: &FilterError) -> Problem {
        let key = format!("ingest.filter.{}", error.path());
        self.problem(&key, error.to_string(), None)
    }

    /// Every mistake of the file with the access rules, at its place there.
    pub(super) fn access(&self, error: rules::LoadError) -> Vec<Problem> {
        match error {
            rules::LoadError::Read { .. } => vec![self.unreadable("broker.acl.file", &error)],
            rules::LoadError::Invalid { path, text, errors } => {
                let document = Document::new(path, text);
                let problem = |error: rules::RuleError| {
                    let place = document.place(error.span, "");
                    Problem::new(error.message).at(place).hint_if(error.hint)
                };
                errors.into_iter().map(problem).collect()
            }
        }
    }

    /// Every mistake of the rules' file, at its place there.
    pub(super) fn rules(&self, error: LoadError) -> Vec<Problem> {
        match error {
            LoadError::Read { .. } => vec![self.unreadable("alerts.rules", &error)],
            LoadError::Invalid { path, text, errors } => {
                let document = Document::new(path, text);
                errors
                    .into_iter()
                    .map(|error| rule_problem(&document, error))
                    .collect()
            }
        }
    }

    /// Every mistake of the users' file, at its place there.
    pub(super) fn users(&self, error: users::LoadError) -> Vec<Problem> {
        match error {
            users::LoadError::Read { .. } => {
                let problem = self.unreadable("broker.auth.users", &error);
                vec![problem.hint("`millrace user add NAME` makes the file")]
            }
            users::LoadError::Invalid { path, text, errors } => {
                let document = Document::new(path, text);
                let problem = |error: UserError| {
                    let place = document.place(error.span, "");
                    Problem::new(error.message).at(place).hint_if(error.hint)
                };
                errors.into_iter().map(problem).collect()
            }
        }
    }

    /// Every mistake of the device registry, at its line there.
    pub(super) fn registry(&self, errors: Vec<RegistryError>) -> Vec<Problem> {
        let problem = |error: RegistryError| match line_of(&error.file, error.line) {
            Some(place) => {
                let label = error
                    .column
                    .as_ref()
                    .map(|column| format!("column `{column}`"));
                let place = Place {
                    label: label.unwrap_or_default(),
                    ..place
                };
                let message = format!("the device registry: {}", error.reason);
                Problem::new(message).at(place)
            }
            None => self.unreadable("ingest.devices", &error),
        };
        errors.into_iter().map(problem).collect()
    }

    /// A file that a key names and that cannot be read: both are told.
    fn unreadable(&self, key: &str, error: &(dyn Error + 'static)) -> Problem {
        self.caused(key, error, None)
    }

    /// A wrong value, with what it was that went wrong with it.
    pub(super) fn caused(
        &self,
        key: &str,
        error: &(dyn Error + 'static),
        hint: Option<String>,
    ) -> Problem {
        self.problem(key, error.to_string(), hint)
            .caused_by(error.source())
    }
}

fn rule_problem(document: &Document, error: RuleError) -> Problem {
    let place = document.place(error.span, "");
    Problem::new(error.message).at(place).hint_if(error.hint)
}

/// A line of a file, counted from 1; `None` for 0, or when the file has changed since.
fn line_of(file: &Path, line: u64) -> Option<Place> {
    let document = Document::read(file, "device registry", u64::MAX - 1).ok()?;
    document.line(usize::try_from(line).ok()?)
}
