//! What both databases are guarded against, and the words for it.
//!
//! Owns: the rule that a committed position never goes back, and what a broken rule means for the
//! writer. Never: talks to a database. Invariant: both stores refuse the same things for the same
//! reasons.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;

use journal::Position;
use telemetry::Micros;
use uuid::Uuid;

use crate::batch::SeriesKey;
use crate::error::StoreError;

/// A rule that holds in both databases and was found broken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error("not open; the outcome of the last commit must be loaded first")]
    NotLoaded,
    #[error("the position of journal `{journal}` is not {start}")]
    Position { journal: String, start: Position },
    #[error("the position went back from {known} to {found}")]
    WentBack { found: Position, known: Position },
    #[error("the time {0} lies outside the years 1 to 9999")]
    Time(Micros),
    #[error("series {0:?} was used before it was defined")]
    Undefined(SeriesKey),
    #[error("the schema has version {found}, this program knows {known}")]
    NewerSchema { found: i64, known: i64 },
}

impl Violation {
    /// What the writer must do about it. `store` as people know it; `another`: what to use instead
    /// of a newer one.
    pub(super) fn classify(self, store: impl Display, another: &str) -> StoreError {
        match self {
            Violation::NotLoaded => unavailable(store, self),
            Violation::Time(_) => StoreError::Rejected {
                source: Box::new(self),
            },
            Violation::Position { .. } => fatal(
                format!("somebody else moved the position in `{store}`"),
                "let one process alone use a data folder, and never a copy of it beside the original; then restart",
                self,
            ),
            Violation::WentBack { .. } => fatal(
                format!("`{store}` was put back to an earlier state"),
                "restart: what the journal still holds is then stored again",
                self,
            ),
            Violation::Undefined(_) => fatal(
                "a batch cannot be stored".to_owned(),
                "this is a defect of Millrace: please report it",
                self,
            ),
            Violation::NewerSchema { found, known } => fatal(
                format!(
                    "`{store}` was written by a newer Millrace (schema {found}, this one knows {known})"
                ),
                format!("use that newer version, or another {another}"),
                self,
            ),
        }
    }
}

pub(super) fn unavailable(
    store: impl Display,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> StoreError {
    StoreError::Unavailable {
        store: store.to_string(),
        source: source.into(),
    }
}

pub(super) fn fatal(
    message: String,
    hint: impl Into<String>,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> StoreError {
    StoreError::Fatal {
        message,
        hint: hint.into(),
        source: Some(source.into()),
    }
}

/// What was seen committed, by journal: a database that knows less was put back to an earlier
/// state.
#[derive(Debug, Default)]
pub(super) struct Committed(HashMap<Uuid, Position>);

impl Committed {
    /// Takes what a load has found, unless it lies before what is known.
    pub(super) fn found(&mut self, journal: Uuid, found: Position) -> Result<(), Violation> {
        let known = self.0.get(&journal).copied().unwrap_or_default();
        if found < known {
            return Err(Violation::WentBack { found, known });
        }
        self.moved(journal, found);
        Ok(())
    }

    /// A commit has moved the position.
    pub(super) fn moved(&mut self, journal: Uuid, to: Position) {
        self.0.insert(journal, to);
    }
}
