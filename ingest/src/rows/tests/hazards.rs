//! What devices and the moment can do to the lane: repeats, huge payloads, a slow store, a journal
//! that gave away what the filters wanted to remember.

use std::task::Waker;

use journal::{
    AppendError, Poisoned, ReadError, Reader, RecordBatch, State as JournalState, Status,
};
use uuid::Uuid;

use super::fake_store::Fault;
use super::*;

#[test]
fn only_the_same_time_and_value_are_a_repeat() {
    let mut bench = Bench::new();
    bench.append("d", r#"{"a":1,"ts":1769847300}"#);
    // Another value at the same time, and values whose time the device does not know.
    bench.append("d", r#"{"a":2,"ts":1769847300}"#);
    bench.append("d", r#"{"b":1}"#);
    bench.append("d", r#"{"b":1}"#);
    bench.append("d", r#"{"a":1,"ts":1769847300}"#);
    let received = bench.now;
    let stopped = bench.run();
    check_account(stopped.account, 4, 1, 0);
    let database = bench.database.lock();
    assert_eq!(
        database.rows,
        [
            row("d", "a", NOW, 1.0),
            row("d", "a", NOW, 2.0),
            row("d", "b", received - 2_000, 1.0),
            row("d", "b", received - 1_000, 1.0),
        ]
    );
}

#[test]
fn what_no_store_takes_is_a_dead_letter_byte_for_byte() {
    let mut bench = Bench::new();
    let large = "x".repeat(100 * 1024);
    let payloads = [
        format!("{{\"text\":\"{large}\"}}"),
        r#"{"n":123456789012345678901234567890}"#.to_owned(),
        r#"{"температура":21.5}"#.to_owned(),
        format!("{{\"text\":\"{large}\\u0000\"}}"),
        "{\"a\":1}\0".to_owned(),
        r#"{"a":NaN}"#.to_owned(),
        r#"{"a":-Infinity,"b":1}"#.to_owned(),
    ];
    for payload in &payloads {
        bench.append("d", payload);
    }
    let stopped = bench.run();
    check_account(stopped.account, 4, 1, 2);
    let database = bench.database.lock();
    let metrics: Vec<_> = database
        .rows
        .iter()
        .map(|row| row.metric.as_str())
        .collect();
    assert_eq!(metrics.len(), 4);
    assert!(
        ["text", "n", "температура", "b"]
            .iter()
            .all(|metric| metrics.contains(metric))
    );
    assert!(database.rows.iter().any(|row| row.value == large));
    let number = database.rows.iter().find(|row| row.metric == "n").unwrap();
    assert_eq!(
        number.value.parse::<f64>().unwrap(),
        1.234_567_890_123_456_8e29
    );
    let letters: Vec<_> = database
        .dead_letters
        .iter()
        .map(|letter| (letter.reason, letter.payload.as_slice()))
        .collect();
    let bytes = |index: usize| payloads[index].as_bytes();
    assert_eq!(
        letters,
        [("nul_character", bytes(3)), ("not_json", bytes(4)),]
    );
}

#[test]
fn series_beyond_the_bound_are_dead_letters_and_known_ones_go_on() {
    let mut bench = Bench::new();
    bench.config.max_series = 2;
    bench.append("d", r#"{"a":1,"b":1}"#);
    bench.append("e", r#"{"a":1}"#);
    bench.append("d", r#"{"a":2}"#);
    let stopped = bench.run();
    check_account(stopped.account, 2, 0, 1);
    let database = bench.database.lock();
    assert_eq!(database.rows.len(), 3);
    let letter = &database.dead_letters[0];
    assert_eq!(letter.reason, "too_many_series");
    assert_eq!(letter.payload, br#"{"a":1}"#);
}

/// One that is read and not written is still away, and asked ever more rarely: the loads between
/// the attempts succeed.
#[test]
fn a_store_is_back_when_it_writes_not_when_it_is_read() {
    let mut bench = Bench::new();
    let lane = bench.spawn();
    assert!(matches!(lane.wait_until_started(PATIENCE), State::Running));
    let faults = [Fault::AwayBefore; 1_000];
    bench.database.lock().on_commit.extend(faults);
    let end = bench.append("d", r#"{"a":1}"#);
    bench.database.wait(|tables| tables.failures >= 1);
    let first = Instant::now();
    // The load behind a failure and the attempt behind that have succeeded and failed.
    bench.database.wait(|tables| tables.failures >= 4);
    assert!(lane.stats().store_is_away);
    // Pauses of 100, 200 and 400 ms, less a quarter by chance; without growth a third of a second.
    assert!(first.elapsed() >= Duration::from_millis(500));
    bench.database.lock().on_commit.clear();
    bench.database.wait_for_rows(end);
    let observer = lane.observer();
    check_account(stop(lane).account, 1, 0, 0);
    assert!(!observer.stats().store_is_away);
    let failures = bench.database.lock().failures;
    assert_eq!(observer.stats().store_failures, failures);
}

#[test]
fn a_slow_store_makes_the_lane_stand_still() {
    let mut bench = Bench::new();
    bench.config.batch_rows = 10;
    let lane = bench.spawn();
    assert!(matches!(lane.wait_until_started(PATIENCE), State::Running));
    let database = bench.database.clone();
    let slow = database.lock();
    bench.append_all((0..500).map(|_| ("d", r#"{"a":1}"#)));
    // One batch in the writer's hands, one waiting, and a full one that finds no room.
    let held = testkit::wait_until(
        "the lane to read what fits",
        PATIENCE,
        || lane.stats().records_held,
        |held| *held == 30,
    );
    check_balance(&lane.stats());
    check_account(lane.account(), 0, 0, 0);
    assert_eq!(lane.account().unwrap().pending, 500);
    drop(slow);
    bench.database.wait_for_rows(Position(500));
    check_account(stop(lane).account, 500, 0, 0);
    assert_eq!((held, bench.database.lock().rows.len()), (30, 500));
}

/// A journal whose beginning is given away between the question where it begins and the reading.
struct Shrinking(Arc<LocalJournal>);

impl Journal for Shrinking {
    fn identity(&self) -> Uuid {
        self.0.identity()
    }

    fn append(&self, batch: &mut RecordBatch, waker: &Waker) -> Result<Position, AppendError> {
        self.0.append(batch, waker)
    }

    fn durable(&self) -> Position {
        self.0.durable()
    }

    fn end(&self) -> Position {
        self.0.end()
    }

    /// Out of date.
    fn start(&self) -> Position {
        Position::ZERO
    }

    fn wake_when_writable(&self, waker: &Waker) {
        self.0.wake_when_writable(waker);
    }

    fn wake_when_durable(&self, position: Position, waker: &Waker) {
        self.0.wake_when_durable(position, waker);
    }

    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<bool, Poisoned> {
        self.0.wait_durable(position, timeout)
    }

    fn release(&self, up_to: Position) {
        self.0.release(up_to);
    }

    fn reader(&self, from: Position) -> Result<Box<dyn Reader>, ReadError> {
        self.0.reader(from)
    }

    fn status(&self) -> Status {
        self.0.status()
    }

    fn close(&self) {
        self.0.close();
    }
}

#[test]
fn a_warm_up_goes_on_with_what_the_journal_still_has() {
    let mut bench = Bench::with_journal(&journal::Config {
        max_size: bytesize::ByteSize::mib(4),
        segment_size: bytesize::ByteSize::kib(64),
        ..journal::Config::default()
    });
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(50_000));
    for _ in 0..6 {
        let end = bench.append("d", &text);
        bench.journal.wait_durable(end, PATIENCE).unwrap();
    }
    let resent = r#"{"a":1,"ts":1769847300}"#;
    let end = bench.append("d", resent);
    assert!(bench.run().drained);
    bench.journal.release(end);
    testkit::wait_until(
        "the journal to give its beginning away",
        PATIENCE,
        || bench.journal.start(),
        |start| *start > Position::ZERO,
    );
    assert_eq!(bench.journal.status().state, JournalState::Open);
    bench.append("d", resent);
    let lane = super::super::spawn(Parts {
        journal: Arc::new(Shrinking(bench.journal.clone())),
        store: Box::new(bench.database.connect()),
        meaning: bench.config.meaning(Default::default()).unwrap(),
        settings: bench.config.rows().unwrap(),
        pending: None,
    })
    .unwrap();
    testkit::wait_until(
        "the resend to be filtered",
        PATIENCE,
        || (lane.account(), lane.state()),
        |(account, _)| account.is_some_and(|account| account.pending == 0),
    );
    check_account(stop(lane).account, 7, 1, 0);
}
