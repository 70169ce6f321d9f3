//! Brings the schema up to date, step by step, while other processes may be doing the same.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::Failure;
use super::session::within;
use crate::guard::Violation;

/// One step. Its number is its place in the list, counted from 1.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "rows",
        sql: include_str!("migrations/0001_rows.sql"),
    },
    Migration {
        name: "alerts",
        sql: include_str!("migrations/0002_alerts.sql"),
    },
    Migration {
        name: "device credentials",
        sql: include_str!("migrations/0003_device_credentials.sql"),
    },
    Migration {
        name: "texts in the view",
        sql: include_str!("migrations/0004_texts_in_view.sql"),
    },
    Migration {
        name: "reasons",
        sql: include_str!("migrations/0005_reasons.sql"),
    },
];

/// Held (in a transaction) by whoever changes the schema of a database; the number is "Millrace" in
/// ASCII.
pub(super) const SCHEMA_LOCK: i64 = i64::from_be_bytes(*b"Millrace");

/// Older ones have been out of support for years, and nothing here was tried on them.
const SERVER_VERSION_MIN: i32 = 130_000;

/// A step may rewrite tables, or wait for another process that does.
const STEP_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Returns when the schema has exactly the version this program knows. `timeout` is for one answer
/// to a simple question.
pub(super) async fn migrate(client: &Client, timeout: Duration) -> Result<(), Failure> {
    within(timeout, check_server(client)).await?;
    let known = MIGRATIONS.len() as i32;
    loop {
        match within(timeout, version(client)).await? {
            found if found == known => return Ok(()),
            found if found > known => {
                return Err(Violation::NewerSchema {
                    found: found.into(),
                    known: known.into(),
                }
                .into());
            }
            _ => within(STEP_TIMEOUT, step(client)).await?,
        }
    }
}

async fn check_server(client: &Client) -> Result<(), Failure> {
    let sql =
        "SELECT current_setting('server_version_num')::int, current_setting('server_version')";
    let row = client.query_one(sql, &[]).await?;
    if row.try_get::<_, i32>(0)? < SERVER_VERSION_MIN {
        return Err(Failure::OldServer(row.try_get(1)?));
    }
    Ok(())
}

/// 0 when there is nothing yet.
async fn version(client: &Client) -> Result<i32, Failure> {
    let sql = "SELECT to_regclass('schema_version') IS NOT NULL";
    let exists: bool = client.query_one(sql, &[]).await?.try_get(0)?;
    if !exists {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM schema_version";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// Applies the next migration, if under the lock there still is one.
async fn step(client: &Client) -> Result<(), Failure> {
    // The lock may be held for as long as somebody's migration takes.
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"
    );
    client.batch_execute(&begin).await?;
    match apply_next(client).await {
        Ok(()) => Ok(client.batch_execute("COMMIT").await?),
        Err(failure) => {
            let _ = client.batch_execute("ROLLBACK").await;
            Err(failure)
        }
    }
}

async fn apply_next(client: &Client) -> Result<(), Failure> {
    client
        .batch_execute(
            "SET LOCAL client_min_messages = warning;
             CREATE TABLE IF NOT EXISTS schema_version (
                 version    integer PRIMARY KEY,
                 name       text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now()
             )",
        )
        .await?;
    let found = version(client).await?;
    let Some(migration) = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found))
    else {
        return Ok(());
    };
    client.batch_execute(migration.sql).await?;
    client
        .execute(
            "INSERT INTO schema_version (version, name) VALUES ($1, $2)",
            &[&(found + 1), &migration.name],
        )
        .await?;
    Ok(())
}
