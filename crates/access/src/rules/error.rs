//! What can be wrong with a file of rules.

use std::ops::Range;
use std::path::PathBuf;

use crate::reload::Fault;

/// Something wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// Bytes of the file.
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// Why a file gives no rules.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the access rules `{path}`")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// `text` is the whole file, for showing the lines of the errors.
    #[error("the access rules `{path}` are wrong: {}", first(text, errors))]
    Invalid {
        path: PathBuf,
        text: String,
        errors: Vec<RuleError>,
    },
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Fault {
        match error {
            LoadError::Read { .. } => Fault::unreadable(&error),
            LoadError::Invalid { .. } => Fault::wrong(&error),
        }
    }
}

/// The first error in a line, for logs; there is room for all of them on a terminal.
fn first(text: &str, errors: &[RuleError]) -> String {
    let Some(error) = errors.first() else {
        return "an error".to_owned();
    };
    let mut told = format!(
        "line {}: {}",
        line_at(text, error.span.start),
        error.message
    );
    if let Some(hint) = &error.hint {
        told.push_str(&format!(" ({hint})"));
    }
    match errors.len() {
        1 => told,
        2 => told + "; and one error more",
        many => format!("{told}; and {} errors more", many - 1),
    }
}

/// Counted from 1.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|&&byte| byte == b'\n').count() + 1
}
