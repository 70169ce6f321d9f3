//! Recorded telemetry of real machines, replayed over MQTT into both stores.
//!
//! The two series lie in `tests/data/nab`; the README there says where they come from. The
//! machine's temperature has a planned shutdown (December 2013) and a failure (February 2014): a
//! rule must find these two, at the times of the readings.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{ChildGuard, shared_postgres, wait_until};

use crate::server::{PATIENCE, Setup, millrace};
use crate::sqlite;

const RULES: &str = r#"
[[rule]]
name = "machine-cold"
device = "machine-*"
metric = "temperature"
below = 45
clear = 60
for = "30m"
severity = "critical"
"#;

/// State, first sample beyond the limit, time of the change: of the file, not of the clock.
const EXPECTED_EVENTS: [[&str; 3]; 4] = [
    [
        "firing",
        "2013-12-16T15:25:00.000000Z",
        "2013-12-16T15:55:00.000000Z",
    ],
    [
        "resolved",
        "2013-12-16T15:25:00.000000Z",
        "2013-12-16T18:40:00.000000Z",
    ],
    [
        "firing",
        "2014-02-08T01:25:00.000000Z",
        "2014-02-08T01:55:00.000000Z",
    ],
    [
        "resolved",
        "2014-02-08T01:25:00.000000Z",
        "2014-02-09T12:05:00.000000Z",
    ],
];

#[test]
fn recorded_series_arrive_whole_in_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let data = setup.data.clone();
    replay_and_compare(setup, folder.path(), |query| match query {
        Query::Samples(device) => sqlite::query(
            &data,
            &format!("SELECT time_us, value FROM telemetry WHERE device = '{device}'"),
        ),
        Query::Events => sqlite::query(&data, "SELECT payload FROM alert_events ORDER BY time"),
    });
}

#[test]
fn recorded_series_arrive_whole_in_postgresql() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = shared_postgres();
    let setup = Setup::new(folder.path()).store(&database.url());
    // The tables are made by the process, before it takes telemetry.
    replay_and_compare(setup, folder.path(), |query| match query {
        Query::Samples(device) => database.query(&format!(
            "SELECT (extract(epoch FROM time) * 1000000)::bigint, value FROM telemetry \
             WHERE device = '{device}'"
        )),
        Query::Events => database.query("SELECT payload FROM alert_events ORDER BY time"),
    });
}

enum Query<'a> {
    Samples(&'a str),
    Events,
}

fn replay_and_compare(setup: Setup, folder: &Path, query: impl Fn(Query<'_>) -> Vec<Vec<String>>) {
    let rules = folder.join("alerts.toml");
    std::fs::write(&rules, RULES).expect("rules");
    let setup = setup.with("MILLRACE_ALERTS__RULES", rules.display());
    let mut server = setup.start();
    let series = [
        (
            "machine-1",
            "temperature",
            "machine_temperature_system_failure.csv",
            22_695,
        ),
        (
            "office-1",
            "temperature",
            "ambient_temperature_system_failure.csv",
            7_267,
        ),
    ];
    for (device, metric, file, rows) in series {
        let file = recorded(file);
        let expected = samples_of(&file);
        assert_eq!(expected.len(), rows, "{}", file.display());
        replay(&setup, &file, device, metric);
        wait_until(
            &format!("all rows of {device}"),
            PATIENCE,
            || query(Query::Samples(device)).len(),
            |stored| *stored >= rows,
        );
        let mut stored: Vec<(i64, u64)> = query(Query::Samples(device))
            .iter()
            .map(|row| sample(row[0].parse().expect("microseconds"), &row[1]))
            .collect();
        stored.sort_unstable();
        assert!(
            stored == expected,
            "{device}: the rows are not those of the file"
        );
    }
    let events = wait_until(
        "all events to be stored",
        PATIENCE,
        || query(Query::Events),
        |events| events.len() >= EXPECTED_EVENTS.len(),
    );
    let events: Vec<[String; 3]> = events.iter().map(|row| event(&row[0])).collect();
    assert_eq!(
        events,
        EXPECTED_EVENTS.map(|event| event.map(str::to_owned))
    );
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success(), "{:#?}", server.lines());
}

fn replay(setup: &Setup, file: &Path, device: &str, metric: &str) {
    let mut command: Command = millrace();
    command.args(["simulate", "--quiet", "--speed", "max", "--device", device]);
    command.arg("--replay").arg(file);
    command.arg("--port").arg(setup.address.port().to_string());
    command.arg("--map").arg(format!("value={metric}"));
    let mut replay = ChildGuard::spawn(&mut command);
    let status = replay.wait(PATIENCE);
    assert!(status.success(), "{:#?}", replay.lines());
}

fn recorded(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab");
    folder.join(name)
}

/// Each row of the file, sorted: its time in microseconds and the bits of its value.
fn samples_of(file: &Path) -> Vec<(i64, u64)> {
    let text = std::fs::read_to_string(file).expect("readable");
    let mut samples: Vec<(i64, u64)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (time, value) = line.split_once(',').expect("two columns");
            let time: jiff::civil::DateTime = time.parse().expect("a time");
            let time = jiff::tz::TimeZone::UTC.to_timestamp(time).expect("in UTC");
            sample(time.as_microsecond(), value)
        })
        .collect();
    samples.sort_unstable();
    samples
}

fn sample(time: i64, value: &str) -> (i64, u64) {
    (time, value.parse::<f64>().expect("a number").to_bits())
}

fn event(payload: &str) -> [String; 3] {
    let event: serde_json::Value = serde_json::from_str(payload).expect("JSON");
    ["state", "started_at", "updated_at"]
        .map(|key| event[key].as_str().unwrap_or_default().to_owned())
}
