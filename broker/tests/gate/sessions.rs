//! Sessions over real sockets: come back, take over, lose acknowledgements, expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Config, Stats};
use mqtt::client::{Connect, ServerPacket, Will};
use mqtt::{Qos, ReasonCode, Version, encode};
use testkit::mqtt::Client;

use crate::{BOTH, Running};

/// A CONNECT for a session that is kept.
fn kept(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        session_expiry: (version == Version::V5).then_some(3_600),
        ..Connect::new(version, client_id)
    }
}

fn connect(broker: &Running, connect: &Connect<'_>) -> (Client, String) {
    let mut line = broker.open(connect.version);
    line.send_connect(connect);
    let answer = line.next();
    (line, answer)
}

type Encode = fn(&mut Vec<u8>, Version, u16, ReasonCode);

fn answer(line: &mut Client, version: Version, encode: Encode, packet_id: u16) {
    let mut bytes = Vec::new();
    encode(&mut bytes, version, packet_id, ReasonCode::Success);
    line.send(&bytes);
}

fn stats(broker: &Running) -> Arc<Stats> {
    Arc::clone(broker.broker.as_ref().expect("running").stats())
}

fn wait_until_away(broker: &Running) {
    let stats = stats(broker);
    testkit::wait_until(
        "the client to be away",
        Duration::from_secs(20),
        || stats.sessions_kept.get(),
        |kept| *kept == 1,
    );
}

#[test]
fn a_session_expires_and_its_client_begins_anew() {
    let broker = Running::with(Config {
        max_session_expiry: Duration::from_secs(1),
        ..Config::default()
    });
    let (mut console, answer) = connect(&broker, &kept(Version::V311, "console"));
    assert_eq!(answer, "connack 0");
    console.subscribe("room/a");
    drop(console);
    let stats = stats(&broker);
    testkit::wait_until(
        "the session to expire",
        Duration::from_secs(20),
        || (stats.sessions_expired.get(), stats.sessions.get()),
        |seen| *seen == (1, 0),
    );
    let (_console, answer) = connect(&broker, &kept(Version::V311, "console"));
    assert_eq!(answer, "connack 0");
}

/// Stops the broker and starts another one in its folder.
fn restart(mut broker: Running) -> Running {
    broker.stop();
    let folder = std::mem::replace(&mut broker.data, tempfile::tempdir().expect("a folder"));
    drop(broker);
    Running::in_folder(Config::default(), folder)
}

#[test]
fn a_publish_that_is_sent_again_after_a_restart_is_the_same_one() {
    for version in BOTH {
        let broker = Running::start();
        let (mut device, _) = connect(&broker, &kept(version, "device"));
        for (id, topic) in [(1, "devices/a/telemetry"), (2, "room/a"), (3, "room/a")] {
            device.publish_at(Qos::ExactlyOnce, topic, b"x", id, false);
            assert_eq!(device.next(), format!("pubrec {id}"));
        }
        answer(&mut device, version, encode::pubrel, 3);
        assert_eq!(device.next(), "pubcomp 3");
        let broker = restart(broker);
        let mut console = broker.connect(Version::V5, "console");
        console.subscribe("#");
        let (mut device, answered) = connect(&broker, &kept(version, "device"));
        assert_eq!(answered, "connack 0 present");
        for (id, topic) in [(1, "devices/a/telemetry"), (2, "room/a"), (3, "room/new")] {
            device.publish_at(Qos::ExactlyOnce, topic, b"x", id, false);
            assert_eq!(device.next(), format!("pubrec {id}"));
        }
        assert_eq!(console.next(), "room/new = x", "the id was free again");
        console.is_served();
        assert_eq!(stats(&broker).journalled.get(), 0);
        answer(&mut device, version, encode::pubrel, 1);
        assert_eq!(device.next(), "pubcomp 1");
    }
}

