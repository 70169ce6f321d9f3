//! Why a file gives nothing.
//!
//! Owns: the two ways in which a file fails, and how they read in a log. Invariant: its text is one
//! line and names the file; all mistakes stand in `problems`, for a terminal.

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
