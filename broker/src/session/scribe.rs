//! A session's word to the log of kept sessions.
//!
//! Owns: whether the log is told. Never: decides what happens. Invariant: events are told under the
//! lock of what they change, so the log has them in the order they happened.

use std::task::Waker;

use journal::Position;

use crate::session_log::{Event, SessionLog};

/// Tells the log, if it knows the session.
#[derive(Clone, Copy)]
pub(crate) struct Scribe<'a> {
    pub(super) log: Option<&'a SessionLog>,
    pub(super) client_id: &'a str,
    /// Woken when what was told is durable.
    pub(super) waker: &'a Waker,
}

impl Scribe<'_> {
    /// The position from which on the event is durable; `Position::ZERO` when there is nothing to
    /// wait for.
    pub(super) fn tell(&self, event: &Event<'_>) -> Position {
        match self.log {
            Some(log) => log.write_one(self.client_id, event, self.waker),
            None => Position::ZERO,
        }
    }
}
