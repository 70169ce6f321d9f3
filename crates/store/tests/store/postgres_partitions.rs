//! Partitions that are detached, dropped, renamed or moved while rows are written, and tables that
//! are replaced: what is stored is what queries see.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::wait_until;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::backend::{Backend, PostgresBackend, count, readings};
use crate::batches::{NOON, batch, journal};
use crate::contract::{assert_fatal, assert_unavailable};
use crate::postgres::{loaded, partitions};

const DEADLINE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;

#[test]
fn rows_of_a_detached_day_go_into_a_new_partition_and_it_is_said_once() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0)
        .series(0, "a", "m")
        .sample(0, NOON, 1.0)
        .text(0, NOON, "one")
        .build();
    store.commit(journal(1), &first).expect("committed");
    let [samples] = &partitions(&backend, "samples")[..] else {
        panic!("one partition");
    };
    let [texts] = &partitions(&backend, "readings_text")[..] else {
        panic!("one partition");
    };
    backend.execute(&format!(
        "ALTER TABLE samples DETACH PARTITION {samples};
         ALTER TABLE readings_text DETACH PARTITION {texts}"
    ));
    for start in [2, 4] {
        let next = batch(start)
            .sample(0, NOON, start as f64)
            .text(0, NOON, "more")
            .build();
        store.commit(journal(1), &next).expect("committed");
    }
    assert_eq!(
        (count(&backend, samples), count(&backend, "telemetry")),
        (1, 4)
    );
    assert_eq!(
        (count(&backend, texts), count(&backend, "readings_text")),
        (1, 2)
    );
    assert_eq!(partitions(&backend, "samples"), [format!("{samples}_2")]);
    let expected = [samples, texts].map(|table| format!("public.{table} public.{table}_2"));
    assert_eq!(warnings.take(), expected);
}

#[test]
fn late_readings_of_an_archived_day_are_seen_also_after_a_restart() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let backend = PostgresBackend::new();
    let first = batch(0).series(0, "a", "m").sample(0, 0, 1.0).build();
    loaded(&backend)
        .commit(journal(1), &first)
        .expect("committed");
    backend.execute("ALTER TABLE samples DETACH PARTITION samples_197001");
    let mut store = loaded(&backend);
    let late = batch(1)
        .series(0, "a", "m")
        .sample(0, 0, 2.0)
        .sample(0, NOON, 3.0)
        .build();
    store.commit(journal(1), &late).expect("committed");
    assert_eq!(count(&backend, "telemetry"), 2);
    assert_eq!(count(&backend, "samples_197001"), 1);
    assert_eq!(
        warnings.take(),
        ["public.samples_197001 public.samples_197001_2"]
    );
    // Archived as well, under a name of the archive's: the new name says nothing, but the table is
    // known.
    backend.execute(
        "ALTER TABLE samples DETACH PARTITION samples_197001_2;
         ALTER TABLE samples_197001_2 RENAME TO \"Old\"",
    );
    let late = batch(3).sample(0, 1, 4.0).build();
    store.commit(journal(1), &late).expect("committed");
    assert_eq!(count(&backend, "telemetry"), 2);
    assert_eq!(warnings.take(), ["public.\"Old\" public.samples_197001_2"]);
}

#[test]
fn a_partition_that_was_dropped_is_made_again() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    for (start, times) in [(1, [NOON, NOON]), (3, [NOON, NOON + 40 * DAY])] {
        for partition in partitions(&backend, "samples") {
            backend.execute(&format!("DROP TABLE {partition}"));
        }
        let next = batch(start)
            .sample(0, times[0], 2.0)
            .sample(0, times[1], 3.0)
            .build();
        store.commit(journal(1), &next).expect("committed");
        assert_eq!(count(&backend, "telemetry"), 2);
    }
    assert_eq!(warnings.take(), [""; 0], "its rows were meant to go");
}

