use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::rows::Row;
use super::*;
use crate::message::{Due, Message, Source};

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn replay(file: &NamedTempFile) -> Replay {
    Replay {
        path: file.path().to_owned(),
        columns: Columns::default(),
        device: "machine".into(),
        client_id: "machine".into(),
        zone: "UTC".into(),
        speed: None,
        shift_to_now: false,
        messages: None,
        duration: None,
        qos: 1,
        retain: false,
        topic: Template::parse("devices/{device}/telemetry").unwrap(),
        shape: PayloadShape::Flat,
        time_unit: TimeUnit::Us,
        inflight: 64,
    }
}

fn rows(replay: &Replay) -> Result<Vec<Row>, ReplayError> {
    let mut rows = Rows::open(replay)?;
    let mut list = Vec::new();
    loop {
        let mut row = Row::default();
        if !rows.read(&mut row)? {
            return Ok(list);
        }
        list.push(row);
    }
}

/// Messages of a source: when they are due in milliseconds, topic, payload, lines.
fn messages(replay: &Replay, wall_us: i64) -> Vec<(Option<u128>, String, String, String)> {
    let survey = survey(replay).unwrap();
    let mut source = ReplaySource::open(replay, survey, "user", true).unwrap();
    source.start(wall_us);
    let mut list = Vec::new();
    loop {
        let due = match source.due() {
            Due::At(offset) => Some(offset.as_millis()),
            Due::Now => None,
            Due::Never => break,
        };
        assert_eq!(source.left(), Some(survey.rows - list.len() as u64));
        let mut message = Message::default();
        source.next(Duration::ZERO, &mut message);
        assert_eq!(message.copies, 1);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        list.push((
            due,
            text(message.topic),
            text(message.payload),
            text(message.lines),
        ));
    }
    assert!(source.take_error().is_none());
    list
}

#[test]
fn rows_are_sent_as_they_are_repeated_times_included() {
    let file = file(
        "timestamp,value,ok\n\
         2014-01-07 02:00:00,71.5,true\n\
         2014-01-07 02:00:00,72,false\n\
         2014-01-07 02:00:00,72,\n\
         2014-01-07 01:55:00,-1e3,1\n",
    );
    let sent = messages(&replay(&file), 0);
    let payloads: Vec<&str> = sent
        .iter()
        .map(|(_, _, payload, _)| payload.as_str())
        .collect();
    assert_eq!(
        payloads,
        [
            r#"{"ts":1389060000000000,"value":71.5,"ok":1.0}"#,
            r#"{"ts":1389060000000000,"value":72.0,"ok":0.0}"#,
            r#"{"ts":1389060000000000,"value":72.0}"#,
            r#"{"ts":1389059700000000,"value":-1000.0,"ok":1.0}"#,
        ]
    );
    assert_eq!(sent[0].1, "devices/machine/telemetry");
    assert_eq!(
        sent[0].3,
        "machine,value,1389060000000000,71.5\nmachine,ok,1389060000000000,1.0\n"
    );
}

#[test]
fn columns_can_be_chosen_named_and_hold_the_device() {
    let file = file(
        "when,unit,a,b,comment\n\
         1735689600,pump 1,1,2,\"good, so far\"\n\
         1735689601500,pump-2,,4,bad\n\
         2025-01-01T00:00:03+01:00,pump-2,,,worse\n",
    );
    let mut replay = replay(&file);
    replay.columns = Columns {
        time: Some("when".into()),
        device: Some("unit".into()),
        metrics: vec!["a".into(), "b".into()],
        map: vec![("b".into(), "speed".into())],
    };
    replay.shape = PayloadShape::Values;
    replay.time_unit = TimeUnit::Ms;
    let sent: Vec<(String, String)> = messages(&replay, 0)
        .into_iter()
        .map(|(_, topic, payload, _)| (topic, payload))
        .collect();
    let expected = [
        (
            "devices/pump 1/telemetry",
            r#"{"ts":1735689600000,"values":{"speed":2.0,"a":1.0}}"#,
        ),
        (
            "devices/pump-2/telemetry",
            r#"{"ts":1735689601500,"values":{"speed":4.0}}"#,
        ),
    ];
    let expected = expected.map(|(topic, payload)| (topic.to_owned(), payload.to_owned()));
    // A row without a value is no message.
    assert_eq!(sent, expected);
}

