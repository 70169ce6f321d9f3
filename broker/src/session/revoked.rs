//! Subscriptions that a rule takes back from a session.
//!
//! Owns: which of the waiting messages go with them. Never: touches what is in flight, of which the
//! client may know. Invariant: what a remaining subscription wants as well stays.

use std::sync::Arc;

use foldhash::HashSet;

use super::Session;
use super::filters::{Filters, Held};
use crate::delivery::Delivery;
use crate::fanout;
use crate::gate::Gate;
use crate::lock::lock;
use crate::subscriptions::{Group, Kept};
use access::{Grant, Guard};
use mqtt::topic;

/// What a session has lost.
struct Revoked {
    filters: Vec<Box<str>>,
    groups: Vec<Arc<Group>>,
}

impl Session {
    /// Ends every subscription whose filter (as the client wrote it) is denied, from whatever task;
    /// the number of them. What waits for the client because of them alone is not sent any more,
    /// nor what is denied of those that remain. The client is not told: MQTT has no word for it.
    pub(crate) fn revoke_subscriptions(
        &self,
        gate: &Gate,
        mut grant: impl FnMut(&str) -> Grant,
    ) -> usize {
        let mut filters = lock(&self.filters);
        let mut guarded = None;
        let gone = filters.take(|name, held| {
            let grant = grant(name);
            if matches!(grant, Grant::Denied) {
                return true;
            }
            let guard = grant.guard();
            if guard.is_some() {
                guarded.clone_from(&guard);
            }
            self.guard_held(name, held, guard);
            false
        });
        for (name, held) in &gone {
            self.leave_filter(gate, name, held);
        }
        let count = gone.len();
        if count > 0 {
            let revoked = Revoked::of(gone);
            let dropped = self.drop_waiting(&revoked, &filters);
            gate.stats.dropped_revoked.add(dropped as u64);
            drop(filters);
            self.give_up_shared(gate, &revoked);
            // What waited behind a message that is gone may be sent.
            self.lock_outbound().wake();
        } else {
            drop(filters);
        }
        if let Some(guard) = guarded {
            self.drop_denied(gate, &guard);
        }
        count
    }

    /// Takes out what waits of topics that are denied now, whichever subscription brought it: none
    /// may bring it any more.
    fn drop_denied(&self, gate: &Gate, guard: &Guard) {
        let mut topics: HashSet<Arc<str>> = {
            let outbound = self.lock_outbound();
            let waiting = outbound.deliveries();
            waiting
                .map(|delivery| Arc::clone(&delivery.message.topic))
                .collect()
        };
        topics.retain(|topic| !guard.admits(topic));
        if topics.is_empty() {
            return;
        }
        let is_meant = |delivery: &Delivery| topics.contains(&delivery.message.topic);
        let taken = {
            let mut outbound = self.lock_outbound();
            outbound.take_out(is_meant)
        };
        let (shared, own): (Vec<_>, Vec<_>) = taken
            .into_iter()
            .partition(|delivery| delivery.share.is_some());
        gate.stats.dropped_revoked.add(own.len() as u64);
        fanout::hand_on(shared, self, Kept::No, &gate.stats);
        self.lock_outbound().wake();
    }

    /// How many messages are not sent any more.
    fn drop_waiting(&self, revoked: &Revoked, remaining: &Filters) -> usize {
        // Nothing comes behind these by the revoked filters. Which of them goes is found without
        // the lock that a fan-out waits for: it takes long when the client has many filters.
        let mut topics: HashSet<Arc<str>> = {
            let outbound = self.lock_outbound();
            let own = outbound
                .deliveries()
                .filter(|delivery| delivery.share.is_none());
            own.map(|delivery| Arc::clone(&delivery.message.topic))
                .collect()
        };
        topics.retain(|topic| revoked.brings(topic));
        retain_unwanted(&mut topics, remaining);
        let is_meant = |delivery: &Delivery| {
            delivery.share.is_none() && topics.contains(&delivery.message.topic)
        };
        let mut outbound = self.lock_outbound();
        outbound.take_out(is_meant).len()
    }

    /// Gives the messages that this session was chosen for to other members of their groups.
    fn give_up_shared(&self, gate: &Gate, revoked: &Revoked) {
        if revoked.groups.is_empty() {
            return;
        }
        let is_meant = |delivery: &Delivery| {
            let share = delivery.share.as_ref();
            share.is_some_and(|share| revoked.groups.iter().any(|group| Arc::ptr_eq(group, share)))
        };
        // Out of this queue first: its connection may be sending.
        let given_up = {
            let mut outbound = self.lock_outbound();
            outbound.take_out(is_meant)
        };
        fanout::hand_on(given_up, self, Kept::No, &gate.stats);
    }
}

/// Leaves the topics that none of the filters brings.
fn retain_unwanted(topics: &mut HashSet<Arc<str>>, remaining: &Filters) {
    let wildcards: Vec<_> = remaining
        .by_name
        .keys()
        .filter(|name| is_wildcard_of_its_own(name))
        .collect();
    topics.retain(|topic| {
        let is_held = remaining.by_name.contains_key(&**topic);
        !is_held && !wildcards.iter().any(|filter| topic::matches(filter, topic))
    });
}

/// A shared one brings nothing that is not marked as such.
fn is_wildcard_of_its_own(name: &str) -> bool {
    topic::is_wildcard(name) && !name.starts_with(topic::SHARE_PREFIX)
}

impl Revoked {
    fn of(gone: Vec<(Box<str>, Held)>) -> Revoked {
        let mut revoked = Revoked {
            filters: Vec::new(),
            groups: Vec::new(),
        };
        for (name, held) in gone {
            match held.membership.into_group() {
                Some(group) => revoked.groups.push(group),
                None => revoked.filters.push(name),
            }
        }
        revoked
    }

    fn brings(&self, topic: &str) -> bool {
        self.filters
            .iter()
            .any(|filter| topic::matches(filter, topic))
    }
}
