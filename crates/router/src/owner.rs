//! The thread in front of the router.
//!
//! Owns: the link, and when a router is given up and another one started. Never: is waited for by
//! a publisher. Invariant: a batch is delivered as a whole, by what the router found or by what
//! `Outlet::matching` finds.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rumqttd::protocol::Packet;
use tracing::{debug, error, warn};

use crate::link::{self, Failure, Heard, Link, Tag};
use crate::queue::{Account, Batch, Changes, Entry, Queue, Target};
use crate::table::Table;
use crate::{Outlet, Stats};

/// A router that has returned nothing for so long hangs.
pub(crate) const HANG_AFTER: Duration = Duration::from_secs(1);
/// It is measured in ticks, so that a process that was suspended is not mistaken for a router that
/// hangs.
const HANG_TICKS: u32 = 10;
/// How long `Outlet::matching` serves alone before another router is started.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A log drops its oldest entries when it is full, so a batch is no larger than the smallest log
/// that rumqttd makes. Each busy filter costs up to 20 KB of it.
const BATCH_BYTES_MAX: usize = link::SEGMENT_BYTES;
/// Filters that nobody holds and the router still knows, beyond the number of the others. Each
/// costs every message that matches it an append; a new router costs less than a millisecond and a
/// few microseconds a filter.
const DEAD_MAX: usize = 32;
/// Messages to a router before it is replaced. It never forgets a topic: some 400 bytes each.
const PUBLISHED_MAX: usize = 10_000;
/// The second marker behind a batch proves that all of it came back. rumqttd serves filters in the
/// order in which they got something to read, and reads all there is; but a filter whose read fills
/// the link's buffer re-enters at the tail with nothing to read. If that was the marker's own, it
/// may be ahead of filters with entries of this batch when the first marker comes, but all of them
/// are served before the next.
const MARKERS: u64 = 2;
/// How long the end of the router's thread is waited for at the end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    bypassed: AtomicU64,
    failures: AtomicU64,
    renewals: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self, account: Account) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            accepted: account.accepted,
            delivered: account.delivered,
            filters: account.filters,
            bypassed: get(&self.bypassed),
            failures: get(&self.failures),
            renewals: get(&self.renewals),
        }
    }
}

pub(crate) struct Owner<F, M> {
    queue: Arc<Queue<F, M>>,
    counters: Arc<Counters>,
    outlet: Arc<dyn Outlet<F, M>>,
    hang_after: Duration,
    /// `None`: there is no router, and none is started before `retry_at`.
    link: Option<Link>,
    retry_at: Instant,
    table: Table<F>,
    /// Messages that this router was given.
    published: usize,
    /// Markers that any router was given.
    markers: u64,
}

/// A message and a filter that match.
struct Match {
    number: u64,
    tag: Tag,
}

