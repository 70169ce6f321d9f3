//! rumqttd's router and the one link to it.
//!
//! Owns: everything that touches rumqttd. Never: is used by two threads; disconnects (the link ends
//! with its router). Invariant: when the link's buffer holds something, an event that makes the
//! router take it is on its way, so at most a handful of events are ever queued, and sending never
//! blocks (the channel holds 1,000).

use std::panic;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::{
    Filter, Packet, Publish, QoS, RetainForwardRule, Subscribe, SubscribeProperties, Unsubscribe,
};
use rumqttd::{Notification, RouterConfig};

use super::laps::Number;
use super::poison::Poison;
use super::tickets::Tickets;

/// Tells the subscriptions of the link apart; an MQTT 5 subscription identifier.
pub(super) type Tag = usize;

/// The marker's own subscription.
pub(super) const MARKER_TAG: Tag = 1;
/// The first tag for anything else.
pub(super) const FIRST_TAG: Tag = 2;

/// Neither of these has the prefix of a client's topic.
const MARKER_TOPIC: &str = "marker";
const UNHEARD_TOPIC: &str = "unheard";

/// Nothing that the router reads for us is ever left for the next time: see `Laps`.
const READ_COUNT_MAX: u64 = u32::MAX as u64;
/// rumqttd drops the oldest of its segments when the newest is full. With two, the last full
/// segment is always there.
const SEGMENT_COUNT: usize = 2;

/// Why a router is given up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the router's thread ended")]
    Died,
    #[error("the router does not answer")]
    Hung,
    #[error("the router lost an entry of a filter")]
    Gap,
    #[error("the router ended the link")]
    Disconnected,
    #[error("the router sent something that it was never given")]
    Unknown,
    #[error("the thread in front of the router panicked")]
    OwnerPanicked,
    #[error("the router's thread cannot be started")]
    NoThread,
    #[error("the router refused the link")]
    Link(#[source] Box<LinkError>),
}

/// What the router returned.
pub(super) enum Heard {
    /// The link's buffer was full: the router pauses until it hears that we are ready.
    Unschedule,
    Marker(Number),
    Entry(Entry),
    /// An acknowledgement that nobody needs.
    Nothing,
}

/// A message matched a filter.
pub(super) struct Entry {
    pub(super) tag: Tag,
    pub(super) sequence: u64,
    /// Its number in the filter's log; consecutive.
    pub(super) offset: u64,
}

pub(super) struct Link {
    tx: LinkTx,
    rx: LinkRx,
    waker: Waker,
    tickets: Tickets,
}

impl Link {
    /// Starts a router, and links to it. Blocks until it answers. To be called on the owner's
    /// thread.
    pub(super) fn connect(segment_bytes: usize) -> Result<Link, Failure> {
        // Names the thread (`router-1`) and the link, neither of which may occur twice in a
        // process.
        static ROUTERS: AtomicUsize = AtomicUsize::new(0);
        let number = ROUTERS.fetch_add(1, Ordering::Relaxed) + 1;
        let config = RouterConfig {
            max_connections: 1,
            max_outgoing_packet_count: READ_COUNT_MAX,
            max_segment_size: segment_bytes,
            max_segment_count: SEGMENT_COUNT,
            ..RouterConfig::default()
        };
        // It panics when the system has no more threads.
        let events = panic::catch_unwind(|| rumqttd::Router::new(number, config).spawn())
            .map_err(|_| Failure::NoThread)?;
        let (tx, rx, _) = LinkBuilder::new(&format!("millrace-{number}"), events)
            .build()
            .map_err(|error| Failure::Link(Box::new(error)))?;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut link = Link {
            tx,
            rx,
            waker,
            tickets: Tickets::default(),
        };
        link.send(&mut vec![subscribe(MARKER_TOPIC, MARKER_TAG)])?;
        Ok(link)
    }

    /// Whether the router has taken all that was sent. What is sent next is then the first that it
    /// takes, alone or with what follows.
    pub(super) fn is_taken(&self) -> bool {
        self.tx.buffer().is_empty()
    }

    /// Sends the packets with one event, and empties `batch`.
    pub(super) fn send(&mut self, batch: &mut Vec<Packet>) -> Result<(), Failure> {
        let Some(last) = batch.pop() else {
            return Ok(());
        };
        let mut buffer = self.tx.buffer();
        let needs_event = buffer.is_empty();
        buffer.extend(batch.drain(..));
        if !needs_event {
            buffer.push_back(last);
            return Ok(());
        }
        drop(buffer);
        // It has no await inside: the first poll completes it.
        match poll_once(self.tx.send(last), Waker::noop()) {
            Poll::Ready(Err(_)) => Err(Failure::Died),
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
        }
    }

    pub(super) fn publish(&mut self, topic: Bytes, sequence: u64) -> Packet {
        Packet::Publish(Publish::new(topic, self.tickets.of(sequence), false), None)
    }

    pub(super) fn marker(&mut self, number: Number) -> Packet {
        self.publish(Bytes::from_static(MARKER_TOPIC.as_bytes()), number)
    }

