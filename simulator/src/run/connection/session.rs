//! A connection while it is open: fill, flush, receive, wait.
//!
//! Owns: the loop over one socket. Never: opens one. Invariant: what is due is written with as few
//! system calls as the window allows, and nothing here waits while there is something to do.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Connection, End};
use crate::report::Counters;
use crate::wire::{self, ConnectError, Incoming, Stream, Verdict};

/// Bytes that may wait to be written before no further message is made.
const OUT_MAX_BYTES: usize = 128 * 1024;
/// Reads in a row before the connection writes again.
const READS_MAX: usize = 8;
/// How long a connection holds back after the server put a message off.
const PAUSE: Duration = Duration::from_millis(100);

impl Connection {
    pub(super) async fn session(&mut self, mut stream: Stream) -> End {
        let counters = self.shared.counters.clone();
        Counters::add(&counters.connected, 1);
        let end = self.talk(&mut stream).await;
        counters
            .connected
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        end
    }

    async fn talk(&mut self, stream: &mut Stream) -> End {
        loop {
            let now = Instant::now();
            self.stopping |= self.shared.stop.is_cancelled();
            self.fill(now);
            let is_sent = match self.flush(stream).await {
                Ok(is_sent) => is_sent,
                Err(error) => return End::Lost(error.into()),
            };
            self.set_deadline(now);
            let time_is_up = self.gives_up_at.is_some_and(|deadline| now >= deadline);
            if time_is_up || (is_sent && self.is_over(now)) {
                self.leave(stream).await;
                return End::Done;
            }
            if self.storm_at().is_some_and(|storm| now >= storm) {
                return End::Broken;
            }
            if let Err(error) = self.keep_alive(now) {
                return End::Lost(error);
            }
            if let Err(error) = self.wait(stream, now, is_sent).await {
                return End::Lost(error);
            }
        }
    }

    /// Waits until there is something to do, and takes in what the server says.
    async fn wait(
        &mut self,
        stream: &mut Stream,
        now: Instant,
        is_sent: bool,
    ) -> Result<(), ConnectError> {
        let wake_at = self.wake_at(now);
        if wake_at.is_some_and(|wake_at| wake_at <= now) {
            // Other connections of this worker have their turn, and the loop goes on.
            tokio::task::yield_now().await;
            return poll_fn(|context| match self.poll_receive(stream, context) {
                Poll::Pending => Poll::Ready(Ok(())),
                received => received,
            })
            .await;
        }
        let shared = self.shared.clone();
        let (number, is_stopping) = (self.number, self.stopping);
        tokio::select! {
            biased;
            exchanged = poll_fn(|context| {
                if !is_sent && self.poll_flush(stream, context)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                self.poll_receive(stream, context)
            }) => exchanged?,
            () = shared.pacer.until(number, wake_at) => {}
            () = shared.stop.cancelled(), if !is_stopping => {}
        }
        Ok(())
    }

