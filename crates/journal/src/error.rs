//! Why a journal cannot be opened.
//!
//! Owns: the words for what is wrong with a journal's files and what a person can do about it.
//! Never: decides what is wrong. Invariant: damage always names the file, the byte and the
//! position.

use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use crate::Position;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {action} `{path}`", path = .path.display())]
    Io {
        /// What was tried: `read`, `truncate`, …
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("cannot start the thread `journal-writer`")]
    Thread(#[source] io::Error),
}

/// Records that were durable cannot be read back. Nothing is changed: neither the damaged file nor
/// those behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "damaged: `{path}`, byte {offset}, position {position}: {kind}",
    path = .path.display()
)]
pub struct Damage {
    pub path: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// The first position that cannot be read; everything before it is intact.
    pub position: Position,
    pub kind: DamageKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    #[error("the segment header is missing or broken")]
    Header,
    #[error("the segment has format version {0}, which this Millrace does not know")]
    Version(u32),
    #[error("the segment belongs to journal `{found}`, the ones before it to `{expected}`")]
    Foreign { found: Uuid, expected: Uuid },
    #[error("the segment header says position {0}, which is not in the file name")]
    Name(Position),
    #[error("the segment before it ends at position {0}: records between are missing")]
    Gap(Position),
    #[error("{0}, and an intact frame lies behind it at byte {1}")]
    Frame(FrameFault, u64),
    #[error("{0}, and the next segment begins at position {1}")]
    SealedFrame(FrameFault, Position),
    #[error("a record is malformed though its checksum is right")]
    Record,
}

/// What is wrong with the bytes where a frame should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    #[error("the file ends too early")]
    Ends,
    #[error("there is no frame header")]
    Header,
    #[error("the frame says position {0}")]
    Position(Position),
    #[error("the checksum is wrong")]
    Checksum,
}

impl Damage {
    /// What to do about it. `cost` says what is gone without this folder, since a journal does not
    /// know what it is used for: "that forgets …".
    pub fn advice(&self, cost: &str) -> String {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        match self.kind {
            DamageKind::Version(_) => "start the version of Millrace that wrote it".to_owned(),
            DamageKind::Foreign { .. } => {
                format!(
                    "move the file `{}` to where it belongs",
                    self.path.display()
                )
            }
            _ => format!(
                "restore this file from a copy (`millrace journal verify '{folder}'` checks the \
                 result), or move the folder `{folder}` away: {cost}"
            ),
        }
    }
}

pub(crate) fn io_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.into();
    move |source| OpenError::Io {
        action,
        path,
        source,
    }
}
