//! What of a session is under its lock: the queue, the in-flight window, QoS 2 ids, and whether
//! somebody is connected.
//!
//! Owns: the queue's order. Never: wakes anybody while the lock is held. Invariant: what is queued
//! is within the limits, and every message that did not fit was counted.

mod admission;
mod shedding;
mod snapshots;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use journal::Position;

pub(crate) use self::admission::Refused;
pub(super) use self::admission::{Bounds, To};
use super::drops::Drops;
use super::exchanges::Exchanges;
use super::load::Load;
use super::newcomer::Newcomer;
use super::scribe::Scribe;
use super::snapshot::{Search, Snapshot};
use super::will::Will;
use super::window::{InFlight, Stage, Window};
use super::{Held, Mismatch};
use crate::auth::Identity;
use crate::delivery::Delivery;
use crate::limits::KeptPlace;
use crate::session_log::Event;
use mqtt::{Qos, ReasonCode};

#[derive(Default)]
pub(crate) struct Outbound {
    queue: VecDeque<Waiting>,
    /// Entries of the queue that are snapshots.
    snapshots: usize,
    pub(super) load: Load,
    pub(super) drops: Drops,
    pub(super) window: Window,
    pub(super) waker: Option<Waker>,
    pub(super) close: Option<ReasonCode>,
    /// By packet id, and not a list to be searched: a client may leave all 65,535 ids unreleased.
    pub(super) held: BTreeMap<u16, Held>,
    /// Behind the last telemetry record whose `Held` was written to the log.
    pub(super) held_through: Position,
    pub(super) exchanges: Exchanges,
    pub(super) stay: Stay,
    /// Waits for the connection to let go.
    pub(super) newcomer: Option<Newcomer>,
}

/// What has its place in the queue.
enum Waiting {
    Message(Delivery),
    /// One at most for each of the session's filters, so there are no more than subscriptions.
    Snapshot(Box<Snapshot>),
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
    /// From the front.
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
    /// Seconds it is kept without a connection; `u32::MAX`: for ever.
    pub(super) expiry_seconds: u32,
    /// Its right to outlive its connection, which it has if and only if its client was told so.
    pub(super) place: Option<KeptPlace>,
    /// Microseconds since 1970 when its latest connection ended.
    pub(super) left_at: i64,
    /// The clock's seconds when it ends, and when its will is published; `u32::MAX`: not.
    pub(super) ends_at: u32,
    pub(super) will_at: u32,
    pub(super) will: Option<Box<Will>>,
    /// Of the latest connection.
    pub(super) identity: Arc<Identity>,
}

/// What of snapshots may be in flight, and one message: no limit of the queue counts it, and the
/// store may have newer messages in their place by the time they are acknowledged.
const SNAPSHOT_IN_FLIGHT_BYTES_MAX: usize = 1 << 20;
/// A queue's buffer above this many entries is given back once it is empty.
const KEPT_CAPACITY: usize = 16;

impl Outbound {
    /// Of a session that nobody is attached to yet.
    pub(super) fn fresh() -> Outbound {
        Outbound {
            stay: Stay {
                fresh: true,
                ends_at: u32::MAX,
                will_at: u32::MAX,
                ..Stay::default()
            },
            ..Outbound::default()
        }
    }

    /// Of a session that is over.
    pub(super) fn ended() -> Outbound {
        let mut outbound = Outbound::fresh();
        outbound.stay.ended = true;
        outbound
    }

    /// The deliveries of shared subscriptions that go to other members when this client leaves
    /// [MQTT-4.8.2-5]: all that are not sent, and those at QoS 1 that are not acknowledged. In
    /// order, and with the places they have here.
    pub(super) fn shared(&self) -> Vec<(Place, Delivery)> {
        let sent = self
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
        let queued = self.queue.iter().enumerate();
        let queued = queued.filter_map(|(index, waiting)| match waiting {
            Waiting::Message(delivery) => Some((Place::Queued(index), delivery)),
            Waiting::Snapshot(_) => None,
        });
        sent.chain(queued)
            .filter(|(_, delivery)| delivery.share.is_some())
            .map(|(place, delivery)| (place, delivery.clone()))
            .collect()
    }

