//! Sessions over real sockets: come back, take over, lose acknowledgements, expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Config, Stats};
use mqtt::client::{Connect, ServerPacket, Will};
use mqtt::{Qos, ReasonCode, Version, encode};

use crate::line::Line;
use crate::{BOTH, Running};

/// A CONNECT for a session that is kept.
fn kept(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        session_expiry: (version == Version::V5).then_some(3_600),
        ..Connect::new(version, client_id)
    }
}

fn connect(broker: &Running, connect: &Connect<'_>) -> (Line, String) {
    let mut line = broker.open(connect.version);
    line.send_connect(connect);
    let answer = line.next();
    (line, answer)
}

type Encode = fn(&mut Vec<u8>, Version, u16, ReasonCode);

fn answer(line: &mut Line, version: Version, encode: Encode, packet_id: u16) {
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
fn a_client_comes_back_to_its_session_in_either_version() {
    let broker = Running::start();
    let mut source = broker.connect(Version::V311, "source");
    for version in BOTH {
        let (mut console, answer) = connect(&broker, &kept(version, "console"));
        if version == Version::V311 {
            assert_eq!(answer, "connack 0");
            console.subscribe("room/+");
        } else {
            assert_eq!(answer, "connack 0 present");
        }
        drop(console);
        wait_until_away(&broker);
        source.publish("room/a", b"meanwhile", 1, false);
        assert_eq!(source.next(), "puback 1");
        let other = match version {
            Version::V311 => Version::V5,
            Version::V5 => Version::V311,
        };
        let (mut console, answer) = connect(&broker, &kept(other, "console"));
        assert_eq!(answer, "connack 0 present");
        assert_eq!(console.next(), "room/a = meanwhile");
        let mut bytes = Vec::new();
        encode::puback(&mut bytes, other, 1, ReasonCode::Success);
        encode::puback(&mut bytes, other, 2, ReasonCode::Success);
        console.send(&bytes);
        console.is_served();
        console.disconnect();
        assert_eq!(console.next(), "closed");
        wait_until_away(&broker);
    }
}

#[test]
fn a_take_over_hands_the_session_over() {
    let broker = Running::start();
    let mut source = broker.connect(Version::V311, "source");
    for version in BOTH {
        let id = format!("console-{version:?}");
        let (mut first, _) = connect(&broker, &kept(version, &id));
        first.subscribe("room/a");
        source.publish("room/a", b"x", 1, false);
        assert_eq!(first.next(), "room/a = x");
        let (mut second, answer) = connect(&broker, &kept(version, &id));
        assert_eq!(answer, "connack 0 present");
        assert_eq!(second.next(), "room/a = x again");
        if version == Version::V5 {
            assert_eq!(first.next(), "disconnect 8e");
        }
        assert_eq!(first.next(), "closed");
        second.is_served();
        let (mut third, answer) = connect(&broker, &Connect::new(version, &id));
        assert_eq!(answer, "connack 0", "a clean start");
        third.is_served();
        third.disconnect();
        assert_eq!(source.next(), "puback 1");
    }
}

#[test]
fn qos_2_survives_the_loss_of_any_acknowledgement_in_both_directions() {
    let broker = Running::start();
    for version in BOTH {
        let id = format!("once-{version:?}");
        let come_back = || {
            let (line, answer) = connect(&broker, &kept(version, &id));
            assert_eq!(answer, "connack 0 present");
            line
        };
        let (mut both, _) = connect(&broker, &kept(version, &id));
        both.ask_at("room/a", Qos::ExactlyOnce);
        assert_eq!(both.next(), "suback [2]");
        both.publish_at(Qos::ExactlyOnce, "devices/a/telemetry", b"1", 1, false);
        assert_eq!(both.next(), "pubrec 1");
        // PUBREC was lost: the publish is sent again; then PUBCOMP: the release is.
        let mut both = come_back();
        both.publish_at(Qos::ExactlyOnce, "devices/a/telemetry", b"1", 1, false);
        assert_eq!(both.next(), "pubrec 1");
        answer(&mut both, version, encode::pubrel, 1);
        assert_eq!(both.next(), "pubcomp 1");
        let mut both = come_back();
        answer(&mut both, version, encode::pubrel, 1);
        assert_eq!(both.next(), "pubcomp 1");

        both.publish_at(Qos::ExactlyOnce, "room/a", b"2", 2, false);
        let mut both_at_once = [both.next(), both.next()];
        both_at_once.sort();
        assert_eq!(both_at_once, ["pubrec 2", "room/a = 2"]);
        let mut both = come_back();
        assert_eq!(both.next(), "room/a = 2 again");
        answer(&mut both, version, encode::pubrec, 1);
        assert_eq!(both.next(), "pubrel 1");
        let mut both = come_back();
        assert_eq!(both.next(), "pubrel 1");
        answer(&mut both, version, encode::pubcomp, 1);
        both.is_served();
        let mut both = come_back();
        both.is_served();
    }
    assert_eq!(stats(&broker).journalled.get(), 2, "one for each version");
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

#[test]
fn a_delayed_will_comes_later_and_not_if_the_client_is_back() {
    let broker = Running::start();
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("status/+");
    let with_will = |client_id| Connect {
        will: Some(Will {
            topic: "status/a",
            payload: b"lost",
            delay: Some(1),
            ..Will::default()
        }),
        ..kept(Version::V5, client_id)
    };
    let (back, _) = connect(&broker, &with_will("back"));
    drop(back);
    let (mut back, answer) = connect(&broker, &kept(Version::V5, "back"));
    assert_eq!(answer, "connack 0 present");
    let (gone, _) = connect(&broker, &with_will("gone"));
    drop(gone);
    assert_eq!(console.next(), "status/a = lost");
    console.is_served();
    back.is_served();
}

/// Stops the broker and starts another one in its folder.
fn restart(mut broker: Running) -> Running {
    broker.stop();
    let folder = std::mem::replace(&mut broker.data, tempfile::tempdir().expect("a folder"));
    drop(broker);
    Running::in_folder(Config::default(), folder)
}

#[test]
fn what_was_kept_is_kept_over_a_restart() {
    let version = Version::V5;
    let broker = Running::start();
    let mut source = broker.connect(Version::V311, "source");
    let (mut console, _) = connect(&broker, &kept(version, "console"));
    console.ask_at("room/+", Qos::ExactlyOnce);
    assert_eq!(console.next(), "suback [2]");
    for (id, payload) in [(1, b"1"), (2, b"2"), (3, b"3")] {
        source.publish_at(Qos::ExactlyOnce, "room/a", payload, id, false);
        assert_eq!(source.next(), format!("pubrec {id}"));
        assert_eq!(console.next(), format!("room/a = {id}"));
    }
    answer(&mut console, version, encode::pubrec, 1);
    assert_eq!(console.next(), "pubrel 1");
    answer(&mut console, version, encode::pubrec, 3);
    assert_eq!(console.next(), "pubrel 3");
    answer(&mut console, version, encode::pubcomp, 3);
    console.is_served();
    drop(console);
    wait_until_away(&broker);
    source.publish("room/b", b"meanwhile", 4, false);
    assert_eq!(source.next(), "puback 4");
    source.publish("room/c", b"at most once", 0, false);
    source.is_served();

    let broker = restart(broker);
    assert_eq!(stats(&broker).sessions_kept.get(), 1);
    let mut source = broker.connect(Version::V311, "source");
    source.publish("room/d", b"after", 1, false);
    assert_eq!(source.next(), "puback 1");
    let (mut console, answer) = connect(&broker, &kept(version, "console"));
    assert_eq!(answer, "connack 0 present");
    assert_eq!(console.next(), "pubrel 1");
    assert_eq!(console.next(), "room/a = 2 again");
    assert_eq!(console.next(), "room/b = meanwhile");
    assert_eq!(console.next(), "room/d = after");
    console.is_served();
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
fn take_retained(line: &mut Line, version: Version) -> Vec<String> {
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
