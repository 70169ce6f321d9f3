//! rumqttd's router and the one link to it.
//!
//! Owns: everything that touches rumqttd. Never: is used by two threads; disconnects (the link ends
//! with its router); blocks in `send`. Invariant: when the link's buffer holds something, an event
//! that makes the router take it is on its way, so at most a handful of events are ever queued, and
//! the channel holds 1,000.

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
    Filter, Packet, Publish, QoS, RetainForwardRule, Subscribe, SubscribeProperties,
};
use rumqttd::{Notification, RouterConfig};

use crate::poison::Poison;

/// Tells the subscriptions of the link apart; an MQTT 5 subscription identifier.
pub(crate) type Tag = usize;

/// The marker's own subscription.
pub(crate) const MARKER_TAG: Tag = 1;
/// The first tag for anything else.
pub(crate) const FIRST_TAG: Tag = 2;

/// Neither of these has the prefix of a client's topic.
const MARKER_TOPIC: &str = "marker";
const UNHEARD_TOPIC: &str = "unheard";

/// Nothing that the router reads for us is ever left for the next time.
const READ_COUNT_MAX: u64 = u32::MAX as u64;
/// rumqttd drops the oldest of its segments when the newest is full. With two, the last full
/// segment is always there.
const SEGMENT_COUNT: usize = 2;
/// rumqttd takes no less.
pub(crate) const SEGMENT_BYTES: usize = 1 << 10;
/// What a log counts for an entry beside its topic: a prefix, a number and four bytes.
const ENTRY_BYTES: usize = 14;

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
    #[error("the router is behind")]
    Behind,
    #[error("the router's thread cannot be started")]
    NoThread,
    #[error("the router refused the link")]
    Link(#[source] Box<LinkError>),
}

/// What the router returned.
pub(crate) enum Heard {
    /// The link's buffer was full: the router pauses until it hears that we are ready.
    Unschedule,
    Marker(u64),
    Entry(Entry),
    /// An acknowledgement that nobody needs.
    Nothing,
}

/// A message matched a filter.
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    /// Of the message.
    pub(crate) number: u64,
    /// Its number in the filter's log; consecutive.
    pub(crate) offset: u64,
}

pub(crate) struct Link {
    tx: LinkTx,
    rx: LinkRx,
    waker: Waker,
}

impl Link {
    /// Starts a router, and links to it. Blocks until it answers. To be called on the owner's
    /// thread.
    pub(crate) fn connect() -> Result<Link, Failure> {
        // Names the thread (`router-1`) and the link, neither of which may occur twice in a
        // process.
        static ROUTERS: AtomicUsize = AtomicUsize::new(0);
        let number = ROUTERS.fetch_add(1, Ordering::Relaxed) + 1;
        let config = RouterConfig {
            max_connections: 1,
            max_outgoing_packet_count: READ_COUNT_MAX,
            max_segment_size: SEGMENT_BYTES,
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
        let mut link = Link { tx, rx, waker };
        link.send(&mut vec![subscribe_raw(
            MARKER_TOPIC.to_owned(),
            MARKER_TAG,
        )])?;
        Ok(link)
    }

    /// Sends the packets with one event, and empties `batch`.
    pub(crate) fn send(&mut self, batch: &mut Vec<Packet>) -> Result<(), Failure> {
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

    /// What the router returns next; `None` when it has not within this time.
    pub(crate) fn hear(&mut self, timeout: Duration) -> Result<Option<Heard>, Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            let mut next = pin!(self.rx.next());
            let mut context = Context::from_waker(&self.waker);
            let result = loop {
                match next.as_mut().poll(&mut context) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => {}
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                thread::park_timeout(left);
            };
            match result {
                Ok(Some(notification)) => return heard(notification).map(Some),
                // A signal whose notifications came with an earlier one.
                Ok(None) => {}
                Err(_) => return Err(Failure::Died),
            }
        }
    }

