//! The doors of the fuzz targets, and of the tests that replay their corpus: everything that parses
//! or judges bytes from outside.
//!
//! Owns: what must hold whatever the bytes are. Never: is part of the broker; it is compiled for
//! tests and fuzz targets alone.

mod connections;
mod disk;
mod journal;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub(crate) use self::disk::{HandDisk, copy_files};
pub(crate) use self::journal::HandJournal;
use crate::{proxy_protocol, retained, session_log, websocket};

/// A script of several clients, the disk and the clock.
pub fn connections(data: &[u8]) {
    connections::play(data);
}

/// Frames of a WebSocket client.
pub fn websocket_frames(data: &[u8]) {
    websocket::fuzzing::frames(data);
}

/// An HTTP request for a WebSocket.
pub fn websocket_request(data: &[u8]) {
    websocket::fuzzing::request(data);
}

/// Records of the log of kept sessions.
pub fn session_events(data: &[u8]) {
    session_log::fuzzing::events(data);
}

/// A record of the log of retained messages.
pub fn retained_record(data: &[u8]) {
    retained::fuzzing::record(data);
}

/// A PROXY header: no byte behind it is taken.
pub fn proxy_header(data: &[u8]) {
    let mut stream = data;
    let read = {
        let reading = pin!(proxy_protocol::read(&mut stream));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => unreachable!("a slice never has to be waited for"),
        }
    };
    if read.is_ok() {
        let length = usize::from(u16::from_be_bytes([data[14], data[15]]));
        assert_eq!(data.len() - stream.len(), 16 + length);
    }
}
