//! The two databases that hold a table of credentials, each empty and one test's own.

use store::{Config, Settings};
use tempfile::TempDir;
use testkit::{Database, shared_postgres};

/// An empty database that any number of tables and stores can be opened on.
pub(crate) trait Backend: Sync {
    fn url(&self) -> String;

    /// Runs statements past the table.
    fn execute(&self, sql: &str);

    /// How many rows a table has.
    fn count(&self, table: &str) -> u64;

    fn settings(&self) -> Settings {
        settings(self.url())
    }
}

pub(crate) fn settings(url: String) -> Settings {
    let config = Config {
        url,
        ..Config::default()
    };
    let settings = config.validate(std::path::Path::new("/"));
    settings.expect("a valid section")
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
    fn url(&self) -> String {
        self.database.url()
    }

    fn execute(&self, sql: &str) {
        self.database.execute(sql);
    }

    fn count(&self, table: &str) -> u64 {
        let rows = self
            .database
            .query(&format!("SELECT count(*) FROM {table}"));
        rows[0][0].parse().expect("a count")
    }
}

pub(crate) struct SqliteBackend {
    folder: TempDir,
}

impl SqliteBackend {
    pub(crate) fn new() -> SqliteBackend {
        SqliteBackend {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("test.db")).expect("the file")
    }
}

impl Backend for SqliteBackend {
    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("test.db").display())
    }

    fn execute(&self, sql: &str) {
        self.connection().execute_batch(sql).expect(sql);
    }

    fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self
            .connection()
            .query_row(&sql, [], |row| row.get::<_, i64>(0));
        count.expect(&sql) as u64
    }
}
