//! One thing that is wrong, and where somebody wrote it.
//!
//! Owns: what a person is told about a mistake. Never: decides how it looks. Invariant: a cause
//! that only repeats what was said is left out.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Causes kept at most: a longer chain is a defect, and it must not flood a terminal.
const CAUSES_MAX: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A lowercase fragment with values in backticks.
    pub message: String,
    /// Boxed, because problems are returned in many `Result`s.
    pub place: Option<Box<Place>>,
    /// Outermost first.
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

/// Where in a file it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub text: Arc<str>,
    /// Bytes of `text`.
    pub span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub label: String,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            place: None,
            causes: Vec::new(),
            hint: None,
        }
    }

    /// An error and all its sources.
    pub fn from_error(error: &(dyn Error + 'static)) -> Problem {
        Problem::new(error.to_string()).caused_by(error.source())
    }

    pub fn at(mut self, place: Place) -> Problem {
        self.place = Some(Box::new(place));
        self
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        self.hint_if(Some(hint.into()))
    }

    /// The same, if there is something to say; `None` leaves a hint that is there.
    pub fn hint_if(mut self, hint: Option<String>) -> Problem {
        self.hint = hint.or(self.hint);
        self
    }

    /// Says in front what the message is about.
    pub fn about(mut self, what: &str) -> Problem {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// One more cause, below those that are there.
    pub fn cause(mut self, cause: impl Into<String>) -> Problem {
        let cause = cause.into();
        let last = self.causes.last().unwrap_or(&self.message);
        if *last != cause && self.causes.len() < CAUSES_MAX {
            self.causes.push(cause);
        }
        self
    }

    /// The cause, and everything behind it.
    pub fn caused_by(self, cause: Option<&(dyn Error + 'static)>) -> Problem {
        std::iter::successors(cause, |&cause| cause.source())
            .fold(self, |problem, cause| problem.cause(cause.to_string()))
    }

    /// Whether both are about the same place, so that the later one may only follow from the
    /// earlier.
    pub fn overlaps(&self, other: &Problem) -> bool {
        let (Some(one), Some(other)) = (&self.place, &other.place) else {
            return false;
        };
        one.file == other.file && one.span.start < other.span.end && other.span.start < one.span.end
    }

    /// Where in its file it stands, for sorting; problems without a place come first.
    pub(crate) fn offset(&self) -> usize {
        self.place.as_ref().map_or(0, |place| place.span.start)
    }

    /// In one line, for a log: the line of the file, the message and the hint.
    pub(crate) fn in_a_line(&self) -> String {
        let line = self
            .place
            .as_ref()
            .map_or(String::new(), |place| format!("line {}: ", place.line()));
        let hint = self
            .hint
            .as_ref()
            .map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{line}{}{hint}", self.message)
    }
}

impl Place {
    /// The line that it begins in, counted from 1.
    pub fn line(&self) -> usize {
        let before = self.text.as_bytes().iter().take(self.span.start);
        before.filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// Without the text, which may hold a password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("file", &self.file)
            .field("span", &self.span)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
