//! A change of a session as bytes.
//!
//! An event is one record of the log. The record's own fields hold the client id, the user, the
//! topic or filter and the message's time of arrival; its payload is, little-endian:
//!
//! ```text
//! u8 format: 1; 2 when an identity, a group or the ordinal of an exchange is there
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
//! 12 held         u16 packet id, u64 position + 1 (0: not telemetry), ordinal
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
//! 23 distributed  u16 packet id, u64 ordinal
//! 24 journalled   u16 packet id
//! 25 numbered     u64 number, u64 completed through (an ordinal)
//! 26 copied       u64 ordinal, then as queued                            topic, received_at
//!
//! options   bits 0-1 QoS, 2 no local, 3 retain as published
//! copy      bits 0-1 QoS, 2 retain, 3 snapshot
//! message   u8: bits 0-1 QoS, 2 retain, 3 expires; u32 expiry; u64 publisher;
//!           u32 length of properties, properties, u32 length of payload, payload
//! ordinal   in format 2 only; u64
//! group     in format 2 only; the shared subscription by which the session was chosen, as a text
//! identity  in format 2 only; u8: bits 0-2 who vouched for it (0 nobody, 1 the users file, 2 the
//!           keeper of device secrets, 3 an authority of certificates, 4 an issuer of tokens),
//!           3 the name in a certificate follows; that name; number of groups, groups; number of
//!           variables, name and value of each, sorted by name
//!           numbers, and the length in front of a text: 7 bits a byte, the lowest first, bit 7:
//!           more follow
//! ```
//!
//! An identity is written with every connection of a kept session, so it is short: a user in one
//! group adds about a dozen bytes. What holds for a connection only is left out: which secret or
//! certificate let it in, and until when credentials hold. An event of format 1 that could have an
//! identity is of a Millrace that wrote down the user alone; the rest of the identity is forgotten
//! then.
//!
//! `copied` is `queued` of a message that came by a QoS 2 exchange of a kept session; the message's
//! publisher is that session's number.
//!
//! A snapshot is the events that lead to a state: `restored`, which forgets all that was before it,
//! its number, then the subscriptions, those of them whose retained messages are not all sent, the
//! messages in flight (`queued` and `in flight`, or `releasing`), the queue, the held ids, the
//! will.
//!
//! Owns: these bytes. Never: knows what an event does. Invariant: `decode` yields what `encode` was
//! given, and refuses what it does not know: a log of a newer Millrace is not guessed at.

mod read;
mod write;

use std::sync::Arc;

use journal::Position;
use uuid::Uuid;

pub(super) use self::read::decode;
pub(super) use self::write::encode;
use crate::delivery::{Delivery, Options};
use crate::message::Message;
use access::Identity;

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
    /// A PUBLISH at QoS 2 came in; whoever subscribes has it.
    Held {
        packet_id: u16,
        /// The position of its record in the telemetry journal, if it is telemetry; or of the last
        /// record of its append, and then the events of one append are one batch.
        telemetry: Option<Position>,
        /// Its exchange and those before it are complete; 0: that says nothing new.
        ordinal: u64,
    },
    /// A PUBLISH of telemetry at QoS 2 came in; whoever subscribes has it, the telemetry journal
    /// does not.
    Distributed {
        packet_id: u16,
        /// As that of `Held`.
        ordinal: u64,
    },
    /// A PUBLISH of telemetry at QoS 2 came in; the telemetry journal has it, nobody who subscribes
    /// does.
    Journalled {
        packet_id: u16,
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
    /// What the copies of the session's QoS 2 publishes say of it.
    Numbered {
        /// The publisher of its messages.
        number: u64,
        /// The ordinal of the last exchange that is complete.
        completed_through: u64,
    },
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
    /// In a snapshot: the front of the queue is in flight. As `Sent`, but says nothing of the
    /// packet id given last.
    InFlight {
        packet_id: u16,
    },
    /// A retained message goes into flight, from the store and not from the queue.
    Taken {
        packet_id: u16,
        delivery: &'a Delivery,
    },
    /// The subscription's retained messages are to be sent; after a restart all of them, since it
    /// is not told how far they have come.
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
    pub(super) const DISTRIBUTED: u8 = 23;
    pub(super) const JOURNALLED: u8 = 24;
    pub(super) const NUMBERED: u8 = 25;
    pub(super) const COPIED: u8 = 26;
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const ATTACHED_NOW: i64 = i64::MIN;
