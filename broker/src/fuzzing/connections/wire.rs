//! The stream between the broker and a client that is a script.
//!
//! Owns: what lies between the two, and the order in which the broker read and wrote. Never:
//! understands a byte. Invariant: what the broker did is heard in the order in which it did it,
//! whether or not the client has taken it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::lock;

/// What the broker did with the stream.
pub(super) enum Heard {
    Read(Vec<u8>),
    Wrote(Vec<u8>),
}

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It sends nothing more, and still reads.
    Finished,
    /// The connection is lost.
    Lost,
}

/// One end for the broker, one for the script.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

struct State {
    to_broker: Vec<u8>,
    /// Bytes of a packet that was torn, which come with the next one.
    held_back: Vec<u8>,
    /// How many bytes of the next packet come alone.
    tear_at: Option<usize>,
    /// Bytes that the broker gets in one read at most.
    piece_bytes: usize,
    /// Bytes that the client still takes.
    room_bytes: usize,
    left: Option<Leave>,
    /// The broker writes nothing more.
    is_shut: bool,
    heard: Vec<Heard>,
    /// Grows with everything that the broker does.
    moves: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub(super) fn new() -> Wire {
        Wire(Arc::new(Mutex::new(State {
            to_broker: Vec::new(),
            held_back: Vec::new(),
            tear_at: None,
            piece_bytes: usize::MAX,
            room_bytes: usize::MAX,
            left: None,
            is_shut: false,
            heard: Vec::new(),
            moves: 0,
            reader: None,
            writer: None,
        })))
    }

    /// The client sends, after what a torn packet still owes.
    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = self.state();
        let mut all = std::mem::take(&mut state.held_back);
        let whole = all.len();
        all.extend_from_slice(bytes);
        if let Some(at) = state.tear_at.take() {
            state.held_back = all.split_off(all.len().min(whole + at));
        }
        state.to_broker.append(&mut all);
        wake(state.reader.take(), state);
    }

    /// Of the next packet so many bytes come alone, the rest with the one behind it.
    pub(super) fn tear_next(&self, at: usize) {
        self.state().tear_at = Some(at);
    }

    pub(super) fn read_in_pieces(&self, bytes: usize) {
        self.state().piece_bytes = bytes;
    }

    /// So many bytes the client takes from now on.
    pub(super) fn make_room(&self, bytes: usize) {
        let mut state = self.state();
        state.room_bytes = bytes;
        wake(state.writer.take(), state);
    }

    pub(super) fn leave(&self, how: Leave) {
        let mut state = self.state();
        state.left = Some(how);
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }

    /// What the broker did since this was last asked.
    pub(super) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.state().heard)
    }

    pub(super) fn moves(&self) -> usize {
        self.state().moves
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

fn wake(waker: Option<Waker>, state: MutexGuard<'_, State>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.state();
        if state.left == Some(Leave::Lost) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.to_broker.is_empty() && state.left.is_none() {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let length = state
            .to_broker
            .len()
            .min(state.piece_bytes)
            .min(buffer.remaining());
        let bytes: Vec<u8> = state.to_broker.drain(..length).collect();
        buffer.put_slice(&bytes);
        state.moves += 1;
        state.heard.push(Heard::Read(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state();
        assert!(!state.is_shut, "written behind the end");
        if state.left == Some(Leave::Lost) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(state.room_bytes);
        if length == 0 {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if state.room_bytes != usize::MAX {
            state.room_bytes -= length;
        }
        state.moves += 1;
        state.heard.push(Heard::Wrote(bytes[..length].to_vec()));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().is_shut = true;
        Poll::Ready(Ok(()))
    }
}
