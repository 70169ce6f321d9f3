//! A change of a session as bytes.
//!
//! An event is one record of the log. The record's own fields hold the client id, the user, the
//! topic or filter and the message's time of arrival; its payload is, little-endian:
//!
//! ```text
//! u8 format: 1; 2 when an identity or a group is there
//! u8 kind
//!
//! kind            payload behind it                                      record
//!  1 created      u32 expiry (seconds), u64 held through, identity       user
//!  2 attached     identity                                               user
//!  3 detached     i64 at (microseconds), u32 expiry
//!  4 ended
//!  5 subscribed   u8 options, u32 identifier (0: none)                   topic: the filter
//!  6 unsubscribed                                                        topic: the filter
//!  7 queued       message, u8 copy, u32 identifier, group                topic, received_at
//!  8 dropped      u32 index in the queue
//!  9 sent         u16 packet id
//! 10 received     u16 packet id
//! 11 acknowledged u16 packet id
//! 12 held         u16 packet id, u64 position + 1 (0: not telemetry)
//! 13 released     u16 packet id
//! 14 will armed   message, u32 delay (seconds)                           topic, received_at, content type
//! 15 will cleared
//! 16 checkpoint   16 bytes identity, u64 position (both of telemetry)
//! 17 restored     u32 expiry, u64 held through, i64 disconnected at      user
//!                 (i64::MIN: attached), u16 last packet id, identity
//! 18 releasing    u16 packet id
//! 19 in flight    u16 packet id
//! 20 taken        message, u8 copy, u32 identifier, u16 packet id        topic, received_at
//! 21 snapshot begun                                                      topic: the filter
//! 22 snapshot sent                                                       topic: the filter
//!
//! options   bits 0-1 QoS, 2 no local, 3 retain as published
//! copy      bits 0-1 QoS, 2 retain, 3 snapshot
//! message   u8: bits 0-1 QoS, 2 retain, 3 expires; u32 expiry; u64 publisher;
//!           u32 length of properties, properties, u32 length of payload, payload
//! group     in format 2 only; the shared subscription by which the session was chosen, as a text
//! identity  in format 2 only; u8: bits 0-2 who vouched for it (0 nobody, 1 the users file, 2 the
//!           keeper of device secrets, 3 an authority of certificates, 4 an issuer of tokens),
//!           3 the name in a certificate follows; that name; number of groups, groups; number of
//!           variables, name and value of each, sorted by name
//!           numbers, and the length in front of a text: 7 bits a byte, the lowest first, bit 7:
//!           more follow
//! ```
//!
//! An identity is written with every connection of a kept session, so it is short: a user in one group
//! adds about a dozen bytes. What holds for a connection only is left out: which secret or
//! certificate let it in, and until when credentials hold. An event of format 1 that could have an identity is
//! of a Millrace that wrote down the user alone; the rest of the identity is forgotten then.
//!
//! A snapshot is the events that lead to a state: `restored`, which forgets all that was before it,
//! then the subscriptions, those of them whose retained messages are not all sent, the messages in flight (`queued` and `in flight`, or
//! `releasing`), the queue, the
//! held ids, the will.
//!
//! Owns: these bytes. Never: knows what an event does. Invariant: `decode` yields what `encode` was
//! given, and refuses what it does not know: a log of a newer Millrace is not guessed at.

use std::num::NonZeroU32;
use std::sync::Arc;

use journal::{Position, Record};
use uuid::Uuid;

use super::bytes::{
    Input, flag, put_delivery, put_identifier, put_identity, put_message, put_shared_delivery,
    put_u16, put_u32, put_u64, qos,
};
use crate::auth::Identity;
use crate::message::Message;
use crate::session::Delivery;
use crate::subscriptions::Options;

