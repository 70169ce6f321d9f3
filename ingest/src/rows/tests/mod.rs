//! The lane over a real journal and a store that fails as it is told.

mod fake_store;
mod faults;
mod hazards;
mod lifecycle;
mod parts;

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use journal::{Journal, LocalJournal, Position, Record, RecordBatch};
use store::Reason;
use store::Totals;
use store::{AlertEventRow, AlertStateRow};
use store::{ByReason, Unstored};
use tempfile::TempDir;
use testkit::PATIENCE;

use super::*;
use crate::Config;
use fake_store::{Database, Fault, Row};

/// 2026-01-31T08:15:00Z
const NOW: i64 = 1_769_847_300_000_000;

/// A journal in a folder, a database that outlives lanes, and the lane.
struct Bench {
    journal: Arc<LocalJournal>,
    database: Database,
    config: Config,
    pending: Option<Pending>,
    /// Time of receipt of the next record.
    now: i64,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench::with_journal(&journal::Config::default())
    }

    fn with_journal(config: &journal::Config) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let settings = config.validate().unwrap();
        let (journal, _) = LocalJournal::open_dir(folder.path(), settings).unwrap();
        Bench {
            journal: Arc::new(journal),
            database: Database::default(),
            config: Config {
                batch_delay: Duration::from_millis(5),
                ..Config::default()
            },
            pending: None,
            now: NOW,
            _folder: folder,
        }
    }

    fn append(&mut self, device: &str, payload: &str) -> Position {
        self.append_all([(device, payload)])
    }

    /// Appends records as one chunk.
    fn append_all<'a>(
        &mut self,
        records: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Position {
        let mut batch = self.batch(records);
        self.journal.append(&mut batch, Waker::noop()).unwrap()
    }

    fn batch<'a>(&mut self, records: impl IntoIterator<Item = (&'a str, &'a str)>) -> RecordBatch {
        let mut batch = RecordBatch::new();
        for (device, payload) in records {
            self.now += 1_000;
            batch.push(&Record {
                received_at: self.now,
                qos: 1,
                packet_id: None,
                content_type: "",
                client_id: "client",
                user: "",
                topic: &format!("devices/{device}/telemetry"),
                payload: payload.as_bytes(),
            });
        }
        batch
    }

    fn spawn(&self) -> Handle {
        super::spawn(Parts {
            journal: self.journal.clone(),
            store: Box::new(self.database.connect()),
            meaning: self.config.meaning(Default::default()).unwrap(),
            settings: self.config.rows().unwrap(),
            pending: self.pending.clone(),
        })
        .unwrap()
    }

    /// Runs a lane until the journal's end is committed, and ends it.
    fn run(&self) -> Stopped {
        let lane = self.spawn();
        self.database.wait_for_rows(self.journal.end());
        stop(lane)
    }
}

