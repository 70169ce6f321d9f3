//! Device credentials in PostgreSQL, over a connection of their own.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use store::StoreError;
use store::postgres::{Connection, Instant, WorkError, within};
use telemetry::Micros;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use super::contract::{
    ChangeError, Credential, Credentials, DEVICES_MAX, Existing, NewSecret, Previous, SecretDigest,
    Version, others,
};

/// Devices in one statement; a million at once would be one message of 100 MB.
const DEVICES_PER_STATEMENT: usize = 10_000;

const VERSION: &str = "SELECT version FROM device_credentials_version";

/// Locks the row until the end of the transaction: changes come one after the other.
const NEXT_VERSION: &str =
    "UPDATE device_credentials_version SET version = version + 1 RETURNING version";

const READ: &str = "
    SELECT device, secret_sha256, previous_sha256,
           (extract(epoch FROM previous_until) * 1000000)::bigint,
           (extract(epoch FROM created_at) * 1000000)::bigint,
           (extract(epoch FROM rotated_at) * 1000000)::bigint,
           (extract(epoch FROM revoked_at) * 1000000)::bigint
    FROM device_credentials WHERE version > $1";

const ADD: &str = "
    INSERT INTO device_credentials AS held (device, secret_sha256, created_at, version)
    SELECT given.device, given.secret, $3, $4
    FROM unnest($1::text[], $2::bytea[]) AS given (device, secret)
    ON CONFLICT (device) DO UPDATE
    SET secret_sha256 = excluded.secret_sha256, created_at = excluded.created_at,
        rotated_at = NULL, revoked_at = NULL, previous_sha256 = NULL, previous_until = NULL,
        version = excluded.version
    WHERE held.revoked_at IS NOT NULL
    RETURNING held.device";

const COUNT: &str = "SELECT count(*) FROM device_credentials WHERE revoked_at IS NULL";

const ROTATE: &str = "
    UPDATE device_credentials AS held
    SET secret_sha256 = given.secret, rotated_at = $3, version = $4, previous_until = $5::timestamptz,
        previous_sha256 = CASE WHEN $5::timestamptz IS NOT NULL THEN held.secret_sha256 END
    FROM unnest($1::text[], $2::bytea[]) AS given (device, secret)
    WHERE held.device = given.device AND held.revoked_at IS NULL
    RETURNING held.device";

const REVOKE: &str = "
    UPDATE device_credentials
    SET revoked_at = coalesce(revoked_at, $2), version = $3,
        previous_sha256 = NULL, previous_until = NULL
    WHERE device = ANY($1)
    RETURNING device";

pub(super) struct PostgresCredentials {
    connection: Connection,
}

impl PostgresCredentials {
    pub(super) fn open(
        config: &tokio_postgres::Config,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> Result<PostgresCredentials, StoreError> {
        let connection = Connection::open(config, connect_timeout, statement_timeout)?;
        Ok(PostgresCredentials { connection })
    }

    /// Waits for the outcome of one whole change.
    fn change<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client, Duration) -> Result<T, Stopped>,
    ) -> Result<T, ChangeError> {
        self.connection.run(work).map_err(|stopped| match stopped {
            Stopped::Failed(error) => self.connection.explain(error).into(),
            Stopped::Refused(refusal) => refusal,
        })
    }
}

impl Credentials for PostgresCredentials {
    fn version(&mut self) -> Result<Version, StoreError> {
        let found = self.connection.run(async |client, timeout| {
            let row = within(timeout, client.query_one(VERSION, &[])).await?;
            Ok(row.try_get(0)?)
        });
        found.map_err(|error| self.connection.explain(error))
    }

    fn read(
        &mut self,
        since: Version,
        each: &mut dyn FnMut(Credential),
    ) -> Result<Version, StoreError> {
        let read = self
            .connection
            .run(async |client, timeout| read(client, timeout, since, each).await);
        read.map_err(|error| self.connection.explain(error))
    }

    fn add(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        existing: Existing,
    ) -> Result<Vec<String>, ChangeError> {
        self.change(async |client, timeout| {
            let (transaction, version) = begin(client, timeout).await?;
            let mut added = HashSet::new();
            for group in devices.chunks(DEVICES_PER_STATEMENT) {
                let (names, digests) = columns(group);
                let parameters: [&(dyn ToSql + Sync); 4] =
                    [&names, &digests, &Instant(now), &version];
                changed(&transaction, timeout, ADD, &parameters, &mut added).await?;
            }
            let skipped = others(devices.iter().map(|new| &*new.device), &added);
            if existing == Existing::Refuse && !skipped.is_empty() {
                return Err(Stopped::Refused(ChangeError::Exist(skipped)));
            }
            let count = within(timeout, transaction.query_one(COUNT, &[])).await?;
            let count: i64 = count.try_get(0)?;
            if count > DEVICES_MAX as i64 {
                return Err(Stopped::Refused(ChangeError::TooMany(count as u64)));
            }
            within(timeout, transaction.commit()).await?;
            Ok(skipped)
        })
    }

