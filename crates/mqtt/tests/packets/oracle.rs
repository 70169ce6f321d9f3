//! The codec against rumqttc's: what the one writes the other reads, for packets made at random
//! from a seed.

use bytes::{Bytes, BytesMut};
use mqtt::client::{self, ServerPacket};
use mqtt::{
    Connect, Packet, Qos, ReasonCode, RetainHandling, Version, Version::V5, Version::V311, encode,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rumqttc::mqttbytes::{QoS as Qos4, v4};
use rumqttc::v5::mqttbytes::{QoS as Qos5, v5};

use super::{decode, split};

const ROUNDS: usize = 2_000;
const SIZE_MAX: usize = 1 << 20;

#[test]
fn publishes_of_rumqttc_are_read_as_they_were_meant() {
    let mut random = ChaCha8Rng::seed_from_u64(10);
    for _ in 0..ROUNDS {
        let sent = random_publish(&mut random);
        let mut bytes = BytesMut::new();
        v4_publish(&sent).write(&mut bytes).unwrap();
        check_publish(V311, &bytes, &sent);
        bytes.clear();
        v5_publish(&sent).write(&mut bytes).unwrap();
        check_publish(V5, &bytes, &sent);
    }
}

#[test]
fn publishes_are_read_by_rumqttc_as_they_were_meant() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..ROUNDS {
        let sent = random_publish(&mut random);
        // The forwardable properties as another client sent them.
        let mut bytes = BytesMut::new();
        v5_publish(&sent).write(&mut bytes).unwrap();
        let Packet::Publish(received) = decode(V5, &bytes).unwrap() else {
            panic!("not PUBLISH");
        };
        let properties = received.properties.raw_forwardable().to_bytes();
        let publish = encode::Publish {
            dup: sent.dup,
            qos: sent.qos,
            retain: sent.retain,
            topic: &sent.topic,
            packet_id: sent.packet_id,
            message_expiry: sent.message_expiry,
            properties: &properties,
            payload: &sent.payload,
            ..encode::Publish::default()
        };
        let mut out = Vec::new();
        encode::publish(&mut out, V311, &publish);
        let read = v4::Packet::read(&mut BytesMut::from(&out[..]), SIZE_MAX).unwrap();
        assert_eq!(read, v4::Packet::Publish(v4_publish(&sent)));
        out.clear();
        encode::publish(&mut out, V5, &publish);
        let read = v5::Packet::read(&mut BytesMut::from(&out[..]), None).unwrap();
        let expected = RandomPublish {
            topic_alias: None,
            ..sent
        };
        assert_eq!(read, v5::Packet::Publish(v5_publish(&expected)));
    }
}

