//! A client's session: what waits to be sent to it, and the word that it must end.
//!
//! Owns: the outbound queue and its bounds. It belongs to the session and not to the socket, so that it can outlive a
//! connection. Never: touches a socket; the connection's task drains the queue when it is woken. Invariant: what is queued is
//! within the limits, and every message that did not fit was counted.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::access::Principal;
use crate::auth::Identity;
use crate::lock::lock;
use crate::message::Message;
use crate::packet::{Qos, ReasonCode, Version};
use crate::stats::Stats;
use crate::subscriptions::{Group, Options};

/// Bounds of a session's queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// One message on its way to one subscriber.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) identifier: Option<NonZeroU32>,
    /// A retained message sent because of a subscribe: it lies in the retained store anyway, so it does not count against the
    /// queue's limits, and a console that subscribes gets everything that is active.
    pub(crate) snapshot: bool,
    /// The group of a shared subscription it was chosen from: another member gets it when this one leaves.
    pub(crate) share: Option<Arc<Group>>,
}

/// A fixed cost beside topic and payload, so that a queue of empty messages is bounded too.
const DELIVERY_OVERHEAD_BYTES: usize = 64;

impl Delivery {
    /// A message that has just been published, as the subscription asks for it.
    pub(crate) fn live(message: &Arc<Message>, options: &Options) -> Delivery {
        Delivery {
            message: Arc::clone(message),
            qos: message.qos.min(options.qos),
            retain: message.retain && options.retain_as_published,
            identifier: options.identifier,
            snapshot: false,
            share: None,
        }
    }

    /// What it counts against the queue's limit.
    fn bytes(&self) -> usize {
        if self.snapshot {
            return 0;
        }
        let Message {
            topic,
            payload,
            properties,
            ..
        } = &*self.message;
        topic.len() + payload.len() + properties.len() + DELIVERY_OVERHEAD_BYTES
    }
}

pub(crate) struct Session {
    /// Unique in the gate's life; names the session where the client id would be ambiguous (take-over).
    pub(crate) number: u64,
    pub(crate) client_id: Box<str>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) version: Version,
    /// Seconds without a packet after which the client counts as gone; 0: never.
    pub(crate) silence_seconds_max: u32,
    /// Gate seconds (see `Gate::seconds`) when the last packet arrived.
    last_heard: AtomicU32,
    limits: QueueLimits,
    outbound: Mutex<Outbound>,
}

#[derive(Default)]
pub(crate) struct Outbound {
    queue: VecDeque<Delivery>,
    /// Entries and bytes of the queue that count against its limits.
    messages: usize,
    bytes: usize,
    waker: Option<Waker>,
    close: Option<ReasonCode>,
}

/// The session cannot take the message; another may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// A queue's buffer above this many entries is given back once it is empty.
const KEPT_CAPACITY: usize = 16;

impl Session {
    pub(crate) fn new(
        number: u64,
        client_id: &str,
        identity: Arc<Identity>,
        version: Version,
        silence_seconds_max: u32,
        limits: QueueLimits,
    ) -> Session {
        Session {
            number,
            client_id: client_id.into(),
            identity,
            version,
            silence_seconds_max,
            last_heard: AtomicU32::new(0),
            limits,
            outbound: Mutex::default(),
        }
    }

