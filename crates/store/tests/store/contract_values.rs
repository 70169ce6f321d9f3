//! What a row may hold.

use journal::Position;
use store::{Batch, NewSeries, Outcome, SampleRow, SeriesKey};

use crate::backend::{Backend, count, readings};
use crate::batches::{NOON, batch, journal};

pub(crate) fn names_and_texts_are_any_unicode(backend: &dyn Backend) {
    let names = [
        "Kühlung 3",
        "設備/一号",
        "🏭",
        "a'b\"c\\d\t\n",
        "e\u{301}",
        "\u{10FFFF}\u{7F}\u{1}",
        "$1 -- ; DROP TABLE series",
        "",
    ];
    let mut all = batch(0);
    for (key, name) in (0..).zip(names) {
        all = all
            .series_with(key, name, name, name, "{\"ключ\":\"значение 🗝\"}")
            .sample(key, NOON, f64::from(key))
            .text(key, NOON, name);
    }
    commit(backend, &all.build());
    let mut seen = readings(backend);
    seen.sort_by(|a, b| a.value.total_cmp(&b.value));
    for (reading, name) in seen.iter().zip(names) {
        assert_eq!(reading.device, name);
        assert_eq!(reading.metric, name);
        assert_eq!(reading.unit, name);
        assert!(reading.labels.contains("значение 🗝"));
    }
    let texts =
        backend.query("SELECT device, text FROM telemetry WHERE value IS NULL ORDER BY device");
    assert_eq!(texts.len(), names.len());
    for row in texts {
        assert_eq!(row[0], row[1]);
    }
}

/// One row a sample, whatever it is.
pub(crate) fn numbers_and_texts_are_in_one_view(backend: &dyn Backend) {
    let all = batch(0)
        .series_with(0, "a", "mode", "", r#"{"site":"north"}"#)
        .text(0, NOON, "eco")
        .sample(0, NOON + 1, 2.5)
        .text(0, NOON + 2, "")
        .text(0, NOON + 2, "21.5");
    commit(backend, &all.build());
    let order = if backend.config().url.starts_with("sqlite") {
        "time_us"
    } else {
        "time"
    };
    let seen = backend.query(&format!(
        "SELECT device, metric, CASE WHEN value IS NULL THEN 'none' ELSE 'number' END,
                coalesce(text, 'none'), unit
         FROM telemetry ORDER BY {order}, text"
    ));
    let row = |value, text| ["a", "mode", value, text, ""];
    assert_eq!(
        seen,
        [
            row("none", "eco"),
            row("number", "none"),
            row("none", ""),
            row("none", "21.5"),
        ]
    );
}

pub(crate) fn extreme_numbers_come_back_bit_by_bit(backend: &dyn Backend) {
    let values = [
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        0.0,
        0.1,
        1.0 / 3.0,
        9_007_199_254_740_993.0,
        1e300,
    ];
    let mut all = batch(0).series(0, "a", "m");
    for (time, value) in (NOON..).zip(values) {
        all = all.sample(0, time, value);
    }
    commit(backend, &all.build());
    let seen: Vec<u64> = readings(backend)
        .iter()
        .map(|reading| reading.value.to_bits())
        .collect();
    assert_eq!(seen, values.map(f64::to_bits));
}

/// SQLite writes a number without fraction as an integer, which has no sign for zero.
pub(crate) fn zero_may_lose_its_sign(backend: &dyn Backend) {
    let all = batch(0).series(0, "a", "m").sample(0, NOON, -0.0).build();
    commit(backend, &all);
    assert_eq!(readings(backend)[0].value, 0.0);
}

pub(crate) fn equal_rows_are_all_kept(backend: &dyn Backend) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    for start in [0, 3] {
        let thrice = batch(start)
            .series(0, "a", "m")
            .sample(0, NOON, 1.0)
            .sample(0, NOON, 1.0)
            .sample(0, NOON, 2.0)
            .build();
        store.commit(journal(1), &thrice).expect("committed");
    }
    let values: Vec<f64> = readings(backend).iter().map(|r| r.value).collect();
    assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
}

pub(crate) fn times_reach_from_the_first_year_to_the_last(backend: &dyn Backend) {
    let times: Vec<i64> = [
        "0001-01-01T00:00:00Z",
        "1582-10-10T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-02-29T12:00:00.000001Z",
        "2026-03-15T12:00:00Z",
        "2038-01-19T03:14:08Z",
        "2100-02-28T23:59:59.999999Z",
        "2100-03-01T00:00:00Z",
        "9999-12-30T00:00:00.000001Z",
    ]
    .iter()
    .map(|text| {
        let timestamp: jiff::Timestamp = text.parse().expect(text);
        timestamp.as_microsecond()
    })
    .chain([253_402_300_799_999_999])
    .collect();
    let mut all = batch(0).series(0, "a", "m");
    for time in &times {
        all = all.sample(0, *time, 1.0).text(0, *time, "t");
    }
    commit(backend, &all.build());
    let seen: Vec<i64> = readings(backend).iter().map(|r| r.time).collect();
    assert_eq!(seen, times);
    let micros = backend.micros("time");
    let texts = backend.query(&format!("SELECT {micros} FROM readings_text ORDER BY time"));
    let seen: Vec<i64> = texts.iter().map(|r| r[0].parse().expect("µs")).collect();
    assert_eq!(seen, times);
}