#[test]
fn connects_of_rumqttc_are_read_as_they_were_meant() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for _ in 0..ROUNDS {
        let client_id = text(&mut random, 24);
        let clean = random.random();
        let keep_alive = random.random();
        let login = maybe(&mut random, |random| {
            ("u".to_owned() + &text(random, 10), text(random, 10))
        });
        let will = maybe(&mut random, |random| {
            (topic(random), text(random, 40), qos(random))
        });

        let mut sent = v4::Connect::new(client_id.clone());
        sent.keep_alive = keep_alive;
        sent.clean_session = clean;
        sent.login = login
            .clone()
            .map(|(user, password)| v4::Login::new(user, password));
        sent.last_will = will.clone().map(|(topic, message, qos)| {
            v4::LastWill::new(topic, message, Qos4::from(Mapped(qos)), true)
        });
        let mut bytes = BytesMut::new();
        sent.write(&mut bytes).unwrap();
        let (_, body) = split(&bytes).unwrap();
        let found = Connect::decode(body).unwrap();
        assert_eq!((found.version, found.clean_start), (V311, clean));
        assert_eq!(
            (found.client_id, found.keep_alive),
            (&*client_id, keep_alive)
        );
        let read_will = found.will.map(|will| (will.topic, will.payload, will.qos));
        let sent_will = will
            .as_ref()
            .map(|(topic, message, qos)| (&**topic, message.as_bytes(), *qos));
        assert_eq!(read_will, sent_will);
        assert_eq!(found.user, login.as_ref().map(|(user, _)| &**user));
        // rumqttc leaves out a password that is empty.
        let password = login.as_ref().map_or("", |(_, password)| password);
        assert_eq!(found.password.unwrap_or_default(), password.as_bytes());

        let sent_v5 = v5::Connect {
            keep_alive,
            client_id: client_id.clone(),
            clean_start: clean,
            properties: maybe(&mut random, |random| v5::ConnectProperties {
                session_expiry_interval: maybe(random, |random| random.random()),
                receive_maximum: maybe(random, |random| random.random_range(1..=u16::MAX)),
                max_packet_size: maybe(random, |random| random.random_range(1..=u32::MAX)),
                topic_alias_max: maybe(random, |random| random.random()),
                request_response_info: maybe(random, |random| random.random_range(0..2)),
                request_problem_info: maybe(random, |random| random.random_range(0..2)),
                user_properties: pairs(random),
                authentication_method: Some("scram".to_owned()),
                authentication_data: maybe(random, |random| Bytes::from(text(random, 10))),
            }),
        };
        let will_v5 = will.clone().map(|(topic, message, qos)| {
            let properties = Some(v5::LastWillProperties {
                delay_interval: Some(3),
                payload_format_indicator: Some(1),
                message_expiry_interval: None,
                content_type: Some("c".to_owned()),
                response_topic: None,
                correlation_data: None,
                user_properties: vec![("k".to_owned(), "v".to_owned())],
            });
            v5::LastWill::new(topic, message, Qos5::from(Mapped(qos)), false, properties)
        });
        bytes.clear();
        sent_v5.write(&will_v5, &None, &mut bytes).unwrap();
        let (_, body) = split(&bytes).unwrap();
        let found = Connect::decode(body).unwrap();
        let sent = sent_v5.properties.clone().unwrap_or_default();
        let properties = &found.properties;
        assert_eq!((found.version, found.client_id), (V5, &*client_id));
        assert_eq!(
            properties.session_expiry,
            sent.session_expiry_interval.unwrap_or(0)
        );
        assert_eq!(
            properties.receive_maximum,
            sent.receive_maximum.unwrap_or(u16::MAX)
        );
        assert_eq!(properties.maximum_packet_size, sent.max_packet_size);
        assert_eq!(
            properties.topic_alias_maximum,
            sent.topic_alias_max.unwrap_or(0)
        );
        assert_eq!(
            properties.request_problem_information,
            sent.request_problem_info != Some(0)
        );
        assert_eq!(
            owned(properties.user_properties.iter()),
            sent.user_properties
        );
        assert_eq!(
            properties.authentication_data,
            sent.authentication_data.as_deref()
        );
        if let Some(found) = found.will {
            assert_eq!(found.delay, 3);
            assert_eq!(found.properties.content_type, Some("c"));
            assert_eq!(found.properties.payload_format, Some(true));
        }
    }
}

