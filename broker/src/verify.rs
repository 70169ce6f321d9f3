//! Whether what the broker keeps in the data folder can be read, for people who ask.
//!
//! Owns: the read-only look at the log of kept sessions and at the retained messages. Never:
//! changes a byte, or disturbs a broker that has them open. Invariant: what is called intact here
//! is read whole by the next start.

use std::path::Path;

use journal::inspect::{self, Report};

use crate::{retained, session_log};

/// Where the broker keeps sessions, in the data folder.
pub const SESSIONS_FOLDER: &str = session_log::FOLDER;
/// Where the broker keeps retained messages, in the data folder.
pub const RETAINED_FILE: &str = retained::FILE_NAME;

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Whole,
    /// By a crash, or a write is just being made; the bytes that the next start cuts.
    Cut(u64),
    /// Nothing behind this byte is read.
    Damaged(u64),
}

/// The retained messages in the data folder and how their log ends; `None` when there is none.
pub fn retained(data: &Path) -> Result<Option<(usize, Ending)>, retained::OpenError> {
    retained::verify(data)
}

/// The log of kept sessions in the data folder; `None` when there is none.
pub fn sessions(data: &Path) -> Result<Option<Report>, SessionsError> {
    let folder = data.join(SESSIONS_FOLDER);
    if !folder.is_dir() {
        return Ok(None);
    }
    let report = inspect::verify(&folder)?;
    for chunk in inspect::records(&folder, journal::Position::ZERO)? {
        for (position, record) in chunk?.records() {
            session_log::check(&record)
                .map_err(|source| SessionsError::Event { position, source })?;
        }
    }
    Ok(Some(report))
}

/// Why the kept sessions cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    #[error("the record at position {position} cannot be used")]
    Event {
        position: journal::Position,
        source: session_log::EventError,
    },
}
