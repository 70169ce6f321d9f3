//! What is true: the configuration after every section was checked.
//!
//! Owns: the sum of the sections' settings. Never: checks a value itself that a crate can check. Invariant: a `Settings`
//! exists only when every section was found good.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::{Config, Document, Override};
use crate::diagnostics::Problem;
use crate::logging;

/// Everything a start needs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The file that was read, for messages.
    pub(crate) file: Option<PathBuf>,
    /// Folder for everything that Millrace keeps.
    pub(crate) data: PathBuf,
    pub(crate) log: EnvFilter,
}

/// Who set a key, so that a wrong value is shown where it was written.
pub(super) struct Origins<'a> {
    pub(super) document: Option<&'a Document>,
    /// In the order they were laid over each other.
    pub(super) overrides: &'a [Override],
}

impl Origins<'_> {
    /// A wrong value of a key, with the flag, the variable or the line that it comes from.
    fn problem(&self, key: &str, message: String, hint: Option<String>) -> Problem {
        let problem = match self.overrides.iter().rev().find(|found| found.key == key) {
            Some(found) => Problem::new(format!("{message} (set by `{}`)", found.origin)),
            None => match self.document.and_then(|document| document.place_of(key)) {
                Some(place) => Problem::new(message).at(place),
                None => Problem::new(message),
            },
        };
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// Checks all sections; every problem is reported, not only the first.
pub(super) fn check(config: &Config, origins: &Origins<'_>) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut found = |problem| problems.push(problem);

    if config.data.as_os_str().is_empty() {
        found(origins.problem("data", "`data` is empty".into(), None));
    }
    let log = logging::filter(&config.log).map_err(|error| {
        let hint = "write a level such as \"debug\", or targets such as \"info,broker=trace\"";
        found(origins.problem("log", format!("`log`: {error}"), Some(hint.into())));
    });
    match (log, ()) {
        (Ok(log), ()) if problems.is_empty() => Ok(Settings {
            file: origins.document.map(|document| document.file().to_owned()),
            data: config.data.clone(),
            log,
        }),
        _ => Err(problems),
    }
}
