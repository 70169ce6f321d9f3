//! Sessions that are made to be left: one user that lets the broker collect for hundreds of clients
//! that do not come back.

use std::time::Duration;

use broker::Config;
use bytesize::ByteSize;
use mqtt::Version;
use mqtt::client::Connect;

use super::resident_bytes;
use crate::running::acknowledge;
use crate::{BOTH, Running};
use testkit::PATIENCE;
use testkit::mqtt::Client;

const SESSIONS: usize = 200;
const BUDGET_BYTES: u64 = 20_000_000;
const PAYLOAD_BYTES: usize = 100_000;
const ROUNDS: u32 = 60;
/// What may lie elsewhere: sockets, the session log on its way to the disk, the allocator's slack.
const MEMORY_GROWTH_MAX: u64 = BUDGET_BYTES + (150 << 20);
#[test]
fn what_hundreds_of_sessions_wait_for_is_bounded_and_who_is_connected_gets_everything() {
    let server = Running::with(Config {
        max_queued_bytes_total: ByteSize(BUDGET_BYTES),
        max_sessions_per_user: Some(SESSIONS),
        sys_interval: Duration::from_millis(100),
        // Who comes back gets one message at a time: what it does not read would keep its
        // acknowledgement from being read.
        max_inflight: 1,
        ..Config::default()
    });
    for at in 0..SESSIONS {
        let version = BOTH[at % 2];
        let mut line = server.open(version);
        line.send_connect(&Connect {
            clean_start: false,
            session_expiry: (version == Version::V5).then_some(3_600),
            ..Connect::new(version, &format!("hoard-{at}"))
        });
        assert_eq!(line.next(), "connack 0");
        line.subscribe("busy/all");
        // What is published to one alone cannot be shared with others.
        line.subscribe(&format!("busy/{at}"));
    }
    let stats = server.stats();
    let away = || stats.sessions_kept.get();
    testkit::wait_until("all to be away", PATIENCE, away, |away| {
        *away == SESSIONS as u64
    });
    let mut reader = server.connect(Version::V311, "reader");
    reader.subscribe("busy/+");
    let mut source = server.connect(Version::V5, "source");
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let before = resident_bytes();
    let mut got = 0;
    for round in 0..ROUNDS {
        let own = format!("busy/{}", round as usize * 7 % SESSIONS);
        for topic in ["busy/all", "busy/0", "busy/1", &own] {
            source.publish(topic, &payload, 1, false);
            assert_eq!(source.next(), "puback 1");
            assert_eq!(reader.next(), format!("{topic} = {PAYLOAD_BYTES} bytes"));
            got += 1;
            acknowledge(&mut reader, got, 1);
        }
        let bytes = stats.queued_bytes.get();
        assert!(bytes <= BUDGET_BYTES, "round {round}: {bytes}");
    }
    let grown = resident_bytes().saturating_sub(before);
    println!(
        "{SESSIONS} sessions hold {} bytes, {} copies of {} messages; {} were dropped; memory grew by {grown} bytes",
        stats.queued_bytes.get(),
        stats.queued_copies.get(),
        stats.queued_messages.get(),
        stats.dropped_queues_full.get(),
    );
    assert!(stats.dropped_queues_full.get() > 0);
    assert!(grown < MEMORY_GROWTH_MAX, "{grown}");
    is_told(&server, "$SYS/broker/publish/messages/dropped/queues-full");
    is_told(&server, "$SYS/broker/store/messages/bytes");
    server.serves_a_fresh_client();

    // One that comes back finds what it was promised, and what it takes makes room.
    let held = stats.queued_copies.get();
    let mut back = server.open(Version::V311);
    back.send_connect(&Connect {
        clean_start: false,
        ..Connect::new(Version::V311, "hoard-0")
    });
    assert_eq!(back.next(), "connack 0 present");
    let first = back.next();
    assert!(first.starts_with("busy/"), "{first}");
    acknowledge(&mut back, 1, 1);
    let copies = || stats.queued_copies.get();
    testkit::wait_until("less to be held", PATIENCE, copies, |now| *now < held);
}

/// The topic holds a number above 0.
fn is_told(server: &Running, topic: &str) {
    let mut console: Client = server.connect(Version::V5, "console");
    console.subscribe(topic);
    let mut told = console.next();
    while told == format!("{topic} = 0") || told == format!("{topic} = 0 retained") {
        told = console.next();
    }
    assert!(told.starts_with(topic), "{told}");
    console.disconnect();
    assert_eq!(console.next(), "closed");
}