#[test]
fn naive_times_are_read_in_their_zone() {
    let file = file("time,v\n2024-07-01 12:00,1\n2024-12-01T12:00:00,2\n2024-12-01,3\n");
    let mut replay = replay(&file);
    let times = |replay: &Replay| {
        rows(replay)
            .unwrap()
            .iter()
            .map(|row| row.time / 1_000_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        times(&replay),
        [1_719_835_200, 1_733_054_400, 1_733_011_200]
    );
    replay.zone = "Europe/Berlin".into();
    assert_eq!(
        times(&replay),
        [1_719_828_000, 1_733_050_800, 1_733_007_600]
    );
}

#[test]
fn rows_are_due_by_their_times_and_the_speed() {
    let file = file("ts,v\n1000,1\n1060,2\n1030,3\n1120,4\n");
    let mut replay = replay(&file);
    let due = |replay: &Replay| {
        messages(replay, 0)
            .into_iter()
            .map(|(due, ..)| due)
            .collect::<Vec<_>>()
    };
    assert_eq!(due(&replay), [None; 4]);
    replay.speed = Some(1.0);
    // A time that goes back is sent at once, in its place.
    assert_eq!(
        due(&replay),
        [Some(0), Some(60_000), Some(60_000), Some(120_000)]
    );
    replay.speed = Some(60.0);
    assert_eq!(
        due(&replay),
        [Some(0), Some(1_000), Some(1_000), Some(2_000)]
    );
    replay.messages = Some(2);
    assert_eq!(due(&replay), [Some(0), Some(1_000)]);
}

#[test]
fn shifted_times_end_at_the_moment_the_last_row_is_sent() {
    let file = file("ts,v\n1000,1\n1060,2\n");
    let mut replay = replay(&file);
    replay.shift_to_now = true;
    let times = |replay: &Replay| {
        let sent = messages(replay, 1_735_689_600_000_000);
        let lines = sent
            .iter()
            .map(|(.., lines)| lines.split(',').nth(2).unwrap().to_owned());
        lines
            .map(|time| time.parse::<i64>().unwrap() / 1_000_000 - 1_735_689_600)
            .collect()
    };
    let as_fast_as_possible: Vec<i64> = times(&replay);
    assert_eq!(as_fast_as_possible, [-60, 0]);
    replay.speed = Some(1.0);
    let as_recorded: Vec<i64> = times(&replay);
    assert_eq!(as_recorded, [0, 60]);
    replay.speed = Some(60.0);
    let faster: Vec<i64> = times(&replay);
    assert_eq!(faster, [-59, 1]);
}

#[test]
fn a_bad_cell_is_named_by_line_and_column_before_anything_is_sent() {
    let table: [(&[u8], &str); 10] = [
        (
            b"time,v\n1000,1\n1001,x\n",
            "line 3, column `v`: `x` is not a number",
        ),
        (
            b"time,v\n1000,NaN\n",
            "line 2, column `v`: `NaN` is not a finite number",
        ),
        (
            b"time,v\n1000,1e999\n",
            "line 2, column `v`: `1e999` is not a finite number",
        ),
        (
            b"time,v\nyesterday,1\n",
            "line 2, column `time`: `yesterday` is not a time",
        ),
        (b"time,v\n,1\n", "line 2, column `time`: `` is not a time"),
        (
            b"time,v\n1000,1\n1001,1\n1002,1,2\n",
            "line 4: 3 columns instead of 2",
        ),
        (b"time,v\n1000,\xff\n", "line 2: column 2: not UTF-8"),
        (
            b"t,v\n1,1\n",
            "no column is called `time`, `timestamp`, `ts`",
        ),
        (b"time,v,v\n1,1,1\n", "two columns are sent as `v`"),
        (b"time,v\n", "has no rows"),
    ];
    for (text, message) in table {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(text).unwrap();
        let error = survey(&replay(&file)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let file = file("time,v,d\n1000,1,a/b\n");
    let with = |change: fn(&mut Replay)| {
        let mut replay = replay(&file);
        change(&mut replay);
        survey(&replay).unwrap_err().to_string()
    };
    type Change = fn(&mut Replay);
    let table: [(Change, &str); 5] = [
        (
            |replay| replay.columns.time = Some("when".into()),
            "there is no column `when`",
        ),
        (
            |replay| replay.columns.metrics = vec!["w".into()],
            "the columns are `time`, `v`, `d`",
        ),
        (
            |replay| replay.columns.device = Some("d".into()),
            "`a/b` contains `/`",
        ),
        (
            |replay| replay.zone = "Mars/Olympus".into(),
            "`Mars/Olympus` is not a time zone",
        ),
        (
            |replay| replay.path = "/nowhere.csv".into(),
            "cannot read `/nowhere.csv`",
        ),
    ];
    for (change, message) in table {
        let error = with(change);
        assert!(error.contains(message), "{error}");
    }
}
