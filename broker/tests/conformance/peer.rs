//! One socket to the broker: packets out, packets in, nothing understood.
//!
//! Owns: the bytes that were read and not asked for yet. Invariant: a packet comes out whole, however the stream cut it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::notation::read_length;

/// Far more than anything here takes; a case that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
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
        }
    }

    /// An error is the broker's having closed already, which the next `receive` tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn receive(&mut self) -> Arrival {
        let deadline = Instant::now() + PATIENCE;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(packet) = self.take_packet() {
                return Arrival::Packet(packet);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Arrival::Closed,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
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

    fn take_packet(&mut self) -> Option<Vec<u8>> {
        let (length, header) = read_length(self.buffer.get(1..)?)?;
        let end = 1 + header + length;
        (self.buffer.len() >= end).then(|| self.buffer.drain(..end).collect())
    }
}
