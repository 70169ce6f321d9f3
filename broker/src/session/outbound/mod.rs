//! The part of a session that its main lock protects: its logged state, what of it the limits
//! count, and whether somebody is connected.
//!
//! Owns: that each change of the state is counted and written as it is made. Never: wakes anybody
//! while the lock is held. Invariant: what is queued is within the limits, and every message that
//! did not fit was counted.

mod admission;
mod shedding;
mod snapshots;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use journal::Position;

pub(crate) use self::admission::Refused;
pub(super) use self::admission::{Bounds, To};
use super::drops::Drops;
use super::exchanges::Exchanges;
use super::load::Load;
use super::newcomer::Newcomer;
use super::queue::Waiting;
use super::snapshot::{Search, Snapshot};
use super::state::{Effect, State, is_logged};
use super::will::Will;
use super::window::{Stage, Window};
use super::{Held, Mismatch};
use crate::delivery::Delivery;
use crate::limits::KeptPlace;
use crate::session_log::{Batch, Event, SessionLog};
use mqtt::{Qos, ReasonCode};

#[derive(Default)]
pub(crate) struct Outbound {
    /// What the log has of the session; it changes by `change` and its like.
    pub(super) state: State,
    /// Set while the log knows the session.
    pub(super) log: Option<Arc<SessionLog>>,
    pub(super) load: Load,
    pub(super) drops: Drops,
    pub(super) waker: Option<Waker>,
    pub(super) close: Option<ReasonCode>,
    /// QoS 2 publishes by packet id, as far as this process has handled them.
    pub(super) held: BTreeMap<u16, Held>,
    pub(super) exchanges: Exchanges,
    pub(super) stay: Stay,
    /// Waits for the connection to let go.
    pub(super) newcomer: Option<Newcomer>,
}

/// What comes next for the client.
pub(crate) enum Next {
    Delivery(Delivery, Source),
    /// A snapshot is next, and its page is to be looked for: `add_page` takes it.
    Page(Search),
    /// Nothing, or nothing that may leave now.
    Nothing,
}

/// Where a delivery has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Queue,
    /// In the retained store; the log has not heard of it yet.
    Snapshot,
}

/// Whether a connection is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Presence {
    #[default]
    Away,
    Here,
    /// It is gone, but not yet done with the session; nobody can attach.
    Leaving,
}

/// Where a session has a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Under this packet id.
    InFlight(u16),
    /// The number of messages before it.
    Queued(usize),
}

/// Who is connected, and what happens when nobody is.
#[derive(Default)]
pub(super) struct Stay {
    pub(super) presence: Presence,
    /// The order of the latest CONNECT that attached; see `Arrival::order`.
    pub(super) order: u64,
    /// Nobody has been connected yet.
    pub(super) fresh: bool,
    /// It is no longer in the registry, and nothing enters it any more.
    pub(super) ended: bool,
    /// Seconds it is to be kept from now on, if its client asked for that since it connected.
    pub(super) new_expiry_seconds: Option<u32>,
    /// Its right to outlive its connection, which it has if and only if its client was told so.
    pub(super) place: Option<KeptPlace>,
    /// The clock's seconds when it ends, and when its will is published; `u32::MAX`: not.
    pub(super) ends_at: u32,
    pub(super) will_at: u32,
}

/// Bytes of retained messages that may be in flight to one client; one message more may exceed it.
/// The limits of the queue do not count them, and the store may replace them before they are
/// acknowledged.
const SNAPSHOT_IN_FLIGHT_BYTES_MAX: usize = 1 << 20;

impl Outbound {
    /// The part of a session that nobody is attached to yet.
    pub(super) fn fresh(client_id: &Arc<str>) -> Outbound {
        Outbound {
            state: State {
                client_id: Arc::clone(client_id),
                ..State::default()
            },
            stay: Stay {
                fresh: true,
                ends_at: u32::MAX,
                will_at: u32::MAX,
                ..Stay::default()
            },
            ..Outbound::default()
        }
    }

