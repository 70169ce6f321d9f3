//! Events as bytes.

use std::num::NonZeroU32;

use bytes::Bytes;
use journal::{Position, Record};
use uuid::Uuid;

use crate::message::Message;
use crate::packet::Qos;
use crate::session::Delivery;
use crate::session_log::event::{DecodeError, Event, decode, encode};
use crate::subscriptions::Options;

fn message(expiry_seconds: Option<u32>) -> Message {
    Message {
        topic: "a/ü".into(),
        payload: Bytes::from_static(b"\0payload"),
        qos: Qos::ExactlyOnce,
        retain: true,
        properties: Bytes::from_static(b"\x26\0\x01k\0\x01v"),
        expiry_seconds,
        publisher: 77,
        received_at: 1_767_225_600_123_456,
        holders: Default::default(),
    }
}

fn delivery(qos: Qos) -> Delivery {
    Delivery {
        message: message(Some(0)).into(),
        qos,
        retain: false,
        identifier: NonZeroU32::new(268_435_455),
        snapshot: true,
        share: None,
    }
}

/// Every kind of event is shown to `visit`.
fn for_each_kind(mut visit: impl FnMut(&Event<'_>)) {
    let will = message(None);
    let options = Options {
        qos: Qos::ExactlyOnce,
        no_local: true,
        retain_as_published: false,
        identifier: None,
    };
    let other_options = Options {
        qos: Qos::AtMostOnce,
        no_local: false,
        retain_as_published: true,
        identifier: NonZeroU32::new(9),
    };
    let packet_id = 65_535;
    for event in [
        Event::Created {
            user: "someone",
            expiry_seconds: u32::MAX,
            held_through: Position(12),
        },
        Event::Attached { user: "" },
        Event::Detached {
            at: -1,
            expiry_seconds: 60,
        },
        Event::Ended,
        Event::Subscribed {
            filter: "$share/g/a/+",
            options,
        },
        Event::Subscribed {
            filter: "#",
            options: other_options,
        },
        Event::Unsubscribed { filter: "a/#" },
        Event::Queued(&delivery(Qos::AtLeastOnce)),
        Event::Queued(&delivery(Qos::ExactlyOnce)),
        Event::Dropped { index: 70_000 },
        Event::Sent { packet_id },
        Event::Received { packet_id },
        Event::Acknowledged { packet_id },
        Event::Held {
            packet_id,
            telemetry: None,
        },
        Event::Held {
            packet_id,
            telemetry: Some(Position::ZERO),
        },
        Event::Released { packet_id },
        Event::WillArmed {
            message: &will,
            delay_seconds: 5,
        },
        Event::WillCleared,
        Event::Checkpoint {
            journal: Uuid::from_u128(5),
            position: Position(99),
        },
        Event::Restored {
            user: "u",
            expiry_seconds: 1,
            held_through: Position(3),
            disconnected_at: None,
            last_packet_id: 9,
        },
        Event::Restored {
            user: "u",
            expiry_seconds: 1,
            held_through: Position(3),
            disconnected_at: Some(8),
            last_packet_id: 9,
        },
        Event::Releasing { packet_id },
        Event::InFlight { packet_id },
        Event::Taken {
            packet_id,
            delivery: &delivery(Qos::ExactlyOnce),
        },
        Event::SnapshotBegun { filter: "a/#" },
        Event::SnapshotSent { filter: "a/#" },
    ] {
        visit(&event);
    }
}

#[test]
fn an_event_is_read_as_it_was_written() {
    for_each_kind(|event| {
        let mut scratch = b"left over".to_vec();
        let record = encode("client", event, &mut scratch);
        assert_eq!(record.client_id, "client");
        let again = decode(&record, |event| {
            let mut scratch = Vec::new();
            assert_eq!(encode("client", event, &mut scratch), record);
        });
        assert_eq!(again, Ok(()));
    });
}

/// Every field, by name: one that is added to a message must be written too.
#[test]
fn a_delivery_keeps_all_it_has() {
    let written = delivery(Qos::AtLeastOnce);
    let mut scratch = Vec::new();
    let record = encode("client", &Event::Queued(&written), &mut scratch);
    let read = decode(&record, |event| match event {
        Event::Queued(delivery) => Delivery::clone(delivery),
        _ => panic!("another event"),
    });
    let Delivery {
        message,
        qos,
        retain,
        identifier,
        snapshot,
        share,
    } = read.expect("readable");
    assert_eq!(
        (qos, retain, identifier, snapshot, share.is_none()),
        (
            Qos::AtLeastOnce,
            false,
            NonZeroU32::new(268_435_455),
            true,
            true
        )
    );
    let Message {
        topic,
        payload,
        qos,
        retain,
        properties,
        expiry_seconds,
        publisher,
        received_at,
        holders: _,
    } = Message::clone(&message);
    let expected = Message::clone(&written.message);
    assert_eq!(
        (topic, payload, qos, retain, properties),
        (
            expected.topic,
            expected.payload,
            expected.qos,
            expected.retain,
            expected.properties
        )
    );
    assert_eq!(
        (expiry_seconds, publisher, received_at),
        (Some(0), expected.publisher, expected.received_at)
    );
}

/// A checksum has vouched for the bytes, so this is a defect or another version; not a panic.
#[test]
fn cut_or_longer_bytes_are_refused() {
    for_each_kind(|event| {
        let mut scratch = Vec::new();
        let record = encode("client", event, &mut scratch);
        for length in 0..record.payload.len() {
            let cut = Record {
                payload: &record.payload[..length],
                ..record
            };
            assert_eq!(decode(&cut, |_| ()), Err(DecodeError::Malformed));
        }
        let longer = [record.payload, b"x"].concat();
        let longer = Record {
            payload: &longer,
            ..record
        };
        assert_eq!(decode(&longer, |_| ()), Err(DecodeError::Malformed));
    });
}

#[test]
fn what_a_newer_version_wrote_is_named() {
    let mut scratch = Vec::new();
    let record = encode("client", &Event::Ended, &mut scratch);
    let read = |payload| decode(&Record { payload, ..record }, |_| ());
    assert_eq!(read(&[2, 4]), Err(DecodeError::Format(2)));
    assert_eq!(read(&[1, 200]), Err(DecodeError::Kind(200)));
}