    /// Takes out what lies at these places, as `shared` gave them; nothing may have been taken from
    /// the queue since.
    pub(super) fn remove(&mut self, places: &[Place], scribe: Scribe<'_>) {
        let mut queued = Vec::new();
        for place in places {
            match *place {
                Place::InFlight(packet_id) => self.acknowledge(packet_id, scribe),
                Place::Queued(index) => queued.push(index),
            }
        }
        let mut queued = queued.into_iter().peekable();
        let mut index = 0;
        // The log counts without QoS 0, and without what has gone before.
        let mut saved_index = 0;
        self.queue.retain(|waiting| {
            let goes = queued.next_if_eq(&index).is_some();
            index += 1;
            let Waiting::Message(delivery) = waiting else {
                return true;
            };
            let is_saved = delivery.qos != Qos::AtMostOnce;
            if goes {
                self.load.leave_queue(delivery);
                if is_saved {
                    scribe.tell(&Event::Dropped { index: saved_index });
                }
            } else {
                saved_index += usize::from(is_saved)
            }
            !goes
        });
        self.tidy();
    }

    /// Takes the messages out of the queue that are meant, in order.
    pub(super) fn take_out(
        &mut self,
        is_meant: impl Fn(&Delivery) -> bool,
        scribe: Scribe<'_>,
    ) -> Vec<Delivery> {
        let (mut places, mut taken) = (Vec::new(), Vec::new());
        for (index, waiting) in self.queue.iter().enumerate() {
            if let Waiting::Message(delivery) = waiting
                && is_meant(delivery)
            {
                places.push(Place::Queued(index));
                taken.push(delivery.clone());
            }
        }
        self.remove(&places, scribe);
        taken
    }

    /// The exchange under the packet id is over, if there is one.
    pub(super) fn acknowledge(&mut self, packet_id: u16, scribe: Scribe<'_>) {
        let entry = self.window.acknowledged(packet_id);
        if entry.is_some() {
            scribe.tell(&Event::Acknowledged { packet_id });
        }
        self.forget(entry);
    }

