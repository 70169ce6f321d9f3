//! A process that follows the table, over changes, restarts and a database that goes away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use access::reload::Outcome;
use access::{DeviceCredentials, Lookup, secret_digest};
use store::Settings;
use telemetry::now_micros;
use testkit::{Options, PATIENCE, Postgres, wait_until};

use crate::cache::Cache;
use crate::credentials::{self, Credential, Credentials, Existing, NewSecret, Previous};
use crate::table::{Change, Table};
use crate::{Devices, Known};

const HOUR: i64 = 3_600_000_000;

fn settings(url: &str) -> Settings {
    let config = store::Config {
        url: url.into(),
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
    };
    config
        .validate(&PathBuf::from("/"))
        .expect("a valid section")
}

fn sqlite(folder: &Path) -> Settings {
    settings(&format!("sqlite:{}", folder.join("test.db").display()))
}

/// A database that does not answer.
fn away() -> Settings {
    let port = testkit::free_port();
    settings(&format!("postgres://me@127.0.0.1:{port}/x"))
}

fn new(device: &str, secret: &str) -> NewSecret {
    NewSecret {
        device: device.into(),
        digest: secret_digest(secret.as_bytes()),
    }
}

fn add(table: &mut dyn Credentials, device: &str, secret: &str) {
    let added = table.add(&[new(device, secret)], now_micros(), Existing::Refuse);
    added.expect("added");
}

fn known(current: &str, previous: Option<&str>) -> Lookup {
    Lookup::Known {
        current: secret_digest(current.as_bytes()),
        previous: previous.map(|secret| secret_digest(secret.as_bytes())),
    }
}

#[track_caller]
fn wait_for(credentials: &Arc<Known>, device: &str, expected: Lookup) {
    let what = format!("`{device}` to be {expected:?}");
    wait_until(
        &what,
        PATIENCE,
        || credentials.find(device),
        |found| *found == expected,
    );
}

#[test]
fn changes_are_seen_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path());
    let mut table = credentials::open(&store).expect("the table");
    add(&mut *table, "a", "one");

    let devices = Devices::start(folder.path(), &store).expect("a thread");
    devices.wait_until_asked(PATIENCE);
    let credentials = devices.known();
    assert_eq!(credentials.find("a"), known("one", None));
    assert_eq!(credentials.find("b"), Lookup::Unknown);
    let generation = credentials.generation();

    add(&mut *table, "b", "two");
    wait_for(&credentials, "b", known("two", None));
    assert_eq!(credentials.generation(), generation, "no secret has ended");

    let until = Some(now_micros() + HOUR);
    table
        .rotate(&[new("a", "three")], now_micros(), until)
        .expect("rotated");
    wait_for(&credentials, "a", known("three", Some("one")));
    table.revoke(&["a".into()], now_micros()).expect("revoked");
    wait_for(&credentials, "a", Lookup::Unknown);
    assert!(credentials.generation() > generation);
    assert_eq!(credentials.find("b"), known("two", None));
}

#[tokio::test]
async fn who_asks_has_everything_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path());
    let mut table = credentials::open(&store).expect("the table");
    add(&mut *table, "a", "one");
    add(&mut *table, "b", "two");
    let devices = Devices::start(folder.path(), &store).expect("a thread");
    devices.wait_until_asked(PATIENCE);
    assert_eq!(devices.reload().await, Outcome::Same);

    // By hand, so that the version stays as it is and nobody notices.
    let database = rusqlite::Connection::open(folder.path().join("test.db")).expect("the file");
    database.busy_timeout(PATIENCE).expect("a timeout");
    let delete = "DELETE FROM device_credentials WHERE device = 'b'";
    assert_eq!(database.execute(delete, ()), Ok(1));
    let credentials = devices.known();
    let generation = credentials.generation();
    assert_eq!(devices.reload().await, Outcome::New);
    assert_eq!(credentials.find("b"), Lookup::Unknown);
    assert!(credentials.generation() > generation, "a secret has ended");

    // Emptied: there is none, and there was one; so says a start that has no copy.
    let delete = "DELETE FROM device_credentials";
    assert_eq!(database.execute(delete, ()), Ok(1));
    assert_eq!(devices.reload().await, Outcome::New);
    assert!(!credentials.any() && credentials.any_ever());
    drop(devices);
    let other = tempfile::tempdir().expect("a folder");
    let devices = Devices::start(other.path(), &store).expect("a thread");
    devices.wait_until_asked(PATIENCE);
    let credentials = devices.known();
    assert!(!credentials.any() && credentials.any_ever());
    drop(devices);
    add(&mut *table, "a", "one");
    let devices = Devices::start(folder.path(), &store).expect("a thread");
    devices.wait_until_asked(PATIENCE);
    drop(devices);

    let devices = Devices::start(folder.path(), &away()).expect("a thread");
    assert_eq!(devices.reload().await, Outcome::Failed);
    assert_eq!(devices.known().find("a"), known("one", None));
}

