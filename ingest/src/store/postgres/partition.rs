//! Which partition a time falls into, and making the ones that are missing.
//!
//! The rule: the existing partition that covers the time; else, within `RECENT` of now, a partition
//! for the day; else one for the month, or for the day when the month already has partitions of
//! days. So retention can drop single days of what is recent, and a device with a wild clock cannot
//! make more than twelve partitions a year.

use crate::store::guard::Violation;
use telemetry::Micros;
use tokio_postgres::Client;

use super::error::Failure;
use super::index;
use super::migration::SCHEMA_LOCK;
use crate::store::civil::{DAY, Date, TIME_END, TIME_MIN};

/// Times this close to now, before or after, get a partition a day.
const RECENT: Micros = 40 * DAY;

/// A transaction holds some locks for every partition that it writes and for each of its indexes,
/// out of a pool that by default has 6,400 of them. A batch that spreads wider is refused and so
/// split.
const PARTITIONS_PER_BATCH_MAX: usize = 256;

/// Partitions made in one transaction, for the same reason; more would also keep others waiting.
const PARTITIONS_PER_CREATION: usize = 16;

/// The times `from <= t < to` of a partitioned table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) from: Micros,
    pub(super) to: Micros,
    /// As SQL: quoted and qualified where needed.
    pub(super) table: String,
}

/// The partitions of one table as far as they were seen; only grows, so one dropped meanwhile is
/// noticed by a failing statement.
#[derive(Debug)]
pub(super) struct Partitions {
    parent: &'static str,
    /// In the order of time, without overlaps.
    known: Vec<Partition>,
}

impl Partitions {
    pub(super) fn parent(&self) -> &'static str {
        self.parent
    }

    pub(super) fn covering(&self, time: Micros) -> Option<&Partition> {
        let after = self.known.partition_point(|known| known.from <= time);
        let candidate = &self.known[after.checked_sub(1)?];
        (time < candidate.to).then_some(candidate)
    }

    /// The one partition that holds all times from `first` to `last`.
    pub(super) fn holding(&self, first: Micros, last: Micros) -> Option<&Partition> {
        self.covering(first).filter(|partition| last < partition.to)
    }

    /// The partition to make for a time that none covers.
    fn plan(&self, time: Micros, now: Micros) -> Partition {
        let date = Date::at(time);
        let month = (
            date.first_of_month().start(),
            date.first_of_next_month().start(),
        );
        let day = (date.start(), date.start() + DAY);
        let recent = time.abs_diff(now) <= RECENT as u64;
        let month_is_empty = self.between(month.0, month.1).is_empty();
        let wanted = if !recent && month_is_empty {
            month
        } else {
            day
        };
        // Somebody's own partition may cover a part of it.
        let mut from = wanted.0;
        let mut to = wanted.1;
        for other in self.between(from, to) {
            if other.to <= time {
                from = from.max(other.to);
            } else {
                to = to.min(other.from);
            }
        }
        let mut table = format!("{}_{:04}{:02}", self.parent, date.year, date.month);
        if wanted == day {
            table += &format!("{:02}", date.day);
        }
        if (from, to) != wanted {
            table += &format!("_from_{:05}", (from - wanted.0) / 1_000_000);
        }
        Partition { from, to, table }
    }

    fn between(&self, from: Micros, to: Micros) -> &[Partition] {
        let first = self.known.partition_point(|known| known.to <= from);
        let end = self.known.partition_point(|known| known.from < to);
        &self.known[first..end.max(first)]
    }

    fn insert(&mut self, partition: Partition) {
        let at = self
            .known
            .partition_point(|known| known.from < partition.from);
        self.known.insert(at, partition);
    }

    /// What must be made so that every time is covered, in the order of first need. Fails on a time
    /// that cannot be stored, and when the times spread too far for one transaction.
    fn missing(
        &self,
        times: impl Iterator<Item = Micros>,
        now: Micros,
    ) -> Result<Vec<Partition>, Failure> {
        let mut planned = Partitions {
            parent: self.parent,
            known: self.known.clone(),
        };
        let mut missing = Vec::new();
        let mut touched = std::collections::BTreeSet::new();
        let mut last = TIME_MIN..TIME_MIN;
        for time in times {
            if last.contains(&time) {
                continue;
            }
            if !(TIME_MIN..TIME_END).contains(&time) {
                return Err(Violation::Time(time).into());
            }
            last = match planned.covering(time) {
                Some(known) => known.from..known.to,
                None => {
                    let partition = planned.plan(time, now);
                    missing.push(partition.clone());
                    let range = partition.from..partition.to;
                    planned.insert(partition);
                    range
                }
            };
            touched.insert(last.start);
            if touched.len() > PARTITIONS_PER_BATCH_MAX {
                return Err(Failure::Scattered(PARTITIONS_PER_BATCH_MAX));
            }
        }
        Ok(missing)
    }
}

