//! Files of the data folder that the disk has changed: which one it is, and what going on without
//! it costs, is told at the start and by `millrace journal verify`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;

use crate::server::{PATIENCE, Setup, millrace};

/// Every log that the data folder holds, as `verify` names them.
const LOGS: [&str; 5] = [
    "telemetry journal",
    "session log",
    "retained messages",
    "published alerts",
    "device cache",
];

/// A data folder with something in each of its logs, and nobody at work in it.
fn filled(data: &Path) -> Setup {
    let setup = Setup::new(data);
    let mut server = setup.start();
    let mut line = Client::open(setup.address, Version::V5);
    line.send_connect(&Connect {
        clean_start: false,
        session_expiry: Some(3_600),
        ..Connect::new(Version::V5, "away")
    });
    assert_eq!(line.next(), "connack 0");
    line.subscribe("plant/#");
    line.publish("plant/retained", b"x", 1, true);
    line.publish("devices/a/telemetry", b"{\"t\": 1}", 2, false);
    line.is_served();
    drop(line);
    server.signal("TERM");
    server.wait(PATIENCE);
    setup
}

fn verify(data: &Path) -> (Output, String, String) {
    let mut command = millrace();
    let command = command.args(["journal", "verify", "--data"]).arg(data);
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// The line about this log.
fn line_of<'a>(out: &'a str, log: &str) -> &'a str {
    let found = out.lines().find(|line| line.contains(log));
    found.unwrap_or_else(|| panic!("`{log}` is not named: {out}"))
}

/// The last segment of this journal.
fn segment(data: &Path, journal: &str) -> PathBuf {
    let folder = fs::read_dir(data.join(journal)).expect("the folder");
    let mut segments: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    segments.sort();
    segments.pop().expect("a segment")
}

#[test]
fn a_damaged_log_of_sessions_is_not_taken_for_the_telemetry_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let setup = filled(&data);
    let (whole, out, err) = verify(&data);
    assert!(whole.status.success() && err.is_empty(), "{out}{err}");
    for log in LOGS {
        let line = line_of(&out, log);
        assert!(
            line.starts_with("ok ") || line.starts_with("none "),
            "{line}"
        );
    }

    let segment = segment(&data, "sessions");
    let mut bytes = fs::read(&segment).expect("readable");
    bytes[0] ^= 0xff;
    fs::write(&segment, bytes).expect("written");
    let refused = setup.command().output().expect("it starts");
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    let sessions = data.join("sessions").display().to_string();
    for part in [
        "cannot open the kept sessions",
        &format!("move the folder `{sessions}` away"),
        "these are forgotten; telemetry is in another folder and stays",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (refused, out, err) = verify(&data);
    assert_eq!(refused.status.code(), Some(1), "{out}{err}");
    assert!(
        line_of(&out, "session log").starts_with("damaged "),
        "{out}"
    );
    assert!(
        line_of(&out, "telemetry journal").starts_with("ok "),
        "{out}"
    );
    assert!(
        err.contains(&format!("session log `{sessions}`: damaged: ")),
        "{err}"
    );

    assert!(
        err.contains(&format!("move the folder `{sessions}` away")),
        "{err}"
    );

    // As advised: everything else is there.
    fs::rename(&sessions, folder.path().join("aside")).expect("moved");
    let _server = setup.start();
    let mut line = Client::connect(setup.address, Version::V311, "other");
    line.subscribe("plant/retained");
    assert_eq!(line.next(), "plant/retained = x retained");
}

#[test]
fn what_was_cut_or_damaged_is_warned_of_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let setup = filled(&data);
    for journal in ["sessions", "retained"] {
        let segment = segment(&data, journal);
        let mut bytes = fs::read(&segment).expect("readable");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("bytes");
        bytes.truncate(end - 2);
        fs::write(&segment, bytes).expect("written");
    }
    let mut published = [7; 64];
    published[..4].copy_from_slice(b"MRPE");
    fs::write(data.join("published.log"), published).expect("written");
    fs::write(data.join("devices.cache"), "what is this").expect("written");
    fs::write(data.join("millrace.lock"), [0xff; 3]).expect("written");

    let (refused, out, err) = verify(&data);
    assert_eq!(refused.status.code(), Some(1), "{out}{err}");
    for (log, state) in LOGS.iter().zip(["ok", "cut", "cut", "damaged", "damaged"]) {
        let line = line_of(&out, log);
        assert!(line.starts_with(state), "{line}");
    }
    let named = "1 of 1 alert damaged";
    assert!(
        err.contains(named) && err.contains("device cache `"),
        "{err}"
    );

    let server = setup.start();
    let lines = server.lines();
    for part in [
        "cut an unfinished write off the log of kept sessions",
        "cut a torn tail off the retained messages",
        "an alert of before the stop may be published twice",
        "the copy of the device credentials cannot be used",
    ] {
        let told = lines.iter().find(|line| line.contains(part));
        let told = told.unwrap_or_else(|| panic!("`{part}` is not said: {lines:#?}"));
        assert!(told.contains("WARN"), "{told}");
    }
}
