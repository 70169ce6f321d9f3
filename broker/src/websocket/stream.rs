//! A stream of bytes on top of WebSocket frames.
//!
//! Owns: what the socket did not take of a frame, and answers to Ping and Close. Never: sends
//! anything after a Close, or a control frame inside another frame. Invariant: bytes that a write
//! accepted leave as whole frames, in order, once `flush` is polled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{self, Control, Decoder, FrameError, status};

/// Bytes of one frame sent at most; a write of more becomes several.
const FRAME_BYTES: usize = 64 * 1024;
/// Unsent bytes, the end of a frame and answers to Pings, above which a client that does not read
/// them is not read either.
const UNSENT_BYTES_MAX: usize = FRAME_BYTES + 4 * 1024;

/// A WebSocket after its upgrade.
pub(crate) struct WebSocket<S> {
    stream: S,
    decoder: Decoder,
    /// Read together with the request, not decoded yet.
    early: Vec<u8>,
    /// Frames, or the end of one, that the socket did not take yet.
    unsent: Vec<u8>,
    close: Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// Open in both directions.
    None,
    /// A Close was sent or waits in `unsent`: nothing is read or written any more.
    Sent,
}

impl<S> WebSocket<S> {
    pub(super) fn new(stream: S, early: Vec<u8>) -> WebSocket<S> {
        WebSocket {
            stream,
            decoder: Decoder::default(),
            early,
            unsent: Vec::new(),
            close: Close::None,
        }
    }

    /// Decodes `bytes` in place; the length of the payload at their front.
    fn decode(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let WebSocket {
            decoder,
            unsent,
            close,
            ..
        } = self;
        let decoded = decoder.decode(bytes, |control| match control {
            Control::Ping(payload) => queue(unsent, frame::PONG, &payload),
            Control::Close(farewell) => {
                // The status comes back, without the reason. Section 5.5.1.
                queue(unsent, frame::CLOSE, farewell.get(..2).unwrap_or_default());
                *close = Close::Sent;
            }
        });
        decoded.map_err(|error: FrameError| {
            self.say_farewell(error.status);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })
    }

    /// Queues a Close unless there was one.
    fn say_farewell(&mut self, status: u16) {
        if self.close == Close::None {
            queue(&mut self.unsent, frame::CLOSE, &status.to_be_bytes());
            self.close = Close::Sent;
        }
    }
}

impl<S: AsyncWrite + Unpin> WebSocket<S> {
    /// Writes what the socket did not take before.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written == self.unsent.len() {
                self.unsent = Vec::new()
            } else {
                drop(self.unsent.drain(..written))
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            // Answers to Pings; the socket's readiness wakes this task when they do not fit.
            if this.poll_unsent(context)?.is_pending() && this.unsent.len() > UNSENT_BYTES_MAX {
                return Poll::Pending;
            }
            if this.close == Close::Sent || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let start = buffer.filled().len();
            if this.early.is_empty() {
                ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            } else {
                let taken = this.early.len().min(buffer.remaining());
                buffer.put_slice(&this.early[..taken]);
                this.early.drain(..taken);
            }
            let received = &mut buffer.filled_mut()[start..];
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let payload = match this.decode(received) {
                Ok(payload) => payload,
                Err(error) => {
                    buffer.set_filled(start);
                    return Poll::Ready(Err(error));
                }
            };
            buffer.set_filled(start + payload);
            if payload > 0 {
                // Best effort now; what is left is written with the next poll.
                let _ = this.poll_unsent(context)?;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.close == Close::Sent {
            // Nobody may hear it any more. Section 5.5.1.
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(this.poll_unsent(context))?;
        let payload = &bytes[..bytes.len().min(FRAME_BYTES)];
        if payload.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (header, used) = frame::binary_header(payload.len());
        let header = &header[..used];
        let parts = [IoSlice::new(header), IoSlice::new(payload)];
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, &parts))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        // A frame that was begun is accepted as a whole.
        this.unsent
            .extend_from_slice(header.get(written..).unwrap_or_default());
        this.unsent
            .extend_from_slice(&payload[written.saturating_sub(header.len())..]);
        Poll::Ready(Ok(payload.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Sends a Close, then ends the stream below; the client's own Close is not waited for.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_farewell(status::NORMAL);
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn queue(unsent: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let (header, used) = frame::header(opcode, payload.len());
    unsent.extend_from_slice(&header[..used]);
    unsent.extend_from_slice(payload);
}
