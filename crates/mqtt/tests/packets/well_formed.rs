//! Packets as clients send them, and every field that comes out of them.

use mqtt::{
    Ack, Connect, ConnectError, Packet, Publish, Qos, ReasonCode, RetainHandling, Subscription,
    Version, Version::V5, Version::V311,
};

use super::{decode, split};

#[test]
fn a_publish_of_3_1_1() {
    let publish = publish(V311, b"\x30\x07\x00\x03a/bhi");
    assert_eq!(
        (publish.dup, publish.qos, publish.retain),
        (false, Qos::AtMostOnce, false)
    );
    assert_eq!((publish.topic, publish.packet_id), ("a/b", None));
    assert_eq!(publish.payload, b"hi");
    assert_eq!(publish.properties, Default::default());

    let publish = self::publish(V311, b"\x3B\x07\x00\x01a\x12\x34hi");
    assert_eq!(
        (publish.dup, publish.qos, publish.retain),
        (true, Qos::AtLeastOnce, true)
    );
    assert_eq!((publish.topic, publish.packet_id), ("a", Some(0x1234)));
    assert_eq!(publish.payload, b"hi");

    let publish = self::publish(V311, b"\x34\x05\x00\x01a\x00\x01");
    assert_eq!(
        (publish.qos, publish.packet_id),
        (Qos::ExactlyOnce, Some(1))
    );
    assert_eq!(
        publish.payload, b"",
        "an empty payload is allowed: section 3.3.3"
    );

    // Any Unicode but U+0000: section 1.5.4; a BOM is U+FEFF and stays [MQTT-1.5.4-3].
    let publish = self::publish(V311, b"\x30\x0A\x00\x08\xEF\xBB\xBF/\xF0\x9F\x8C\xA1");
    assert_eq!(publish.topic, "\u{feff}/\u{1f321}");
}

#[test]
fn a_publish_of_5_with_every_property() {
    let bytes = packet(
        0x32,
        b"\x00\x01a\x00\x07\x31\
        \x01\x01\
        \x02\x00\x00\x01\x00\
        \x26\x00\x01k\x00\x02v1\
        \x03\x00\x04json\
        \x23\x00\x05\
        \x08\x00\x03r/t\
        \x09\x00\x02\x00\xFF\
        \x26\x00\x01k\x00\x02v2\
        \x26\x00\x00\x00\x00\
        {}",
    );
    let publish = publish(V5, &bytes);
    let properties = &publish.properties;
    assert_eq!(publish.packet_id, Some(7));
    assert_eq!(properties.payload_format, Some(true));
    assert_eq!(properties.message_expiry, Some(256));
    assert_eq!(properties.content_type, Some("json"));
    assert_eq!(properties.topic_alias, Some(5));
    assert_eq!(properties.response_topic, Some("r/t"));
    assert_eq!(properties.correlation_data, Some(&b"\x00\xFF"[..]));
    let user: Vec<_> = properties.user_properties().iter().collect();
    assert_eq!(
        user,
        [("k", "v1"), ("k", "v2"), ("", "")],
        "in order: [MQTT-3.3.2-18]"
    );
    assert_eq!(publish.payload, b"{}");

    let forwardable = properties.raw_forwardable();
    let expected = b"\x01\x01\
        \x26\x00\x01k\x00\x02v1\
        \x03\x00\x04json\
        \x08\x00\x03r/t\
        \x09\x00\x02\x00\xFF\
        \x26\x00\x01k\x00\x02v2\
        \x26\x00\x00\x00\x00";
    assert_eq!(&forwardable.to_bytes()[..], expected);
    assert_eq!(forwardable.len(), expected.len());
    let mut out = b"x".to_vec();
    forwardable.append_to(&mut out);
    assert_eq!(&out[1..], expected);
}

