//! Packets that must be refused, each with the rule it breaks, the reason code it earns and the
//! field that is blamed.

use mqtt::ReasonCode::{
    MalformedPacket as Malformed, PacketTooLarge, ProtocolError as Protocol, TopicAliasInvalid,
    TopicNameInvalid,
};
use mqtt::{Connect, ConnectError, Frame, ReasonCode, Version, Version::V5, Version::V311};
use mqtt::{Packet, frame};

use super::{decode, split};

/// Rule, version, bytes, reason, field.
type Case = (
    &'static str,
    Version,
    &'static [u8],
    ReasonCode,
    &'static str,
);

#[rustfmt::skip]
const PUBLISH: &[Case] = &[
    ("no topic length", V311, b"\x30\x00", Malformed, "topic"),
    ("half a topic length", V311, b"\x30\x01\x00", Malformed, "topic"),
    ("topic longer than packet", V311, b"\x30\x03\x00\x02a", Malformed, "topic"),
    ("[MQTT-1.5.4-1] not UTF-8", V311, b"\x30\x04\x00\x02a\xFF", Malformed, "topic"),
    ("[MQTT-1.5.4-1] overlong", V311, b"\x30\x04\x00\x02\xC1\xA1", Malformed, "topic"),
    ("[MQTT-1.5.4-1] surrogate", V311, b"\x30\x05\x00\x03\xED\xA0\x80", Malformed, "topic"),
    ("[MQTT-1.5.4-1] cut", V311, b"\x30\x05\x00\x03\xF0\x9F\x8C", Malformed, "topic"),
    ("[MQTT-1.5.4-1] above U+10FFFF", V5,
     b"\x30\x07\x00\x04\xF4\x90\x80\x80\x00", Malformed, "topic"),
    ("[MQTT-1.5.4-2] U+0000", V311, b"\x30\x05\x00\x03a\x00b", Malformed, "topic"),
    ("[MQTT-1.5.4-2] U+0000", V5, b"\x30\x06\x00\x03a\x00b\x00", Malformed, "topic"),
    ("[MQTT-3.3.2-2] wildcard", V311, b"\x30\x05\x00\x03a/+", TopicNameInvalid, "topic"),
    ("[MQTT-3.3.2-2] wildcard", V311, b"\x30\x03\x00\x01#", TopicNameInvalid, "topic"),
    ("[MQTT-3.3.2-2] wildcard", V5, b"\x30\x06\x00\x03a+b\x00", TopicNameInvalid, "topic"),
    ("[MQTT-4.7.3-1] empty", V311, b"\x30\x02\x00\x00", TopicNameInvalid, "topic"),
    ("3.3.2.1 empty, no alias", V5, b"\x30\x03\x00\x00\x00", Protocol, "topic"),
    ("[MQTT-2.2.1-3] id 0", V311, b"\x32\x05\x00\x01a\x00\x00", Protocol, "packet id"),
    ("[MQTT-2.2.1-3] id 0", V5, b"\x34\x06\x00\x01a\x00\x00\x00", Protocol, "packet id"),
    ("2.2.1 no id", V311, b"\x32\x03\x00\x01a", Malformed, "packet id"),
    ("half an id", V311, b"\x32\x04\x00\x01a\x00", Malformed, "packet id"),
];

