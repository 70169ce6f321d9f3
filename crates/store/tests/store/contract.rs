//! Positions, failures, schema.

use journal::Position;
use store::{Checkpoint, Store, StoreError, Totals};

use crate::backend::{Backend, count, readings};
use crate::batches::{NOON, batch, journal};
use crate::contract_reasons::reasons;

pub(crate) fn an_empty_store_knows_nothing(backend: &dyn Backend) {
    let checkpoint = backend.store().load(journal(1)).expect("loaded");
    assert_eq!(checkpoint, Checkpoint::default());
    assert_eq!(count(backend, "telemetry"), 0);
}

pub(crate) fn what_was_committed_is_loaded_by_whoever_asks(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let first = batch(0)
        .series_with(0, "boiler", "temperature", "°C", r#"{"site":"north"}"#)
        .series(1, "boiler", "pressure")
        .sample(0, NOON + 1, 20.5)
        .sample(1, NOON, 3.0)
        .filtered()
        .dead("devices/boiler/telemetry", b"{", "eof")
        .build();
    store.commit(journal(1), &first).expect("committed");
    let second = batch(4).sample(0, NOON, 20.25).build();
    store.commit(journal(1), &second).expect("committed");
    let expected = Checkpoint {
        rows: Position(5),
        alerts: Position(0),
        totals: Totals {
            stored: 3,
            filtered: 1,
            dead_lettered: 1,
        },
        reasons: reasons(&[("duplicate", 1, 1)], &[("not_json", 1)]),
        alert_states: Vec::new(),
    };
    assert_eq!(store.load(journal(1)).expect("loaded"), expected);
    assert_eq!(backend.store().load(journal(1)).expect("loaded"), expected);
    let seen: Vec<_> = readings(backend)
        .into_iter()
        .map(|r| (r.metric, r.time, r.value, r.unit, r.labels.replace(' ', "")))
        .collect();
    let row = |metric: &str, time, value, unit: &str, labels: &str| {
        (
            metric.to_owned(),
            time,
            value,
            unit.to_owned(),
            labels.to_owned(),
        )
    };
    let site = r#"{"site":"north"}"#;
    assert_eq!(
        seen,
        [
            row("pressure", NOON, 3.0, "", "{}"),
            row("temperature", NOON, 20.25, "°C", site),
            row("temperature", NOON + 1, 20.5, "°C", site),
        ]
    );
}

pub(crate) fn loading_again_changes_nothing(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    let before = store.load(journal(1)).expect("loaded");
    for _ in 0..3 {
        assert_eq!(store.load(journal(1)).expect("loaded"), before);
    }
    let next = batch(1).sample(0, NOON, 2.0).build();
    store
        .commit(journal(1), &next)
        .expect("the series is still known");
    assert_eq!(count(backend, "samples"), 2);
}

pub(crate) fn nothing_is_committed_before_it_was_loaded(backend: &dyn Backend) {
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    let mut store = backend.store();
    assert_unavailable(store.commit(journal(1), &first));
    store.load(journal(1)).expect("loaded");
    store.commit(journal(1), &first).expect("committed");
    assert_eq!(count(backend, "samples"), 1);
}

pub(crate) fn a_batch_that_begins_elsewhere_is_refused(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    for start in [0, 2, 1_000_000] {
        let elsewhere = batch(start).sample(0, NOON, 9.0).build();
        assert_fatal(store.commit(journal(1), &elsewhere), "somebody else");
    }
    assert_eq!(count(backend, "samples"), 1);
    let right = batch(1).sample(0, NOON, 2.0).build();
    store.commit(journal(1), &right).expect("committed");
    assert_eq!(loaded_position(backend), Position(2));
}

pub(crate) fn of_two_writers_one_wins(backend: &dyn Backend) {
    let mut stores = [loaded(backend), loaded(backend)];
    let same = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    let results = std::thread::scope(|scope| {
        let threads = stores
            .each_mut()
            .map(|store| scope.spawn(|| store.commit(journal(1), &same)));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    let winners = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(winners, 1, "{results:?}");
    assert_eq!(count(backend, "samples"), 1);
    assert_eq!(loaded_position(backend), Position(1));
}

pub(crate) fn two_journals_live_side_by_side(backend: &dyn Backend) {
    let mut one = backend.store();
    let mut other = backend.store();
    one.load(journal(1)).expect("loaded");
    other.load(journal(2)).expect("loaded");
    for start in 0..3 {
        // The same series under other keys, and the same rows.
        let ours = batch(start)
            .series(0, "a", "m")
            .sample(0, NOON, start as f64)
            .build();
        let theirs = batch(start)
            .series(0, "b", "m")
            .series(1, "a", "m")
            .sample(1, NOON, start as f64)
            .build();
        one.commit(journal(1), &ours).expect("committed");
        other.commit(journal(2), &theirs).expect("committed");
    }
    let last = batch(3).filtered().build();
    one.commit(journal(1), &last).expect("committed");
    assert_eq!(one.load(journal(1)).expect("loaded").rows, Position(4));
    assert_eq!(one.load(journal(2)).expect("loaded").rows, Position(3));
    assert_eq!(count(backend, "samples"), 6);
    assert_eq!(count(backend, "series"), 1);
}

pub(crate) fn a_refused_row_leaves_nothing_behind(backend: &dyn Backend) {
    let mut store = loaded(backend);
    for time in [i64::MIN, i64::MAX, 253_402_300_800_000_000] {
        let poisoned = batch(0)
            .series(0, "a", "m")
            .sample(0, NOON, 1.0)
            .text(0, time, "never")
            .build();
        assert_rejected(store.commit(journal(1), &poisoned));
        let poisoned = batch(0).sample(0, NOON, 1.0).sample(0, time, 2.0).build();
        assert_rejected(store.commit(journal(1), &poisoned));
    }
    assert_eq!(count(backend, "samples"), 0);
    assert_eq!(loaded_position(backend), Position(0));
    // What the writer does with it: the parts that are good, and a dead letter.
    let good = batch(0).sample(0, NOON, 1.0).build();
    store.commit(journal(1), &good).expect("committed");
    let dead = batch(1).dead("t", b"raw", "out of range").build();
    store.commit(journal(1), &dead).expect("committed");
    assert_eq!(count(backend, "samples"), 1);
    assert_eq!(loaded_position(backend), Position(2));
}

pub(crate) fn a_refused_series_fails_only_who_uses_it(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let poisoned = batch(0)
        .series_with(0, "bad", "m", "", "not a JSON object")
        .series(1, "good", "m")
        .sample(1, NOON, 1.0)
        .sample(0, NOON, 2.0)
        .build();
    assert_rejected(store.commit(journal(1), &poisoned));
    assert_eq!(count(backend, "samples"), 0);
    let good = batch(0).sample(1, NOON, 1.0).build();
    store.commit(journal(1), &good).expect("committed");
    let poisoned = batch(1).sample(0, NOON, 2.0).build();
    assert_rejected(store.commit(journal(1), &poisoned));
    assert_eq!(loaded_position(backend), Position(1));
}

pub(crate) fn a_definition_outlives_a_failed_commit(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let poisoned = batch(0)
        .series_with(0, "a", "m", "bar", "{}")
        .sample(0, NOON, 1.0)
        .sample(0, i64::MAX, 2.0)
        .build();
    assert_rejected(store.commit(journal(1), &poisoned));
    let elsewhere = batch(7).sample(0, NOON, 1.0).build();
    assert_fatal(store.commit(journal(1), &elsewhere), "somebody else");
    store.load(journal(1)).expect("loaded");
    let good = batch(0).sample(0, NOON, 1.0).build();
    store.commit(journal(1), &good).expect("committed");
    let seen = readings(backend);
    assert_eq!((seen.len(), seen[0].unit.as_str()), (1, "bar"));
}

pub(crate) fn a_series_keeps_its_row_and_takes_new_labels(backend: &dyn Backend) {
    for (start, unit, labels) in [
        (0, "", "{}"),
        (1, "bar", r#"{"line":"1"}"#),
        (2, "bar", r#"{"line":"2"}"#),
        (3, "bar", r#"{"line":"2"}"#),
    ] {
        // Each round is a process of its own.
        let mut store = loaded(backend);
        let with = batch(start)
            .series_with(0, "a", "m", unit, labels)
            .sample(0, NOON, start as f64)
            .build();
        store.commit(journal(1), &with).expect("committed");
        let seen = readings(backend);
        assert_eq!(seen.len() as u64, start + 1);
        for reading in seen {
            assert_eq!(reading.unit, unit);
            assert_eq!(reading.labels.replace(' ', ""), labels);
        }
    }
    assert_eq!(backend.query("SELECT id FROM series"), [["1"]]);
}

pub(crate) fn a_series_without_definition_is_a_defect(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let undefined = batch(0).sample(5, NOON, 1.0).build();
    assert_fatal(store.commit(journal(1), &undefined), "cannot be stored");
    assert_eq!(loaded_position(backend), Position(0));
}

pub(crate) fn a_database_put_back_is_noticed(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let some = batch(0).filtered().filtered().build();
    store.commit(journal(1), &some).expect("committed");
    backend.execute("UPDATE ingest_position SET rows_position = 1");
    assert_fatal(store.load(journal(1)), "earlier state");
    let restarted = backend.store().load(journal(1)).expect("loaded");
    assert_eq!(restarted.rows, Position(1));
}

pub(crate) fn an_older_schema_is_brought_up_to_date(backend: &dyn Backend) {
    backend.execute(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL);
         INSERT INTO schema_version (version, name) VALUES (1, 'rows')",
    );
    backend.execute(backend.first_migration());
    backend.execute(
        "INSERT INTO ingest_position (journal, rows_position, filtered)
         VALUES ('00000000-0000-0000-0000-000000000001', 7, 7)",
    );
    backend.execute("CREATE VIEW mine AS SELECT device, value FROM telemetry");
    let mut store = backend.store();
    assert_eq!(store.load(journal(1)).expect("loaded").rows, Position(7));
    let versions = backend.query("SELECT version, name FROM schema_version ORDER BY version");
    assert_eq!(
        versions,
        [
            ["1", "rows"],
            ["2", "alerts"],
            ["3", "device credentials"],
            ["4", "texts in the view"],
            ["5", "reasons"],
        ]
    );
    let next = batch(7).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &next).expect("committed");
    assert_eq!(count(backend, "alerts"), 0);
    assert_eq!(backend.query("SELECT * FROM mine"), [["a", "1"]]);
}

pub(crate) fn a_newer_schema_is_left_alone(backend: &dyn Backend) {
    backend.store().load(journal(1)).expect("loaded");
    let known = count(backend, "schema_version");
    let newer = known + 1;
    backend.execute(&format!(
        "INSERT INTO schema_version (version, name) VALUES ({newer}, 'later')"
    ));
    assert_fatal(backend.store().load(journal(1)), "newer Millrace");
    assert_eq!(count(backend, "schema_version"), newer);
}

pub(crate) fn foreign_tables_are_left_alone(backend: &dyn Backend) {
    backend.execute("CREATE TABLE series (title text)");
    backend.execute("INSERT INTO series VALUES ('a book')");
    assert_fatal(
        backend.store().load(journal(1)),
        "not those of this Millrace",
    );
    assert_eq!(backend.query("SELECT title FROM series"), [["a book"]]);
}

pub(crate) fn many_start_at_once(backend: &dyn Backend) {
    const PROCESSES: u128 = 6;
    std::thread::scope(|scope| {
        for number in 1..=PROCESSES {
            scope.spawn(move || {
                let mut store = backend.store();
                let first = batch(0)
                    .series(0, "shared", "m")
                    .series(1, &format!("own {number}"), "m")
                    .sample(0, NOON, 1.0)
                    .sample(1, NOON, 2.0)
                    .build();
                // As the writer does: away is not an answer.
                let mut attempts = 0..20;
                while let Err(error) = store.load(journal(number)).and_then(|at| match at.rows {
                    Position(0) => store.commit(journal(number), &first),
                    _ => Ok(()),
                }) {
                    let retry = matches!(error, StoreError::Unavailable { .. });
                    assert!(retry && attempts.next().is_some(), "{error:?}");
                }
            });
        }
    });
    assert_eq!(count(backend, "samples"), 2 * PROCESSES as u64);
    assert_eq!(count(backend, "series"), 1 + PROCESSES as u64);
    let steps = backend.query("SELECT count(*), max(version) FROM schema_version");
    assert_eq!(steps[0][0], steps[0][1], "each once");
}

pub(crate) fn loaded(backend: &dyn Backend) -> Box<dyn Store> {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    store
}

fn loaded_position(backend: &dyn Backend) -> Position {
    backend.store().load(journal(1)).expect("loaded").rows
}

#[track_caller]
pub(crate) fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Unavailable { .. })),
        "not unavailable: {result:?}"
    );
}

#[track_caller]
pub(crate) fn assert_rejected<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Rejected { .. })),
        "not rejected: {result:?}"
    );
}

/// The hint must be there, the message must hold `expected`.
#[track_caller]
pub(crate) fn assert_fatal<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &str) {
    match &result {
        Err(StoreError::Fatal { message, hint, .. }) => {
            assert!(message.contains(expected), "{result:?}");
            assert!(!hint.is_empty());
        }
        _ => panic!("not fatal: {result:?}"),
    }
}
