//! Who set a value, so that a wrong one is shown where it was written.
//!
//! Owns: the way from a key to a flag, a variable or a line. Never: judges a value. Invariant: what
//! was laid on top last is named, because that is what counts.

use std::error::Error;

use access::rules;
use access::users::{self, UserError};
use documents::{ConfigError, Document, FileError, Problem};

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

    /// Refused values of a section, each where it was written.
    pub(super) fn values(&self, errors: Vec<ConfigError>) -> Vec<Problem> {
        let problem = |error: ConfigError| {
            let source = error.source.as_deref();
            self.problem(&error.key, error.message, error.hint)
                .caused_by(source.map(|source| source as &(dyn Error + 'static)))
        };
        errors.into_iter().map(problem).collect()
    }

    /// Every mistake of a file that `key` names, at its place there; a file that cannot be read, at
    /// the key.
    pub(super) fn file(&self, key: &str, error: FileError) -> Vec<Problem> {
        match error {
            FileError::Unreadable { .. } => vec![self.unreadable(key, &error)],
            // What has no place in the file is shown at the key that names it.
            FileError::Wrong { problems, .. } => problems
                .into_iter()
                .map(|problem| match problem.place {
                    Some(_) => problem,
                    None => Problem {
                        causes: problem.causes,
                        ..self.problem(key, problem.message, problem.hint)
                    },
                })
                .collect(),
        }
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

    /// A file that a key names and that cannot be read: both are told.
    fn unreadable(&self, key: &str, error: &(dyn Error + 'static)) -> Problem {
        self.problem(key, error.to_string(), None)
            .caused_by(error.source())
    }
}