/// A change of a session. See the rules in the module's description.
pub(crate) enum Event<'a> {
    /// A new session, attached. Whatever was under its client id before is over.
    Created {
        identity: &'a Arc<Identity>,
        /// Seconds it is kept after its connection; `u32::MAX`: for ever.
        expiry_seconds: u32,
        /// The end of the telemetry journal when the session began.
        held_through: Position,
    },
    /// A connection took the session up.
    Attached {
        identity: &'a Arc<Identity>,
    },
    /// The connection ended.
    Detached {
        /// Microseconds since 1970, UTC.
        at: i64,
        /// What the client or its DISCONNECT asked for.
        expiry_seconds: u32,
    },
    /// The session is no more.
    Ended,
    /// Also when a subscription is replaced.
    Subscribed {
        filter: &'a str,
        options: Options,
    },
    Unsubscribed {
        filter: &'a str,
    },
    /// A message at QoS 1 or 2 goes to the end of the queue.
    Queued(&'a Delivery),
    /// A message leaves the queue without being sent (it expired, it was handed on); `index`
    /// counts from the front, QoS 0 left out.
    Dropped {
        index: usize,
    },
    /// The front of the queue goes into flight.
    Sent {
        packet_id: u16,
    },
    /// PUBREC: the message is with the client, the id is not free yet.
    Received {
        packet_id: u16,
    },
    /// PUBACK, PUBCOMP, or a PUBREC with an error: the exchange is over.
    Acknowledged {
        packet_id: u16,
    },
    /// A PUBLISH at QoS 2 came in.
    Held {
        packet_id: u16,
        /// The position of its record in the telemetry journal, if it is telemetry; or of the last
        /// record of its append, and then the events of one append are one batch.
        telemetry: Option<Position>,
    },
    /// PUBREL came in.
    Released {
        packet_id: u16,
    },
    WillArmed {
        message: &'a Message,
        delay_seconds: u32,
        /// Empty when there is none.
        content_type: &'a str,
    },
    WillCleared,
    /// Of the log itself: every telemetry record before `position` has been told.
    Checkpoint {
        journal: Uuid,
        position: Position,
    },
    /// Begins a snapshot.
    Restored {
        identity: &'a Arc<Identity>,
        expiry_seconds: u32,
        held_through: Position,
        disconnected_at: Option<i64>,
        last_packet_id: u16,
    },
    /// In a snapshot: an outgoing message past its PUBREC.
    Releasing {
        packet_id: u16,
    },
    /// In a snapshot: the front of the queue is in flight. As `Sent`, but says nothing of the packet id
    /// given last.
    InFlight {
        packet_id: u16,
    },
    /// A retained message goes into flight, from the store and not from the queue.
    Taken {
        packet_id: u16,
        delivery: &'a Delivery,
    },
    /// The subscription's retained messages are to be sent; after a restart all of them, since it is not told how far they
    /// have come.
    SnapshotBegun {
        filter: &'a str,
    },
    /// All of them have been sent.
    SnapshotSent {
        filter: &'a str,
    },
}

/// Why a record of the log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("it has format {0}, which this Millrace does not know")]
    Format(u8),
    #[error("it is an event of kind {0}, which this Millrace does not know")]
    Kind(u8),
    #[error("it is malformed")]
    Malformed,
}

const FORMAT: u8 = 1;
const FORMAT_WITH_MORE: u8 = 2;

