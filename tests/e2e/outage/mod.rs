//! A database that is away, for a while, from the start or for good, and the end of a server.
//!
//! `MILLRACE_TEST_OUTAGE_SECONDS` makes the outage under load longer than a test's usual one.

mod memory;

use std::time::{Duration, Instant};

use mqtt::{Qos, Version};
use rusqlite::Connection;
use testkit::{ChildGuard, Options, Postgres, wait_until};

use crate::durability::{Load, Table, account, finish, last_write};
use crate::server::{PATIENCE, Setup};
use memory::resident_bytes;
use testkit::mqtt::Client;

const SEED: u64 = 7;
const OUTAGE: Duration = Duration::from_secs(15);
/// What an outage may cost the server.
const GROWTH_MAX_BYTES: u64 = 64_000_000;
/// The load records acknowledgements in blocks of this size.
const RECORD_BLOCK_BYTES: u64 = 256 * 1024;
/// Far longer than a journal with something to write waits.
const STANDSTILL: Duration = Duration::from_secs(2);

#[test]
fn a_postgres_away_under_load_costs_neither_acknowledgements_nor_memory() {
    let outage = match std::env::var("MILLRACE_TEST_OUTAGE_SECONDS") {
        Ok(seconds) => Duration::from_secs(seconds.parse().expect("seconds")),
        Err(_) => OUTAGE,
    };
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data")).store(&postgres.create_database());
    let server = setup.start();
    let load = Load::start(&setup, SEED, &["--count", "100", "--rate", "5000"]);
    load.wait_for_acknowledged(8 * RECORD_BLOCK_BYTES);

    let before = resident_bytes(&server);
    postgres.stop_immediate();
    let (began, mut highest, mut acknowledged) = (Instant::now(), before, 0);
    while began.elapsed() < outage {
        load.wait_for_acknowledged(RECORD_BLOCK_BYTES);
        acknowledged += RECORD_BLOCK_BYTES;
        highest = highest.max(resident_bytes(&server));
    }
    postgres.start_again();
    let done = load.stop();
    let table = Table::postgres(&setup);
    table.wait_for(&done);
    highest = highest.max(resident_bytes(&server));
    println!("resident: {before} bytes before, {highest} at most; {acknowledged} bytes of samples");
    assert!(
        highest - before < GROWTH_MAX_BYTES,
        "from {before} bytes to {highest}"
    );
    finish(done, server, &table);
}

#[test]
fn a_full_journal_makes_clients_wait_and_goes_on_by_itself() {
    const MAX_SIZE: u64 = 4_000_000;
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data"))
        .store(&postgres.create_database())
        .with("MILLRACE_JOURNAL__MAX_SIZE", MAX_SIZE)
        .with("MILLRACE_JOURNAL__SEGMENT_SIZE", "1MB")
        .with("MILLRACE_BROKER__MAX_PACKET_SIZE", "64KB")
        .with("MILLRACE_BROKER__SYS_INTERVAL", "100ms");
    let mut server = setup.start();
    postgres.stop_immediate();
    // More than twice what fits.
    let mut load = Load::start(&setup, SEED, &["--rate", "max", "--messages", "80000"]);

    let journal = setup.data.join("journal");
    wait_until(
        "a journal that takes nothing more",
        PATIENCE,
        || last_write(&journal).and_then(|last| last.elapsed().ok()),
        |quiet| quiet.is_some_and(|quiet| quiet > STANDSTILL),
    );
    let size: u64 = std::fs::read_dir(&journal)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size <= MAX_SIZE, "{size} bytes");
    assert!(load.is_running(), "there was room for everything");
    assert!(server.try_wait().is_none(), "{:#?}", server.lines());

    let told = server.wait_for_line("the journal has reached `journal.max_size`", PATIENCE);
    assert!(told.contains("the database does not answer"), "{told}");
    let value = |name: &str| system_value(&setup, name);
    assert_eq!(value("journal/bytes/maximum"), MAX_SIZE);
    assert!(value("journal/pending") > 1_000);
    assert!(value("ingest/lag/records") > 1_000);
    assert!(value("ingest/lag/seconds") >= STANDSTILL.as_secs());

    postgres.start_again();
    let done = load.wait();
    assert_eq!(done.acknowledged, 80_000);
    server.wait_for_line("the journal has room again", PATIENCE);
    let lines = server.lines();
    let begun = lines.iter().filter(|line| line.contains("has reached"));
    assert_eq!(begun.count(), 1, "{lines:#?}");
    finish(done, server, &Table::postgres(&setup));
}

