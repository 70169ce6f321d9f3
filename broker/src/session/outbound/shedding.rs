//! What a session drops of what it has, because all sessions together have too much.
//!
//! Owns: the order in which things go: the newest first, and of what is in flight only when nothing
//! is queued. Never: counts for the gate. Invariant: the exchanges that are left go on as their
//! clients expect.

use super::{Outbound, Waiting};
use crate::budget::Budget;
use crate::session::load::Load;
use crate::session::{Scribe, Stage};
use crate::session_log::Event;
use mqtt::Qos;

impl Outbound {
    /// Its client leaves: what was given to it beyond the budget, because it was connected and kept
    /// up, does not stay with a session that may wait for ever. How many messages went.
    pub(in crate::session) fn shed(&mut self, budget: &Budget, scribe: Scribe<'_>) -> usize {
        let is_enough = |load: &Load| !budget.is_exceeded(&load.ledger);
        self.shed_queued(is_enough, scribe) + self.shed_in_flight(is_enough, scribe)
    }

    /// Drops the newest of what is queued until it is enough; how many messages went.
    pub(in crate::session) fn shed_queued(
        &mut self,
        is_enough: impl Fn(&Load) -> bool,
        scribe: Scribe<'_>,
    ) -> usize {
        let mut left = self.queue.len();
        while left > 0 && !is_enough(&self.load) {
            left -= 1;
            if let Waiting::Message(delivery) = &self.queue[left] {
                self.load.leave_queue(delivery);
            }
        }
        if left == self.queue.len() {
            return 0;
        }
        let tail = self.queue.split_off(left);
        // The log counts without QoS 0; each that goes has the place of the one before it.
        let saved = |qos| qos != Qos::AtMostOnce;
        let index = self
            .deliveries()
            .filter(|delivery| saved(delivery.qos))
            .count();
        let mut dropped = 0;
        for waiting in tail {
            match waiting {
                Waiting::Message(delivery) => {
                    dropped += 1;
                    if saved(delivery.qos) {
                        scribe.tell(&Event::Dropped { index });
                    }
                }
                snapshot => self.queue.push_back(snapshot),
            }
        }
        self.tidy();
        dropped
    }

    /// Drops the newest of what is in flight until it is enough; how many messages went.
    ///
    /// A QoS 2 exchange that has begun keeps its packet id, which the client may know, and goes on
    /// with PUBREL: a client that has the message is done with it, and one that does not answers
    /// all the same (section 4.3.3).
    pub(in crate::session) fn shed_in_flight(
        &mut self,
        is_enough: impl Fn(&Load) -> bool,
        scribe: Scribe<'_>,
    ) -> usize {
        let mut dropped = 0;
        while !is_enough(&self.load) {
            let newest = self
                .window
                .entries()
                .rev()
                .find_map(|entry| match &entry.stage {
                    Stage::Published(delivery) => Some((entry.packet_id, delivery.qos)),
                    Stage::Released => None,
                });
            match newest {
                // The entry is there, and of that QoS.
                Some((packet_id, Qos::ExactlyOnce)) => drop(self.release_sent(packet_id, scribe)),
                Some((packet_id, _)) => self.acknowledge(packet_id, scribe),
                None => break,
            }
            dropped += 1;
        }
        dropped
    }
}
