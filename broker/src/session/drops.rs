//! What did not fit into a session's queue.
//!
//! Owns: how much that was, and whether it goes on. Never: logs or counts for the gate, since it
//! changes under the session's lock. Invariant: a spell of dropping begins once and ends once,
//! however many messages it takes.

use std::time::Instant;

use super::Session;
use crate::limits::Seldom;
use crate::stats::Stats;

/// A client can fall behind and catch up as often as it likes, and there may be many: `$SYS` names
/// them all.
static DROPPING: Seldom = Seldom::new();
static CAUGHT_UP: Seldom = Seldom::new();
/// Bytes of a client id that are logged; it may have 65,535.
const SHOWN_BYTES_MAX: usize = 128;

/// A session that loses messages because its client does not take them fast enough, or stays away
/// for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowSession {
    pub client_id: Box<str>,
    pub connected: bool,
    pub queued_messages: usize,
    /// Topics, payloads and properties, queued and in flight.
    pub queued_bytes: usize,
    /// Messages dropped since the session began.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Drops {
    total: u64,
    /// `total` when this spell began.
    before: u64,
    dropping: bool,
    /// It began, and nobody was told yet.
    begun: bool,
}

impl Drops {
    /// True when it is the first of a spell.
    pub(super) fn add(&mut self) -> bool {
        let first = !self.dropping;
        if first {
            self.dropping = true;
            self.begun = true;
            self.before = self.total;
        }
        self.total += 1;
        first
    }

    /// Whether a spell has begun since this was last asked.
    pub(super) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }

    /// The client has caught up: the number of messages this spell cost it, if there was one.
    pub(super) fn end(&mut self) -> Option<u64> {
        std::mem::take(&mut self.dropping).then(|| self.total - self.before)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.dropping
    }
}

impl Session {
    /// The beginning of the client id, as much as a line of the log has room for.
    pub(crate) fn shown_id(&self) -> &str {
        shown(&self.client_id)
    }

    pub(super) fn tell_dropping(&self) {
        let Some(silenced) = DROPPING.may_tell(Instant::now()) else {
            return;
        };
        tracing::warn!(
            client_id = self.shown_id(),
            silenced,
            "a session's queue is full; messages for it are dropped until its client has caught up"
        );
    }

    pub(crate) fn tell_caught_up(&self, dropped: u64, stats: &Stats) {
        stats.sessions_slow.subtract(1);
        let Some(silenced) = CAUGHT_UP.may_tell(Instant::now()) else {
            return;
        };
        tracing::info!(
            client_id = self.shown_id(),
            dropped,
            silenced,
            "a slow client has caught up with its queue"
        );
    }

    /// An account of the session if messages for it are being dropped.
    pub(crate) fn slow(&self) -> Option<SlowSession> {
        let outbound = self.lock_outbound();
        outbound.drops.is_dropping().then(|| SlowSession {
            client_id: (*self.client_id).into(),
            connected: outbound.is_connected(),
            queued_messages: outbound.queued(),
            queued_bytes: outbound.bytes(),
            dropped: outbound.drops.total(),
        })
    }
}

fn shown(client_id: &str) -> &str {
    &client_id[..client_id.floor_char_boundary(SHOWN_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_client_id_the_beginning_is_shown() {
        assert_eq!(shown("press-1"), "press-1");
        assert_eq!(shown(&"x".repeat(65_535)), "x".repeat(SHOWN_BYTES_MAX));
        assert_eq!(shown(&"日".repeat(1_000)), "日".repeat(42));
    }

    #[test]
    fn a_spell_begins_once_and_ends_once_with_its_own_number() {
        let mut drops = Drops::default();
        assert_eq!((drops.take_begun(), drops.end()), (false, None));
        assert!(drops.add());
        assert!(drops.take_begun());
        assert!(!drops.add());
        assert!(!drops.take_begun());
        assert_eq!(drops.end(), Some(2));
        assert_eq!(drops.end(), None);
        assert!(drops.add());
        assert!(drops.take_begun());
        assert_eq!((drops.end(), drops.total()), (Some(1), 3));
    }
}
