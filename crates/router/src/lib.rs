//! What the broker tells about itself, brought to wildcard subscribers by rumqttd's router.
//!
//! Owns: rumqttd's router thread, the one link to it, and the thread in front of it. Never: sees a
//! client, a packet id or an acknowledgement; blocks a publisher. Invariant: a message that
//! `publish` accepted is delivered once, in order, to each filter that was subscribed before and
//! still is, whatever happens to rumqttd.
//!
//! # What travels here
//!
//! Announcements of the broker itself (`$SYS/…`, `$clients/…`), for which no client waits. What
//! clients publish, and alerts, never did well here: the broker walks its trie of filters for every
//! publish anyway, and rumqttd found the same filters again two threads later. One subscriber of
//! `devices/+/telemetry` got 183,000 to 250,000 messages a second that way, and lost a quarter to a
//! half of them; an acknowledgement could not leave before the router had caught up. The trie is
//! also the only other matcher: `Outlet::matching` serves what rumqttd cannot.
//!
//! # How
//!
//! A message stays here; what rumqttd gets is its topic and a number of eight bytes, so the
//! router's logs never hold a payload or a client's name. Topics and filters get a prefix, since a
//! first character of several bytes makes rumqttd panic. All filters are subscriptions of one
//! link, told apart by MQTT 5 subscription identifiers: a link for each would cost 180 KB, and a
//! link that leaves can end the router's thread.
//!
//! Messages go in batches that are small enough for the shortest log, each followed by a marker, a
//! message to a topic of our own. When the marker is back, all matches of the batch are, and it is
//! delivered: all of it or, when rumqttd fails in the midst of it, none. Then the trie delivers it,
//! and everything else until a new router is started a second later.

mod link;
mod owner;
mod poison;
mod queue;
mod table;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub use self::link::Failure;
use self::owner::{Counters, Owner};
use self::queue::Queue;

/// Brings messages `M` to the filters, each of which has an `F` to deliver to. Every call may come
/// from any thread.
pub trait Router<F, M>: Send + Sync {
    /// Takes effect for every message published after it returns. The filter must be a valid one
    /// that is not subscribed.
    fn subscribe(&self, filter: &str, to: F);

    /// Afterwards nothing is published to the filter any more; what was accepted before may still
    /// come.
    fn unsubscribe(&self, filter: &str);

    /// Never blocks.
    fn publish(&self, topic: &Arc<str>, message: M) -> Result<(), Full>;

    fn stats(&self) -> Stats;

    /// Accepts nothing more and delivers what was accepted. Blocks until that is done.
    fn close(&self);
}

/// Where matched messages go, and who else can match.
pub trait Outlet<F, M>: Send + Sync + 'static {
    /// Called for each message and each filter that it matches, in the order of publishing, always
    /// on the same thread. Must not block.
    fn deliver(&self, filter: &F, message: &M);

    /// The filters that match the topic now, found without rumqttd.
    fn matching(&self, topic: &str) -> Vec<F>;
}

/// No more messages are accepted now, or ever after `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the router takes no more messages now")]
pub struct Full;

/// Why the router could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the thread in front of the router")]
    Thread(#[source] io::Error),
}

/// The account since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages accepted.
    pub accepted: u64,
    /// Messages that every filter has had.
    pub delivered: u64,
    /// The delivered messages that were matched without rumqttd.
    pub bypassed: u64,
    /// Routers given up because they failed.
    pub failures: u64,
    /// Routers replaced because of what they cannot forget.
    pub renewals: u64,
    /// Filters subscribed now.
    pub filters: usize,
}

/// rumqttd as the router.
pub struct Rumqttd<F, M> {
    queue: Arc<Queue<F, M>>,
    counters: Arc<Counters>,
}

impl<F, M> Rumqttd<F, M>
where
    F: Clone + Send + 'static,
    M: Send + 'static,
{
    /// Starts the thread in front of the router, which starts the router itself with the first
    /// message.
    pub fn start(outlet: Arc<dyn Outlet<F, M>>) -> Result<Rumqttd<F, M>, StartError> {
        Rumqttd::start_with(outlet, owner::HANG_AFTER)
    }

    fn start_with(
        outlet: Arc<dyn Outlet<F, M>>,
        hang_after: Duration,
    ) -> Result<Rumqttd<F, M>, StartError> {
        let queue = Arc::new(Queue::default());
        let counters = Arc::<Counters>::default();
        let owner = Owner::new(
            Arc::clone(&queue),
            Arc::clone(&counters),
            outlet,
            hang_after,
        );
        thread::Builder::new()
            .name("router-owner".into())
            .spawn(move || owner.run())
            .map_err(StartError::Thread)?;
        Ok(Rumqttd { queue, counters })
    }

    #[cfg(test)]
    fn inject(&self, fault: poison::Fault) {
        self.queue.inject(fault);
    }
}

impl<F, M> Router<F, M> for Rumqttd<F, M>
where
    F: Clone + Send + 'static,
    M: Send + 'static,
{
    fn subscribe(&self, filter: &str, to: F) {
        self.queue.subscribe(filter, to);
    }

    fn unsubscribe(&self, filter: &str) {
        self.queue.unsubscribe(filter);
    }

    fn publish(&self, topic: &Arc<str>, message: M) -> Result<(), Full> {
        self.queue.publish(topic, message)
    }

    fn stats(&self) -> Stats {
        self.counters.stats(self.queue.account())
    }

    fn close(&self) {
        self.queue.close();
        self.queue.wait_finished();
    }
}

impl<F, M> Drop for Rumqttd<F, M> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(panic = "abort")]
compile_error!("a router that panics is replaced, which needs panics that unwind");
