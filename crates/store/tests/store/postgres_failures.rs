//! A PostgreSQL that refuses, disappears, freezes or dies in the middle of a commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::Position;
use store::Batch;
use store::{Config, StoreError};
use testkit::{Options, Postgres, free_port, wait_until};

use crate::backend::{Backend, PostgresBackend, count, open};
use crate::batches::{NOON, batch, journal};
use crate::contract::{assert_fatal, assert_unavailable};
use crate::postgres::loaded;

#[test]
fn a_lost_connection_is_replaced_and_nothing_is_stored_twice() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    for round in 0..3 {
        let next = batch(round)
            .series(round as u32, &format!("device {round}"), "m")
            .sample(round as u32, NOON, 1.0)
            .build();
        end_sessions(&backend);
        assert_unavailable(store.commit(journal(1), &next));
        assert_unavailable(store.commit(journal(1), &next));
        assert_eq!(
            store.load(journal(1)).expect("loaded").rows,
            Position(round)
        );
        store.commit(journal(1), &next).expect("committed");
        end_sessions(&backend);
        // What was committed is known again, without a look at the lost connection.
        assert_eq!(
            backend.store().load(journal(1)).expect("loaded").rows,
            Position(round + 1)
        );
        assert_unavailable(store.commit(journal(1), &batch(round + 1).filtered().build()));
        assert_eq!(
            store.load(journal(1)).expect("loaded").rows,
            Position(round + 1)
        );
    }
    assert_eq!(count(&backend, "samples"), 3);
}

/// The server is killed at different moments of a stream of commits; the writer does what the
/// contract says.
#[test]
fn a_server_that_dies_during_commits_loses_and_doubles_nothing() {
    const ROUNDS: u64 = 10;
    let mut postgres = Postgres::start_with(Options {
        // The machine stays up, so the page cache is as good as the disk.
        fsync: false,
        ..Options::default()
    });
    let url = postgres.create_database();
    let database = url.rsplit('/').next().expect("a name").to_owned();
    let config = Config {
        url,
        connect_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let mut store = open(&config).expect("a store");
    let mut position = store.load(journal(1)).expect("loaded").rows;
    let mut lost = 0;
    for round in 0..ROUNDS {
        let committed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let (store, committed) = (&mut store, &committed);
            let writer = scope.spawn(move || {
                let mut at = position;
                // Always more to write than the server lives to see.
                loop {
                    let next = samples(at, 50);
                    match store.commit(journal(1), &next) {
                        Ok(()) => at = next.end(),
                        Err(StoreError::Unavailable { .. }) => return at,
                        Err(error) => panic!("{error:?}"),
                    }
                    committed.store(at.0, Ordering::Release);
                }
            });
            // Another moment each time, counted in commits: those that follow are cut off
            // somewhere.
            wait_until(
                "some commits",
                Duration::from_secs(60),
                || committed.load(Ordering::Acquire),
                |at| *at > position.0 + round * 150,
            );
            match round % 2 {
                0 => postgres.stop_immediate(),
                _ => postgres.kill(),
            }
            position = writer.join().expect("no panic");
        });
        assert_unavailable(store.load(journal(1)));
        postgres.start_again();
        let found = store.load(journal(1)).expect("loaded").rows;
        assert!(
            found >= position,
            "{found} was acknowledged up to {position}"
        );
        lost += u64::from(found > position);
        let rows = postgres.query(
            &database,
            "SELECT count(*), count(DISTINCT value) FROM samples",
        );
        assert_eq!(rows, [[found.to_string(), found.to_string()]]);
        position = found;
    }
    println!("{lost} of {ROUNDS} commits were done although their answer was lost");
}

#[test]
fn an_earlier_session_that_lives_on_is_ended_before_its_outcome_is_read() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    let names = backend.query(
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'millrace %'
         AND application_name <> 'millrace maintenance'",
    );
    // A session of this store that hangs in the middle of a commit, as one cut off from us would.
    let url = format!(
        "{}?application_name={}",
        backend.config().url,
        names[0][0].replace(' ', "%20")
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let hanging = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .expect("connected");
        tokio::spawn(connection);
        client
            .batch_execute("BEGIN; UPDATE ingest_position SET rows_position = 77")
            .await
            .expect("a lock on the position");
        client
    });
    backend.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'millrace %' AND state = 'idle'",
    );
    assert_unavailable(store.commit(journal(1), &batch(1).filtered().build()));
    assert_eq!(store.load(journal(1)).expect("loaded").rows, Position(1));
    store
        .commit(journal(1), &batch(1).filtered().build())
        .expect("committed");
    runtime.block_on(async { assert!(hanging.batch_execute("COMMIT").await.is_err()) });
    assert_eq!(store.load(journal(1)).expect("loaded").rows, Position(2));
}

