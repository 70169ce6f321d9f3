//! Whether what the broker keeps in the data folder can be read, for people who ask.
//!
//! Owns: the read-only look at the log of kept sessions and at the retained messages. Never:
//! changes a byte, or disturbs a broker that has them open. Invariant: what is called intact here
//! is read whole by the next start.

use std::path::Path;

use journal::Position;
use journal::inspect::{self, Report};

use crate::{retained, session_log};

/// Where the broker keeps sessions, in the data folder.
pub const SESSIONS_FOLDER: &str = session_log::FOLDER;
/// Where the broker keeps retained messages, in the data folder.
pub const RETAINED_FOLDER: &str = retained::FOLDER;

/// The retained messages in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    pub messages: usize,
    /// What the next start cuts off or leaves out: by a crash, or a write is just being made. Of a
    /// file that an earlier version has left, it may be damage, too.
    pub cut_bytes: u64,
}

/// The retained messages in the data folder; `None` when there is neither their journal nor what an
/// earlier version has left.
pub fn retained(data: &Path) -> Result<Option<Retained>, RetainedError> {
    let (mut inspection, unread_bytes) = retained::Inspection::begin(data)?;
    let folder = data.join(RETAINED_FOLDER);
    let mut cut_bytes = unread_bytes;
    if folder.is_dir() {
        let report = inspect::verify(&folder)?;
        cut_bytes += report.torn_tail.map_or(0, |torn| torn.bytes);
        for chunk in inspect::records(&folder, Position::ZERO)? {
            inspection
                .read(&chunk?)
                .map_err(|(position, source)| RetainedError::Record { position, source })?;
        }
    }
    let messages = inspection.messages();
    let is_there = folder.is_dir() || messages > 0 || cut_bytes > 0;
    Ok(is_there.then_some(Retained {
        messages,
        cut_bytes,
    }))
}

/// The log of kept sessions in the data folder; `None` when there is none.
pub fn sessions(data: &Path) -> Result<Option<Report>, SessionsError> {
    let folder = data.join(SESSIONS_FOLDER);
    if !folder.is_dir() {
        return Ok(None);
    }
    let report = inspect::verify(&folder)?;
    for chunk in inspect::records(&folder, Position::ZERO)? {
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
        position: Position,
        source: session_log::EventError,
    },
}

/// Why the retained messages cannot be read, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum RetainedError {
    #[error(transparent)]
    Earlier(#[from] retained::OpenError),
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    #[error("the record at position {position} cannot be used")]
    Record {
        position: Position,
        source: retained::RecordError,
    },
}