#[test]
fn subscribes_of_rumqttc_are_read_as_they_were_meant() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    for _ in 0..ROUNDS {
        let packet_id = random.random_range(1..=u16::MAX);
        let filters: Vec<_> = (0..random.random_range(1..5))
            .map(|_| {
                (
                    topic(&mut random) + "/#",
                    qos(&mut random),
                    random.random_range(0..3),
                )
            })
            .collect();
        let sent = v4::Subscribe {
            pkid: packet_id,
            filters: filters
                .iter()
                .map(|(path, qos, _)| v4::SubscribeFilter::new(path.clone(), Mapped(*qos).into()))
                .collect(),
        };
        let mut bytes = BytesMut::new();
        sent.write(&mut bytes).unwrap();
        let Packet::Subscribe(found) = decode(V311, &bytes).unwrap() else {
            panic!("not SUBSCRIBE");
        };
        assert_eq!(found.packet_id, packet_id);
        let read: Vec<_> = found
            .subscriptions
            .iter()
            .map(|s| (s.filter, s.qos))
            .collect();
        let expected: Vec<_> = filters
            .iter()
            .map(|(path, qos, _)| (&**path, *qos))
            .collect();
        assert_eq!(read, expected);

        let rules = [
            v5::RetainForwardRule::OnEverySubscribe,
            v5::RetainForwardRule::OnNewSubscribe,
            v5::RetainForwardRule::Never,
        ];
        let handlings = [
            RetainHandling::Send,
            RetainHandling::SendIfNew,
            RetainHandling::Never,
        ];
        let number = random.random_range(1..=268_435_455usize);
        let sent = v5::Subscribe {
            pkid: packet_id,
            filters: filters
                .iter()
                .map(|(path, qos, rule)| {
                    let mut filter = v5::Filter::new(path.clone(), Mapped(*qos).into());
                    filter.nolocal = *rule == 1;
                    filter.preserve_retain = *rule == 2;
                    filter.retain_forward_rule = rules[*rule].clone();
                    filter
                })
                .collect(),
            properties: Some(v5::SubscribeProperties {
                id: Some(number),
                user_properties: pairs(&mut random),
            }),
        };
        bytes.clear();
        sent.write(&mut bytes).unwrap();
        let Packet::Subscribe(found) = decode(V5, &bytes).unwrap() else {
            panic!("not SUBSCRIBE");
        };
        assert_eq!(found.subscription_id, Some(number as u32));
        assert_eq!(found.subscriptions.len(), filters.len());
        for (found, (path, qos, rule)) in found.subscriptions.iter().zip(&filters) {
            assert_eq!((found.filter, found.qos), (&**path, *qos));
            assert_eq!(
                (found.no_local, found.retain_as_published),
                (*rule == 1, *rule == 2)
            );
            assert_eq!(found.retain_handling, handlings[*rule]);
        }

        let sent = v4::Unsubscribe {
            pkid: packet_id,
            topics: filters.iter().map(|(path, ..)| path.clone()).collect(),
        };
        bytes.clear();
        sent.write(&mut bytes).unwrap();
        let Packet::Unsubscribe(found) = decode(V311, &bytes).unwrap() else {
            panic!("not UNSUBSCRIBE");
        };
        assert_eq!(found.packet_id, packet_id);
        assert_eq!(found.filters.iter().collect::<Vec<_>>(), sent.topics);
    }
}