    /// The part of a session that was kept over a restart.
    pub(super) fn restored(mut state: State) -> Outbound {
        let mut load = Load::default();
        let queued = state.queue.deliveries();
        queued.for_each(|delivery| load.enter_queue(delivery));
        let in_flight = state.window.deliveries();
        in_flight.for_each(|delivery| load.enter(delivery));
        state.window.lose_connection();
        Outbound {
            load,
            exchanges: Exchanges::restored(state.completed_through),
            state,
            stay: Stay {
                ends_at: u32::MAX,
                will_at: u32::MAX,
                ..Stay::default()
            },
            ..Outbound::default()
        }
    }

    /// Changes the state as the event says, and writes the event; the position from which on it is
    /// durable, `Position::ZERO` when there is nothing to wait for. `None`: it does not fit, and
    /// nothing has changed. `waker` is woken when it is durable.
    pub(super) fn change_and_wake(&mut self, event: &Event<'_>, waker: &Waker) -> Option<Position> {
        self.apply(event)?;
        Some(match &self.log {
            Some(log) => log.write_one(&self.state.client_id, event, waker),
            None => Position::ZERO,
        })
    }

    /// The same, for a change that nothing waits for.
    pub(super) fn change(&mut self, event: &Event<'_>) -> Option<Position> {
        self.change_and_wake(event, Waker::noop())
    }

    /// Changes the state as the event says, and adds the event to the batch, which is to be written
    /// before the session is unlocked.
    pub(super) fn change_in(&mut self, batch: &mut Option<Batch<'_>>, event: &Event<'_>) {
        if self.apply(event).is_some()
            && let Some(batch) = batch
        {
            batch.push(event);
        }
    }

    /// `None` when the event does not fit.
    fn apply(&mut self, event: &Event<'_>) -> Option<()> {
        let load = &mut self.load;
        match self.state.apply(event).ok()? {
            Effect::None => {}
            Effect::Queued => {
                if let Event::Queued(delivery) = event {
                    load.enter_queue(delivery);
                }
            }
            Effect::Dropped(delivery) => load.leave_queue(&delivery),
            Effect::Sent => {
                if let Some(delivery) = self.state.window.last_delivery() {
                    load.leave_queue(delivery);
                    load.enter(delivery);
                }
            }
            Effect::Taken => {
                if let Some(delivery) = self.state.window.last_delivery() {
                    load.enter(delivery);
                }
            }
            Effect::Finished(delivery) => load.leave(&delivery),
        }
        Some(())
    }

    /// The deliveries of shared subscriptions that go to other members when this client leaves
    /// [MQTT-4.8.2-5]: all that are not sent, and those at QoS 1 that are not acknowledged. In
    /// order, and with the places they have here.
    pub(super) fn shared(&self) -> Vec<(Place, Delivery)> {
        let sent = self
            .state
            .window
            .entries()
            .filter_map(|entry| match &entry.stage {
                Stage::Published(delivery)
                    if delivery.qos == Qos::AtLeastOnce || !entry.sent_before =>
                {
                    Some((Place::InFlight(entry.packet_id), delivery))
                }
                _ => None,
            });
        let queued = self.state.queue.deliveries().enumerate();
        let queued = queued.map(|(index, delivery)| (Place::Queued(index), delivery));
        sent.chain(queued)
            .filter(|(_, delivery)| delivery.share.is_some())
            .map(|(place, delivery)| (place, delivery.clone()))
            .collect()
    }

    /// Takes out what lies at these places, as `shared` gave them; nothing may have been taken from
    /// the queue since.
    pub(super) fn remove(&mut self, places: &[Place]) {
        let mut queued = Vec::new();
        for place in places {
            match *place {
                Place::InFlight(packet_id) => self.acknowledge(packet_id),
                Place::Queued(index) => queued.push(index),
            }
        }
        let mut queued = queued.into_iter().peekable();
        let mut index = 0;
        self.take_out(|_| {
            let goes = queued.next_if_eq(&index).is_some();
            index += 1;
            goes
        });
    }

