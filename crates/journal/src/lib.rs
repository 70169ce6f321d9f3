//! The durable log between the gate and ingest.
//!
//! Owns: the order of records, their durability, their bytes on disk. Never: understands a payload,
//! knows who writes or reads. Invariant: a position that `durable()` has reported survives power
//! loss, and records are read back exactly as they were appended, in order, without gaps.

mod catalog;
pub mod config;
pub mod disk;
mod error;
mod format;
pub mod inspect;
mod journals;
pub mod local;
mod position;
mod record;
mod recovery;
mod replay;
mod walk;

pub use config::{Config, Settings};
pub use error::{Damage, DamageKind, FrameFault, OpenError};
pub use journals::{Journals, LocalJournals};
pub use local::{LocalJournal, OpenReport};
pub use position::Position;
pub use record::{Chunk, Record, RecordBatch, Records};
pub use recovery::TornTail;
pub use replay::for_each_record;

use std::task::Waker;
use std::time::Duration;

use uuid::Uuid;

/// The one door to the log; everything outside this crate goes through it, so that a replicated log
/// can stand behind it.
pub trait Journal: Send + Sync + 'static {
    /// Identity of this log, kept beside positions in the database so that positions of another log
    /// are never confused with it.
    fn identity(&self) -> Uuid;

    /// Takes the batch's records (leaving it empty) and returns the position after the last of
    /// them.
    ///
    /// Never blocks. The records are visible to readers at once. `waker` is woken once when they
    /// are durable, or when the journal is poisoned; compare `durable()` with the returned
    /// position. On error the batch is left as it was.
    fn append(&self, batch: &mut RecordBatch, waker: &Waker) -> Result<Position, AppendError>;

    /// Everything before this position survives power loss.
    fn durable(&self) -> Position;

    /// The position after the last appended record.
    fn end(&self) -> Position;

    /// The first position that can still be read.
    fn start(&self) -> Position;

    /// Wakes `waker` once when an append that was refused with `Full` or `Busy` may succeed (or the
    /// journal is poisoned).
    fn wake_when_writable(&self, waker: &Waker);

    /// Wakes `waker` once when `position` is durable (at once when it is), or the journal is
    /// poisoned or closed: for those who wait for what others have appended. Asking again for the
    /// same position before that changes nothing.
    fn wake_when_durable(&self, position: Position, waker: &Waker);

    /// Blocks the calling thread until `position` is durable; false when `timeout` passed first.
    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<bool, Poisoned>;

    /// Records before `up_to` are no longer needed: their space may be reclaimed. Never goes
    /// backwards.
    fn release(&self, up_to: Position);

    /// A reader at `from`; an error when `from` lies before `start()` or beyond `end()`.
    fn reader(&self, from: Position) -> Result<Box<dyn Reader>, ReadError>;

    fn status(&self) -> Status;

    /// Writes what has gathered and ends. Appends are refused from now on; what was appended can
    /// still be read, and what is released is still removed. Blocks; a second call does nothing.
    fn close(&self);
}

/// Reads records in order, at the tail from memory, behind it from disk. For use on a thread that
/// may block.
pub trait Reader: Send {
    /// The position of the next record to be read.
    fn position(&self) -> Position;

    /// Appends to `chunks` what is there, at most about `max_bytes` (at least one chunk when there
    /// is one), in order. When there is nothing, waits up to `timeout`; returns the number of
    /// records read, 0 after a timeout. Chunks may not be durable yet: compare with
    /// `Journal::durable`.
    fn read(
        &mut self,
        chunks: &mut Vec<Chunk>,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<usize, ReadError>;

    /// A handle that ends a blocked or later `read` of this reader early (it returns 0), for
    /// shutdown.
    fn interrupter(&self) -> Interrupter;
}

/// Ends a reader's wait from another thread.
#[derive(Clone)]
pub struct Interrupter(pub std::sync::Arc<dyn Fn() + Send + Sync>);

impl Interrupter {
    pub fn interrupt(&self) {
        (self.0)()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    /// The size limit or the disk's end is reached; ends by itself when space is released.
    Full,
    /// A write or an fsync failed; never ends. Restart to recover what the disk holds.
    Poisoned,
}

#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub state: State,
    pub start: Position,
    pub durable: Position,
    pub end: Position,
    /// Bytes of all segment files.
    pub size_bytes: u64,
    /// Bytes at which the journal is full.
    pub size_bytes_max: u64,
    /// How often that was reached since the journal was opened; `State::Full` may also be the disk.
    pub limit_reached: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// At the size limit, or the disk is full.
    #[error("the journal is full")]
    Full,
    /// Too many bytes wait for the disk; passes in milliseconds.
    #[error("the journal's write buffer is full")]
    Busy,
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal stopped after a failed write; restart to recover")]
pub struct Poisoned;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("position {position} is gone: the journal begins at {start}")]
    Released { position: Position, start: Position },
    #[error("position {position} lies beyond the journal's end at {end}")]
    Beyond { position: Position, end: Position },
    #[error("cannot read the journal at position {position}")]
    Io {
        position: Position,
        source: std::io::Error,
    },
    #[error("the journal is damaged at position {position}: {reason}")]
    Damaged { position: Position, reason: String },
}
