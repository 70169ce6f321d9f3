//! Everything that may be done with bytes from outside; shared with the fuzz target.

use mqtt::topic::{self, Filter};
use mqtt::{Connect, Frame, Packet, Version, client, encode, frame};

/// Takes `data` for what a client sends, then for what a server sends. Nothing may panic, and what
/// was decoded must come out again as it was.
pub(crate) fn exercise(data: &[u8]) {
    for version in [Version::V311, Version::V5] {
        let mut rest = data;
        while let Ok(Frame::Complete {
            first_byte,
            body,
            length,
        }) = frame(rest, 1 << 20)
        {
            assert!(body.end == length && length <= rest.len());
            let body = &rest[body];
            look_at_connect(body);
            if let Ok(packet) = Packet::decode(version, first_byte, body) {
                look_at(version, first_byte, body, &packet);
            }
            if let Ok(packet) = client::decode(version, first_byte, body) {
                assert!(!format!("{packet:?}").is_empty());
            }
            rest = &rest[length..];
        }
    }
    look_at_connect(data);
    look_at_topics(data);
}

/// Takes the lines of `data` for filters and topics.
fn look_at_topics(data: &[u8]) {
    let lines = || {
        data.split(|&byte| byte == b'\n')
            .filter_map(|line| str::from_utf8(line).ok())
    };
    for filter in lines().filter_map(|line| Filter::parse(line).ok()).take(8) {
        for topic in lines().filter(|line| topic::valid_topic(line)).take(8) {
            let matches = topic::matches(filter.filter, topic);
            assert!(!matches || topic.starts_with(topic::literal_prefix(filter.filter)));
            assert!(topic::is_wildcard(filter.filter) || matches == (filter.filter == topic));
        }
    }
}

fn look_at_connect(body: &[u8]) {
    match Connect::decode(body) {
        Ok(connect) => {
            assert!(connect.properties.user_properties.iter().count() <= body.len());
            if let Some(will) = connect.will {
                assert!(!will.topic.is_empty() && !will.topic.contains(['+', '#', '\0']));
                assert!(will.properties.raw_forwardable().len() <= body.len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn look_at(version: Version, first_byte: u8, body: &[u8], packet: &Packet<'_>) {
    match packet {
        Packet::Publish(publish) => {
            assert_eq!(publish.packet_id.is_some(), first_byte & 0x06 != 0);
            assert!(!publish.topic.contains(['+', '#', '\0']));
            let properties = publish.properties.raw_forwardable().to_bytes();
            let again = encode::Publish {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                topic: publish.topic,
                packet_id: publish.packet_id.unwrap_or(0),
                message_expiry: publish.properties.message_expiry,
                subscription_ids: &[],
                properties: &properties,
                payload: publish.payload,
                ..encode::Publish::default()
            };
            let mut out = Vec::new();
            encode::publish(&mut out, version, &again);
            assert_eq!(out.len(), encode::publish_len(version, &again));
            assert_eq!(out[0], first_byte);
            // Without properties of its own, byte for byte; a remaining length may have been
            // written with more bytes.
            if properties.is_empty() && publish.properties.user_properties().iter().count() == 0 {
                assert!(out.ends_with(publish.payload));
            }
            if version == Version::V311 {
                assert!(out.ends_with(body));
            }
        }
        Packet::Subscribe(subscribe) => {
            assert_eq!(
                subscribe.subscriptions.iter().count(),
                subscribe.subscriptions.len()
            );
            assert!(!subscribe.subscriptions.is_empty());
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert_eq!(
                unsubscribe.filters.iter().count(),
                unsubscribe.filters.len()
            );
            assert!(!unsubscribe.filters.is_empty());
        }
        other => assert!(!format!("{other:?}").is_empty()),
    }
}
