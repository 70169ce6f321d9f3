use std::path::Path;

use super::*;
use crate::Scenario;
use crate::scenario::{Load, Settings};

/// 2025-01-01T00:00:00Z.
const START_US: i64 = 1_735_689_600_000_000;

fn settings(scenario: &str) -> Settings {
    Scenario::parse(scenario, Path::new("test.toml"))
        .unwrap()
        .resolve()
        .unwrap()
}

/// The source of one connection, started at `START_US`.
fn source(scenario: &str, connection: usize) -> (FleetSource, Arc<FaultCounters>) {
    let settings = settings(scenario);
    let Load::Fleets(fleets) = &settings.load else {
        panic!("a replay")
    };
    let counters = Arc::new(FaultCounters::default());
    let place = Place {
        connection,
        client_id: "client",
        user: "user",
        first_device: 0,
        seed: settings.seed,
        fixed_start_us: settings.start_time_us,
        wants_lines: true,
    };
    let kinds = Kind::of_fleet(&fleets[0]);
    let mut source = FleetSource::new(&fleets[0], &kinds, place, Arc::clone(&counters));
    source.start(START_US);
    (source, counters)
}

struct Sent {
    at_ms: u128,
    topic: String,
    payload: serde_json::Value,
    lines: Vec<String>,
    copies: u8,
}

fn all(scenario: &str, connection: usize) -> Vec<Sent> {
    let (mut source, _) = source(scenario, connection);
    let mut list = Vec::new();
    loop {
        let at = match source.due() {
            Due::At(offset) => offset,
            Due::Now => Duration::ZERO,
            Due::Never => return list,
        };
        let mut message = Message::default();
        source.next(at, &mut message);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        list.push(Sent {
            at_ms: at.as_millis(),
            topic: text(message.topic),
            payload: serde_json::from_slice(&message.payload).unwrap_or_default(),
            lines: text(message.lines).lines().map(str::to_owned).collect(),
            copies: message.copies,
        });
    }
}

#[test]
fn devices_of_a_connection_take_turns_with_their_own_topics() {
    let scenario = r#"
        seed = 1
        duration = "2s"
        [[fleet]]
        count = 4
        connections = 2
        profile = ["boiler", "gps"]
        topic = "%u/%c/{profile}/{device}/%i"
    "#;
    let sent = all(scenario, 1);
    let list: Vec<(u128, &str)> = sent
        .iter()
        .map(|sent| (sent.at_ms, sent.topic.as_str()))
        .collect();
    assert_eq!(
        list,
        [
            (250, "user/client/gps/gps-0002/2"),
            (750, "user/client/gps/gps-0004/4"),
            (1_250, "user/client/gps/gps-0002/2"),
            (1_750, "user/client/gps/gps-0004/4"),
        ]
    );
    let first = &sent[0];
    assert_eq!(first.payload["ts"], START_US + 250_000);
    assert_eq!(first.payload.as_object().unwrap().len(), 5);
    let battery = format!(
        "gps-0002,battery,{},{}",
        START_US + 250_000,
        first.payload["battery"]
    );
    assert_eq!((first.lines.len(), &first.lines[3]), (4, &battery));
}

#[test]
fn a_batch_carries_the_samples_since_the_last_one() {
    let scenario = r#"
        seed = 1
        [[fleet]]
        count = 1
        messages = 2
        payload = "batch"
        batch-size = 4
        interval = "2s"
    "#;
    let sent = all(scenario, 0);
    let times: Vec<i64> = sent[1]
        .payload
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| sample["ts"].as_i64().unwrap() - START_US)
        .collect();
    assert_eq!(times, [500_000, 1_000_000, 1_500_000, 2_000_000]);
    assert_eq!(sent[1].lines.len(), 12);
}

#[test]
fn a_late_batch_is_sent_as_one_array_and_nothing_of_it_is_lost() {
    let base = "seed = 1\n[[fleet]]\ncount = 1\nmessages = 12\n";
    let healthy = all(base, 0);
    let late = all(&format!("{base}fault = \"late-batch:at=3s,for=4s\""), 0);
    let copies: Vec<u8> = late.iter().map(|sent| sent.copies).collect();
    assert_eq!(copies, [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    let array = late[8].payload.as_array().unwrap();
    assert_eq!(array.len(), 6);
    assert_eq!(array[0], healthy[3].payload);

    let lines = |sent: &[Sent]| -> Vec<String> {
        sent.iter().flat_map(|sent| sent.lines.clone()).collect()
    };
    assert_eq!(lines(&late), lines(&healthy));

    // The run ends while the device holds back: the last message brings it all.
    let late = all(&format!("{base}fault = \"late-batch:at=3s,for=1h\""), 0);
    assert_eq!(late[11].copies, 1);
    assert_eq!(lines(&late), lines(&healthy));
}

#[test]
fn duplicates_are_sent_twice_and_written_once() {
    let sent = all(
        "seed = 1\n[[fleet]]\ncount = 1\nmessages = 3\nfault = \"duplicate:at=1s\"",
        0,
    );
    assert_eq!(
        sent.iter().map(|sent| sent.copies).collect::<Vec<_>>(),
        [1, 2, 1]
    );
    assert!(sent.iter().all(|sent| sent.lines.len() == 3));
}

#[test]
fn a_device_that_drops_out_is_silent_and_is_counted() {
    let scenario = "seed = 1\n[[fleet]]\ncount = 1\nmessages = 6\nfault = \"dropout:at=2s,for=1s\"";
    let sent = all(scenario, 0);
    assert_eq!(
        sent.iter().map(|sent| sent.copies).collect::<Vec<_>>(),
        [1, 1, 0, 0, 1, 1]
    );

    let (mut source, counters) = source(scenario, 0);
    for second in 0..6 {
        source.next(Duration::from_secs(second), &mut Message::default());
    }
    let begun: Vec<_> = counters.begun().collect();
    assert_eq!(begun, [(crate::FaultKind::Dropout, 1)]);
    assert_eq!(source.left(), Some(0));
}

#[test]
fn at_the_pace_max_times_follow_the_clock_or_the_seed() {
    let free = "seed = 1\n[[fleet]]\ncount = 2\nconnections = 1\nrate = \"max\"\nmessages = 4";
    let (mut free_source, _) = source(free, 0);
    let mut times = Vec::new();
    for micros in [5, 5, 5, 9] {
        let mut message = Message::default();
        free_source.next(Duration::from_micros(micros), &mut message);
        times.push(message.time_us - START_US);
    }
    assert_eq!(times, [5, 5, 6, 9]);

    let fixed = format!("start-time = \"2025-01-01T00:00:00Z\"\n{free}");
    let times: Vec<i64> = all(&fixed, 0)
        .iter()
        .map(|sent| sent.payload["ts"].as_i64().unwrap() - START_US)
        .collect();
    assert_eq!(times, [0, 0, 1_000_000, 1_000_000]);
}
