//! The clients that people have: mosquitto's, paho-mqtt and mqtt.js, in both versions of the
//! protocol.

mod encrypted;
mod own;
mod revoked;

use std::path::Path;
use std::process::{Command, Output};

use testkit::{ChildGuard, wait_until};

use crate::server::{PATIENCE, Setup, mosquitto_sub};
use crate::sqlite;

const RULES: &str =
    "[[rule]]\nname = \"hot\"\nmetric = \"temperature\"\nabove = 90\nseverity = \"critical\"\n";
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];
const MESSAGES: usize = 200;

#[test]
fn paho_publishes_telemetry_and_hears_alerts() {
    hears_alerts("paho", paho);
}

#[test]
fn mqtt_js_publishes_telemetry_and_hears_alerts() {
    hears_alerts("mqttjs", mqtt_js);
}

fn paho() -> Command {
    let mut command = Command::new("python3");
    command.env(
        "PYTHONPATH",
        repository().join("target/test-clients/python"),
    );
    command.arg(script("telemetry.py"));
    command
}

fn mqtt_js() -> Command {
    let mut command = Command::new("node");
    command.arg(script("telemetry.mjs"));
    command
}

fn hears_alerts(name: &str, client: impl Fn() -> Command) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = with_rules(folder.path());
    let _server = setup.start();
    let port = setup.address.port();
    speaks_both_versions(&setup, name, port, &[], client);
}

/// In whose data folder the rules lie that the clients wait for.
fn with_rules(folder: &Path) -> Setup {
    let rules = folder.join("alerts.toml");
    std::fs::write(&rules, RULES).expect("rules");
    Setup::new(folder).with("MILLRACE_ALERTS__RULES", rules.display())
}

/// Runs the client in both versions; every reading must become a row, and its alert must come back
/// to it.
fn speaks_both_versions(
    setup: &Setup,
    name: &str,
    port: u16,
    transport: &[&str],
    client: impl Fn() -> Command,
) {
    for version in ["3", "5"] {
        let device = format!("{name}-{version}");
        let mut command = client();
        command.arg(port.to_string());
        command.args([version, &device, &MESSAGES.to_string()]);
        command.args(transport);
        let mut client = ChildGuard::spawn(&mut command);
        let status = client.wait(PATIENCE);
        let expected = [
            format!("acknowledged {MESSAGES}"),
            "alert hot firing".to_owned(),
        ];
        assert!(
            status.success() && client.lines() == expected,
            "{:#?}",
            client.lines()
        );
        wait_for_rows(setup, &device, MESSAGES);
    }
}

#[test]
fn mosquitto_pub_makes_rows_at_each_qos_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let device = format!("{version}-{qos}");
            let topic = format!("devices/{device}/telemetry");
            let flags = [
                "-V",
                version,
                "-q",
                qos,
                "-t",
                &topic,
                "-m",
                r#"{"temperature": 20.5}"#,
            ];
            assert!(publish(&setup, &flags).status.success(), "{flags:?}");
            wait_for_rows(&setup, &device, 1);
        }
    }
    // A batch from standard input's place: a payload of 100 KB is one reading of many metrics.
    let metrics: Vec<_> = (0..5_000)
        .map(|number| format!("\"m{number}\": {number}.125"))
        .collect();
    let payload = format!("{{{}}}", metrics.join(", "));
    assert!(payload.len() > 90_000);
    let file = folder.path().join("payload.json");
    std::fs::write(&file, payload).expect("a payload");
    let file = file.display().to_string();
    let flags = ["-q", "1", "-t", "devices/large/telemetry", "-f", &file];
    assert!(publish(&setup, &flags).status.success());
    wait_for_rows(&setup, "large", 5_000);
}

