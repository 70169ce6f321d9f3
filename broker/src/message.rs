//! A message between the moment it was received and the last subscriber's copy.
//!
//! Owns: what a subscriber may learn about a publish. Never: changes; it is shared by every queue
//! it waits in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::exchange::Origin;
use mqtt::Qos;

/// One publish, on its way to those who subscribe to its topic.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The topic as the publisher wrote it (an alias resolved); valid, without wildcards.
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    /// The QoS it was published with; a copy is sent with this or the subscription's, whichever is
    /// lower.
    pub(crate) qos: Qos,
    /// The publish's RETAIN flag, passed on where a subscription asks for "retain as published".
    pub(crate) retain: bool,
    /// MQTT 5 properties that subscribers get unchanged, encoded one after the other without a
    /// length; empty when there are none or the publisher speaks 3.1.1.
    pub(crate) properties: Bytes,
    /// The message expiry interval in seconds, as published.
    pub(crate) expiry_seconds: Option<u32>,
    /// The number of the publishing session, for "no local"; 0 is Millrace itself.
    pub(crate) publisher: u64,
    /// Microseconds since 1970, UTC.
    pub(crate) received_at: i64,
    /// The exchange by which it came in, where its copies depend on that.
    pub(crate) origin: Origin,
    /// How many queues and windows hold it.
    pub(crate) holders: Holders,
}

/// In how many places a message waits. A copy of a message waits nowhere.
#[derive(Debug, Default)]
pub(crate) struct Holders(AtomicU32);

/// The publisher number of messages that Millrace itself publishes; sessions count from 1.
pub(crate) const OWN_PUBLISHER: u64 = 0;
/// What a message costs beside its topic, payload and properties: the shared frame, and the slack
/// of its allocations.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 192;

/// The message outlived its expiry interval and must not be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message expired")]
pub(crate) struct Expired;

impl Message {
    /// One that Millrace itself publishes now, in microseconds since 1970: without properties, and
    /// it never expires.
    pub(crate) fn own(
        topic: Arc<str>,
        payload: Bytes,
        qos: Qos,
        retain: bool,
        now: i64,
    ) -> Message {
        Message {
            topic,
            payload,
            qos,
            retain,
            properties: Bytes::new(),
            expiry_seconds: None,
            publisher: OWN_PUBLISHER,
            received_at: now,
            origin: Origin::default(),
            holders: Holders::default(),
        }
    }

    /// The expiry interval that a copy sent at `now` (microseconds since 1970) carries: the
    /// published one less the whole seconds it waited here [MQTT-3.3.2-6]; `None` when it never
    /// expires.
    pub(crate) fn remaining_expiry(&self, now: i64) -> Result<Option<u32>, Expired> {
        let Some(seconds) = self.expiry_seconds else {
            return Ok(None);
        };
        // A clock that was set back makes the message younger, never older.
        let waited_micros = now.saturating_sub(self.received_at.max(0)).max(0);
        let waited_seconds = waited_micros.unsigned_abs() / 1_000_000;
        match u64::from(seconds).checked_sub(waited_seconds) {
            None | Some(0) => Err(Expired),
            // It is no more than `seconds`, which is a u32.
            Some(remaining) => Ok(Some(remaining.try_into().unwrap_or(seconds))),
        }
    }

    /// What it takes in memory, however many wait for it.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len() + MESSAGE_OVERHEAD_BYTES
    }
}

impl Holders {
    /// One more place; true when nobody had it.
    pub(crate) fn enter(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// One place less; true when nobody has it any more.
    pub(crate) fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Clone for Holders {
    fn clone(&self) -> Holders {
        Holders::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(expiry_seconds: Option<u32>) -> Message {
        Message {
            topic: "a/b".into(),
            payload: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Bytes::new(),
            expiry_seconds,
            publisher: 1,
            received_at: 1_000_000_000,
            origin: Origin::default(),
            holders: Holders::default(),
        }
    }

    fn at(seconds: i64, millis: i64) -> i64 {
        seconds * 1_000_000 + millis * 1_000
    }

    #[test]
    fn the_expiry_interval_shrinks_by_the_time_spent_here() {
        assert_eq!(message(None).remaining_expiry(at(9_999_999, 0)), Ok(None));
        assert_eq!(
            message(Some(10)).remaining_expiry(at(1_000, 0)),
            Ok(Some(10))
        );
        assert_eq!(
            message(Some(10)).remaining_expiry(at(1_000, 900)),
            Ok(Some(10))
        );
        assert_eq!(
            message(Some(10)).remaining_expiry(at(1_009, 999)),
            Ok(Some(1))
        );
        assert_eq!(
            message(Some(10)).remaining_expiry(at(1_010, 0)),
            Err(Expired)
        );
        assert_eq!(
            message(Some(0)).remaining_expiry(at(1_000, 0)),
            Err(Expired)
        );
    }

    #[test]
    fn a_clock_set_back_expires_nothing() {
        assert_eq!(message(Some(10)).remaining_expiry(at(900, 0)), Ok(Some(10)));
    }
}
