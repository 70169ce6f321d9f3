//! What the file knows of a journal.

use journal::Position;
use rusqlite::{Connection, Row};
use uuid::Uuid;

use super::error::Failure;
use crate::batch::AlertStateRow;
use crate::contract::{Checkpoint, Totals};
use crate::reasons::{Reasons, Unstored};

/// Makes the journal's row when there is none: from then on a commit only ever updates it.
const CREATE: &str = "INSERT INTO ingest_position (journal) VALUES (?1) ON CONFLICT DO NOTHING";

const POSITION: &str = "SELECT rows_position, alerts_position, stored, filtered, dead_lettered
     FROM ingest_position WHERE journal = ?1 AND partition = 0";

const REASONS: &str = "SELECT outcome, reason, messages, samples FROM ingest_reasons
     WHERE journal = ?1 AND partition = 0";

const ALERTS: &str = "SELECT rule, device, metric, state FROM alerts
     WHERE journal = ?1 ORDER BY rule, device, metric";

pub(super) fn checkpoint(connection: &Connection, journal: Uuid) -> Result<Checkpoint, Failure> {
    let journal = journal.to_string();
    connection.execute(CREATE, [&journal])?;
    let mut checkpoint = connection.query_row(POSITION, [&journal], position)?;
    checkpoint.reasons = reasons(connection, &journal)?;
    let mut alerts = connection.prepare(ALERTS)?;
    checkpoint.alert_states = alerts
        .query_map([&journal], alert_state)?
        .collect::<Result<_, _>>()?;
    Ok(checkpoint)
}

fn position(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    // Never negative: they only grow from 0.
    let count = |column: usize| row.get::<_, i64>(column).map(|count| count.max(0) as u64);
    Ok(Checkpoint {
        rows: Position(count(0)?),
        alerts: Position(count(1)?),
        totals: Totals {
            stored: count(2)?,
            filtered: count(3)?,
            dead_lettered: count(4)?,
        },
        reasons: Reasons::default(),
        alert_states: Vec::new(),
    })
}

fn reasons(connection: &Connection, journal: &str) -> Result<Reasons, Failure> {
    let mut reasons = Reasons::default();
    let mut statement = connection.prepare(REASONS)?;
    let mut rows = statement.query([journal])?;
    while let Some(row) = rows.next()? {
        let count = |column: usize| row.get::<_, i64>(column).map(|count| count.max(0) as u64);
        let unstored = Unstored {
            messages: count(2)?,
            values: count(3)?,
        };
        reasons.insert(&row.get::<_, String>(0)?, row.get(1)?, unstored);
    }
    Ok(reasons)
}

fn alert_state(row: &Row<'_>) -> rusqlite::Result<AlertStateRow> {
    Ok(AlertStateRow {
        rule: row.get(0)?,
        device: row.get(1)?,
        metric: row.get(2)?,
        state: row.get(3)?,
    })
}