#[test]
fn a_partition_that_moves_is_followed() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, 0, 0.0).build();
    store.commit(journal(1), &first).expect("committed");
    let bounds = "FOR VALUES FROM ('1970-01-01Z') TO ('1970-02-01Z')";
    let steps = [
        "ALTER TABLE samples_197001 RENAME TO renamed".to_owned(),
        // Another table takes the name that was written to last.
        "ALTER TABLE renamed RENAME TO \"Again\"; CREATE TABLE renamed (LIKE samples)".to_owned(),
        "CREATE SCHEMA archive; ALTER TABLE \"Again\" SET SCHEMA archive;
         CREATE TABLE \"Again\" (LIKE samples)"
            .to_owned(),
        format!(
            "ALTER TABLE samples DETACH PARTITION archive.\"Again\";
             ALTER TABLE samples ATTACH PARTITION archive.\"Again\" {bounds}"
        ),
        // Another one in its place, with its name.
        format!(
            "ALTER TABLE samples DETACH PARTITION archive.\"Again\";
             ALTER TABLE archive.\"Again\" RENAME TO before;
             ALTER TABLE \"Again\" SET SCHEMA archive;
             INSERT INTO archive.\"Again\" SELECT * FROM archive.before;
             ALTER TABLE samples ATTACH PARTITION archive.\"Again\" {bounds}"
        ),
    ];
    for (step, number) in steps.iter().zip(1..) {
        backend.execute(step);
        let next = batch(number).sample(0, 0, number as f64).build();
        store.commit(journal(1), &next).expect("committed");
        assert_eq!(count(&backend, "telemetry"), number + 1, "{step}");
    }
    assert_eq!(partitions(&backend, "samples"), ["archive.\"Again\""]);
    assert_eq!(warnings.take(), [""; 0]);
}

#[test]
fn no_row_goes_into_a_partition_while_it_is_detached_concurrently() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, 0, 1.0).build();
    store.commit(journal(1), &first).expect("committed");
    let url = backend.config().url;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let connect = || {
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .expect("connected");
            tokio::spawn(connection);
            client
        })
    };
    // A query that runs for long keeps the command from ending.
    let reader = connect();
    runtime
        .block_on(reader.batch_execute("BEGIN; SELECT FROM samples"))
        .expect("reads");
    let archivist = connect();
    let detach = runtime.spawn(async move {
        let sql = "ALTER TABLE samples DETACH PARTITION samples_197001 CONCURRENTLY";
        archivist.batch_execute(sql).await
    });
    wait_until(
        "the mark",
        DEADLINE,
        || count(&backend, "telemetry"),
        |seen| *seen == 0,
    );
    let next = batch(1).sample(0, 0, 2.0).build();
    for _ in 0..2 {
        let refused = store.commit(journal(1), &next);
        assert!(format!("{refused:?}").contains("Detaching"), "{refused:?}");
        assert_unavailable(refused);
        store.load(journal(1)).expect("loaded");
    }
    runtime
        .block_on(reader.batch_execute("COMMIT"))
        .expect("ends");
    let detached = runtime.block_on(detach).expect("no panic");
    detached.expect("detached");
    store.commit(journal(1), &next).expect("committed");
    assert_eq!(
        (
            count(&backend, "samples_197001"),
            count(&backend, "telemetry")
        ),
        (1, 1)
    );
}

/// Day after day is detached, in both ways, while rows of it are committed without a pause.
#[test]
fn detaching_under_load_loses_no_row_and_archives_none_late() {
    const ROUNDS: u64 = 24;
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 0.0).build();
    store.commit(journal(1), &first).expect("committed");
    let finished = std::sync::atomic::AtomicBool::new(false);
    let (written, archived) = std::thread::scope(|scope| {
        let (store, finished) = (&mut store, &finished);
        let writer = scope.spawn(move || {
            let mut at = 1;
            while !finished.load(std::sync::atomic::Ordering::Acquire) {
                let next = batch(at).sample(0, NOON, at as f64).build();
                match store.commit(journal(1), &next) {
                    Ok(()) => at += 1,
                    // A partition is being detached at this moment.
                    refused => {
                        assert_unavailable(refused);
                        store.load(journal(1)).expect("loaded");
                    }
                }
            }
            at
        });
        let mut archived = Vec::new();
        for round in 0..ROUNDS {
            let (how, wait) = [("", 3), ("CONCURRENTLY", 5)][round as usize % 2];
            wait_until(
                "rows",
                DEADLINE,
                || count(&backend, "telemetry"),
                |seen| *seen >= wait,
            );
            let table = partitions(&backend, "samples").remove(0);
            backend.execute(&format!(
                "ALTER TABLE samples DETACH PARTITION {table} {how}"
            ));
            archived.push((count(&backend, &table), table));
        }
        finished.store(true, std::sync::atomic::Ordering::Release);
        (writer.join().expect("no panic"), archived)
    });
    let mut all = count(&backend, "telemetry");
    for (rows, table) in archived {
        assert_eq!(count(&backend, &table), rows, "{table} has grown");
        all += rows;
    }
    assert_eq!(all, written, "every row once");
}

