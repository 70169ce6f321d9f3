//! Events that own what they speak of.

use std::sync::Arc;

use journal::Position;

use super::{content_type, delivery, message, options};
use crate::session_log::Event;
use access::Identity;

/// An event that owns what it speaks of.
pub(super) enum Change {
    Attached(Arc<Identity>),
    Detached(i64, u32),
    Ended,
    Subscribed(String, u32),
    Unsubscribed(String),
    Queued(u64),
    Dropped(usize),
    Sent(u16),
    Received(u16),
    Acknowledged(u16),
    Held(u16, Option<Position>, u64),
    Distributed(u16, u64),
    Released(u16),
    Will(Option<(u64, u32)>),
    SnapshotBegun(String),
    SnapshotSent(String),
    Taken(u16, u64),
}

impl Change {
    pub(super) fn with_event(&self, visit: impl FnOnce(&Event<'_>)) {
        match self {
            Change::Attached(identity) => visit(&Event::Attached { identity }),
            Change::Detached(at, expiry_seconds) => visit(&Event::Detached {
                at: *at,
                expiry_seconds: *expiry_seconds,
            }),
            Change::Ended => visit(&Event::Ended),
            Change::Subscribed(filter, number) => visit(&Event::Subscribed {
                filter,
                options: options(*number),
            }),
            Change::Unsubscribed(filter) => visit(&Event::Unsubscribed { filter }),
            Change::Queued(number) => visit(&Event::Queued(&delivery(*number))),
            Change::Dropped(index) => visit(&Event::Dropped { index: *index }),
            Change::Sent(id) => visit(&Event::Sent { packet_id: *id }),
            Change::Received(id) => visit(&Event::Received { packet_id: *id }),
            Change::Acknowledged(id) => visit(&Event::Acknowledged { packet_id: *id }),
            Change::Held(id, telemetry, ordinal) => visit(&Event::Held {
                packet_id: *id,
                telemetry: *telemetry,
                ordinal: *ordinal,
            }),
            Change::Distributed(id, ordinal) => visit(&Event::Distributed {
                packet_id: *id,
                ordinal: *ordinal,
            }),
            Change::Released(id) => visit(&Event::Released { packet_id: *id }),
            Change::Will(Some((number, delay_seconds))) => visit(&Event::WillArmed {
                message: &message(*number),
                delay_seconds: *delay_seconds,
                content_type: content_type(*number),
            }),
            Change::Will(None) => visit(&Event::WillCleared),
            Change::SnapshotBegun(filter) => visit(&Event::SnapshotBegun { filter }),
            Change::SnapshotSent(filter) => visit(&Event::SnapshotSent { filter }),
            Change::Taken(id, number) => visit(&Event::Taken {
                packet_id: *id,
                delivery: &delivery(*number),
            }),
        }
    }
}
