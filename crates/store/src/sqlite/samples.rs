//! Numeric rows: appended first, sorted in bulk.

use rusqlite::{CachedStatement, Connection};

use super::error::Failure;
use crate::batch::SampleRow;
use crate::guard::Violation;
use crate::series::SeriesIds;

const TAKE_IDS: &str = "UPDATE sample_ids SET given = given + ?1 RETURNING given";

/// The smallest and largest id tell how many rows there are, because ids are given out without
/// gaps.
const RECENT: &str = "SELECT coalesce(max(id) - min(id) + 1, 0) FROM samples_recent";

const SORT: &str = "INSERT INTO samples_sorted (series_id, time, id, value)
     SELECT series_id, time, id, value FROM samples_recent ORDER BY series_id, time, id";

const CLEAR: &str = "DELETE FROM samples_recent";

/// Rows that gather in `samples_recent`. More of them make sorting cheaper for each, and a query
/// has to look through them all: these take a few milliseconds, and a tenth of a second to sort.
const RECENT_ROWS_MAX: i64 = 100_000;

/// Rows in one statement: running a statement costs as much as a few rows do.
const ROWS_PER_STATEMENT: usize = 64;

/// Parameters of a row: id, series, time, value.
const PARAMETERS: usize = 4;

/// All series must be resolved.
pub(super) fn insert(
    transaction: &Connection,
    samples: &[SampleRow],
    ids: &SeriesIds,
) -> Result<(), Failure> {
    if samples.is_empty() {
        return Ok(());
    }
    let count = samples.len() as i64;
    let given: i64 = transaction
        .prepare_cached(TAKE_IDS)?
        .query_row([count], |row| row.get(0))?;
    let mut id = given - count + 1;
    let (groups, rest) = samples.as_chunks::<ROWS_PER_STATEMENT>();
    let mut statement = transaction.prepare_cached(&insert_of(ROWS_PER_STATEMENT))?;
    for group in groups {
        id = insert_group(&mut statement, group, ids, id)?;
    }
    let mut statement = transaction.prepare_cached(&insert_of(1))?;
    for row in rest.chunks(1) {
        id = insert_group(&mut statement, row, ids, id)?;
    }
    sort_when_many(transaction)
}

/// Returns the id after the last one used.
fn insert_group(
    statement: &mut CachedStatement<'_>,
    rows: &[SampleRow],
    ids: &SeriesIds,
    first_id: i64,
) -> Result<i64, Failure> {
    let mut id = first_id;
    for (row, at) in rows.iter().zip((1..).step_by(PARAMETERS)) {
        let series = ids
            .get(row.series)
            .ok_or(Violation::Undefined(row.series))?;
        statement.raw_bind_parameter(at, id)?;
        statement.raw_bind_parameter(at + 1, series)?;
        statement.raw_bind_parameter(at + 2, row.time)?;
        statement.raw_bind_parameter(at + 3, row.value)?;
        id += 1;
    }
    statement.raw_execute()?;
    Ok(id)
}

fn insert_of(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO samples_recent (id, series_id, time, value) VALUES {values}")
}

fn sort_when_many(transaction: &Connection) -> Result<(), Failure> {
    let recent: i64 = transaction
        .prepare_cached(RECENT)?
        .query_row([], |row| row.get(0))?;
    if recent >= RECENT_ROWS_MAX {
        transaction.prepare_cached(SORT)?.execute([])?;
        transaction.prepare_cached(CLEAR)?.execute([])?;
    }
    Ok(())
}
