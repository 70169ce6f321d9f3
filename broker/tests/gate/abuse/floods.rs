//! Subscribers that never read, while others want to be served.

use broker::Config;
use bytesize::ByteSize;
use mqtt::{Version, encode};

use super::resident_bytes;
use crate::Running;
use crate::running::acknowledge;
use testkit::mqtt::Client;

const MESSAGES: u32 = 200_000;
const BATCH: u32 = 1_000;
/// What one stuck client may hold: its queue, what the kernel buffers, what is encoded and not
/// sent.
const MEMORY_GROWTH_MAX: u64 = 64 << 20;

#[test]
fn a_subscriber_that_never_reads_is_bounded_while_others_are_served() {
    let server = Running::with(Config {
        max_queued_bytes: ByteSize::mb(4),
        ..Config::default()
    });
    let mut stuck: Vec<Client> = ["flood/a", "flood/+"]
        .into_iter()
        .map(|filter| {
            let mut line = server.connect(Version::V5, filter);
            line.subscribe(filter);
            line
        })
        .collect();
    let mut reader = server.connect(Version::V311, "reader");
    reader.subscribe("flood/#");
    let mut source = server.connect(Version::V5, "source");
    let payload = [b'x'; 500];
    let mut batch = Vec::new();
    for at in 0..BATCH {
        let publish = encode::Publish {
            qos: mqtt::Qos::AtLeastOnce,
            packet_id: at as u16 + 1,
            topic: "flood/a",
            payload: &payload,
            ..Default::default()
        };
        encode::publish(&mut batch, Version::V5, &publish);
    }
    let before = resident_bytes();
    for round in 0..MESSAGES / BATCH {
        source.send(&batch);
        for at in 1..=BATCH {
            assert_eq!(source.next(), format!("puback {at}"));
        }
        for at in 0..BATCH {
            assert_eq!(
                reader.next(),
                "flood/a = 500 bytes",
                "{at} of round {round}"
            );
            if at % 50 == 49 {
                acknowledge(&mut reader, round * BATCH + at - 48, 50);
            }
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("{MESSAGES} messages: memory grew by {grown} bytes");
    assert!(grown < MEMORY_GROWTH_MAX, "{grown}");
    let dropped = server.stats().dropped_slow_consumer.get();
    assert!(
        dropped > u64::from(MESSAGES),
        "of two subscribers: {dropped}"
    );

    // It finds what it was sent before its queue was full, in order, and is still connected.
    assert_eq!(stuck[0].next(), "flood/a = 500 bytes");
    stuck.clear();
    server.serves_a_fresh_client();
    server.is_empty_but_for(2);
}

#[test]
fn a_publisher_that_never_reads_its_acknowledgements_is_held_back() {
    let server = Running::start();
    // An MQTT 5 client that sends more than the receive maximum is ended instead.
    let version = Version::V311;
    let mut deaf = server.connect(version, "deaf");
    let stream = deaf.stream.try_clone().expect("a second handle");
    stream.set_nonblocking(true).expect("set");
    let mut batch = Vec::new();
    for at in 1..=1_000 {
        let publish = encode::Publish {
            qos: mqtt::Qos::AtLeastOnce,
            packet_id: at,
            topic: "devices/deaf/telemetry",
            payload: b"1",
            ..Default::default()
        };
        encode::publish(&mut batch, version, &publish);
    }
    // Until its connection takes nothing more, or this much was taken.
    let mut sent = 0_usize;
    while sent < 64 << 20 {
        match std::io::Write::write(&mut &stream, &batch[sent % batch.len()..]) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        server.serves_someone_else();
    }
    stream.set_nonblocking(false).expect("set");
    // What it sent is acknowledged once it reads.
    assert_eq!(deaf.next(), "puback 1");
    assert_eq!(deaf.next(), "puback 2");
    server.serves_a_fresh_client();
}

#[test]
fn a_read_that_fills_a_batch_to_its_end_is_not_the_last() {
    let server = Running::start();
    // A record repeats the client id: few small packets fill a batch.
    let long = "i".repeat(60_000);
    for version in crate::BOTH {
        let mut line = server.connect(version, &long);
        for count in 1..=8 {
            let mut together = Vec::new();
            for packet_id in 1..=count {
                let publish = encode::Publish {
                    qos: mqtt::Qos::AtLeastOnce,
                    packet_id,
                    topic: "devices/a/telemetry",
                    payload: b"1",
                    ..Default::default()
                };
                encode::publish(&mut together, version, &publish);
            }
            line.send(&together);
            for packet_id in 1..=count {
                assert_eq!(line.next(), format!("puback {packet_id}"));
            }
            line.is_served();
        }
    }
}