#[test]
fn what_is_forwarded_is_what_concerns_the_receiver() {
    let cases: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b"\x01\x00", b"\x01\x00"),
        (b"\x23\x00\x01", b""),
        (b"\x02\x00\x00\x00\x01\x23\x00\x01", b""),
        (b"\x02\x00\x00\x00\x01\x01\x00\x23\x00\x01", b"\x01\x00"),
        (
            b"\x01\x00\x02\x00\x00\x00\x01\x03\x00\x00",
            b"\x01\x00\x03\x00\x00",
        ),
    ];
    for (block, expected) in cases {
        let mut bytes = vec![0x30, (4 + block.len()) as u8, 0, 1, b'a', block.len() as u8];
        bytes.extend_from_slice(block);
        let forwardable = publish(V5, &bytes).properties.raw_forwardable();
        assert_eq!(&forwardable.to_bytes()[..], expected, "{block:02x?}");
        assert_eq!(forwardable.is_empty(), expected.is_empty(), "{block:02x?}");
    }
}

#[test]
fn an_empty_topic_with_an_alias() {
    let publish = publish(V5, b"\x30\x07\x00\x00\x03\x23\x00\x01x");
    assert_eq!(
        (publish.topic, publish.properties.topic_alias),
        ("", Some(1))
    );
    assert_eq!(publish.payload, b"x");
}

#[test]
fn acknowledgements_in_all_their_forms() {
    let cases: [(Version, &[u8], ReasonCode, Option<&str>); 6] = [
        (V311, b"\x40\x02\x00\x09", ReasonCode::Success, None),
        (V5, b"\x40\x02\x00\x09", ReasonCode::Success, None),
        (
            V5,
            b"\x40\x03\x00\x09\x10",
            ReasonCode::NoMatchingSubscribers,
            None,
        ),
        (
            V5,
            b"\x40\x04\x00\x09\x87\x00",
            ReasonCode::NotAuthorized,
            None,
        ),
        (
            V5,
            b"\x40\x09\x00\x09\x80\x05\x1F\x00\x02no",
            ReasonCode::UnspecifiedError,
            Some("no"),
        ),
        (
            V5,
            b"\x40\x0B\x00\x09\x97\x07\x26\x00\x01a\x00\x01b",
            ReasonCode::QuotaExceeded,
            None,
        ),
    ];
    for (version, bytes, reason, text) in cases {
        for (first_byte, pick) in [(0x40, true), (0x50, false)] {
            let mut bytes = bytes.to_vec();
            bytes[0] = first_byte;
            let ack = match decode(version, &bytes).unwrap() {
                Packet::PubAck(ack) if pick => ack,
                Packet::PubRec(ack) if !pick => ack,
                other => panic!("{other:?}"),
            };
            check_ack(&ack, reason, text);
        }
    }
    let user = |ack: Ack<'_>| {
        ack.user_properties
            .iter()
            .map(|(a, b)| format!("{a}={b}"))
            .collect()
    };
    let bytes = b"\x40\x0B\x00\x09\x97\x07\x26\x00\x01a\x00\x01b";
    let Packet::PubAck(ack) = decode(V5, bytes).unwrap() else {
        panic!("not PUBACK");
    };
    let user: Vec<String> = user(ack);
    assert_eq!(user, ["a=b"]);

    let Packet::PubRel(ack) = decode(V5, b"\x62\x03\x00\x09\x92").unwrap() else {
        panic!("not PUBREL");
    };
    check_ack(&ack, ReasonCode::PacketIdentifierNotFound, None);
    let Packet::PubComp(ack) = decode(V311, b"\x70\x02\x00\x09").unwrap() else {
        panic!("not PUBCOMP");
    };
    check_ack(&ack, ReasonCode::Success, None);
}

#[test]
fn a_subscribe_of_3_1_1() {
    let bytes = b"\x82\x0E\x00\x0A\x00\x03a/b\x01\x00\x03c/#\x02";
    let Packet::Subscribe(subscribe) = decode(V311, bytes).unwrap() else {
        panic!("not SUBSCRIBE");
    };
    assert_eq!((subscribe.packet_id, subscribe.subscription_id), (10, None));
    assert_eq!(subscribe.subscriptions.len(), 2);
    let found: Vec<_> = subscribe.subscriptions.iter().collect();
    assert_eq!(
        found,
        [
            plain("a/b", Qos::AtLeastOnce),
            plain("c/#", Qos::ExactlyOnce)
        ]
    );
    // Whether a filter is one is judged later, filter by filter.
    let Packet::Subscribe(odd) = decode(V311, b"\x82\x08\x00\x0A\x00\x03#/+\x00").unwrap() else {
        panic!("not SUBSCRIBE");
    };
    assert_eq!(
        odd.subscriptions.iter().next(),
        Some(plain("#/+", Qos::AtMostOnce))
    );
}

