//! What the databases hold, and what they can do by themselves.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, NoTls};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rows of one COPY, sorted by series as Millrace's own batches are.
const BATCH_ROWS: u64 = 60_000;
const SERIES: u64 = 300;

fn with_client<T>(url: &str, work: impl AsyncFnOnce(&mut Client) -> Outcome<T>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let result = work(&mut client).await;
        drop(client);
        driver.await??;
        result
    })
}

pub(crate) fn count_samples(url: &str) -> Outcome<u64> {
    with_client(url, async |client| {
        let row = client
            .query_one("select count(*) from samples", &[])
            .await?;
        Ok(row.get::<_, i64>(0) as u64)
    })
}

/// Messages whose rows are committed; cheap however large the table is.
const COMMITTED: &str =
    "select cast(coalesce(sum(rows_position), 0) as bigint) from ingest_position";

pub(crate) fn committed_messages(url: &str) -> Outcome<u64> {
    with_client(url, async |client| {
        Ok(client.query_one(COMMITTED, &[]).await?.get::<_, i64>(0) as u64)
    })
}

pub(crate) fn committed_messages_sqlite(file: &Path) -> Outcome<u64> {
    Ok(sqlite_number(file, COMMITTED)? as u64)
}

pub(crate) fn count_samples_sqlite(file: &Path) -> Outcome<u64> {
    Ok(sqlite_number(file, "select count(*) from samples")? as u64)
}

fn sqlite_number(file: &Path, query: &str) -> Outcome<i64> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection.query_row(query, [], |row| row.get(0))?)
}

/// Rows per second of COPY alone into the same table, with its indexes: batches of one transaction
/// each, times of today.
pub(crate) fn copy_alone(url: &str, rows: u64) -> Outcome<f64> {
    with_client(url, async |client| {
        let id_type: String = client
            .query_one(
                "select data_type from information_schema.columns \
                 where table_name = 'samples' and column_name = 'series_id' limit 1",
                &[],
            )
            .await?
            .get(0);
        let wide = id_type == "bigint";
        let now: f64 = client
            .query_one(
                "select extract(epoch from max(time))::float8 from samples",
                &[],
            )
            .await?
            .get(0);
        let mut batches = Vec::new();
        for first in (0..rows.max(BATCH_ROWS)).step_by(BATCH_ROWS as usize) {
            batches.push(copy_batch(first, now, wide));
        }
        let started = Instant::now();
        for batch in &batches {
            let transaction = client.transaction().await?;
            let statement = "copy samples (time, series_id, value) from stdin binary";
            let sink = transaction.copy_in::<_, Bytes>(statement).await?;
            let mut sink = std::pin::pin!(sink);
            for piece in batch.chunks(256 * 1024) {
                sink.send(Bytes::copy_from_slice(piece)).await?;
            }
            sink.finish().await?;
            transaction.commit().await?;
        }
        Ok((batches.len() as u64 * BATCH_ROWS) as f64 / started.elapsed().as_secs_f64())
    })
}

fn copy_batch(first: u64, now_seconds: f64, wide: bool) -> BytesMut {
    const EPOCH_2000_SECONDS: f64 = 946_684_800.0;
    let base = ((now_seconds - EPOCH_2000_SECONDS) * 1e6) as i64 - 60_000_000;
    let mut out = BytesMut::new();
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.extend_from_slice(&[0; 8]);
    for index in 0..BATCH_ROWS {
        let series = index * SERIES / BATCH_ROWS + 1;
        out.extend_from_slice(&3u16.to_be_bytes());
        out.extend_from_slice(&8u32.to_be_bytes());
        out.extend_from_slice(&(base + (first + index) as i64).to_be_bytes());
        if wide {
            out.extend_from_slice(&8u32.to_be_bytes());
            out.extend_from_slice(&(series as i64).to_be_bytes());
        } else {
            out.extend_from_slice(&4u32.to_be_bytes());
            out.extend_from_slice(&(series as i32).to_be_bytes());
        }
        out.extend_from_slice(&8u32.to_be_bytes());
        out.extend_from_slice(&(index as f64).to_be_bytes());
    }
    out.extend_from_slice(&(-1i16).to_be_bytes());
    out
}

/// How long a console waits for one series' last hour.
pub(crate) fn one_series_over_an_hour(url: &str) -> Outcome<Duration> {
    with_client(url, async |client| {
        let series = client
            .query_one("select device, metric from series limit 1", &[])
            .await?;
        let (device, metric): (String, String) = (series.get(0), series.get(1));
        let query = "select count(*), avg(value) from telemetry \
                     where device = $1 and metric = $2 and time > now() - interval '1 hour'";
        let started = Instant::now();
        client.query_one(query, &[&device, &metric]).await?;
        Ok(started.elapsed())
    })
}

/// The median of 200 small appends with fdatasync, in milliseconds.
pub(crate) fn fdatasync_ms(folder: &Path) -> io::Result<f64> {
    let mut file = File::create(folder.join("fdatasync-probe"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 512])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64() * 1e3)
}
