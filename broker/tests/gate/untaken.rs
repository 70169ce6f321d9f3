//! Publishes that are no telemetry, to topics that nobody subscribes to.

use std::sync::{Arc, Mutex};

use broker::{Config, OnUntaken};
use mqtt::client::ServerPacket;
use mqtt::{Qos, Version};

use super::{BOTH, Running};

type Seen = Arc<Mutex<Vec<String>>>;

/// A broker that notes what it tells of.
fn start() -> (Running, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let on_untaken: OnUntaken = Arc::new(move |publish| {
        let payload = String::from_utf8_lossy(publish.payload);
        let kept = if publish.is_retained { " kept" } else { "" };
        let line = format!("{} {} {payload}{kept}", publish.client_id, publish.topic);
        noted.lock().expect("no panic").push(line);
    });
    (Running::telling(Config::default(), on_untaken), seen)
}

#[test]
fn the_publisher_is_told_and_it_is_counted() {
    let (server, seen) = start();
    let stats = server.stats();
    for version in BOTH {
        let reason = match version {
            Version::V311 => "",
            Version::V5 => " reason 10",
        };
        let before = stats.unmatched.get();
        let mut client = server.connect(version, "sensor");
        client.publish("sensors/b", b"1", 1, false);
        assert_eq!(client.next(), format!("puback 1{reason}"));
        client.publish_at(Qos::ExactlyOnce, "sensors/b", b"2", 2, false);
        let answer = client.receive(|packet| match packet {
            ServerPacket::PubRec(ack) => ack.reason.code(),
            other => panic!("{other:?}"),
        });
        let expected = if version == Version::V5 { 0x10 } else { 0 };
        assert_eq!(answer, Some(expected));
        client.publish_at(Qos::AtMostOnce, "sensors/b", b"3", 0, false);
        client.is_served();
        assert_eq!(stats.unmatched.get(), before + 3, "{version:?}");
    }
    let told = seen.lock().expect("no panic").clone();
    assert!(told.contains(&"sensor sensors/b 1".to_owned()), "{told:?}");
}

#[test]
fn what_somebody_takes_is_not() {
    let (server, seen) = start();
    let stats = server.stats();
    let mut client = server.connect(Version::V5, "client");
    let mut other = server.connect(Version::V5, "other");
    let mut member = server.connect(Version::V5, "member");
    other.subscribe("commands/a");
    member.subscribe("$share/group/work/+");
    for (packet_id, topic) in [(1, "devices/a/t"), (2, "commands/a"), (3, "work/x")] {
        client.publish(topic, b"1", packet_id, false);
        assert_eq!(client.next(), format!("puback {packet_id}"), "{topic}");
    }
    // Retained: it is there for the next subscriber, and told of.
    client.publish("state/a", b"1", 4, true);
    assert_eq!(client.next(), "puback 4");
    assert_eq!(stats.unmatched.get(), 0);
    let told = seen.lock().expect("no panic").clone();
    assert_eq!(told, ["client state/a 1 kept"]);
    // The last subscriber leaves.
    drop(other);
    server.is_empty_but_for(2);
    client.publish("commands/a", b"1", 5, false);
    assert_eq!(client.next(), "puback 5 reason 10");
    assert_eq!(stats.unmatched.get(), 1);
}
