//! Subscribers that do not keep up: what they cost, and how they are found.

use broker::{Config, SlowSession};
use mqtt::client::{self, ServerPacket};
use mqtt::{Version, encode};

use super::abuse::resident_bytes;
use super::{BOTH, Running};
use testkit::PATIENCE;
use testkit::mqtt::Client;

fn slow_sessions(server: &Running) -> Vec<SlowSession> {
    let broker = server.broker.as_ref().expect("running");
    broker.slow_sessions(10)
}

/// More than a socket takes that nobody reads: Linux lets a sender's buffer grow to 4 MB, a
/// receiver's to 32 MB at most where it is set high.
const STUCK_BYTES: usize = 40_000_000;

#[test]
fn a_session_that_loses_messages_is_named_until_it_has_caught_up_or_ends() {
    const QUEUED_MAX: usize = 50;
    const FLOOD: u64 = 150;
    let payload = vec![b'x'; STUCK_BYTES / QUEUED_MAX];
    let server = Running::with(Config {
        max_queued_messages: QUEUED_MAX,
        max_queued_bytes: bytesize::ByteSize::mb(100),
        ..Config::default()
    });
    let stats = server.stats();
    let mut source = server.connect(Version::V5, "source");
    // Whenever the subscriber's task runs, its queue overflows: and once it does, it holds more
    // than the socket takes, so it is not empty before the subscriber reads.
    let mut flood = || {
        for _ in 0..FLOOD {
            source.publish("flood", &payload, 0, false);
        }
        source.is_served();
    };
    for version in BOTH {
        let dropped_before = stats.dropped_slow_consumer.get();
        let mut stuck = server.connect(version, "stuck");
        stuck.subscribe("flood");
        assert_eq!(slow_sessions(&server), []);
        flood();
        let dropped = stats.dropped_slow_consumer.get() - dropped_before;
        assert!(dropped > 0);
        assert_eq!(stats.sessions_slow.get(), 1);
        let slow = slow_sessions(&server).remove(0);
        assert_eq!((&*slow.client_id, slow.connected), ("stuck", true));
        assert_eq!(slow.dropped, dropped);
        // Its task may still be filling the socket.
        assert!((1..=QUEUED_MAX).contains(&slow.queued_messages));
        assert!(slow.queued_bytes > slow.queued_messages * payload.len());

        for _ in 0..FLOOD - dropped {
            assert_eq!(stuck.next(), format!("flood = {} bytes", payload.len()));
        }
        stuck.is_served();
        assert_eq!(slow_sessions(&server), []);
        assert_eq!(stats.sessions_slow.get(), 0);

        flood();
        assert_eq!(stats.sessions_slow.get(), 1);
        drop(stuck);
        let slow = || stats.sessions_slow.get();
        testkit::wait_until("the slow one's end", PATIENCE, slow, |left| *left == 0);
    }
}

#[test]
fn large_messages_to_many_that_do_not_read_are_held_once() {
    const SUBSCRIBERS: usize = 200;
    const PAYLOAD_BYTES: usize = 900_000;
    let server = Running::start();
    let mut idle: Vec<Client> = (0..SUBSCRIBERS)
        .map(|at| {
            let mut line = server.connect(BOTH[at % 2], &format!("idle-{at}"));
            line.subscribe("large/+");
            line
        })
        .collect();
    let mut reader = server.connect(Version::V5, "reader");
    reader.subscribe("large/+");
    let mut source = server.connect(Version::V5, "source");
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let before = resident_bytes();
    for _ in 0..10 {
        source.publish("large/a", &payload, 0, false);
        assert_eq!(reader.next(), "large/a = 900000 bytes");
    }
    let grown = resident_bytes().saturating_sub(before);
    // A copy of one message for each would be 180 MB.
    println!("{SUBSCRIBERS} subscribers: memory grew by {grown} bytes");
    assert!(grown < 60 << 20, "{grown}");
    for line in &mut idle {
        assert_eq!(line.next(), "large/a = 900000 bytes");
    }
}

/// The payload of message `number`: its size and its bytes tell which one it is.
fn pattern(number: usize) -> Vec<u8> {
    let bytes = 10_000 + number * 7_919 % 120_000;
    (0..bytes).map(|at| (at * 31 + number) as u8).collect()
}

#[test]
fn nothing_comes_between_the_head_of_a_large_message_and_its_payload() {
    const MESSAGES: usize = 60;
    let server = Running::start();
    for version in BOTH {
        let mut reader = server.connect(version, "reader");
        reader.subscribe("large");
        let mut source = server.connect(Version::V5, "source");
        // The answers to these are written between the messages, and what the reader does not read
        // fills its socket.
        let mut pings = Vec::new();
        client::pingreq(&mut pings);
        for number in 0..MESSAGES {
            let packet_id = (number % 2 * (number + 1)) as u16;
            source.publish("large", &pattern(number), packet_id, false);
            reader.send(&pings);
        }
        let (mut messages, mut answers) = (0, 0);
        while messages < MESSAGES || answers < MESSAGES {
            let packet_id = reader.receive(|packet| match packet {
                ServerPacket::Publish(publish) => {
                    let whole = publish.payload == pattern(messages);
                    assert!(whole, "{} of {version:?} is damaged", messages);
                    messages += 1;
                    publish.packet_id
                }
                ServerPacket::PingResp => {
                    answers += 1;
                    None
                }
                other => panic!("{other:?}"),
            });
            if let Some(packet_id) = packet_id.expect("the connection is open") {
                let mut ack = Vec::new();
                let success = mqtt::ReasonCode::Success;
                encode::puback(&mut ack, version, packet_id, success);
                reader.send(&ack);
            }
        }
        reader.is_served();
    }
}