#[test]
fn answers_are_read_by_rumqttc_as_they_were_meant() {
    let mut out = Vec::new();
    encode::connack(
        &mut out,
        V311,
        &encode::ConnAck::new(ReasonCode::NotAuthorized),
        None,
    );
    let expected = v4::ConnAck::new(v4::ConnectReturnCode::NotAuthorized, false);
    assert_eq!(read_v4(&out), v4::Packet::ConnAck(expected));

    out.clear();
    let connack = encode::ConnAck {
        receive_maximum: Some(100),
        maximum_qos: Qos::AtLeastOnce,
        assigned_client_id: Some("millrace-1"),
        topic_alias_maximum: Some(16),
        maximum_packet_size: Some(1 << 20),
        shared_subscriptions: false,
        server_keep_alive: Some(60),
        reason_string: Some("welcome"),
        user_properties: &[("a", "b")],
        ..encode::ConnAck::new(ReasonCode::Success)
    };
    encode::connack(&mut out, V5, &connack, None);
    let v5::Packet::ConnAck(read) = read_v5(&out) else {
        panic!("not CONNACK");
    };
    assert_eq!(read.code, v5::ConnectReturnCode::Success);
    let properties = read.properties.unwrap();
    assert_eq!(properties.receive_max, Some(100));
    assert_eq!(properties.max_qos, Some(1));
    assert_eq!(
        properties.assigned_client_identifier.as_deref(),
        Some("millrace-1")
    );
    assert_eq!(properties.topic_alias_max, Some(16));
    assert_eq!(properties.max_packet_size, Some(1 << 20));
    assert_eq!(properties.shared_subscription_available, Some(0));
    assert_eq!(properties.wildcard_subscription_available, None);
    assert_eq!(properties.server_keep_alive, Some(60));
    assert_eq!(properties.reason_string.as_deref(), Some("welcome"));
    assert_eq!(
        properties.user_properties,
        [("a".to_owned(), "b".to_owned())]
    );

    out.clear();
    encode::puback_with(&mut out, V5, 3, ReasonCode::QuotaExceeded, "full", None);
    let v5::Packet::PubAck(read) = read_v5(&out) else {
        panic!("not PUBACK");
    };
    assert_eq!(
        (read.pkid, read.reason),
        (3, v5::PubAckReason::QuotaExceeded)
    );
    assert_eq!(
        read.properties.unwrap().reason_string.as_deref(),
        Some("full")
    );

    out.clear();
    let reasons = [
        ReasonCode::GrantedQos1,
        ReasonCode::SharedSubscriptionsNotSupported,
    ];
    encode::suback(&mut out, V5, 4, &reasons);
    let v5::Packet::SubAck(read) = read_v5(&out) else {
        panic!("not SUBACK");
    };
    let expected = [
        v5::SubscribeReasonCode::Success(Qos5::AtLeastOnce),
        v5::SubscribeReasonCode::SharedSubscriptionsNotSupported,
    ];
    assert_eq!((read.pkid, &read.return_codes[..]), (4, &expected[..]));

    out.clear();
    encode::disconnect(
        &mut out,
        V5,
        ReasonCode::SessionTakenOver,
        Some("elsewhere"),
        None,
    );
    let v5::Packet::Disconnect(read) = read_v5(&out) else {
        panic!("not DISCONNECT");
    };
    assert_eq!(read.reason_code, v5::DisconnectReasonCode::SessionTakenOver);
    assert_eq!(
        read.properties.unwrap().reason_string.as_deref(),
        Some("elsewhere")
    );
}

struct RandomPublish {
    dup: bool,
    qos: Qos,
    retain: bool,
    topic: String,
    packet_id: u16,
    payload: Bytes,
    payload_format: Option<u8>,
    message_expiry: Option<u32>,
    topic_alias: Option<u16>,
    response_topic: Option<String>,
    correlation_data: Option<Bytes>,
    content_type: Option<String>,
    user_properties: Vec<(String, String)>,
}

fn random_publish(random: &mut ChaCha8Rng) -> RandomPublish {
    let qos = qos(random);
    RandomPublish {
        dup: qos != Qos::AtMostOnce && random.random(),
        qos,
        retain: random.random(),
        topic: topic(random),
        packet_id: match qos {
            Qos::AtMostOnce => 0,
            _ => random.random_range(1..=u16::MAX),
        },
        payload: Bytes::from(text(random, 400)),
        payload_format: maybe(random, |random| random.random_range(0..2)),
        message_expiry: maybe(random, |random| random.random()),
        topic_alias: maybe(random, |random| random.random_range(1..=u16::MAX)),
        response_topic: maybe(random, topic),
        correlation_data: maybe(random, |random| Bytes::from(text(random, 10))),
        content_type: maybe(random, |random| text(random, 10)),
        user_properties: pairs(random),
    }
}

fn check_publish(version: Version, bytes: &[u8], sent: &RandomPublish) {
    let Packet::Publish(found) = decode(version, bytes).unwrap() else {
        panic!("not PUBLISH");
    };
    assert_eq!(
        (found.dup, found.qos, found.retain),
        (sent.dup, sent.qos, sent.retain)
    );
    assert_eq!(
        (found.topic, found.payload),
        (&*sent.topic, &sent.payload[..])
    );
    assert_eq!(found.packet_id.unwrap_or(0), sent.packet_id);
    let properties = &found.properties;
    if version == V311 {
        assert!(properties.raw_forwardable().is_empty());
        return;
    }
    assert_eq!(
        properties.payload_format,
        sent.payload_format.map(|format| format == 1)
    );
    assert_eq!(properties.message_expiry, sent.message_expiry);
    assert_eq!(properties.topic_alias, sent.topic_alias);
    assert_eq!(properties.response_topic, sent.response_topic.as_deref());
    assert_eq!(
        properties.correlation_data,
        sent.correlation_data.as_deref()
    );
    assert_eq!(properties.content_type, sent.content_type.as_deref());
    assert_eq!(
        owned(properties.user_properties().iter()),
        sent.user_properties
    );
    // The same bytes as a client would see them.
    let (first_byte, body) = split(bytes).unwrap();
    let seen = client::decode(version, first_byte, body).unwrap();
    assert_eq!(seen, ServerPacket::Publish(found));
}

