//! A client's session: its subscriptions, what waits to be sent to it, and what was exchanged and is not finished yet.
//!
//! Owns: everything MQTT keeps for a client beyond its connection. A connection attaches to it and detaches when it ends; the
//! session goes on for as long as the client asked. Never: touches a socket; the connection's task drains the queue when it is
//! woken. Invariant: at most one connection is attached at a time.
//!
//! Sessions that outlive their connection tell the log of kept sessions (`session_log`) what changes; what a packet promises is
//! durable there before the packet leaves. The table in that module says which.
//!
//! Two locks, in this order: `filters`, then (inside the table of subscriptions) a filter's members, then `outbound`.

mod delivery;
mod drops;
mod filters;
mod life;
mod load;
mod newcomer;
mod outbound;
mod revoked;
mod saved;
mod scribe;
mod snapshot;
mod will;
mod window;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use journal::Position;

pub(crate) use self::delivery::{Bounds, Delivery, QueueLimits};
pub use self::drops::SlowSession;
pub(crate) use self::filters::FilterLimits;
pub(crate) use self::life::{Arrival, Attach, Departure};
pub(crate) use self::outbound::{Next, Outbound, Refused};
use self::outbound::{Presence, To};
pub(crate) use self::saved::cut_to_budget;
pub(crate) use self::scribe::Scribe;
pub(crate) use self::snapshot::{Found, Search, Snapshot};
pub(crate) use self::will::Will;
pub(crate) use self::window::{InFlight, Mismatch, Stage};
use crate::auth::Identity;
use crate::budget::Budget;
use crate::lock::lock;
use crate::packet::ReasonCode;
use crate::presence::Visit;
use crate::session_log::{Event, Exchange, SessionLog};
use crate::stats::Stats;

pub(crate) struct Session {
    /// Unique in the gate's life; names the session where the client id would be ambiguous.
    pub(crate) number: u64,
    pub(crate) client_id: Box<str>,
    /// Seconds without a packet after which the client counts as gone; 0: never.
    silence_seconds_max: AtomicU32,
    /// Gate seconds (see `Gate::seconds`) when the last packet arrived.
    last_heard: AtomicU32,
    /// Gate seconds when something is to be done though no packet comes; `u32::MAX`: nothing is.
    due: AtomicU32,
    limits: QueueLimits,
    budget: Arc<Budget>,
    log: Option<Arc<SessionLog>>,
    /// The log knows it. Changed under both locks.
    logged: AtomicBool,
    filters: Mutex<filters::Filters>,
    outbound: Mutex<Outbound>,
    /// The connection that is attached, and whose it is. Nothing else is locked while this is.
    visit: Mutex<Option<(Visit, Arc<Identity>)>>,
}

/// A QoS 2 publish that was received and is not released by its client yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) packet_id: u16,
    /// Behind its record in the journal; `Position::ZERO` when it needs none, or has no place there yet.
    pub(crate) journalled: Position,
    /// Where the log must be durable before it is answered.
    pub(crate) saved: Position,
    /// The log has been told.
    told: bool,
    /// It counts among the publishes that this connection has not finished.
    pub(crate) counted: bool,
}

/// What a QoS 2 publish is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    New,
    /// The one that was received before under this packet id [MQTT-4.3.3-10].
    Again(Held),
}

impl Session {
    /// A session that nobody is attached to yet.
    pub(crate) fn new(
        number: u64,
        client_id: &str,
        limits: QueueLimits,
        budget: Arc<Budget>,
        log: Option<Arc<SessionLog>>,
    ) -> Session {
        Session {
            number,
            client_id: client_id.into(),
            silence_seconds_max: AtomicU32::new(0),
            last_heard: AtomicU32::new(0),
            due: AtomicU32::new(u32::MAX),
            limits,
            budget,
            log,
            logged: AtomicBool::new(false),
            filters: Mutex::default(),
            outbound: Mutex::new(Outbound::fresh()),
            visit: Mutex::new(None),
        }
    }

