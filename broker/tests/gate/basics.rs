//! What every client relies on: both versions, acknowledgements, limits of a packet, wills,
//! retained messages, and an end that says so.

use std::sync::Arc;
use std::time::Duration;

use broker::Config;
use mqtt::client::{Connect, Will};
use mqtt::{Qos, Version};
use testkit::PATIENCE;
use testkit::mqtt::Client;

use super::running::acknowledge;
use super::{BOTH, Running};

#[test]
fn both_versions_are_spoken_on_one_port() {
    let broker = Running::start();
    broker.serves_a_fresh_client();
}

#[test]
fn telemetry_is_acknowledged_over_the_wire() {
    let broker = Running::start();
    for version in BOTH {
        let mut device = broker.connect(version, "device");
        for id in 1..=100 {
            device.publish("devices/a/telemetry", b"{\"t\":1}", id, false);
        }
        for id in 1..=100 {
            assert_eq!(device.next(), format!("puback {id}"));
        }
    }
}

#[test]
fn more_publishes_at_once_than_the_receive_maximum_are_read_later_or_end_mqtt_5() {
    let broker = Running::with(Config {
        receive_maximum: 16,
        ..Config::default()
    });
    for version in BOTH {
        for topic in ["devices/a/telemetry", "other"] {
            let mut device = broker.connect(version, "device");
            let mut bytes = Vec::new();
            for packet_id in 1..=1_000 {
                let publish = mqtt::encode::Publish {
                    qos: Qos::AtLeastOnce,
                    topic,
                    packet_id,
                    payload: b"1",
                    ..Default::default()
                };
                mqtt::encode::publish(&mut bytes, version, &publish);
            }
            device.send(&bytes);
            if version == Version::V5 {
                let mut answer = device.next();
                while answer.starts_with("puback") {
                    answer = device.next();
                }
                assert_eq!(answer, "disconnect 93");
                continue;
            }
            for id in 1..=1_000 {
                assert_eq!(device.next(), format!("puback {id}"), "{topic}");
            }
        }
    }
}

#[test]
fn a_qos_2_publish_that_is_sent_again_counts_once() {
    let broker = Running::with(Config {
        receive_maximum: 2,
        ..Config::default()
    });
    for topic in ["devices/a/telemetry", "other"] {
        let mut device = broker.connect(Version::V5, "device");
        let mut publish = |packet_id: u16| {
            device.publish_at(Qos::ExactlyOnce, topic, b"1", packet_id, false);
            device.next()
        };
        for _ in 0..4 {
            assert_eq!(publish(1), "pubrec 1", "{topic}");
        }
        assert_eq!(publish(2), "pubrec 2", "{topic}");
        assert_eq!(publish(1), "pubrec 1", "{topic}");
        assert_eq!(publish(3), "disconnect 93", "{topic}");
    }
}

#[test]
fn a_reader_that_pauses_gets_what_was_queued_without_anything_new() {
    let broker = Running::start();
    let mut console = broker.connect(Version::V311, "console");
    console.subscribe("flood/#");
    let mut source = broker.connect(Version::V311, "source");
    let payload = vec![b'x'; 2_000];
    // 12 MB: far more than the sockets' buffers and `unsent` hold.
    for _ in 0..6_000 {
        source.publish("flood/a", &payload, 0, false);
    }
    source.is_served();
    (0..6_000).for_each(|at| assert_eq!(console.next(), "flood/a = 2000 bytes", "{at}"));
    console.is_served();
}

#[test]
fn packets_may_arrive_byte_by_byte_or_all_at_once() {
    let broker = Running::start();
    let mut bytes = Vec::new();
    mqtt::client::connect(&mut bytes, &Connect::new(Version::V311, "slow"));
    let publish = mqtt::encode::Publish {
        qos: Qos::AtLeastOnce,
        topic: "devices/a/telemetry",
        packet_id: 5,
        payload: b"1",
        ..Default::default()
    };
    mqtt::encode::publish(&mut bytes, Version::V311, &publish);
    let mut at_once = broker.open(Version::V311);
    at_once.send(&bytes);
    assert_eq!([at_once.next(), at_once.next()], ["connack 0", "puback 5"]);
    drop(at_once);
    let mut piecemeal = broker.open(Version::V311);
    piecemeal.stream.set_nodelay(true).expect("no delay");
    bytes.iter().for_each(|byte| piecemeal.send(&[*byte]));
    assert_eq!(
        [piecemeal.next(), piecemeal.next()],
        ["connack 0", "puback 5"]
    );
}

#[test]
fn large_payloads_pass_and_too_large_ones_end_the_connection() {
    let broker = Running::start();
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("big/#");
    let mut device = broker.connect(Version::V5, "device");
    device.publish("big/one", &vec![b'x'; 900_000], 1, false);
    assert_eq!(device.next(), "puback 1");
    assert_eq!(console.next(), "big/one = 900000 bytes");
    // The header alone is enough: nobody waits for 2 MB that will be refused.
    device.send(&[0x30, 0x80, 0x89, 0x7A]);
    assert_eq!([device.next(), device.next()], ["disconnect 95", "closed"]);
    broker.serves_a_fresh_client();
}

