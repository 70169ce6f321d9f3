//! Opening the file, and what every connection is told.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::Failure;

/// Pages kept in memory, in KiB (a negative `cache_size` means KiB).
const CACHE_KIB: i64 = 32 * 1024;

/// The write-ahead log is copied into the file when it has so many pages of 4 KiB: 64 MB. The
/// default of 4 MB is one full batch, so each page that several batches touch would be copied each
/// time.
const CHECKPOINT_PAGES: i64 = 16_384;

/// What the write-ahead log is cut down to after it was copied.
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Prepared statements kept; there are about a dozen.
const STATEMENTS_MAX: usize = 32;

pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // FULL: a commit is on the disk when it returns. The journal may forget what has been
    // committed, so NORMAL, which leaves the log to be written out later, could lose acknowledged
    // messages with the power. It costs one fdatasync a commit.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES_MAX};
         PRAGMA temp_store = MEMORY;"
    ))?;
    // With a write-ahead log, readers (a console, Grafana) and the writer do not wait for each
    // other.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::NoWriteAheadLog(mode));
    }
    Ok(connection)
}
