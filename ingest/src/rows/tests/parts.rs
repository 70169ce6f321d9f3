//! The small parts alone.

use store::Reason;
use store::{Batch, DeadLetter, FilteredValues, NewSeries, Outcome, SampleRow, SeriesKey, TextRow};

use super::super::stop::Stop;
use super::super::window::{RECORDS, Window};
use super::*;
use crate::filter::Rules;

/// Four records: two samples of series 0, a dead letter, a text of series 1, a sample of series 2.
fn batch(bench: &mut Bench) -> Batch {
    let sample = |record, series| SampleRow {
        series: SeriesKey(series),
        record,
        time: 0,
        value: f64::from(record),
    };
    bench.append_all([("d", "a"), ("d", "b"), ("d", "c"), ("d", "d")]);
    let mut chunks = Vec::new();
    let mut reader = bench.journal.reader(Position(0)).unwrap();
    reader.read(&mut chunks, usize::MAX, PATIENCE).unwrap();
    let (_, record) = chunks[0].records().nth(1).unwrap();
    Batch {
        start: Position(0),
        outcomes: vec![
            Outcome::Stored,
            Outcome::DeadLettered,
            Outcome::Stored,
            Outcome::Stored,
        ],
        samples: vec![sample(0, 0), sample(0, 0), sample(3, 2)],
        texts: vec![TextRow {
            series: SeriesKey(1),
            record: 2,
            time: 0,
            value: "x\0".into(),
        }],
        dead_letters: vec![DeadLetter::new(1, &record, "not_json", "d\0".into())],
        filtered: [0, 2, 3]
            .map(|record| FilteredValues {
                record,
                reason: Reason::Duplicate,
                values: 1,
            })
            .into(),
        new_series: (0..3)
            .map(|key| NewSeries {
                key: SeriesKey(key),
                device: "d".into(),
                metric: key.to_string(),
                unit: String::new(),
                labels: "{}".into(),
            })
            .collect(),
        chunks,
        alerts: Default::default(),
    }
}

/// `start: S sample records, T text records, L dead letter records, F filtered values, N new
/// series`
fn shown(batch: &Batch) -> String {
    let samples: Vec<_> = batch.samples.iter().map(|row| row.record).collect();
    let texts: Vec<_> = batch.texts.iter().map(|row| row.record).collect();
    let letters: Vec<_> = batch
        .dead_letters
        .iter()
        .map(|letter| letter.record)
        .collect();
    let filtered: Vec<_> = batch.filtered.iter().map(|it| it.record).collect();
    let series: Vec<_> = batch.new_series.iter().map(|series| series.key.0).collect();
    format!(
        "{}+{}: S{samples:?} T{texts:?} L{letters:?} F{filtered:?} N{series:?}",
        batch.start,
        batch.outcomes.len()
    )
}

#[test]
fn batches_are_cut_between_records() {
    #[track_caller]
    fn check(at: usize, first: &str, rest: &str) {
        let mut batch = batch(&mut Bench::new());
        let second = batch.split(at);
        assert_eq!(
            (shown(&batch).as_str(), shown(&second).as_str()),
            (first, rest)
        );
        assert_eq!(batch.end(), second.start);
    }
    check(
        1,
        "0+1: S[0, 0] T[] L[] F[0] N[0]",
        "1+3: S[2] T[1] L[0] F[1, 2] N[1, 2]",
    );
    check(
        2,
        "0+2: S[0, 0] T[] L[1] F[0] N[0]",
        "2+2: S[1] T[0] L[] F[0, 1] N[1, 2]",
    );
    check(
        3,
        "0+3: S[0, 0] T[2] L[1] F[0, 2] N[0, 1]",
        "3+1: S[0] T[] L[] F[0] N[2]",
    );
}

#[test]
fn a_refused_record_is_kept_as_it_came() {
    let mut batch = batch(&mut Bench::new());
    batch.split(3);
    let mut third = batch.split(2);
    third.refuse("why\0not".into());
    assert_eq!(shown(&third), "2+1: S[] T[] L[0] F[0] N[1]");
    let letter = &third.dead_letters[0];
    assert_eq!(
        (letter.payload.as_slice(), letter.reason),
        (&b"c"[..], "store_rejected")
    );
    assert_eq!(letter.detail, "why\u{fffd}not");
    assert_eq!(third.outcomes, [Outcome::DeadLettered]);
}

#[test]
fn the_window_is_a_minute_or_half_a_million_records() {
    const SECOND: i64 = 1_000_000;
    let mut window = Window::default();
    assert_eq!(window.start(Position(10)), Position(0));
    for second in 0..100_u64 {
        let received = second as i64 * SECOND;
        window.committed(Position(second * 10), received, received + SECOND - 1);
    }
    // The newest was received at 99.999999 s: what came before 39.999999 s may go.
    assert_eq!(window.start(Position(1_000)), Position(390));
    window.committed(Position(1_000), 100 * SECOND, 100 * SECOND);
    let rows = Position(2 * RECORDS);
    assert_eq!(window.start(rows), Position(RECORDS));
}

#[test]
fn windows_remember_a_bounded_number_of_batches() {
    let mut window = Window::default();
    for batch in 0..10_000_u64 {
        window.committed(Position(batch), 0, 0);
    }
    assert_eq!(window.start(Position(10_000)), Position(0));
}

#[test]
fn sleeping_ends_at_the_deadline() {
    let stop = Stop::default();
    assert!(stop.sleep(Duration::from_millis(1)));
    assert!(!stop.requested() && !stop.expired());
    stop.request(Instant::now() + Duration::from_millis(20));
    assert!(stop.requested());
    // Far longer than the deadline.
    assert!(!stop.sleep(PATIENCE));
    assert!(stop.expired());
    stop.pause(PATIENCE);
}

#[test]
fn a_request_ends_a_pause() {
    let stop = Stop::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.requested() {
                stop.pause(PATIENCE);
            }
        });
        stop.request(Instant::now() + PATIENCE);
    });
}

/// A million series are possible: what the rows lane remembers of each is small.
#[test]
fn many_series_have_rows_in_one_batch_each() {
    let mut bench = Bench::new();
    assert_eq!(
        Rules::new(&bench.config.filter).unwrap().duplicate_window(),
        256
    );
    let devices: Vec<String> = (0..20_000).map(|device| format!("d{device}")).collect();
    let payload = r#"{"a":1,"b":2,"ts":1769847300}"#;
    bench.append_all(devices.iter().map(|device| (device.as_str(), payload)));
    let stopped = bench.run();
    check_account(stopped.account, 20_000, 0, 0);
    assert_eq!(bench.database.lock().announced.len(), 40_000);
}