    pub(super) fn deliveries_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.queue.iter_mut().filter_map(|waiting| match waiting {
            Waiting::Message(delivery) => Some(delivery),
            Waiting::Snapshot(_) => None,
        })
    }

    /// The messages that wait, but for those of snapshots.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.queue.iter().filter_map(|waiting| match waiting {
            Waiting::Message(delivery) => Some(delivery),
            Waiting::Snapshot(_) => None,
        })
    }

    pub(super) fn take_back(&mut self, entry: InFlight) {
        if let Stage::Published(delivery) = &entry.stage {
            self.load.enter(delivery);
        }
        self.window.take_back(entry);
    }

    /// What comes next; nothing of QoS 1 or 2 while `inflight_free` is false. A delivery of that
    /// goes to `assign` or `discard`.
    ///
    /// At QoS 2 a message waits until its exchange is told: a start would take back the copies, but
    /// not what a client has. What is told of it here comes behind that in the log.
    pub(crate) fn pop(&mut self, inflight_free: bool, scribe: Scribe<'_>) -> Next {
        let may_leave = |qos| inflight_free || qos == Qos::AtMostOnce;
        while let Some(waiting) = self.queue.pop_front() {
            match waiting {
                Waiting::Message(delivery)
                    if may_leave(delivery.qos) && is_told(&delivery, scribe) =>
                {
                    self.load.leave_queue(&delivery);
                    self.tidy();
                    return Next::Delivery(delivery, Source::Queue);
                }
                Waiting::Snapshot(snapshot) if snapshot.is_over() => {
                    self.snapshots -= 1;
                    scribe.tell(&Event::SnapshotSent {
                        filter: snapshot.filter(),
                    });
                }
                Waiting::Snapshot(mut snapshot) => {
                    let has_room = self.load.snapshot_bytes < SNAPSHOT_IN_FLIGHT_BYTES_MAX;
                    let next =
                        snapshot.next(|qos| may_leave(qos) && (has_room || qos == Qos::AtMostOnce));
                    self.queue.push_front(Waiting::Snapshot(snapshot));
                    return next;
                }
                message => {
                    self.queue.push_front(message);
                    return Next::Nothing;
                }
            }
        }
        self.tidy();
        Next::Nothing
    }

    /// Messages that wait, without those in flight; a snapshot counts as one.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Of the queue and of what is in flight.
    pub(super) fn bytes(&self) -> usize {
        self.load.bytes
    }

    pub(super) fn is_connected(&self) -> bool {
        self.stay.presence == Presence::Here
    }

    /// How many messages were dropped, if any were, until the client caught up just now: its queue
    /// is empty.
    pub(crate) fn caught_up(&mut self) -> Option<u64> {
        if self.queue.is_empty() {
            self.drops.end()
        } else {
            None
        }
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Takes a QoS 1 or 2 delivery, which `pop` has just given, into the window, from where it is
    /// sent.
    pub(crate) fn assign(&mut self, delivery: Delivery, source: Source, scribe: Scribe<'_>) {
        self.load.enter(&delivery);
        let packet_id = self.window.next_packet_id();
        let told = scribe.tell(&match source {
            Source::Queue => Event::Sent { packet_id },
            Source::Snapshot => Event::Taken {
                packet_id,
                delivery: &delivery,
            },
        });
        // After a crash the id could name another message, which the client would take for this
        // one; at QoS 1 it tells none from another.
        let saved = match delivery.qos {
            Qos::ExactlyOnce => told,
            _ => Position::ZERO,
        };
        self.window.push(packet_id, delivery, saved);
    }

    /// A delivery that `pop` has just given is not sent.
    pub(crate) fn discard(&self, delivery: &Delivery, source: Source, scribe: Scribe<'_>) {
        if delivery.qos != Qos::AtMostOnce && source == Source::Queue {
            scribe.tell(&Event::Dropped { index: 0 });
        }
    }

    /// The window's next entry has been sent.
    pub(crate) fn mark_sent(&mut self) {
        self.window.mark_sent();
    }

    /// The window's next entry cannot be sent on this connection, nor ever.
    pub(crate) fn drop_unsent(&mut self, scribe: Scribe<'_>) {
        let entry = self.window.drop_unsent();
        if let Some(InFlight { packet_id, .. }) = entry {
            scribe.tell(&Event::Acknowledged { packet_id });
        }
        self.forget(entry);
    }

    /// Gives back what the entry counted against the limits.
    pub(super) fn forget(&mut self, entry: Option<InFlight>) {
        if let Some(InFlight {
            stage: Stage::Published(delivery),
            ..
        }) = entry
        {
            self.load.leave(&delivery);
        }
    }

    /// Replaces the delivery under the packet id by the word that it is released. `None`: there is
    /// none, released or not.
    pub(super) fn release_sent(
        &mut self,
        packet_id: u16,
        scribe: Scribe<'_>,
    ) -> Result<Option<Position>, Mismatch> {
        let Some(entry) = self.window.get_mut(packet_id) else {
            return Ok(None);
        };
        if let Stage::Published(delivery) = &entry.stage {
            if delivery.qos != Qos::ExactlyOnce {
                return Err(Mismatch);
            }
            self.load.leave(delivery);
            entry.stage = Stage::Released;
            entry.saved = scribe.tell(&Event::Received { packet_id });
        }
        Ok(Some(entry.saved))
    }

    /// The client is away: takes out of the queue what nobody keeps for it; the number of messages.
    /// Snapshots go on where they are when it is back.
    pub(super) fn client_left(&mut self) -> usize {
        let before = self.queue.len();
        self.queue.retain_mut(|waiting| {
            let delivery = match waiting {
                Waiting::Message(delivery) => delivery,
                Waiting::Snapshot(snapshot) => {
                    snapshot.close_page();
                    return true;
                }
            };
            let kept = delivery.qos != Qos::AtMostOnce;
            if !kept {
                self.load.leave_queue(delivery);
            }
            kept
        });
        self.tidy();
        before - self.queue.len()
    }

    /// Takes everything out of a session that is over, and counts it out.
    pub(super) fn take_all(&mut self) -> Outbound {
        let mut left = std::mem::replace(self, Outbound::ended());
        self.load.ledger = std::mem::take(&mut left.load.ledger);
        let deliveries = left.deliveries().chain(left.window.deliveries());
        deliveries.for_each(|delivery| self.load.ledger.give_back(&delivery.message));
        left
    }

    /// Whatever it holds, in the queue and in flight.
    #[cfg(test)]
    pub(super) fn all_deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries().chain(self.window.deliveries())
    }

    pub(crate) fn close_requested(&self) -> Option<ReasonCode> {
        self.close
    }

    fn tidy(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
    }
}

/// Whether a start cannot take the delivery back any more, or nobody would notice; if not, the
/// scribe's waker is woken then.
fn is_told(delivery: &Delivery, scribe: Scribe<'_>) -> bool {
    delivery.qos != Qos::ExactlyOnce
        || scribe.log.is_none()
        || delivery.message.origin.is_told_or_wakes(scribe.waker)
}

#[cfg(test)]
mod tests;
