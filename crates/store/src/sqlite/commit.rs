//! One batch, one transaction.

use journal::Position;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use telemetry::Micros;
use uuid::Uuid;

use super::error::Failure;
use super::{alerts, samples, series};
use crate::batch::Batch;
use crate::civil::{TIME_END, TIME_MIN};
use crate::contract::Totals;
use crate::guard::Violation;
use crate::reasons::Reasons;
use crate::series::SeriesIds;

/// Moves the position, if it is where the batch begins: two writers can never both succeed.
const ADVANCE: &str = "UPDATE ingest_position
     SET rows_position = ?3, alerts_position = coalesce(?4, alerts_position),
         stored = stored + ?5, filtered = filtered + ?6, dead_lettered = dead_lettered + ?7,
         updated_at = CURRENT_TIMESTAMP
     WHERE journal = ?1 AND partition = 0 AND rows_position = ?2";

const INSERT_TEXT: &str = "INSERT INTO readings_text (time, series_id, value) VALUES (?1, ?2, ?3)";

const INSERT_DEAD_LETTER: &str = "INSERT INTO dead_letters
         (journal, position, received_at, client_id, topic, payload, reason, detail)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const COUNT_REASON: &str =
    "INSERT INTO ingest_reasons (journal, outcome, reason, messages, samples)
     VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (journal, partition, outcome, reason) DO UPDATE
     SET messages = messages + excluded.messages, samples = samples + excluded.samples,
         updated_at = CURRENT_TIMESTAMP";

pub(super) fn commit(
    connection: &mut Connection,
    journal: Uuid,
    batch: &Batch,
    ids: &mut SeriesIds,
) -> Result<(), Failure> {
    check_times(batch)?;
    let journal = journal.to_string();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    advance(&transaction, &journal, batch)?;
    series::resolve(&transaction, batch, ids)?;
    samples::insert(&transaction, &batch.samples, ids)?;
    insert_texts(&transaction, batch, ids)?;
    insert_dead_letters(&transaction, &journal, batch)?;
    count_reasons(&transaction, &journal, batch)?;
    alerts::write(&transaction, &journal, &batch.alerts)?;
    transaction.commit()?;
    Ok(())
}

/// SQLite would take any integer; what people and PostgreSQL cannot write down is refused here as
/// well.
fn check_times(batch: &Batch) -> Result<(), Failure> {
    let samples = batch.samples.iter().map(|sample| sample.time);
    let texts = batch.texts.iter().map(|text| text.time);
    let bad = samples
        .chain(texts)
        .find(|time| !(TIME_MIN..TIME_END).contains(time));
    bad.map_or(Ok(()), |time: Micros| Err(Violation::Time(time).into()))
}

fn advance(transaction: &Transaction<'_>, journal: &str, batch: &Batch) -> Result<(), Failure> {
    let totals = Totals::of(&batch.outcomes);
    let moved = transaction.prepare_cached(ADVANCE)?.execute(params![
        journal,
        signed(batch.start),
        signed(batch.end()),
        batch.alerts.position.map(signed),
        totals.stored as i64,
        totals.filtered as i64,
        totals.dead_lettered as i64,
    ])?;
    match moved {
        1 => Ok(()),
        _ => Err(Violation::Position {
            journal: journal.to_owned(),
            start: batch.start,
        }
        .into()),
    }
}

fn insert_texts(
    transaction: &Transaction<'_>,
    batch: &Batch,
    ids: &SeriesIds,
) -> Result<(), Failure> {
    for text in &batch.texts {
        let series = ids
            .get(text.series)
            .ok_or(Violation::Undefined(text.series))?;
        transaction
            .prepare_cached(INSERT_TEXT)?
            .execute(params![text.time, series, text.value])?;
    }
    Ok(())
}

fn insert_dead_letters(
    transaction: &Transaction<'_>,
    journal: &str,
    batch: &Batch,
) -> Result<(), Failure> {
    for letter in &batch.dead_letters {
        transaction
            .prepare_cached(INSERT_DEAD_LETTER)?
            .execute(params![
                journal,
                signed(batch.start.plus(u64::from(letter.record))),
                // A dead letter is the last resort, so nothing in it may be refused or unreadable.
                letter.received_at.clamp(TIME_MIN, TIME_END - 1),
                letter.client_id,
                letter.topic,
                letter.payload,
                letter.reason,
                letter.detail,
            ])?;
    }
    Ok(())
}

fn count_reasons(
    transaction: &Transaction<'_>,
    journal: &str,
    batch: &Batch,
) -> Result<(), Failure> {
    for (outcome, reason, unstored) in Reasons::of(batch).rows() {
        transaction.prepare_cached(COUNT_REASON)?.execute(params![
            journal,
            outcome,
            reason,
            unstored.messages as i64,
            unstored.values as i64,
        ])?;
    }
    Ok(())
}

/// SQLite has no unsigned numbers; 2^63 records take longer than anyone will wait.
fn signed(position: Position) -> i64 {
    position.0 as i64
}
