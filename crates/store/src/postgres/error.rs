//! What went wrong with PostgreSQL, and what it means for the writer.
//!
//! The rule: only a refusal of the data itself is `Rejected`, only what a person must change is
//! `Fatal`, and everything else is `Unavailable`, because trying again after `load` is always safe.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::address::Address;
use crate::error::StoreError;
use crate::guard::{Violation, fatal, unavailable};

/// Why a load or a commit did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    #[error("no answer for {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("the rows of one batch fall into more than {0} partitions")]
    Scattered(usize),
    /// A partition that rows should go to is none any more.
    #[error("a partition was detached, dropped or renamed meanwhile")]
    Strayed,
    #[error(
        "`{table}` is being detached, and until that ends no other partition can have its times; \
         if it was interrupted, finish it: ALTER TABLE {parent} DETACH PARTITION {table} FINALIZE"
    )]
    Detaching { parent: &'static str, table: String },
    #[error("a table of rows, or the view on them, was replaced meanwhile")]
    TablesChanged,
    #[error("another table has the name `series` now, and its ids are not those in use")]
    SeriesReplaced,
    #[error("the view `telemetry` reads another table than the one that is now named `{0}`")]
    Unseen(&'static str),
    #[error("the server has version {0}")]
    OldServer(String),
}

impl Failure {
    /// Whether the partitions are not what they were when they were listed; that the list is read
    /// again may be all it takes.
    pub(super) fn is_stale_list(&self) -> bool {
        match self {
            Failure::Strayed | Failure::Detaching { .. } => true,
            // The name of a partition is gone; a time has no partition, or the one it was sent to
            // has other bounds now. Our tables have no other check.
            Failure::Database(error) => error.code().is_some_and(|code| {
                *code == SqlState::UNDEFINED_TABLE || *code == SqlState::CHECK_VIOLATION
            }),
            _ => false,
        }
    }

    pub(super) fn while_loading(self, address: &Address) -> StoreError {
        self.classify(address, true)
    }

    pub(super) fn while_committing(self, address: &Address) -> StoreError {
        self.classify(address, false)
    }

    fn classify(self, address: &Address, loading: bool) -> StoreError {
        match self {
            Failure::Database(error) => database(error, address, loading),
            Failure::Violation(violation) => violation.classify(address, "database"),
            Failure::Silent(_)
            | Failure::Strayed
            | Failure::Detaching { .. }
            | Failure::TablesChanged => unavailable(address, self),
            Failure::SeriesReplaced => fatal(
                format!("the table `series` in `{address}` was replaced"),
                "restart Millrace: it then reads the series from the new table",
                self,
            ),
            Failure::Unseen(table) => fatal(
                format!("queries on `telemetry` in `{address}` would miss what is stored"),
                format!(
                    "give the name `{table}` back to the table that the view reads, or make the \
                     view anew on the present one"
                ),
                self,
            ),
            Failure::Scattered(_) => StoreError::Rejected {
                source: Box::new(self),
            },
            Failure::OldServer(ref version) => fatal(
                format!("PostgreSQL {version} at `{address}` is too old"),
                "use PostgreSQL 13 or newer",
                self,
            ),
        }
    }
}

fn database(error: tokio_postgres::Error, address: &Address, loading: bool) -> StoreError {
    let Some(code) = error.code().cloned() else {
        return without_code(error, address);
    };
    let user = address.user();
    let host = address.host();
    let name = address.database();
    if code == SqlState::INVALID_PASSWORD {
        return fatal(
            format!("`{host}` refuses the password of user `{user}`"),
            "correct the password in `store.url`",
            error,
        );
    }
    if code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return fatal(
            format!("`{host}` does not let user `{user}` into database `{name}`"),
            "create the user, or add a line for it to the server's pg_hba.conf",
            error,
        );
    }
    if code == SqlState::INVALID_CATALOG_NAME {
        return fatal(
            format!("there is no database `{name}` at `{host}`"),
            format!("create it: CREATE DATABASE {name} OWNER {user}"),
            error,
        );
    }
    if code == SqlState::INSUFFICIENT_PRIVILEGE {
        return fatal(
            format!("user `{user}` lacks a permission in database `{name}` at `{host}`"),
            format!("make the user its owner: ALTER DATABASE {name} OWNER TO {user}"),
            error,
        );
    }
    if code == SqlState::INVALID_SCHEMA_NAME {
        return fatal(
            format!("the search path of user `{user}` in database `{name}` names no schema"),
            "create the schema, or correct `options=-csearch_path=…` in `store.url`",
            error,
        );
    }
    if matches!(code, SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED) {
        return fatal(
            format!("`{address}` is damaged"),
            "restore a backup, or see PostgreSQL's documentation on corrupted data",
            error,
        );
    }
    match &code.code()[..2] {
        // A partition was dropped meanwhile: our tables have no other check, and reconnecting finds
        // out.
        _ if code == SqlState::CHECK_VIOLATION && !loading => unavailable(address, error),
        // Data exceptions, constraints, program limits (a name too long for the index on names).
        "22" | "23" | "54" if !loading => StoreError::Rejected {
            source: Box::new(error),
        },
        // The tables are not ours, or were changed. During a commit: a partition dropped meanwhile;
        // `load` finds out.
        "42" | "22" | "23" if loading => fatal(
            format!("the tables in `{address}` are not those of this Millrace"),
            "use a database of its own, or a schema: add `?options=-csearch_path%3Dmillrace` to `store.url`",
            error,
        ),
        _ => unavailable(address, error),
    }
}

/// Errors of the connection itself. Their kind is private, so what is not I/O is told apart by its
/// cause.
fn without_code(error: tokio_postgres::Error, address: &Address) -> StoreError {
    match error.to_string() {
        kind if kind.starts_with("authentication") || kind.starts_with("invalid config") => fatal(
            format!("cannot log in to `{address}`"),
            "give a user and a password in `store.url`: postgres://user:password@host:5432/database",
            error,
        ),
        kind if kind.starts_with("error performing TLS") => fatal(
            format!("`{address}` asks for TLS, which this connection does not speak"),
            "remove `sslmode` from `store.url`, and reach a distant server through a tunnel",
            error,
        ),
        kind if kind.starts_with("error serializing") || kind.starts_with("error encoding") => {
            StoreError::Rejected {
                source: Box::new(error),
            }
        }
        _ => unavailable(address, error),
    }
}
