//! What is sent: exact bytes, sizes at their boundaries, and the receiver's limits.

use mqtt::client::{self, ServerPacket};
use mqtt::{
    Connect, Frame, Packet, Qos, ReasonCode, RetainHandling, Subscription, Version, Version::V5,
    Version::V311, encode, frame,
};

use super::{decode, split};

#[test]
fn answers_are_these_bytes() {
    use ReasonCode::*;
    type Encode = fn(&mut Vec<u8>);
    let cases: [(Encode, &[u8]); 22] = [
        (
            |out| encode::puback(out, V311, 0x1234, Success),
            b"\x40\x02\x12\x34",
        ),
        (
            |out| encode::puback(out, V5, 0x1234, Success),
            b"\x40\x02\x12\x34",
        ),
        (
            |out| encode::puback(out, V5, 1, NoMatchingSubscribers),
            b"\x40\x03\x00\x01\x10",
        ),
        (
            |out| encode::puback(out, V311, 1, QuotaExceeded),
            b"\x40\x02\x00\x01",
        ),
        (
            |out| encode::puback_with(out, V5, 1, QuotaExceeded, "full", None),
            b"\x40\x0B\x00\x01\x97\x07\x1F\x00\x04full",
        ),
        (
            |out| encode::puback_with(out, V311, 1, Success, "full", None),
            b"\x40\x02\x00\x01",
        ),
        (
            |out| encode::puback_with(out, V5, 1, QuotaExceeded, "full", Some(12)),
            b"\x40\x03\x00\x01\x97",
        ),
        (
            |out| encode::pubrec_with(out, V5, 1, QuotaExceeded, "x", Some(10)),
            b"\x50\x08\x00\x01\x97\x04\x1F\x00\x01x",
        ),
        (
            |out| encode::pubrec(out, V5, 1, NotAuthorized),
            b"\x50\x03\x00\x01\x87",
        ),
        (
            |out| encode::pubrel(out, V5, 1, PacketIdentifierNotFound),
            b"\x62\x03\x00\x01\x92",
        ),
        (
            |out| encode::pubrel(out, V311, 1, Success),
            b"\x62\x02\x00\x01",
        ),
        (
            |out| encode::pubcomp(out, V5, 1, Success),
            b"\x70\x02\x00\x01",
        ),
        (
            |out| encode::suback(out, V5, 7, &[Success, GrantedQos1, TopicFilterInvalid]),
            b"\x90\x06\x00\x07\x00\x00\x01\x8F",
        ),
        (
            |out| encode::suback(out, V311, 7, &[GrantedQos2, NotAuthorized, QuotaExceeded]),
            b"\x90\x05\x00\x07\x02\x80\x80",
        ),
        (
            |out| encode::unsuback(out, V5, 7, &[Success, NoSubscriptionExisted]),
            b"\xB0\x05\x00\x07\x00\x00\x11",
        ),
        (
            |out| encode::unsuback(out, V311, 7, &[Success]),
            b"\xB0\x02\x00\x07",
        ),
        (encode::pingresp, b"\xD0\x00"),
        (
            |out| encode::disconnect(out, V5, ServerShuttingDown, None, None),
            b"\xE0\x01\x8B",
        ),
        (
            |out| encode::disconnect(out, V311, ServerShuttingDown, Some("x"), None),
            b"",
        ),
        (
            |out| encode::disconnect(out, V5, MalformedPacket, Some("no"), None),
            b"\xE0\x07\x81\x05\x1F\x00\x02no",
        ),
        // [MQTT-3.14.2-3]: nine bytes fit, eight do not.
        (
            |out| encode::disconnect(out, V5, MalformedPacket, Some("no"), Some(9)),
            b"\xE0\x07\x81\x05\x1F\x00\x02no",
        ),
        (
            |out| encode::disconnect(out, V5, MalformedPacket, Some("no"), Some(8)),
            b"\xE0\x01\x81",
        ),
    ];
    for (encode, expected) in cases {
        let mut out = b"before".to_vec();
        encode(&mut out);
        assert_eq!(&out[6..], expected, "{expected:02x?}");
    }
}

