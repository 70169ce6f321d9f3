//! Why a value or a whole file cannot be used.
//!
//! Owns: the one shape of a refused value, the two ways in which a file fails, and how they read in
//! a log. Invariant: each text is one line; it names the key, or the file.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::Problem;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// `what` it is to people: "alert rules".
    #[error("cannot read the {what} `{}`", path.display())]
    Unreadable {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("mistake in the {what} `{}`: {}", path.display(), first(problems))]
    Wrong {
        what: &'static str,
        path: PathBuf,
        /// At least one, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl FileError {
    pub fn is_missing(&self) -> bool {
        matches!(self, FileError::Unreadable { source, .. }
            if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The first mistake in a line, for logs; there is room for all of them on a terminal.
fn first(problems: &[Problem]) -> String {
    let told = problems.first().map_or(String::new(), Problem::in_a_line);
    match problems.len() {
        0 | 1 => told,
        2 => told + "; and one more mistake",
        many => format!("{told}; and {} more mistakes", many - 1),
    }
}

/// A value of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Dotted, from the root: `broker.listener.0.path`.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ConfigError {
    /// `problem` completes the sentence that the key begins.
    pub fn new(key: impl Into<String>, problem: impl AsRef<str>) -> ConfigError {
        let key = key.into();
        ConfigError {
            message: format!("`{key}` {}", problem.as_ref()),
            key,
            hint: None,
            source: None,
        }
    }

    /// What to write instead.
    pub fn hint(self, hint: impl Into<String>) -> ConfigError {
        ConfigError {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> ConfigError {
        ConfigError {
            source: Some(source.into()),
            ..self
        }
    }
}
