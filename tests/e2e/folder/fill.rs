//! One of everything that a data folder can hold, and then a kill.

use std::fs;
use std::path::Path;

use mqtt::client::Will;
use mqtt::{Qos, ReasonCode, Version, encode};
use rusqlite::Connection;
use testkit::mqtt::Client;
use testkit::wait_until;

use super::{DEVICE, PASSWORD, PENDING, SECRET_FILE, USER, connect, kept, rules_file, user};
use crate::auth;
use crate::server::{PATIENCE, Setup, millrace};
use crate::sqlite;

const RULES: &str = r#"
[[rule]]
name = "hot"
metric = "temperature"
above = 90
clear = 85
severity = "critical"
"#;

/// Fills the data folder of `setup`, and kills the server that did it.
pub(super) fn fill(folder: &Path, setup: &Setup) {
    fs::write(rules_file(folder), RULES).expect("written");
    credentials(folder, setup);
    let mut server = setup.start();
    retained(setup);
    let away = sessions_of_absent_clients(setup);
    let flight = in_flight(setup);
    let sender = unfinished_publishes(setup);
    let mut watch = new(setup, "watch");
    watch.subscribe("alerts/critical/#");
    report(setup, "kettle", r#"{"temperature": 95}"#);
    assert!(watch.next().starts_with("alerts/critical/kettle/hot = "));
    wait_until(
        "what was published so far to be stored",
        PATIENCE,
        || sqlite::query(&setup.data, "SELECT device FROM alert_events"),
        |rows| rows == &[["kettle"]],
    );

    // From here on nothing is stored any more.
    let holder = Connection::open(setup.data.join("millrace.db")).expect("opened");
    holder.busy_timeout(PATIENCE).expect("set");
    holder.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    for number in 0..PENDING {
        report(setup, "pump", &format!("{{\"t\": {number}}}"));
    }
    report(setup, "oven", r#"{"temperature": 99}"#);
    assert!(watch.next().starts_with("alerts/critical/oven/hot = "));
    // Its CONNACK waits for the log of sessions: then the console's copy of that alert is on the
    // disk.
    let last = begin(setup, &kept(Version::V311, "last"));
    server.kill();
    drop((away, flight, sender, last));
    holder.execute_batch("ROLLBACK").expect("released");
}

fn credentials(folder: &Path, setup: &Setup) {
    let added = auth::user(&setup.data, &format!("add {USER} --group admins"), PASSWORD);
    assert!(added.status.success(), "{added:?}");
    let mut command = millrace();
    command.args(["device", "add", "--create", "--json", DEVICE]);
    let added = command.arg("--data").arg(&setup.data).output();
    let added = added.expect("it starts");
    assert!(added.status.success(), "{added:?}");
    let issued: serde_json::Value = serde_json::from_slice(&added.stdout).expect("JSON");
    let secret = issued[0]["secret"].as_str().expect("a secret");
    fs::write(folder.join(SECRET_FILE), secret).expect("written");
}

fn retained(setup: &Setup) {
    let mut line = new(setup, "retainer");
    let mut keep = |packet_id, topic, payload: &[u8], message_expiry| {
        let mut bytes = Vec::new();
        let publish = encode::Publish {
            qos: Qos::AtLeastOnce,
            retain: true,
            topic,
            packet_id,
            payload,
            message_expiry,
            // A user property, "site" = "north".
            properties: b"\x26\x00\x04site\x00\x05north",
            ..Default::default()
        };
        encode::publish(&mut bytes, Version::V5, &publish);
        line.send(&bytes);
        assert!(line.next().starts_with(&format!("puback {packet_id}")));
    };
    keep(1, "plant/cleared", b"x", None);
    keep(2, "plant/kept", b"1", None);
    keep(3, "plant/replaced", b"2", None);
    keep(4, "plant/replaced", b"3", Some(u32::MAX - 1));
    keep(5, "plant/large", &[b'x'; 20_000], None);
    keep(6, "plant/cleared", b"", None);
}

/// Clients that are away and have messages waiting. Their connections must stay until the end: the
/// will of one of them is to be published by the next start.
fn sessions_of_absent_clients(setup: &Setup) -> Vec<Client> {
    let mut willing = kept(Version::V5, "willing");
    willing.will = Some(Will {
        topic: "plant/will",
        payload: b"gone",
        qos: Qos::AtLeastOnce,
        retain: true,
        ..Will::default()
    });
    let willing = begin(setup, &willing);
    let mut console = begin(setup, &kept(Version::V5, "console"));
    console.subscribe("alerts/critical/#");
    console.disconnect();
    let mut queued = begin(setup, &kept(Version::V311, "queued"));
    queued.ask_at("line/+", Qos::ExactlyOnce);
    assert_eq!(queued.next(), "suback [2]");
    queued.disconnect();
    let mut worker = begin(setup, &kept(Version::V5, "worker"));
    worker.subscribe("$share/group/jobs");
    worker.disconnect();
    for mut line in [console, queued, worker] {
        assert_eq!(line.next(), "closed");
    }
    let mut source = new(setup, "source");
    source.publish("line/1", b"once or more", 1, false);
    assert!(source.next().starts_with("puback 1"));
    source.publish_at(Qos::ExactlyOnce, "line/2", b"once", 2, false);
    assert_eq!(source.next(), "pubrec 2");
    source.send(&packet(encode::pubrel, 2));
    assert_eq!(source.next(), "pubcomp 2");
    source.publish("jobs", b"weld", 3, false);
    assert!(source.next().starts_with("puback 3"));
    vec![willing]
}

/// A client that acknowledges nothing but the last message, and that not to its end.
fn in_flight(setup: &Setup) -> Client {
    let mut flight = begin(setup, &kept(Version::V311, "flight"));
    flight.ask_at("work/#", Qos::ExactlyOnce);
    assert_eq!(flight.next(), "suback [2]");
    let mut source = new(setup, "source");
    source.publish("work/1", b"a", 1, false);
    assert!(source.next().starts_with("puback 1"));
    for id in [2, 3] {
        source.publish_at(Qos::ExactlyOnce, &format!("work/{id}"), b"b", id, false);
        assert_eq!(source.next(), format!("pubrec {id}"));
    }
    for id in 1..=3 {
        assert!(flight.next().starts_with(&format!("work/{id} = ")));
    }
    flight.send(&packet(encode::pubrec, 3));
    assert_eq!(flight.next(), "pubrel 3");
    flight
}

/// Publishes at QoS 2 of which the client has PUBREC and the server no PUBREL.
fn unfinished_publishes(setup: &Setup) -> Client {
    let mut sender = begin(setup, &kept(Version::V311, "sender"));
    sender.publish_at(
        Qos::ExactlyOnce,
        "devices/press/telemetry",
        br#"{"t": 1}"#,
        1,
        false,
    );
    assert_eq!(sender.next(), "pubrec 1");
    sender.publish_at(Qos::ExactlyOnce, "line/3", b"once", 2, false);
    assert_eq!(sender.next(), "pubrec 2");
    sender
}

/// A session that is not there yet.
fn begin(setup: &Setup, how: &mqtt::client::Connect<'_>) -> Client {
    let (line, answer) = connect(setup, how);
    assert_eq!(answer, "connack 0");
    line
}

fn new(setup: &Setup, client_id: &str) -> Client {
    begin(setup, &user(Version::V5, client_id))
}

fn report(setup: &Setup, device: &str, payload: &str) {
    let mut line = new(setup, device);
    let topic = format!("devices/{device}/telemetry");
    line.publish(&topic, payload.as_bytes(), 1, false);
    assert!(line.next().starts_with("puback 1"));
}

/// A packet without a reason, in the dialect of 3.1.1, which MQTT 5 understands.
pub(super) fn packet(
    encode: fn(&mut Vec<u8>, Version, u16, ReasonCode),
    packet_id: u16,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, Version::V311, packet_id, ReasonCode::Success);
    bytes
}
