//! What went wrong with the file, and what it means for the writer.
//!
//! The rule: only a refusal of the data itself is `Rejected`, only what a person must change is
//! `Fatal`, and everything else is `Unavailable`, because trying again after `load` is always safe.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::StoreError;
use crate::guard::{Violation, fatal, unavailable};

/// Why a load or a commit did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("the file system allows journal mode `{0}` only")]
    NoWriteAheadLog(String),
}

impl Failure {
    pub(super) fn classify(self, path: &Path) -> StoreError {
        let file = path.display();
        match self {
            Failure::Database(error) => database(error, path),
            Failure::Violation(violation) => violation.classify(file, "data folder"),
            Failure::NoWriteAheadLog(_) => fatal(
                format!("`{file}` lies on a file system that cannot hold it"),
                "put the data folder on a local disk: network file systems lack shared memory",
                self,
            ),
        }
    }
}

fn database(error: rusqlite::Error, path: &Path) -> StoreError {
    let file = path.display();
    let error = match error {
        // Shown, it would recite the whole statement.
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            rusqlite::Error::SqliteFailure(error, Some(msg))
        }
        other => other,
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            StoreError::Rejected {
                source: Box::new(error),
            }
        }
        Some(ErrorCode::CannotOpen) => fatal(
            format!("cannot open `{file}`"),
            "create its folder, and let this user write there",
            error,
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => fatal(
            format!("`{file}` cannot be written"),
            "let this user write the file and its folder",
            error,
        ),
        Some(ErrorCode::NotADatabase) => fatal(
            format!("`{file}` is not a database"),
            "move it away, or set `store.url` to another file",
            error,
        ),
        Some(ErrorCode::DatabaseCorrupt) => fatal(
            format!("`{file}` is damaged"),
            "restore a copy, or move the file away together with its `-wal` and `-shm` files",
            error,
        ),
        // A table is missing or another than ours.
        Some(ErrorCode::Unknown) => fatal(
            format!("the tables in `{file}` are not those of this Millrace"),
            "set `store.url` to another file",
            error,
        ),
        // Busy, locked, disk full, an I/O error, out of memory.
        _ => unavailable(file, error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn codes_mean_what_the_writer_can_do() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, "unavailable"),
            (ffi::SQLITE_IOERR, "unavailable"),
            (ffi::SQLITE_IOERR_FSYNC, "unavailable"),
            (ffi::SQLITE_BUSY, "unavailable"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "unavailable"),
            (ffi::SQLITE_NOMEM, "unavailable"),
            (ffi::SQLITE_CONSTRAINT_NOTNULL, "rejected"),
            (ffi::SQLITE_CONSTRAINT_CHECK, "rejected"),
            (ffi::SQLITE_TOOBIG, "rejected"),
            (ffi::SQLITE_MISMATCH, "rejected"),
            (ffi::SQLITE_READONLY, "fatal"),
            (ffi::SQLITE_READONLY_DIRECTORY, "fatal"),
            (ffi::SQLITE_CANTOPEN, "fatal"),
            (ffi::SQLITE_NOTADB, "fatal"),
            (ffi::SQLITE_CORRUPT, "fatal"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let found = match Failure::Database(error).classify(Path::new("x.db")) {
                StoreError::Unavailable { .. } => "unavailable",
                StoreError::Rejected { .. } => "rejected",
                StoreError::Fatal { .. } => "fatal",
            };
            assert_eq!(found, expected, "code {code}");
        }
    }
}