    /// Of the latest connection.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.lock_outbound().stay.identity)
    }

    /// The connection that is attached, if one is.
    pub(crate) fn visit(&self) -> Option<(Visit, Arc<Identity>)> {
        lock(&self.visit).clone()
    }

    /// Whether the log knows the session: its client's QoS 2 publishes must be found again after a restart.
    pub(crate) fn is_logged(&self) -> bool {
        self.logged.load(Ordering::Relaxed)
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds {
            limits: self.limits,
            budget: &self.budget,
        }
    }

    fn scribe<'a>(&'a self, waker: &'a Waker) -> Scribe<'a> {
        Scribe {
            log: self.log.as_deref().filter(|_| self.is_logged()),
            client_id: &self.client_id,
            waker,
        }
    }

    /// Queues a message for the client, or counts it as dropped.
    pub(crate) fn enqueue(&self, delivery: Delivery, stats: &Stats) {
        let mut outbound = self.lock_outbound();
        outbound.push(delivery, self.bounds(), stats, self.scribe(Waker::noop()));
        let begun = outbound.drops.take_begun();
        outbound.wake();
        if begun {
            self.tell_dropping();
        }
    }

    /// Queues a message that another session could take as well; `Err` when this one has no room, or is not connected.
    pub(crate) fn offer(&self, delivery: Delivery) -> Result<(), Refused> {
        let mut outbound = self.lock_outbound();
        let scribe = self.scribe(Waker::noop());
        outbound.offer(delivery, To::Connected, self.bounds(), scribe)?;
        outbound.wake();
        Ok(())
    }

    /// As `offer`, for a session whose client is away: at QoS 1 and 2, since nothing else is kept for it.
    pub(crate) fn offer_offline(&self, delivery: Delivery) -> Result<(), Refused> {
        let scribe = self.scribe(Waker::noop());
        self.lock_outbound()
            .offer(delivery, To::Offline, self.bounds(), scribe)
    }

    /// Of the queue and of what is in flight, each message as if the session had it alone.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock_outbound().load.bytes
    }

    /// Whatever the session holds, in flight or queued.
    #[cfg(test)]
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lock_outbound().all_deliveries().cloned().collect()
    }

    /// How many messages the client is behind; `None` while it is not connected.
    pub(crate) fn backlog(&self) -> Option<usize> {
        let outbound = self.lock_outbound();
        (outbound.stay.presence == Presence::Here).then(|| outbound.queued())
    }

    /// The page that `Outbound::pop` has asked for.
    pub(crate) fn add_page(&self, search: &Search, found: Found) {
        self.lock_outbound().add_page(search, found);
    }

    /// Tells the connection to end, if there is one; the first reason counts.
    pub(crate) fn close(&self, reason: ReasonCode) -> bool {
        let mut outbound = self.lock_outbound();
        if outbound.stay.presence != Presence::Here {
            return false;
        }
        outbound.close.get_or_insert(reason);
        outbound.wake();
        true
    }

    /// For the connection's task: registers its waker and gives access to the queue.
    pub(crate) fn with_outbound<T>(
        &self,
        waker: &Waker,
        take: impl FnOnce(&mut Outbound, Scribe<'_>) -> T,
    ) -> T {
        let mut outbound = self.lock_outbound();
        match &mut outbound.waker {
            Some(registered) => registered.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        take(&mut outbound, self.scribe(waker))
    }

    /// Waits until the connection is told to end, and why.
    pub(crate) async fn closing(&self) -> ReasonCode {
        poll_fn(|context| {
            let closing = |outbound: &mut Outbound, _: Scribe<'_>| outbound.close_requested();
            match self.with_outbound(context.waker(), closing) {
                Some(reason) => Poll::Ready(reason),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// PUBACK, or a PUBREC that refuses: the delivery is done. One the client never got is ignored: MQTT names no answer to it.
    pub(crate) fn acknowledged(&self, packet_id: u16) {
        self.lock_outbound()
            .acknowledge(packet_id, self.scribe(Waker::noop()));
    }

    /// PUBACK for a delivery that must be one of QoS 1.
    pub(crate) fn puback(&self, packet_id: u16) -> Result<(), Mismatch> {
        let mut outbound = self.lock_outbound();
        let found = outbound.window.get_mut(packet_id);
        if found.is_some_and(|entry| entry.is_exactly_once()) {
            return Err(Mismatch);
        }
        outbound.acknowledge(packet_id, self.scribe(Waker::noop()));
        Ok(())
    }

    /// PUBREC: the client has the message, which is forgotten here; where the log must be durable before PUBREL. `None`: nothing was in
    /// flight under this id.
    pub(crate) fn received(
        &self,
        packet_id: u16,
        waker: &Waker,
    ) -> Result<Option<Position>, Mismatch> {
        self.lock_outbound()
            .release_sent(packet_id, self.scribe(waker))
    }

    /// PUBCOMP: the exchange is over. One that nothing waits for is ignored.
    pub(crate) fn completed(&self, packet_id: u16) {
        let mut outbound = self.lock_outbound();
        let found = outbound.window.get_mut(packet_id);
        if found.is_some_and(|entry| matches!(entry.stage, Stage::Released)) {
            outbound.acknowledge(packet_id, self.scribe(Waker::noop()));
        }
    }

    /// A QoS 2 publish has come; nothing changes when one with this packet id was received before and not released. The log is
    /// told by `journalled` or `distributed`.
    pub(crate) fn hold(&self, packet_id: u16) -> Hold {
        let mut outbound = self.lock_outbound();
        if let Some(known) = outbound.held.get_mut(&packet_id) {
            let before = *known;
            known.counted = true;
            return Hold::Again(before);
        }
        let held = Held {
            packet_id,
            journalled: Position::ZERO,
            saved: Position::ZERO,
            told: false,
            counted: true,
        };
        outbound.held.insert(packet_id, held);
        Hold::New
    }

    /// Whether a QoS 2 publish under this packet id counts already among those that this connection has not finished.
    pub(crate) fn counts(&self, packet_id: u16) -> bool {
        let outbound = self.lock_outbound();
        let held = outbound.held.get(&packet_id);
        held.is_some_and(|held| held.counted)
    }

    /// The publish, which is not to be journalled, has gone to its subscribers: only now may the log know of it, since after a
    /// crash in between it must be taken again. Where the log must be durable before it is answered.
    pub(crate) fn distributed(&self, packet_id: u16, waker: &Waker) -> Position {
        let mut outbound = self.lock_outbound();
        let saved = self.scribe(waker).tell(&Event::Held {
            packet_id,
            telemetry: None,
        });
        if let Some(held) = outbound.held.get_mut(&packet_id) {
            held.saved = saved;
            held.told = true;
        }
        saved
    }

    /// The publishes' records lie before this position of the journal.
    pub(crate) fn journalled(&self, packet_ids: &[u16], before: Position) {
        let mut outbound = self.lock_outbound();
        let outbound = &mut *outbound;
        // They became durable together, so for all of them the last record's position will do.
        let telemetry = before.0.checked_sub(1).map(Position);
        let scribe = self.scribe(Waker::noop());
        let mut batch = scribe.log.map(|log| (log, log.batch(scribe.client_id)));
        for &packet_id in packet_ids {
            let Some(held) = outbound.held.get_mut(&packet_id) else {
                continue;
            };
            held.journalled = before;
            held.told = true;
            if let Some((_, batch)) = &mut batch {
                batch.push(&Event::Held {
                    packet_id,
                    telemetry,
                });
            }
        }
        if let Some((log, batch)) = batch {
            // PUBREC waits for the record only: a start finds records that the log does not know of.
            log.write(batch, Waker::noop());
            outbound.held_through = before;
        }
    }

    /// To be held from journalling QoS 2 publishes until `journalled` has been called; `None` when the log does not care.
    pub(crate) fn exchange(&self) -> Option<Exchange<'_>> {
        let log = self.log.as_deref().filter(|_| self.is_logged())?;
        Some(log.exchange())
    }

    /// PUBREL, or a publish that was refused after all: its packet id may be used for another one; where the log must be durable
    /// before PUBCOMP. `None`: it was not held.
    pub(crate) fn release(&self, packet_id: u16, waker: &Waker) -> Option<Position> {
        let mut outbound = self.lock_outbound();
        let held = outbound.held.remove(&packet_id)?;
        Some(match held.told {
            true => self.scribe(waker).tell(&Event::Released { packet_id }),
            false => Position::ZERO,
        })
    }

    /// While the gate itself does not read from the client, the client's silence proves nothing.
    pub(crate) fn suspend_keep_alive(&self) {
        self.last_heard.store(u32::MAX, Ordering::Relaxed);
    }

    pub(crate) fn heard(&self, seconds: u32) {
        self.last_heard.store(seconds, Ordering::Relaxed);
    }

    /// Whether the client has been silent for longer than it promised.
    pub(crate) fn is_overdue(&self, seconds: u32) -> bool {
        let silence_seconds_max = self.silence_seconds_max.load(Ordering::Relaxed);
        silence_seconds_max != 0
            && seconds.saturating_sub(self.last_heard.load(Ordering::Relaxed)) > silence_seconds_max
    }

    /// Whether the time for its end, its will or the end of its client's credentials has come.
    pub(crate) fn is_due(&self, seconds: u32) -> bool {
        self.due.load(Ordering::Relaxed) <= seconds
    }
}