    /// The next moment at which there is something to do without the server.
    fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let keep_alive = self.shared.broker.keep_alive;
        let ping = match self.ping_sent {
            _ if keep_alive.is_zero() => None,
            Some(sent) => Some(sent + keep_alive),
            None => Some(self.last_write + ping_after(keep_alive)),
        };
        let message = if self.can_fill() {
            self.next_fill(now)
        } else {
            None
        };
        let end = self
            .origin
            .zip(self.shared.duration)
            .map(|(origin, duration)| origin + duration);
        // Past ends are behind us: the deadline speaks for them.
        let end = end.filter(|end| *end > now);
        [message, ping, end, self.gives_up_at, self.storm_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next message is to be written, gathered with its neighbours.
    fn next_fill(&mut self, now: Instant) -> Option<Instant> {
        let due = if self.window.wants_again() {
            Some(now)
        } else {
            self.due(now)
        }?;
        let gathered = self
            .filled_at
            .map_or(due, |last| due.max(last + self.manner.gather));
        Some(
            self.paused_until
                .map_or(gathered, |until| gathered.max(until)),
        )
    }

    fn can_fill(&self) -> bool {
        self.out.len() - self.written < OUT_MAX_BYTES
            && (self.manner.qos == 0 || self.window.has_room())
    }

    fn storm_at(&self) -> Option<Instant> {
        let next = self.storms.as_ref()?.next()?;
        self.shared.clock.started.checked_add(next)
    }

    /// Makes and encodes every message that is due, as far as the window allows.
    fn fill(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        let gathering = self
            .filled_at
            .is_some_and(|last| now < last + self.manner.gather);
        if gathering && !self.manner.gather.is_zero() {
            return;
        }
        let mut sent = 0;
        while self.can_fill() {
            if let Some(packet) = self.window.push_again() {
                self.out.extend_from_slice(packet.bytes());
                continue;
            }
            let Some(intended) = self.due(now).filter(|due| *due <= now) else {
                break;
            };
            self.filled_at = Some(now);
            self.message.clear();
            let elapsed = self.origin.map_or(Duration::ZERO, |origin| now - origin);
            self.source.next(elapsed, &mut self.message);
            for copy in 0..self.message.copies {
                self.send(intended, copy);
                sent += 1;
            }
        }
        if sent > 0 {
            Counters::add(&self.shared.counters.sent, sent);
            self.shared.tally.borrow_mut().first_sent.get_or_insert(now);
        }
    }

    /// Encodes the message at hand. A second copy carries no lines: its samples are written once.
    fn send(&mut self, intended: Instant, copy: u8) {
        let mut message = self.window.take_spare(intended);
        message.samples = if copy == 0 { self.message.samples } else { 0 };
        if copy == 0 {
            std::mem::swap(&mut message.lines, &mut self.message.lines);
            if let Some(recent) = &self.shared.recent {
                recent.note(self.message.device, self.message.time_us, intended);
            }
        }
        message.packet.encode(
            self.shared.broker.version,
            self.manner.qos,
            self.manner.retain,
            &self.message.topic,
            &self.message.payload,
        );
        if message.packet.bytes().len() > self.max_packet {
            self.shared
                .tally
                .borrow_mut()
                .refusal
                .get_or_insert("larger than the server takes");
            Counters::add(&self.shared.counters.failed, 1);
            self.window.give_spare(message);
        } else if self.manner.qos == 0 {
            self.out.extend_from_slice(message.packet.bytes());
            if let Some(expect) = &self.shared.expect {
                expect.unacknowledged(&message.lines);
            }
            self.window.give_spare(message);
        } else if self.window.has_room() {
            self.out
                .extend_from_slice(self.window.push(message).bytes());
        } else {
            self.window.queue(message);
        }
    }

    /// Sends what the socket takes now; returns whether that was everything.
    async fn flush(&mut self, stream: &mut Stream) -> io::Result<bool> {
        poll_fn(|context| {
            Poll::Ready(match self.poll_flush(stream, context) {
                Poll::Ready(sent) => sent.map(|()| true),
                Poll::Pending => Ok(false),
            })
        })
        .await
    }

    fn poll_flush(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let before = self.written;
        let sent = stream.poll_send(context, &self.out, &mut self.written);
        if self.written > before {
            self.last_write = Instant::now();
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        sent
    }

    /// Takes leave, as far as the socket takes it; the server does not answer.
    async fn leave(&mut self, stream: &mut Stream) {
        wire::write_disconnect(&mut self.out);
        // A server that has gone needs no farewell.
        if self.flush(stream).await.is_ok() {
            let _ = poll_fn(|context| Poll::Ready(stream.poll_end(context))).await;
        }
    }

    /// Pings an idle connection; a ping without an answer within the keep-alive is a dead server.
    fn keep_alive(&mut self, now: Instant) -> Result<(), ConnectError> {
        let keep_alive = self.shared.broker.keep_alive;
        if keep_alive.is_zero() {
            return Ok(());
        }
        if self.ping_sent.is_some_and(|sent| now >= sent + keep_alive) {
            return Err(ConnectError::Timeout(keep_alive));
        }
        if self.ping_sent.is_none() && now >= self.last_write + ping_after(keep_alive) {
            wire::write_ping(&mut self.out);
            self.ping_sent = Some(now);
            self.last_write = now;
        }
        Ok(())
    }

    /// Reads what is there and acts on it; ready when there was something.
    fn poll_receive(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectError>> {
        let mut received = Poll::Pending;
        for _ in 0..READS_MAX {
            if stream
                .poll_receive(context, &mut self.incoming)?
                .is_pending()
            {
                break;
            }
            self.take_in()?;
            received = Poll::Ready(Ok(()));
        }
        received
    }

    /// Handles the packets that have arrived.
    fn take_in(&mut self) -> Result<(), ConnectError> {
        let shared = self.shared.clone();
        let mut tally = shared.tally.borrow_mut();
        let now = Instant::now();
        let (mut acknowledged, mut samples) = (0, 0);
        let outcome = loop {
            let packet = match wire::read(&mut self.incoming, shared.broker.version) {
                Ok(Some(packet)) => packet,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            match packet {
                Incoming::PubAck(id, Verdict::Taken) | Incoming::PubComp(id) => {
                    if let Some(message) = self.window.settle(id) {
                        acknowledged += 1;
                        samples += u64::from(message.samples);
                        tally
                            .puback
                            .record(now.saturating_duration_since(message.intended));
                        self.acknowledged_lines.append(&mut message.lines);
                    }
                }
                Incoming::PubRec(id, Verdict::Taken) => {
                    if self.window.release(id) {
                        wire::write_pubrel(&mut self.out, id);
                    }
                }
                Incoming::PubAck(id, Verdict::Later) | Incoming::PubRec(id, Verdict::Later) => {
                    self.window.put_off(id);
                    self.paused_until = Some(now + PAUSE);
                    Counters::add(&shared.counters.put_off, 1);
                }
                Incoming::PubAck(id, Verdict::Refused(why))
                | Incoming::PubRec(id, Verdict::Refused(why)) => {
                    if let Some(message) = self.window.settle(id) {
                        tally.refusal.get_or_insert(why);
                        Counters::add(&shared.counters.failed, 1);
                        if let Some(expect) = &shared.expect {
                            expect.unacknowledged(&message.lines);
                        }
                    }
                }
                Incoming::PingResp => self.ping_sent = None,
                Incoming::Disconnect(why) => break Err(ConnectError::Refused(why)),
                Incoming::Accepted(_)
                | Incoming::Unavailable
                | Incoming::Refused(_)
                | Incoming::Other => {}
            }
        };
        self.window.reclaim();
        if acknowledged > 0 {
            tally.last_acknowledged = Some(now);
            Counters::add(&shared.counters.acknowledged, acknowledged);
            Counters::add(&shared.counters.samples, samples);
        }
        if let Some(expect) = &shared.expect {
            expect.acknowledged(&self.acknowledged_lines);
            self.acknowledged_lines.clear();
        }
        outcome
    }
}

/// When an idle connection pings: early enough that the server sees it within the keep-alive.
fn ping_after(keep_alive: Duration) -> Duration {
    keep_alive * 3 / 4
}