#[test]
fn connack_says_what_differs_from_the_defaults() {
    let mut out = Vec::new();
    encode::connack(
        &mut out,
        V5,
        &encode::ConnAck::new(ReasonCode::Success),
        None,
    );
    assert_eq!(out, b"\x20\x03\x00\x00\x00");

    let full = encode::ConnAck {
        session_present: true,
        session_expiry: Some(60),
        receive_maximum: Some(20),
        maximum_qos: Qos::AtLeastOnce,
        retain_available: false,
        maximum_packet_size: Some(4096),
        assigned_client_id: Some("id"),
        topic_alias_maximum: Some(8),
        reason_string: Some("ok"),
        user_properties: &[("k", "v")],
        wildcard_subscriptions: false,
        subscription_ids: false,
        shared_subscriptions: false,
        server_keep_alive: Some(30),
        ..encode::ConnAck::new(ReasonCode::Success)
    };
    out.clear();
    encode::connack(&mut out, V5, &full, None);
    let whole = out.len();
    let ServerPacket::ConnAck(found) = decode_server(V5, &out) else {
        panic!("not CONNACK");
    };
    assert!(found.session_present);
    assert_eq!((found.code, found.session_expiry), (0, Some(60)));
    assert_eq!(
        (found.receive_maximum, found.maximum_qos),
        (Some(20), Qos::AtLeastOnce)
    );
    assert_eq!(
        (found.retain_available, found.maximum_packet_size),
        (false, Some(4096))
    );
    assert_eq!(
        (found.assigned_client_id, found.topic_alias_maximum),
        (Some("id"), 8)
    );
    assert_eq!(
        (found.reason_string, found.server_keep_alive),
        (Some("ok"), Some(30))
    );
    assert!(!found.wildcard_subscriptions);
    assert!(!found.subscription_ids && !found.shared_subscriptions);
    assert_eq!(
        found.user_properties.iter().collect::<Vec<_>>(),
        [("k", "v")]
    );

    // [MQTT-3.2.2-19], [MQTT-3.2.2-20]: what is for people goes first.
    for (limit, reason_string, user_properties) in [
        (whole, Some("ok"), 1),
        (whole - 1, Some("ok"), 0),
        (whole - 8, None, 0),
    ] {
        let mut out = Vec::new();
        encode::connack(&mut out, V5, &full, Some(limit as u32));
        let ServerPacket::ConnAck(found) = decode_server(V5, &out) else {
            panic!("not CONNACK");
        };
        assert_eq!(found.reason_string, reason_string, "limit `{limit}`");
        assert_eq!(
            found.user_properties.iter().count(),
            user_properties,
            "limit `{limit}`"
        );
        assert_eq!(
            found.maximum_packet_size,
            Some(4096),
            "the rest is not left out"
        );
    }

    let codes = [
        (ReasonCode::Success, 0),
        (ReasonCode::UnsupportedProtocolVersion, 1),
        (ReasonCode::ClientIdentifierNotValid, 2),
        (ReasonCode::ServerBusy, 3),
        (ReasonCode::QuotaExceeded, 3),
        (ReasonCode::BadUserNameOrPassword, 4),
        (ReasonCode::NotAuthorized, 5),
        (ReasonCode::Banned, 5),
    ];
    for (reason, code) in codes {
        let mut out = Vec::new();
        encode::connack(&mut out, V311, &encode::ConnAck::new(reason), None);
        assert_eq!(out, [0x20, 2, 0, code], "{reason}");
    }
}

#[test]
fn a_publish_is_these_bytes() {
    let publish = encode::Publish {
        dup: true,
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: "a/b",
        packet_id: 0x1234,
        message_expiry: Some(9),
        topic_alias: Some(3),
        subscription_ids: &[1, 300],
        properties: b"\x01\x01",
        payload: b"hi",
    };
    let mut out = Vec::new();
    let at = encode::publish(&mut out, V311, &publish).unwrap();
    assert_eq!(out, b"\x3B\x09\x00\x03a/b\x12\x34hi");
    encode::set_packet_id(&mut out, at, 1);
    assert_eq!(out, b"\x3B\x09\x00\x03a/b\x00\x01hi");

    let mut out = b"x".to_vec();
    let at = encode::publish(&mut out, V5, &publish).unwrap();
    let expected = b"\x3B\x19\x00\x03a/b\x12\x34\x0F\
        \x02\x00\x00\x00\x09\x23\x00\x03\x0B\x01\x0B\xAC\x02\x01\x01hi";
    assert_eq!(&out[1..], expected);
    assert_eq!(encode::publish_len(V5, &publish), expected.len());
    encode::set_packet_id(&mut out, at, 0xFFFF);
    assert_eq!(&out[8..10], b"\xFF\xFF");

    let mut head = Vec::new();
    encode::publish_head(&mut head, V5, &publish);
    assert_eq!(head, expected[..expected.len() - 2]);

    let ServerPacket::Publish(found) = decode_server(V5, expected) else {
        panic!("not PUBLISH");
    };
    assert_eq!(
        found.properties.subscription_ids().collect::<Vec<_>>(),
        [1, 300]
    );
    assert_eq!(found.properties.message_expiry, Some(9));
    assert_eq!(
        found.properties.raw_forwardable().to_bytes()[..],
        *b"\x01\x01"
    );

    let plain = encode::Publish {
        topic: "a",
        ..encode::Publish::default()
    };
    let mut out = Vec::new();
    assert_eq!(encode::publish(&mut out, V311, &plain), None);
    assert_eq!(out, b"\x30\x03\x00\x01a");
    out.clear();
    encode::publish(&mut out, V5, &plain);
    assert_eq!(out, b"\x30\x04\x00\x01a\x00");
}

