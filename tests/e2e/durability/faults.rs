//! The moments at which a server is killed.
//!
//! Seeded pauses choose the moment within a situation; that the situation is there is waited for.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rusqlite::Connection;
use testkit::{ChildGuard, Postgres, wait_until};

use crate::server::{PATIENCE, Setup};

/// What the server is at when it is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// Messages arrive and rows are written.
    Loaded,
    /// The database was held up, and what gathered meanwhile is being written.
    Backlog,
    /// It has only just been started.
    Starting,
    /// It was asked to end and drains.
    Ending,
    /// PostgreSQL is silent: what was sent to it last is still on its way when the next server
    /// starts.
    Silent,
}

/// How a backlog is made.
pub(super) enum Backlog<'t> {
    Sqlite(&'t Setup),
    Postgres(&'t Postgres),
}

/// Where seeded moments come from; says the seed.
pub(crate) struct Chance {
    pub(super) seed: u64,
    pub(super) rng: ChaCha8Rng,
}

impl Chance {
    pub(crate) fn new() -> Chance {
        let seed = match std::env::var("MILLRACE_TEST_SEED") {
            Ok(seed) => seed.parse().expect("MILLRACE_TEST_SEED is a number"),
            Err(_) => rand::random_range(0..1_000_000),
        };
        println!("MILLRACE_TEST_SEED={seed}");
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Chance { seed, rng }
    }

    /// Lets a seeded time pass, in milliseconds.
    pub(crate) fn pause(&mut self, milliseconds: Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(milliseconds)));
    }
}

/// Kills the server at such a moment and starts it again.
pub(super) fn kill(
    moment: Moment,
    mut server: ChildGuard,
    setup: &Setup,
    backlog: &Backlog<'_>,
    chance: &mut Chance,
) -> ChildGuard {
    // Whatever the moment, clients have come back and sent.
    wait_for_messages(&setup.data.join("journal"));
    match moment {
        Moment::Loaded => chance.pause(0..600),
        Moment::Backlog => {
            backlog.hold(chance);
            chance.pause(0..150);
        }
        Moment::Starting => {
            server.kill();
            server = ChildGuard::spawn(&mut setup.command());
            chance.pause(0..250);
        }
        Moment::Ending => {
            chance.pause(0..200);
            server.signal("TERM");
            chance.pause(0..100);
        }
        Moment::Silent => {
            let Backlog::Postgres(postgres) = backlog else {
                panic!("SQLite is part of the server");
            };
            chance.pause(0..200);
            postgres.freeze();
            chance.pause(0..250);
            server.kill();
            let started = ChildGuard::spawn(&mut setup.command());
            chance.pause(0..500);
            postgres.thaw();
            return up(started);
        }
    }
    server.kill();
    setup.start()
}

/// A started server, once it is up.
pub(super) fn up(mut server: ChildGuard) -> ChildGuard {
    server.wait_for_line("is up", PATIENCE);
    server
}

impl Backlog<'_> {
    /// Holds the database up for a seeded while.
    fn hold(&self, chance: &mut Chance) {
        match self {
            Backlog::Sqlite(setup) => {
                let connection = Connection::open(setup.data.join("millrace.db")).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                chance.pause(200..600);
                connection.execute_batch("ROLLBACK").unwrap();
            }
            Backlog::Postgres(postgres) => {
                postgres.freeze();
                chance.pause(200..600);
                postgres.thaw();
            }
        }
    }
}

fn wait_for_messages(journal: &Path) {
    let begin = last_write(journal);
    wait_until(
        "messages in the journal",
        PATIENCE,
        || last_write(journal),
        |last| *last > begin,
    );
}

/// By time: a segment has its whole size from its first message on. Files come and go while this
/// looks.
pub(crate) fn last_write(folder: &Path) -> Option<SystemTime> {
    let files = std::fs::read_dir(folder).expect("the journal's folder");
    files
        .filter_map(|file| file.ok()?.metadata().ok()?.modified().ok())
        .max()
}
