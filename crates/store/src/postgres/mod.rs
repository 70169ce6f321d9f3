//! PostgreSQL: range partitions by time, binary COPY, one transaction a batch.
//!
//! Owns: one connection and the runtime that drives it, and a thread that tends partitions and
//! indexes over a connection of its own. Never: retries by itself (the writer decides when), keeps
//! a batch. Invariant: the position moves only from where the batch begins, in the transaction that
//! writes the batch's rows.

mod address;
mod alerts;
mod commit;
mod connection;
mod copy;
mod error;
mod index;
mod load;
mod load_rate;
mod maintenance;
mod membership;
mod migration;
mod partition;
mod reasons;
mod series;
mod session;
mod sorted;
mod types;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use uuid::Uuid;

use super::guard::{Committed, Violation};
use super::series::SeriesIds;
use crate::batch::Batch;
use crate::contract::{Checkpoint, Store};
use crate::error::StoreError;
pub use connection::{Connection, WorkError, within};
pub use types::Instant;

use address::Address;
use commit::Scratch;
use error::Failure;
use load_rate::LoadRate;
use maintenance::Maintenance;
use session::Session;

/// How long a server may take over and above its own statement timeout before it counts as gone.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// A store on a PostgreSQL server. Its methods block, and must not be called from inside a tokio
/// runtime.
pub struct PostgresStore {
    address: Arc<Address>,
    runtime: Runtime,
    session: Option<Session>,
    ids: SeriesIds,
    /// The table that `ids` are from, by PostgreSQL's number.
    series_table: Option<u32>,
    scratch: Scratch,
    committed: Committed,
    rate: Arc<LoadRate>,
    maintenance: Option<Maintenance>,
}

impl PostgresStore {
    /// Does not connect yet: `load` does.
    pub fn new(
        config: &tokio_postgres::Config,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> Result<PostgresStore, StoreError> {
        Ok(PostgresStore {
            address: Arc::new(Address::new(config, connect_timeout, statement_timeout)),
            runtime: runtime()?,
            session: None,
            ids: SeriesIds::default(),
            series_table: None,
            scratch: Scratch::default(),
            committed: Committed::default(),
            rate: Arc::default(),
            maintenance: None,
        })
    }

    fn try_load(&mut self, journal: Uuid) -> Result<Checkpoint, Failure> {
        let address = &self.address;
        let session = &mut self.session;
        let series_table = &mut self.series_table;
        let checkpoint = self.runtime.block_on(async {
            let session = match session.take().filter(Session::is_usable) {
                Some(open) => session.insert(open),
                None => session.insert(Session::open(address).await?),
            };
            let series = session.tables.series;
            if series_table.is_some() && *series_table != series {
                return Err(Failure::SeriesReplaced);
            }
            *series_table = series;
            load::checkpoint(session, journal).await
        })?;
        self.committed.found(journal, checkpoint.rows)?;
        Ok(checkpoint)
    }

    fn try_commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), Failure> {
        let session = self.session.as_mut().ok_or(Violation::NotLoaded)?;
        self.ids.define(&batch.new_series);
        self.runtime.block_on(commit::commit(
            session,
            journal,
            batch,
            &mut self.ids,
            &mut self.scratch,
            self.rate.is_heavy(),
        ))
    }
}

impl Store for PostgresStore {
    fn load(&mut self, journal: Uuid) -> Result<Checkpoint, StoreError> {
        let checkpoint = self.try_load(journal).map_err(|failure| {
            self.session = None;
            failure.while_loading(&self.address)
        })?;
        self.maintenance
            .get_or_insert_with(|| Maintenance::start(&self.address, &self.rate));
        Ok(checkpoint)
    }

    fn commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), StoreError> {
        match self.try_commit(journal, batch) {
            Ok(()) => {
                self.ids.confirm();
                self.committed.moved(journal, batch.end());
                self.rate.add(batch.samples.len() as u64);
                Ok(())
            }
            Err(failure) => {
                self.ids.revert();
                // What is known of a partition that is being detached is worth keeping.
                let keeps_session = matches!(failure, Failure::Detaching { .. });
                let error = failure.while_committing(&self.address);
                if matches!(error, StoreError::Unavailable { .. }) && !keeps_session {
                    self.session = None;
                }
                Err(error)
            }
        }
    }

    fn describe(&self) -> String {
        self.address.to_string()
    }
}

/// Drives one connection, on the thread that uses it.
fn runtime() -> Result<Runtime, StoreError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StoreError::Fatal {
            message: "cannot set up the connection to PostgreSQL".into(),
            hint: "look at the limits on open files and threads of this process".into(),
            source: Some(Box::new(source)),
        })
}