#[test]
fn tables_that_are_replaced_are_noticed() {
    let backend = PostgresBackend::new();
    let mut store = loaded(&backend);
    let first = batch(0).series(0, "a", "m").sample(0, NOON, 1.0).build();
    store.commit(journal(1), &first).expect("committed");

    // The view still reads the old table.
    let replace = "ALTER TABLE samples RENAME TO old;
                   CREATE TABLE samples (LIKE old INCLUDING ALL) PARTITION BY RANGE (time)";
    backend.execute(replace);
    let next = batch(1).sample(0, NOON, 2.0).text(0, NOON, "x").build();
    assert_unavailable(store.commit(journal(1), &next));
    assert_fatal(store.load(journal(1)), "would miss what is stored");
    let restarted = backend.store().load(journal(1));
    assert_fatal(restarted, "would miss what is stored");
    backend.execute(
        "CREATE OR REPLACE VIEW telemetry AS
         SELECT samples.time, series.device, series.metric, samples.value, series.unit, series.labels,
                NULL::text AS text
         FROM samples JOIN series ON series.id = samples.series_id",
    );
    assert_fatal(store.load(journal(1)), "would miss what is stored");
    let view = "CREATE OR REPLACE VIEW telemetry AS
         SELECT r.time, series.device, series.metric, r.value, series.unit, series.labels, r.text
         FROM (SELECT time, series_id, value, NULL::text AS text FROM samples
               UNION ALL SELECT time, series_id, NULL::float8, value FROM readings_text) AS r
         JOIN series ON series.id = r.series_id";
    backend.execute(view);
    store.load(journal(1)).expect("loaded");
    store.commit(journal(1), &next).expect("committed");
    assert_eq!(readings(&backend).len(), 1);

    backend.execute(
        "ALTER TABLE readings_text RENAME TO old_texts;
         CREATE TABLE readings_text (LIKE old_texts) PARTITION BY RANGE (time)",
    );
    let next = batch(3).text(0, NOON, "y").build();
    assert_unavailable(store.commit(journal(1), &next));
    assert_fatal(store.load(journal(1)), "would miss what is stored");
    backend.execute(view);
    store.load(journal(1)).expect("loaded");
    store.commit(journal(1), &next).expect("committed");
    assert_eq!(count(&backend, "readings_text"), 1);

    // Whoever renames a view and puts another one over it still sees everything.
    backend.execute(
        "ALTER VIEW telemetry RENAME TO base;
         CREATE VIEW telemetry AS SELECT *, labels ->> 'site' AS site FROM base",
    );
    let next = batch(4).sample(0, NOON, 3.0).build();
    assert_unavailable(store.commit(journal(1), &next));
    store.load(journal(1)).expect("loaded");
    store.commit(journal(1), &next).expect("committed");
    assert_eq!(readings(&backend).len(), 2);

    // The ids in use are those of the old table.
    backend.execute(
        "BEGIN; DROP VIEW telemetry, base; ALTER TABLE series RENAME TO old_series;
         CREATE TABLE series (LIKE old_series INCLUDING ALL); COMMIT",
    );
    let next = batch(5).sample(0, NOON, 4.0).build();
    assert_unavailable(store.commit(journal(1), &next));
    for _ in 0..2 {
        assert_fatal(store.load(journal(1)), "`series`");
        assert_unavailable(store.commit(journal(1), &next));
    }
    loaded(&backend);
}

/// What is logged as a warning by this thread: the tables it names, old and new.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Tables::default();
        event.record(&mut fields);
        let line = format!("{} {}", fields.detached, fields.new);
        self.0.lock().expect("no panic").push(line);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Tables {
    detached: String,
    new: String,
}

impl Visit for Tables {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "detached" => value.clone_into(&mut self.detached),
            "new" => value.clone_into(&mut self.new),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}
