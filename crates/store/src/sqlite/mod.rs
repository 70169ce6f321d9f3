//! SQLite, compiled in: one file, one connection, one transaction a batch.
//!
//! Owns: the connection, which lives on the writer's thread. Never: retries by itself, keeps a
//! batch. Invariant: the position moves only from where the batch begins, in the transaction that
//! writes the batch's rows, and a commit is on the disk when it returns.
//!
//! Rows are appended to `samples_recent` and moved to `samples_sorted` in bulk. Written straight
//! into the order of series, a few rows of each of some hundred series touch a page each: twenty
//! times the bytes go to the disk (docs/storage.md).

mod alerts;
mod commit;
mod connection;
mod error;
mod load;
mod migration;
mod samples;
mod series;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::guard::{Committed, Violation};
use super::series::SeriesIds;
use crate::batch::Batch;
use crate::contract::{Checkpoint, Store};
use crate::error::StoreError;
use error::Failure;

/// A connection for those who are neither lane nor writer: the file is created when it is missing
/// (its folder is not), and the schema brought up to date. `busy_timeout`: how long to wait for a
/// lock that another connection holds.
pub fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    open(path, busy_timeout).map_err(|failure| failure.classify(path))
}

/// What an error of a connection to this file means for the caller.
pub fn explain(error: rusqlite::Error, path: &Path) -> StoreError {
    Failure::from(error).classify(path)
}

/// A store in a file.
pub struct SqliteStore {
    path: PathBuf,
    busy_timeout: Duration,
    connection: Option<Connection>,
    ids: SeriesIds,
    committed: Committed,
}

impl SqliteStore {
    /// Does not open the file yet: `load` does, and creates it when it is missing. `busy_timeout`:
    /// how long to wait for a lock that another program holds.
    pub fn new(path: &Path, busy_timeout: Duration) -> SqliteStore {
        SqliteStore {
            path: path.to_owned(),
            busy_timeout,
            connection: None,
            ids: SeriesIds::default(),
            committed: Committed::default(),
        }
    }

    fn try_load(&mut self, journal: Uuid) -> Result<Checkpoint, Failure> {
        let connection = match self.connection.take() {
            Some(open) => self.connection.insert(open),
            None => self.connection.insert(open(&self.path, self.busy_timeout)?),
        };
        let checkpoint = load::checkpoint(connection, journal)?;
        self.committed.found(journal, checkpoint.rows)?;
        Ok(checkpoint)
    }

    fn try_commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), Failure> {
        let connection = self.connection.as_mut().ok_or(Violation::NotLoaded)?;
        self.ids.define(&batch.new_series);
        commit::commit(connection, journal, batch, &mut self.ids)
    }
}

impl Store for SqliteStore {
    fn load(&mut self, journal: Uuid) -> Result<Checkpoint, StoreError> {
        self.try_load(journal).map_err(|failure| {
            self.connection = None;
            failure.classify(&self.path)
        })
    }

    fn commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), StoreError> {
        match self.try_commit(journal, batch) {
            Ok(()) => {
                self.ids.confirm();
                self.committed.moved(journal, batch.end());
                Ok(())
            }
            Err(failure) => {
                self.ids.revert();
                let error = failure.classify(&self.path);
                if matches!(error, StoreError::Unavailable { .. }) {
                    self.connection = None;
                }
                Err(error)
            }
        }
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, Failure> {
    let mut connection = connection::open(path, busy_timeout)?;
    migration::migrate(&mut connection)?;
    Ok(connection)
}
