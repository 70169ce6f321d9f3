//! Whether everything that `fill` has made is there after a start.

use std::fs;
use std::path::Path;

use mqtt::client::{Connect, ServerPacket};
use mqtt::{Qos, Version, encode};
use testkit::mqtt::Client;
use testkit::{ChildGuard, wait_until};

use super::fill::packet;
use super::{DEVICE, PENDING, SECRET_FILE, connect, kept, user};
use crate::server::{PATIENCE, Setup, millrace};
use crate::sqlite;

/// Starts on a folder that was filled, and looks for everything.
pub(super) fn check(folder: &Path, setup: &Setup) {
    verify(setup);
    let server = setup.start();
    retained(setup);
    rest(folder, setup, &server);
}

/// As `check`, of a folder whose retained messages are damaged; what the server has said.
pub(super) fn check_all_but_retained(folder: &Path, setup: &Setup) -> Vec<String> {
    let server = setup.start();
    rest(folder, setup, &server);
    server.lines()
}

/// Every log can be read before the start.
fn verify(setup: &Setup) {
    let mut command = millrace();
    let command = command
        .args(["journal", "verify", "--data"])
        .arg(&setup.data);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    for log in ["retained messages", "published alerts", "device cache"] {
        let line = out.lines().find(|line| line.contains(log));
        let is_filled = line.is_some_and(|line| line.starts_with("ok ") && !line.contains(": 0 "));
        assert!(is_filled, "{log}: {out}");
    }
}

fn retained(setup: &Setup) {
    let (mut line, _) = connect(setup, &user(Version::V5, "retained"));
    line.subscribe("plant/#");
    let mut seen: Vec<_> = (0..4).map(|_| line.receive(describe)).collect();
    seen.sort();
    let large = format!("plant/large = {} at 1, site north", "x".repeat(20_000));
    let expected = [
        "plant/kept = 1 at 1, site north",
        large.as_str(),
        "plant/replaced = 3 at 1, expires, site north",
        "plant/will = gone at 1",
    ];
    for (seen, expected) in seen.iter().zip(expected) {
        assert_eq!(seen.as_deref(), Some(expected));
    }
    line.is_served();
}

/// A retained message with all that belongs to it.
fn describe(packet: &ServerPacket<'_>) -> String {
    let ServerPacket::Publish(publish) = packet else {
        panic!("no publish: {packet:?}");
    };
    assert!(publish.retain);
    let payload = String::from_utf8_lossy(publish.payload);
    let mut text = format!("{} = {payload} at {}", publish.topic, publish.qos as u8);
    if publish.properties.message_expiry.is_some() {
        text.push_str(", expires");
    }
    for (name, value) in publish.properties.user_properties().iter() {
        text.push_str(&format!(", {name} {value}"));
    }
    text
}

fn rest(folder: &Path, setup: &Setup, server: &ChildGuard) {
    readings(setup);
    alerts(setup);
    sessions(setup);
    unfinished_publishes(setup);
    credentials(folder, setup);
    let lines = server.lines();
    let error = lines.iter().find(|line| line.contains("ERROR"));
    assert!(error.is_none(), "{error:?}");
}

/// What was pending is stored, and nothing twice.
fn readings(setup: &Setup) {
    let counts = "SELECT device, count(*) FROM telemetry GROUP BY device ORDER BY device";
    let pending = PENDING.to_string();
    let expected = [
        ["kettle", "1"],
        ["oven", "1"],
        ["press", "1"],
        ["pump", &pending],
    ];
    wait_until(
        "a row of each reading",
        PATIENCE,
        || sqlite::query(&setup.data, counts),
        |rows| rows == &expected,
    );
}

/// Both alerts fire, and each was published once: the second one before the kill, though only the
/// log of published alerts knows that.
fn alerts(setup: &Setup) {
    wait_until(
        "the events of both alerts in the database",
        PATIENCE,
        || sqlite::query(&setup.data, "SELECT device FROM alert_events ORDER BY time"),
        |rows| rows == &[["kettle"], ["oven"]],
    );
    let mut console = resume(setup, Version::V5, "console");
    for device in ["kettle", "oven"] {
        let event = console.next();
        let topic = format!("alerts/critical/{device}/hot = ");
        assert!(event.starts_with(&topic), "{event}");
    }
    console.is_served();
    let (mut line, _) = connect(setup, &user(Version::V311, "active"));
    line.subscribe("alerts/active/#");
    let mut active = [line.next(), line.next()];
    active.sort();
    assert!(active[0].starts_with("alerts/active/kettle/hot = "));
    assert!(active[1].starts_with("alerts/active/oven/hot = "));
    assert!(active.iter().all(|alert| alert.ends_with(" retained")));
}

fn sessions(setup: &Setup) {
    let mut queued = resume(setup, Version::V311, "queued");
    assert_eq!(queued.next(), "line/1 = once or more");
    assert_eq!(queued.next(), "line/2 = once");
    assert_eq!(queued.next(), "line/3 = once");
    queued.is_served();
    let mut worker = resume(setup, Version::V5, "worker");
    assert_eq!(worker.next(), "jobs = weld");
    worker.is_served();
    let mut flight = resume(setup, Version::V311, "flight");
    assert_eq!(flight.next(), "work/1 = a again");
    assert_eq!(flight.next(), "work/2 = b again");
    assert_eq!(flight.next(), "pubrel 3");
    flight.is_served();
    // The subscriptions are there as well.
    let (mut source, _) = connect(setup, &user(Version::V5, "source"));
    source.publish("work/4", b"c", 1, false);
    assert_eq!(flight.next(), "work/4 = c");
}

/// The client publishes again what it has no PUBCOMP for: nobody gets it a second time.
fn unfinished_publishes(setup: &Setup) {
    let mut sender = resume(setup, Version::V311, "sender");
    for (id, topic, payload) in [
        (1, "devices/press/telemetry", r#"{"t": 1}"#),
        (2, "line/3", "once"),
    ] {
        sender.publish_at(Qos::ExactlyOnce, topic, payload.as_bytes(), id, false);
        assert_eq!(sender.next(), format!("pubrec {id}"));
        sender.send(&packet(encode::pubrel, id));
        assert_eq!(sender.next(), format!("pubcomp {id}"));
    }
    let mut queued = resume(setup, Version::V311, "queued");
    for (id, message) in (1..).zip(["line/1 = once or more", "line/2 = once", "line/3 = once"]) {
        assert_eq!(queued.next(), format!("{message} again"), "{id}");
    }
    queued.is_served();
    readings(setup);
}

fn credentials(folder: &Path, setup: &Setup) {
    let secret = fs::read_to_string(folder.join(SECRET_FILE)).expect("readable");
    let device = |password| Connect {
        user: Some(DEVICE),
        password: Some(password),
        ..Connect::new(Version::V311, DEVICE)
    };
    assert_eq!(connect(setup, &device(secret.as_bytes())).1, "connack 0");
    assert_eq!(connect(setup, &device(b"a guess")).1, "connack 4");
    let nobody = Connect::new(Version::V311, "nobody");
    assert_ne!(connect(setup, &nobody).1, "connack 0");
}

/// A session that must be there.
fn resume(setup: &Setup, version: Version, client_id: &str) -> Client {
    let (line, answer) = connect(setup, &kept(version, client_id));
    assert_eq!(answer, "connack 0 present", "{client_id}");
    line
}
