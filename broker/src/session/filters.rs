//! A session's subscriptions.
//!
//! Owns: which filters the session holds. Invariant: the table of subscriptions names this session
//! for exactly these filters, whoever changes them: both change under the session's lock.

use std::sync::Arc;

use foldhash::HashMap;

use super::{Session, Snapshot};
use crate::delivery::Options;
use crate::gate::Gate;
use crate::lock::lock;
use crate::session_log::Event;
use crate::subscriptions::Membership;
use access::Guard;
use mqtt::topic::Filter;

/// A subscription as the table of subscriptions has it; its options are in the session's state.
pub(super) struct Held {
    pub(super) membership: Membership,
    /// Rules deny a part of what it brings.
    pub(super) guarded: bool,
}

#[derive(Default)]
pub(super) struct Filters {
    /// By the filter as the client wrote it.
    pub(super) by_name: HashMap<Box<str>, Held>,
    /// Bytes of all names together.
    bytes: usize,
}

impl Filters {
    fn insert(&mut self, name: &str, held: Held) {
        self.bytes += name.len();
        self.by_name.insert(name.into(), held);
    }

    fn remove(&mut self, name: &str) -> Option<Held> {
        let held = self.by_name.remove(name)?;
        self.bytes -= name.len();
        Some(held)
    }

    /// Removes those that are wanted.
    pub(super) fn take(
        &mut self,
        mut wanted: impl FnMut(&str, &mut Held) -> bool,
    ) -> Vec<(Box<str>, Held)> {
        let taken = self.by_name.extract_if(|name, held| wanted(name, held));
        let taken: Vec<_> = taken.collect();
        self.bytes -= taken.iter().map(|(name, _)| name.len()).sum::<usize>();
        taken
    }
}

/// What one session may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterLimits {
    pub(crate) count: usize,
    /// Bytes of the filters as their client wrote them.
    pub(crate) bytes: usize,
}

impl Session {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn subscription_count(&self) -> usize {
        lock(&self.filters).by_name.len()
    }

    /// Whether the session holds the filter, or may hold it beside those it has.
    pub(crate) fn has_room_for_filter(&self, name: &str, limits: FilterLimits) -> bool {
        let filters = lock(&self.filters);
        let has_room =
            filters.by_name.len() < limits.count && filters.bytes + name.len() <= limits.bytes;
        has_room || filters.by_name.contains_key(name)
    }

    /// Subscribes to the filter or replaces the options; true when it is new. `name` is the filter
    /// as the client wrote it, with the group of a shared subscription.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        gate: &Gate,
        name: &str,
        filter: &Filter<'_>,
        options: Options,
        guard: Option<Arc<Guard>>,
    ) -> bool {
        let mut filters = lock(&self.filters);
        self.lock_outbound().change(&Event::Subscribed {
            filter: name,
            options,
        });
        self.enter(gate, &mut filters, name, filter, options, guard)
    }

    /// As `subscribe`, of one that the log knows already; `access::revoke` sees to what rules deny.
    pub(super) fn enter_filter(
        self: &Arc<Self>,
        gate: &Gate,
        name: &str,
        filter: &Filter<'_>,
        options: Options,
    ) {
        self.enter(gate, &mut lock(&self.filters), name, filter, options, None);
    }

    fn enter(
        self: &Arc<Self>,
        gate: &Gate,
        filters: &mut Filters,
        name: &str,
        filter: &Filter<'_>,
        options: Options,
        guard: Option<Arc<Guard>>,
    ) -> bool {
        let guarded = guard.is_some();
        let subscriptions = &gate.subscriptions;
        let (membership, new) =
            subscriptions.subscribe(&*gate.router, filter, self, options, guard);
        match filters.by_name.get_mut(name) {
            Some(held) => held.guarded = guarded,
            None => {
                let held = Held {
                    membership,
                    guarded,
                };
                filters.insert(name, held);
                gate.stats.subscriptions.add(1);
            }
        }
        new
    }

    /// From now on the subscription brings what this guard admits.
    pub(crate) fn set_guard(&self, name: &str, guard: Option<Arc<Guard>>) {
        if let Some(held) = lock(&self.filters).by_name.get_mut(name) {
            self.guard_held(name, held, guard);
        }
    }

    pub(super) fn guard_held(&self, name: &str, held: &mut Held, guard: Option<Arc<Guard>>) {
        if held.guarded || guard.is_some() {
            held.guarded = guard.is_some();
            held.membership.set_guard(self.number, guard.clone());
            self.lock_outbound().guard_snapshot(name, guard);
        }
    }

    /// False when it was not subscribed.
    pub(crate) fn unsubscribe(&self, gate: &Gate, filter: &str) -> bool {
        let mut filters = lock(&self.filters);
        match filters.remove(filter) {
            Some(held) => {
                self.leave_filter(gate, filter, &held);
                true
            }
            None => false,
        }
    }

    /// Ends every subscription: the session is over.
    pub(super) fn drop_subscriptions(&self, gate: &Gate) {
        let mut filters = lock(&self.filters);
        for (name, held) in filters.take(|_, _| true) {
            self.leave_filter(gate, &name, &held);
        }
    }

    /// Queues the retained messages of a subscription, for the connection's task; not if the
    /// subscription has ended meanwhile.
    pub(crate) fn enqueue_snapshot(&self, snapshot: Snapshot) {
        let filters = lock(&self.filters);
        if filters.by_name.contains_key(&**snapshot.filter()) {
            self.lock_outbound().begin_snapshot(Box::new(snapshot));
        }
    }

    /// Nothing new comes by the filter any more, and no retained message; other messages of it that
    /// wait already stay.
    pub(super) fn leave_filter(&self, gate: &Gate, name: &str, held: &Held) {
        {
            let mut outbound = self.lock_outbound();
            outbound.end_snapshot(name);
            outbound.change(&Event::Unsubscribed { filter: name });
        }
        gate.subscriptions
            .unsubscribe(&*gate.router, &held.membership, self.number);
        gate.stats.subscriptions.subtract(1);
    }
}
