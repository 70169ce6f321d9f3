//! Device credentials in SQLite, over a connection of their own: the write-ahead log lets them be
//! read while rows are written, and one writer waits for the other.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use store::{StoreError, sqlite};
use telemetry::Micros;

use super::contract::{
    ChangeError, Credential, Credentials, DEVICES_MAX, Existing, NewSecret, Previous, Version,
    others,
};

const VERSION: &str = "SELECT version FROM device_credentials_version";

const NEXT_VERSION: &str =
    "UPDATE device_credentials_version SET version = version + 1 RETURNING version";

const READ: &str = "
    SELECT device, secret_sha256, previous_sha256, previous_until,
           created_at, rotated_at, revoked_at
    FROM device_credentials WHERE version > ?1";

const ADD: &str = "
    INSERT INTO device_credentials (device, secret_sha256, created_at, version)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (device) DO UPDATE
    SET secret_sha256 = excluded.secret_sha256, created_at = excluded.created_at,
        rotated_at = NULL, revoked_at = NULL, previous_sha256 = NULL, previous_until = NULL,
        version = excluded.version
    WHERE revoked_at IS NOT NULL
    RETURNING device";

const COUNT: &str = "SELECT count(*) FROM device_credentials WHERE revoked_at IS NULL";

const ROTATE: &str = "
    UPDATE device_credentials
    SET secret_sha256 = ?2, rotated_at = ?3, version = ?4, previous_until = ?5,
        previous_sha256 = CASE WHEN ?5 IS NOT NULL THEN secret_sha256 END
    WHERE device = ?1 AND revoked_at IS NULL
    RETURNING device";

const REVOKE: &str = "
    UPDATE device_credentials
    SET revoked_at = coalesce(revoked_at, ?2), version = ?3,
        previous_sha256 = NULL, previous_until = NULL
    WHERE device = ?1
    RETURNING device";

pub(super) struct SqliteCredentials {
    path: PathBuf,
    connection: Connection,
}

impl SqliteCredentials {
    /// The file is created when it is missing, its folder is not.
    pub(super) fn open(
        path: &Path,
        busy_timeout: Duration,
    ) -> Result<SqliteCredentials, StoreError> {
        Ok(SqliteCredentials {
            path: path.to_owned(),
            connection: sqlite::connect(path, busy_timeout)?,
        })
    }

    fn try_version(&self) -> rusqlite::Result<Version> {
        let mut statement = self.connection.prepare_cached(VERSION)?;
        statement.query_row([], |row| row.get(0))
    }

    fn try_read(
        &mut self,
        since: Version,
        each: &mut dyn FnMut(Credential),
    ) -> rusqlite::Result<Version> {
        let transaction = self.connection.transaction()?;
        let version = transaction.query_row(VERSION, [], |row| row.get(0))?;
        let mut statement = transaction.prepare_cached(READ)?;
        let mut rows = statement.query([since])?;
        while let Some(row) = rows.next()? {
            each(credential(row)?);
        }
        Ok(version)
    }

    /// Runs one whole change; what `work` refuses leaves nothing behind.
    fn change<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, Version) -> Result<T, Stopped>,
    ) -> Result<T, ChangeError> {
        let connection = &mut self.connection;
        let change = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let version = transaction.query_row(NEXT_VERSION, [], |row| row.get(0))?;
            let done = work(&transaction, version)?;
            transaction.commit()?;
            Ok(done)
        };
        change().map_err(|stopped| match stopped {
            Stopped::Failed(error) => sqlite::explain(error, &self.path).into(),
            Stopped::Refused(refusal) => refusal,
        })
    }
}

impl Credentials for SqliteCredentials {
    fn version(&mut self) -> Result<Version, StoreError> {
        self.try_version()
            .map_err(|error| sqlite::explain(error, &self.path))
    }

    fn read(
        &mut self,
        since: Version,
        each: &mut dyn FnMut(Credential),
    ) -> Result<Version, StoreError> {
        self.try_read(since, each)
            .map_err(|error| sqlite::explain(error, &self.path))
    }

    fn add(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        existing: Existing,
    ) -> Result<Vec<String>, ChangeError> {
        self.change(|transaction, version| {
            let mut added = HashSet::new();
            let mut statement = transaction.prepare_cached(ADD)?;
            for NewSecret { device, digest } in devices {
                let row = statement.query_row(params![device, digest, now, version], name);
                added.extend(row.optional()?);
            }
            let skipped = others(devices.iter().map(|new| &*new.device), &added);
            if existing == Existing::Refuse && !skipped.is_empty() {
                return Err(Stopped::Refused(ChangeError::Exist(skipped)));
            }
            let count: i64 = transaction.query_row(COUNT, [], |row| row.get(0))?;
            if count > DEVICES_MAX as i64 {
                return Err(Stopped::Refused(ChangeError::TooMany(count as u64)));
            }
            Ok(skipped)
        })
    }

    fn rotate(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        grace_until: Option<Micros>,
    ) -> Result<(), ChangeError> {
        self.change(|transaction, version| {
            let mut rotated = HashSet::new();
            let mut statement = transaction.prepare_cached(ROTATE)?;
            for NewSecret { device, digest } in devices {
                let parameters = params![device, digest, now, version, grace_until];
                rotated.extend(statement.query_row(parameters, name).optional()?);
            }
            all_of(others(devices.iter().map(|new| &*new.device), &rotated))
        })
    }

    fn revoke(&mut self, devices: &[String], now: Micros) -> Result<(), ChangeError> {
        self.change(|transaction, version| {
            let mut revoked = HashSet::new();
            let mut statement = transaction.prepare_cached(REVOKE)?;
            for device in devices {
                let row = statement.query_row(params![device, now, version], name);
                revoked.extend(row.optional()?);
            }
            all_of(others(devices.iter().map(String::as_str), &revoked))
        })
    }
}

/// Why a change did not come about.
enum Stopped {
    Failed(rusqlite::Error),
    Refused(ChangeError),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Stopped {
        Stopped::Failed(error)
    }
}

fn all_of(missing: Vec<String>) -> Result<(), Stopped> {
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Stopped::Refused(ChangeError::Unknown(missing)))
    }
}

fn name(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let previous: Option<[u8; 32]> = row.get(2)?;
    let until: Option<Micros> = row.get(3)?;
    Ok(Credential {
        device: row.get(0)?,
        digest: row.get(1)?,
        previous: previous
            .zip(until)
            .map(|(digest, until)| Previous { digest, until }),
        created_at: row.get(4)?,
        rotated_at: row.get(5)?,
        revoked_at: row.get(6)?,
    })
}