/// What stands at a topic below `$SYS/broker/`.
fn system_value(setup: &Setup, name: &str) -> u64 {
    let topic = format!("$SYS/broker/{name}");
    let mut line = Client::connect(setup.address, Version::V311, "watch");
    line.ask_at(&topic, Qos::AtMostOnce);
    loop {
        let packet = line.next();
        assert_ne!(packet, "closed", "before {topic} was told");
        let known = packet
            .trim_end_matches(" retained")
            .strip_prefix(&format!("{topic} = "))
            .map(|value| value.parse().expect("a number"));
        if let Some(value) = known {
            return value;
        }
    }
}

#[test]
fn a_postgres_that_comes_after_the_start_gets_what_came_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start();
    let setup = Setup::new(&folder.path().join("data")).store(&postgres.create_database());
    postgres.stop_fast();
    let mut server = setup.start();
    server.wait_for_line("not reached yet", PATIENCE);
    let done = Load::start(&setup, SEED, &["--rate", "max", "--messages", "5000"]).wait();

    postgres.start_again();
    server.wait_for_line("writing rows", PATIENCE);
    let table = Table::postgres(&setup);
    table.wait_for(&done);
    finish(done, server, &table);
}

#[test]
fn a_wrong_password_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start_with(Options {
        password: true,
        ..Options::default()
    });
    let url = postgres.url_as(Postgres::USER, "a wrong one", "postgres");
    let setup = Setup::new(&folder.path().join("data")).store(&url);
    let lines = refused(&setup);
    assert!(lines.contains("password authentication failed"), "{lines}");
    assert!(!lines.contains("wrong%20one"), "shown: {lines}");
    assert!(!lines.contains("a wrong one"), "shown: {lines}");
}

#[test]
fn a_data_folder_is_used_by_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    let server = setup.start();
    let elsewhere = Setup::new(&setup.data);
    let lines = refused(&elsewhere);
    assert!(lines.contains("is in use by"), "{lines}");
    assert!(lines.contains(&server.id().to_string()), "{lines}");

    // The first one has not noticed.
    let done = Load::start(&setup, SEED, &["--rate", "max", "--messages", "100"]).wait();
    finish(done, server, &Table::sqlite(&setup));
}

#[test]
fn a_server_that_is_asked_to_end_writes_what_it_has_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    let server = setup.start();
    let table = Table::sqlite(&setup);
    let holder = Connection::open(setup.data.join("millrace.db")).unwrap();
    holder.busy_timeout(PATIENCE).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = Load::start(&setup, SEED, &["--rate", "max", "--messages", "5000"]).wait();
    assert_eq!(table.count(), 0, "the table was held");

    let mut server = server;
    server.signal("TERM");
    server.wait_for_line("broker stopped", PATIENCE);
    holder.execute_batch("ROLLBACK").unwrap();
    let account = account::ended(server);
    println!("{account:?}");
    assert_eq!(account.stored, done.acknowledged, "{account:?}");
    assert_eq!(account.pending, 0, "{account:?}");
    table.holds_exactly(&done);
}

/// Starts a server that must end by itself as failed; what it said.
#[track_caller]
fn refused(setup: &Setup) -> String {
    let mut server = ChildGuard::spawn(&mut setup.command());
    let status = server.wait(PATIENCE);
    let lines = server.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{lines}");
    assert!(!lines.contains("is up"), "{lines}");
    lines
}
