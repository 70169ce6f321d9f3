//! The table against the load's record: the same samples, each once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use testkit::wait_until;
use tokio_postgres::{NoTls, Row};

use super::load::Done;
use crate::server::{PATIENCE, Setup};

/// How many differences a message shows.
const SHOWN: usize = 5;

/// Device, metric, microseconds, and the bits of the value.
type Sample = (String, String, i64, u64);
type Samples = HashMap<Sample, u32>;

/// Where the rows are.
#[derive(Debug)]
pub(crate) enum Table {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Table {
    pub(crate) fn sqlite(setup: &Setup) -> Table {
        Table::Sqlite(setup.data.join("millrace.db"))
    }

    pub(crate) fn postgres(setup: &Setup) -> Table {
        Table::Postgres(setup.store.clone().expect("a store"))
    }

    /// # Panics
    ///
    /// When an acknowledged sample is missing, when one is there more than once, or when there is
    /// one that nobody sent.
    #[track_caller]
    pub(crate) fn holds_exactly(&self, done: &Done) {
        let acknowledged = read_record(&done.expect);
        let rows = self.read();
        let repeated = |samples: &Samples| show(samples, |_, count| count > 1);
        assert_eq!(repeated(&acknowledged), "", "sent twice, the test is wrong");
        let missing = show(&acknowledged, |sample, _| !rows.contains_key(sample));
        let unknown = show(&rows, |sample, _| !acknowledged.contains_key(sample));
        let doubled = repeated(&rows);
        println!(
            "{} samples acknowledged, {} rows",
            acknowledged.len(),
            rows.len()
        );
        assert!(
            missing.is_empty() && unknown.is_empty() && doubled.is_empty(),
            "{} acknowledged, {} rows\nmissing: {missing}\nnever acknowledged: {unknown}\n\
             more than once: {doubled}",
            acknowledged.len(),
            rows.len(),
        );
    }

    /// Waits until there are as many rows as acknowledged samples.
    #[track_caller]
    pub(crate) fn wait_for(&self, done: &Done) {
        let all = |count: &u64| *count >= done.samples;
        wait_until("all rows", PATIENCE, || self.count(), all);
    }

    pub(crate) fn count(&self) -> u64 {
        let sql = "SELECT count(*) FROM telemetry";
        let count: i64 = match self {
            Table::Sqlite(file) => open(file).query_row(sql, [], |row| row.get(0)).unwrap(),
            Table::Postgres(url) => query(url, sql)[0].get(0),
        };
        count.try_into().expect("a count")
    }

    fn read(&self) -> Samples {
        match self {
            Table::Sqlite(file) => read_sqlite(file),
            Table::Postgres(url) => read_postgres(url),
        }
    }
}

fn show(samples: &Samples, wanted: impl Fn(&Sample, u32) -> bool) -> String {
    let found: Vec<_> = samples
        .iter()
        .filter(|(sample, count)| wanted(sample, **count))
        .collect();
    if found.is_empty() {
        return String::new();
    }
    let first = &found[..found.len().min(SHOWN)];
    format!("{}, such as {first:?}", found.len())
}

fn read_record(file: &Path) -> Samples {
    let text = std::fs::read_to_string(file).expect("the load's record");
    count(text.lines().map(|line| {
        let fields: Vec<_> = line.split(',').collect();
        let [device, metric, time, value] = fields[..] else {
            panic!("not a sample: {line}");
        };
        sample(device, metric, time, value)
    }))
}

fn read_sqlite(file: &Path) -> Samples {
    let connection = open(file);
    let mut statement = connection
        .prepare("SELECT device, metric, time_us, value FROM telemetry")
        .unwrap();
    let rows = statement
        .query_map([], |row| {
            let value: f64 = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, value.to_bits()))
        })
        .unwrap();
    count(rows.map(Result::unwrap))
}

fn open(file: &Path) -> Connection {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn read_postgres(url: &str) -> Samples {
    let sql = "SELECT device, metric, (extract(epoch FROM time) * 1000000)::bigint, value
               FROM telemetry";
    count(query(url, sql).iter().map(|row| {
        let value: f64 = row.get(3);
        (row.get(0), row.get(1), row.get(2), value.to_bits())
    }))
}

fn query(url: &str, sql: &str) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(sql, &[]).await.unwrap()
    })
}

fn sample(device: &str, metric: &str, time: &str, value: &str) -> Sample {
    let value: f64 = value.parse().expect("a number");
    let time = time.parse().expect("microseconds");
    (device.to_owned(), metric.to_owned(), time, value.to_bits())
}

fn count(samples: impl Iterator<Item = Sample>) -> Samples {
    samples.fold(HashMap::new(), |mut counts, sample| {
        *counts.entry(sample).or_default() += 1;
        counts
    })
}
