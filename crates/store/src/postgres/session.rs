//! One connection, its prepared statements, and what it knows of the partitions.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio_postgres::{Client, NoTls, Statement};

use super::address::Address;
use super::error::Failure;
use super::membership::{self, Tables};
use super::partition::Partitions;
use super::{migration, partition};

/// Statements for partitions written lately; more than a batch ever touches directly.
const COPY_STATEMENTS_MAX: usize = 64;

pub(super) struct Session {
    client: Client,
    pub(super) statements: Statements,
    pub(super) samples: Partitions,
    pub(super) texts: Partitions,
    pub(super) tables: Tables,
    copies: HashMap<String, Statement>,
    answer_timeout: Duration,
}

/// Prepared once per connection.
pub(super) struct Statements {
    pub(super) look: Statement,
    pub(super) advance: Statement,
    pub(super) find_series: Statement,
    pub(super) insert_series: Statement,
    pub(super) update_series: Statement,
    pub(super) copy_dead_letters: Statement,
    pub(super) count_reasons: Statement,
    pub(super) upsert_alerts: Statement,
    pub(super) delete_alerts: Statement,
    pub(super) insert_events: Statement,
}

impl Session {
    /// Connects, ends what an earlier session of this store may still be doing, and brings the
    /// schema up to date.
    pub(super) async fn open(address: &Address) -> Result<Session, Failure> {
        let client = connect(address).await?;
        let timeout = address.answer_timeout();
        within(timeout, end_earlier_sessions(&client, &address.application)).await?;
        migration::migrate(&client, timeout).await?;
        let statements = within(timeout, Box::pin(Statements::prepare(&client))).await?;
        let tables = within(timeout, Tables::find(&client)).await?;
        let samples = within(timeout, partition::list(&client, "samples")).await?;
        let texts = within(timeout, partition::list(&client, "readings_text")).await?;
        Ok(Session {
            client,
            statements,
            samples,
            texts,
            tables,
            copies: HashMap::new(),
            answer_timeout: timeout,
        })
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.client.is_closed()
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The partitions of samples and of texts, and the connection to make more.
    pub(super) fn partitions_mut(&mut self) -> (&Client, &mut Partitions, &mut Partitions) {
        (&self.client, &mut self.samples, &mut self.texts)
    }

    /// Reads the partitions again.
    pub(super) async fn refresh_partitions(&mut self) -> Result<(), Failure> {
        let timeout = self.answer_timeout;
        let (client, of_samples, of_texts) = self.partitions_mut();
        within(timeout, async {
            partition::refresh(client, of_samples).await?;
            partition::refresh(client, of_texts).await
        })
        .await
    }

    /// Waits for an answer, but not for ever: a frozen server keeps its connections open.
    pub(super) async fn answer<T, E: Into<Failure>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        within(self.answer_timeout, future).await
    }

    /// `COPY table FROM STDIN`, prepared when first used. `columns` as SQL.
    pub(super) async fn copy_statement(
        &mut self,
        table: &str,
        columns: &str,
    ) -> Result<Statement, Failure> {
        if let Some(statement) = self.copies.get(table) {
            return Ok(statement.clone());
        }
        if self.copies.len() >= COPY_STATEMENTS_MAX {
            self.copies.clear();
        }
        let sql = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
        let statement = self.answer(self.client.prepare(&sql)).await?;
        self.copies.insert(table.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// A connection with our settings. Must be called inside the runtime that is to drive it.
pub(super) async fn connect(address: &Address) -> Result<Client, Failure> {
    // The configuration's own timeout covers the TCP connect of one address; this one the whole,
    // log-in included.
    let connect_timeout = address.config.get_connect_timeout().copied();
    let whole = connect_timeout.unwrap_or_default() + address.answer_timeout();
    let (client, connection) = within(whole, address.config.connect(NoTls)).await?;
    tokio::spawn(async move {
        // The error also reaches whoever waits for an answer.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to PostgreSQL ended");
        }
    });
    let settings = address.session_settings();
    within(address.answer_timeout(), client.batch_execute(&settings)).await?;
    Ok(client)
}

pub(super) async fn within<T, E: Into<Failure>>(
    timeout: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Failure::Silent(timeout)),
    }
}

/// After a lost connection the server may still be at work on our last commit, or wait for the rest
/// of it.
async fn end_earlier_sessions(client: &Client, application: &str) -> Result<(), Failure> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()";
    client.query(sql, &[&application]).await?;
    Ok(())
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Statements, Failure> {
        // Sent together: one round trip for all.
        let (
            look,
            advance,
            find_series,
            insert_series,
            update_series,
            copy_dead_letters,
            count_reasons,
            upsert_alerts,
            delete_alerts,
            insert_events,
        ) = tokio::try_join!(
            client.prepare(membership::LOOK),
            client.prepare(super::commit::ADVANCE),
            client.prepare(super::series::FIND),
            client.prepare(super::series::INSERT),
            client.prepare(super::series::UPDATE),
            client.prepare(super::commit::COPY_DEAD_LETTERS),
            client.prepare(super::reasons::COUNT),
            client.prepare(super::alerts::UPSERT),
            client.prepare(super::alerts::DELETE),
            client.prepare(super::alerts::INSERT_EVENTS),
        )?;
        Ok(Statements {
            look,
            advance,
            find_series,
            insert_series,
            update_series,
            copy_dead_letters,
            count_reasons,
            upsert_alerts,
            delete_alerts,
            insert_events,
        })
    }
}