fn stop(lane: Handle) -> Stopped {
    lane.stop(Instant::now() + PATIENCE)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

fn row(device: &str, metric: &str, time: i64, value: f64) -> Row {
    Row::number(device, metric, time, value)
}

/// received = stored + filtered + dead-lettered + pending, and these three.
#[track_caller]
fn check_account(account: Option<Account>, stored: u64, filtered: u64, dead_lettered: u64) {
    let account = account.unwrap();
    let ended = (account.stored, account.filtered, account.dead_lettered);
    assert_eq!(ended, (stored, filtered, dead_lettered));
    let sum = stored + filtered + dead_lettered + account.pending;
    assert_eq!(account.received, sum);
}

/// Totals by reason add up to the account.
#[track_caller]
fn check_reasons(stopped: &Stopped) {
    let account = stopped.account.unwrap();
    let messages = |reasons: &ByReason| reasons.values().map(|it| it.messages).sum::<u64>();
    assert_eq!(messages(&stopped.reasons.filtered), account.filtered);
    assert_eq!(
        messages(&stopped.reasons.dead_lettered),
        account.dead_lettered
    );
}

/// What came in is somewhere, whatever the moment.
#[track_caller]
fn check_balance(stats: &Snapshot) {
    let Totals {
        stored,
        filtered,
        dead_lettered,
    } = stats.records;
    assert_eq!(
        stats.records_in,
        stored + filtered + dead_lettered + stats.records_held
    );
    let out = stats.samples_stored + stats.samples_filtered + stats.samples_refused;
    assert_eq!(stats.samples_in, out + stats.samples_held);
    assert_eq!(dead_lettered, stats.dead_letters.values().sum::<u64>());
}

/// A message counts once, whatever became of its values; and a store that refuses or loses a part
/// counts nothing twice.
#[test]
fn messages_and_values_are_counted_by_reason() {
    let mut bench = Bench::new();
    bench.append("a", r#"{"t":1,"u":2,"ts":1769847300}"#);
    bench.append("a", r#"{"t":1,"u":2,"ts":1769847300}"#);
    // One value is stored: the message is, and the other value is counted.
    bench.append("a", r#"{"t":1,"v":3,"ts":1769847300}"#);
    bench.append("a", r#"{"t":1,"ts":1999999999}"#);
    bench.append("a", "{}");
    bench.append("a", r#"{"t":13}"#);
    bench.append("a", "[");
    bench.database.lock().refused_value = Some("13".into());
    bench.database.lock().on_commit = [Fault::AwayAfter, Fault::AwayBefore].into();
    let stopped = bench.run();
    check_account(stopped.account, 2, 3, 2);
    check_reasons(&stopped);
    let count = |messages, values| Unstored { messages, values };
    let expected = [
        ("duplicate".into(), count(1, 3)),
        ("no_values".into(), count(1, 0)),
        ("too_far_in_future".into(), count(1, 1)),
    ];
    assert_eq!(stopped.reasons.filtered, expected.into());
    let expected = [
        ("not_json".into(), count(1, 0)),
        ("store_rejected".into(), count(1, 0)),
    ];
    assert_eq!(stopped.reasons.dead_lettered, expected.into());
    // They go on from what the store has.
    assert_eq!(bench.database.lock().checkpoint.reasons, stopped.reasons);
    bench.append("a", "{}");
    let stopped = bench.run();
    check_reasons(&stopped);
    assert_eq!(stopped.reasons.filtered["no_values"], count(2, 0));
}

#[test]
fn records_end_as_rows_filtered_or_dead_letters() {
    let mut bench = Bench::new();
    bench.append("a", r#"{"t":21.5,"s":"on","ts":1769847300}"#);
    bench.append("a", r#"{"t":22}"#);
    let received = bench.now;
    bench.append("a", r#"{"t":21.5,"ts":1769847300}"#);
    bench.append("a", "{}");
    bench.append("b", "{broken");
    let lane = bench.spawn();
    bench.database.wait_for_rows(Position(5));
    let observer = lane.observer();
    let stopped = stop(lane);
    check_reasons(&stopped);
    let stats = observer.stats();
    assert!(stopped.drained);
    check_account(stopped.account, 2, 2, 1);
    check_balance(&stats);
    assert_eq!(
        (stats.records_in, stats.records_held, stats.samples_held),
        (5, 0, 0)
    );
    assert_eq!(stats.filtered.get(Reason::Duplicate), 1);
    assert_eq!(stats.filtered.get(Reason::NoValues), 1);
    assert_eq!(stats.dead_letters, [("not_json", 1)].into());
    assert_eq!(
        (stats.rows_position, stats.lag, stats.series),
        (Position(5), 0, 2)
    );

    let database = bench.database.lock();
    assert_eq!(
        database.rows,
        [
            row("a", "t", NOW, 21.5),
            row("a", "t", received, 22.0),
            Row::text("a", "s", NOW, "on"),
        ]
    );
    let letter = &database.dead_letters[0];
    assert_eq!(
        (letter.reason, letter.topic.as_str()),
        ("not_json", "devices/b/telemetry")
    );
    assert_eq!(
        (letter.client_id.as_str(), letter.payload.as_slice()),
        ("client", &b"{broken"[..])
    );
    assert_eq!(letter.detail, "not JSON at byte 1: key must be a string");
    // Without an alerts lane its position goes along.
    assert_eq!(database.checkpoint.alerts, Position(5));
}

#[test]
fn full_batches_do_not_wait_and_small_ones_are_few() {
    let mut bench = Bench::new();
    bench.config.batch_rows = 100;
    bench.config.batch_delay = Duration::from_secs(10);
    let payload = r#"{"a":1,"b":2}"#;
    bench.append_all((0..500).map(|_| ("d", payload)));
    let lane = bench.spawn();
    // Only full batches come before the delay: 50 records each, cut within the one chunk.
    bench.database.wait_for_rows(Position(500));
    let observer = lane.observer();
    let stopped = stop(lane);
    // The lane's own figures come a moment after the database's: they are whole when it has ended.
    let stats = observer.stats();
    assert_eq!((stats.commits, stats.samples_stored), (10, 1_000));
    check_account(stopped.account, 500, 0, 0);
}

#[test]
fn series_are_announced_once_and_only_with_rows() {
    let mut bench = Bench::new();
    bench.config =
        toml::from_str("batch_delay = '1ms'\n[[filter.rule]]\nmetric = 'x'\naction = 'deny'")
            .unwrap();
    let lane = bench.spawn();
    for payload in [
        r#"{"x":1}"#,
        r#"{"x":1,"b":1}"#,
        r#"{"a":1,"b":1}"#,
        r#"{"a":2,"x":2}"#,
    ] {
        let end = bench.append("d", payload);
        bench.database.wait_for_rows(end);
    }
    stop(lane);
    let database = bench.database.lock();
    let announced: Vec<_> = database
        .announced
        .iter()
        .map(|(_, metric)| metric.as_str())
        .collect();
    assert_eq!(announced, ["b", "a"]);
}
