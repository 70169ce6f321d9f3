//! The database behind one trait: PostgreSQL or SQLite, with the same behaviour.
//!
//! Owns: the tables and what is committed to them. Never: decides when to try again, reads the
//! journal. Invariant: a position is only ever moved by the transaction that holds what it stands
//! for, and only from where that batch began.

mod civil;
pub mod config;
pub mod credentials;
mod guard;
pub mod postgres;
mod series;
pub mod sqlite;

use journal::Position;
use uuid::Uuid;

use crate::alert::AlertStateRow;
use crate::batch::{Batch, Outcome};
use crate::reasons::Reasons;

pub use config::{Config, ConfigError, Settings, Target};
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

/// Where rows go. Used from one thread that may block (and is not inside a tokio runtime);
/// implementations connect when first used and again after a loss.
pub trait Store: Send {
    /// Connects if needed, brings the schema up to date and reads what was committed for this
    /// journal.
    fn load(&mut self, journal: Uuid) -> Result<Checkpoint, StoreError>;

    /// Writes the batch and its positions in one transaction. All or nothing, except that after
    /// `Unavailable` the outcome is unknown: `load` tells what was committed.
    ///
    /// The batch must begin at the committed position; one without records carries alert changes
    /// alone. A definition in `new_series` is remembered until a commit that needs it has
    /// succeeded, so it need not be given again.
    fn commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), StoreError>;

    /// For messages to people: `postgres://user@host/db` without the password, or the file.
    fn describe(&self) -> String;
}

/// The store of checked settings. Nothing is connected or opened yet: `load` does that.
pub fn open(settings: &Settings) -> Result<Box<dyn Store>, StoreError> {
    let statement_timeout = settings.statement_timeout;
    Ok(match &settings.target {
        Target::Sqlite(path) => Box::new(SqliteStore::new(path, statement_timeout)),
        Target::Postgres(config) => Box::new(PostgresStore::new(
            config,
            settings.connect_timeout,
            statement_timeout,
        )?),
    })
}

/// What the database knows of one journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Everything before it is stored, filtered or dead-lettered.
    pub rows: Position,
    /// Everything before it has been evaluated by the alerts lane.
    pub alerts: Position,
    pub totals: Totals,
    /// Why records were filtered or dead-lettered; the messages add up to these totals.
    pub reasons: Reasons,
    pub alert_states: Vec<AlertStateRow>,
}

/// Records of one journal by where they ended; their sum is `Checkpoint::rows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub stored: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

impl Totals {
    /// Counts where the records of a batch ended.
    pub fn of(outcomes: &[Outcome]) -> Totals {
        let mut totals = Totals::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Stored => totals.stored += 1,
                Outcome::Filtered(_) => totals.filtered += 1,
                Outcome::DeadLettered => totals.dead_lettered += 1,
            }
        }
        totals
    }
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
