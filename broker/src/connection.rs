//! One connection's task: handshake, then bytes in and bytes out until it ends.
//!
//! Owns: the stream, an incomplete packet, unsent bytes. Never: understands a packet; that is
//! `Client`'s. Invariant: while the connection waits it holds no buffer, unless a packet is
//! incomplete or the peer does not read.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use crate::client::Client;
use crate::end::End;
use crate::gate::Gate;
use crate::handshake;
use crate::limits::UNSENT_BYTES_MAX;
use access::Peer;

/// Bytes read in one system call at most.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Rounds of sending and reading in one poll before other tasks get their turn.
const ROUNDS_PER_POLL: usize = 8;
/// How long the last bytes (a DISCONNECT with its reason) may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    /// Shared by all connections of a thread; borrowed only inside one poll.
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves one stream of MQTT bytes to its end; its CONNECT must be here by the deadline.
///
/// What an idle connection costs is this future and a `Connection`. So each stage is in a box of
/// its own, which is freed when the next begins: an `async fn` would keep room for all of them at
/// once.
pub(crate) fn serve<S>(
    gate: Arc<Gate>,
    stream: S,
    peer: Peer,
    deadline: Instant,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let establishing = Box::pin(Connection::establish(gate, stream, peer, deadline));
    async move {
        // A statement of its own, whose end frees that box; as a condition it would live as long as
        // the connection.
        let established = establishing.await;
        if let Some(mut connection) = established {
            let end = (&mut *connection).await;
            Box::pin(connection.farewell(end)).await;
        }
    }
}

