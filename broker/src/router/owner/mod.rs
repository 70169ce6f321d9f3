//! The thread in front of the router.
//!
//! Owns: the link, and the order of everything that happens on it; supervision and rebuilding.
//! Never: is waited for by a publisher. Invariant: while something is on its way through the
//! router, a marker is, so its return wakes this thread.

mod rebuild;

#[cfg(test)]
pub(super) use self::rebuild::DEAD_MAX;

use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rumqttd::protocol::Packet;
use tracing::{error, warn};

use super::intake::{Command, Held, Intake};
use super::laps::{Before, Laps};
use super::link::{self, Entry, Failure, Heard, Link};
use super::table::Table;
use super::topics::Topics;
use super::window::Window;
use super::{Counters, Deliver, FilterId, Settings};
use crate::message::Message;

/// What the logs of all filters may hold together, as rumqttd counts: topic, number and 4. It takes
/// eight to ten times that in memory: 33 MB resident with 64 busy filters, 38 MB with 1,000; beyond
/// 4,096 filters the least segment adds 28 KB for each further busy one (bench
/// `memory_of_busy_filters`).
const LOGS_BYTES: usize = 4 << 20;
/// More than this in flight does not make it faster: some 1,500 messages.
const SEGMENT_BYTES_MAX: usize = 64 << 10;
/// rumqttd takes no less.
const SEGMENT_BYTES_MIN: usize = 1 << 10;
/// The router is sized for at least so many filters.
const CAPACITY_MIN: usize = 64;
/// Subscriptions sent between two markers: with many topics known, each takes the router
/// milliseconds, and a router that gets on must not look as if it hangs.
const LINKS_MAX: usize = 64;
/// Notifications handled before the router is given more to do.
const HEARD_MAX: usize = 1_024;
/// Ticks in `Settings::hang_after`.
const HANG_TICKS: u32 = 10;
/// How long the end of the router's thread is waited for at shutdown.
const END_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Owner {
    settings: Settings,
    intake: Arc<Intake>,
    counters: Arc<Counters>,
    deliver: Arc<dyn Deliver>,
    link: Link,
    laps: Laps,
    table: Table,
    window: Window,
    topics: Topics,
    /// Taken from the intake, in order, and not yet begun.
    backlog: VecDeque<Command>,
    /// Nothing more will come.
    closed: bool,
    /// Delivered, and not yet given back to the intake.
    released: Held,
    /// Subscriptions sent that no marker has confirmed.
    links_in_flight: usize,
    /// Filters of the router before this one that it has yet to learn.
    links_again: usize,
    /// Filters, live and dead, for which this router's logs are sized.
    capacity: usize,
    /// The newest message when this router was started.
    last_at_rebuild: u64,
    /// Time spent waiting for a marker in which nothing at all came back.
    silence: Duration,
    /// Failures since `confirmed_at_failure` was last seen to move.
    attempts: u32,
    confirmed_at_failure: u64,
    /// Reused by every `feed`.
    batch: Vec<Packet>,
    published: u64,
}

impl Owner {
    /// Starts the first router. To be called on the thread that will `run`.
    pub(super) fn new(
        settings: Settings,
        intake: Arc<Intake>,
        counters: Arc<Counters>,
        deliver: Arc<dyn Deliver>,
    ) -> Result<Owner, Failure> {
        intake.attach();
        let segment_bytes = segment_bytes(CAPACITY_MIN);
        Ok(Owner {
            settings,
            intake,
            counters,
            deliver,
            link: Link::connect(segment_bytes)?,
            laps: Laps::new(0),
            table: Table::new(),
            window: Window::new(segment_bytes),
            topics: Topics::default(),
            backlog: VecDeque::new(),
            closed: false,
            released: Held::default(),
            links_in_flight: 0,
            links_again: 0,
            capacity: CAPACITY_MIN,
            last_at_rebuild: 0,
            silence: Duration::ZERO,
            attempts: 0,
            confirmed_at_failure: 0,
            batch: Vec::new(),
            published: 0,
        })
    }

