//! Brings the schema up to date, step by step, each in a transaction that holds the file's write
//! lock from its beginning.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::error::Failure;
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

/// Returns when the schema has exactly the version this program knows.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let known = MIGRATIONS.len() as i64;
    loop {
        match version(connection)? {
            found if found == known => return Ok(()),
            found if found > known => {
                return Err(Violation::NewerSchema { found, known }.into());
            }
            _ => step(connection)?,
        }
    }
}

/// 0 when there is nothing yet.
fn version(connection: &Connection) -> Result<i64, Failure> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'";
    let exists = connection.query_row(sql, [], |_| Ok(())).optional()?;
    if exists.is_none() {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM schema_version";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Applies the next migration, if under the lock there still is one.
fn step(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version    INTEGER PRIMARY KEY,
             name       TEXT NOT NULL,
             applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
         ) STRICT",
    )?;
    let found = version(&transaction)?;
    let next = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found));
    if let Some(migration) = next {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO schema_version (version, name) VALUES (?1, ?2)",
            params![found + 1, migration.name],
        )?;
    }
    transaction.commit()?;
    Ok(())
}
