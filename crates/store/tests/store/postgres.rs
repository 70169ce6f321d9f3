//! What only PostgreSQL has: partitions, indexes that come and go, schemas.

use std::time::Duration;

use store::{Config, Store};
use testkit::wait_until;

use crate::backend::{Backend, PostgresBackend, count, open, readings};
use crate::batches::{NOON, batch, journal};
use crate::contract::{assert_fatal, assert_rejected};

const DEADLINE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;

#[test]
fn recent_days_and_distant_months_have_partitions_with_their_indexes() {
    let backend = PostgresBackend::new();
    let now = now();
    let all = batch(0)
        .series(0, "a", "m")
        .sample(0, now, 1.0)
        .sample(0, now - DAY, 1.0)
        .sample(0, 0, 1.0)
        .sample(0, 15 * DAY, 1.0)
        .text(0, now, "t")
        .build();
    loaded(&backend)
        .commit(journal(1), &all)
        .expect("committed");
    let days: Vec<String> = [now - DAY, now]
        .map(|time| jiff::Timestamp::from_microsecond(time).expect("a time"))
        .iter()
        .map(|time| time.strftime("samples_%Y%m%d").to_string())
        .collect();
    let partitions = partitions(&backend, "samples");
    // The tender may have made tomorrow's already.
    assert_eq!(partitions[0], "samples_197001");
    assert_eq!(partitions[1..3], days);
    for partition in &partitions {
        assert_eq!(index_kinds(&backend, partition), ["brin", "btree"]);
    }
    let text = partitions_of_texts(&backend);
    assert_eq!(text.len(), 1);
    assert_eq!(index_kinds(&backend, &text[0]), ["btree"]);
}

#[test]
fn one_series_over_an_hour_is_found_by_an_index() {
    let backend = PostgresBackend::new();
    let mut all = batch(0).series(0, "a", "m").series(1, "b", "m");
    for minute in 0..1_000 {
        all = all.sample((minute % 2) as u32, NOON + minute * 60_000_000, 1.0);
    }
    for minute in 0..1_000 {
        all = all.text((minute % 2) as u32, NOON + minute * 60_000_000, "on");
    }
    loaded(&backend)
        .commit(journal(1), &all.build())
        .expect("committed");
    backend.execute("ANALYZE; SET enable_seqscan = off");
    let plan = backend.query(
        "EXPLAIN SELECT time, value FROM telemetry WHERE device = 'a' AND metric = 'm'
         AND time >= '2026-03-15T12:00:00Z' AND time < '2026-03-15T13:00:00Z'",
    );
    let plan: String = plan.into_iter().flatten().collect();
    assert!(plan.contains("samples_"), "{plan}");
    assert!(
        plan.contains("series_id_time_idx") || plan.contains("time_series_id_idx"),
        "{plan}"
    );
    assert!(
        plan.contains("Index Scan on readings_text_202603"),
        "{plan}"
    );
    assert!(
        !plan.contains("_20260316"),
        "other days are not looked at: {plan}"
    );
}

/// A database of the version that had numbers alone in the view.
fn with_the_first_view() -> PostgresBackend {
    let backend = PostgresBackend::new();
    backend.execute(backend.first_migration());
    backend.execute(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL);
         INSERT INTO schema_version VALUES (1, 'rows')",
    );
    backend
}

#[test]
fn the_view_gets_its_texts_where_it_stands() {
    let backend = with_the_first_view();
    backend.execute("GRANT SELECT ON telemetry TO PUBLIC; CREATE VIEW mine AS TABLE telemetry");
    let all = batch(0).series(0, "a", "m").text(0, NOON, "on").build();
    loaded(&backend)
        .commit(journal(1), &all)
        .expect("committed");
    assert_eq!(backend.query("SELECT text FROM telemetry"), [["on"]]);
    assert_eq!(count(&backend, "mine"), 1);
    let public = "SELECT has_table_privilege('public', 'telemetry', 'SELECT')";
    assert_eq!(backend.query(public), [["t"]]);
}

#[test]
fn a_view_of_somebody_elses_making_is_left_alone() {
    let backend = with_the_first_view();
    backend.execute(
        "ALTER VIEW telemetry RENAME TO base;
         CREATE VIEW telemetry AS SELECT *, labels ->> 'site' AS site FROM base",
    );
    let all = batch(0)
        .series(0, "a", "m")
        .text(0, NOON, "on")
        .sample(0, NOON, 1.0)
        .build();
    loaded(&backend)
        .commit(journal(1), &all)
        .expect("committed");
    let seen = backend.query("SELECT value, site IS NULL FROM telemetry");
    assert_eq!(seen, [["1", "t"]]);
}

