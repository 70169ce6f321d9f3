//! One batch, one transaction.

use bytes::BytesMut;
use journal::Position;
use telemetry::{Micros, now_micros};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::copy::Copy;
use super::error::Failure;
use super::index::Indexes;
use super::membership::{self, Target};
use super::partition::{self, Partitions};
use super::session::{Session, within};
use super::sorted::{SortedSample, sort_samples};
use super::types::{Instant, storable};
use super::{alerts, reasons, series};
use crate::batch::{Batch, DeadLetter};
use crate::contract::Totals;
use crate::guard::Violation;
use crate::series::SeriesIds;

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

/// Tries with a list of partitions that turned out to be old: detaching several at once under load
/// may take more than one.
const TRIES: u32 = 3;

/// Writes all or nothing, except when the connection is lost: then nobody knows.
pub(super) async fn commit(
    session: &mut Session,
    journal: Uuid,
    batch: &Batch,
    ids: &mut SeriesIds,
    scratch: &mut Scratch,
    heavy: bool,
) -> Result<(), Failure> {
    let mut tries = 1;
    loop {
        let indexes = Indexes::affordable(heavy);
        let written = write_once(session, journal, batch, ids, scratch, indexes).await;
        match written {
            Err(failure) if tries < TRIES && failure.is_stale_list() && session.is_usable() => {
                ids.revert();
                session.refresh_partitions().await?;
                tries += 1;
            }
            written => return written,
        }
    }
}

async fn write_once(
    session: &mut Session,
    journal: Uuid,
    batch: &Batch,
    ids: &mut SeriesIds,
    scratch: &mut Scratch,
    indexes: Indexes,
) -> Result<(), Failure> {
    ensure_partitions(session, batch, indexes).await?;
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
    let tables = Tables::of(session, batch);
    begin(session, journal, batch, &tables).await?;
    resolve_series(session, batch, ids).await?;
    if let Some(table) = &tables.samples {
        copy_samples(session, table, batch, ids, scratch).await?;
    }
    if let Some(table) = &tables.texts {
        copy_texts(session, table, batch, ids, &mut scratch.buffer).await?;
    }
    copy_dead_letters(session, journal, batch, &mut scratch.buffer).await?;
    reasons::count(session, journal, batch).await?;
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
    let now = now_micros();
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

async fn begin(
    session: &Session,
    journal: Uuid,
    batch: &Batch,
    tables: &Tables,
) -> Result<(), Failure> {
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
    let targets = tables.targets();
    let begin = membership::begin(&targets);
    // Sent together, in this order.
    let all = async {
        tokio::try_join!(
            biased;
            async { Ok::<(), Failure>(client.batch_execute(&begin).await?) },
            membership::look(session, &targets),
            async { Ok(client.execute(&session.statements.advance, &parameters).await?) },
        )
    };
    let ((), (), moved) = session.answer(all).await?;
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
    table: &Table,
    batch: &Batch,
    ids: &SeriesIds,
    scratch: &mut Scratch,
) -> Result<(), Failure> {
    let rows = &mut scratch.samples;
    sort_samples(&batch.samples, ids, rows);
    let statement = session
        .copy_statement(table.name(), "time, value, series_id")
        .await?;
    let mut copy = Copy::begin(session, &statement, &mut scratch.buffer).await?;
    copy.samples(rows).await?;
    copy.end().await
}

async fn copy_texts(
    session: &mut Session,
    table: &Table,
    batch: &Batch,
    ids: &SeriesIds,
    buffer: &mut BytesMut,
) -> Result<(), Failure> {
    let statement = session
        .copy_statement(table.name(), "time, series_id, value")
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

/// Where the rows of a batch go; `None`: there are none.
struct Tables {
    samples: Option<Table>,
    texts: Option<Table>,
}

enum Table {
    /// Straight into the partition when one holds all rows, as nearly always: that saves finding
    /// it for every row.
    Partition(Target),
    /// PostgreSQL finds the partition of each row, and so only those that are attached.
    Parent(&'static str),
}

impl Tables {
    fn of(session: &Session, batch: &Batch) -> Tables {
        let samples = batch.samples.iter().map(|sample| sample.time);
        let texts = batch.texts.iter().map(|text| text.time);
        Tables {
            samples: bounds(samples).map(|times| Table::holding(&session.samples, times)),
            texts: bounds(texts).map(|times| Table::holding(&session.texts, times)),
        }
    }

    fn targets(&self) -> Vec<Target> {
        let tables = self.samples.iter().chain(&self.texts);
        let targets = tables.filter_map(|table| match table {
            Table::Partition(target) => Some(target.clone()),
            Table::Parent(_) => None,
        });
        targets.collect()
    }
}

impl Table {
    fn holding(partitions: &Partitions, (first, last): (Micros, Micros)) -> Table {
        let parent = partitions.parent();
        match partitions.holding(first, last) {
            Some(partition) => Table::Partition(Target {
                parent,
                table: partition.table.clone(),
            }),
            None => Table::Parent(parent),
        }
    }

    fn name(&self) -> &str {
        match self {
            Table::Partition(target) => &target.table,
            Table::Parent(parent) => parent,
        }
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
