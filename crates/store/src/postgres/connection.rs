//! A connection for those who are neither lane nor writer: device credentials, and whoever reads.
//!
//! Owns: the connection and the runtime that drives it. Never: knows a table. Invariant: the schema
//! was up to date when the connection was opened.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::address::Address;
use super::error::Failure;
use super::{migration, runtime, session};
use crate::error::StoreError;

/// To be used on a thread that may block and is not inside a tokio runtime.
pub struct Connection {
    address: Address,
    runtime: Runtime,
    client: Client,
}

/// Why work on a connection failed; [`Connection::explain`] says what it means for the caller.
#[derive(Debug)]
pub struct WorkError(Failure);

impl From<tokio_postgres::Error> for WorkError {
    fn from(error: tokio_postgres::Error) -> WorkError {
        WorkError(error.into())
    }
}

impl Connection {
    /// Connects, and brings the schema up to date.
    pub fn open(
        config: &tokio_postgres::Config,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> Result<Connection, StoreError> {
        let address = Address::new(config, connect_timeout, statement_timeout);
        let runtime = runtime()?;
        let opened = runtime.block_on(async {
            let client = session::connect(&address).await?;
            migration::migrate(&client, address.answer_timeout()).await?;
            Ok(client)
        });
        match opened {
            Ok(client) => Ok(Connection {
                address,
                runtime,
                client,
            }),
            Err(failure) => Err(Failure::while_loading(failure, &address)),
        }
    }

    /// Runs one whole piece of work to its end. It is given the longest time that one answer may
    /// take, for [`within`].
    pub fn run<T, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client, Duration) -> Result<T, E>,
    ) -> Result<T, E> {
        let timeout = self.address.answer_timeout();
        self.runtime.block_on(work(&mut self.client, timeout))
    }

    /// What a failure means. After `StoreError::Unavailable` the connection is of no more use.
    pub fn explain(&self, error: WorkError) -> StoreError {
        error.0.while_loading(&self.address)
    }
}

/// Waits for one answer, but not for ever.
pub async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, WorkError> {
    session::within(timeout, answer).await.map_err(WorkError)
}
