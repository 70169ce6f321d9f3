//! Finds or makes the series that a batch is the first to use.
//!
//! Looks first and inserts only what is missing: an `INSERT … ON CONFLICT` of known names would use
//! up ids at every start.

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::Failure;
use super::session::Session;
use crate::batch::NewSeries;
use crate::guard::Violation;
use crate::series::SeriesId;

/// Definitions in one statement; a million at once would be one message of 100 MB.
const SERIES_PER_STATEMENT: usize = 50_000;

/// Per given name that exists: its index from 0, its id, whether unit and labels are as given.
pub(super) const FIND: &str = "
    SELECT (given.n - 1)::int, series.id, series.unit = given.unit AND series.labels = given.labels::jsonb
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
         WITH ORDINALITY AS given (device, metric, unit, labels, n)
    JOIN series ON series.device = given.device AND series.metric = given.metric";

pub(super) const INSERT: &str = "
    INSERT INTO series (device, metric, unit, labels)
    SELECT device, metric, unit, labels::jsonb
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS given (device, metric, unit, labels)
    ON CONFLICT DO NOTHING";

pub(super) const UPDATE: &str = "
    UPDATE series SET unit = given.unit, labels = given.labels::jsonb
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS given (device, metric, unit, labels)
    WHERE series.device = given.device AND series.metric = given.metric";

/// Returns the ids of `wanted`, in its order, within the transaction under way.
pub(super) async fn resolve(
    session: &Session,
    wanted: &[&NewSeries],
) -> Result<Vec<SeriesId>, Failure> {
    let mut ids = Vec::with_capacity(wanted.len());
    for group in wanted.chunks(SERIES_PER_STATEMENT) {
        ids.extend(resolve_group(session, group).await?);
    }
    Ok(ids)
}

async fn resolve_group(session: &Session, group: &[&NewSeries]) -> Result<Vec<SeriesId>, Failure> {
    let mut ids: Vec<Option<SeriesId>> = vec![None; group.len()];
    let all: Vec<usize> = (0..group.len()).collect();
    let changed = find(session, group, &all, &mut ids).await?;
    if !changed.is_empty() {
        run(session, &session.statements.update_series, group, &changed).await?;
    }
    let missing: Vec<usize> = all
        .into_iter()
        .filter(|index| ids[*index].is_none())
        .collect();
    if !missing.is_empty() {
        run(session, &session.statements.insert_series, group, &missing).await?;
        find(session, group, &missing, &mut ids).await?;
    }
    let found = ids.into_iter().zip(group);
    found
        .map(|(id, series)| id.ok_or(Violation::Undefined(series.key).into()))
        .collect()
}

/// Fills in the ids of the members that exist; returns those whose unit or labels differ.
async fn find(
    session: &Session,
    group: &[&NewSeries],
    members: &[usize],
    ids: &mut [Option<SeriesId>],
) -> Result<Vec<usize>, Failure> {
    let columns = Columns::of(group, members);
    let parameters = columns.parameters();
    let query = session
        .client()
        .query(&session.statements.find_series, &parameters);
    let mut changed = Vec::new();
    for row in session.answer(query).await? {
        let member = members[row.try_get::<_, i32>(0)? as usize];
        ids[member] = Some(row.try_get(1)?);
        if !row.try_get::<_, bool>(2)? {
            changed.push(member);
        }
    }
    Ok(changed)
}

async fn run(
    session: &Session,
    statement: &Statement,
    group: &[&NewSeries],
    members: &[usize],
) -> Result<(), Failure> {
    let columns = Columns::of(group, members);
    let parameters = columns.parameters();
    session
        .answer(session.client().execute(statement, &parameters))
        .await?;
    Ok(())
}

struct Columns<'a> {
    devices: Vec<&'a str>,
    metrics: Vec<&'a str>,
    units: Vec<&'a str>,
    labels: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(group: &[&'a NewSeries], members: &[usize]) -> Columns<'a> {
        let column = |field: fn(&NewSeries) -> &String| -> Vec<&'a str> {
            members
                .iter()
                .map(|member| field(group[*member]).as_str())
                .collect()
        };
        Columns {
            devices: column(|series| &series.device),
            metrics: column(|series| &series.metric),
            units: column(|series| &series.unit),
            labels: column(|series| &series.labels),
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 4] {
        [&self.devices, &self.metrics, &self.units, &self.labels]
    }
}