    fn rotate(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        grace_until: Option<Micros>,
    ) -> Result<(), ChangeError> {
        self.change(async |client, timeout| {
            let (transaction, version) = begin(client, timeout).await?;
            let mut rotated = HashSet::new();
            for group in devices.chunks(DEVICES_PER_STATEMENT) {
                let (names, digests) = columns(group);
                let until = grace_until.map(Instant);
                let parameters: [&(dyn ToSql + Sync); 5] =
                    [&names, &digests, &Instant(now), &version, &until];
                changed(&transaction, timeout, ROTATE, &parameters, &mut rotated).await?;
            }
            let given = devices.iter().map(|new| &*new.device);
            commit_if_all(transaction, timeout, others(given, &rotated)).await
        })
    }

    fn revoke(&mut self, devices: &[String], now: Micros) -> Result<(), ChangeError> {
        self.change(async |client, timeout| {
            let (transaction, version) = begin(client, timeout).await?;
            let mut revoked = HashSet::new();
            for group in devices.chunks(DEVICES_PER_STATEMENT) {
                let parameters: [&(dyn ToSql + Sync); 3] = [&group, &Instant(now), &version];
                changed(&transaction, timeout, REVOKE, &parameters, &mut revoked).await?;
            }
            let given = devices.iter().map(String::as_str);
            commit_if_all(transaction, timeout, others(given, &revoked)).await
        })
    }
}

/// Why a change did not come about.
enum Stopped {
    Failed(WorkError),
    Refused(ChangeError),
}

impl From<WorkError> for Stopped {
    fn from(error: WorkError) -> Stopped {
        Stopped::Failed(error)
    }
}

impl From<tokio_postgres::Error> for Stopped {
    fn from(error: tokio_postgres::Error) -> Stopped {
        Stopped::Failed(error.into())
    }
}

/// A transaction that sees one state of the table and changes none.
async fn read(
    client: &mut Client,
    timeout: Duration,
    since: Version,
    each: &mut dyn FnMut(Credential),
) -> Result<Version, WorkError> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start();
    let transaction = within(timeout, transaction).await?;
    let version = within(timeout, transaction.query_one(VERSION, &[])).await?;
    let version = version.try_get(0)?;
    let rows = transaction.query_raw(READ, [since]);
    let mut rows = pin!(within(timeout, rows).await?);
    while let Some(row) = within(timeout, rows.try_next()).await? {
        each(credential(&row)?);
    }
    within(timeout, transaction.commit()).await?;
    Ok(version)
}

fn credential(row: &Row) -> Result<Credential, tokio_postgres::Error> {
    let digest = row.try_get::<_, &[u8]>(1)?;
    let previous: Option<&[u8]> = row.try_get(2)?;
    let until: Option<Micros> = row.try_get(3)?;
    Ok(Credential {
        device: row.try_get(0)?,
        digest: fixed(digest),
        previous: previous.zip(until).map(|(digest, until)| Previous {
            digest: fixed(digest),
            until,
        }),
        created_at: row.try_get(4)?,
        rotated_at: row.try_get(5)?,
        revoked_at: row.try_get(6)?,
    })
}

/// The table's own check makes it 32 bytes; anything else is no secret's digest and fits none.
fn fixed(digest: &[u8]) -> SecretDigest {
    digest.try_into().unwrap_or_default()
}

async fn begin(
    client: &mut Client,
    timeout: Duration,
) -> Result<(Transaction<'_>, Version), WorkError> {
    let transaction = within(timeout, client.transaction()).await?;
    let version = within(timeout, transaction.query_one(NEXT_VERSION, &[])).await?;
    let version = version.try_get(0)?;
    Ok((transaction, version))
}

/// Runs a statement that returns the devices it has changed.
async fn changed(
    transaction: &Transaction<'_>,
    timeout: Duration,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    into: &mut HashSet<String>,
) -> Result<(), WorkError> {
    for row in within(timeout, transaction.query(sql, parameters)).await? {
        into.insert(row.try_get(0)?);
    }
    Ok(())
}

async fn commit_if_all(
    transaction: Transaction<'_>,
    timeout: Duration,
    missing: Vec<String>,
) -> Result<(), Stopped> {
    if !missing.is_empty() {
        return Err(Stopped::Refused(ChangeError::Unknown(missing)));
    }
    Ok(within(timeout, transaction.commit()).await?)
}

fn columns(group: &[NewSecret]) -> (Vec<&str>, Vec<&[u8]>) {
    group
        .iter()
        .map(|new| (new.device.as_str(), new.digest.as_slice()))
        .unzip()
}
