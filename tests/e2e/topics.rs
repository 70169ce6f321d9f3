//! What topics mean, seen from outside: what devices are called, and what is said where nothing is
//! taken.

use std::fs;
use std::process::Command;

use testkit::{ChildGuard, wait_until};

use crate::server::{PATIENCE, Setup, millrace, mosquitto_sub};
use crate::sqlite;

const RULES: &str = "[[rule]]\nname = \"hot\"\ndevice = \"north/*\"\nmetric = \"t\"\nabove = 90\n";

fn publish(setup: &Setup, topic: &str, payload: &str) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &setup.address.port().to_string()]);
    let output = command
        .args(["-q", "1", "-t", topic, "-m", payload])
        .output();
    let output = output.expect("mosquitto_pub: `make test` installs it");
    assert!(output.status.success(), "{output:?}");
}

/// Two presses of one name, and the two relays of one switch.
#[test]
fn machines_of_one_name_are_two_devices() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("alerts.toml"), RULES).expect("written");
    let topics = r#"["{site}/{line}/{device}/data", "shellies/{device}/relay/{channel}/{metric}"]"#;
    let setup = Setup::new(&folder.path().join("data"))
        .with("MILLRACE_INGEST__TOPICS", topics)
        .with(
            "MILLRACE_ALERTS__RULES",
            folder.path().join("alerts.toml").display(),
        );
    let _server = setup.start();
    let mut alerts = mosquitto_sub(&setup, "5", "alerts/active/#", "%t %p");
    let mut alerts = ChildGuard::spawn(&mut alerts);

    publish(&setup, "south/1/press-7/data", r#"{"t": 95}"#);
    publish(&setup, "north/4/press-7/data", r#"{"t": 95}"#);
    publish(&setup, "shellies/hall/relay/0/power", "1");
    publish(&setup, "shellies/hall/relay/1/power", "2");

    let alert = alerts.wait_for_line("alerts/active/", PATIENCE);
    let topic = "alerts/active/north%2F4%2Fpress-7/hot ";
    assert!(alert.starts_with(topic), "{alert}");
    assert!(alert.contains(r#""device":"north/4/press-7""#), "{alert}");
    let rows = "select device, metric, value, labels from telemetry order by device";
    let expected = [
        ["hall/0", "power", "1", r#"{"channel":"0"}"#],
        ["hall/1", "power", "2", r#"{"channel":"1"}"#],
        [
            "north/4/press-7",
            "t",
            "95",
            r#"{"line":"4","site":"north"}"#,
        ],
        [
            "south/1/press-7",
            "t",
            "95",
            r#"{"line":"1","site":"south"}"#,
        ],
    ];
    let found = wait_until(
        "four rows",
        PATIENCE,
        || sqlite::query(&setup.data, rows),
        |rows| rows.len() >= expected.len(),
    );
    assert_eq!(found, expected);
}

/// A template with a name that does not tell its machines apart.
#[test]
fn machines_that_are_mixed_are_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let topics = r#"[{ topic = "{site}/{device}/data", device = "{device}" }]"#;
    let setup = Setup::new(&folder.path().join("data")).with("MILLRACE_INGEST__TOPICS", topics);
    let mut server = setup.start();
    for _ in 0..3 {
        publish(&setup, "north/press-7/data", r#"{"t": 1}"#);
        publish(&setup, "south/press-7/data", r#"{"t": 2}"#);
    }
    let told = server.wait_for_line("name different labels", PATIENCE);
    for part in ["WARN", "press-7", "north", "topic=\"south/press-7/data\""] {
        assert!(told.contains(part), "{told}");
    }
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success());
    let lines = server.lines();
    let told = lines
        .iter()
        .filter(|line| line.contains("name different labels"));
    assert!(told.count() <= 1);
}

/// The first thing that many try, and a topic of their own devices.
#[test]
fn a_publish_that_nobody_takes_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup =
        Setup::new(&folder.path().join("data")).with("MILLRACE_BROKER__SYS_INTERVAL", "100ms");
    let mut server = setup.start();
    publish(&setup, "sensors/b", r#"{"temperature": 21.5}"#);
    let told = server.wait_for_line("no template matches this topic", PATIENCE);
    for part in [
        "INFO",
        "topic=\"sensors/b\"",
        r#"topics = [..., "sensors/{device}"]"#,
    ] {
        assert!(told.contains(part), "{told}");
    }
    for sensor in ["b", "c", "d"] {
        publish(&setup, &format!("sensors/{sensor}"), "21.5");
    }
    publish(&setup, "devices/a/telemetry", "21.5");
    publish(&setup, "alerts/command/x", "21.5");
    let topic = "$SYS/broker/publish/messages/unmatched";
    let mut counter = ChildGuard::spawn(&mut mosquitto_sub(&setup, "5", topic, "= %p ."));
    counter.wait_for_line("= 5 .", PATIENCE);

    // As somebody would go on: what the line says, and a start with it.
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success());
    let lines = server.lines();
    let told = lines
        .iter()
        .filter(|line| line.contains("no template matches"));
    assert_eq!(told.count(), 1, "{lines:#?}");
    let setup = setup.with(
        "MILLRACE_INGEST__TOPICS",
        r#"["devices/{device}/telemetry", "sensors/{device}"]"#,
    );
    let _server = setup.start();
    publish(&setup, "sensors/b", r#"{"temperature": 21.5}"#);
    let rows = "select device, value from telemetry where metric = 'temperature'";
    wait_until(
        "the row",
        PATIENCE,
        || sqlite::query(&setup.data, rows),
        |rows| *rows == [["b", "21.5"]],
    );
}

#[test]
fn the_exit_code_of_explain_says_whether_a_topic_is_telemetry() {
    for (arguments, code, said) in [
        ("explain devices/boiler-1/telemetry", 0, "device  boiler-1"),
        ("explain sensors/b", 1, "\"sensors/{device}\"]"),
        ("explain a/+", 2, "has a wildcard in a topic name"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = millrace();
        command.arg("topics").args(arguments.split(' '));
        let mut child = ChildGuard::spawn(command.current_dir(folder.path()));
        let status = child.wait(PATIENCE);
        let output = child.lines().join("\n");
        assert_eq!(status.code(), Some(code), "{output}");
        assert!(output.contains(said), "{output}");
    }
}
