//! Devices with secrets of their own: given, replaced and revoked beside a running Millrace, by its
//! command line.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;
use testkit::{Options, Postgres, wait_until};

use crate::server::{PATIENCE, Setup, millrace};

const PAYLOAD: &str = r#"{"temperature": 71.5}"#;

/// Not slowed down: these tests ask again and again until a change counts.
fn setup(data: &Path) -> Setup {
    Setup::new(data)
        .with("MILLRACE_BROKER__AUTH__MAX_FAILURES_PER_ADDRESS", 1_000_000)
        .with("MILLRACE_BROKER__AUTH__MAX_FAILURES_PER_USER", 1_000_000)
}

/// `millrace device …` on the same data folder and database.
fn device(setup: &Setup, arguments: &[&str]) -> Command {
    let mut command = millrace();
    command.arg("device").args(arguments);
    command.arg("--data").arg(&setup.data);
    if let Some(store) = &setup.store {
        command.arg("--store").arg(store);
    }
    command
}

/// What it prints; it must succeed.
#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The secret that `add` or `rotate` has shown.
#[track_caller]
fn secret(setup: &Setup, arguments: &[&str]) -> String {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let printed = done(&mut device(setup, &arguments));
    let issued: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    issued[0]["secret"].as_str().expect("a secret").to_owned()
}

fn mosquitto_pub(setup: &Setup, version: &str, device: &str, secret: &str) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-V", version, "-q", "1"]);
    command.args(["-p", &setup.address.port().to_string()]);
    command.args(["-u", device, "-P", secret]);
    command.args(["-t", &format!("devices/{device}/telemetry")]);
    command.args(["-m", PAYLOAD]);
    command.output().expect("mosquitto_pub starts")
}

/// How the connect of a device is answered, and its connection.
fn connect(setup: &Setup, version: Version, device: &str, secret: &str) -> (Client, String) {
    let mut line = Client::open(setup.address, version);
    line.send_connect(&Connect {
        user: Some(device),
        password: Some(secret.as_bytes()),
        ..Connect::new(version, &format!("{device} with {secret}"))
    });
    let answer = line.next();
    (line, answer)
}

/// A change counts within seconds; this waits until it does.
#[track_caller]
fn wait_until_answered(setup: &Setup, device: &str, secret: &str, expected: &str) -> Client {
    let what = format!("`{device}` to be answered with {expected}");
    let connect = || connect(setup, Version::V5, device, secret);
    wait_until(&what, PATIENCE, connect, |(_, answer)| answer == expected).0
}

#[test]
fn a_device_gets_in_with_its_secret_as_long_as_that_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&folder.path().join("data"));
    // Before the first start: the database is made when that is asked for.
    let first = secret(&setup, &["add", "--create", "boiler-1"]);
    let _server = setup.start();
    for version in ["311", "5"] {
        let output = mosquitto_pub(&setup, version, "boiler-1", &first);
        assert!(output.status.success(), "{output:?}");
        let output = mosquitto_pub(&setup, version, "boiler-1", "a guess");
        assert!(!output.status.success(), "{output:?}");
    }
    assert_eq!(
        connect(&setup, Version::V311, "boiler-1", "a guess").1,
        "connack 4"
    );
    assert_eq!(
        connect(&setup, Version::V5, "boiler-1", "a guess").1,
        "connack 86"
    );
    assert_eq!(
        connect(&setup, Version::V5, "boiler-2", &first).1,
        "connack 86"
    );

    // While it runs.
    let second = secret(&setup, &["add", "boiler-2"]);
    let mut bystander = wait_until_answered(&setup, "boiler-2", &second, "connack 0");

    let next = secret(&setup, &["rotate", "boiler-1", "--grace", "1h"]);
    let mut with_next = wait_until_answered(&setup, "boiler-1", &next, "connack 0");
    let mut with_first = wait_until_answered(&setup, "boiler-1", &first, "connack 0");

    let last = secret(&setup, &["rotate", "boiler-1"]);
    assert_eq!(with_first.next(), "disconnect 87");
    assert_eq!(with_next.next(), "disconnect 87");
    let mut with_last = wait_until_answered(&setup, "boiler-1", &last, "connack 0");
    assert_eq!(
        connect(&setup, Version::V5, "boiler-1", &first).1,
        "connack 86"
    );
    assert_eq!(
        connect(&setup, Version::V5, "boiler-1", &next).1,
        "connack 86"
    );

    assert_eq!(
        done(&mut device(&setup, &["revoke", "boiler-1"])),
        "revoked boiler-1\n"
    );
    assert_eq!(with_last.next(), "disconnect 87");
    assert_eq!(
        connect(&setup, Version::V5, "boiler-1", &last).1,
        "connack 86"
    );
    bystander.is_served();

    let list = done(&mut device(&setup, &["list"]));
    let lines: Vec<_> = list.lines().map(|line| line.get(..16)).collect();
    assert_eq!(
        lines,
        [Some("boiler-1  revoke"), Some("boiler-2  active")],
        "{list}"
    );
}