/// Makes the partitions that `times` need, in transactions of their own.
pub(super) async fn ensure(
    client: &Client,
    partitions: &mut Partitions,
    times: impl Iterator<Item = Micros>,
    now: Micros,
    indexes: index::Indexes,
) -> Result<(), Failure> {
    let missing = partitions.missing(times, now)?;
    for group in missing.chunks(PARTITIONS_PER_CREATION) {
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK})");
        client.batch_execute(&begin).await?;
        let made = make(client, partitions, group, now, indexes).await;
        let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.batch_execute(end).await;
        made?;
        ended?;
    }
    Ok(())
}

/// Under the lock nobody else makes partitions, but somebody may have done it since we looked.
async fn make(
    client: &Client,
    partitions: &mut Partitions,
    wanted: &[Partition],
    now: Micros,
    indexes: index::Indexes,
) -> Result<(), Failure> {
    *partitions = list(client, partitions.parent).await?;
    for wanted in wanted {
        if partitions.holding(wanted.from, wanted.to - 1).is_none() {
            let partition = partitions.plan(wanted.from, now);
            client
                .batch_execute(&create(partitions.parent, &partition, indexes))
                .await?;
            partitions.insert(partition);
        }
    }
    Ok(())
}

/// `ATTACH` and not `PARTITION OF`: it lets queries on the parent run on, which may take long.
fn create(parent: &str, partition: &Partition, indexes: index::Indexes) -> String {
    let table = &partition.table;
    let from = literal(partition.from);
    let to = literal(partition.to);
    let indexes = index::create(parent, table, indexes);
    format!(
        "CREATE TABLE {table} (LIKE {parent} INCLUDING ALL);
         {indexes}
         ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({from}) TO ({to})"
    )
}

fn literal(time: Micros) -> String {
    let Date { year, month, day } = Date::at(time);
    let seconds = time.rem_euclid(DAY) / 1_000_000;
    let micros = time.rem_euclid(1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00'")
}

/// A bound without a finite value (MINVALUE, infinity) comes as null. A default partition covers
/// nothing: it must not keep times from getting partitions of their own.
const LIST: &str = r"
    WITH children AS (
        SELECT child.oid::regclass::text AS name, pg_get_expr(child.relpartbound, child.oid) AS bound
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = $1::text::regclass
    ), bounds AS (
        SELECT name,
               substring(bound FROM 'FROM \(''([^'']+)''\)')::timestamptz AS low,
               substring(bound FROM 'TO \(''([^'']+)''\)')::timestamptz AS high
        FROM children
        WHERE bound <> 'DEFAULT'
    )
    SELECT name,
           CASE WHEN isfinite(low) THEN (extract(epoch FROM low) * 1000000)::bigint END,
           CASE WHEN isfinite(high) THEN (extract(epoch FROM high) * 1000000)::bigint END
    FROM bounds
    ORDER BY low NULLS FIRST";

/// Reads the partitions of a table. The session's time zone must be UTC.
pub(super) async fn list(client: &Client, parent: &'static str) -> Result<Partitions, Failure> {
    let rows = client.query(LIST, &[&parent]).await?;
    let known = rows
        .iter()
        .map(|row| {
            Ok(Partition {
                table: row.try_get(0)?,
                from: row.try_get::<_, Option<i64>>(1)?.unwrap_or(Micros::MIN),
                to: row.try_get::<_, Option<i64>>(2)?.unwrap_or(Micros::MAX),
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(Partitions { parent, known })
}

#[cfg(test)]
mod tests;
