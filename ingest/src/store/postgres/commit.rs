//! One batch, one transaction.

use crate::store::guard::Violation;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use journal::Position;
use telemetry::Micros;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::copy::Copy;
use super::error::Failure;
use super::index::Indexes;
use super::partition::{self, Partitions};
use super::session::{Session, within};
use super::sorted::{SortedSample, sort_samples};
use super::types::{Instant, storable};
use super::{alerts, series};
use crate::batch::{Batch, DeadLetter};
use crate::store::Totals;
use crate::store::series::SeriesIds;

/// Moves the position, if it is where the batch begins: two writers can never both succeed.
pub(super) const ADVANCE: &str = "
    UPDATE ingest_position
    SET rows_position = $3, alerts_position = coalesce($4, alerts_position),
        stored = stored + $5, filtered = filtered + $6, dead_lettered = dead_lettered + $7,
        updated_at = now()
    WHERE journal = $1::text::uuid AND partition = 0 AND rows_position = $2";

pub(super) const COPY_DEAD_LETTERS: &str = "
    COPY dead_letters (journal, position, received_at, client_id, topic, payload, reason, detail)
    FROM STDIN (FORMAT binary)";

/// Memory that is used again by the next batch.
#[derive(Default)]
pub(super) struct Scratch {
    samples: Vec<SortedSample>,
    buffer: BytesMut,
}

/// Writes all or nothing, except when the connection is lost: then nobody knows.
pub(super) async fn commit(
    session: &mut Session,
    journal: Uuid,
    batch: &Batch,
    ids: &mut SeriesIds,
    scratch: &mut Scratch,
    heavy: bool,
) -> Result<(), Failure> {
    ensure_partitions(session, batch, Indexes::affordable(heavy)).await?;
    let written = write(session, journal, batch, ids, scratch).await;
    match &written {
        Ok(()) => {}
        // It would be silent once more; the session is given up, and the server rolls back when it
        // notices.
        Err(Failure::Silent(_)) => {}
        Err(_) if !session.is_usable() => {}
        Err(_) => {
            // If this fails as well the connection is gone, and the server rolls back by itself.
            let _ = session
                .answer(session.client().batch_execute("ROLLBACK"))
                .await;
        }
    }
    written
}

async fn write(
    session: &mut Session,
    journal: Uuid,
    batch: &Batch,
    ids: &mut SeriesIds,
    scratch: &mut Scratch,
) -> Result<(), Failure> {
    begin(session, journal, batch).await?;
    resolve_series(session, batch, ids).await?;
    copy_samples(session, batch, ids, scratch).await?;
    copy_texts(session, batch, ids, &mut scratch.buffer).await?;
    copy_dead_letters(session, journal, batch, &mut scratch.buffer).await?;
    alerts::write(session, &journal.to_string(), &batch.alerts).await?;
    session
        .answer(session.client().batch_execute("COMMIT"))
        .await
}

/// Own transactions: a partition is there for everyone at once, and no lock on the parent outlives
/// it.
async fn ensure_partitions(
    session: &mut Session,
    batch: &Batch,
    indexes: Indexes,
) -> Result<(), Failure> {
    let now = now();
    let samples = batch.samples.iter().map(|sample| sample.time);
    let texts = batch.texts.iter().map(|text| text.time);
    let timeout = session.answer_timeout();
    let (client, of_samples, of_texts) = session.partitions_mut();
    within(timeout, async {
        partition::ensure(client, of_samples, samples, now, indexes).await?;
        partition::ensure(client, of_texts, texts, now, indexes).await
    })
    .await
}

async fn begin(session: &Session, journal: Uuid, batch: &Batch) -> Result<(), Failure> {
    let client = session.client();
    let journal = journal.to_string();
    let start = signed(batch.start);
    let end = signed(batch.end());
    let alerts = batch.alerts.position.map(signed);
    let totals = Totals::of(&batch.outcomes);
    let [stored, filtered, dead_lettered] =
        [totals.stored, totals.filtered, totals.dead_lettered].map(|count| count as i64);
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &journal,
        &start,
        &end,
        &alerts,
        &stored,
        &filtered,
        &dead_lettered,
    ];
    // Sent together, in this order.
    let both = async {
        tokio::try_join!(
            biased;
            client.batch_execute("BEGIN"),
            client.execute(&session.statements.advance, &parameters),
        )
    };
    let ((), moved) = session.answer(both).await?;
    match moved {
        1 => Ok(()),
        _ => Err(Violation::Position {
            journal,
            start: batch.start,
        }
        .into()),
    }
}