impl<F, M> Owner<F, M>
where
    F: Clone + 'static,
    M: 'static,
{
    pub(crate) fn new(
        queue: Arc<Queue<F, M>>,
        counters: Arc<Counters>,
        outlet: Arc<dyn Outlet<F, M>>,
        hang_after: Duration,
    ) -> Owner<F, M> {
        Owner {
            queue,
            counters,
            outlet,
            hang_after,
            link: None,
            retry_at: Instant::now(),
            table: Table::new(),
            published: 0,
            markers: 0,
        }
    }

    /// Serves until the queue is closed and all it held is delivered.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        // Also when this thread panics: then the broker serves everybody without it.
        let _finish = Finish(&queue);
        while let Some(mut batch) = queue.take(link::cost_bytes, BATCH_BYTES_MAX) {
            self.serve(&mut batch);
            queue.settle(batch.messages.len());
        }
        if let Some(mut link) = self.link.take() {
            link.stop();
            if !link.wait_ended(END_TIMEOUT) {
                warn!("the router's thread did not end");
            }
        }
    }

    fn serve(&mut self, batch: &mut Batch<F, M>) {
        match self.ask(batch) {
            Ok(Some(matches)) => self.deliver(&batch.messages, matches),
            Ok(None) => self.bypass(&batch.messages),
            Err(failure) => {
                self.give_up(&failure);
                self.bypass(&batch.messages);
            }
        }
    }

    /// What matches, as the router has it; `None`: there is no router.
    fn ask(&mut self, batch: &mut Batch<F, M>) -> Result<Option<Vec<Match>>, Failure> {
        let mut packets = Vec::new();
        if !self.must_start(batch.changes.is_none()) {
            self.change(batch.changes.iter().flatten(), &mut packets);
        } else if Instant::now() >= self.retry_at {
            self.start(&mut packets)?;
        }
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        #[cfg(test)]
        packets.extend(batch.fault.take().map(link::faulty));
        let messages = &batch.messages;
        packets.extend(
            messages
                .iter()
                .map(|entry| link::publish(&entry.topic, entry.number)),
        );
        self.published += messages.len();
        let mut matches = Vec::new();
        for _ in 0..MARKERS {
            self.markers += 1;
            packets.push(link::marker(self.markers));
            link.send(&mut packets)?;
            let mut waiting = Waiting::new(self.hang_after);
            loop {
                match waiting.hear(link, &self.queue)? {
                    Heard::Marker(number) if number == self.markers => break,
                    Heard::Marker(_) => return Err(Failure::Unknown),
                    Heard::Unschedule => link.ready()?,
                    Heard::Nothing => {}
                    Heard::Entry(entry) => {
                        self.table.check(&entry)?;
                        matches.push(Match {
                            number: entry.number,
                            tag: entry.tag,
                        });
                    }
                }
            }
        }
        matches.sort_by_key(|found| found.number);
        let is_known = |found: &Match| messages.iter().any(|entry| entry.number == found.number);
        let ends = [matches.first(), matches.last()];
        if !ends.into_iter().flatten().all(is_known) {
            return Err(Failure::Unknown);
        }
        Ok(Some(matches))
    }

    fn must_start(&self, too_many_changed: bool) -> bool {
        self.link.is_none()
            || too_many_changed
            || self.published > PUBLISHED_MAX
            || self.table.dead() > self.table.live() + DEAD_MAX
    }

    /// Starts a router in place of the present one, if there is one, that knows all filters.
    fn start(&mut self, packets: &mut Vec<Packet>) -> Result<(), Failure> {
        if let Some(mut old) = self.link.take() {
            debug!("replacing the router to free what nobody uses");
            self.counters.renewals.fetch_add(1, Ordering::Relaxed);
            old.stop();
        }
        self.link = Some(Link::connect()?);
        self.table = Table::new();
        self.published = 0;
        let all: Changes<F> = self.queue.filters();
        self.change(all.iter(), packets);
        Ok(())
    }

    fn change<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a (Box<str>, Option<Target<F>>)>,
        packets: &mut Vec<Packet>,
    ) {
        for (name, target) in changes {
            if let Some(tag) = self.table.change(name, target.clone()) {
                packets.push(link::subscribe(name, tag));
            }
        }
    }

    fn give_up(&mut self, failure: &Failure) {
        error!(
            reason = failure as &dyn std::error::Error,
            filters = self.table.live(),
            "rumqttd's router failed; matching without it until another one is started"
        );
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(mut link) = self.link.take() {
            link.stop();
        }
        self.table = Table::new();
        self.retry_at = Instant::now() + RETRY_AFTER;
    }

    fn deliver(&self, messages: &[Entry<M>], matches: Vec<Match>) {
        let first = messages.first().map_or(0, |first| first.number);
        for Match { number, tag } in matches {
            if let Some(target) = self.table.target(tag, number) {
                let message = &messages[(number - first) as usize].message;
                self.deliver_one(target, message);
            }
        }
    }

    fn bypass(&self, messages: &[Entry<M>]) {
        for entry in messages {
            self.counters.bypassed.fetch_add(1, Ordering::Relaxed);
            for target in self.outlet.matching(&entry.topic) {
                self.deliver_one(&target, &entry.message);
            }
        }
    }

    /// A panic in one subscriber's delivery must not be the end of everybody's.
    fn deliver_one(&self, target: &F, message: &M) {
        let deliver = || self.outlet.deliver(target, message);
        if panic::catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            error!("a delivery panicked; a filter misses one message");
        }
    }
}

/// Waits for the router, and notices when it is in vain.
struct Waiting {
    tick: Duration,
    silence: Duration,
    hang_after: Duration,
}

impl Waiting {
    fn new(hang_after: Duration) -> Waiting {
        Waiting {
            tick: hang_after / HANG_TICKS,
            silence: Duration::ZERO,
            hang_after,
        }
    }

    fn hear<F: Clone, M>(
        &mut self,
        link: &mut Link,
        queue: &Queue<F, M>,
    ) -> Result<Heard, Failure> {
        loop {
            let start = Instant::now();
            if let Some(heard) = link.hear(self.tick)? {
                self.silence = Duration::ZERO;
                return Ok(heard);
            }
            // No more than a tick, however long the process itself was stopped.
            self.silence += start.elapsed().min(self.tick);
            if self.silence >= self.hang_after {
                return Err(Failure::Hung);
            }
            if queue.is_overrun() {
                return Err(Failure::Behind);
            }
        }
    }
}

struct Finish<'a, F, M>(&'a Queue<F, M>);

impl<F, M> Drop for Finish<'_, F, M> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