pub(crate) fn dead_letters_keep_their_bytes(backend: &dyn Backend) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![0xA5; 1_000_000];
    let all = batch(0)
        .dead("devices/a/telemetry", &every_byte, "not JSON at byte 0")
        .filtered()
        .dead("devices/b/telemetry", &[], "")
        .dead("ä/🏭", &large, "large")
        .build();
    commit(backend, &all);
    let micros = backend.micros("received_at");
    let rows = backend.query(&format!(
        "SELECT position, {micros}, client_id, topic, payload, reason, detail
         FROM dead_letters ORDER BY position",
    ));
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        format!("\\x{}", digits.collect::<String>())
    };
    let row = |position: &str, topic: &str, payload: &[u8], detail: &str| {
        let noon = NOON.to_string();
        [
            position,
            &noon,
            "client",
            topic,
            &hex(payload),
            "not_json",
            detail,
        ]
        .map(str::to_owned)
    };
    assert_eq!(
        rows,
        [
            row(
                "0",
                "devices/a/telemetry",
                &every_byte,
                "not JSON at byte 0"
            ),
            row("2", "devices/b/telemetry", &[], ""),
            row("3", "ä/🏭", &large, "large"),
        ]
    );
}

pub(crate) fn dead_letters_are_never_refused(backend: &dyn Backend) {
    let mut all = batch(0)
        .dead("nul\0topic", b"\0", "nul \0 in the detail")
        .dead("t", b"x", "received before there was a calendar")
        .build();
    all.dead_letters[0].client_id = "\0".into();
    all.dead_letters[1].received_at = i64::MIN;
    commit(backend, &all);
    assert_eq!(count(backend, "dead_letters"), 2);
}

pub(crate) fn a_full_batch_is_stored(backend: &dyn Backend) {
    const RECORDS: u32 = 20_000;
    let series = 300;
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    // Two of them, so that SQLite sorts in between.
    for round in 0..2_u64 {
        let mut all = numbered_series(if round == 0 { series } else { 0 });
        all.start = Position(round * u64::from(RECORDS));
        all.outcomes = vec![Outcome::Stored; RECORDS as usize];
        all.samples = (0..RECORDS * 3)
            .map(|row| SampleRow {
                series: SeriesKey(row % series),
                record: row / 3,
                time: NOON + i64::from(row) * 1_000,
                value: f64::from(row),
            })
            .collect();
        store.commit(journal(1), &all).expect("committed");
    }
    let checkpoint = store.load(journal(1)).expect("loaded");
    assert_eq!(checkpoint.rows, Position(40_000));
    assert_eq!(checkpoint.totals.stored, 40_000);
    let sums = backend.query(
        "SELECT count(*), count(DISTINCT series_id), sum(value), count(DISTINCT time) FROM samples",
    );
    let sum: f64 = sums[0][2].parse().expect("a sum");
    assert_eq!(sum, 2.0 * 59_999.0 * 60_000.0 / 2.0);
    assert_eq!(
        [&sums[0][0], &sums[0][1], &sums[0][3]],
        ["120000", "300", "60000"]
    );
    let one = backend
        .query("SELECT count(*), min(value), max(value) FROM telemetry WHERE device = 'device 7'");
    let numbers: Vec<f64> = one[0]
        .iter()
        .map(|n| n.parse().expect("a number"))
        .collect();
    assert_eq!(numbers, [400.0, 7.0, 59_707.0]);
}

pub(crate) fn a_hundred_thousand_series_come_at_once(backend: &dyn Backend) {
    const SERIES: u32 = 100_000;
    let mut all = numbered_series(SERIES);
    all.outcomes = vec![Outcome::Stored; SERIES as usize];
    all.samples = (0..SERIES)
        .map(|key| SampleRow {
            series: SeriesKey(key),
            record: key,
            time: NOON,
            value: f64::from(key),
        })
        .collect();
    commit(backend, &all);
    assert_eq!(count(backend, "series"), u64::from(SERIES));
    let wrong = backend.query(
        "SELECT count(*) FROM telemetry WHERE device <> 'device ' || CAST(CAST(value AS integer) AS text)",
    );
    assert_eq!(wrong, [["0"]]);
}

/// Definitions of `device 0`, `device 1`, …
fn numbered_series(count: u32) -> Batch {
    let series = |key: u32| NewSeries {
        key: SeriesKey(key),
        device: format!("device {key}"),
        metric: "m".into(),
        unit: "V".into(),
        labels: r#"{"site":"north"}"#.into(),
    };
    Batch {
        new_series: (0..count).map(series).collect(),
        ..Batch::default()
    }
}

fn commit(backend: &dyn Backend, batch: &Batch) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    store.commit(journal(1), batch).expect("committed");
}
