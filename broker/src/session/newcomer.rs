//! Who waits for a session that another connection has.
//!
//! Owns: the order of the CONNECTs that want one session. Never: waits itself. Invariant: one at
//! most waits, and it is the one whose CONNECT came last; each earlier one was woken, and finds
//! that it is superseded.

use std::task::Waker;

use super::load::Locked;
use super::outbound::{Outbound, Presence};
use mqtt::ReasonCode;

/// The CONNECT that gets the session next.
pub(super) struct Newcomer {
    /// See `Arrival::order`.
    order: u64,
    pub(super) waker: Waker,
}

impl Outbound {
    /// Whether a CONNECT that came later than this one has the session, or waits for it.
    pub(super) fn is_superseded(&self, order: u64) -> bool {
        let connected = (self.stay.presence == Presence::Here).then_some(self.stay.order);
        let waiting = self.newcomer.as_ref().map(|newcomer| newcomer.order);
        connected.max(waiting).is_some_and(|latest| latest > order)
    }
}

impl Locked<'_> {
    /// Ends the connection that is attached, and lets this CONNECT wait for it in the place of an
    /// earlier one.
    pub(super) fn give_way_to(mut self, order: u64, waker: &Waker) {
        let newcomer = Newcomer {
            order,
            waker: waker.clone(),
        };
        let earlier = self.newcomer.replace(newcomer);
        // Under the lock: a moment later this could be the connection of a CONNECT that came after
        // this one.
        if self.stay.presence == Presence::Here {
            self.close.get_or_insert(ReasonCode::SessionTakenOver);
        }
        self.wake();
        if let Some(earlier) = earlier.filter(|earlier| earlier.order != order) {
            earlier.waker.wake();
        }
    }
}
