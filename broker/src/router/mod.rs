//! Fan-out to wildcard filters at QoS 0 and 1: rumqttd's `Router`, used in the one way that is
//! safe. (At QoS 2 whoever publishes walks the filters, see `Gate::fan_out`.)
//!
//! Owns: rumqttd's router thread, the one link to it, and the thread in front of it; the messages
//! that are accepted and not yet known to be delivered. Never: sees a client, a packet id, an
//! acknowledgement or a retained message; blocks whoever publishes or subscribes. Invariant: a
//! message that `publish` accepted is delivered exactly once, in order, to every filter that was
//! subscribed when it was accepted and not yet unsubscribed, whatever happens to the router.
//!
//! # What travels
//!
//! A message stays here, in the window; what goes through rumqttd is its topic and an eight-byte
//! sequence number. So the router's logs, which copy every entry for every filter it matches and
//! forget none of them, never hold a payload, a property or a client's name.
//!
//! Topics get an ASCII prefix, `m/`, or `s/` when they begin with `$`, and filters likewise. So the
//! router never sees a first character of several bytes (it would panic) nor a `$` (it would
//! refuse), and `#` cannot match `$SYS/…`. Its matching of what is behind the prefix is MQTT's
//! (tested against a reference).
//!
//! # One link
//!
//! All filters are subscriptions of one link, told apart by MQTT 5 subscription identifiers, which
//! the router adds to each copy. A link for each filter would cost it 180 KB of buffers, a name
//! that the router never forgets, and a disconnect that scans all filters; and every event for a
//! link that has left ends the router's thread. This link never leaves: it ends with its router.
//! Everything on it is done by one thread, in order; `LinkBuilder::build` is the only call that can
//! block.
//!
//! # What is delivered, what is lost
//!
//! A filter's log keeps at least the last `segment_bytes` of entries and silently drops older ones,
//! read or not. So no more than that is ever in flight, and the window must know what has been
//! read. A marker, a message to a topic of our own, goes behind the others, and its return tells:
//! the router serves filters in the order in which they got something to read, and reads all there
//! is. (`Laps` has the one exception.) Only one marker is on its way at a time. A marker that does
//! not return is a router that hangs. Entries are numbered by each log, so a lost one is noticed
//! all the same, and is a failure like any other.
//!
//! # Rebuilding
//!
//! A failure (the thread ended, no marker for a while, a lost entry) or rubbish (filters nobody
//! holds any more, topics seen once: the router forgets none) is answered alike: a new router, all
//! filters subscribed anew, everything in the window published again. Each filter knows the last
//! sequence it delivered and skips up to it. When a new router fails three times without any
//! progress, the window is delivered by matching filter by filter, without rumqttd, so that no
//! message can be fatal for ever.

mod intake;
mod laps;
mod link;
mod owner;
mod poison;
mod table;
mod tickets;
mod topics;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use self::intake::{Command, Intake};
use self::link::Failure;
use self::owner::Owner;
use crate::message::Message;

/// Names a filter; chosen by the caller, and not used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FilterId(pub(crate) u64);

/// Who gets what the router has matched.
pub(crate) trait Deliver: Send + Sync + 'static {
    /// Called for each message that matches the filter, in the order of publishing, always on the
    /// same thread. Must not block. May still be called for a filter shortly after `unsubscribe`
    /// has returned.
    fn deliver(&self, filter: FilterId, message: &Arc<Message>);
}

/// The bounds of what the router may hold.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Messages accepted and not yet delivered to all their filters.
    pub(crate) queued_messages_max: usize,
    /// Bytes of these messages: topic, payload, properties and a fixed overhead.
    pub(crate) queued_bytes_max: usize,
    /// Subscriptions, and ends of some, that wait for the router, above which those who bring them
    /// are to wait too.
    pub(crate) queued_filters_max: usize,
    /// Distinct topics after which the router is rebuilt: each costs some 400 bytes that it never
    /// frees.
    pub(crate) topics_max: usize,
    /// The router counts as hanging when it has been given this much time and returned nothing.
    /// It is measured in ticks of a tenth, so a process that was suspended is not mistaken for one.
    pub(crate) hang_after: Duration,
    /// Fault injection, for tests of the whole process: the router's thread panics behind each so
    /// many messages.
    pub(crate) panic_every: Option<NonZeroU64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            // A quarter of a second at 64,000 messages a second: enough to ride out a rebuild.
            queued_messages_max: 16_384,
            queued_bytes_max: 16 << 20,
            // Those of a fleet that comes back; a few megabytes.
            queued_filters_max: 16_384,
            // About 40 MB.
            topics_max: 100_000,
            // The longest that is legitimate is a subscription with `topics_max` topics to compare:
            // 10 ms each.
            hang_after: Duration::from_secs(5),
            panic_every: None,
        }
    }
}

impl Settings {
    /// The defaults; a debug build also takes `panic_every` from the variable
    /// `MILLRACE_TEST_ROUTER_PANIC_EVERY`, so that a test can have the router die under the whole
    /// process. A release build never reads it.
    pub(crate) fn of_the_process() -> Settings {
        let panic_every = if cfg!(debug_assertions) {
            std::env::var("MILLRACE_TEST_ROUTER_PANIC_EVERY").ok()
        } else {
            None
        };
        Settings {
            panic_every: panic_every.and_then(|every| every.parse().ok()),
            ..Settings::default()
        }
    }
}

/// The router holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the router is behind")]
pub(crate) struct Busy;