#[test]
fn a_database_that_is_away_keeps_no_device_out() {
    let mut postgres = Postgres::start_with(Options {
        fsync: false,
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path()).store(&postgres.create_database());
    let secret_of_a = secret(&setup, &["add", "a"]);
    let mut server = setup.start();
    wait_until_answered(&setup, "a", &secret_of_a, "connack 0");

    postgres.stop_fast();
    assert_eq!(
        connect(&setup, Version::V5, "a", &secret_of_a).1,
        "connack 0"
    );
    assert_eq!(connect(&setup, Version::V5, "a", "a guess").1, "connack 86");
    let told = refused(&mut device(&setup, &["list"]));
    assert!(told.contains("is not available"), "{told}");
    server.signal("TERM");
    server.wait(PATIENCE);

    let _server = setup.start();
    assert_eq!(
        connect(&setup, Version::V5, "a", &secret_of_a).1,
        "connack 0"
    );
    assert_eq!(connect(&setup, Version::V5, "a", "a guess").1, "connack 86");

    postgres.start_again();
    let secret_of_b = secret(&setup, &["add", "b"]);
    wait_until_answered(&setup, "b", &secret_of_b, "connack 0");
    let output = mosquitto_pub(&setup, "311", "b", &secret_of_b);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn before_the_database_was_reached_once_devices_are_asked_to_come_back() {
    let mut postgres = Postgres::start_with(Options {
        fsync: false,
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path()).store(&postgres.create_database());
    let secret_of_a = secret(&setup, &["add", "a"]);
    // Somebody can log in, so nobody is let in without credentials.
    let mut user = millrace();
    user.args(["user", "add", "operator", "--generate", "--data"]);
    done(user.arg(&setup.data));
    postgres.stop_fast();
    let _server = setup.start();
    for (version, refused) in [(Version::V311, "connack 3"), (Version::V5, "connack 88")] {
        assert_eq!(connect(&setup, version, "a", &secret_of_a).1, refused);
    }
    postgres.start_again();
    wait_until_answered(&setup, "a", &secret_of_a, "connack 0");
}

#[test]
fn a_fleet_is_added_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path());
    let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices.csv");
    let registry = registry.display().to_string();
    let from_registry = done(&mut device(
        &setup,
        &["add", "--create", "--from", &registry],
    ));
    let devices: Vec<_> = issued(&from_registry)
        .into_iter()
        .map(|(device, _)| device)
        .collect();
    assert_eq!(
        devices,
        ["thermostat-0003", "boiler-0002"],
        "patterns are no devices"
    );

    let _server = setup.start();
    let mut fleet = String::from("boiler-0002\n");
    (0..5_000).for_each(|number| fleet.push_str(&format!("fleet-{number}\n")));
    let refused = with_stdin(device(&setup, &["add", "--from", "-"]), &fleet);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        told.contains("`boiler-0002` has a credential already"),
        "{told}"
    );
    let added = with_stdin(
        device(&setup, &["add", "--from", "-", "--skip-existing"]),
        &fleet,
    );
    assert!(added.status.success(), "{added:?}");
    let secrets = issued(&String::from_utf8_lossy(&added.stdout));
    assert_eq!(secrets.len(), 5_000);
    let (device, secret) = &secrets[4_321];
    assert_eq!(device, "fleet-4321");
    wait_until_answered(&setup, device, secret, "connack 0");
}

fn with_stdin(mut command: Command, text: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It reads all before it writes.
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn issued(csv: &str) -> Vec<(String, String)> {
    let lines = csv.lines().skip(1);
    let cells = lines.map(|line| line.split_once(',').expect("two cells"));
    cells
        .map(|(device, secret)| (device.to_owned(), secret.to_owned()))
        .collect()
}
