//! The database behind one trait: PostgreSQL or SQLite, with the same behaviour.

use journal::Position;
use uuid::Uuid;

use crate::alert::AlertStateRow;
use crate::batch::Batch;

/// Where rows go. Used from one thread that may block; implementations connect when first used and again after a loss.
pub trait Store: Send {
    /// Connects if needed, brings the schema up to date and reads what was committed for this journal.
    fn load(&mut self, journal: Uuid) -> Result<Checkpoint, StoreError>;

    /// Writes the batch and its positions in one transaction. All or nothing, except that after `Unavailable` the outcome is
    /// unknown: `load` tells what was committed.
    fn commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), StoreError>;

    /// For messages to people: `postgres://host/db` without the password, or the file.
    fn describe(&self) -> String;
}

/// What the database knows of one journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Everything before it is stored, filtered or dead-lettered.
    pub rows: Position,
    /// Everything before it has been evaluated by the alerts lane.
    pub alerts: Position,
    pub totals: Totals,
    pub alert_states: Vec<AlertStateRow>,
}

/// Records of one journal by where they ended; their sum is `Checkpoint::rows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub stored: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or lost on the way: try again later, after `load`.
    #[error("the database `{store}` is not available")]
    Unavailable {
        store: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refuses the data of this batch: split it to find the record.
    #[error("the database refuses a value")]
    Rejected {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Someone must act: wrong password, newer schema, read-only folder. `hint` says what to do.
    #[error("{message}")]
    Fatal {
        message: String,
        hint: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}
