//! A client's session: its subscriptions, what waits to be sent to it, and what was exchanged and
//! is not finished yet.
//!
//! Owns: everything MQTT keeps for a client beyond its connection. A connection attaches to it and
//! detaches when it ends; the session goes on for as long as the client asked. Never: touches a
//! socket; the connection's task drains the queue when it is woken. Invariant: at most one
//! connection is attached at a time.
//!
//! Sessions that outlive their connection tell the log of kept sessions (`session_log`) what
//! changes; what a packet promises is durable there before the packet leaves. The table in that
//! module says which.
//!
//! What the log has of a session is its `State`, which changes by the events that are written
//! (`state.rs`); everything else is of this process alone.
//!
//! Three locks, in this order: `filters`, then (inside the table of subscriptions) a filter's
//! members, then `outbound`, then `visit`.

mod drops;
mod exchanges;
mod filters;
mod life;
mod load;
mod newcomer;
mod outbound;
mod queue;
mod restore;
mod revoked;
mod snapshot;
mod state;
mod will;
mod window;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use journal::Position;

pub use self::drops::SlowSession;
pub(crate) use self::exchanges::{Begun, Held, Hold, UNSAVED};
pub(crate) use self::filters::FilterLimits;
pub(crate) use self::life::{Arrival, Attach, Departure};
use self::outbound::{Bounds, Presence, To};
pub(crate) use self::outbound::{Next, Outbound, Refused};
#[cfg(test)]
pub(crate) use self::queue::{Queue, Waiting};
pub(crate) use self::restore::cut_to_budget;
pub(crate) use self::snapshot::{Found, Search, Snapshot};
pub(crate) use self::state::{IncomingQos2, State, highest_number};
pub(crate) use self::will::Will;
#[cfg(test)]
pub(crate) use self::window::Window;
pub(crate) use self::window::{InFlight, Mismatch, Stage};
use crate::budget::Budget;
use crate::delivery::{Delivery, QueueLimits};
use crate::lock::lock;
use crate::presence::Visit;
use crate::session_log::SessionLog;
use crate::stats::Stats;
use access::Identity;
use mqtt::ReasonCode;

pub(crate) struct Session {
    /// Unique, over restarts too; names the session where the client id would be ambiguous.
    pub(crate) number: u64,
    pub(crate) client_id: Arc<str>,
    /// Seconds without a packet after which the client counts as gone; 0: never.
    silence_seconds_max: AtomicU32,
    /// Seconds of the broker's clock when the last packet arrived.
    last_heard: AtomicU32,
    /// The clock's second when something is to be done though no packet comes; `u32::MAX`: nothing
    /// is.
    due: AtomicU32,
    limits: QueueLimits,
    budget: Arc<Budget>,
    log: Option<Arc<SessionLog>>,
    /// The log knows it. Changed under the lock of `outbound`.
    logged: AtomicBool,
    filters: Mutex<filters::Filters>,
    outbound: Mutex<Outbound>,
    /// The connection that is attached, and whose it is. Nothing else is locked while this is.
    visit: Mutex<Option<(Visit, Arc<Identity>)>>,
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
        let client_id = client_id.into();
        Session {
            number,
            silence_seconds_max: AtomicU32::new(0),
            last_heard: AtomicU32::new(0),
            due: AtomicU32::new(u32::MAX),
            limits,
            budget,
            log,
            logged: AtomicBool::new(false),
            filters: Mutex::default(),
            outbound: Mutex::new(Outbound::fresh(&client_id)),
            client_id,
            visit: Mutex::new(None),
        }
    }

    /// The identity of the latest connection.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.lock_outbound().state.identity)
    }

    /// The connection that is attached, if one is.
    pub(crate) fn visit(&self) -> Option<(Visit, Arc<Identity>)> {
        lock(&self.visit).clone()
    }

    /// Whether the log knows the session: its client's QoS 2 publishes must be found again after a
    /// restart.
    pub(crate) fn is_logged(&self) -> bool {
        self.logged.load(Ordering::Relaxed)
    }

    /// Where the log must be durable for what it could not be told at first; see
    /// `SessionLog::saved_again`.
    pub(crate) fn saved_again(&self, waker: &Waker) -> Option<Position> {
        match &self.log {
            Some(log) => log.saved_again(&self.client_id, waker),
            None => Some(Position::ZERO),
        }
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds {
            limits: self.limits,
            budget: &self.budget,
        }
    }

    /// Queues a message for the client, or counts it as dropped.
    pub(crate) fn enqueue(&self, delivery: Delivery, stats: &Stats) {
        let mut outbound = self.lock_outbound();
        outbound.push(delivery, self.bounds(), stats);
        let begun = outbound.drops.take_begun();
        outbound.wake();
        if begun {
            self.tell_dropping();
        }
    }

    /// Queues a message that another session could take as well; `Err` when this one has no room,
    /// or is not connected.
    pub(crate) fn offer(&self, delivery: Delivery) -> Result<(), Refused> {
        let mut outbound = self.lock_outbound();
        outbound.offer(delivery, To::Connected, self.bounds())?;
        outbound.wake();
        Ok(())
    }

    /// As `offer`, for a session whose client is away: at QoS 1 and 2, since nothing else is kept
    /// for it.
    pub(crate) fn offer_offline(&self, delivery: Delivery) -> Result<(), Refused> {
        self.lock_outbound()
            .offer(delivery, To::Offline, self.bounds())
    }

    /// Bytes queued and in flight, each message counted as if the session had it alone.
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
        take: impl FnOnce(&mut Outbound) -> T,
    ) -> T {
        let mut outbound = self.lock_outbound();
        match &mut outbound.waker {
            Some(registered) => registered.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        take(&mut outbound)
    }

    /// Waits until the connection is told to end, and why.
    pub(crate) async fn closing(&self) -> ReasonCode {
        poll_fn(|context| {
            match self.with_outbound(context.waker(), |outbound| outbound.close_requested()) {
                Some(reason) => Poll::Ready(reason),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// PUBACK, or a PUBREC that refuses: the delivery is done. One the client never got is ignored:
    /// MQTT names no answer to it.
    pub(crate) fn acknowledged(&self, packet_id: u16) {
        self.lock_outbound().acknowledge(packet_id);
    }

    /// PUBACK for a delivery that must be one of QoS 1.
    pub(crate) fn puback(&self, packet_id: u16) -> Result<(), Mismatch> {
        let mut outbound = self.lock_outbound();
        let found = outbound.state.window.get_mut(packet_id);
        if found.is_some_and(|entry| entry.is_exactly_once()) {
            return Err(Mismatch);
        }
        outbound.acknowledge(packet_id);
        Ok(())
    }

    /// PUBREC: the client has the message, which is forgotten here; where the log must be durable
    /// before PUBREL. `None`: nothing was in flight under this id.
    pub(crate) fn received(
        &self,
        packet_id: u16,
        waker: &Waker,
    ) -> Result<Option<Position>, Mismatch> {
        self.lock_outbound().release_sent(packet_id, waker)
    }

    /// PUBCOMP: the exchange is over. One that nothing waits for is ignored.
    pub(crate) fn completed(&self, packet_id: u16) {
        let mut outbound = self.lock_outbound();
        let found = outbound.state.window.get_mut(packet_id);
        if found.is_some_and(|entry| matches!(entry.stage, Stage::Released)) {
            outbound.acknowledge(packet_id);
        }
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