/// Around each place where a length takes one byte more.
#[test]
fn sizes_are_exact_at_every_boundary() {
    for boundary in [127usize, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        for length in boundary.saturating_sub(9)..boundary + 9 {
            let payload = vec![7; length];
            for version in [V311, V5] {
                let publish = encode::Publish {
                    topic: "a",
                    payload: &payload,
                    ..encode::Publish::default()
                };
                let mut out = Vec::new();
                encode::publish(&mut out, version, &publish);
                assert_eq!(out.len(), encode::publish_len(version, &publish));
                let whole = out.len();
                assert!(matches!(
                    frame(&out, whole),
                    Ok(Frame::Complete { length, .. }) if length == whole
                ));
            }
        }
    }
    // The same for the length of properties.
    for length in 110..150 {
        let text = "x".repeat(length);
        let mut properties = vec![0x03, 0, length as u8];
        properties.extend_from_slice(text.as_bytes());
        let publish = encode::Publish {
            topic: "a",
            properties: &properties,
            ..encode::Publish::default()
        };
        let mut out = Vec::new();
        encode::publish(&mut out, V5, &publish);
        assert_eq!(out.len(), encode::publish_len(V5, &publish));
        let Ok(Packet::Publish(found)) = decode(V5, &out) else {
            panic!("not PUBLISH: {out:02x?}");
        };
        assert_eq!(found.properties.content_type, Some(&*text));
    }
}

#[test]
fn strings_are_cut_at_a_character_when_they_are_too_long() {
    let long = "\u{20ac}".repeat(30_000);
    let mut out = Vec::new();
    encode::disconnect(
        &mut out,
        V5,
        ReasonCode::UnspecifiedError,
        Some(&long),
        None,
    );
    let ServerPacket::Disconnect(found) = decode_server(V5, &out) else {
        panic!("not DISCONNECT");
    };
    assert_eq!(found.reason_string, Some(&long[..65_535]));
}

