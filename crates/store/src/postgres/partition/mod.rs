//! Which partition a time falls into, and making the ones that are missing.
//!
//! The rule: the existing partition that covers the time; else, within `RECENT` of now, a partition
//! for the day; else one for the month, or for the day when the month already has partitions of
//! days. So retention can drop single days of what is recent, and a device with a wild clock cannot
//! make more than twelve partitions a year.
//!
//! A table that was a partition is never written: whoever detached it may be archiving it. A new
//! partition takes its times, under a name that is free.

mod create;

use telemetry::Micros;
use tokio_postgres::Client;

use crate::guard::Violation;

pub(super) use self::create::ensure;
use super::error::Failure;
use crate::civil::{DAY, Date, TIME_END, TIME_MIN};

/// Times this close to now, before or after, get a partition a day.
const RECENT: Micros = 40 * DAY;

/// A transaction holds some locks for every partition that it writes and for each of its indexes,
/// out of a pool that by default has 6,400 of them. A batch that spreads wider is refused and so
/// split.
const PARTITIONS_PER_BATCH_MAX: usize = 256;

/// The times `from <= t < to` of a partitioned table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) from: Micros,
    pub(super) to: Micros,
    /// As SQL: quoted where needed, and with its schema. One that is planned has neither yet.
    pub(super) table: String,
    /// PostgreSQL's number of the table, which a new name does not change; 0 for one that is
    /// planned.
    pub(super) oid: u32,
}

/// The partitions of one table as they were when somebody last looked. The transaction that writes
/// rows finds out whether that still holds (`membership`), and has them listed again if not.
#[derive(Debug)]
pub(super) struct Partitions {
    parent: &'static str,
    /// In the order of time, without overlaps.
    known: Vec<Partition>,
    /// `DETACH … CONCURRENTLY` has begun and not ended: their rows are in no query any more, but
    /// until it ends no other partition can have their times.
    detaching: Vec<Partition>,
    /// Seen before and not there any more, as long as nothing else has taken their times.
    gone: Vec<Partition>,
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
        Partition {
            from,
            to,
            table,
            oid: 0,
        }
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
            detaching: Vec::new(),
            gone: Vec::new(),
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
                    self.check_detaching(time)?;
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

    fn check_detaching(&self, time: Micros) -> Result<(), Failure> {
        let mut detaching = self.detaching.iter();
        match detaching.find(|partition| (partition.from..partition.to).contains(&time)) {
            None => Ok(()),
            Some(partition) => Err(Failure::Detaching {
                parent: self.parent,
                table: partition.table.clone(),
            }),
        }
    }

    /// Takes a newer list, and remembers which partitions are not in it any more.
    fn replace(&mut self, newer: Partitions) {
        let before = std::mem::replace(self, newer);
        let seen = before.known.into_iter().chain(before.detaching);
        self.gone = seen
            .chain(before.gone)
            // What was planned only, in a transaction that failed, was never there.
            .filter(|partition| partition.oid != 0)
            .filter(|partition| !self.has_table(partition.oid) && !self.covers(partition))
            .collect();
    }

    fn has_table(&self, oid: u32) -> bool {
        let mut listed = self.known.iter().chain(&self.detaching);
        listed.any(|partition| partition.oid == oid)
    }

    /// Whether no time of `other` is without a partition.
    fn covers(&self, other: &Partition) -> bool {
        let mut from = other.from;
        for partition in self.between(other.from, other.to) {
            if partition.from > from {
                return false;
            }
            from = partition.to;
        }
        from >= other.to
    }

    /// Those that are gone and had times of the range; asked once.
    fn take_gone(&mut self, from: Micros, to: Micros) -> Vec<Partition> {
        let overlap = |partition: &mut Partition| partition.from < to && from < partition.to;
        self.gone.extract_if(.., overlap).collect()
    }
}

/// A bound without a finite value (MINVALUE, infinity) comes as null. A default partition covers
/// nothing: it must not keep times from getting partitions of their own.
/// PostgreSQL 13 has no `inhdetachpending`.
const LIST: &str = r"
    WITH children AS (
        SELECT format('%I.%I', nspname, child.relname) AS name, child.oid AS number,
               pg_get_expr(child.relpartbound, child.oid) AS bound,
               coalesce((to_jsonb(pg_inherits) ->> 'inhdetachpending')::boolean, false) AS detaching
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        JOIN pg_namespace ON pg_namespace.oid = child.relnamespace
        WHERE pg_inherits.inhparent = $1::text::regclass
    ), bounds AS (
        SELECT name, number, detaching,
               substring(bound FROM 'FROM \(''([^'']+)''\)')::timestamptz AS low,
               substring(bound FROM 'TO \(''([^'']+)''\)')::timestamptz AS high
        FROM children
        WHERE bound <> 'DEFAULT'
    )
    SELECT name,
           CASE WHEN isfinite(low) THEN (extract(epoch FROM low) * 1000000)::bigint END,
           CASE WHEN isfinite(high) THEN (extract(epoch FROM high) * 1000000)::bigint END,
           number, detaching
    FROM bounds
    ORDER BY low NULLS FIRST";

/// Reads the partitions of a table. The session's time zone must be UTC.
pub(super) async fn list(client: &Client, parent: &'static str) -> Result<Partitions, Failure> {
    let rows = client.query(LIST, &[&parent]).await?;
    let mut partitions = Partitions {
        parent,
        known: Vec::with_capacity(rows.len()),
        detaching: Vec::new(),
        gone: Vec::new(),
    };
    for row in rows {
        let partition = Partition {
            table: row.try_get(0)?,
            from: row.try_get::<_, Option<i64>>(1)?.unwrap_or(Micros::MIN),
            to: row.try_get::<_, Option<i64>>(2)?.unwrap_or(Micros::MAX),
            oid: row.try_get(3)?,
        };
        if row.try_get(4)? {
            partitions.detaching.push(partition);
        } else {
            partitions.known.push(partition);
        }
    }
    Ok(partitions)
}

/// Reads them again.
pub(super) async fn refresh(client: &Client, partitions: &mut Partitions) -> Result<(), Failure> {
    partitions.replace(list(client, partitions.parent).await?);
    Ok(())
}

#[cfg(test)]
mod tests;
