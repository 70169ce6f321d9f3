//! The database behind one trait: PostgreSQL or SQLite, with the same behaviour.
//!
//! Owns: the tables, the rows of a batch, and what is committed. Never: decides when to try again,
//! reads the journal, knows what a message means. Invariant: a position is only ever moved by the
//! transaction that holds the rows up to it, and only from where that batch began.

mod batch;
mod civil;
mod config;
mod contract;
mod error;
mod guard;
pub mod postgres;
mod reason;
mod reasons;
mod series;
pub mod sqlite;

pub use batch::{
    AlertChanges, AlertEventRow, AlertStateRow, Batch, DeadLetter, FilteredValues, NewSeries,
    Outcome, SampleRow, SeriesKey, TextRow,
};
pub use config::{Config, Settings, Target};
pub use contract::{Checkpoint, Store, Totals};
pub use error::StoreError;
pub use postgres::PostgresStore;
pub use reason::{Counts, Reason};
pub use reasons::{ByReason, Reasons, Unstored};
pub use sqlite::SqliteStore;

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