async fn resolve_series(
    session: &Session,
    batch: &Batch,
    ids: &mut SeriesIds,
) -> Result<(), Failure> {
    let wanted = ids.unresolved(batch).map_err(Violation::Undefined)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let found = series::resolve(session, &wanted).await?;
    let keys: Vec<_> = wanted.iter().map(|series| series.key).collect();
    for (key, id) in keys.into_iter().zip(found) {
        ids.stage(key, id);
    }
    Ok(())
}

async fn copy_samples(
    session: &mut Session,
    batch: &Batch,
    ids: &SeriesIds,
    scratch: &mut Scratch,
) -> Result<(), Failure> {
    let rows = &mut scratch.samples;
    sort_samples(&batch.samples, ids, rows);
    let times = rows.iter().map(|row| row.time);
    let Some((first, last)) = bounds(times) else {
        return Ok(());
    };
    let table = table_for(&session.samples, first, last);
    let statement = session
        .copy_statement(&table, "time, value, series_id")
        .await?;
    let mut copy = Copy::begin(session, &statement, &mut scratch.buffer).await?;
    copy.samples(rows).await?;
    copy.end().await
}

async fn copy_texts(
    session: &mut Session,
    batch: &Batch,
    ids: &SeriesIds,
    buffer: &mut BytesMut,
) -> Result<(), Failure> {
    let times = batch.texts.iter().map(|text| text.time);
    let Some((first, last)) = bounds(times) else {
        return Ok(());
    };
    let table = table_for(&session.texts, first, last);
    let statement = session
        .copy_statement(&table, "time, series_id, value")
        .await?;
    let mut copy = Copy::begin(session, &statement, buffer).await?;
    for text in &batch.texts {
        let id = ids
            .get(text.series)
            .ok_or(Violation::Undefined(text.series))?;
        copy.row(3);
        copy.timestamptz(Instant(text.time));
        copy.int4(id);
        copy.bytes(text.value.as_bytes());
        copy.row_end().await?;
    }
    copy.end().await
}

/// A dead letter is the last resort, so nothing in it may be refused.
async fn copy_dead_letters(
    session: &Session,
    journal: Uuid,
    batch: &Batch,
    buffer: &mut BytesMut,
) -> Result<(), Failure> {
    if batch.dead_letters.is_empty() {
        return Ok(());
    }
    let statement = &session.statements.copy_dead_letters;
    let mut copy = Copy::begin(session, statement, buffer).await?;
    for letter in &batch.dead_letters {
        let DeadLetter {
            record,
            received_at,
            client_id,
            topic,
            payload,
            reason,
            detail,
        } = letter;
        copy.row(8);
        copy.bytes(journal.as_bytes());
        copy.int8(signed(batch.start.plus(u64::from(*record))));
        copy.timestamptz(Instant(*received_at));
        copy.bytes(storable(client_id).as_bytes());
        copy.bytes(storable(topic).as_bytes());
        copy.bytes(payload);
        copy.bytes(reason.as_bytes());
        copy.bytes(storable(detail).as_bytes());
        copy.row_end().await?;
    }
    copy.end().await
}

/// Straight into the partition when one holds all rows, as nearly always: that saves finding it for
/// every row.
fn table_for(partitions: &Partitions, first: Micros, last: Micros) -> String {
    match partitions.holding(first, last) {
        Some(partition) => partition.table.clone(),
        None => partitions.parent().to_owned(),
    }
}

fn bounds(times: impl Iterator<Item = Micros>) -> Option<(Micros, Micros)> {
    times.fold(None, |bounds, time| match bounds {
        None => Some((time, time)),
        Some((first, last)) => Some((time.min(first), time.max(last))),
    })
}

/// PostgreSQL has no unsigned numbers; 2^63 records take longer than anyone will wait.
fn signed(position: Position) -> i64 {
    position.0 as i64
}

pub(super) fn now() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as Micros)
}