#[test]
fn a_subscribe_of_5_with_every_option() {
    let bytes = packet(
        0x82,
        b"\x00\x0A\x0D\x0B\xFF\xFF\xFF\x7F\x26\x00\x01k\x00\x02vw\
        \x00\x01a\x2D\
        \x00\x0A$share/g/x\x0A\
        \x00\x01b\x10\
        \x00\x00\x00",
    );
    let Packet::Subscribe(subscribe) = decode(V5, &bytes).unwrap() else {
        panic!("not SUBSCRIBE");
    };
    assert_eq!(subscribe.subscription_id, Some(268_435_455));
    assert_eq!(
        subscribe.user_properties.iter().collect::<Vec<_>>(),
        [("k", "vw")]
    );
    let found: Vec<_> = subscribe.subscriptions.iter().collect();
    let expected = [
        Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
            ..plain("a", Qos::AtLeastOnce)
        },
        Subscription {
            retain_as_published: true,
            ..plain("$share/g/x", Qos::ExactlyOnce)
        },
        Subscription {
            retain_handling: RetainHandling::SendIfNew,
            ..plain("b", Qos::AtMostOnce)
        },
        plain("", Qos::AtMostOnce),
    ];
    assert_eq!(found, expected);
    assert_eq!(subscribe.subscriptions.len(), found.len());
}

#[test]
fn an_unsubscribe() {
    let cases: [(Version, &[u8]); 2] = [
        (V311, b"\xA2\x0A\x00\x0A\x00\x01a\x00\x03b/#"),
        (V5, b"\xA2\x0B\x00\x0A\x00\x00\x01a\x00\x03b/#"),
    ];
    for (version, bytes) in cases {
        let Packet::Unsubscribe(unsubscribe) = decode(version, bytes).unwrap() else {
            panic!("not UNSUBSCRIBE");
        };
        assert_eq!(unsubscribe.packet_id, 10);
        assert_eq!(unsubscribe.filters.len(), 2);
        assert_eq!(unsubscribe.filters.iter().collect::<Vec<_>>(), ["a", "b/#"]);
    }
}

#[test]
fn ping_disconnect_and_auth() {
    assert_eq!(decode(V311, b"\xC0\x00"), Ok(Packet::PingReq));
    assert_eq!(decode(V5, b"\xC0\x00"), Ok(Packet::PingReq));
    type Case = (
        Version,
        &'static [u8],
        ReasonCode,
        Option<u32>,
        Option<&'static str>,
    );
    let cases: [Case; 5] = [
        (V311, b"\xE0\x00", ReasonCode::Success, None, None),
        (V5, b"\xE0\x00", ReasonCode::Success, None, None),
        (
            V5,
            b"\xE0\x01\x04",
            ReasonCode::DisconnectWithWill,
            None,
            None,
        ),
        (
            V5,
            b"\xE0\x07\x00\x05\x11\x00\x00\x00\x3C",
            ReasonCode::Success,
            Some(60),
            None,
        ),
        (
            V5,
            b"\xE0\x07\x97\x05\x1F\x00\x02no",
            ReasonCode::QuotaExceeded,
            None,
            Some("no"),
        ),
    ];
    for (version, bytes, reason, session_expiry, text) in cases {
        let Packet::Disconnect(disconnect) = decode(version, bytes).unwrap() else {
            panic!("not DISCONNECT");
        };
        assert_eq!(disconnect.reason, reason, "{bytes:02x?}");
        assert_eq!(disconnect.session_expiry, session_expiry, "{bytes:02x?}");
        assert_eq!(disconnect.reason_string, text, "{bytes:02x?}");
    }
    let bytes = b"\xF0\x0D\x18\x0B\x15\x00\x03SHA\x16\x00\x02\x01\x02";
    let Packet::Auth(auth) = decode(V5, bytes).unwrap() else {
        panic!("not AUTH");
    };
    assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
    assert_eq!(
        (auth.method, auth.data),
        (Some("SHA"), Some(&b"\x01\x02"[..]))
    );
    let Packet::Auth(auth) = decode(V5, b"\xF0\x00").unwrap() else {
        panic!("not AUTH");
    };
    assert_eq!((auth.reason, auth.method), (ReasonCode::Success, None));
}