    /// Serves until the intake is closed and all it held is delivered.
    pub(super) fn run(mut self) {
        loop {
            match panic::catch_unwind(AssertUnwindSafe(|| self.serve())) {
                Ok(Ok(())) => break,
                Ok(Err(failure)) => self.recover(&failure),
                Err(_) => self.recover(&Failure::OwnerPanicked),
            }
        }
        self.link.stop();
        if !self.link.wait_ended(END_TIMEOUT) {
            warn!("the router's thread did not end");
        }
    }

    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            self.closed = !self.intake.take(&mut self.backlog);
            if self.closed && self.is_finished() {
                self.settle();
                return Ok(());
            }
            self.feed()?;
            let heard = self.listen()?;
            self.settle();
            if self.must_renew() {
                self.renew();
            } else if !heard {
                self.rest()?;
            }
        }
    }

    /// Gives the router as much as it may have.
    fn feed(&mut self) -> Result<(), Failure> {
        let mut batch = mem::take(&mut self.batch);
        let confirmed = self.window.confirmed();
        // First in what the router takes at once: it would bring a filter back to life that is
        // unsubscribed behind a message which matches it.
        if self.can_retire() {
            self.table
                .retire(confirmed, |name| batch.push(link::unsubscribe(name)));
        }
        self.fill(&mut batch);
        let in_flight = self.window.is_in_flight() || self.links_in_flight > 0;
        if self.laps.is_idle() && (!batch.is_empty() || in_flight) {
            let before = Before {
                sequence: self.window.published(),
                links: self.links_in_flight,
            };
            let number = self.laps.start(before);
            batch.push(self.link.marker(number));
        }
        let result = self.link.send(&mut batch);
        self.batch = batch;
        result
    }

    fn can_retire(&self) -> bool {
        self.table.can_retire(self.window.confirmed()) && self.link.is_taken()
    }

    /// The one order in which things happen: filters before the messages that were published after
    /// them.
    fn fill(&mut self, batch: &mut Vec<Packet>) {
        loop {
            while self.table.has_unlinked() {
                if self.links_in_flight == LINKS_MAX {
                    return;
                }
                if let Some((tag, name)) = self.table.link_next() {
                    batch.push(link::subscribe(name, tag));
                    self.links_in_flight += 1;
                    self.links_again = self.links_again.saturating_sub(1);
                }
            }
            if let Some((sequence, message)) = self.window.publish_next() {
                let topic = self.topics.share(&message.topic);
                batch.push(self.link.publish(topic, sequence));
                self.published += 1;
                let panics = self.settings.panic_every;
                if panics.is_some_and(|every| self.published.is_multiple_of(every.get())) {
                    batch.push(link::panicking());
                }
                continue;
            }
            if self.window.has_unpublished() {
                return;
            }
            match self.backlog.pop_front() {
                None => return,
                #[cfg(any(test, fuzzing))]
                Some(Command::Break(fault)) => batch.push(match fault {
                    #[cfg(test)]
                    super::poison::Fault::Panic => link::panicking(),
                    super::poison::Fault::Hang(until) => link::hanging(until),
                }),
                Some(command) => self.begin(command),
            }
        }
    }

    fn begin(&mut self, command: Command) {
        let last = self.window.last();
        if matches!(command, Command::Subscribe(..) | Command::Unsubscribe(_)) {
            self.released.filters += 1;
        }
        match command {
            // The last filter left while it was on its way here.
            Command::Publish(message) if self.table.is_empty() => self.released.add(&message),
            Command::Publish(message) => self.window.admit(message),
            Command::Subscribe(id, filter) => self.table.subscribe(id, &filter, last),
            Command::Unsubscribe(id) => self.table.unsubscribe(id, last),
            #[cfg(any(test, fuzzing))]
            Command::Break(_) => {}
        }
    }

    /// Handles what the router returned; false when that was nothing.
    fn listen(&mut self) -> Result<bool, Failure> {
        for heard in 0..HEARD_MAX {
            match self.link.hear()? {
                Some(notification) => self.handle(notification)?,
                None => return Ok(heard > 0),
            }
        }
        Ok(true)
    }

    fn handle(&mut self, heard: Heard) -> Result<(), Failure> {
        self.silence = Duration::ZERO;
        self.laps.observe(matches!(heard, Heard::Unschedule));
        match heard {
            Heard::Entry(entry) => self.entry(&entry),
            Heard::Marker(number) => {
                let read = self.laps.returned(number).ok_or(Failure::Unknown)?;
                self.links_in_flight -= read.links;
                self.window.confirm(read.sequence, &mut self.released);
                Ok(())
            }
            Heard::Unschedule => self.link.ready(),
            Heard::Nothing => Ok(()),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        for filter in self.table.receive(entry)? {
            let message = self.window.get(entry.sequence).ok_or(Failure::Unknown)?;
            deliver(&*self.deliver, &self.counters, filter, message);
        }
        Ok(())
    }

    /// Gives places back to the publishers, and shows the state.
    fn settle(&mut self) {
        if self.released != Held::default() {
            self.intake.release(mem::take(&mut self.released));
        }
        let set = |gauge: &AtomicU64, value: usize| gauge.store(value as u64, Ordering::Relaxed);
        set(&self.counters.filters, self.table.live());
        set(&self.counters.filters_dead, self.table.dead());
        set(&self.counters.topics, self.topics.len());
    }

    fn is_finished(&self) -> bool {
        self.backlog.is_empty() && self.window.is_empty()
    }

    /// Sleeps until there is something to do.
    fn rest(&mut self) -> Result<(), Failure> {
        if self.can_retire() {
            return Ok(());
        }
        // While the router has all it may have, what is handed over can wait until it returns
        // something.
        let full = !self.backlog.is_empty() || self.window.has_unpublished();
        if !full && !self.intake.prepare_sleep(self.closed) {
            return Ok(());
        }
        if self.laps.is_idle() {
            return match self.link.sleep(None)? {
                Some(heard) => self.handle(heard),
                None => Ok(()),
            };
        }
        let tick = self.settings.hang_after / HANG_TICKS;
        let start = Instant::now();
        if let Some(heard) = self.link.sleep(Some(tick))? {
            return self.handle(heard);
        }
        // No more than a tick, however long the process itself was stopped.
        self.silence += start.elapsed().min(tick);
        if self.silence >= self.settings.hang_after {
            Err(Failure::Hung)
        } else {
            Ok(())
        }
    }
}

/// A panic in one subscriber's fan-out must not be the end of everybody's.
fn deliver(to: &dyn Deliver, counters: &Counters, filter: FilterId, message: &Arc<Message>) {
    counters.delivered.fetch_add(1, Ordering::Relaxed);
    if panic::catch_unwind(AssertUnwindSafe(|| to.deliver(filter, message))).is_err() {
        counters.delivery_panics.fetch_add(1, Ordering::Relaxed);
        error!(
            filter = filter.0,
            "a delivery panicked; the filter misses one message"
        );
    }
}

/// The size of the logs' segments, and so what may be in flight, of a router for that many filters.
fn segment_bytes(capacity: usize) -> usize {
    (LOGS_BYTES / capacity).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
}
