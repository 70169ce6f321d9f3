//! What a client, or an address, may ask for at most.

use std::time::Duration;

use broker::Config;
use broker::packet::Version;
use bytesize::ByteSize;

use super::{BOTH, Running, acknowledge};

/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn an_address_has_no_more_connections_than_it_may_have() {
    let server = Running::with(Config {
        max_connections_per_address: 2,
        ..Config::default()
    });
    let mut first = server.connect(Version::V5, "first");
    let _second = server.connect(Version::V311, "second");
    assert_eq!(server.open(Version::V5).next(), "closed");

    first.disconnect();
    assert_eq!(first.next(), "closed");
    let connections = || {
        server
            .broker
            .as_ref()
            .map(|broker| broker.stats().connections.get())
    };
    testkit::wait_until("a free place", PATIENCE, connections, |now| *now == Some(1));
    server.connect(Version::V5, "third").is_served();
}

#[test]
fn connections_beyond_the_rate_wait_their_turn_and_get_in() {
    let server = Running::with(Config {
        max_connect_rate: 50,
        ..Config::default()
    });
    let mut clients: Vec<_> = (0..60)
        .map(|at| server.connect(Version::V5, &format!("c{at}")))
        .collect();
    clients.iter_mut().for_each(|client| client.is_served());
}

#[test]
fn a_client_beyond_its_rate_is_read_more_slowly_and_loses_nothing() {
    let server = Running::with(Config {
        max_publish_rate: 500,
        ..Config::default()
    });
    for version in BOTH {
        let mut console = server.connect(version, "console");
        console.subscribe("devices/+/telemetry");
        let mut hasty = server.connect(version, "hasty");
        for at in 1..=900_u16 {
            hasty.publish("devices/a/telemetry", at.to_string().as_bytes(), at, false);
        }
        for at in 1..=900_u32 {
            assert_eq!(hasty.next(), format!("puback {at}"));
            assert_eq!(console.next(), format!("devices/a/telemetry = {at}"));
            if at % 50 == 0 {
                acknowledge(&mut console, at - 49, 50);
            }
        }
        hasty.is_served();
    }
    let throttled = server
        .broker
        .as_ref()
        .map(|broker| broker.stats().throttled.get());
    assert!(throttled >= Some(2), "{throttled:?}");
}

#[test]
fn a_payload_or_topic_beyond_the_limits_is_refused_with_its_reason() {
    let server = Running::with(Config {
        max_payload_size: ByteSize(10),
        max_topic_levels: 3,
        max_topic_length: 20,
        ..Config::default()
    });
    let refused = [
        ("devices/a/telemetry", "11 bytes is", "97"),
        ("a/b/c/d", "", "90"),
        ("devices/abcdefghijklm", "", "90"),
    ];
    for (topic, payload, reason) in refused {
        let mut new = server.connect(Version::V5, "new");
        new.publish(topic, payload.as_bytes(), 1, false);
        assert_eq!(new.next(), format!("puback 1 reason {reason}"), "{topic}");
        new.publish(topic, payload.as_bytes(), 0, false);
        new.publish("devices/a/telemetry", b"10 bytes i", 2, false);
        assert_eq!(new.next(), "puback 2", "{topic}");

        let mut old = server.connect(Version::V311, "old");
        old.publish(topic, payload.as_bytes(), 1, false);
        assert_eq!(old.next(), "closed", "{topic}");
    }
    for version in BOTH {
        let mut client = server.connect(version, "subscriber");
        client.ask("a/b/c/d");
        let refusal = if version == Version::V5 { "8f" } else { "80" };
        assert_eq!(client.next(), format!("suback [{refusal}]"));
    }
    server.serves_a_fresh_client();
}