#[test]
fn a_connect_of_3_1_1() {
    let found = connect(b"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02id").unwrap();
    assert_eq!(
        (found.version, found.clean_start, found.keep_alive),
        (V311, true, 60)
    );
    assert_eq!(
        (found.client_id, found.user, found.password),
        ("id", None, None)
    );
    assert_eq!(found.will, None);
    assert_eq!(found.properties.receive_maximum, 65_535);

    // Everything there is; the password is no string.
    let bytes = packet(
        0x10,
        b"\x00\x04MQTT\x04\xEC\x00\x00\x00\x00\x00\x03w/t\x00\x01m\x00\x01u\x00\x02\xFF\x00",
    );
    let found = connect(&bytes).unwrap();
    assert!(!found.clean_start);
    assert_eq!((found.client_id, found.keep_alive), ("", 0));
    assert_eq!(
        (found.user, found.password),
        (Some("u"), Some(&b"\xFF\x00"[..]))
    );
    let will = found.will.unwrap();
    assert_eq!((will.topic, will.payload), ("w/t", &b"m"[..]));
    assert_eq!(
        (will.qos, will.retain, will.delay),
        (Qos::AtLeastOnce, true, 0)
    );
}

#[test]
fn a_connect_of_5_with_every_property() {
    let bytes = packet(
        0x10,
        b"\x00\x04MQTT\x05\x76\x00\x0A\
        \x23\x11\x00\x00\x00\x78\x21\x00\x14\x27\x00\x00\x10\x00\x22\x00\x0A\x19\x01\x17\x00\
        \x15\x00\x01M\x16\x00\x01D\x26\x00\x01k\x00\x01v\
        \x00\x01c\
        \x13\x18\x00\x00\x00\x05\x01\x01\x26\x00\x01x\x00\x01y\x02\x00\x00\x00\x09\
        \x00\x01w\x00\x02hi\x00\x06secret",
    );
    let found = connect(&bytes).unwrap();
    assert_eq!(
        (found.version, found.clean_start, found.keep_alive),
        (V5, true, 10)
    );
    let properties = &found.properties;
    assert_eq!(properties.session_expiry, 120);
    assert_eq!(properties.receive_maximum, 20);
    assert_eq!(properties.maximum_packet_size, Some(4096));
    assert_eq!(properties.topic_alias_maximum, 10);
    assert!(properties.request_response_information);
    assert!(!properties.request_problem_information);
    assert_eq!(properties.authentication_method, Some("M"));
    assert_eq!(properties.authentication_data, Some(&b"D"[..]));
    assert_eq!(
        properties.user_properties.iter().collect::<Vec<_>>(),
        [("k", "v")]
    );
    let will = found.will.unwrap();
    assert_eq!((will.topic, will.payload, will.delay), ("w", &b"hi"[..], 5));
    assert_eq!((will.qos, will.retain), (Qos::ExactlyOnce, true));
    assert_eq!(will.properties.message_expiry, Some(9));
    let passed_on = will.properties.raw_forwardable().to_bytes();
    assert_eq!(&passed_on[..], b"\x01\x01\x26\x00\x01x\x00\x01y");
    // Without a user name: 5 allows it, section 3.1.2.9.
    assert_eq!((found.user, found.password), (None, Some(&b"secret"[..])));

    let found = connect(b"\x10\x0E\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x01c").unwrap();
    assert_eq!(found.properties, Default::default());
    assert!(found.properties.request_problem_information);
}