#[test]
fn a_frozen_server_counts_as_away() {
    let postgres = Postgres::start_with(Options {
        fsync: false,
        ..Options::default()
    });
    let config = Config {
        url: postgres.create_database(),
        connect_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
    };
    let mut store = open(&config).expect("a store");
    store.load(journal(1)).expect("loaded");
    postgres.freeze();
    assert_unavailable(store.commit(journal(1), &batch(0).filtered().build()));
    postgres.thaw();
    let found = store.load(journal(1)).expect("loaded").rows;
    // Nobody could know whether the commit arrived before the frost.
    assert!(found <= Position(1));
    store
        .commit(journal(1), &batch(found.0).filtered().build())
        .expect("committed");
}

#[test]
fn a_server_that_is_not_there_is_waited_for() {
    let port = free_port();
    let config = Config {
        url: format!("postgres://me:hunter2@127.0.0.1:{port}/plant"),
        ..Config::default()
    };
    let mut store = open(&config).expect("a store");
    let error = store.load(journal(1)).expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains(&format!("postgres://me@127.0.0.1:{port}/plant")),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_a_person_must_change_says_who_and_where() {
    let postgres = Postgres::start_with(Options {
        fsync: false,
        password: true,
        ..Options::default()
    });
    postgres.execute("postgres", "CREATE ROLE guest LOGIN PASSWORD 'hunter2'");
    postgres.execute("postgres", "CREATE DATABASE plant");
    let host = format!("127.0.0.1:{}", postgres.port());
    for (user, password, database, expected) in [
        (
            "guest",
            "hunter3",
            "plant",
            format!("`{host}` refuses the password of user `guest`"),
        ),
        (
            "nobody",
            "hunter2",
            "plant",
            format!("`{host}` refuses the password of user `nobody`"),
        ),
        (
            "guest",
            "hunter2",
            "desert",
            format!("no database `desert` at `{host}`"),
        ),
        (
            "guest",
            "hunter2",
            "plant",
            "user `guest` lacks a permission in database `plant`".into(),
        ),
    ] {
        let config = Config {
            url: postgres.url_as(user, password, database),
            ..Config::default()
        };
        let result = open(&config).expect("a store").load(journal(1));
        assert!(!format!("{result:?}").contains(password), "{result:?}");
        assert_fatal(result, &expected);
    }
    let config = Config {
        url: format!("postgres://guest@{host}/plant"),
        ..Config::default()
    };
    let result = open(&config).expect("a store").load(journal(1));
    assert_fatal(result, "cannot log in");
    postgres.execute("postgres", "ALTER DATABASE plant OWNER TO guest");
    let config = Config {
        url: postgres.url_as("guest", "hunter2", "plant"),
        ..Config::default()
    };
    let mut store = open(&config).expect("a store");
    store.load(journal(1)).expect("the hint was right");
}

#[test]
fn a_server_that_takes_no_writes_or_no_more_connections_is_waited_for() {
    let backend = PostgresBackend::new();
    let name = &backend.database.name;
    loaded(&backend);
    backend.execute(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    assert_unavailable(backend.store().load(journal(1)));
    backend.execute(&format!(
        "BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT"
    ));
    loaded(&backend);
    backend
        .execute("CREATE ROLE guest LOGIN CONNECTION LIMIT 0; GRANT ALL ON SCHEMA public TO guest");
    let config = Config {
        url: backend.database.postgres.url_as("guest", "", name),
        ..Config::default()
    };
    assert_unavailable(open(&config).expect("a store").load(journal(1)));
}

#[test]
fn names_that_postgres_cannot_hold_are_refused() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    // Random letters, because the index compresses repetition.
    let mut state = 1_u64;
    let long: String = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (state >> 33) as u8 % 26)
    })
    .take(8_000)
    .collect();
    for (device, text) in [
        ("nul \0", "good"),
        ("good", "nul \0"),
        (long.as_str(), "good"),
    ] {
        let poisoned = batch(0).series(0, device, "m").text(0, NOON, text).build();
        crate::contract::assert_rejected(store.commit(journal(1), &poisoned));
    }
    let good = batch(0)
        .series(0, "good", "m")
        .text(0, NOON, "good")
        .build();
    store.commit(journal(1), &good).expect("committed");
    assert_eq!(count(&backend, "readings_text"), 1);
}

fn end_sessions(backend: &PostgresBackend) {
    backend.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
         WHERE application_name LIKE 'millrace %'",
    );
}

/// A batch of `count` records, each a sample whose value is its position.
fn samples(start: Position, count: u64) -> Batch {
    let mut all = batch(start.0).series(0, "a", "m");
    for number in start.0..start.0 + count {
        all = all.sample(0, NOON, number as f64);
    }
    all.build()
}
