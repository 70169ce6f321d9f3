//! Whether the tables that a transaction writes are those that queries read.
//!
//! COPY goes straight into a partition, and a table that was detached takes rows as well as one
//! that was not. So the transaction locks the table and the partition first, and looks then, at
//! the cost of no round trip: the statements travel with its beginning. The lock is the one that
//! COPY takes anyway.
//!
//! - `DETACH PARTITION`, `DROP TABLE` and `RENAME` want both for themselves. They wait for the
//!   transaction, or it waits for them and then sees what they did. The order (table, partition)
//!   is PostgreSQL's own, so nobody waits in a circle.
//! - `DETACH PARTITION … CONCURRENTLY` first marks the partition. A transaction that finds the
//!   mark does not write. One that looked before it was set is waited for: its rows were there
//!   before the table was detached.
//!
//! Invariant: what is committed is in the view `telemetry`, or it is committed before the table
//! that it went to was detached.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::error::Failure;
use super::session::Session;

/// The tables of rows, and the view on them, as PostgreSQL numbers them: what is put in the place
/// of one has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tables {
    samples: Option<u32>,
    texts: Option<u32>,
    pub(super) series: Option<u32>,
    view: Option<u32>,
}

/// A partition that rows go into without finding it row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) parent: &'static str,
    pub(super) table: String,
}

/// PostgreSQL 13 has no `inhdetachpending`.
pub(super) const LOOK: &str = "
    SELECT to_regclass('samples')::oid, to_regclass('readings_text')::oid,
           to_regclass('series')::oid, to_regclass('telemetry')::oid,
           coalesce((
               SELECT bool_and(EXISTS (
                   SELECT FROM pg_inherits
                   WHERE inhparent = to_regclass(given.parent)
                     AND inhrelid = to_regclass(given.child)
                     AND NOT coalesce((to_jsonb(pg_inherits) ->> 'inhdetachpending')::boolean, false)
               ))
               FROM unnest($1::text[], $2::text[]) AS given (parent, child)
           ), true)";

/// `BEGIN`, and the locks that keep the answer to [`LOOK`] true until the end.
pub(super) fn begin(targets: &[Target]) -> String {
    let mut sql = "BEGIN".to_owned();
    for (index, target) in targets.iter().enumerate() {
        let separator = match index {
            0 => "; LOCK TABLE",
            _ => ",",
        };
        let Target { parent, table } = target;
        // Writing to a string does not fail.
        let _ = write!(sql, "{separator} ONLY {parent}, ONLY {table}");
    }
    if !targets.is_empty() {
        sql.push_str(" IN ROW EXCLUSIVE MODE");
    }
    sql
}

/// Within the transaction that [`begin`] began.
pub(super) async fn look(session: &Session, targets: &[Target]) -> Result<(), Failure> {
    let parents: Vec<&str> = targets.iter().map(|target| target.parent).collect();
    let tables: Vec<&str> = targets.iter().map(|target| target.table.as_str()).collect();
    let statement = &session.statements.look;
    let row = session
        .client()
        .query_one(statement, &[&parents, &tables])
        .await?;
    let found = Tables::of(&row)?;
    if found != session.tables {
        return Err(Failure::TablesChanged);
    }
    if row.try_get(4)? {
        Ok(())
    } else {
        Err(Failure::Strayed)
    }
}

impl Tables {
    fn of(row: &tokio_postgres::Row) -> Result<Tables, tokio_postgres::Error> {
        Ok(Tables {
            samples: row.try_get(0)?,
            texts: row.try_get(1)?,
            series: row.try_get(2)?,
            view: row.try_get(3)?,
        })
    }

    /// Those that rows will go to. Fails when there is a view `telemetry` and it reads others.
    pub(super) async fn find(client: &Client) -> Result<Tables, Failure> {
        let none: [&str; 0] = [];
        let row = client
            .query_one(LOOK, &[&none.as_slice(), &none.as_slice()])
            .await?;
        let tables = Tables::of(&row)?;
        if let Some(view) = tables.view {
            check_view(client, view, &tables).await?;
        }
        Ok(tables)
    }
}

/// What the view `$1` reads, over other views if need be.
const READ_BY: &str = "
    WITH RECURSIVE reads (oid) AS (
        SELECT $1::oid
        UNION
        SELECT pg_depend.refobjid
        FROM reads
        JOIN pg_rewrite ON pg_rewrite.ev_class = reads.oid
        JOIN pg_depend ON pg_depend.classid = 'pg_rewrite'::regclass
                      AND pg_depend.objid = pg_rewrite.oid
                      AND pg_depend.refclassid = 'pg_class'::regclass
    )
    SELECT oid FROM reads";

/// A view stays with its tables when they are renamed, and does not see what takes their names.
async fn check_view(client: &Client, view: u32, tables: &Tables) -> Result<(), Failure> {
    let rows = client.query(READ_BY, &[&view]).await?;
    let read = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<u32>, _>>()?;
    // Something else of that name, which is not for us to judge.
    if read.len() == 1 {
        return Ok(());
    }
    let texts = if read_texts(client, view).await? {
        tables.texts
    } else {
        None
    };
    for (name, table) in [
        ("samples", tables.samples),
        ("readings_text", texts),
        ("series", tables.series),
    ] {
        if table.is_some_and(|table| !read.contains(&table)) {
            return Err(Failure::Unseen(name));
        }
    }
    Ok(())
}

/// Whether the view has texts: the column that ours has for them.
async fn read_texts(client: &Client, view: u32) -> Result<bool, Failure> {
    let sql = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1 AND attname = 'text')";
    let row = client.query_one(sql, &[&view]).await?;
    Ok(row.try_get(0)?)
}