#[test]
fn other_versions_are_told_apart() {
    type Case = (&'static [u8], Option<(Version, ReasonCode)>);
    let cases: [Case; 8] = [
        // The level of 3.1.1 by the name of 3.1.
        (
            b"\x10\x10\x00\x06MQIsdp\x04\x02\x00\x3C\x00\x02id",
            Some((V311, UNSUPPORTED)),
        ),
        // [3.1.1: MQTT-3.1.2-2], [MQTT-3.1.2-2]
        (
            b"\x10\x0E\x00\x04MQTT\x03\x02\x00\x3C\x00\x02id",
            Some((V311, UNSUPPORTED)),
        ),
        (
            b"\x10\x0E\x00\x04MQTT\x06\x02\x00\x3C\x00\x02id",
            Some((V5, UNSUPPORTED)),
        ),
        // A Mosquitto bridge takes 0x01 for "speak plainly".
        (
            b"\x10\x0E\x00\x04MQTT\x85\x02\x00\x3C\x00\x02id",
            Some((V311, UNSUPPORTED)),
        ),
        (
            b"\x10\x10\x00\x06MQIsdp\x05\x02\x00\x3C\x00\x02id",
            Some((V311, UNSUPPORTED)),
        ),
        // [MQTT-3.1.2-1]: not MQTT at all.
        (b"\x10\x0E\x00\x04MQTX\x04\x02\x00\x3C\x00\x02id", None),
        (b"\x10\x0E\x00\x04mqtt\x04\x02\x00\x3C\x00\x02id", None),
        (b"\x10\x04\x00\x04MQ", None),
    ];
    for (bytes, answer) in cases {
        let error = connect(bytes).unwrap_err();
        assert_eq!(error.answer(), answer, "{bytes:02x?}");
        assert_eq!(
            matches!(error, ConnectError::NotMqtt { .. }),
            answer.is_none()
        );
    }
}

#[test]
fn mqtt_3_1_is_3_1_1_by_another_name_and_takes_flags_without_their_strings() {
    let found = connect(b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x02id").unwrap();
    assert_eq!((found.version, found.is_v31), (V311, true));
    // User name and password are announced, and neither is there.
    let found = connect(b"\x10\x10\x00\x06MQIsdp\x03\xC2\x00\x3C\x00\x02id").unwrap();
    assert_eq!(
        (found.client_id, found.user, found.password),
        ("id", None, None)
    );
    let found = connect(b"\x10\x13\x00\x06MQIsdp\x03\xC2\x00\x3C\x00\x02id\x00\x01u").unwrap();
    assert_eq!((found.user, found.password), (Some("u"), None));
    // What describes a will that is not there means nothing.
    assert!(connect(b"\x10\x10\x00\x06MQIsdp\x03\x22\x00\x3C\x00\x02id").is_ok());
    assert!(
        !connect(b"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02id")
            .unwrap()
            .is_v31
    );
}

#[test]
fn a_bridge_says_so_with_the_level() {
    for (bytes, is_v31) in [
        (
            &b"\x10\x0E\x00\x04MQTT\x84\x02\x00\x3C\x00\x02id"[..],
            false,
        ),
        (
            &b"\x10\x10\x00\x06MQIsdp\x83\x02\x00\x3C\x00\x02id"[..],
            true,
        ),
    ] {
        let found = connect(bytes).unwrap();
        assert_eq!((found.version, found.is_v31), (V311, is_v31));
        assert!(found.is_bridge);
    }
    assert!(
        !connect(b"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02id")
            .unwrap()
            .is_bridge
    );
}

const UNSUPPORTED: ReasonCode = ReasonCode::UnsupportedProtocolVersion;

fn connect(bytes: &[u8]) -> Result<Connect<'_>, ConnectError> {
    let (first_byte, body) = split(bytes).unwrap();
    assert_eq!(first_byte, 0x10);
    Connect::decode(body)
}

fn publish(version: Version, bytes: &[u8]) -> Publish<'_> {
    match decode(version, bytes).unwrap() {
        Packet::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

/// For bodies that are tedious to count; at most 127 bytes.
fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte, body.len() as u8];
    bytes.extend_from_slice(body);
    bytes
}

fn plain(filter: &str, qos: Qos) -> Subscription<'_> {
    Subscription {
        filter,
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

fn check_ack(ack: &Ack<'_>, reason: ReasonCode, text: Option<&str>) {
    assert_eq!(
        (ack.packet_id, ack.reason, ack.reason_string),
        (9, reason, text)
    );
}
