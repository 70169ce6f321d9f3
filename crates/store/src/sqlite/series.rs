//! Finds or makes the series that a batch is the first to use.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Failure;
use crate::batch::{Batch, NewSeries};
use crate::guard::Violation;
use crate::series::{SeriesId, SeriesIds};

const FIND: &str =
    "SELECT id, unit = ?3 AND labels = ?4 FROM series WHERE device = ?1 AND metric = ?2";
const INSERT: &str =
    "INSERT INTO series (device, metric, unit, labels) VALUES (?1, ?2, ?3, ?4) RETURNING id";
const UPDATE: &str = "UPDATE series SET unit = ?2, labels = ?3 WHERE id = ?1";

/// Stages the ids of all series that the batch's rows use, within the transaction under way.
pub(super) fn resolve(
    transaction: &Connection,
    batch: &Batch,
    ids: &mut SeriesIds,
) -> Result<(), Failure> {
    let wanted = ids.unresolved(batch).map_err(Violation::Undefined)?;
    let found = wanted
        .into_iter()
        .map(|series| Ok((series.key, resolve_one(transaction, series)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    for (key, id) in found {
        ids.stage(key, id);
    }
    Ok(())
}

fn resolve_one(transaction: &Connection, series: &NewSeries) -> Result<SeriesId, Failure> {
    let NewSeries {
        key: _,
        device,
        metric,
        unit,
        labels,
    } = series;
    let found: Option<(SeriesId, bool)> = transaction
        .prepare_cached(FIND)?
        .query_row(params![device, metric, unit, labels], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((id, true)) => Ok(id),
        Some((id, false)) => {
            transaction
                .prepare_cached(UPDATE)?
                .execute(params![id, unit, labels])?;
            Ok(id)
        }
        None => Ok(transaction
            .prepare_cached(INSERT)?
            .query_row(params![device, metric, unit, labels], |row| row.get(0))?),
    }
}
