//! MQTT 3.1, the protocol `MQIsdp`, which old devices speak.

use mqtt::{ReasonCode, Version, encode};

use crate::Running;
use testkit::mqtt::Client;

/// CONNECT of MQTT 3.1.
fn connect(line: &mut Client, clean_session: bool, client_id: &str) {
    let length = client_id.len() as u8;
    let mut bytes = vec![0x10, 14 + length, 0, 6];
    bytes.extend_from_slice(b"MQIsdp");
    bytes.extend_from_slice(&[3, u8::from(clean_session) << 1, 0, 0, 0, length]);
    bytes.extend_from_slice(client_id.as_bytes());
    line.send(&bytes);
}

fn old_client(broker: &Running, clean_session: bool, client_id: &str) -> Client {
    let mut line = broker.open(Version::V311);
    connect(&mut line, clean_session, client_id);
    assert_eq!(line.next(), "connack 0");
    line
}

/// SUBSCRIBE at QoS 1, with or without the word that it is sent again.
fn subscribe(line: &mut Client, dup: bool, filter: &str) {
    let length = filter.len() as u8;
    let mut bytes = vec![0x82 | u8::from(dup) << 3, length + 5, 0, 7, 0, length];
    bytes.extend_from_slice(filter.as_bytes());
    bytes.push(1);
    line.send(&bytes);
}

#[test]
fn an_old_client_publishes_subscribes_and_says_that_it_sends_again() {
    let broker = Running::start();
    let mut old = old_client(&broker, true, "old");
    for dup in [false, true] {
        subscribe(&mut old, dup, "room/+");
        assert_eq!(old.next(), "suback [1]");
    }
    let mut new = broker.connect(Version::V5, "new");
    new.subscribe("room/+");
    old.publish("room/a", b"x", 3, false);
    let mut heard = [old.next(), old.next()];
    heard.sort();
    assert_eq!(heard, ["puback 3", "room/a = x"]);
    assert_eq!(new.next(), "room/a = x");
    // PUBREL and UNSUBSCRIBE, again; the first without a PUBREC before it.
    old.send(&[0x6A, 2, 0, 9]);
    assert_eq!(old.next(), "pubcomp 9");
    old.send(&[0xAA, 10, 0, 8, 0, 6, b'r', b'o', b'o', b'm', b'/', b'+']);
    assert_eq!(old.next(), "unsuback");
    old.is_served();
    // In the versions that came after it these bits are reserved.
    let mut later = broker.connect(Version::V311, "later");
    subscribe(&mut later, true, "room/+");
    assert_eq!(later.next(), "closed");
}

#[test]
fn its_session_is_kept_without_a_word_and_has_an_id() {
    let broker = Running::start();
    let mut old = old_client(&broker, false, "old");
    subscribe(&mut old, false, "room/a");
    assert_eq!(old.next(), "suback [1]");
    old.disconnect();
    assert_eq!(old.next(), "closed");
    let mut new = broker.connect(Version::V5, "new");
    new.publish("room/a", b"meanwhile", 1, false);
    assert_eq!(new.next(), "puback 1");
    // Not `present`: the byte is reserved.
    let mut old = old_client(&broker, false, "old");
    assert_eq!(old.next(), "room/a = meanwhile");
    let mut bytes = Vec::new();
    encode::puback(&mut bytes, Version::V311, 1, ReasonCode::Success);
    old.send(&bytes);
    old.is_served();

    // Longer than the 23 characters that are allowed there.
    old_client(&broker, true, &"x".repeat(60)).is_served();
    let mut nameless = broker.open(Version::V311);
    connect(&mut nameless, true, "");
    assert_eq!([nameless.next(), nameless.next()], ["connack 2", "closed"]);
}

#[test]
fn a_filter_that_is_refused_is_answered_as_if_it_were_not() {
    let broker = Running::start();
    let mut old = old_client(&broker, true, "old");
    subscribe(&mut old, false, "a/#/b");
    assert_eq!(old.next(), "suback [1]", "0x80 came with 3.1.1");
    old.is_served();
    assert_eq!(broker.stats().subscriptions.get(), 0);
}

#[test]
fn the_console_sees_which_version_is_spoken() {
    let broker = Running::start();
    let _old = old_client(&broker, true, "old");
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("$clients/old/status");
    let status = console.next();
    assert!(status.contains(r#""protocol":"3.1""#), "{status}");
}