fn v4_publish(sent: &RandomPublish) -> v4::Publish {
    let mut publish = v4::Publish::from_bytes(
        sent.topic.clone(),
        Mapped(sent.qos).into(),
        sent.payload.clone(),
    );
    publish.dup = sent.dup;
    publish.retain = sent.retain;
    publish.pkid = sent.packet_id;
    publish
}

fn v5_publish(sent: &RandomPublish) -> v5::Publish {
    let properties = v5::PublishProperties {
        payload_format_indicator: sent.payload_format,
        message_expiry_interval: sent.message_expiry,
        topic_alias: sent.topic_alias,
        response_topic: sent.response_topic.clone(),
        correlation_data: sent.correlation_data.clone(),
        user_properties: sent.user_properties.clone(),
        subscription_identifiers: Vec::new(),
        content_type: sent.content_type.clone(),
    };
    let is_empty = properties == v5::PublishProperties::default();
    v5::Publish {
        dup: sent.dup,
        qos: Mapped(sent.qos).into(),
        retain: sent.retain,
        topic: Bytes::from(sent.topic.clone()),
        pkid: sent.packet_id,
        payload: sent.payload.clone(),
        properties: (!is_empty).then_some(properties),
    }
}

fn read_v4(bytes: &[u8]) -> v4::Packet {
    v4::Packet::read(&mut BytesMut::from(bytes), SIZE_MAX).unwrap()
}

fn read_v5(bytes: &[u8]) -> v5::Packet {
    v5::Packet::read(&mut BytesMut::from(bytes), None).unwrap()
}

struct Mapped(Qos);

impl From<Mapped> for Qos4 {
    fn from(Mapped(qos): Mapped) -> Qos4 {
        match qos {
            Qos::AtMostOnce => Qos4::AtMostOnce,
            Qos::AtLeastOnce => Qos4::AtLeastOnce,
            Qos::ExactlyOnce => Qos4::ExactlyOnce,
        }
    }
}

impl From<Mapped> for Qos5 {
    fn from(Mapped(qos): Mapped) -> Qos5 {
        match qos {
            Qos::AtMostOnce => Qos5::AtMostOnce,
            Qos::AtLeastOnce => Qos5::AtLeastOnce,
            Qos::ExactlyOnce => Qos5::ExactlyOnce,
        }
    }
}

fn maybe<T>(random: &mut ChaCha8Rng, make: impl FnOnce(&mut ChaCha8Rng) -> T) -> Option<T> {
    random.random::<bool>().then(|| make(random))
}

fn qos(random: &mut ChaCha8Rng) -> Qos {
    [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][random.random_range(0..3)]
}

fn text(random: &mut ChaCha8Rng, length_max: usize) -> String {
    const LETTERS: [char; 8] = ['a', 'Z', '0', ' ', '.', '\u{e9}', '\u{20ac}', '\u{1f321}'];
    (0..random.random_range(0..=length_max))
        .map(|_| LETTERS[random.random_range(0..8)])
        .collect()
}

fn topic(random: &mut ChaCha8Rng) -> String {
    format!("t{}/{}", text(random, 10), text(random, 10))
}

fn pairs(random: &mut ChaCha8Rng) -> Vec<(String, String)> {
    (0..random.random_range(0..3))
        .map(|_| (text(random, 5), text(random, 5)))
        .collect()
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