#[test]
fn the_tender_builds_a_missing_index_and_tomorrows_partition() {
    let backend = PostgresBackend::new();
    let today = batch(0).series(0, "a", "m").sample(0, now(), 1.0).build();
    loaded(&backend)
        .commit(journal(1), &today)
        .expect("committed");
    let partition = partitions(&backend, "samples").remove(0);
    backend.execute(&format!("DROP INDEX {partition}_series_id_time_idx"));
    assert_eq!(index_kinds(&backend, &partition), ["brin"]);
    let store = loaded(&backend);
    wait_until(
        "an index and another partition",
        DEADLINE,
        || {
            let indexes = index_kinds(&backend, &partition);
            (indexes, partitions(&backend, "samples").len())
        },
        |(indexes, partitions)| indexes.len() == 2 && *partitions == 2,
    );
    drop(store);
    let sessions = backend.query(
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'millrace%'",
    );
    assert!(sessions.is_empty(), "left behind: {sessions:?}");
}

#[test]
fn a_partition_of_somebody_elses_making_is_used() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    backend.execute(
        "CREATE TABLE \"Old years\" PARTITION OF samples FOR VALUES FROM (MINVALUE) TO ('2000-01-01Z');
         CREATE TABLE half PARTITION OF samples FOR VALUES FROM ('2000-01-01 12:00Z') TO ('infinity')",
    );
    let all = batch(0)
        .series(0, "a", "m")
        .sample(0, 0, 1.0)
        .sample(0, 946_684_800_000_000, 2.0)
        .sample(0, NOON, 3.0)
        .build();
    store.commit(journal(1), &all).expect("committed");
    let only = batch(3).sample(0, 1, 4.0).build();
    store.commit(journal(1), &only).expect("committed");
    let seen = partitions(&backend, "samples");
    assert_eq!(
        seen,
        ["\"Old years\"", "half", "samples_20000101_from_00000"]
    );
    assert_eq!(readings(&backend).len(), 4);
}

#[test]
fn a_batch_over_too_many_partitions_is_split() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let months = |from: i64, to: i64| {
        let mut all = batch(from as u64).series(0, "a", "m");
        for month in from..to {
            all = all.sample(0, month * 31 * DAY, 1.0);
        }
        all.build()
    };
    assert_rejected(store.commit(journal(1), &months(0, 300)));
    store
        .commit(journal(1), &months(0, 150))
        .expect("committed");
    store
        .commit(journal(1), &months(150, 300))
        .expect("committed");
    assert_eq!(count(&backend, "samples"), 300);
}

#[test]
fn tables_live_where_the_search_path_says() {
    let backend = PostgresBackend::new();
    backend.execute("CREATE SCHEMA plant; CREATE TABLE public.series (title text)");
    let mut config = backend.config();
    config.url += "?options=-csearch_path%3Dplant";
    let mut store = open(&config).expect("a store");
    store.load(journal(1)).expect("loaded");
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    assert_eq!(count(&backend, "plant.telemetry"), 1);
    config.url = config.url.replace("plant", "nowhere");
    let mut nowhere = open(&config).expect("a store");
    assert_fatal(nowhere.load(journal(1)), "names no schema");
}

#[test]
fn the_address_is_shown_without_the_password() {
    let config = Config {
        url: "postgres://me:hunter2@db.example:6000/plant".into(),
        ..Config::default()
    };
    let store = open(&config).expect("a store");
    assert_eq!(store.describe(), "postgres://me@db.example:6000/plant");
}

pub(crate) fn loaded(backend: &dyn Backend) -> Box<dyn Store> {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    store
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn partitions_of_texts(backend: &PostgresBackend) -> Vec<String> {
    partitions(backend, "readings_text")
}

pub(crate) fn partitions(backend: &PostgresBackend, parent: &str) -> Vec<String> {
    let rows = backend.query(&format!(
        "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = '{parent}'::regclass",
    ));
    let mut names: Vec<String> = rows.into_iter().flatten().collect();
    names.sort();
    names
}

fn index_kinds(backend: &PostgresBackend, table: &str) -> Vec<String> {
    let rows = backend.query(&format!(
        "SELECT amname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         JOIN pg_am ON pg_am.oid = relam
         WHERE indrelid = '{table}'::regclass AND indisvalid ORDER BY amname",
    ));
    rows.into_iter().flatten().collect()
}
