//! One MQTT connection of a publishing client, from its opening to its last acknowledgement.
//!
//! Owns: connecting with back-off, sending at the intended moments, acknowledgements, sending again
//! after a reconnect. Never: makes a message. Invariant: a message that was sent is counted exactly
//! once as acknowledged, failed or in flight, however often the server dies.

mod session;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::RngExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::pacer::Pacer;
use crate::Error;
use crate::fleet::Storms;
use crate::message::{Due, Message, Source};
use crate::report::{Counters, Expect, Recent, Tally};
use crate::wire::{self, Accepted, Broker, ConnectError, Opened, Stream, Window};

/// How long one attempt to connect may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before the second attempt; doubles up to the longest, and a random half is taken off so
/// that a fleet spreads out.
const BACK_OFF: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// Connections that one worker opens at the same time: below the usual accept backlogs, so that
/// none times out in one.
pub(crate) const OPENING_MAX: usize = 256;

/// What the connections of one worker share.
pub(crate) struct Shared {
    pub(crate) broker: Broker,
    pub(crate) clock: Clock,
    pub(crate) drain: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) duration: Option<Duration>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) expect: Option<Arc<Expect>>,
    pub(crate) recent: Option<Arc<Recent>>,
    pub(crate) tally: std::cell::RefCell<Tally>,
    pub(crate) pacer: Pacer,
    pub(crate) opening: Semaphore,
    /// Send nothing new, wait for what is outstanding.
    pub(crate) stop: CancellationToken,
    /// Whether any connection of the run has ever been accepted.
    pub(crate) accepted: Arc<AtomicBool>,
}

/// How one connection sends.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) client_id: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) inflight: u16,
    /// When it is opened, after the start of the run.
    pub(crate) opens_at: Duration,
    /// Messages due within this time are gathered into one write.
    pub(crate) gather: Duration,
}

pub(crate) struct Connection {
    shared: Rc<Shared>,
    /// Its number with the pacer.
    number: usize,
    manner: Manner,
    source: Box<dyn Source>,
    storms: Option<Storms>,
    window: Window,
    /// When it was first accepted: intended moments count from here.
    origin: Option<Instant>,
    /// Nothing is waited for beyond this moment.
    gives_up_at: Option<Instant>,
    stopping: bool,
    /// The server puts messages off until then.
    paused_until: Option<Instant>,
    filled_at: Option<Instant>,
    max_packet: usize,
    message: Message,
    /// Bytes to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    incoming: BytesMut,
    acknowledged_lines: Vec<u8>,
    last_write: Instant,
    ping_sent: Option<Instant>,
}

/// How a session ended.
enum End {
    /// Everything is acknowledged, or the time is up.
    Done,
    /// A reconnect storm broke it.
    Broken,
    Lost(ConnectError),
}

impl Connection {
    pub(crate) fn new(
        shared: Rc<Shared>,
        number: usize,
        manner: Manner,
        source: Box<dyn Source>,
        storms: Option<Storms>,
    ) -> Self {
        Self {
            number,
            window: Window::new(manner.inflight),
            manner,
            source,
            storms,
            origin: None,
            gives_up_at: None,
            stopping: false,
            paused_until: None,
            filled_at: None,
            max_packet: usize::MAX,
            message: Message::default(),
            out: Vec::new(),
            written: 0,
            incoming: BytesMut::new(),
            acknowledged_lines: Vec::new(),
            last_write: shared.clock.started,
            ping_sent: None,
            shared,
        }
    }

    /// Runs until everything is sent and settled, or given up; `abort` ends it at once.
    pub(crate) async fn run(mut self, abort: &CancellationToken) -> Result<(), Error> {
        let result = tokio::select! {
            result = self.serve() => result,
            () = abort.cancelled() => Ok(()),
        };
        self.settle_accounts();
        match self.source.take_error() {
            Some(error) => result.and(Err(Error::Source(error))),
            None => result,
        }
    }

    async fn serve(&mut self) -> Result<(), Error> {
        let opens_at = self.shared.clock.started + self.manner.opens_at;
        tokio::select! {
            () = tokio::time::sleep_until(opens_at.into()) => {}
            () = self.shared.stop.cancelled() => return Ok(()),
        }
        let mut failures = 0;
        let mut opened_before = false;
        loop {
            let attempt = Instant::now();
            match self.open().await {
                Ok((stream, accepted)) => {
                    failures = 0;
                    Counters::add(&self.shared.counters.reconnects, u64::from(opened_before));
                    opened_before = true;
                    self.shared
                        .tally
                        .borrow_mut()
                        .connect
                        .record(attempt.elapsed());
                    self.begin(accepted);
                    match self.session(stream).await {
                        End::Done => return Ok(()),
                        End::Broken => continue,
                        End::Lost(error) => {
                            let client_id = self.manner.client_id.as_str();
                            tracing::debug!(client_id, %error, "connection lost");
                        }
                    }
                }
                Err(error) => {
                    Counters::add(&self.shared.counters.connect_failures, 1);
                    failures += 1;
                    let waited = opens_at.elapsed() >= self.shared.connect_timeout;
                    if !self.shared.accepted.load(Relaxed) && (error.is_final() || waited) {
                        let address = self.shared.broker.address();
                        return Err(Error::Connect {
                            address,
                            source: error,
                        });
                    }
                    tracing::debug!(client_id = self.manner.client_id, %error, "cannot connect");
                }
            }
            if !self.back_off(failures).await {
                return Ok(());
            }
        }
    }

