//! What a console sees: the alerts that are active now, and each change once, also when Millrace
//! was stopped or killed in between.

mod check;
mod observer;

use std::collections::HashMap;
use std::path::Path;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::{Journal as _, LocalJournal, Record, RecordBatch};
use mqtt::Version;
use testkit::mqtt::Client;
use testkit::{ChildGuard, wait_until};

use crate::server::{PATIENCE, Setup, millrace};
use crate::sqlite;
use observer::Observer;

const RULES: &str = r#"
[[rule]]
name = "hot"
metric = "temperature"
above = 90
clear = 85
severity = "critical"
"#;

#[test]
fn a_late_console_sees_exactly_what_is_active_also_after_a_stop_and_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path(), RULES);
    let mut server = setup.start();
    let observer = Observer::start(&setup);
    for device in ["a", "b", "c"] {
        report(&setup, device, 95);
        observer.wait_for(device, "hot", "firing");
    }
    report(&setup, "b", 80);
    observer.wait_for("b", "hot", "resolved");
    assert_eq!(active_seen_by_a_late_console(&setup), ["a/hot", "c/hot"]);

    server.signal("TERM");
    assert!(server.wait(PATIENCE).success(), "{:#?}", server.lines());
    let mut server = setup.start();
    assert_eq!(active_seen_by_a_late_console(&setup), ["a/hot", "c/hot"]);

    server.kill();
    let mut server = setup.start();
    assert_eq!(active_seen_by_a_late_console(&setup), ["a/hot", "c/hot"]);
    // The state survived as well: one that fires already does not fire again, and it resolves.
    observer.wait_for_retained("c");
    report(&setup, "a", 99);
    report(&setup, "c", 80);
    observer.wait_for("c", "hot", "resolved");
    assert_eq!(active_seen_by_a_late_console(&setup), ["a/hot"]);

    let expected = [
        (("a", "hot", "firing"), 1),
        (("b", "hot", "firing"), 1),
        (("b", "hot", "resolved"), 1),
        (("c", "hot", "firing"), 1),
        (("c", "hot", "resolved"), 1),
    ];
    observer.assert_counts(&expected);
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success(), "{:#?}", server.lines());
    assert_stored(&setup, &expected);
}

/// Killed at the worst moment: an event is out, and its commit may not be.
#[test]
fn nothing_fires_twice_when_killed_right_after_it_fired() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path(), RULES);
    let mut server = setup.start();
    let observer = Observer::start(&setup);
    let devices: Vec<String> = (0..6).map(|number| format!("d{number}")).collect();
    for device in &devices {
        report(&setup, device, 95);
        observer.wait_for(device, "hot", "firing");
        server.kill();
        server = setup.start();
        observer.wait_for_retained(device);
    }
    for device in &devices {
        report(&setup, device, 80);
        observer.wait_for(device, "hot", "resolved");
    }
    let expected: Vec<_> = devices
        .iter()
        .flat_map(|device| ["firing", "resolved"].map(|state| ((device.as_str(), "hot", state), 1)))
        .collect();
    assert!(active_seen_by_a_late_console(&setup).is_empty());
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success(), "{:#?}", server.lines());
    observer.assert_counts(&expected);
    assert_stored(&setup, &expected);
}

#[test]
fn a_device_that_stops_fires_and_one_that_comes_back_resolves() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = "[[rule]]\nname = \"silent\"\nsilent_for = \"1s\"\n";
    let setup = setup(folder.path(), rules);
    let _server = setup.start();
    let observer = Observer::start(&setup);
    report(&setup, "pump", 20);
    observer.wait_for("pump", "silent", "firing");
    assert_eq!(active_seen_by_a_late_console(&setup), ["pump/silent"]);
    report(&setup, "pump", 21);
    observer.wait_for("pump", "silent", "resolved");
}

/// A gateway without a clock chip: what came while its clock was ahead mutes nothing once it is
/// right.
#[test]
fn messages_received_in_the_future_mute_no_alert() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = format!("{RULES}\n[[rule]]\nname = \"silent\"\nsilent_for = \"1s\"\n");
    let setup = setup(folder.path(), &rules);
    receive_in_an_hour(&setup.data, "pump");
    let mut server = setup.start();
    server.wait_for_line("received in the future", PATIENCE);
    let observer = Observer::start(&setup);
    report(&setup, "pump", 95);
    observer.wait_for("pump", "hot", "firing");
    observer.wait_for("pump", "silent", "firing");
}