#[test]
fn an_older_state_that_was_put_back_is_what_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path());
    let mut table = credentials::open(&store).expect("the table");
    add(&mut *table, "a", "one");
    add(&mut *table, "b", "two");
    let devices = Devices::start(folder.path(), &store).expect("a thread");
    let credentials = devices.known();
    wait_for(&credentials, "b", known("two", None));

    let database = rusqlite::Connection::open(folder.path().join("test.db")).expect("the file");
    database.busy_timeout(PATIENCE).expect("a timeout");
    let put_back = "BEGIN IMMEDIATE;
         DELETE FROM device_credentials WHERE device = 'b';
         UPDATE device_credentials_version SET version = 1;
         COMMIT";
    database.execute_batch(put_back).expect("put back");
    wait_for(&credentials, "b", Lookup::Unknown);
    assert_eq!(credentials.find("a"), known("one", None));
    drop(devices);

    // The copy on disk is of that state too.
    let devices = Devices::start(folder.path(), &away()).expect("a thread");
    let credentials = devices.known();
    assert_eq!(credentials.find("b"), Lookup::Unknown);
    assert_eq!(credentials.find("a"), known("one", None));
}

#[test]
fn a_grace_time_ends_by_itself_even_while_the_database_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let rotated = Credential {
        device: "a".into(),
        digest: secret_digest(b"new"),
        previous: Some(Previous {
            digest: secret_digest(b"old"),
            until: now_micros() + 3_000_000,
        }),
        created_at: 0,
        rotated_at: Some(0),
        revoked_at: None,
    };
    let table = Table::default().with(&[Change::from(&rotated)]);
    Cache::in_folder(folder.path())
        .write(&table)
        .expect("written");
    let devices = Devices::start(folder.path(), &away()).expect("a thread");
    let credentials = devices.known();
    let generation = || credentials.generation();
    wait_until("the word of it", PATIENCE, generation, |now| *now == 1);
    assert_eq!(credentials.find("a"), known("new", None));
}

#[test]
fn nothing_is_known_before_the_database_was_reached_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let devices = Devices::start(folder.path(), &away()).expect("a thread");
    devices.wait_until_asked(PATIENCE);
    let credentials = devices.known();
    assert_eq!(credentials.find("a"), Lookup::Unavailable);
    assert!(!credentials.any() && !credentials.any_ever());
    drop(devices);
    let files = std::fs::read_dir(folder.path())
        .expect("the folder")
        .count();
    assert_eq!(files, 0, "there is nothing to keep");
}

#[test]
fn a_database_that_goes_and_comes_keeps_nobody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut postgres = Postgres::start_with(Options {
        fsync: false,
        ..Options::default()
    });
    let store = settings(&postgres.create_database());
    let mut table = credentials::open(&store).expect("the table");
    add(&mut *table, "a", "one");
    let devices = Devices::start(folder.path(), &store).expect("a thread");
    let credentials = devices.known();
    wait_for(&credentials, "a", known("one", None));

    postgres.stop_fast();
    assert_eq!(credentials.find("a"), known("one", None));
    drop(devices);
    // A start without the database: what was known last is in the folder.
    let devices = Devices::start(folder.path(), &store).expect("a thread");
    let credentials = devices.known();
    devices.wait_until_asked(PATIENCE);
    assert_eq!(credentials.find("a"), known("one", None));
    assert_eq!(credentials.find("b"), Lookup::Unknown);

    postgres.start_again();
    let mut table = credentials::open(&store).expect("the table");
    table.revoke(&["a".into()], now_micros()).expect("revoked");
    add(&mut *table, "b", "two");
    wait_for(&credentials, "b", known("two", None));
    wait_for(&credentials, "a", Lookup::Unknown);

    // Lost while it runs, and found again.
    postgres.stop_immediate();
    postgres.start_again();
    let mut table = credentials::open(&store).expect("the table");
    add(&mut *table, "c", "three");
    wait_for(&credentials, "c", known("three", None));
}
