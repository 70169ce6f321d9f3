//! A message between the moment it was received and the last subscriber's copy.
//!
//! Owns: what a subscriber may learn about a publish. Never: changes; it is shared by every queue
//! it waits in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::budget::Holders;
use crate::exchange::Origin;
use crate::gate::{OWN_PUBLISHER, now_micros};
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
    /// Where it waits.
    pub(crate) holders: Holders,
}

/// The message outlived its expiry interval and must not be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message expired")]
pub(crate) struct Expired;

impl Message {
    /// One that Millrace itself publishes, now: without properties, and it never expires.
    pub(crate) fn own(topic: Arc<str>, payload: Bytes, qos: Qos, retain: bool) -> Message {
        Message {
            topic,
            payload,
            qos,
            retain,
            properties: Bytes::new(),
            expiry_seconds: None,
            publisher: OWN_PUBLISHER,
            received_at: now_micros(),
            origin: Origin::default(),
            holders: Holders::default(),
        }
    }

    /// The expiry interval that a copy sent at `now` carries: the published one less the whole
    /// seconds it waited here [MQTT-3.3.2-6]; `None` when it never expires.
    pub(crate) fn remaining_expiry(&self, now: SystemTime) -> Result<Option<u32>, Expired> {
        let Some(seconds) = self.expiry_seconds else {
            return Ok(None);
        };
        let received = Duration::from_micros(self.received_at.max(0).unsigned_abs());
        // A clock that was set back makes the message younger, never older.
        let waited = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(Duration::ZERO, |now| now.saturating_sub(received));
        match u64::from(seconds).checked_sub(waited.as_secs()) {
            None | Some(0) => Err(Expired),
            // It is no more than `seconds`, which is a u32.
            Some(remaining) => Ok(Some(remaining.try_into().unwrap_or(seconds))),
        }
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

    fn at(seconds: u64, millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)
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