    /// The answer to `Unschedule`, and to nothing else: the router panics when it is not waiting
    /// for it.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        self.rx.ready().map_err(|_| Failure::Died)
    }

    /// Tells the router's thread to end, whatever it still had to do.
    pub(crate) fn stop(&mut self) {
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
    pub(crate) fn wait_ended(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if matches!(self.hear(left), Err(Failure::Died)) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

/// What the message counts in a log.
pub(crate) fn cost_bytes(topic: &str) -> usize {
    topic.len() + ENTRY_BYTES
}

pub(crate) fn publish(topic: &str, number: u64) -> Packet {
    publish_raw(namespaced(topic).into(), number)
}

/// A message that comes back behind those that were published before.
pub(crate) fn marker(number: u64) -> Packet {
    publish_raw(Bytes::from_static(MARKER_TOPIC.as_bytes()), number)
}

fn publish_raw(topic: Bytes, number: u64) -> Packet {
    let number = Bytes::copy_from_slice(&number.to_le_bytes());
    Packet::Publish(Publish::new(topic, number, false), None)
}

/// A name as rumqttd sees it, topic or filter: behind a prefix, so that it begins with an ASCII
/// letter, and a topic of Millrace is neither the marker nor one that rumqttd refuses for its `$`.
/// The first level is still its own: `#` does not see `$SYS`.
fn namespaced(name: &str) -> String {
    let prefix = if name.starts_with('$') { "s/" } else { "m/" };
    [prefix, name].concat()
}

pub(crate) fn subscribe(filter: &str, tag: Tag) -> Packet {
    subscribe_raw(namespaced(filter), tag)
}

fn subscribe_raw(path: String, tag: Tag) -> Packet {
    let filter = Filter {
        path,
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

/// A publish that has the router fail.
#[cfg(test)]
pub(crate) fn faulty(fault: crate::poison::Fault) -> Packet {
    use crate::poison::{Fault, Hang};

    let publish = match fault {
        // It cuts the topic behind its first byte.
        Fault::Panic => Publish::new("é", "x", false),
        Fault::Hang(until) => Publish::new(UNHEARD_TOPIC.into(), Hang::payload(until), false),
    };
    Packet::Publish(publish, None)
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
        (Ok(number), Some(&[tag]), Some((_, offset))) => Ok(Heard::Entry(Entry {
            tag,
            number,
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

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_router_that_is_told_to_end_ends() {
        let mut link = Link::connect().expect("a router");
        link.stop();
        assert!(link.wait_ended(PATIENCE));
        // What is sent to it now finds nobody, and nobody is harmed.
        let _ = link.send(&mut vec![marker(1)]);
        link.stop();
        assert!(matches!(link.hear(PATIENCE), Err(Failure::Died)));
    }

    #[test]
    fn a_router_that_panics_is_noticed_without_asking() {
        let mut link = Link::connect().expect("a router");
        link.send(&mut vec![faulty(crate::poison::Fault::Panic)])
            .expect("it is still alive");
        assert!(link.wait_ended(PATIENCE));
    }

    #[test]
    fn what_one_filter_of_a_link_gets_says_so() {
        let mut link = Link::connect().expect("a router");
        let mut batch = vec![subscribe("a/#", 7), subscribe("+/b", 8), subscribe("#", 9)];
        batch.extend([publish("a/b", 99), publish("$a/b", 100), marker(1)]);
        link.send(&mut batch).expect("alive");
        assert!(batch.is_empty());
        let mut tags = Vec::new();
        while tags.len() < 3 {
            let heard = link.hear(PATIENCE).expect("alive");
            if let Some(Heard::Entry(entry)) = heard {
                assert_eq!((entry.number, entry.offset), (99, 0));
                tags.push(entry.tag);
            }
        }
        tags.sort_unstable();
        assert_eq!(tags, [7, 8, 9]);
        link.stop();
        assert!(link.wait_ended(PATIENCE));
    }
}
