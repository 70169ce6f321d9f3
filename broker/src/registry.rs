//! The sessions that are connected, by client id.
//!
//! Owns: the rule that a client id is connected once: a newcomer takes over. Never: touches subscriptions; each connection
//! takes its own away when it ends.

use std::sync::{Arc, Mutex};

use foldhash::HashMap;

use crate::lock::lock;
use crate::packet::ReasonCode;
use crate::session::Session;

#[derive(Default)]
pub(crate) struct Registry {
    by_client: Mutex<HashMap<Box<str>, Arc<Session>>>,
}

impl Registry {
    /// Enters the session; one that was connected under the same client id is told that it was taken over.
    pub(crate) fn enter(&self, session: &Arc<Session>) {
        let before = lock(&self.by_client).insert(session.client_id.clone(), Arc::clone(session));
        if let Some(before) = before {
            before.close(ReasonCode::SessionTakenOver);
        }
    }

    /// Removes the session unless its client id belongs to a newer one by now.
    pub(crate) fn leave(&self, session: &Session) {
        let mut by_client = lock(&self.by_client);
        if by_client
            .get(&session.client_id)
            .is_some_and(|held| held.number == session.number)
        {
            by_client.remove(&session.client_id);
        }
    }

    /// Ends every session that has been silent for too long.
    pub(crate) fn close_overdue(&self, seconds: u32) {
        self.close_where(ReasonCode::KeepAliveTimeout, |session| {
            session.is_overdue(seconds)
        });
    }

    /// Ends every session whose credentials no longer hold.
    pub(crate) fn close_expired(&self, unix_seconds: u64) {
        self.close_where(ReasonCode::NotAuthorized, |session| {
            session.identity.has_expired(unix_seconds)
        });
    }

    pub(crate) fn close_all(&self, reason: ReasonCode) {
        self.close_where(reason, |_| true);
    }

    /// Ends the sessions that are meant; how many there were.
    pub(crate) fn close_where(
        &self,
        reason: ReasonCode,
        is_meant: impl Fn(&Session) -> bool,
    ) -> usize {
        // Collected first: `close` wakes tasks, which must not happen under this lock.
        let meant: Vec<_> = lock(&self.by_client)
            .values()
            .filter(|session| is_meant(session))
            .cloned()
            .collect();
        for session in &meant {
            session.close(reason);
        }
        meant.len()
    }
}
