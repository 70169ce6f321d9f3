//! What a client, or an address, may ask for at most.

use broker::Config;
use bytesize::ByteSize;
use mqtt::client::{self, Connect, ServerPacket};
use mqtt::{ReasonCode, Version};
use testkit::PATIENCE;
use testkit::mqtt::Client;

use super::running::acknowledge;
use super::{BOTH, Running};

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

/// A client that asks for its session to be kept.
fn kept(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        session_expiry: (version == Version::V5).then_some(60),
        ..Connect::new(version, client_id)
    }
}

/// Connects; whether its session was there, and for how long it is told that it is kept, if that is
/// not what it asked for.
fn connect(server: &Running, connect: &Connect<'_>) -> (Client, bool, Option<u32>) {
    let mut line = server.open(connect.version);
    line.send_connect(connect);
    let told = line.receive(|packet| match packet {
        ServerPacket::ConnAck(ack) => (ack.code, ack.session_present, ack.session_expiry),
        other => panic!("{other:?}"),
    });
    let (code, present, expiry) = told.expect("an answer");
    assert_eq!(code, 0);
    (line, present, expiry)
}

fn leave(server: &Running, mut line: Client) {
    let left = server.stats().connections.get() - 1;
    line.disconnect();
    assert_eq!(line.next(), "closed");
    server.is_empty_but_for(left);
}

#[test]
fn a_client_whose_session_cannot_be_kept_is_told_when_it_connects() {
    for version in BOTH {
        let server = Running::with(Config {
            max_sessions: 2,
            max_sessions_per_user: Some(2),
            ..Config::default()
        });
        let refused = (version == Version::V5).then_some(0);
        let (first, ..) = connect(&server, &kept(version, "first"));
        let (second, _, told) = connect(&server, &kept(version, "second"));
        assert_eq!(told, None);
        leave(&server, second);
        let (third, present, told) = connect(&server, &kept(version, "third"));
        assert_eq!(
            (present, told),
            (false, refused),
            "a kept one has its place"
        );
        leave(&server, third);
        assert_eq!(server.stats().sessions_refused.get(), 1);
        let (third, present, told) = connect(&server, &kept(version, "third"));
        assert_eq!((present, told), (false, refused), "it was not kept");

        // Whoever was told that it is kept finds its session, also when it was not connected in
        // between.
        let (second, present, told) = connect(&server, &kept(version, "second"));
        assert_eq!((present, told), (true, None));
        let (second_again, present, told) = connect(&server, &kept(version, "second"));
        assert_eq!((present, told), (true, None), "a take-over keeps the place");
        drop(second);

        // A session that ends makes room for another.
        leave(&server, first);
        let (first, present, _) = connect(&server, &Connect::new(version, "first"));
        assert!(!present);
        leave(&server, third);
        let (third, _, told) = connect(&server, &kept(version, "third"));
        assert_eq!(told, None);
        drop((first, second_again, third));
        server.is_empty_but_for(0);
        assert_eq!(server.stats().sessions_kept.get(), 2);
        assert_eq!(server.stats().sessions_refused.get(), 2);
    }
}

#[test]
fn a_disconnect_does_not_keep_a_session_that_has_no_place() {
    let server = Running::with(Config {
        max_sessions: 0,
        ..Config::default()
    });
    let (mut line, _, told) = connect(&server, &kept(Version::V5, "hopeful"));
    assert_eq!(told, Some(0));
    let mut bytes = Vec::new();
    client::disconnect(&mut bytes, Version::V5, ReasonCode::Success, Some(100));
    line.send(&bytes);
    assert_eq!(line.next(), "closed");
    server.is_empty_but_for(0);
    assert_eq!(server.stats().sessions.get(), 0);
}

#[test]
fn a_restart_gives_places_back_to_whom_they_belonged() {
    let config = || Config {
        max_sessions: 2,
        max_sessions_per_user: Some(2),
        ..Config::default()
    };
    let mut server = Running::with(config());
    for id in ["first", "second"] {
        let (line, ..) = connect(&server, &kept(Version::V5, id));
        leave(&server, line);
    }
    server.stop();
    let folder = std::mem::replace(&mut server.data, tempfile::tempdir().expect("a folder"));
    drop(server);
    let server = Running::in_folder(
        Config {
            max_sessions: 1,
            max_sessions_per_user: Some(1),
            ..config()
        },
        folder,
    );
    let (_third, _, told) = connect(&server, &kept(Version::V5, "third"));
    assert_eq!(told, Some(0));
    for id in ["first", "second"] {
        let (_line, present, told) = connect(&server, &kept(Version::V5, id));
        assert_eq!(
            (present, told),
            (true, None),
            "the limit refuses what is new"
        );
    }
}