    /// What the router has returned, if anything.
    pub(super) fn hear(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            match poll_once(self.rx.next(), &self.waker) {
                Poll::Ready(Ok(Some(notification))) => return heard(notification).map(Some),
                // A signal whose notifications came with an earlier one.
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(_)) => return Err(Failure::Died),
                Poll::Pending => return Ok(None),
            }
        }
    }

    /// Sleeps until the router has something to say, somebody unparks the thread, or the time is
    /// up.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> Result<Option<Heard>, Failure> {
        let mut next = pin!(self.rx.next());
        let mut context = Context::from_waker(&self.waker);
        let mut result = next.as_mut().poll(&mut context);
        if result.is_pending() {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
            result = next.as_mut().poll(&mut context);
        }
        match result {
            Poll::Ready(Ok(Some(notification))) => heard(notification).map(Some),
            Poll::Ready(Err(_)) => Err(Failure::Died),
            Poll::Ready(Ok(None)) | Poll::Pending => Ok(None),
        }
    }

    /// The answer to `Unschedule`, and to nothing else: the router panics when it is not waiting
    /// for it.
    pub(super) fn ready(&self) -> Result<(), Failure> {
        self.rx.ready().map_err(|_| Failure::Died)
    }

    /// Tells the router's thread to end, whatever it still had to do.
    pub(super) fn stop(&mut self) {
        let mut buffer = self.tx.buffer();
        let needs_event = buffer.is_empty();
        buffer.clear();
        let poison = Packet::Publish(
            Publish::new(
                Bytes::from_static(UNHEARD_TOPIC.as_bytes()),
                Poison::payload(),
                false,
            ),
            None,
        );
        if !needs_event {
            buffer.push_back(poison);
            return;
        }
        drop(buffer);
        // When it is dead already, all is well.
        let _ = poll_once(self.tx.send(poison), Waker::noop());
    }

    /// Waits until the router's thread has ended; false when it has not by then.
    pub(super) fn wait_ended(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self
                .sleep(Some(left))
                .is_err_and(|failure| matches!(failure, Failure::Died))
            {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

pub(super) fn subscribe(filter: &str, tag: Tag) -> Packet {
    let filter = Filter {
        path: filter.to_owned(),
        qos: QoS::AtMostOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::Never,
    };
    let properties = SubscribeProperties {
        id: Some(tag),
        user_properties: Vec::new(),
    };
    Packet::Subscribe(
        Subscribe {
            pkid: 1,
            filters: vec![filter],
        },
        Some(properties),
    )
}

pub(super) fn unsubscribe(filter: &str) -> Packet {
    Packet::Unsubscribe(
        Unsubscribe {
            pkid: 1,
            filters: vec![filter.to_owned()],
        },
        None,
    )
}

/// A publish that makes rumqttd's router panic: it cuts the topic behind its first byte.
pub(super) fn panicking() -> Packet {
    Packet::Publish(Publish::new("é", "x", false), None)
}

/// A publish that makes the router's thread stand still.
#[cfg(any(test, fuzzing))]
pub(super) fn hanging(until: std::sync::mpsc::Receiver<()>) -> Packet {
    let topic = Bytes::from_static(UNHEARD_TOPIC.as_bytes());
    Packet::Publish(
        Publish::new(topic, super::poison::Hang::payload(until), false),
        None,
    )
}

fn heard(notification: Notification) -> Result<Heard, Failure> {
    let forward = match notification {
        Notification::Forward(forward) => forward,
        Notification::Unschedule => return Ok(Heard::Unschedule),
        Notification::Disconnect(..) => return Err(Failure::Disconnected),
        _ => return Ok(Heard::Nothing),
    };
    let number = forward
        .publish
        .payload
        .as_ref()
        .try_into()
        .map(u64::from_le_bytes);
    let tags = forward
        .properties
        .as_ref()
        .map(|properties| &*properties.subscription_identifiers);
    match (number, tags, forward.cursor) {
        (Ok(number), Some(&[MARKER_TAG]), _) => Ok(Heard::Marker(number)),
        (Ok(sequence), Some(&[tag]), Some((_, offset))) => Ok(Heard::Entry(Entry {
            tag,
            sequence,
            offset,
        })),
        _ => Err(Failure::Unknown),
    }
}

fn poll_once<F: Future>(future: F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(waker))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_is_told_to_end_ends() {
        let mut link = Link::connect(1_024).expect("a router");
        link.stop();
        assert!(link.wait_ended(Duration::from_secs(30)));
        // What is sent to it now finds nobody, and nobody is harmed.
        let _ = link.send(&mut vec![unsubscribe("m/a")]);
        link.stop();
        assert!(matches!(link.hear(), Err(Failure::Died)));
    }

    #[test]
    fn a_router_that_panics_is_noticed_without_asking() {
        let mut link = Link::connect(1_024).expect("a router");
        link.send(&mut vec![panicking()])
            .expect("it is still alive");
        assert!(link.wait_ended(Duration::from_secs(30)));
    }

    #[test]
    fn what_one_filter_of_a_link_gets_says_so() {
        let mut link = Link::connect(1_024).expect("a router");
        let topic = Bytes::from_static(b"m/a/b");
        let mut batch = vec![subscribe("m/a/#", 7), subscribe("m/+/b", 8)];
        batch.push(link.publish(topic, 99));
        batch.push(link.marker(1));
        link.send(&mut batch).expect("alive");
        assert!(batch.is_empty());
        let mut tags = Vec::new();
        loop {
            let heard = link.sleep(Some(Duration::from_secs(30))).expect("alive");
            if let Some(Heard::Entry(entry)) = heard {
                assert_eq!((entry.sequence, entry.offset), (99, 0));
                tags.push(entry.tag);
                if tags.len() == 2 {
                    break;
                }
            }
        }
        tags.sort_unstable();
        assert_eq!(tags, [7, 8]);
        link.stop();
        assert!(link.wait_ended(Duration::from_secs(30)));
    }
}
