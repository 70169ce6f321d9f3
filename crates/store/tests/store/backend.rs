//! What differs between the two databases for a test: how to reach them, and how they write a time.

use std::time::Duration;

use rusqlite::types::ValueRef;
use store::{Config, Store, StoreError};
use tempfile::TempDir;
use testkit::{Database, shared_postgres};

/// An empty database that any number of stores can be opened on.
pub(crate) trait Backend: Sync {
    fn config(&self) -> Config;

    /// Runs a query past the store; every value as text, a null as empty text.
    fn query(&self, sql: &str) -> Vec<Vec<String>>;

    /// Runs statements past the store.
    fn execute(&self, sql: &str);

    /// An SQL expression for a column's time in microseconds since 1970.
    fn micros(&self, column: &str) -> String;

    /// The statements of the first migration, as they lie in the source.
    fn first_migration(&self) -> &'static str;

    /// A new store on the database, as another process would open it.
    fn store(&self) -> Box<dyn Store> {
        open(&self.config()).expect("a store")
    }
}

pub(crate) fn open(config: &Config) -> Result<Box<dyn Store>, StoreError> {
    let settings = config
        .validate(std::path::Path::new("/"))
        .expect("a valid section");
    store::open(&settings)
}

/// A sample as people query it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) time: i64,
    pub(crate) device: String,
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) labels: String,
}

/// Every number in the view, by device, metric, time and value.
pub(crate) fn readings(backend: &dyn Backend) -> Vec<Reading> {
    let time = if backend.config().url.starts_with("sqlite") {
        "time_us".to_owned()
    } else {
        backend.micros("time")
    };
    let sql = format!(
        "SELECT {time}, device, metric, value, unit, labels FROM telemetry WHERE value IS NOT NULL"
    );
    let mut readings: Vec<Reading> = backend
        .query(&sql)
        .into_iter()
        .map(|row| Reading {
            time: row[0].parse().expect("microseconds"),
            device: row[1].clone(),
            metric: row[2].clone(),
            value: row[3].parse().expect("a number"),
            unit: row[4].clone(),
            labels: row[5].clone(),
        })
        .collect();
    readings.sort_by(|a, b| {
        (&a.device, &a.metric, a.time)
            .cmp(&(&b.device, &b.metric, b.time))
            .then(a.value.total_cmp(&b.value))
    });
    readings
}

pub(crate) fn count(backend: &dyn Backend, table: &str) -> u64 {
    let rows = backend.query(&format!("SELECT count(*) FROM {table}"));
    rows[0][0].parse().expect("a count")
}

pub(crate) struct PostgresBackend {
    pub(crate) database: Database,
}

impl PostgresBackend {
    pub(crate) fn new() -> PostgresBackend {
        PostgresBackend {
            database: shared_postgres(),
        }
    }
}

impl Backend for PostgresBackend {
    fn config(&self) -> Config {
        Config {
            url: self.database.url(),
            ..Config::default()
        }
    }

    fn query(&self, sql: &str) -> Vec<Vec<String>> {
        // A view's JSON is printed with spaces by one database and without by the other.
        self.database.query(sql)
    }

    fn execute(&self, sql: &str) {
        self.database.execute(sql);
    }

    fn micros(&self, column: &str) -> String {
        format!("(extract(epoch FROM {column}) * 1000000)::bigint")
    }

    fn first_migration(&self) -> &'static str {
        include_str!("../../src/postgres/migrations/0001_rows.sql")
    }
}

pub(crate) struct SqliteBackend {
    pub(crate) folder: TempDir,
}

impl SqliteBackend {
    pub(crate) fn new() -> SqliteBackend {
        SqliteBackend {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn connection(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.folder.path().join("test.db"));
        let connection = connection.expect("the file");
        let timeout = Duration::from_secs(30);
        connection.busy_timeout(timeout).expect("a busy timeout");
        connection
    }
}

impl Backend for SqliteBackend {
    fn config(&self) -> Config {
        let path = self.folder.path().join("test.db");
        Config {
            url: format!("sqlite:{}", path.display()),
            ..Config::default()
        }
    }

    fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns)
                .map(|column| Ok(text(row.get_ref(column)?)))
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        rows.expect(sql).map(|row| row.expect(sql)).collect()
    }

    fn execute(&self, sql: &str) {
        self.connection().execute_batch(sql).expect(sql);
    }

    fn micros(&self, column: &str) -> String {
        column.to_owned()
    }

    fn first_migration(&self) -> &'static str {
        include_str!("../../src/sqlite/migrations/0001_rows.sql")
    }
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
        // As PostgreSQL prints it.
        ValueRef::Blob(value) => value
            .iter()
            .fold("\\x".to_owned(), |out, byte| out + &format!("{byte:02x}")),
    }
}
