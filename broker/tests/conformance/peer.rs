//! One socket to the broker: packets out, packets in, nothing understood.
//!
//! Owns: the bytes that were read and not asked for yet. Invariant: a packet comes out whole,
//! however the stream cut it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use testkit::PATIENCE;

use crate::notation::read_length;
use crate::websocket::{self, Content};

pub(crate) struct Peer {
    stream: TcpStream,
    /// Bytes of packets.
    buffer: Vec<u8>,
    /// Bytes of frames that are not complete yet, over WebSocket.
    frames: Option<Vec<u8>>,
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    Packet(Vec<u8>),
    Closed,
    Nothing,
}

impl Peer {
    pub(crate) fn open(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Peer {
            stream,
            buffer: Vec::new(),
            frames: None,
        }
    }

    /// Opens a WebSocket, for which the server must have chosen the sub-protocol `mqtt`.
    pub(crate) fn open_websocket(address: SocketAddr) -> Result<Peer, String> {
        let mut peer = Peer::open(address);
        let (head, rest) = websocket::upgrade(&mut peer.stream)?;
        let chosen = head.lines().any(|line| {
            line.split_once(": ").is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("sec-websocket-protocol") && value == "mqtt"
            })
        });
        if !head.starts_with("HTTP/1.1 101 ") || !chosen {
            return Err(format!("was answered {head}"));
        }
        peer.frames = Some(rest);
        Ok(peer)
    }

    /// An error is the broker's having closed already, which the next `receive` tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = match self.frames {
            None => self.stream.write_all(bytes),
            Some(_) => {
                let frame = websocket::frame(websocket::BINARY, bytes);
                self.stream.write_all(&frame)
            }
        };
    }

    /// Sends the bytes in a text frame.
    pub(crate) fn send_text(&mut self, bytes: &[u8]) {
        let frame = websocket::frame(websocket::TEXT, bytes);
        let _ = self.stream.write_all(&frame);
    }

    pub(crate) fn receive(&mut self) -> Arrival {
        let deadline = Instant::now() + PATIENCE;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(packet) = self.take_packet() {
                return Arrival::Packet(packet);
            }
            match self.take_frame() {
                Some(Content::Binary(bytes)) => {
                    self.buffer.extend_from_slice(&bytes);
                    continue;
                }
                Some(Content::Close) => return Arrival::Closed,
                Some(Content::Other(first_byte)) => return Arrival::Packet(vec![first_byte]),
                None => {}
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Arrival::Closed,
                Ok(read) => {
                    let into = self.frames.as_mut().unwrap_or(&mut self.buffer);
                    into.extend_from_slice(&chunk[..read]);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Arrival::Closed,
                Err(_) if Instant::now() >= deadline => return Arrival::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Arrival::Nothing,
            }
        }
    }

    /// Ends the connection as a broken network does, and waits until the broker has seen it.
    pub(crate) fn drop_connection(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        while matches!(self.receive(), Arrival::Packet(_)) {}
    }

    fn take_frame(&mut self) -> Option<Content> {
        websocket::take(self.frames.as_mut()?)
    }

    fn take_packet(&mut self) -> Option<Vec<u8>> {
        let (length, header) = read_length(self.buffer.get(1..)?)?;
        let end = 1 + header + length;
        (self.buffer.len() >= end).then(|| self.buffer.drain(..end).collect())
    }
}