    /// Takes the messages out of the queue that are meant, in order.
    pub(super) fn take_out(&mut self, is_meant: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let taken = self.take_out_uncounted(is_meant);
        for delivery in &taken {
            self.load.leave_queue(delivery);
        }
        taken
    }

    /// The same, of messages that do not count any more.
    fn take_out_uncounted(&mut self, is_meant: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let client_id = Arc::clone(&self.state.client_id);
        let log = self.log.as_deref();
        self.state.take_out(is_meant, |event| {
            if let Some(log) = log {
                log.write_one(&client_id, event, Waker::noop());
            }
        })
    }

    /// The exchange under the packet id is over, if there is one.
    pub(super) fn acknowledge(&mut self, packet_id: u16) {
        self.change(&Event::Acknowledged { packet_id });
    }

    /// The messages that wait, but for those of snapshots.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.state.queue.deliveries()
    }

    /// What comes next; nothing of QoS 1 or 2 while `inflight_free` is false. A delivery of that
    /// goes to `assign` or `discard` before anything else is done here.
    ///
    /// At QoS 2 a message waits until its exchange is told: a start would take back the copies, but
    /// not what a client has. What is told of it here comes behind that in the log.
    pub(crate) fn pop(&mut self, inflight_free: bool) -> Next {
        let may_leave = |qos| inflight_free || qos == Qos::AtMostOnce;
        loop {
            let is_told = |delivery: &Delivery| {
                delivery.qos != Qos::ExactlyOnce
                    || self.log.is_none()
                    || is_told_or_wakes(delivery, self.waker.as_ref())
            };
            match self.state.queue.front_mut() {
                Some(Waiting::Message(delivery))
                    if may_leave(delivery.qos) && is_told(delivery) =>
                {
                    let delivery = delivery.clone();
                    if !is_logged(&delivery) {
                        self.state.queue.pop_front();
                        self.load.leave_queue(&delivery);
                    }
                    return Next::Delivery(delivery, Source::Queue);
                }
                Some(Waiting::Snapshot(snapshot)) if snapshot.is_over() => {
                    let filter = Arc::clone(snapshot.filter());
                    self.state.queue.pop_front();
                    self.change(&Event::SnapshotSent { filter: &filter });
                }
                Some(Waiting::Snapshot(snapshot)) => {
                    let has_room = self.load.snapshot_bytes < SNAPSHOT_IN_FLIGHT_BYTES_MAX;
                    let may_leave = |qos| may_leave(qos) && (has_room || qos == Qos::AtMostOnce);
                    return snapshot.next(may_leave);
                }
                Some(Waiting::Message(_)) | None => return Next::Nothing,
            }
        }
    }

    /// Messages that wait, without those in flight; a snapshot counts as one.
    pub(crate) fn queued(&self) -> usize {
        self.state.queue.len()
    }

    /// Bytes of the queue and of what is in flight.
    pub(super) fn bytes(&self) -> usize {
        self.load.bytes
    }

    pub(super) fn is_connected(&self) -> bool {
        self.stay.presence == Presence::Here
    }

    /// How many messages were dropped, if any were, until the client caught up just now: its queue
    /// is empty.
    pub(crate) fn caught_up(&mut self) -> Option<u64> {
        if self.state.queue.is_empty() {
            self.drops.end()
        } else {
            None
        }
    }

    pub(crate) fn window(&self) -> &Window {
        &self.state.window
    }

    /// Takes a QoS 1 or 2 delivery, which `pop` has just given, into the window, from where it is
    /// sent.
    pub(crate) fn assign(&mut self, delivery: &Delivery, source: Source) {
        let packet_id = self.state.window.next_packet_id();
        let event = match source {
            Source::Queue => Event::Sent { packet_id },
            Source::Snapshot => Event::Taken {
                packet_id,
                delivery,
            },
        };
        let waker = self.waker.clone();
        let told = self.change_and_wake(&event, waker.as_ref().unwrap_or(Waker::noop()));
        // After a crash the id could name another message, which the client would take for this
        // one; at QoS 1 it tells none from another.
        if delivery.qos == Qos::ExactlyOnce
            && let Some(entry) = self.state.window.get_mut(packet_id)
        {
            entry.saved = told.unwrap_or_default();
        }
    }

    /// A delivery that `pop` has just given is not sent.
    pub(crate) fn discard(&mut self, delivery: &Delivery, source: Source) {
        if is_logged(delivery) && source == Source::Queue {
            self.change(&Event::Dropped { index: 0 });
        }
    }

    /// The window's next entry has been sent.
    pub(crate) fn mark_sent(&mut self) {
        self.state.window.mark_sent();
    }

    /// The window's next entry cannot be sent on this connection, nor ever.
    pub(crate) fn drop_unsent(&mut self) {
        if let Some(entry) = self.state.window.unsent() {
            let packet_id = entry.packet_id;
            self.acknowledge(packet_id);
        }
    }

    /// Replaces the delivery under the packet id by the word that it is released. `None`: there is
    /// none, released or not.
    pub(super) fn release_sent(
        &mut self,
        packet_id: u16,
        waker: &Waker,
    ) -> Result<Option<Position>, Mismatch> {
        let Some(entry) = self.state.window.get_mut(packet_id) else {
            return Ok(None);
        };
        if !entry.is_exactly_once() {
            return Err(Mismatch);
        }
        if matches!(entry.stage, Stage::Released) {
            return Ok(Some(entry.saved));
        }
        let saved = self.change_and_wake(&Event::Received { packet_id }, waker);
        let saved = saved.unwrap_or_default();
        if let Some(entry) = self.state.window.get_mut(packet_id) {
            entry.saved = saved;
        }
        Ok(Some(saved))
    }

    /// The client is away: takes out of the queue what nobody keeps for it; the number of messages.
    /// Snapshots go on where they are when it is back.
    pub(super) fn client_left(&mut self) -> usize {
        self.state
            .queue
            .snapshots_mut()
            .for_each(Snapshot::close_page);
        self.take_out(|delivery| !is_logged(delivery)).len()
    }

    /// Takes the will if it is due; it is published now.
    pub(super) fn take_due_will(&mut self, now: u32) -> Option<Box<Will>> {
        if self.stay.will_at > now {
            return None;
        }
        self.stay.will_at = u32::MAX;
        let will = self.state.will.clone()?;
        self.change(&Event::WillCleared);
        Some(will)
    }

    /// Takes everything out of a session that is over, and counts it out.
    pub(super) fn take_all(&mut self) -> Outbound {
        let mut ended = Outbound::fresh(&self.state.client_id);
        ended.stay.ended = true;
        let mut left = std::mem::replace(self, ended);
        self.load.ledger = std::mem::take(&mut left.load.ledger);
        let deliveries = left.deliveries().chain(left.state.window.deliveries());
        deliveries.for_each(|delivery| self.load.ledger.give_back(&delivery.message));
        left
    }

    /// Whatever it holds, in the queue and in flight.
    #[cfg(test)]
    pub(super) fn all_deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries().chain(self.state.window.deliveries())
    }

    pub(crate) fn close_requested(&self) -> Option<ReasonCode> {
        self.close
    }
}

/// Whether a start cannot take the delivery back any more, or nobody would notice; if not, the
/// waker is woken then.
fn is_told_or_wakes(delivery: &Delivery, waker: Option<&Waker>) -> bool {
    let waker = waker.unwrap_or(Waker::noop());
    delivery.message.origin.is_told_or_wakes(waker)
}

#[cfg(test)]
mod tests;