#[test]
fn sessions_that_ended_and_wills_that_waited_are_not_forgotten_by_a_restart() {
    let broker = Running::start();
    let (mut over, _) = connect(&broker, &kept(Version::V5, "over"));
    over.subscribe("room/a");
    let (mut over, _) = connect(&broker, &Connect::new(Version::V5, "over"));
    over.subscribe("room/a");
    let with_will = Connect {
        will: Some(Will {
            topic: "status/a",
            payload: b"lost",
            delay: Some(2),
            retain: true,
            ..Will::default()
        }),
        ..kept(Version::V5, "device")
    };
    let (device, _) = connect(&broker, &with_will);
    drop(device);
    wait_until_away(&broker);
    let (_short, _) = connect(
        &broker,
        &Connect {
            session_expiry: Some(1),
            ..kept(Version::V5, "short")
        },
    );
    let broker = restart(broker);
    let stats = stats(&broker);
    testkit::wait_until(
        "the short session to expire",
        Duration::from_secs(20),
        || stats.sessions.get(),
        |left| *left == 1,
    );
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("status/+");
    assert!(console.next().starts_with("status/a = lost"));
    let (_over, answer) = connect(&broker, &kept(Version::V5, "over"));
    assert_eq!(answer, "connack 0");
    let (_device, answer) = connect(&broker, &kept(Version::V5, "device"));
    assert_eq!(answer, "connack 0 present");
}

#[test]
fn no_will_comes_before_its_delay_has_passed() {
    let broker = Running::start();
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("status/a");
    // The second one is lost when the clock's second has just begun.
    for _ in 0..2 {
        let with_will = Connect {
            will: Some(Will {
                topic: "status/a",
                payload: b"lost",
                delay: Some(1),
                ..Will::default()
            }),
            ..kept(Version::V5, "device")
        };
        let (device, _) = connect(&broker, &with_will);
        let lost_at = Instant::now();
        drop(device);
        assert_eq!(console.next(), "status/a = lost");
        let waited = lost_at.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
    }
}

/// Takes and acknowledges messages until one is no retained one; their topics.
fn take_retained(line: &mut Client, version: Version) -> Vec<String> {
    let mut topics = Vec::new();
    loop {
        let (topic, packet_id, retained) = line
            .receive(|packet| match packet {
                ServerPacket::Publish(publish) => (
                    publish.topic.to_owned(),
                    publish.packet_id.expect("QoS 1"),
                    publish.retain,
                ),
                other => panic!("{other:?}"),
            })
            .expect("connected");
        answer(line, version, encode::puback, packet_id);
        topics.push(topic);
        if !retained {
            return topics;
        }
    }
}

#[test]
fn a_restart_in_the_middle_of_a_subscriptions_retained_messages_loses_none_of_them() {
    const RETAINED: u16 = 2_000;
    for version in BOTH {
        let broker = Running::start();
        let mut source = broker.connect(Version::V311, "source");
        for number in 0..RETAINED {
            source.publish(&format!("state/{number:04}"), b"x", number + 1, true);
            assert_eq!(source.next(), format!("puback {}", number + 1));
        }
        let (mut console, _) = connect(&broker, &kept(version, "console"));
        console.subscribe("state/+");
        // As many as may be in flight; the rest has not left the store.
        for number in 0..100 {
            assert_eq!(console.next(), format!("state/{number:04} = x retained"));
        }
        answer(&mut console, version, encode::puback, 1);
        assert_eq!(console.next(), "state/0100 = x retained");
        drop(console);
        wait_until_away(&broker);
        source.publish("state/live", b"x", 1, false);
        assert_eq!(source.next(), "puback 1");

        let broker = restart(broker);
        let (mut console, answer) = connect(&broker, &kept(version, "console"));
        assert_eq!(answer, "connack 0 present");
        let topics = take_retained(&mut console, version);
        // What was in flight comes first, again; then all of them, and what was published since.
        let state = |number: u16| format!("state/{number:04}");
        let expected = (1..=100).chain(0..RETAINED).map(state);
        let expected: Vec<_> = expected.chain(["state/live".to_owned()]).collect();
        assert_eq!(topics, expected);
        console.is_served();
        drop(console);
        wait_until_away(&broker);

        let broker = restart(broker);
        let (mut console, _) = connect(&broker, &kept(version, "console"));
        console.is_served();
    }
}
