//! Whole processes killed under load, again and again: afterwards every acknowledged sample is in
//! the table exactly once.
//!
//! The clients resend what was not acknowledged, so a sample reaches the journal more than once;
//! the run goes on until everything is acknowledged, and then the table and the load's own record
//! of it must be the same, both ways. `MILLRACE_TEST_SEED` repeats a run's moments.

pub(crate) mod account;
mod faults;
mod load;
mod table;

use rand::seq::SliceRandom as _;
use testkit::{ChildGuard, Postgres};

pub(crate) use faults::{Chance, last_write};
pub(crate) use load::{Done, Load};
pub(crate) use table::Table;

use crate::server::Setup;
use faults::{Backlog, Moment};

/// How often the server is killed in one test.
const KILLS: usize = 20;
/// How often PostgreSQL is stopped where the server stays.
const STOPS: usize = 8;
/// How often one, the other, or both end.
const ROUNDS: usize = 12;

/// Clients that also drop their connections by themselves.
const CLIENTS: &[&str] = &[
    "--count",
    "40",
    "--rate",
    "4000",
    "--fault",
    "reconnect-storm:every=2s",
];

#[test]
fn sqlite_has_every_acknowledged_sample_once_after_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    let moments = [
        Moment::Loaded,
        Moment::Backlog,
        Moment::Starting,
        Moment::Ending,
    ];
    let table = Table::sqlite(&setup);
    kill_again_and_again(&setup, &table, &moments, &Backlog::Sqlite(&setup), &[]);
}

#[test]
fn postgres_has_every_acknowledged_sample_once_after_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data")).store(&postgres.create_database());
    let moments = [
        Moment::Loaded,
        Moment::Backlog,
        Moment::Starting,
        Moment::Ending,
        Moment::Silent,
    ];
    let table = Table::postgres(&setup);
    kill_again_and_again(
        &setup,
        &table,
        &moments,
        &Backlog::Postgres(&postgres),
        &["--mqtt-version", "5"],
    );
}

fn kill_again_and_again(
    setup: &Setup,
    table: &Table,
    moments: &[Moment],
    backlog: &Backlog<'_>,
    further: &[&str],
) {
    let mut chance = Chance::new();
    let mut plan: Vec<_> = moments.iter().cycle().take(KILLS).copied().collect();
    plan.shuffle(&mut chance.rng);
    let mut server = setup.start();
    let load = Load::start(setup, chance.seed, &[CLIENTS, further].concat());
    for moment in plan {
        server = faults::kill(moment, server, setup, backlog, &mut chance);
    }
    let done = load.stop();
    assert!(done.reconnects > 0 && done.resent > 0, "{done:?}");
    finish(done, server, table);
}

#[test]
fn a_postgres_that_stops_in_the_middle_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data")).store(&postgres.create_database());
    let mut chance = Chance::new();
    let server = setup.start();
    let load = Load::start(&setup, chance.seed, CLIENTS);
    for _ in 0..STOPS {
        chance.pause(100..1_500);
        postgres.stop_immediate();
        chance.pause(0..800);
        postgres.start_again();
    }
    finish(load.stop(), server, &Table::postgres(&setup));
}

#[test]
fn a_postgres_and_a_server_that_end_together_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data")).store(&postgres.create_database());
    let mut chance = Chance::new();
    let mut server = setup.start();
    let load = Load::start(&setup, chance.seed, CLIENTS);
    for round in 0..ROUNDS {
        chance.pause(100..900);
        match round % 3 {
            0 => {
                postgres.stop_immediate();
                chance.pause(0..200);
                server.kill();
                postgres.start_again();
                server = setup.start();
            }
            1 => {
                server.kill();
                chance.pause(0..100);
                postgres.stop_immediate();
                // It comes back beside the starting server, or after it.
                let started = ChildGuard::spawn(&mut setup.command());
                chance.pause(0..600);
                postgres.start_again();
                server = faults::up(started);
            }
            _ => {
                // PostgreSQL comes back, and the server is killed in the backlog.
                postgres.stop_immediate();
                chance.pause(0..500);
                postgres.start_again();
                chance.pause(0..300);
                server.kill();
                server = setup.start();
            }
        }
    }
    finish(load.stop(), server, &Table::postgres(&setup));
}

/// Ends the server in order, and compares what was acknowledged with what is there.
#[track_caller]
pub(crate) fn finish(done: Done, server: ChildGuard, table: &Table) {
    let account = account::end(server);
    println!("{done:?}\n{account:?}");
    assert!(done.acknowledged > 0, "there was load: {done:?}");
    table.holds_exactly(&done);
    // A message is one record and its samples share a time: they are stored together or not at all.
    assert_eq!(account.stored, done.acknowledged, "{account:?}, {done:?}");
    // The rest came again.
    let again = account.received - done.acknowledged;
    assert_eq!(account.filtered, again, "{account:?}, {done:?}");
    assert_eq!(account.dead_lettered, 0, "{account:?}");
    assert_eq!(account.pending, 0, "{account:?}");
}
