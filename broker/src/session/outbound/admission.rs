//! What enters a session's queue.
//!
//! Owns: the order in which the reasons against it are asked for. Never: takes anything out of the
//! queue. Invariant: a message that is pushed and does not enter is counted, with one reason.

use super::Outbound;
use crate::budget::{Asker, Budget};
use crate::delivery::{Delivery, QueueLimits};
use crate::session::queue::Waiting;
use crate::session::state::is_logged;
use crate::session_log::Event;
use crate::stats::Stats;
use mqtt::Qos;

/// What a session is measured by: its own limits, and the budget it shares with all others.
#[derive(Clone, Copy)]
pub(in crate::session) struct Bounds<'a> {
    pub(in crate::session) limits: QueueLimits,
    pub(in crate::session) budget: &'a Budget,
}

/// For which state of the session a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum To {
    Connected,
    Offline,
}

/// The session cannot take the message; another may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Outbound {
    /// Puts the delivery at the end of the queue, or counts why not.
    pub(in crate::session) fn push(
        &mut self,
        delivery: Delivery,
        bounds: Bounds<'_>,
        stats: &Stats,
    ) {
        let present = self.is_connected();
        if self.stay.ended {
            return;
        }
        if !present && delivery.qos == Qos::AtMostOnce {
            stats.dropped_offline.add(1);
        } else if self.is_within_limits(&delivery, bounds) {
            if self.is_within_budget(&delivery, bounds) {
                self.take_in(delivery);
            } else {
                stats.dropped_queues_full.add(1);
            }
        } else {
            if self.drops.add() {
                stats.sessions_slow.add(1);
            }
            if present {
                stats.dropped_slow_consumer.add(1)
            } else {
                stats.dropped_offline_full.add(1)
            }
        }
    }

    /// Puts the delivery at the end of the queue if the client is present or not, as asked, and
    /// there is room.
    pub(in crate::session) fn offer(
        &mut self,
        delivery: Delivery,
        to: To,
        bounds: Bounds<'_>,
    ) -> Result<(), Refused> {
        let present = self.is_connected();
        let takes = match to {
            To::Connected => present,
            // One that is leaving too: it keeps what it is given now as what it had.
            To::Offline => !present && delivery.qos != Qos::AtMostOnce,
        };
        let has_room =
            || self.is_within_limits(&delivery, bounds) && self.is_within_budget(&delivery, bounds);
        if self.stay.ended || !takes || !has_room() {
            return Err(Refused);
        }
        self.take_in(delivery);
        Ok(())
    }

    fn is_within_limits(&self, delivery: &Delivery, bounds: Bounds<'_>) -> bool {
        let limits = bounds.limits;
        self.load.messages < limits.messages && self.load.bytes + delivery.bytes() <= limits.bytes
    }

    fn is_within_budget(&self, delivery: &Delivery, bounds: Bounds<'_>) -> bool {
        let asker = Asker {
            bytes: self.load.bytes,
            connected: self.is_connected(),
        };
        bounds.budget.admits(delivery, asker, &self.load.ledger)
    }

    fn take_in(&mut self, delivery: Delivery) {
        if is_logged(&delivery) {
            self.change(&Event::Queued(&delivery));
        } else {
            self.load.enter_queue(&delivery);
            self.state.queue.push(Waiting::Message(delivery));
        }
    }
}
