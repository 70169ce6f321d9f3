//! A PostgreSQL cluster of its own for a test: a folder, a port, one server process.
//!
//! `initdb` takes a second, so it runs once per PostgreSQL version; its result is kept under the
//! target folder and copied. The server is a direct child (not `pg_ctl`), so its process id is
//! known and it shares the test's process group.

mod cluster;
mod sql;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::{ChildGuard, signal, try_signal};
use crate::wait::free_port;
use cluster::Installation;

/// How long the server may take to answer after its start, crash recovery included, on a busy
/// machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How often the server's port may turn out to be taken by somebody else between choosing it and
/// listening on it.
const START_ATTEMPTS_MAX: u32 = 5;

/// What differs from a server with PostgreSQL's own defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Off makes a test faster and still survives a killed server: only the machine's own end would
    /// lose data.
    pub fsync: bool,
    /// Passwords are checked (SCRAM) when true; anybody is trusted otherwise. The password is
    /// `Postgres::PASSWORD`.
    pub password: bool,
    /// Further settings, such as `("max_connections", "5")`.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            fsync: true,
            password: false,
            settings: Vec::new(),
        }
    }
}

/// A running (or stopped) cluster on 127.0.0.1; ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    folder: TempDir,
    options: Options,
    port: u16,
    server: Option<ChildGuard>,
}

impl Postgres {
    /// The superuser's name.
    pub const USER: &str = "postgres";
    /// The superuser's password; asked for only with `Options::password`.
    pub const PASSWORD: &str = "secret of the test";

    /// Starts a cluster with PostgreSQL's own defaults, fsync included.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed or does not start.
    #[track_caller]
    pub fn start() -> Postgres {
        Postgres::start_with(Options::default())
    }

    #[track_caller]
    pub fn start_with(options: Options) -> Postgres {
        let installation = Installation::find();
        let folder = tempfile::Builder::new()
            .prefix("millrace-pg-")
            .tempdir()
            .expect("a temporary folder");
        installation.create_cluster(folder.path(), options.password);
        let mut postgres = Postgres {
            installation,
            folder,
            options,
            port: free_port(),
            server: None,
        };
        for attempt in 1..=START_ATTEMPTS_MAX {
            match postgres.try_start() {
                Ok(()) => break,
                Err(log)
                    if log.contains("Address already in use") && attempt < START_ATTEMPTS_MAX =>
                {
                    postgres.port = free_port();
                }
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        postgres
    }

    /// Starts the stopped (or killed) cluster again, on the same port.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the cluster runs already");
        let started = Instant::now();
        while let Err(log) = self.try_start() {
            // After `kill` the old server's children need a moment to notice and leave.
            let leaving = log.contains("still in use");
            assert!(
                leaving && started.elapsed() < START_DEADLINE,
                "PostgreSQL does not start again:\n{log}"
            );
        }
    }

    /// Connections are ended, the data is flushed: `pg_ctl stop -m fast`.
    #[track_caller]
    pub fn stop_fast(&mut self) {
        self.stop("INT");
    }

    /// No flush, recovery at the next start: `pg_ctl stop -m immediate`.
    #[track_caller]
    pub fn stop_immediate(&mut self) {
        self.stop("QUIT");
    }

    /// SIGKILL to the server process, as the kernel does when memory ends; its children notice and
    /// leave.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Stops every process of the server where it stands; connections stay open and silent.
    #[track_caller]
    pub fn freeze(&self) {
        let server = self.server.as_ref().expect("the cluster runs").id();
        // First, so that no child comes after they have been listed.
        signal(server, "STOP");
        for process in children(server) {
            // A connection's child may end just then.
            try_signal(process, "STOP");
        }
    }

    /// Ends `freeze`.
    pub fn thaw(&self) {
        for process in self.processes() {
            // Thawed, the server may have started children that have ended since.
            try_signal(process, "CONT");
        }
    }

    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of a database, as the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as(Postgres::USER, Postgres::PASSWORD, database)
    }

    /// `postgres://…` of a database, as somebody.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        let port = self.port;
        let password = percent_encoded(password);
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Creates a database with a new name and returns its URL.
    #[track_caller]
    pub fn create_database(&self) -> String {
        self.url(&self.create_database_named())
    }

    #[track_caller]
    fn create_database_named(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs SQL (several statements are allowed) as the superuser.
    #[track_caller]
    pub fn execute(&self, database: &str, sql: &str) {
        sql::query(&self.url(database), sql);
    }

    /// Runs SQL as the superuser and returns the rows, every value as PostgreSQL prints it; a null
    /// is empty.
    #[track_caller]
    pub fn query(&self, database: &str, sql: &str) -> Vec<Vec<String>> {
        sql::query(&self.url(database), sql)
    }

    fn try_start(&mut self) -> Result<(), String> {
        let settings = self.settings();
        let mut command = self.installation.server(self.folder.path());
        for (key, value) in settings {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        let mut server = ChildGuard::spawn(&mut command);
        let started = Instant::now();
        loop {
            if server.try_wait().is_some() {
                return Err(server.lines().join("\n"));
            }
            if sql::answers(&self.url("postgres")) {
                self.server = Some(server);
                return Ok(());
            }
            if started.elapsed() > START_DEADLINE {
                return Err(server.lines().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let on_off = |on: bool| if on { "on" } else { "off" };
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", String::new()),
            ("fsync", on_off(self.options.fsync).to_owned()),
            ("log_min_messages", "fatal".to_owned()),
            ("log_min_error_statement", "panic".to_owned()),
            // A test's own cluster need not reserve what a server would.
            ("shared_buffers", "64MB".to_owned()),
            ("max_wal_size", "512MB".to_owned()),
        ];
        own.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .chain(self.options.settings.iter().cloned())
            .collect()
    }

    #[track_caller]
    fn stop(&mut self, name: &str) {
        let mut server = self.server.take().expect("the cluster runs");
        server.signal(name);
        server.wait(STOP_DEADLINE);
    }

    fn processes(&self) -> Vec<u32> {
        let server = self.server.as_ref().expect("the cluster runs").id();
        let mut processes = vec![server];
        processes.extend(children(server));
        processes
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // An immediate stop lets the server end its children and free its shared memory; if that
        // takes long, the guard kills.
        let asked = try_signal(server.id(), "QUIT") && try_signal(server.id(), "CONT");
        let started = Instant::now();
        while asked && server.try_wait().is_none() && started.elapsed() < STOP_DEADLINE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An empty database of its own in the shared cluster of this test process.
#[derive(Debug, Clone)]
pub struct Database {
    pub postgres: Arc<Postgres>,
    pub name: String,
}

impl Database {
    pub fn url(&self) -> String {
        self.postgres.url(&self.name)
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.postgres.execute(&self.name, sql);
    }

    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        self.postgres.query(&self.name, sql)
    }
}

/// A new database in a cluster that the tests of this process share; the cluster ends with the last
/// of them. Without fsync: nobody takes the power away from it. For tests that stop the server,
/// start one with `Postgres::start`.
#[track_caller]
pub fn shared_postgres() -> Database {
    static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let postgres = shared.upgrade().unwrap_or_else(|| {
        let postgres = Arc::new(Postgres::start_with(Options {
            fsync: false,
            ..Options::default()
        }));
        *shared = Arc::downgrade(&postgres);
        postgres
    });
    drop(shared);
    let name = postgres.create_database_named();
    Database { postgres, name }
}

/// The direct children of a process, from `/proc`.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    std::fs::read_to_string(Path::new(&path))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}
