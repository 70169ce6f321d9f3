//! Alert states and events within the transaction.

use rusqlite::{Connection, params};

use super::error::Failure;
use crate::batch::AlertChanges;

const UPSERT: &str = "INSERT INTO alerts (journal, rule, device, metric, state)
     VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT DO UPDATE SET state = excluded.state, updated_at = CURRENT_TIMESTAMP";

const DELETE: &str =
    "DELETE FROM alerts WHERE journal = ?1 AND rule = ?2 AND device = ?3 AND metric = ?4";

const INSERT_EVENT: &str = "INSERT INTO alert_events
         (journal, id, time, rule, device, metric, severity, state, value, payload)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT DO NOTHING";

pub(super) fn write(
    transaction: &Connection,
    journal: &str,
    changes: &AlertChanges,
) -> Result<(), Failure> {
    for row in &changes.states {
        let (rule, device, metric) = (&row.rule, &row.device, &row.metric);
        match &row.state {
            Some(state) => transaction
                .prepare_cached(UPSERT)?
                .execute(params![journal, rule, device, metric, state])?,
            None => transaction
                .prepare_cached(DELETE)?
                .execute(params![journal, rule, device, metric])?,
        };
    }
    for row in &changes.events {
        transaction.prepare_cached(INSERT_EVENT)?.execute(params![
            journal,
            row.id,
            row.time,
            row.rule,
            row.device,
            row.metric,
            row.severity,
            row.state,
            row.value,
            row.payload,
        ])?;
    }
    Ok(())
}