/// Why the router could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the thread in front of the router")]
    Thread(#[source] io::Error),
    #[error("cannot start the router")]
    Router(#[source] Failure),
    #[error("the thread in front of the router ended at once")]
    Ended,
}

/// The account since the start, and the state now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Messages accepted.
    pub(crate) accepted: u64,
    /// Calls of `Deliver`: one for each message and filter that matched.
    pub(crate) delivered: u64,
    /// Of the accepted messages, those that were matched without the router because it kept
    /// failing.
    pub(crate) bypassed: u64,
    /// Rebuilds because the router failed.
    pub(crate) failures: u64,
    /// Rebuilds because of what the router cannot forget.
    pub(crate) renewals: u64,
    /// Panics in `Deliver`, each of which cost one filter one message.
    pub(crate) delivery_panics: u64,
    /// Filters somebody holds.
    pub(crate) filters: u64,
    /// Filters that the router still knows and nobody holds.
    pub(crate) filters_dead: u64,
    /// Distinct topics that the router has seen.
    pub(crate) topics: u64,
    /// Messages accepted and not yet delivered to all their filters.
    pub(crate) queued_messages: u64,
    /// Their bytes, as they count against the bound.
    pub(crate) queued_bytes: u64,
}

/// The handle; every call may come from any thread.
pub(crate) struct Router {
    intake: Arc<Intake>,
    counters: Arc<Counters>,
    /// True when the thread in front of the router has finished.
    finished: watch::Receiver<bool>,
}

impl Router {
    /// Starts the router's thread and the one in front of it. Blocks until the router answers.
    pub(crate) fn start(
        settings: Settings,
        deliver: Arc<dyn Deliver>,
    ) -> Result<Router, StartError> {
        let intake = Arc::new(Intake::new(&settings));
        let counters = Arc::<Counters>::default();
        let (finish, finished) = watch::channel(false);
        let (started, start) = mpsc::sync_channel(1);
        let (owner_intake, owner_counters) = (Arc::clone(&intake), Arc::clone(&counters));
        thread::Builder::new()
            .name("router-owner".into())
            .spawn(move || {
                match Owner::new(settings, owner_intake, owner_counters, deliver) {
                    Ok(owner) => {
                        // Received below, unless `start` has panicked.
                        let _ = started.send(Ok(()));
                        owner.run();
                    }
                    Err(failure) => {
                        let _ = started.send(Err(StartError::Router(failure)));
                    }
                }
                finish.send_replace(true);
            })
            .map_err(StartError::Thread)?;
        start.recv().map_err(|_| StartError::Ended)??;
        Ok(Router {
            intake,
            counters,
            finished,
        })
    }

    /// Takes effect for every publish handed over after it returns. The filter must be a valid one.
    pub(crate) fn subscribe(&self, id: FilterId, filter: &str) {
        self.intake.command(Command::Subscribe(id, filter.into()));
    }

    /// Takes effect for every publish handed over after it returns; what was accepted before is
    /// still delivered.
    pub(crate) fn unsubscribe(&self, id: FilterId) {
        self.intake.command(Command::Unsubscribe(id));
    }

    /// Hands a message over. Never blocks. `Busy` when the bounds are reached, or after `shutdown`.
    pub(crate) fn publish(&self, message: &Arc<Message>) -> Result<(), Busy> {
        self.intake.publish(message)
    }

    /// Whether more subscriptions and their ends wait than should: whoever brings them is to wait
    /// until there is room.
    pub(crate) fn is_crowded(&self) -> bool {
        self.intake.is_crowded()
    }

    /// Whether there is room for further ones; if not, `waker` is woken once when there is plenty.
    pub(crate) fn has_room_for_filters(&self, waker: &Waker) -> bool {
        self.intake.has_room_for_filters(waker)
    }

    /// Wakes `waker` once when a publish that was refused may succeed; at once when none was.
    #[cfg(test)]
    pub(crate) fn wake_when_ready(&self, waker: &Waker) {
        self.intake.wake_when_ready(waker);
    }

    /// How many messages have been accepted.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn accepted(&self) -> u64 {
        self.intake.held().accepted
    }

    /// Whether the first `count` messages that were accepted have been delivered to every filter
    /// they match; if not, `waker` is woken once when they are.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_delivered(&self, count: u64, waker: &Waker) -> bool {
        self.intake.is_delivered(count, waker)
    }

    pub(crate) fn stats(&self) -> Stats {
        let held = self.intake.held();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            accepted: held.accepted,
            delivered: get(&self.counters.delivered),
            bypassed: get(&self.counters.bypassed),
            failures: get(&self.counters.failures),
            renewals: get(&self.counters.renewals),
            delivery_panics: get(&self.counters.delivery_panics),
            filters: get(&self.counters.filters),
            filters_dead: get(&self.counters.filters_dead),
            topics: get(&self.counters.topics),
            queued_messages: held.messages as u64,
            queued_bytes: held.bytes as u64,
        }
    }

    /// Accepts nothing more, delivers what was accepted, and ends both threads.
    pub(crate) async fn shutdown(&self) {
        self.intake.close();
        let mut finished = self.finished.clone();
        // An error means that the thread is gone, which is as good.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    /// Makes rumqttd misbehave, as it does when it is not guarded.
    #[cfg(any(test, fuzzing))]
    fn inject(&self, fault: poison::Fault) {
        self.intake.command(Command::Break(fault));
    }

    /// Lets rumqttd's thread stand still until what this returns is dropped.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn stall(&self) -> mpsc::Sender<()> {
        let (hold, until) = mpsc::channel();
        self.inject(poison::Fault::Hang(until));
        hold
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.intake.close();
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Written by the thread in front of the router alone.
#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    bypassed: AtomicU64,
    failures: AtomicU64,
    renewals: AtomicU64,
    delivery_panics: AtomicU64,
    filters: AtomicU64,
    filters_dead: AtomicU64,
    topics: AtomicU64,
}

#[cfg(panic = "abort")]
compile_error!("a router that panics is replaced, which needs panics that unwind");
