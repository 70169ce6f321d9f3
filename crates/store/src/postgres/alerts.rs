//! Alert states and events within the transaction.

use std::collections::HashMap;

use super::error::Failure;
use super::session::Session;
use super::types::{Instant, storable};
use crate::batch::{AlertChanges, AlertEventRow, AlertStateRow};

pub(super) const UPSERT: &str = "
    INSERT INTO alerts (journal, rule, device, metric, state)
    SELECT $1::text::uuid, rule, device, metric, state::json
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS given (rule, device, metric, state)
    ON CONFLICT (journal, rule, device, metric) DO UPDATE SET state = excluded.state, updated_at = now()";

pub(super) const DELETE: &str = "
    DELETE FROM alerts USING unnest($2::text[], $3::text[], $4::text[]) AS given (rule, device, metric)
    WHERE alerts.journal = $1::text::uuid AND alerts.rule = given.rule
      AND alerts.device = given.device AND alerts.metric = given.metric";

pub(super) const INSERT_EVENTS: &str = "
    INSERT INTO alert_events (journal, id, time, rule, device, metric, severity, state, value, payload)
    SELECT $1::text::uuid, id, time, rule, device, metric, severity, state, value, payload::json
    FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::float8[], $10::text[])
         AS given (id, time, rule, device, metric, severity, state, value, payload)
    ON CONFLICT DO NOTHING";

/// Rows in one statement; keeps a message to the server at some megabytes.
const ROWS_PER_STATEMENT: usize = 10_000;

/// Nothing here comes with a record that could be dead-lettered in its place, so the values are
/// made storable.
pub(super) async fn write(
    session: &Session,
    journal: &str,
    changes: &AlertChanges,
) -> Result<(), Failure> {
    let (kept, ended) = latest(&changes.states);
    for rows in kept.chunks(ROWS_PER_STATEMENT) {
        upsert(session, journal, rows).await?;
    }
    for rows in ended.chunks(ROWS_PER_STATEMENT) {
        delete(session, journal, rows).await?;
    }
    for rows in changes.events.chunks(ROWS_PER_STATEMENT) {
        insert_events(session, journal, rows).await?;
    }
    Ok(())
}

/// The last word on each instance: those that have a state, and those that ended.
fn latest(states: &[AlertStateRow]) -> (Vec<&AlertStateRow>, Vec<&AlertStateRow>) {
    let mut last: HashMap<_, &AlertStateRow> = HashMap::with_capacity(states.len());
    for row in states {
        last.insert((&row.rule, &row.device, &row.metric), row);
    }
    let mut rows: Vec<&AlertStateRow> = last.into_values().collect();
    rows.sort_unstable_by(|a, b| {
        (&a.rule, &a.device, &a.metric).cmp(&(&b.rule, &b.device, &b.metric))
    });
    rows.into_iter().partition(|row| row.state.is_some())
}

async fn upsert(session: &Session, journal: &str, rows: &[&AlertStateRow]) -> Result<(), Failure> {
    let states: Vec<&str> = rows.iter().filter_map(|row| row.state.as_deref()).collect();
    let [rules, devices, metrics] = names(rows);
    session
        .answer(session.client().execute(
            &session.statements.upsert_alerts,
            &[&journal, &rules, &devices, &metrics, &states],
        ))
        .await?;
    Ok(())
}

async fn delete(session: &Session, journal: &str, rows: &[&AlertStateRow]) -> Result<(), Failure> {
    let [rules, devices, metrics] = names(rows);
    session
        .answer(session.client().execute(
            &session.statements.delete_alerts,
            &[&journal, &rules, &devices, &metrics],
        ))
        .await?;
    Ok(())
}

fn names<'a>(rows: &[&'a AlertStateRow]) -> [Vec<std::borrow::Cow<'a, str>>; 3] {
    let column = |field: fn(&AlertStateRow) -> &String| {
        rows.iter().map(|row| storable(field(row))).collect()
    };
    [
        column(|row| &row.rule),
        column(|row| &row.device),
        column(|row| &row.metric),
    ]
}

async fn insert_events(
    session: &Session,
    journal: &str,
    rows: &[AlertEventRow],
) -> Result<(), Failure> {
    let text = |field: fn(&AlertEventRow) -> &String| -> Vec<_> {
        rows.iter().map(|row| storable(field(row))).collect()
    };
    let times: Vec<Instant> = rows.iter().map(|row| Instant(row.time)).collect();
    let values: Vec<Option<f64>> = rows.iter().map(|row| row.value).collect();
    session
        .answer(session.client().execute(
            &session.statements.insert_events,
            &[
                &journal,
                &text(|row| &row.id),
                &times,
                &text(|row| &row.rule),
                &text(|row| &row.device),
                &text(|row| &row.metric),
                &text(|row| &row.severity),
                &text(|row| &row.state),
                &values,
                &text(|row| &row.payload),
            ],
        ))
        .await?;
    Ok(())
}