    /// Waits before the next attempt; false when there is nothing left to connect for.
    async fn back_off(&mut self, failures: u32) -> bool {
        let longest = BACK_OFF
            .saturating_mul(1 << failures.min(10))
            .min(BACK_OFF_MAX);
        let wait = longest.mul_f64(rand::rng().random_range(0.5..1.0));
        let until = Instant::now() + wait;
        loop {
            self.stopping |= self.shared.stop.is_cancelled();
            let now = Instant::now();
            self.set_deadline(now);
            if self.is_over(now) {
                return false;
            }
            if now >= until {
                return true;
            }
            let next = self
                .gives_up_at
                .map_or(until, |deadline| deadline.min(until));
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.shared.stop.cancelled(), if !self.stopping => {}
            }
        }
    }

    async fn open(&mut self) -> Result<(Stream, Accepted), ConnectError> {
        // Closed only when the worker has ended.
        let shared = Rc::clone(&self.shared);
        let _permit = shared.opening.acquire().await;
        let limit = ATTEMPT_TIMEOUT.min(shared.connect_timeout);
        let Opened {
            stream,
            accepted,
            incoming,
        } = wire::open(&shared.broker, &self.manner.client_id, limit).await?;
        if accepted.max_qos < self.manner.qos {
            let (allowed, wanted) = (accepted.max_qos, self.manner.qos);
            return Err(ConnectError::Qos { allowed, wanted });
        }
        self.incoming = incoming;
        self.out.clear();
        self.written = 0;
        Ok((stream, accepted))
    }

    /// The server has accepted the connection.
    fn begin(&mut self, accepted: Accepted) {
        self.shared.accepted.store(true, Relaxed);
        let now = Instant::now();
        if self.origin.is_none() {
            self.origin = Some(now);
            self.source.start(self.shared.clock.wall_us(now));
        }
        while let Some(storms) = &mut self.storms
            && storms
                .next()
                .is_some_and(|next| self.shared.clock.started + next <= now)
        {
            storms.advance();
        }
        self.max_packet = accepted.max_packet;
        self.window
            .set_limit(self.manner.inflight.min(accepted.receive_max).into());
        self.last_write = now;
        self.ping_sent = None;
        self.paused_until = None;
        let resent = self.window.resend(&mut self.out);
        Counters::add(&self.shared.counters.resent, resent);
    }

    /// When the next message is due; `None` when there is none.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.stopping {
            return None;
        }
        let origin = self.origin?;
        let elapsed = now.saturating_duration_since(origin);
        let (offset, moment) = match self.source.due() {
            Due::At(offset) => (offset, origin.checked_add(offset)?),
            Due::Now => (elapsed, now),
            Due::Never => return None,
        };
        self.shared
            .duration
            .is_none_or(|duration| offset < duration)
            .then_some(moment)
    }

    /// Whether nothing is left to be sent.
    fn is_exhausted(&mut self, now: Instant) -> bool {
        self.stopping || (self.origin.is_some() && self.due(now).is_none())
    }

    fn is_over(&mut self, now: Instant) -> bool {
        self.gives_up_at.is_some_and(|deadline| now >= deadline)
            || (self.is_exhausted(now) && self.window.len() == 0)
    }

    /// Sets the moment beyond which nothing is waited for, once it is known.
    fn set_deadline(&mut self, now: Instant) {
        let by_duration = self.shared.duration.map(|duration| {
            let start = self
                .origin
                .unwrap_or(self.shared.clock.started + self.manner.opens_at);
            start + duration + self.shared.drain
        });
        let ends_now = self
            .gives_up_at
            .is_none_or(|deadline| deadline > now + self.shared.drain)
            && self.is_exhausted(now);
        let by_end = ends_now.then(|| now + self.shared.drain);
        self.gives_up_at = [self.gives_up_at, by_duration, by_end]
            .into_iter()
            .flatten()
            .min();
    }

    /// Counts what is left, once, at the very end.
    fn settle_accounts(&mut self) {
        let mut tally = self.shared.tally.borrow_mut();
        tally.in_flight += self.window.len() as u64;
        tally.unsent += self.source.left().unwrap_or(0);
        if let Some(expect) = &self.shared.expect {
            for message in self.window.unacknowledged() {
                expect.unacknowledged(&message.lines);
            }
        }
    }
}
