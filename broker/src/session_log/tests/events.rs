//! Events as bytes.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use journal::{Position, Record};
use uuid::Uuid;

use crate::delivery::{Delivery, Options};
use crate::exchange::Origin;
use crate::message::Message;
use crate::session_log::event::{DecodeError, Event, decode, encode};
use crate::subscriptions::Group;
use access::{Identity, Voucher, secret_digest};
use mqtt::Qos;

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
        origin: Default::default(),
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

fn shared() -> Delivery {
    Delivery {
        share: Some(Arc::new(Group::new("g", "a/+"))),
        ..delivery(Qos::AtLeastOnce)
    }
}

/// One whose message came by an exchange.
fn copied(delivery: Delivery) -> Delivery {
    let message = Message {
        origin: Origin::read(3),
        ..Message::clone(&delivery.message)
    };
    Delivery {
        message: message.into(),
        ..delivery
    }
}

fn identity() -> Arc<Identity> {
    Arc::new(Identity {
        user: "someone".into(),
        vouched_by: Voucher::Token,
        groups: ["admins".into(), "ü".repeat(100).into()].into(),
        certificate: Some("press-1".into()),
        variables: [("line".into(), "7".into()), ("site".into(), "".into())].into(),
        ..Identity::default()
    })
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
    let forgotten = Arc::new(Identity {
        user: "someone".into(),
        vouched_by: Voucher::Forgotten,
        ..Identity::default()
    });
    let packet_id = 65_535;
    for event in [
        Event::Created {
            identity: &identity(),
            expiry_seconds: u32::MAX,
            held_through: Position(12),
        },
        Event::Attached {
            identity: &Arc::default(),
        },
        Event::Attached {
            identity: &forgotten,
        },
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
        Event::Queued(&shared()),
        Event::Queued(&copied(delivery(Qos::ExactlyOnce))),
        Event::Queued(&copied(shared())),
        Event::Dropped { index: 70_000 },
        Event::Sent { packet_id },
        Event::Received { packet_id },
        Event::Acknowledged { packet_id },
        Event::Held {
            packet_id,
            telemetry: None,
            ordinal: 0,
        },
        Event::Held {
            packet_id,
            telemetry: Some(Position::ZERO),
            ordinal: 7,
        },
        Event::Distributed {
            packet_id,
            ordinal: 8,
        },
        Event::Journalled { packet_id },
        Event::Numbered {
            number: 5,
            completed_through: 6,
        },
        Event::Released { packet_id },
        Event::WillArmed {
            message: &will,
            delay_seconds: 5,
            content_type: "text/csv",
        },
        Event::WillCleared,
        Event::Checkpoint {
            journal: Uuid::from_u128(5),
            position: Position(99),
        },
        Event::Restored {
            identity: &identity(),
            expiry_seconds: 1,
            held_through: Position(3),
            disconnected_at: None,
            last_packet_id: 9,
        },
        Event::Restored {
            identity: &forgotten,
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
    let written = copied(delivery(Qos::AtLeastOnce));
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
        origin,
        holders: _,
    } = Message::clone(&message);
    assert_eq!(origin.ordinal, 3);
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

fn read_identity(record: &Record<'_>) -> Result<Identity, DecodeError> {
    decode(record, |event| match event {
        Event::Attached { identity } => Identity::clone(identity),
        _ => panic!("another event"),
    })
}

#[test]
fn an_identity_is_kept_but_for_what_holds_for_a_connection() {
    for vouched_by in [
        Voucher::Nobody,
        Voucher::Users,
        Voucher::Devices,
        Voucher::Certificate,
        Voucher::Token,
    ] {
        let kept = Identity {
            vouched_by,
            ..Identity::clone(&identity())
        };
        let written = Arc::new(Identity {
            expires_at: Some(9),
            device_secret: Some(secret_digest(b"secret")),
            ..kept.clone()
        });
        let mut scratch = Vec::new();
        let attached = Event::Attached { identity: &written };
        let record = encode("client", &attached, &mut scratch);
        assert_eq!(read_identity(&record), Ok(kept));
    }
}

/// Two of the format's bytes, a byte for who vouched, the group, and no variables.
#[test]
fn an_identity_costs_little() {
    let operator = Arc::new(Identity {
        user: "ada".into(),
        vouched_by: Voucher::Users,
        groups: ["operators".into()].into(),
        ..Identity::default()
    });
    let mut scratch = Vec::new();
    let attached = Event::Attached {
        identity: &operator,
    };
    let record = encode("client", &attached, &mut scratch);
    assert_eq!(record.payload, b"\x02\x02\x01\x01\x09operators\x00");
}

#[test]
fn of_an_older_log_no_more_than_the_user_is_known() {
    for (payload, what) in [
        (&b"\x01\x02"[..], "attached"),
        (b"\x01\x01\x3c\0\0\0\x05\0\0\0\0\0\0\0", "created"),
    ] {
        let mut scratch = Vec::new();
        let record = Record {
            user: "ada",
            payload,
            ..encode("client", &Event::Ended, &mut scratch)
        };
        let read = decode(&record, |event| match event {
            Event::Attached { identity } | Event::Created { identity, .. } => Arc::clone(identity),
            _ => panic!("another event"),
        });
        let identity = read.expect(what);
        assert_eq!(&*identity.user, "ada");
        assert!(!identity.is_known());
    }
}

#[test]
fn a_malformed_identity_is_refused() {
    let mut scratch = Vec::new();
    let record = encode("client", &Event::Ended, &mut scratch);
    for (identity, what) in [
        (&b"\x05\0\0"[..], "vouched for by whom"),
        (b"\x11\0\0", "an unknown flag"),
        (b"\x01\x01\x01\xff\0", "a group that is no text"),
        (b"\x01\xff\xff\xff\xff\x0f", "more groups than bytes"),
        (
            b"\x01\xff\xff\xff\xff\x1f\0",
            "more groups than there can be",
        ),
        (b"\x01\x80\x80\x80\x80\x80\0\0", "a number without an end"),
        (
            b"\x01\0\x02\x01b\x01x\x01a\x01x",
            "variables in another order",
        ),
        (b"\x01\0\x02\x01a\x01x\x01a\x01y", "a variable twice"),
    ] {
        let payload = [b"\x02\x02", identity].concat();
        let record = Record {
            payload: &payload,
            ..record
        };
        assert_eq!(
            read_identity(&record),
            Err(DecodeError::Malformed),
            "{what}"
        );
    }
    let record = Record {
        payload: b"\x02\x04\0\0\0",
        ..record
    };
    assert_eq!(decode(&record, |_| ()), Err(DecodeError::Malformed));
}

#[test]
fn a_delivery_knows_the_group_it_was_chosen_from() {
    let mut scratch = Vec::new();
    let written = shared();
    let record = encode("client", &Event::Queued(&written), &mut scratch);
    let read = decode(&record, |event| match event {
        Event::Queued(delivery) => delivery.share.clone(),
        _ => panic!("another event"),
    });
    let group = read.expect("readable").expect("a group");
    assert_eq!(group.subscription(), "$share/g/a/+");
}

/// As Millrace wrote them before exchanges had ordinals.
#[test]
fn of_an_older_log_publishes_and_copies_are_complete() {
    let mut scratch = Vec::new();
    let record = encode("client", &Event::Ended, &mut scratch);
    let held = Record {
        payload: b"\x01\x0c\x07\0\x05\0\0\0\0\0\0\0",
        ..record
    };
    let read = decode(&held, |event| match event {
        Event::Held {
            packet_id,
            telemetry,
            ordinal,
        } => (*packet_id, *telemetry, *ordinal),
        _ => panic!("another event"),
    });
    assert_eq!(read, Ok((7, Some(Position(4)), 0)));
    let queued = [&b"\x01\x07\x02"[..], &[0; 20], &[2], &[0; 4]].concat();
    let queued = Record {
        payload: &queued,
        ..record
    };
    let read = decode(&queued, |event| match event {
        Event::Queued(delivery) => delivery.message.origin.ordinal,
        _ => panic!("another event"),
    });
    assert_eq!(read, Ok(0));
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
    assert_eq!(read(&[3, 4]), Err(DecodeError::Format(3)));
    assert_eq!(read(&[1, 200]), Err(DecodeError::Kind(200)));
}