#[test]
fn watch_prints_what_is_active_and_what_happens_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path(), RULES);
    let _server = setup.start();
    let observer = Observer::start(&setup);
    report(&setup, "early", 95);
    observer.wait_for("early", "hot", "firing");
    let mut command = millrace();
    command.args([
        "watch",
        "--json",
        "--port",
        &setup.address.port().to_string(),
    ]);
    let mut watch = ChildGuard::spawn(&mut command);
    watch.wait_for_line("\"device\":\"early\"", PATIENCE);
    report(&setup, "late", 97);
    let line = watch.wait_for_line("\"device\":\"late\"", PATIENCE);
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["rule"], "hot");
    assert_eq!(event["state"], "firing");
    assert_eq!(event["severity"], "critical");
    assert_eq!(event["value"], 97.0);
    watch.signal("INT");
    assert!(watch.wait(PATIENCE).success(), "{:#?}", watch.lines());
}

fn setup(folder: &Path, rules: &str) -> Setup {
    let file = folder.join("alerts.toml");
    std::fs::write(&file, rules).expect("rules");
    Setup::new(folder).with("MILLRACE_ALERTS__RULES", file.display())
}

/// Writes a journal with a message whose time of receipt lies an hour ahead.
fn receive_in_an_hour(data: &Path, device: &str) {
    let settings = journal::Settings::default();
    let (journal, _) =
        LocalJournal::open_dir(&data.join("journal"), settings).expect("a new journal");
    let hour = Duration::from_secs(3600);
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let mut batch = RecordBatch::default();
    batch.push(&Record {
        received_at: (since_1970 + hour).as_micros() as i64,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: device,
        user: "",
        topic: &format!("devices/{device}/telemetry"),
        payload: br#"{"temperature": 20}"#,
    });
    journal
        .append(&mut batch, Waker::noop())
        .expect("there is room");
    journal.close();
}

/// Publishes one temperature at QoS 1 and waits for its acknowledgement.
fn report(setup: &Setup, device: &str, temperature: i32) {
    let mut line = Client::connect(setup.address, Version::V5, &format!("device-{device}"));
    let payload = format!("{{\"temperature\": {temperature}}}");
    line.publish(
        &format!("devices/{device}/telemetry"),
        payload.as_bytes(),
        1,
        false,
    );
    assert_eq!(line.next(), "puback 1");
    line.disconnect();
}

/// `device/rule` of each retained alert, sorted. A marker published afterwards ends the list, so
/// that one alert too many would be seen.
fn active_seen_by_a_late_console(setup: &Setup) -> Vec<String> {
    let mut console = Client::connect(setup.address, Version::V311, "late-console");
    console.subscribe("marker");
    console.subscribe("alerts/active/#");
    // Retained messages are queued before anything that is published after SUBACK. The marker has a
    // topic of its own, since nobody but Millrace publishes alerts.
    console.publish("marker", b"end", 0, false);
    let mut active = Vec::new();
    loop {
        let next = console.next();
        if next == "marker = end" {
            break;
        }
        let (topic, rest) = next.split_once(" = ").expect("a publish");
        assert!(rest.ends_with(" retained"), "{next}");
        let name = topic.strip_prefix("alerts/active/").expect("an alert");
        active.push(name.to_owned());
    }
    console.disconnect();
    active.sort_unstable();
    active
}

fn assert_stored(setup: &Setup, expected: &[((&str, &str, &str), usize)]) {
    let sql = "SELECT device, rule, state, count(*) FROM alert_events GROUP BY 1, 2, 3";
    let stored: HashMap<(String, String, String), usize> = wait_until(
        "the events to be stored",
        PATIENCE,
        || sqlite::query(&setup.data, sql),
        |rows| rows.len() >= expected.len(),
    )
    .into_iter()
    .map(|row| {
        let count = row[3].parse().expect("a count");
        let [device, rule, state, _] = <[String; 4]>::try_from(row).expect("four columns");
        ((device, rule, state), count)
    })
    .collect();
    assert_eq!(stored, observer::owned(expected));
}