#[test]
fn mosquitto_clients_exchange_messages_across_versions() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    for from in VERSIONS {
        // Properties of MQTT 5, which 3.1.1 has no room for: they must not disturb a subscriber of
        // the older version.
        let properties: &[&str] = match from {
            "mqttv5" => &[
                "-D",
                "publish",
                "user-property",
                "k",
                "v",
                "-D",
                "publish",
                "content-type",
                "text/x",
            ],
            _ => &[],
        };
        let topic = format!("room/{from}");
        let retain = ["-V", from, "-q", "1", "-r", "-t", &topic, "-m", "on"];
        assert!(
            publish(&setup, &[&retain, properties].concat())
                .status
                .success()
        );
        for to in VERSIONS {
            // Retained first, then one that is sent while it listens.
            let mut subscriber = subscribe(&setup, to, "room/+", "%r %q %t %p");
            subscriber.wait_for_line(&format!("1 1 {topic} on"), PATIENCE);
            let live = ["-V", from, "-q", "1", "-t", &topic, "-m", to];
            assert!(
                publish(&setup, &[&live, properties].concat())
                    .status
                    .success()
            );
            subscriber.wait_for_line(&format!("0 1 {topic} {to}"), PATIENCE);
        }
        let clear = ["-V", from, "-r", "-n", "-t", &topic];
        assert!(publish(&setup, &clear).status.success());
    }
}

#[test]
fn properties_of_mqtt_5_arrive_as_they_were_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    let flags = [
        "-V",
        "mqttv5",
        "-q",
        "1",
        "-r",
        "-t",
        "room/a",
        "-m",
        "on", //
        "-D",
        "publish",
        "content-type",
        "text/x",
        "-D",
        "publish",
        "response-topic",
        "room/reply", //
        "-D",
        "publish",
        "user-property",
        "k",
        "v",
    ];
    assert!(publish(&setup, &flags).status.success());
    let mut subscriber = subscribe(&setup, "mqttv5", "room/#", "%p %C %R %P");
    subscriber.wait_for_line("on text/x room/reply k:v", PATIENCE);
}

#[test]
fn a_will_is_heard_when_a_mosquitto_client_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    let mut console = subscribe(&setup, "mqttv5", "status/+", "%t %p");
    // What it will be sent once its subscription stands proves that it is connected.
    assert!(
        publish(&setup, &["-r", "-t", "status/ready", "-m", "yes"])
            .status
            .success()
    );
    console.wait_for_line("status/ready yes", PATIENCE);
    for version in VERSIONS {
        let topic = format!("status/{version}");
        let mut command = mosquitto_sub(&setup, version, "status/ready", "%p");
        command.args(["--will-topic", &topic, "--will-payload", "lost"]);
        let mut client = ChildGuard::spawn(&mut command);
        client.wait_for_line("yes", PATIENCE);
        client.kill();
        console.wait_for_line(&format!("{topic} lost"), PATIENCE);
    }
}

#[test]
fn qos_2_is_spoken_in_both_directions() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    for from in VERSIONS {
        let topic = format!("room/{from}");
        let flags = ["-V", from, "-q", "2", "-r", "-t", &topic, "-m", "on"];
        assert!(publish(&setup, &flags).status.success());
        for to in VERSIONS {
            let mut command = mosquitto_sub(&setup, to, &topic, "%q %p");
            command.args(["-q", "2"]);
            ChildGuard::spawn(&mut command).wait_for_line("2 on", PATIENCE);
        }
    }
}

fn publish(setup: &Setup, flags: &[&str]) -> Output {
    let port = setup.address.port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port]).args(flags);
    command
        .output()
        .expect("mosquitto_pub: `make test` installs it")
}

fn subscribe(setup: &Setup, version: &str, filter: &str, format: &str) -> ChildGuard {
    ChildGuard::spawn(&mut mosquitto_sub(setup, version, filter, format))
}

fn wait_for_rows(setup: &Setup, device: &str, expected: usize) {
    let sql = format!("SELECT count(*) FROM telemetry WHERE device = '{device}'");
    wait_until(
        &format!("{expected} rows of {device}"),
        PATIENCE,
        || sqlite::query(&setup.data, &sql),
        |rows| {
            rows.first()
                .is_some_and(|row| row[0] == expected.to_string())
        },
    );
}

fn script(name: &str) -> std::path::PathBuf {
    repository().join("tests/clients").join(name)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