struct Connection<S> {
    stream: S,
    client: Client,
    /// Received bytes that are not handled yet: an incomplete packet, or packets that wait until
    /// the client may go on.
    inbound: Vec<u8>,
    /// Bytes the socket did not take yet.
    unsent: Vec<u8>,
    /// Ends the pause of a client that was beyond its rate; only such a one has it.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let this = &mut *self;
        OUTPUT.with_borrow_mut(|output| {
            output.clear();
            let polled = INPUT.with_borrow_mut(|input| this.drive(context, input, output));
            // Whatever ends the connection, answers that are ready still leave (in `farewell`).
            this.unsent.extend_from_slice(output);
            if output.capacity() > 2 * UNSENT_BYTES_MAX {
                *output = Vec::new();
            }
            polled
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The connection of a client that was let in.
    async fn establish(
        gate: Arc<Gate>,
        mut stream: S,
        peer: Peer,
        deadline: Instant,
    ) -> Option<Box<Connection<S>>> {
        let Some((client, inbound)) = handshake::run(&gate, &mut stream, &peer, deadline).await
        else {
            gate.stats.connections_refused.add(1);
            // TLS and WebSockets have a word for the end, also for who never got in.
            let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
            return None;
        };
        Some(Box::new(Connection {
            stream,
            client,
            inbound,
            unsent: Vec::new(),
            pause: None,
        }))
    }

    fn drive(
        &mut self,
        context: &mut Context<'_>,
        input: &mut [u8],
        output: &mut Vec<u8>,
    ) -> Poll<End> {
        for _ in 0..ROUNDS_PER_POLL {
            if let Err(end) = self.client.resume(context.waker()) {
                return Poll::Ready(end);
            }
            if self.client.may_receive()
                && !self.inbound.is_empty()
                && !self.is_full(output)
                && let Err(end) = self.receive_waiting(context, output)
            {
                return Poll::Ready(end);
            }
            let held_back = !self.client.may_receive();
            // Without room nothing is asked for, so something may wait: nobody would wake us for it
            // again.
            let mut more = true;
            if !self.is_full(output) {
                match self.client.send(output, context.waker()) {
                    Ok(waits) => more = waits,
                    Err(end) => return Poll::Ready(end),
                }
            }
            match self.flush(context, output) {
                Poll::Ready(Ok(())) if more => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(End::Io(error)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            self.poll_pause(context);
            if held_back && self.client.may_receive() && !self.inbound.is_empty() {
                // Acknowledgements that left, or the end of a pause, made room for packets that are
                // here already: no byte may come after them.
                continue;
            }
            if !self.client.may_receive() || self.is_full(output) {
                return Poll::Pending;
            }
            if self.client.has_more_input {
                continue;
            }
            match ready!(self.read(context, input)) {
                Ok(0) => return Poll::Ready(End::Closed),
                Ok(length) => {
                    if let Err(end) = self.receive(context, &input[..length], output) {
                        return Poll::Ready(end);
                    }
                }
                Err(error) => return Poll::Ready(End::Io(error)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing more may be prepared before something has left.
    fn is_full(&self, output: &[u8]) -> bool {
        // Nothing may come between the head of a packet and its payload.
        self.client.payload.is_some() || self.unsent.len() + output.len() > UNSENT_BYTES_MAX
    }

    /// Lets the client be read again when its pause is over; else its end wakes this task.
    fn poll_pause(&mut self, context: &mut Context<'_>) {
        let Some(until) = self.client.paused_until else {
            return;
        };
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        if pause.as_mut().poll(context).is_ready() {
            self.pause = None;
            self.client.end_pause();
        }
    }

    fn read(&mut self, context: &mut Context<'_>, input: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(input);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Handles fresh bytes where they lie; only what is left over is copied.
    fn receive(
        &mut self,
        context: &mut Context<'_>,
        fresh: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), End> {
        self.client.session.heard(self.client.gate.clock.seconds());
        self.client
            .gate
            .stats
            .received_bytes
            .add(fresh.len() as u64);
        if !self.inbound.is_empty() {
            self.inbound.extend_from_slice(fresh);
            return self.receive_waiting(context, output);
        }
        let handled = self.client.receive(fresh, output, context.waker())?;
        self.inbound.extend_from_slice(&fresh[handled..]);
        Ok(())
    }

    fn receive_waiting(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), End> {
        let handled = self
            .client
            .receive(&self.inbound, output, context.waker())?;
        if handled == self.inbound.len() {
            self.inbound = Vec::new();
        } else {
            self.inbound.drain(..handled);
        }
        Ok(())
    }

    /// Writes what it can; the rest moves from `output` to `unsent`. Pending: the socket is full.
    fn flush(&mut self, context: &mut Context<'_>, output: &mut Vec<u8>) -> Poll<io::Result<()>> {
        if !self.unsent.is_empty() {
            self.unsent.append(output);
            let written = ready!(write_all(&mut self.stream, context, &mut &self.unsent[..]))?;
            self.client.gate.stats.sent_bytes.add(written as u64);
            if written == self.unsent.len() {
                self.unsent = Vec::new()
            } else {
                drop(self.unsent.drain(..written))
            }
        } else if !output.is_empty() {
            let mut rest = &output[..];
            let written = match write_all(&mut self.stream, context, &mut rest) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            self.client.gate.stats.sent_bytes.add(written as u64);
            self.unsent.extend_from_slice(&output[written..]);
            output.clear();
        }
        if !self.unsent.is_empty() {
            return Poll::Pending;
        }
        while let Some(payload) = &mut self.client.payload {
            let written = ready!(write_all(&mut self.stream, context, &mut &payload[..]))?;
            self.client.gate.stats.sent_bytes.add(written as u64);
            payload.advance(written);
            if payload.is_empty() {
                self.client.payload = None;
            }
        }
        // What is not a bare socket may hold back the end of what it accepted.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Lets the last answers and, where the version has one, a DISCONNECT leave, then closes.
    async fn farewell(self: Box<Self>, end: End) {
        let Connection {
            mut stream,
            mut client,
            unsent,
            ..
        } = *self;
        if let Some((visit, _)) = client.session.visit() {
            let client_id = &*client.session.client_id;
            debug!(client = client_id, peer = %visit.address, %end, "connection ended");
        }
        let payload = client.payload.take().unwrap_or_default();
        let mut last = Vec::new();
        client.finish(&end, &mut last);
        drop(client);
        let _ = tokio::time::timeout(FAREWELL, async {
            for bytes in [&unsent[..], &payload, &last] {
                stream.write_all(bytes).await?;
            }
            stream.shutdown().await
        })
        .await;
    }
}

/// Writes until everything is written or the socket is full; the number of bytes written. Pending
/// only when it is none.
fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    rest: &mut &[u8],
) -> Poll<io::Result<usize>> {
    let total = rest.len();
    while !rest.is_empty() {
        match Pin::new(&mut *stream).poll_write(context, rest) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => *rest = &rest[written..],
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if rest.len() == total => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(total - rest.len()))
}