#[test]
fn what_a_client_encodes_a_server_decodes() {
    for version in [V311, V5] {
        let speaks_v5 = version == V5;
        let sent = client::Connect {
            clean_start: false,
            keep_alive: 30,
            will: Some(client::Will {
                topic: "w",
                payload: b"gone",
                qos: Qos::AtLeastOnce,
                retain: true,
                delay: Some(5),
                properties: b"\x01\x01",
            }),
            user: Some("u"),
            password: Some(b"p\x00"),
            session_expiry: Some(60),
            receive_maximum: Some(10),
            maximum_packet_size: Some(1000),
            topic_alias_maximum: Some(3),
            request_problem_information: Some(false),
            authentication_method: Some("m"),
            authentication_data: Some(b"d"),
            user_properties: &[("k", "v")],
            ..client::Connect::new(version, "id")
        };
        let mut out = Vec::new();
        client::connect(&mut out, &sent);
        let (_, body) = split(&out).unwrap();
        let found = Connect::decode(body).unwrap();
        assert_eq!(
            (found.version, found.clean_start, found.keep_alive),
            (version, false, 30)
        );
        assert_eq!((found.client_id, found.user), ("id", Some("u")));
        assert_eq!(found.password, Some(&b"p\x00"[..]));
        let will = found.will.unwrap();
        assert_eq!((will.topic, will.payload), ("w", &b"gone"[..]));
        assert_eq!((will.qos, will.retain), (Qos::AtLeastOnce, true));
        assert_eq!(will.delay, if speaks_v5 { 5 } else { 0 });
        let properties = &found.properties;
        assert_eq!(properties.session_expiry, if speaks_v5 { 60 } else { 0 });
        assert_eq!(
            properties.receive_maximum,
            if speaks_v5 { 10 } else { 65_535 }
        );
        assert_eq!(properties.maximum_packet_size, speaks_v5.then_some(1000));
        assert_eq!(
            properties.topic_alias_maximum,
            if speaks_v5 { 3 } else { 0 }
        );
        assert_eq!(properties.request_problem_information, !speaks_v5);
        assert_eq!(properties.authentication_method, speaks_v5.then_some("m"));
        assert_eq!(
            properties.user_properties.iter().count(),
            usize::from(speaks_v5)
        );

        let subscriptions = [
            Subscription {
                filter: "a/#",
                qos: Qos::AtLeastOnce,
                no_local: speaks_v5,
                retain_as_published: speaks_v5,
                retain_handling: if speaks_v5 {
                    RetainHandling::Never
                } else {
                    RetainHandling::Send
                },
            },
            Subscription {
                filter: "b",
                qos: Qos::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            },
        ];
        out.clear();
        client::subscribe(&mut out, version, 5, Some(9), &subscriptions);
        let Packet::Subscribe(found) = decode(version, &out).unwrap() else {
            panic!("not SUBSCRIBE");
        };
        assert_eq!(
            (found.packet_id, found.subscription_id),
            (5, speaks_v5.then_some(9))
        );
        assert_eq!(
            found.subscriptions.iter().collect::<Vec<_>>(),
            subscriptions
        );

        out.clear();
        client::unsubscribe(&mut out, version, 6, &["a/#", "b"]);
        let Packet::Unsubscribe(found) = decode(version, &out).unwrap() else {
            panic!("not UNSUBSCRIBE");
        };
        assert_eq!(found.packet_id, 6);
        assert_eq!(found.filters.iter().collect::<Vec<_>>(), ["a/#", "b"]);

        out.clear();
        client::pingreq(&mut out);
        assert_eq!(decode(version, &out), Ok(Packet::PingReq));

        out.clear();
        client::disconnect(&mut out, version, ReasonCode::DisconnectWithWill, Some(1));
        let Packet::Disconnect(found) = decode(version, &out).unwrap() else {
            panic!("not DISCONNECT");
        };
        assert_eq!(found.session_expiry, speaks_v5.then_some(1));
        assert_eq!(found.reason == ReasonCode::DisconnectWithWill, speaks_v5);
    }
}

#[test]
fn what_a_server_encodes_a_client_decodes() {
    for version in [V311, V5] {
        let mut out = Vec::new();
        encode::suback(
            &mut out,
            version,
            7,
            &[ReasonCode::GrantedQos1, ReasonCode::NotAuthorized],
        );
        let ServerPacket::SubAck(found) = decode_server(version, &out) else {
            panic!("not SUBACK");
        };
        let refused = if version == V5 { 0x87 } else { 0x80 };
        assert_eq!((found.packet_id, found.codes), (7, &[1, refused][..]));
        out.clear();
        encode::unsuback(&mut out, version, 8, &[ReasonCode::Success]);
        let ServerPacket::UnsubAck(found) = decode_server(version, &out) else {
            panic!("not UNSUBACK");
        };
        assert_eq!(
            (found.packet_id, found.codes.len()),
            (8, usize::from(version == V5))
        );
        out.clear();
        encode::pingresp(&mut out);
        assert_eq!(decode_server(version, &out), ServerPacket::PingResp);
    }
    // A server's packets only.
    for bytes in [
        &b"\x82\x06\x00\x01\x00\x01a\x00"[..],
        b"\xC0\x00",
        b"\x10\x00",
    ] {
        let (first_byte, body) = split(bytes).unwrap();
        let error = client::decode(V311, first_byte, body).unwrap_err();
        assert_eq!(error.reason, ReasonCode::ProtocolError);
    }
}

#[test]
fn reason_codes_have_one_number_and_one_name_each() {
    let mut previous = None;
    for &reason in ReasonCode::ALL {
        assert!(previous < Some(reason.code()), "{reason}");
        previous = Some(reason.code());
        assert_eq!(ReasonCode::from_u8(reason.code()), Some(reason));
        assert_eq!(reason.is_error(), reason.code() >= 0x80);
    }
    assert_eq!(ReasonCode::ALL.len(), 43, "table 2-6");
    assert_eq!((0..=255).filter_map(ReasonCode::from_u8).count(), 43);
    assert_eq!(
        ReasonCode::QuotaExceeded.to_string(),
        "quota exceeded (0x97)"
    );
}

fn decode_server(version: Version, bytes: &[u8]) -> ServerPacket<'_> {
    let (first_byte, body) = split(bytes).unwrap();
    client::decode(version, first_byte, body).unwrap()
}
