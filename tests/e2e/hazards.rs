//! What brings a stock rumqttd down, done to the running binary. Each must leave everybody
//! connected and served. The same cases at length, and those that need no process, are the broker's
//! own tests.

use mqtt::{ReasonCode, Version, encode};
use testkit::mqtt::Client;

use crate::server::{PATIENCE, Setup};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

#[test]
fn topics_in_any_script_reach_wildcard_subscribers() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    let mut console = Client::connect(setup.address, Version::V311, "console");
    console.subscribe("#");
    let mut source = Client::connect(setup.address, Version::V5, "größe/+#$");
    for (number, topic) in ["öl/druck", "日本", "/", "//", "a//b", "🦀"]
        .iter()
        .enumerate()
    {
        let id = number as u16 + 1;
        source.publish(topic, b"x", id, false);
        assert_eq!(source.next(), format!("puback {id}"));
        assert_eq!(console.next(), format!("{topic} = x"));
    }
}

#[test]
fn busy_subscribers_that_leave_and_are_taken_over_harm_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let _server = setup.start();
    let mut stays = Client::connect(setup.address, Version::V5, "stays");
    stays.subscribe("busy/#");
    let mut source = Client::connect(setup.address, Version::V311, "source");
    for round in 1..=200u16 {
        // Takes the one before it over while messages for it are on their way; every third leaves
        // by itself.
        let mut twin = Client::connect(setup.address, BOTH[usize::from(round % 2)], "twin");
        twin.subscribe(if round % 2 == 0 { "busy/#" } else { "busy/+" });
        source.publish("busy/a", round.to_string().as_bytes(), round, false);
        assert_eq!(source.next(), format!("puback {round}"));
        if round % 3 == 0 {
            drop(twin);
        } else {
            // Kept until it is taken over: its socket must not close first.
            std::mem::forget(twin);
        }
        assert_eq!(stays.next(), format!("busy/a = {round}"));
        let mut ack = Vec::new();
        encode::puback(&mut ack, Version::V5, round, ReasonCode::Success);
        stays.send(&ack);
    }
    stays.is_served();
    source.is_served();
}

/// Fewer than the connections below.
const OPEN_FILES: usize = 150;

#[test]
fn more_connections_than_open_files_are_allowed_stop_neither_the_journal_nor_who_is_connected() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path())
        .with("MILLRACE_JOURNAL__MAX_SIZE", "8MB")
        .with("MILLRACE_JOURNAL__SEGMENT_SIZE", "1MB");
    let server = setup.start_with_open_files(OPEN_FILES);
    let mut device = Client::connect(setup.address, Version::V311, "device");
    let crowd: Vec<_> = (0..2 * OPEN_FILES)
        .map(|_| Client::open(setup.address, Version::V311))
        .collect();
    // More than two of the journal's files.
    let payload = format!("{{\"text\":\"{}\"}}", "x".repeat(3_000));
    for id in 1..=1_000 {
        device.publish("devices/a/telemetry", payload.as_bytes(), id, false);
        assert_eq!(device.next(), format!("puback {id}"));
    }
    drop(crowd);
    let open_files = || {
        let folder = format!("/proc/{}/fd", server.id());
        std::fs::read_dir(folder).expect("linux tells").count()
    };
    testkit::wait_until("a free place", PATIENCE, open_files, |open| {
        *open < OPEN_FILES / 2
    });
    Client::connect(setup.address, Version::V311, "fresh").is_served();
    device.is_served();
    let lines = server.lines();
    let told = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("the open-file limit is"), 1, "{lines:#?}");
    assert_eq!(told("ERROR"), 0, "{lines:#?}");
    // However often it happened.
    assert!(told("cannot accept") <= 10, "{lines:#?}");
}