#[test]
fn a_silent_client_delays_nobody_and_is_ended() {
    let config = Config {
        connect_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let broker = Running::with(config);
    let mut silent: Vec<Client> = (0..50).map(|_| broker.open(Version::V311)).collect();
    silent[0].send(&[0x10]);
    broker.serves_a_fresh_client();
    for line in &mut silent {
        assert_eq!(line.next(), "closed");
    }
}

#[test]
fn bytes_that_are_not_mqtt_end_their_own_connection_only() {
    let broker = Running::start();
    let mut neighbour = broker.connect(Version::V311, "neighbour");
    let cases: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x00, 0x00],
        &[0xC0, 0x00],
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x10, 0x00],
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
    ];
    for bytes in cases {
        let mut stranger = broker.open(Version::V311);
        stranger.send(bytes);
        assert_eq!(stranger.next(), "closed", "{bytes:x?}");
    }
    for version in BOTH {
        let mut client = broker.connect(version, "broken");
        client.send(&[0x36, 0x02, 0x00, 0x00]);
        if version == Version::V5 {
            assert_eq!(client.next(), "disconnect 81");
        }
        assert_eq!(client.next(), "closed");
    }
    neighbour.is_served();
    broker.serves_a_fresh_client();
}

#[test]
fn an_unknown_protocol_level_is_answered_in_words_its_client_knows() {
    let broker = Running::start();
    for (level, answer) in [(3, [0x20, 2, 0, 1].as_slice()), (9, &[0x20, 3, 0, 0x84, 0])] {
        let mut old = broker.open(Version::V311);
        old.send(&[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 0, 0, 1, b'a',
        ]);
        let mut received = vec![0; answer.len()];
        std::io::Read::read_exact(&mut old.stream, &mut received).expect("an answer");
        assert_eq!(received, answer, "level {level}");
    }
}

#[test]
fn a_client_silent_beyond_its_keep_alive_is_gone_and_its_will_published() {
    let broker = Running::start();
    let mut console = broker.connect(Version::V311, "console");
    console.subscribe("status/#");
    let will = Will {
        topic: "status/a",
        payload: b"silent",
        ..Will::default()
    };
    let mut sleeper = broker.open(Version::V5);
    sleeper.send_connect(&Connect {
        keep_alive: 1,
        will: Some(will),
        ..Connect::new(Version::V5, "a")
    });
    assert_eq!(sleeper.next(), "connack 0");
    assert_eq!(
        [sleeper.next(), sleeper.next()],
        ["disconnect 8d", "closed"]
    );
    assert_eq!(console.next(), "status/a = silent");
    console.is_served();
}

#[test]
fn a_reader_that_stops_is_bounded_and_others_are_served() {
    let config = Config {
        max_queued_messages: 1_000,
        ..Config::default()
    };
    let broker = Running::with(config);
    let mut stuck = broker.connect(Version::V311, "stuck");
    stuck.subscribe("flood/#");
    let mut reader = broker.connect(Version::V311, "reader");
    reader.subscribe("flood/#");
    let mut source = broker.connect(Version::V311, "source");
    let payload = vec![b'x'; 1_000];
    for round in 0..200u32 {
        for _ in 0..100 {
            source.publish("flood/a", &payload, 1, false);
            assert_eq!(source.next(), "puback 1");
        }
        (0..100).for_each(|_| assert_eq!(reader.next(), "flood/a = 1000 bytes", "{round}"));
        // The reader acknowledges nothing more than its window would need at QoS 1.
        acknowledge(&mut reader, round * 100 + 1, 100);
    }
    let stats = broker.broker.as_ref().expect("running").stats();
    assert!(
        stats.dropped_slow_consumer.get() > 0,
        "the stuck one lost some, and it is counted"
    );
    broker.serves_a_fresh_client();
}

#[test]
fn a_shutdown_acknowledges_what_is_on_disk_and_says_goodbye() {
    let mut broker = Running::start();
    let mut new = broker.connect(Version::V5, "new");
    let mut old = broker.connect(Version::V311, "old");
    new.publish("devices/a/telemetry", b"1", 1, false);
    old.publish("devices/a/telemetry", b"1", 1, false);
    assert_eq!([new.next(), old.next()], ["puback 1", "puback 1"]);
    broker.stop();
    assert_eq!([new.next(), new.next()], ["disconnect 8b", "closed"]);
    assert_eq!(old.next(), "closed");
}

#[test]
fn a_storm_of_connects_and_take_overs_leaves_nothing_behind() {
    let broker = Running::start();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let address = broker.address;
            std::thread::spawn(move || {
                for round in 0..200 {
                    let version = BOTH[round % 2];
                    let mut line = Client::open(address, version);
                    line.send_connect(&Connect::new(version, &format!("storm-{}", round % 7)));
                    let mut bytes = Vec::new();
                    mqtt::client::pingreq(&mut bytes);
                    line.send(&bytes);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    broker.serves_a_fresh_client();
    let stats = Arc::clone(broker.broker.as_ref().expect("running").stats());
    testkit::wait_until(
        "all connections to be gone",
        PATIENCE,
        || {
            (
                stats.connections.get(),
                stats.sessions.get(),
                stats.subscriptions.get(),
            )
        },
        |left| *left == (0, 0, 0),
    );
}