#[rustfmt::skip]
const PROPERTIES: &[Case] = &[
    ("2.2.2.1 no length", V5, b"\x30\x03\x00\x01a", Malformed, "property length"),
    ("[MQTT-1.5.5-1] overlong length", V5,
     b"\x30\x05\x00\x01a\x80\x00", Malformed, "property length"),
    ("1.5.5 five bytes", V5,
     b"\x30\x08\x00\x01a\x80\x80\x80\x80\x01", Malformed, "property length"),
    ("longer than packet", V5, b"\x30\x05\x00\x01a\x02\x01", Malformed, "properties"),
    ("2.2.2.2 unknown", V5, b"\x30\x06\x00\x01a\x02\x04\x00", Malformed, "property"),
    ("2.2.2.2 unknown, two bytes", V5, b"\x30\x06\x00\x01a\x02\x81\x00", Malformed, "property"),
    ("2.2.2.2 unknown, 0", V5, b"\x30\x06\x00\x01a\x02\x00\x00", Malformed, "property"),
    ("value cut", V5, b"\x30\x06\x00\x01a\x02\x23\x01", Malformed, "topic alias"),
    ("value cut", V5, b"\x30\x07\x00\x01a\x03\x03\x00\x02", Malformed, "content type"),
    ("no value", V5, b"\x30\x05\x00\x01a\x01\x01", Malformed, "payload format indicator"),
    ("3.3.2.3.2 twice", V5,
     b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", Protocol, "payload format indicator"),
    ("3.3.2.3.3 twice", V5,
     b"\x30\x0E\x00\x01a\x0A\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01", Protocol, "message expiry interval"),
    ("3.3.2.3.4 twice", V5,
     b"\x30\x0A\x00\x01a\x06\x23\x00\x01\x23\x00\x01", Protocol, "topic alias"),
    ("3.3.2.3.9 twice", V5,
     b"\x30\x0A\x00\x01a\x06\x03\x00\x00\x03\x00\x00", Protocol, "content type"),
    ("[MQTT-3.3.2-8] alias 0", V5,
     b"\x30\x07\x00\x01a\x03\x23\x00\x00", TopicAliasInvalid, "topic alias"),
    ("[MQTT-3.3.4-6] subscription id", V5,
     b"\x30\x06\x00\x01a\x02\x0B\x01", Malformed, "subscription identifier"),
    ("[MQTT-3.3.2-14] wildcard", V5,
     b"\x30\x08\x00\x01a\x04\x08\x00\x01+", TopicNameInvalid, "response topic"),
    ("[MQTT-4.7.3-1] empty", V5,
     b"\x30\x07\x00\x01a\x03\x08\x00\x00", TopicNameInvalid, "response topic"),
    ("[MQTT-3.3.2-13] not UTF-8", V5,
     b"\x30\x08\x00\x01a\x04\x08\x00\x01\xFF", Malformed, "response topic"),
    ("3.3.2.3.2 neither 0 nor 1", V5,
     b"\x30\x06\x00\x01a\x02\x01\x02", Protocol, "payload format indicator"),
    ("[MQTT-3.3.2-19] not UTF-8", V5,
     b"\x30\x08\x00\x01a\x04\x03\x00\x01\xFF", Malformed, "content type"),
    ("[MQTT-1.5.7-1] not UTF-8", V5,
     b"\x30\x0A\x00\x01a\x06\x26\x00\x00\x00\x01\xFF", Malformed, "user property"),
    ("[MQTT-1.5.4-2] U+0000", V5,
     b"\x30\x0A\x00\x01a\x06\x26\x00\x01\x00\x00\x00", Malformed, "user property"),
    ("of CONNACK", V5, b"\x30\x06\x00\x01a\x02\x24\x01", Malformed, "maximum qos"),
    ("of CONNECT", V5, b"\x30\x07\x00\x01a\x03\x21\x00\x01", Malformed, "receive maximum"),
    ("of a will", V5,
     b"\x30\x09\x00\x01a\x05\x18\x00\x00\x00\x01", Malformed, "will delay interval"),
    ("of PUBLISH in PUBACK", V5,
     b"\x40\x06\x00\x01\x00\x02\x01\x01", Malformed, "payload format indicator"),
    ("of PUBLISH in SUBSCRIBE", V5,
     b"\x82\x09\x00\x01\x02\x01\x01\x00\x01a\x00", Malformed, "payload format indicator"),
    ("of SUBSCRIBE in UNSUBSCRIBE", V5,
     b"\xA2\x08\x00\x01\x02\x0B\x01\x00\x01a", Malformed, "subscription identifier"),
];

#[rustfmt::skip]
const OTHERS: &[Case] = &[
    ("[MQTT-3.1.0-2] second CONNECT", V311, b"\x10\x00", Protocol, "packet"),
    ("a server's packet", V311, b"\x20\x02\x00\x00", Protocol, "packet"),
    ("a server's packet", V311, b"\x90\x03\x00\x01\x00", Protocol, "packet"),
    ("a server's packet", V5, b"\xB0\x02\x00\x01", Protocol, "packet"),
    ("a server's packet", V5, b"\xD0\x00", Protocol, "packet"),
    ("2.1.2 reserved in 3.1.1", V311, b"\xF0\x00", Malformed, "packet type"),
    ("no id", V311, b"\x40\x00", Malformed, "packet id"),
    ("half an id", V311, b"\x40\x01\x00", Malformed, "packet id"),
    ("[MQTT-2.2.1-3] id 0", V311, b"\x40\x02\x00\x00", Protocol, "packet id"),
    ("[MQTT-2.2.1-3] id 0", V311, b"\x62\x02\x00\x00", Protocol, "packet id"),
    ("3.1.1 has no reasons", V311, b"\x40\x03\x00\x01\x00", Malformed, "packet"),
    ("[MQTT-3.4.2-1] undefined reason", V5, b"\x40\x03\x00\x01\x05", Malformed, "reason code"),
    ("[MQTT-3.4.2-1] not of PUBACK", V5, b"\x40\x03\x00\x01\x8E", Protocol, "reason code"),
    ("[MQTT-3.5.2-1] not of PUBREC", V5, b"\x50\x03\x00\x01\x92", Protocol, "reason code"),
    ("[MQTT-3.6.2-1] not of PUBREL", V5, b"\x62\x03\x00\x01\x80", Protocol, "reason code"),
    ("[MQTT-3.7.2-1] not of PUBCOMP", V5, b"\x70\x03\x00\x01\x10", Protocol, "reason code"),
    ("bytes behind", V5, b"\x40\x05\x00\x01\x00\x00\x00", Malformed, "packet"),
    ("3.4.2.2.2 twice", V5,
     b"\x40\x0A\x00\x01\x00\x06\x1F\x00\x00\x1F\x00\x00", Protocol, "reason string"),
    ("[MQTT-3.8.3-2] no filter", V311, b"\x82\x02\x00\x01", Protocol, "payload"),
    ("[MQTT-3.8.3-2] no filter", V5, b"\x82\x03\x00\x01\x00", Protocol, "payload"),
    ("[MQTT-2.2.1-3] id 0", V311, b"\x82\x06\x00\x00\x00\x01a\x00", Protocol, "packet id"),
    ("filter cut", V311, b"\x82\x05\x00\x01\x00\x02a", Malformed, "filter"),
    ("no options", V311, b"\x82\x05\x00\x01\x00\x01a", Malformed, "subscription options"),
    ("second without options", V311,
     b"\x82\x09\x00\x01\x00\x01a\x00\x00\x01b", Malformed, "subscription options"),
    ("[MQTT-3.8.3-1] not UTF-8", V311, b"\x82\x06\x00\x01\x00\x01\xFF\x00", Malformed, "filter"),
    ("[MQTT-1.5.4-2] U+0000", V311, b"\x82\x06\x00\x01\x00\x01\x00\x00", Malformed, "filter"),
    ("[3.1.1: MQTT-3.8.3-4] reserved", V311,
     b"\x82\x06\x00\x01\x00\x01a\x04", Malformed, "subscription options"),
    ("[3.1.1: MQTT-3.8.3-4] QoS 3", V311,
     b"\x82\x06\x00\x01\x00\x01a\x03", Protocol, "subscription qos"),
    ("[MQTT-3.8.3-5] reserved", V5,
     b"\x82\x07\x00\x01\x00\x00\x01a\x40", Malformed, "subscription options"),
    ("[MQTT-3.8.3-5] reserved", V5,
     b"\x82\x07\x00\x01\x00\x00\x01a\x80", Malformed, "subscription options"),
    ("3.8.3.1 QoS 3", V5, b"\x82\x07\x00\x01\x00\x00\x01a\x03", Protocol, "subscription qos"),
    ("3.8.3.1 retain handling 3", V5,
     b"\x82\x07\x00\x01\x00\x00\x01a\x30", Protocol, "retain handling"),
    ("[MQTT-3.8.3-4] no local on a share", V5,
     b"\x82\x10\x00\x01\x00\x00\x0A$share/g/x\x04", Protocol, "no local"),
    ("3.8.2.1.2 id 0", V5,
     b"\x82\x09\x00\x01\x02\x0B\x00\x00\x01a\x00", Protocol, "subscription identifier"),
    ("3.8.2.1.2 twice", V5,
     b"\x82\x0B\x00\x01\x04\x0B\x01\x0B\x02\x00\x01a\x00", Protocol, "subscription identifier"),
    ("[MQTT-1.5.5-1] overlong id", V5,
     b"\x82\x0A\x00\x01\x03\x0B\x81\x00\x00\x01a\x00", Malformed, "subscription identifier"),
    ("[MQTT-3.10.3-2] no filter", V311, b"\xA2\x02\x00\x01", Protocol, "payload"),
    ("[MQTT-3.10.3-2] no filter", V5, b"\xA2\x03\x00\x01\x00", Protocol, "payload"),
    ("[MQTT-2.2.1-3] id 0", V311, b"\xA2\x05\x00\x00\x00\x01a", Protocol, "packet id"),
    ("[MQTT-3.10.3-1] not UTF-8", V311, b"\xA2\x05\x00\x01\x00\x01\xC0", Malformed, "filter"),
    ("filter cut", V311, b"\xA2\x04\x00\x01\x00\x01", Malformed, "filter"),
    ("3.12 has no body", V311, b"\xC0\x01\x00", Malformed, "packet"),
    ("3.1.1: 3.14 has no body", V311, b"\xE0\x01\x00", Malformed, "packet"),
    ("[MQTT-3.14.2-1] undefined reason", V5, b"\xE0\x01\x03", Malformed, "reason code"),
    ("[MQTT-3.14.2-1] a server's reason", V5, b"\xE0\x01\x8E", Protocol, "reason code"),
    ("bytes behind", V5, b"\xE0\x03\x00\x00\x00", Malformed, "packet"),
    ("3.14.2.2.2 twice", V5,
     b"\xE0\x0C\x00\x0A\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", Protocol, "session expiry interval"),
    ("[MQTT-3.15.2-1] not of AUTH", V5, b"\xF0\x02\x80\x00", Protocol, "reason code"),
    ("3.15.2.2.2 no method", V5, b"\xF0\x02\x18\x00", Protocol, "authentication method"),
];

/// A packet is what follows protocol name and level, `\x00\x04MQTT\x04` or `\x05`.
#[rustfmt::skip]
const CONNECT: &[Case] = &[
    ("[MQTT-3.1.2-3] reserved flag", V311, b"\x03\x00\x00\x00\x01c", Malformed, "connect flags"),
    ("[MQTT-3.1.2-3] reserved flag", V5, b"\x03\x00\x00\x00\x00\x01c", Malformed, "connect flags"),
    ("[MQTT-3.1.2-11] will QoS without will", V311,
     b"\x0A\x00\x00\x00\x01c", Malformed, "connect flags"),
    ("[MQTT-3.1.2-13] will retain without will", V5,
     b"\x22\x00\x00\x00\x00\x01c", Malformed, "connect flags"),
    ("[MQTT-3.1.2-12] will QoS 3", V311,
     b"\x1E\x00\x00\x00\x01c\x00\x01w\x00\x00", Malformed, "will qos"),
    ("[3.1.1: MQTT-3.1.2-22] password alone", V311,
     b"\x42\x00\x00\x00\x01c\x00\x01p", Malformed, "connect flags"),
    ("no flags", V311, b"", Malformed, "connect flags"),
    ("no keep alive", V311, b"\x02\x00", Malformed, "keep alive"),
    ("[MQTT-3.1.3-3] no client id", V311, b"\x02\x00\x00", Malformed, "client id"),
    ("[MQTT-3.1.3-4] not UTF-8", V311, b"\x02\x00\x00\x00\x01\xFF", Malformed, "client id"),
    ("[MQTT-1.5.4-2] U+0000", V311, b"\x02\x00\x00\x00\x01\x00", Malformed, "client id"),
    ("3.1.3 will flag, no will", V311, b"\x06\x00\x00\x00\x01c", Malformed, "will topic"),
    ("3.1.3 no will payload", V311, b"\x06\x00\x00\x00\x01c\x00\x01w", Malformed, "will payload"),
    ("[MQTT-3.1.3-11] not UTF-8", V311,
     b"\x06\x00\x00\x00\x01c\x00\x01\xFF\x00\x00", Malformed, "will topic"),
    ("[MQTT-4.7.3-1] empty", V311,
     b"\x06\x00\x00\x00\x01c\x00\x00\x00\x00", TopicNameInvalid, "will topic"),
    ("[MQTT-4.7.0-1] wildcard", V311,
     b"\x06\x00\x00\x00\x01c\x00\x01#\x00\x00", TopicNameInvalid, "will topic"),
    ("[MQTT-3.1.2-17] no user", V311, b"\x82\x00\x00\x00\x01c", Malformed, "user name"),
    ("[MQTT-3.1.3-12] not UTF-8", V311,
     b"\x82\x00\x00\x00\x01c\x00\x01\xFF", Malformed, "user name"),
    ("[MQTT-3.1.2-19] no password", V311, b"\xC2\x00\x00\x00\x01c\x00\x01u", Malformed, "password"),
    ("bytes behind", V311, b"\x02\x00\x00\x00\x01cx", Malformed, "packet"),
    ("[MQTT-3.1.2-16] user without flag", V311,
     b"\x02\x00\x00\x00\x01c\x00\x01u", Malformed, "packet"),
    ("no properties", V5, b"\x02\x00\x00", Malformed, "property length"),
    ("3.1.2.11.2 twice", V5,
     b"\x02\x00\x00\x0A\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01\x00\x01c", Protocol, "session expiry interval"),
    ("3.1.2.11.3 receive maximum 0", V5,
     b"\x02\x00\x00\x03\x21\x00\x00\x00\x01c", Protocol, "receive maximum"),
    ("3.1.2.11.4 maximum packet size 0", V5,
     b"\x02\x00\x00\x05\x27\x00\x00\x00\x00\x00\x01c", Protocol, "maximum packet size"),
    ("3.1.2.11.6 neither 0 nor 1", V5,
     b"\x02\x00\x00\x02\x19\x02\x00\x01c", Protocol, "request response information"),
    ("3.1.2.11.7 neither 0 nor 1", V5,
     b"\x02\x00\x00\x02\x17\xFF\x00\x01c", Protocol, "request problem information"),
    ("3.1.2.11.10 data without method", V5,
     b"\x02\x00\x00\x04\x16\x00\x01d\x00\x01c", Protocol, "authentication data"),
    ("of PUBLISH", V5, b"\x02\x00\x00\x03\x23\x00\x01\x00\x01c", Malformed, "topic alias"),
    ("of a will", V5,
     b"\x02\x00\x00\x05\x18\x00\x00\x00\x01\x00\x01c", Malformed, "will delay interval"),
    ("of CONNECT in a will", V5,
     b"\x06\x00\x00\x00\x00\x01c\x03\x21\x00\x01\x00\x01w\x00\x00", Malformed, "receive maximum"),
    ("topic alias in a will", V5,
     b"\x06\x00\x00\x00\x00\x01c\x03\x23\x00\x01\x00\x01w\x00\x00", Malformed, "topic alias"),
    ("3.1.3.2.2 twice", V5,
     b"\x06\x00\x00\x00\x00\x01c\x0A\x18\x00\x00\x00\x01\x18\x00\x00\x00\x01\x00\x01w\x00\x00", Protocol, "will delay interval"),
];

#[test]
fn every_broken_rule_is_noticed_and_named() {
    for &(rule, version, bytes, reason, field) in PUBLISH.iter().chain(PROPERTIES).chain(OTHERS) {
        let context = format!("{rule}: {version:?} {bytes:02x?}");
        let error = match decode(version, bytes) {
            Err(error) => error,
            Ok(packet) => panic!("{context} was taken for {packet:?}"),
        };
        assert_eq!(
            (error.reason, error.field),
            (reason, field),
            "{context}: {error}"
        );
    }
}

#[test]
fn every_broken_rule_of_connect_is_noticed_and_named() {
    for &(rule, version, rest, reason, field) in CONNECT {
        let context = format!("{rule}: {version:?} {rest:02x?}");
        let mut body = b"\x00\x04MQTT".to_vec();
        body.push(if version == V5 { 5 } else { 4 });
        body.extend_from_slice(rest);
        match Connect::decode(&body) {
            Err(ConnectError::Refused {
                version: told,
                source,
            }) => {
                assert_eq!(told, version, "{context}");
                assert_eq!(
                    (source.reason, source.field),
                    (reason, field),
                    "{context}: {source}"
                );
            }
            other => panic!("{context} gave {other:?}"),
        }
        let error = Connect::decode(&body).unwrap_err();
        let answer = (version == V5).then_some((V5, reason));
        assert_eq!(error.answer(), answer, "{context}");
    }
}

/// Wherever a packet ends early, it is malformed or a shorter form of itself, never read beyond its
/// end.
#[test]
fn no_packet_survives_being_cut() {
    let packets: [(Version, &[u8]); 8] = [
        (V311, b"\x32\x07\x00\x03a/b\x00\x01"),
        (
            V5,
            b"\x32\x10\x00\x01a\x00\x01\x0A\x26\x00\x01k\x00\x01v\x23\x00\x01",
        ),
        (V5, b"\x40\x09\x00\x09\x80\x05\x1F\x00\x02no"),
        (V311, b"\x82\x06\x00\x01\x00\x01a\x00"),
        (V5, b"\x82\x09\x00\x01\x02\x0B\x01\x00\x01a\x00"),
        (V5, b"\xA2\x06\x00\x01\x00\x00\x01a"),
        (V5, b"\xE0\x07\x97\x05\x1F\x00\x02no"),
        (V5, b"\xF0\x08\x18\x06\x15\x00\x03SHA"),
    ];
    for (version, bytes) in packets {
        assert!(decode(version, bytes).is_ok(), "{bytes:02x?}");
        let whole = format!("{:?}", decode(version, bytes));
        for end in 2..bytes.len() {
            let mut cut = bytes[..end].to_vec();
            cut[1] = (end - 2) as u8;
            if let Ok(packet) = decode(version, &cut) {
                let shorter = matches!(
                    packet,
                    Packet::PubAck(_) | Packet::Disconnect(_) | Packet::Auth(_)
                );
                assert!(shorter, "{cut:02x?} was taken for {packet:?}");
                assert_ne!(format!("{packet:?}"), whole);
            }
        }
    }
}

#[test]
fn errors_say_which_field_of_which_packet() {
    let cases: [(Version, &[u8], &str); 4] = [
        (
            V311,
            b"\x30\x05\x00\x03a/+",
            "PUBLISH: topic contains a wildcard",
        ),
        (
            V311,
            b"\x82\x05\x00\x01\x00\x02a",
            "SUBSCRIBE: filter is cut off by the packet's end",
        ),
        (
            V5,
            b"\x30\x06\x00\x01a\x02\x04\x00",
            "PUBLISH: property has an unknown identifier",
        ),
        (
            V5,
            b"\x30\x0A\x00\x01a\x06\x23\x00\x01\x23\x00\x01",
            "PUBLISH: topic alias is given twice",
        ),
    ];
    for (version, bytes, text) in cases {
        assert_eq!(decode(version, bytes).unwrap_err().to_string(), text);
    }
    let error = Connect::decode(b"\x00\x04MQTT\x04\x03\x00\x00\x00\x01c").unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(error.to_string(), "bad connect packet");
    assert_eq!(
        source.to_string(),
        "CONNECT: connect flags have the reserved bit set"
    );
}

#[test]
fn what_is_too_large_is_refused_before_it_has_arrived() {
    let huge = b"\x82\xFF\xFF\xFF\x7F";
    assert_eq!(frame(huge, 1 << 20).unwrap_err().reason, PacketTooLarge);
    let whole = Frame::Incomplete {
        needed: Some(268_435_460),
    };
    assert_eq!(frame(huge, 268_435_460), Ok(whole));
    assert!(split(b"\xC0\x00").is_ok());
}
