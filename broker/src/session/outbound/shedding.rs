//! What a session drops of what it has, because all sessions together have too much.
//!
//! Owns: the order in which things go: the newest first, and of what is in flight only when nothing
//! is queued. Never: counts for the gate. Invariant: the exchanges that are left go on as their
//! clients expect.

use std::task::Waker;

use super::Outbound;
use crate::budget::Budget;
use crate::session::Stage;
use crate::session::load::Load;
use mqtt::Qos;

impl Outbound {
    /// Its client leaves: what was given to it beyond the budget, because it was connected and kept
    /// up, does not stay with a session that may wait for ever. How many messages went.
    pub(in crate::session) fn shed(&mut self, budget: &Budget) -> usize {
        let is_enough = |load: &Load| !budget.is_exceeded(&load.ledger);
        self.shed_queued(is_enough) + self.shed_in_flight(is_enough)
    }

    /// Drops the newest of what is queued until it is enough; how many messages went.
    pub(in crate::session) fn shed_queued(&mut self, is_enough: impl Fn(&Load) -> bool) -> usize {
        let (mut left, mut dropped) = (0, 0);
        for delivery in self.state.queue.deliveries().rev() {
            // Those before one that stays, stay.
            if left == 0 && !is_enough(&self.load) {
                self.load.leave_queue(delivery);
                dropped += 1;
            } else {
                left += 1;
            }
        }
        if dropped > 0 {
            self.take_out_uncounted(|_| {
                let goes = left == 0;
                left -= usize::from(!goes);
                goes
            });
        }
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
    ) -> usize {
        let mut dropped = 0;
        while !is_enough(&self.load) {
            let newest = self
                .state
                .window
                .entries()
                .rev()
                .find_map(|entry| match &entry.stage {
                    Stage::Published(delivery) => Some((entry.packet_id, delivery.qos)),
                    Stage::Released => None,
                });
            match newest {
                // The entry is there, and of that QoS.
                Some((packet_id, Qos::ExactlyOnce)) => {
                    let _ = self.release_sent(packet_id, Waker::noop());
                }
                Some((packet_id, _)) => self.acknowledge(packet_id),
                None => break,
            }
            dropped += 1;
        }
        dropped
    }
}
