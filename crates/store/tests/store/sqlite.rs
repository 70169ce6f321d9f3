//! What only SQLite has: a file that may be anything, and rows that are sorted later.

use std::time::Duration;

use journal::Position;
use store::{Config, StoreError};
use store::{Outcome, SampleRow, SeriesKey};

use crate::backend::{Backend, SqliteBackend, count, open};
use crate::batches::{NOON, batch, journal};
use crate::contract::{assert_fatal, assert_unavailable};

#[test]
fn rows_are_sorted_in_bulk_and_seen_all_the_time() {
    let backend = SqliteBackend::new();
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let mut sorted_before = 0;
    let mut moved = 0;
    for round in 0..12_u32 {
        let mut all = batch(u64::from(round) * 25_000).build();
        if round == 0 {
            all = batch(0).series(0, "a", "m").series(1, "b", "m").build();
        }
        all.outcomes = vec![Outcome::Stored; 25_000];
        all.samples = (0..25_000)
            .map(|record| SampleRow {
                series: SeriesKey(record % 2),
                record,
                time: NOON + i64::from(record),
                value: f64::from(round),
            })
            .collect();
        store.commit(journal(1), &all).expect("committed");
        assert_eq!(count(&backend, "samples"), u64::from(round + 1) * 25_000);
        let sorted = count(&backend, "samples_sorted");
        moved += u32::from(sorted > sorted_before);
        sorted_before = sorted;
    }
    assert_eq!((moved, sorted_before), (3, 300_000));
    let rows = backend.query("SELECT count(*) FROM samples GROUP BY series_id, time, value");
    assert_eq!(rows.len(), 300_000);
}

#[test]
fn one_series_over_an_hour_is_found_by_its_order() {
    let backend = SqliteBackend::new();
    backend.store().load(journal(1)).expect("loaded");
    let plan = backend.query(
        "EXPLAIN QUERY PLAN SELECT time, value FROM telemetry
         WHERE device = 'a' AND metric = 'm' AND time_us >= 1 AND time_us < 2",
    );
    let plan: Vec<&str> = plan.iter().map(|row| row[3].as_str()).collect();
    let text = plan.join("\n");
    assert!(
        text.contains(
            "SEARCH samples_sorted USING PRIMARY KEY (series_id=? AND time>? AND time<?)"
        ),
        "{text}"
    );
    let texts = "SEARCH readings_text USING COVERING INDEX readings_text_series_time \
                 (series_id=? AND time>? AND time<?)";
    assert!(text.contains(texts), "{text}");
    assert_eq!(text.matches("SEARCH series USING").count(), 3, "{text}");
}

#[test]
fn times_are_written_for_people_as_well() {
    let backend = SqliteBackend::new();
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let times = [
        ("0001-01-01 00:00:00.000000Z", -62_135_596_800_000_000),
        ("1969-12-31 23:59:59.999999Z", -1),
        ("1970-01-01 00:00:00.000001Z", 1),
        ("2026-03-15 12:00:00.000000Z", NOON),
    ];
    let mut all = batch(0).series(0, "a", "m");
    for (_, time) in times {
        all = all.sample(0, time, 1.0);
    }
    store.commit(journal(1), &all.build()).expect("committed");
    let seen = backend.query("SELECT time FROM telemetry ORDER BY time_us");
    let seen: Vec<&String> = seen.iter().flatten().collect();
    assert_eq!(seen, times.map(|(text, _)| text));
    // The same day before noon is not behind it.
    let after = |moment: &str| {
        let sql = format!("SELECT count(*) FROM telemetry WHERE time > datetime('{moment}')");
        backend.query(&sql).remove(0).remove(0)
    };
    assert_eq!(after("2026-03-15 11:59:59"), "1");
    assert_eq!(after("2026-03-15 12:00:01"), "0");
}

#[test]
fn a_reader_does_not_stop_the_writer() {
    let backend = SqliteBackend::new();
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let reader = backend.connection();
    reader
        .execute_batch("BEGIN; SELECT * FROM samples")
        .expect("a snapshot");
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    let seen: i64 = reader
        .query_row("SELECT count(*) FROM samples", [], |row| row.get(0))
        .expect("the snapshot");
    assert_eq!((seen, count(&backend, "samples")), (0, 1));
}

#[test]
fn a_file_that_somebody_else_locks_is_waited_for() {
    let backend = SqliteBackend::new();
    let config = Config {
        statement_timeout: Duration::from_millis(50),
        ..backend.config()
    };
    let mut store = open(&config).expect("a store");
    store.load(journal(1)).expect("loaded");
    let other = backend.connection();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let first = batch(0).filtered().build();
    assert_unavailable(store.commit(journal(1), &first));
    other.execute_batch("COMMIT").expect("the lock given back");
    assert_eq!(store.load(journal(1)).expect("loaded").rows, Position(0));
    store.commit(journal(1), &first).expect("committed");
}

#[test]
fn a_file_that_cannot_be_it_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |path: &std::path::Path| {
        let config = Config {
            url: format!("sqlite:{}", path.display()),
            ..Config::default()
        };
        open(&config).expect("a store").load(journal(1))
    };
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "These are not the rows you are looking for. ".repeat(200),
    )
    .expect("a file");
    assert_fatal(load(&text), "is not a database");
    assert_fatal(load(folder.path()), "cannot open");
    assert_fatal(load(&folder.path().join("missing/x.db")), "cannot open");
    let read = std::fs::read_to_string(&text).expect("the file");
    assert!(read.starts_with("These are not"));
}

/// Bytes flipped in the middle of the file, as a failing disk does.
#[test]
fn a_damaged_file_is_refused_with_a_hint() {
    let backend = SqliteBackend::new();
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let mut all = batch(0).series(0, "a", "m");
    for time in 0..1_000 {
        all = all.sample(0, NOON + time, 1.0);
    }
    store.commit(journal(1), &all.build()).expect("committed");
    drop(store);
    backend.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let path = backend.folder.path().join("test.db");
    let mut bytes = std::fs::read(&path).expect("the file");
    for byte in &mut bytes[4_096..] {
        *byte = !*byte;
    }
    std::fs::write(&path, bytes).expect("the file");
    match backend.store().load(journal(1)) {
        Err(StoreError::Fatal { message, .. }) => assert!(message.contains("damaged"), "{message}"),
        other => panic!("not fatal: {other:?}"),
    }
}
