//! Snapshots among the messages of a queue.
//!
//! Owns: where a snapshot waits. Never: reads the retained store. Invariant: a filter has one
//! snapshot at most.

use std::sync::Arc;

use super::super::snapshot::{Found, Search, Snapshot};
use super::{Next, Outbound, Source};
use crate::session::queue::Waiting;
use crate::session_log::Event;
use access::Guard;
use mqtt::Qos;

impl Outbound {
    /// Lets the snapshot wait for what is queued before it. One of the same filter begins anew with
    /// it.
    pub(in crate::session) fn begin_snapshot(&mut self, mut snapshot: Box<Snapshot>) {
        self.end_snapshot(snapshot.filter());
        if !self.state.queue.is_empty() {
            snapshot.close_page();
        }
        self.change(&Event::SnapshotBegun {
            filter: snapshot.filter(),
        });
        self.state.queue.push(Waiting::Snapshot(snapshot));
    }

    /// Takes a snapshot in again that a restart has interrupted: before everything, which is newer.
    pub(in crate::session) fn restore_snapshot(&mut self, snapshot: Snapshot) {
        let snapshot = Waiting::Snapshot(Box::new(snapshot));
        self.state.queue.push_front(snapshot);
    }

    /// The filter's snapshot, if there is one, goes no further.
    pub(in crate::session) fn end_snapshot(&mut self, filter: &str) {
        if self.state.snapshots.contains(filter) {
            let stays = |snapshot: &mut Snapshot| **snapshot.filter() != *filter;
            self.state.queue.retain_snapshots(stays);
        }
    }

    /// The filter's snapshot, if there is one, brings what this guard admits.
    pub(in crate::session) fn guard_snapshot(&mut self, filter: &str, guard: Option<Arc<Guard>>) {
        if !self.state.snapshots.contains(filter) {
            return;
        }
        let mut snapshots = self.state.queue.snapshots_mut();
        if let Some(snapshot) = snapshots.find(|snapshot| **snapshot.filter() == *filter) {
            snapshot.set_guard(guard);
        }
    }

    /// The page that `pop` has asked for; its snapshot may have ended meanwhile.
    pub(in crate::session) fn add_page(&mut self, search: &Search, found: Found) {
        if let Some(Waiting::Snapshot(snapshot)) = self.state.queue.front_mut()
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
