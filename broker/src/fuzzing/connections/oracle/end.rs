//! What must be true between two steps, when nobody has anything to do, and at the end.
//!
//! Owns: what the gate's own account is held against. Never: changes the gate.

use std::collections::HashSet;
use std::sync::Arc;

use super::messages::Key;
use super::session::Session;
use super::{Oracle, is_named, is_telemetry};

impl Oracle {
    /// The gate's account of itself is that of its sessions.
    pub(in super::super) fn check_account(&mut self) {
        let (mut sessions, mut kept, mut subscriptions) = (0, 0, 0);
        let mut attached = HashSet::new();
        self.gate.registry.for_each(|session| {
            sessions += 1;
            match session.visit() {
                Some(_) => drop(attached.insert(session.client_id.clone())),
                None => kept += 1,
            }
            subscriptions += session.subscription_count() as u64;
        });
        self.notice_departures(&attached);
        let stats = &self.gate.stats;
        self.is_unsaved |= stats.sessions_unsaved_changes.get() > 0;
        assert_eq!(
            (sessions, kept, subscriptions),
            (
                stats.sessions.get(),
                stats.sessions_kept.get(),
                stats.subscriptions.get()
            ),
            "step {}: sessions, kept sessions, subscriptions",
            self.step
        );
        let retained = self.gate.retained.len();
        assert!(retained <= self.limits.retained_messages);
        let router = self.gate.router.stats();
        assert_eq!(router.failures, 0);
    }

    /// A connection that waits for its last word to be taken has let go of its session before.
    fn notice_departures(&mut self, attached: &HashSet<Arc<str>>) {
        let gone = self.sessions.iter().filter(|(client_id, session)| {
            session.line.is_some() && is_named(client_id) && !attached.contains(client_id.as_str())
        });
        let gone: Vec<String> = gone.map(|(client_id, _)| client_id.clone()).collect();
        gone.iter().for_each(|client_id| self.part(client_id));
    }

    /// Whoever is connected has all that it was promised, after it has taken all that came.
    pub(in super::super) fn check_promises(&self) {
        if self.dropped() > 0 || self.is_unsaved {
            return;
        }
        let is_judged = |session: &Session| {
            let is_whole = session.line.is_some_and(|line| self.is_clean(line));
            is_whole && !session.is_sloppy
        };
        for (key, message) in self.messages.iter() {
            for (client_id, number) in message.missing() {
                let session = self.sessions.get(client_id);
                let is_there =
                    session.is_some_and(|session| session.number == *number && is_judged(session));
                assert!(!is_there, "`{client_id}` never got {}", name(key));
            }
        }
        for (client_id, session) in &self.sessions {
            let in_flight = &session.in_flight;
            assert!(
                in_flight.is_empty() || !is_judged(session),
                "`{client_id}` waits for {in_flight:?}"
            );
        }
    }

    /// No record that nobody sent, and none twice for one exchange.
    pub(in super::super) fn check_journal(&self) {
        for (key, message) in self.messages.iter() {
            let (_, records) = self.journalled(None, key);
            assert!(
                records <= message.exchanges || self.is_unsaved,
                "{} is in the journal {records} times, and was sent {} times",
                name(key),
                message.exchanges
            );
            assert!(records == 0 || (is_telemetry(&key.0) && message.is_permitted));
        }
        let (_, all) = self.journal.count(|_| true);
        let journalled = self.past.journalled + self.gate.stats.journalled.get();
        assert_eq!(all as u64, journalled);
    }

    /// What is retained was published to be.
    pub(in super::super) fn check_retained(&self) {
        self.gate.retained.matching("#", &mut |retained| {
            let key = (retained.topic.to_string(), retained.payload.to_vec());
            let message = self.messages.get(&key);
            let fits =
                message.is_some_and(|message| message.asked_to_retain && message.is_permitted);
            assert!(fits, "{} is retained", name(&key));
        });
    }

    /// Nothing of a client is left once all are gone and the time of their sessions is over.
    pub(in super::super) fn check_empty(&self) {
        let stats = &self.gate.stats;
        let left = [
            ("connections", stats.connections.get()),
            ("sessions", stats.sessions.get()),
            ("kept sessions", stats.sessions_kept.get()),
            ("slow sessions", stats.sessions_slow.get()),
            ("saved sessions", stats.sessions_saved.get()),
            ("subscriptions", stats.subscriptions.get()),
        ];
        for (what, count) in left {
            assert_eq!(count, 0, "{what} are left");
        }
        let mut sessions = 0;
        self.gate.registry.for_each(|_| sessions += 1);
        assert_eq!(sessions, 0, "the registry is empty");
    }

    /// How many copies of the message the client's session has had.
    pub(in super::super) fn copies(&self, client_id: &str, key: &Key) -> usize {
        let (Some(session), Some(message)) = (self.sessions.get(client_id), self.messages.get(key))
        else {
            return 0;
        };
        message.copies(&(client_id.to_owned(), session.number))
    }

    /// The sessions that may still be kept: client ids and users.
    pub(in super::super) fn absent(&self) -> Vec<(String, String)> {
        let kept = self.sessions.iter().filter(|(client_id, session)| {
            is_named(client_id) && session.line.is_none() && session.expiry_max > 0
        });
        let mut kept: Vec<_> = kept
            .map(|(client_id, session)| (client_id.clone(), session.user.clone()))
            .collect();
        kept.sort();
        kept
    }

    /// Whether everything that was asked for on the line has been answered.
    pub(in super::super) fn is_answered(&self, line: usize) -> bool {
        match &self.lines[line].stage {
            super::Stage::Connected(connected) => {
                connected.answers.is_empty()
                    && connected.subacks.is_empty()
                    && connected.unsubacks.is_empty()
                    && connected.pings == 0
            }
            _ => false,
        }
    }
}

fn name((topic, payload): &Key) -> String {
    let start = &payload[..payload.len().min(40)];
    format!("`{topic}` with `{}`", String::from_utf8_lossy(start))
}
