//! Rows a second through `Store::commit`, beside what the database does with the same bytes and
//! nobody around it.
//!
//! `cargo bench -p store --bench store` takes under half a minute. Figures to read, not to assert:
//! the ratio to COPY alone, taken in turns in the same run, is what stays the same from machine to
//! machine.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use journal::Position;
use store::{Batch, NewSeries, Outcome, SampleRow, SeriesKey};
use store::{Config, Store};
use testkit::Postgres;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// 1,000 devices with three metrics, one message a device.
const SERIES: u32 = 3_000;
const SAMPLES_PER_RECORD: u32 = 3;
/// What ingest gathers under full load, and what a light load brings in a tenth of a second.
const FULL_BATCH: u32 = 60_000;
const LIGHT_BATCH: u32 = 300;
const LIGHT_COMMITS: usize = 500;
/// How long each figure is measured.
const MEASURE_FOR: Duration = Duration::from_secs(3);

fn main() {
    let journal = Uuid::new_v4();
    println!(
        "{SERIES} series; batches of {FULL_BATCH} rows, and of {LIGHT_BATCH} for the light load"
    );
    postgres(journal);
    sqlite(journal);
}

fn postgres(journal: Uuid) {
    let postgres = Postgres::start();
    let url = postgres.create_database();
    let database = url.rsplit('/').next().unwrap_or_default();
    let config = Config {
        url: url.clone(),
        ..Config::default()
    };
    let mut rows = Rows::default();
    let mut store = open(&config);
    store.load(journal).expect("loaded");
    store
        .commit(journal, &rows.batch(SERIES))
        .expect("the series made");
    let table = postgres.query(
        database,
        "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'samples'::regclass LIMIT 1",
    );
    let mut copy = CopyAlone::connect(&url, &table[0][0]);

    let tree = format!("{}_series_id_time_idx", table[0][0]);
    let light = latencies(&mut *store, journal, &mut rows);
    println!("PostgreSQL, light load: {}", percentiles(light));
    // Not long enough to count as heavy: the B-tree stays.
    let (ours, alone) = in_turns(&mut *store, journal, &mut rows, &mut copy);
    report(
        "PostgreSQL, B-tree and BRIN (any load until it counts as heavy)",
        ours,
        Some(alone),
    );
    postgres.execute(database, &format!("DROP INDEX {tree}"));
    let (ours, alone) = in_turns(&mut *store, journal, &mut rows, &mut copy);
    report("PostgreSQL, BRIN alone (a heavy load)", ours, Some(alone));
}

fn sqlite(journal: Uuid) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        url: format!("sqlite:{}", folder.path().join("bench.db").display()),
        ..Config::default()
    };
    let mut rows = Rows::default();
    let mut store = open(&config);
    store.load(journal).expect("loaded");
    store
        .commit(journal, &rows.batch(SERIES))
        .expect("the series made");
    let light = latencies(&mut *store, journal, &mut rows);
    println!("SQLite, light load: {}", percentiles(light));
    let mut rate = Rate::default();
    let started = Instant::now();
    while started.elapsed() < MEASURE_FOR {
        let batch = rows.batch(FULL_BATCH);
        rate.add(FULL_BATCH, || {
            store.commit(journal, &batch).expect("committed")
        });
    }
    report("SQLite", rate, None);
}

fn open(config: &Config) -> Box<dyn Store> {
    let settings = config.validate(Path::new("/")).expect("a valid section");
    store::open(&settings).expect("a store")
}

/// The same amount through both, one batch at a time each, so that both see the same machine.
fn in_turns(
    store: &mut dyn Store,
    journal: Uuid,
    rows: &mut Rows,
    copy: &mut CopyAlone,
) -> (Rate, Rate) {
    let (mut ours, mut alone) = (Rate::default(), Rate::default());
    let started = Instant::now();
    while started.elapsed() < MEASURE_FOR {
        let batch = rows.batch(FULL_BATCH);
        let pieces = encode(&batch);
        ours.add(FULL_BATCH, || {
            store.commit(journal, &batch).expect("committed")
        });
        alone.add(FULL_BATCH, || copy.run(pieces));
    }
    (ours, alone)
}

fn latencies(store: &mut dyn Store, journal: Uuid, rows: &mut Rows) -> Vec<Duration> {
    let mut all = Vec::new();
    for _ in 0..LIGHT_COMMITS {
        let batch = rows.batch(LIGHT_BATCH);
        let before = Instant::now();
        store.commit(journal, &batch).expect("committed");
        all.push(before.elapsed());
    }
    all.sort_unstable();
    all
}

