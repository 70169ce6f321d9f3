//! From an event to its bytes.
//!
//! Owns: which format an event is written in. Never: decides what is an event.

use journal::Record;

use super::super::bytes::{
    flag, put_delivery, put_identifier, put_identity, put_message, put_shared_delivery, put_u16,
    put_u32, put_u64,
};
use super::{ATTACHED_NOW, Event, FORMAT, FORMAT_WITH_MORE, NO_LOCAL, RETAIN_AS_PUBLISHED, kind};
use access::Identity;

/// Encodes the payload to `scratch` (emptied first); the record that carries it.
pub(in crate::session_log) fn encode<'a>(
    client_id: &'a str,
    event: &Event<'a>,
    scratch: &'a mut Vec<u8>,
) -> Record<'a> {
    scratch.clear();
    let mut record = Record {
        received_at: 0,
        qos: 0,
        packet_id: None,
        content_type: "",
        client_id,
        user: "",
        topic: "",
        payload: &[],
    };
    let out = scratch;
    match *event {
        Event::Created {
            identity,
            expiry_seconds,
            held_through,
        } => {
            record.user = &identity.user;
            begin_of(out, kind::CREATED, identity);
            put_u32(out, expiry_seconds);
            put_u64(out, held_through.0);
            put_identity(out, identity);
        }
        Event::Attached { identity } => {
            record.user = &identity.user;
            begin_of(out, kind::ATTACHED, identity);
            put_identity(out, identity);
        }
        Event::Detached { at, expiry_seconds } => {
            begin(out, kind::DETACHED);
            put_u64(out, at as u64);
            put_u32(out, expiry_seconds);
        }
        Event::Ended => begin(out, kind::ENDED),
        Event::Subscribed { filter, options } => {
            record.topic = filter;
            begin(out, kind::SUBSCRIBED);
            out.push(
                options.qos as u8
                    | flag(options.no_local, NO_LOCAL)
                    | flag(options.retain_as_published, RETAIN_AS_PUBLISHED),
            );
            put_identifier(out, options.identifier);
        }
        Event::Unsubscribed { filter } => {
            record.topic = filter;
            begin(out, kind::UNSUBSCRIBED);
        }
        Event::Queued(delivery) => {
            record.topic = &delivery.message.topic;
            record.received_at = delivery.message.received_at;
            match delivery.message.origin.ordinal {
                0 => begin_with(out, kind::QUEUED, delivery.share.is_some()),
                ordinal => {
                    begin_with(out, kind::COPIED, delivery.share.is_some());
                    put_u64(out, ordinal);
                }
            }
            match &delivery.share {
                Some(group) => put_shared_delivery(out, delivery, group),
                None => put_delivery(out, delivery),
            }
        }
        Event::Dropped { index } => {
            begin(out, kind::DROPPED);
            // A queue has fewer entries than bytes of memory behind a u32 could hold.
            put_u32(out, u32::try_from(index).unwrap_or(u32::MAX));
        }
        Event::Sent { packet_id } => begin_with_id(out, kind::SENT, packet_id),
        Event::Received { packet_id } => begin_with_id(out, kind::RECEIVED, packet_id),
        Event::Acknowledged { packet_id } => begin_with_id(out, kind::ACKNOWLEDGED, packet_id),
        Event::Held {
            packet_id,
            telemetry,
            ordinal,
        } => {
            begin_with(out, kind::HELD, ordinal != 0);
            put_u16(out, packet_id);
            put_u64(out, telemetry.map_or(0, |position| position.plus(1).0));
            if ordinal != 0 {
                put_u64(out, ordinal);
            }
        }
        Event::Distributed { packet_id, ordinal } => {
            begin_with_id(out, kind::DISTRIBUTED, packet_id);
            put_u64(out, ordinal);
        }
        Event::Journalled { packet_id } => begin_with_id(out, kind::JOURNALLED, packet_id),
        Event::Numbered {
            number,
            completed_through,
        } => {
            begin(out, kind::NUMBERED);
            put_u64(out, number);
            put_u64(out, completed_through);
        }
        Event::Released { packet_id } => begin_with_id(out, kind::RELEASED, packet_id),
        Event::WillArmed {
            message,
            delay_seconds,
            content_type,
        } => {
            record.content_type = content_type;
            record.topic = &message.topic;
            record.received_at = message.received_at;
            begin(out, kind::WILL_ARMED);
            put_message(out, message);
            put_u32(out, delay_seconds);
        }
        Event::WillCleared => begin(out, kind::WILL_CLEARED),
        Event::Checkpoint { journal, position } => {
            begin(out, kind::CHECKPOINT);
            out.extend_from_slice(journal.as_bytes());
            put_u64(out, position.0);
        }
        Event::Restored {
            identity,
            expiry_seconds,
            held_through,
            disconnected_at,
            last_packet_id,
        } => {
            record.user = &identity.user;
            begin_of(out, kind::RESTORED, identity);
            put_u32(out, expiry_seconds);
            put_u64(out, held_through.0);
            put_u64(out, disconnected_at.unwrap_or(ATTACHED_NOW) as u64);
            put_u16(out, last_packet_id);
            put_identity(out, identity);
        }
        Event::Releasing { packet_id } => begin_with_id(out, kind::RELEASING, packet_id),
        Event::InFlight { packet_id } => begin_with_id(out, kind::IN_FLIGHT, packet_id),
        Event::Taken {
            packet_id,
            delivery,
        } => {
            record.topic = &delivery.message.topic;
            record.received_at = delivery.message.received_at;
            begin(out, kind::TAKEN);
            put_delivery(out, delivery);
            put_u16(out, packet_id);
        }
        Event::SnapshotBegun { filter } => {
            record.topic = filter;
            begin(out, kind::SNAPSHOT_BEGUN);
        }
        Event::SnapshotSent { filter } => {
            record.topic = filter;
            begin(out, kind::SNAPSHOT_SENT);
        }
    }
    record.payload = out;
    record
}

fn begin(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[FORMAT, kind]);
}

/// One that says whose the session is, if that is known.
fn begin_of(out: &mut Vec<u8>, kind: u8, identity: &Identity) {
    begin_with(out, kind, identity.is_known());
}

fn begin_with(out: &mut Vec<u8>, kind: u8, more: bool) {
    let format = if more { FORMAT_WITH_MORE } else { FORMAT };
    out.extend_from_slice(&[format, kind]);
}

fn begin_with_id(out: &mut Vec<u8>, kind: u8, packet_id: u16) {
    begin(out, kind);
    put_u16(out, packet_id);
}
