//! What the database knows of a journal.

use journal::Position;
use uuid::Uuid;

use super::error::Failure;
use super::reasons;
use super::session::Session;
use crate::batch::AlertStateRow;
use crate::contract::{Checkpoint, Totals};

/// Makes the journal's row when there is none: from then on a commit only ever updates it.
const CREATE: &str =
    "INSERT INTO ingest_position (journal) VALUES ($1::text::uuid) ON CONFLICT DO NOTHING";

/// The lock waits for a commit whose connection was lost and whose end is not known yet.
const POSITION: &str = "SELECT rows_position, alerts_position, stored, filtered, dead_lettered
     FROM ingest_position WHERE journal = $1::text::uuid AND partition = 0 FOR UPDATE";

const ALERTS: &str = "SELECT rule, device, metric, state::text FROM alerts
     WHERE journal = $1::text::uuid ORDER BY rule, device, metric";

pub(super) async fn checkpoint(session: &Session, journal: Uuid) -> Result<Checkpoint, Failure> {
    let client = session.client();
    let journal = journal.to_string();
    session.answer(client.execute(CREATE, &[&journal])).await?;
    let row = session
        .answer(client.query_one(POSITION, &[&journal]))
        .await?;
    let count = |column: usize| -> Result<u64, Failure> {
        // Never negative: they only grow from 0.
        Ok(row.try_get::<_, i64>(column)?.max(0) as u64)
    };
    let reasons = reasons::load(session, &journal).await?;
    let states = session.answer(client.query(ALERTS, &[&journal])).await?;
    let alert_states = states
        .iter()
        .map(|row| {
            Ok(AlertStateRow {
                rule: row.try_get(0)?,
                device: row.try_get(1)?,
                metric: row.try_get(2)?,
                state: row.try_get(3)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(Checkpoint {
        rows: Position(count(0)?),
        alerts: Position(count(1)?),
        totals: Totals {
            stored: count(2)?,
            filtered: count(3)?,
            dead_lettered: count(4)?,
        },
        reasons,
        alert_states,
    })
}
