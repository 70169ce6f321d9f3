//! Snapshots among the messages of a queue.
//!
//! Owns: where a snapshot waits. Never: reads the retained store. Invariant: a filter has one
//! snapshot at most.

use std::sync::Arc;

use super::super::snapshot::{Found, Search, Snapshot};
use super::{Next, Outbound, Source, Waiting};
use crate::access::Guard;
use crate::session::Scribe;
use crate::session_log::Event;
use mqtt::Qos;

impl Outbound {
    /// Lets the snapshot wait for what is queued before it. One of the same filter begins anew with
    /// it.
    pub(in crate::session) fn begin_snapshot(
        &mut self,
        mut snapshot: Box<Snapshot>,
        scribe: Scribe<'_>,
    ) {
        self.end_snapshot(snapshot.filter());
        if !self.queue.is_empty() {
            snapshot.close_page();
        }
        scribe.tell(&Event::SnapshotBegun {
            filter: snapshot.filter(),
        });
        self.snapshots += 1;
        self.queue.push_back(Waiting::Snapshot(snapshot));
    }

    /// Takes a snapshot in again that a restart has interrupted: before everything, which is newer.
    pub(in crate::session) fn restore_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshots += 1;
        self.queue.push_front(Waiting::Snapshot(Box::new(snapshot)));
    }

    /// The filter's snapshot, if there is one, goes no further.
    pub(in crate::session) fn end_snapshot(&mut self, filter: &str) {
        if self.snapshots == 0 {
            return;
        }
        let before = self.queue.len();
        self.queue.retain(|waiting| match waiting {
            Waiting::Snapshot(snapshot) => **snapshot.filter() != *filter,
            Waiting::Message(_) => true,
        });
        self.snapshots -= before - self.queue.len();
        self.tidy();
    }

    /// The filter's snapshot, if there is one, brings what this guard admits.
    pub(in crate::session) fn guard_snapshot(&mut self, filter: &str, guard: Option<Arc<Guard>>) {
        if self.snapshots == 0 {
            return;
        }
        let found = self.queue.iter_mut().find_map(|waiting| match waiting {
            Waiting::Snapshot(snapshot) if **snapshot.filter() == *filter => Some(snapshot),
            _ => None,
        });
        if let Some(snapshot) = found {
            snapshot.set_guard(guard);
        }
    }

    /// The filters whose snapshots are not through, in the queue's order.
    pub(in crate::session) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.queue.iter().filter_map(|waiting| match waiting {
            Waiting::Snapshot(snapshot) => Some(&**snapshot.filter()),
            Waiting::Message(_) => None,
        })
    }

    /// The page that `pop` has asked for; its snapshot may have ended meanwhile.
    pub(in crate::session) fn add_page(&mut self, search: &Search, found: Found) {
        if let Some(Waiting::Snapshot(snapshot)) = self.queue.front_mut()
            && Arc::ptr_eq(snapshot.filter(), &search.filter)
        {
            snapshot.turn(found);
        }
    }
}

impl Snapshot {
    /// What comes next of one that is not over; nothing that may not leave now.
    pub(super) fn next(&mut self, may_leave: impl Fn(Qos) -> bool) -> Next {
        match self.next_qos() {
            Some(qos) if !may_leave(qos) => Next::Nothing,
            _ => match self.take() {
                Some(delivery) => Next::Delivery(delivery, Source::Snapshot),
                None => Next::Page(self.search().clone()),
            },
        }
    }
}
