//! What a session holds of messages.
//!
//! Owns: its account against its own limits, and what it owes to the budget of all sessions. Never:
//! decides whether there is room. Invariant: whatever lies in the queue or the window was counted
//! in once, and what has left was counted out.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use super::{Outbound, Session};
use crate::budget::{Budget, Ledger};
use crate::delivery::Delivery;
use crate::lock::lock;

#[derive(Default)]
pub(super) struct Load {
    /// Entries of the queue that count against its limit.
    pub(super) messages: usize,
    /// Bytes queued and in flight, each message counted as if the session had it alone.
    pub(super) bytes: usize,
    /// Bytes of retained messages in flight, which the limits do not count.
    pub(super) snapshot_bytes: usize,
    /// Not told to the budget yet.
    pub(super) ledger: Ledger,
}

impl Load {
    pub(super) fn enter_queue(&mut self, delivery: &Delivery) {
        self.messages += usize::from(!delivery.snapshot);
        self.take(delivery);
    }

    pub(super) fn leave_queue(&mut self, delivery: &Delivery) {
        self.messages -= usize::from(!delivery.snapshot);
        self.give_back(delivery);
    }

    /// It goes into flight.
    pub(super) fn enter(&mut self, delivery: &Delivery) {
        if delivery.snapshot {
            self.snapshot_bytes += delivery.message.memory_bytes();
        }
        self.take(delivery);
    }

    /// It is in flight no more.
    pub(super) fn leave(&mut self, delivery: &Delivery) {
        if delivery.snapshot {
            self.snapshot_bytes -= delivery.message.memory_bytes();
        }
        self.give_back(delivery);
    }

    fn take(&mut self, delivery: &Delivery) {
        self.bytes += delivery.bytes();
        self.ledger.take(&delivery.message);
    }

    fn give_back(&mut self, delivery: &Delivery) {
        self.bytes -= delivery.bytes();
        self.ledger.give_back(&delivery.message);
    }
}

/// What is under a session's lock, while it is locked; the budget is told before it is unlocked.
pub(super) struct Locked<'a> {
    outbound: MutexGuard<'a, Outbound>,
    budget: &'a Budget,
}

impl Session {
    pub(super) fn lock_outbound(&self) -> Locked<'_> {
        Locked {
            outbound: lock(&self.outbound),
            budget: &self.budget,
        }
    }
}

impl Locked<'_> {
    /// Wakes the connection that drains the queue, after unlocking it.
    pub(super) fn wake(mut self) {
        let waker = self.waker.take();
        drop(self);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Outbound;

    fn deref(&self) -> &Outbound {
        &self.outbound
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Outbound {
        &mut self.outbound
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.budget.settle(&mut self.outbound.load.ledger);
    }
}