    /// Who is authorised when this session acts.
    pub(crate) fn principal(&self) -> Principal<'_> {
        Principal {
            identity: &self.identity,
            client_id: &self.client_id,
        }
    }

    /// Queues a message for the client, or counts it as dropped.
    pub(crate) fn enqueue(&self, delivery: Delivery, stats: &Stats) {
        let mut outbound = lock(&self.outbound);
        outbound.push(delivery, self.limits, stats);
        let waker = outbound.waker.take();
        drop(outbound);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues a message that another session could take as well; `Err` when this one has no room, or is not connected.
    pub(crate) fn offer(&self, delivery: Delivery) -> Result<(), Refused> {
        let mut outbound = lock(&self.outbound);
        if !outbound.has_room(&delivery, self.limits) {
            return Err(Refused);
        }
        outbound.append(delivery);
        let waker = outbound.waker.take();
        drop(outbound);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// As `offer`, for a session that is kept while its client is away; `Err` when this one is not.
    pub(crate) fn offer_offline(&self, _delivery: Delivery) -> Result<(), Refused> {
        // Today every session ends with its connection.
        Err(Refused)
    }

    /// How many messages the client is behind; `None` while it is not connected.
    pub(crate) fn backlog(&self) -> Option<usize> {
        Some(lock(&self.outbound).queue.len())
    }

    /// Takes the deliveries of shared subscriptions out of the queue.
    pub(crate) fn take_shared(&self) -> Vec<Delivery> {
        let mut outbound = lock(&self.outbound);
        let (shared, own) = std::mem::take(&mut outbound.queue)
            .into_iter()
            .partition::<Vec<_>, _>(|delivery| delivery.share.is_some());
        outbound.messages -= shared.len();
        outbound.bytes -= shared.iter().map(Delivery::bytes).sum::<usize>();
        outbound.queue = own.into();
        shared
    }

    /// Queues what `fill` yields while nothing else can enter the queue: a retained message never overtakes or follows
    /// a newer live one of its topic.
    /// Refused (and counted as one drop) while earlier snapshots still wait, so that repeated subscribing cannot pile them up.
    pub(crate) fn enqueue_snapshot(
        &self,
        stats: &Stats,
        fill: impl FnOnce(&mut dyn FnMut(Delivery)),
    ) {
        let mut outbound = lock(&self.outbound);
        if outbound.queue.len() > self.limits.messages.saturating_mul(2) {
            stats.dropped_slow_consumer.add(1);
            return;
        }
        fill(&mut |delivery| outbound.push(delivery, self.limits, stats));
    }

    /// Tells the connection to end; the first reason counts.
    pub(crate) fn close(&self, reason: ReasonCode) {
        let mut outbound = lock(&self.outbound);
        outbound.close.get_or_insert(reason);
        let waker = outbound.waker.take();
        drop(outbound);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For the connection's task: registers its waker and gives access to the queue.
    pub(crate) fn with_outbound<T>(
        &self,
        waker: &Waker,
        take: impl FnOnce(&mut Outbound) -> T,
    ) -> T {
        let mut outbound = lock(&self.outbound);
        match &mut outbound.waker {
            Some(registered) => registered.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        take(&mut outbound)
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
        self.silence_seconds_max != 0
            && seconds.saturating_sub(self.last_heard.load(Ordering::Relaxed))
                > self.silence_seconds_max
    }
}

impl Outbound {
    fn push(&mut self, delivery: Delivery, limits: QueueLimits, stats: &Stats) {
        if self.has_room(&delivery, limits) {
            self.append(delivery);
        } else {
            stats.dropped_slow_consumer.add(1);
        }
    }

    fn has_room(&self, delivery: &Delivery, limits: QueueLimits) -> bool {
        self.messages < limits.messages && self.bytes + delivery.bytes() <= limits.bytes
    }

    fn append(&mut self, delivery: Delivery) {
        self.messages += usize::from(!delivery.snapshot);
        self.bytes += delivery.bytes();
        self.queue.push_back(delivery);
    }

    /// The next message, unless it is QoS 1 and `inflight_free` is false.
    pub(crate) fn pop(&mut self, inflight_free: bool) -> Option<Delivery> {
        if !inflight_free && self.queue.front()?.qos != Qos::AtMostOnce {
            return None;
        }
        let delivery = self.queue.pop_front()?;
        self.messages -= usize::from(!delivery.snapshot);
        self.bytes -= delivery.bytes();
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
        Some(delivery)
    }

    pub(crate) fn close_requested(&self) -> Option<ReasonCode> {
        self.close
    }
}