mod kind {
    pub(super) const CREATED: u8 = 1;
    pub(super) const ATTACHED: u8 = 2;
    pub(super) const DETACHED: u8 = 3;
    pub(super) const ENDED: u8 = 4;
    pub(super) const SUBSCRIBED: u8 = 5;
    pub(super) const UNSUBSCRIBED: u8 = 6;
    pub(super) const QUEUED: u8 = 7;
    pub(super) const DROPPED: u8 = 8;
    pub(super) const SENT: u8 = 9;
    pub(super) const RECEIVED: u8 = 10;
    pub(super) const ACKNOWLEDGED: u8 = 11;
    pub(super) const HELD: u8 = 12;
    pub(super) const RELEASED: u8 = 13;
    pub(super) const WILL_ARMED: u8 = 14;
    pub(super) const WILL_CLEARED: u8 = 15;
    pub(super) const CHECKPOINT: u8 = 16;
    pub(super) const RESTORED: u8 = 17;
    pub(super) const RELEASING: u8 = 18;
    pub(super) const IN_FLIGHT: u8 = 19;
    pub(super) const TAKEN: u8 = 20;
    pub(super) const SNAPSHOT_BEGUN: u8 = 21;
    pub(super) const SNAPSHOT_SENT: u8 = 22;
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const ATTACHED_NOW: i64 = i64::MIN;

/// Encodes the payload to `scratch` (emptied first); the record that carries it.
pub(super) fn encode<'a>(
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
            begin_with(out, kind::QUEUED, delivery.share.is_some());
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
        } => {
            begin_with_id(out, kind::HELD, packet_id);
            put_u64(out, telemetry.map_or(0, |position| position.plus(1).0));
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

/// Reads the event and shows it to `visit`.
pub(super) fn decode<T>(
    record: &Record<'_>,
    visit: impl FnOnce(&Event<'_>) -> T,
) -> Result<T, DecodeError> {
    let mut input = Input(record.payload);
    let format = input.u8()?;
    let has_more = match format {
        FORMAT => false,
        FORMAT_WITH_MORE => true,
        unknown => return Err(DecodeError::Format(unknown)),
    };
    let (delivery, message, identity);
    let event = match input.u8()? {
        kind::CREATED => {
            let (expiry_seconds, held_through) = (input.u32()?, Position(input.u64()?));
            identity = input.identity(record, has_more)?;
            Event::Created {
                identity: &identity,
                expiry_seconds,
                held_through,
            }
        }
        kind::ATTACHED => {
            identity = input.identity(record, has_more)?;
            Event::Attached {
                identity: &identity,
            }
        }
        kind::RESTORED => {
            let (expiry_seconds, held_through) = (input.u32()?, Position(input.u64()?));
            let disconnected_at = match input.u64()? as i64 {
                ATTACHED_NOW => None,
                at => Some(at),
            };
            let last_packet_id = input.u16()?;
            identity = input.identity(record, has_more)?;
            Event::Restored {
                identity: &identity,
                expiry_seconds,
                held_through,
                disconnected_at,
                last_packet_id,
            }
        }
        kind::QUEUED if has_more => {
            delivery = input.shared_delivery(record)?;
            Event::Queued(&delivery)
        }
        _ if has_more => return Err(DecodeError::Malformed),
        kind::DETACHED => Event::Detached {
            at: input.u64()? as i64,
            expiry_seconds: input.u32()?,
        },
        kind::ENDED => Event::Ended,
        kind::SUBSCRIBED => {
            let flags = input.u8()?;
            Event::Subscribed {
                filter: record.topic,
                options: Options {
                    qos: qos(flags)?,
                    no_local: flags & NO_LOCAL != 0,
                    retain_as_published: flags & RETAIN_AS_PUBLISHED != 0,
                    identifier: NonZeroU32::new(input.u32()?),
                },
            }
        }
        kind::UNSUBSCRIBED => Event::Unsubscribed {
            filter: record.topic,
        },
        kind::QUEUED => {
            delivery = input.delivery(record)?;
            Event::Queued(&delivery)
        }
        kind::TAKEN => {
            delivery = input.delivery(record)?;
            Event::Taken {
                packet_id: input.u16()?,
                delivery: &delivery,
            }
        }
        kind::SNAPSHOT_BEGUN => Event::SnapshotBegun {
            filter: record.topic,
        },
        kind::SNAPSHOT_SENT => Event::SnapshotSent {
            filter: record.topic,
        },
        kind::DROPPED => Event::Dropped {
            index: input.u32()? as usize,
        },
        kind::SENT => Event::Sent {
            packet_id: input.u16()?,
        },
        kind::RECEIVED => Event::Received {
            packet_id: input.u16()?,
        },
        kind::ACKNOWLEDGED => Event::Acknowledged {
            packet_id: input.u16()?,
        },
        kind::HELD => Event::Held {
            packet_id: input.u16()?,
            telemetry: input.u64()?.checked_sub(1).map(Position),
        },
        kind::RELEASED => Event::Released {
            packet_id: input.u16()?,
        },
        kind::WILL_ARMED => {
            message = input.message(record)?;
            Event::WillArmed {
                message: &message,
                delay_seconds: input.u32()?,
                content_type: record.content_type,
            }
        }
        kind::WILL_CLEARED => Event::WillCleared,
        kind::CHECKPOINT => Event::Checkpoint {
            journal: Uuid::from_bytes(input.array()?),
            position: Position(input.u64()?),
        },
        kind::RELEASING => Event::Releasing {
            packet_id: input.u16()?,
        },
        kind::IN_FLIGHT => Event::InFlight {
            packet_id: input.u16()?,
        },
        unknown => return Err(DecodeError::Kind(unknown)),
    };
    if !input.is_empty() {
        return Err(DecodeError::Malformed);
    }
    Ok(visit(&event))
}

fn begin(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[FORMAT, kind]);
}

/// One that says whose the session is, if that is known.
fn begin_of(out: &mut Vec<u8>, kind: u8, identity: &Identity) {
    begin_with(out, kind, identity.is_known());
}

fn begin_with(out: &mut Vec<u8>, kind: u8, more: bool) {
    let format = match more {
        true => FORMAT_WITH_MORE,
        false => FORMAT,
    };
    out.extend_from_slice(&[format, kind]);
}

fn begin_with_id(out: &mut Vec<u8>, kind: u8, packet_id: u16) {
    begin(out, kind);
    put_u16(out, packet_id);
}
