//! Making the partitions that are missing.
//!
//! Owns: their names and statements, and telling that a new one stands in for a table that was
//! detached. Invariant: no table that exists is written, renamed or attached.

use std::collections::HashSet;

use telemetry::Micros;
use tokio_postgres::Client;

use super::super::error::Failure;
use super::super::index::{self, Indexes};
use super::super::migration::SCHEMA_LOCK;
use super::{Partition, Partitions, refresh};
use crate::civil::{DAY, Date};

/// Partitions made in one transaction: each costs locks, of which a server has some thousands, and
/// more would also keep others waiting.
const PARTITIONS_PER_CREATION: usize = 16;

/// Makes the partitions that `times` need, in transactions of their own.
pub(in super::super) async fn ensure(
    client: &Client,
    partitions: &mut Partitions,
    times: impl Iterator<Item = Micros>,
    now: Micros,
    indexes: Indexes,
) -> Result<(), Failure> {
    let missing = partitions.missing(times, now)?;
    for group in missing.chunks(PARTITIONS_PER_CREATION) {
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK})");
        client.batch_execute(&begin).await?;
        let made = make(client, partitions, group, now, indexes).await;
        let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.batch_execute(end).await;
        let made = made?;
        ended?;
        for made in &made {
            made.tell(client, partitions).await?;
        }
        // As PostgreSQL knows them: with their numbers and schemas.
        refresh(client, partitions).await?;
    }
    Ok(())
}

/// A new partition.
struct Made {
    partition: Partition,
    /// The table that has the name which the partition would have had.
    namesake: Option<String>,
}

/// Under the lock nobody else makes partitions, but somebody may have done it since we looked.
async fn make(
    client: &Client,
    partitions: &mut Partitions,
    wanted: &[Partition],
    now: Micros,
    indexes: Indexes,
) -> Result<Vec<Made>, Failure> {
    refresh(client, partitions).await?;
    let mut all = Vec::new();
    for wanted in wanted {
        if partitions.holding(wanted.from, wanted.to - 1).is_none() {
            partitions.check_detaching(wanted.from)?;
            let planned = partitions.plan(wanted.from, now);
            let made = name(client, partitions.parent, planned).await?;
            let statements = create(partitions.parent, &made.partition, indexes);
            client.batch_execute(&statements).await?;
            partitions.insert(made.partition.clone());
            all.push(made);
        }
    }
    Ok(all)
}

/// What has a name that begins with `$2` in the schema of the table `$1`. A table brings a type of
/// its name along, so types are in the way too. The second column: it is a table, and no partition.
const NAMESAKES: &str = "
    WITH schema AS (
        SELECT relnamespace AS oid FROM pg_class WHERE oid = $1::text::regclass
    )
    SELECT relname::text, relkind IN ('r', 'p') AND NOT relispartition
    FROM pg_class JOIN schema ON schema.oid = relnamespace
    WHERE starts_with(relname::text, $2)
    UNION ALL
    SELECT typname::text, false
    FROM pg_type JOIN schema ON schema.oid = typnamespace
    WHERE starts_with(typname::text, $2)";

/// Gives a planned partition a name that is free, in the schema of its table.
async fn name(client: &Client, parent: &str, planned: Partition) -> Result<Made, Failure> {
    let schema_of = "SELECT quote_ident(nspname) FROM pg_class
                     JOIN pg_namespace ON pg_namespace.oid = relnamespace
                     WHERE pg_class.oid = $1::text::regclass";
    let schema: String = client.query_one(schema_of, &[&parent]).await?.try_get(0)?;
    let mut taken = HashSet::new();
    let mut namesake = None;
    for row in client.query(NAMESAKES, &[&parent, &planned.table]).await? {
        let found: String = row.try_get(0)?;
        if row.try_get(1)? && found == planned.table {
            namesake = Some(format!("{schema}.{found}"));
        }
        taken.insert(found);
    }
    let name = free_name(&planned.table, &taken);
    let partition = Partition {
        table: format!("{schema}.{name}"),
        ..planned
    };
    Ok(Made {
        partition,
        namesake,
    })
}

/// The name itself, or with the first number from 2 on that nobody uses.
pub(super) fn free_name(wanted: &str, taken: &HashSet<String>) -> String {
    let numbered = (2..).map(|number: u32| format!("{wanted}_{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        // There are more numbers than a database has tables.
        .unwrap_or_else(|| wanted.to_owned())
}

/// `ATTACH` and not `PARTITION OF`: it lets queries on the parent run on, which may take long.
fn create(parent: &str, partition: &Partition, indexes: Indexes) -> String {
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

pub(super) fn literal(time: Micros) -> String {
    let Date { year, month, day } = Date::at(time);
    let seconds = time.rem_euclid(DAY) / 1_000_000;
    let micros = time.rem_euclid(1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00'")
}

/// The tables among `$1` that still exist, under the names they have now.
const STILL_THERE: &str = "
    SELECT format('%I.%I', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = ANY($1) AND NOT relispartition";

impl Made {
    /// Says whom the new partition replaces: one warning, whatever is known about it.
    async fn tell(&self, client: &Client, partitions: &mut Partitions) -> Result<(), Failure> {
        let Partition {
            from, to, table, ..
        } = &self.partition;
        let gone = partitions.take_gone(*from, *to);
        let oids: Vec<u32> = gone.iter().map(|partition| partition.oid).collect();
        let mut detached = Vec::new();
        if !oids.is_empty() {
            for row in client.query(STILL_THERE, &[&oids]).await? {
                detached.push(row.try_get(0)?);
            }
        }
        // Nothing was seen to go: before this process began, then.
        if detached.is_empty() {
            detached.extend(self.namesake.clone());
        }
        let parent = partitions.parent;
        if !detached.is_empty() {
            tracing::warn!(
                detached = detached.join(", "),
                new = table,
                "a table is no partition of `{parent}` any more (detached?); it is left alone, and \
                 rows of its time go into a new partition"
            );
        } else if !gone.is_empty() {
            tracing::info!(
                new = table,
                "a partition of `{parent}` was dropped; rows of its time go into a new one"
            );
        }
        Ok(())
    }
}