#[derive(Default)]
struct Rate {
    rows: u64,
    elapsed: Duration,
}

impl Rate {
    fn add(&mut self, rows: u32, work: impl FnOnce()) {
        let started = Instant::now();
        work();
        self.elapsed += started.elapsed();
        self.rows += u64::from(rows);
    }

    fn per_second(&self) -> f64 {
        self.rows as f64 / self.elapsed.as_secs_f64()
    }
}

fn report(what: &str, ours: Rate, alone: Option<Rate>) {
    let thousands = ours.per_second() / 1e3;
    match alone {
        Some(alone) => println!(
            "{what}: {thousands:.0} k rows/s; COPY alone {:.0} k rows/s; ratio {:.2}",
            alone.per_second() / 1e3,
            ours.per_second() / alone.per_second()
        ),
        None => println!("{what}: {thousands:.0} k rows/s"),
    }
}

fn percentiles(sorted: Vec<Duration>) -> String {
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!(
        "a commit takes {:.2} ms (p50), {:.2} ms (p99) of {}",
        at(0.5),
        at(0.99),
        sorted.len()
    )
}

/// An endless fleet: message after message, device after device, in the order of time.
#[derive(Default)]
struct Rows {
    position: u64,
    sample: u64,
}

impl Rows {
    fn batch(&mut self, samples: u32) -> Batch {
        let first = self.sample == 0;
        let base = jiff::Timestamp::now().as_microsecond();
        let start = Position(self.position);
        let records = samples / SAMPLES_PER_RECORD;
        let rows = (0..samples).map(|row| {
            let number = self.sample + u64::from(row);
            SampleRow {
                series: SeriesKey((number % u64::from(SERIES)) as u32),
                record: row / SAMPLES_PER_RECORD,
                time: base + i64::from(row / SAMPLES_PER_RECORD) * 4,
                value: (number % 1_000) as f64 / 10.0,
            }
        });
        let batch = Batch {
            start,
            outcomes: vec![Outcome::Stored; records as usize],
            samples: rows.collect(),
            new_series: if first { series() } else { Vec::new() },
            ..Batch::default()
        };
        self.position += u64::from(records);
        self.sample += u64::from(samples);
        batch
    }
}

fn series() -> Vec<NewSeries> {
    let one = |key| NewSeries {
        key: SeriesKey(key),
        device: format!("device-{}", key / SAMPLES_PER_RECORD),
        metric: ["temperature", "humidity", "pressure"][(key % SAMPLES_PER_RECORD) as usize].into(),
        unit: String::new(),
        labels: "{}".into(),
    };
    (0..SERIES).map(one).collect()
}

/// The rows as the store sends them: binary, sorted by series and time, in pieces.
fn encode(batch: &Batch) -> Vec<Bytes> {
    const EPOCH_2000: i64 = 946_684_800_000_000;
    let mut samples = batch.samples.clone();
    samples.sort_by_key(|row| (row.series, row.time));
    let mut out = BytesMut::new();
    out.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in &samples {
        out.put_i16(3);
        out.put_i32(8);
        out.put_i64(row.time - EPOCH_2000);
        out.put_i32(8);
        out.put_f64(row.value);
        out.put_i32(4);
        out.put_i32(row.series.0 as i32 + 1);
    }
    out.put_i16(-1);
    let mut rest = out.freeze();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        pieces.push(rest.split_to(rest.len().min(128 * 1024)));
    }
    pieces
}

/// A client that does nothing but send prepared bytes.
struct CopyAlone {
    runtime: tokio::runtime::Runtime,
    client: Client,
    statement: tokio_postgres::Statement,
}

impl CopyAlone {
    fn connect(url: &str, table: &str) -> CopyAlone {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (client, statement) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls)
                .await
                .expect("connected");
            tokio::spawn(connection);
            let sql = format!("COPY {table} (time, value, series_id) FROM STDIN (FORMAT binary)");
            let statement = client.prepare(&sql).await.expect("prepared");
            (client, statement)
        });
        CopyAlone {
            runtime,
            client,
            statement,
        }
    }

    fn run(&mut self, pieces: Vec<Bytes>) {
        self.runtime.block_on(async {
            let sink = self
                .client
                .copy_in::<_, Bytes>(&self.statement)
                .await
                .expect("COPY begun");
            let mut sink = Box::pin(sink);
            for piece in pieces {
                sink.send(piece).await.expect("sent");
            }
            sink.as_mut().finish().await.expect("COPY ended");
        });
    }
}
