//! The socket of a connection, plain or encrypted, without waiting.
//!
//! Owns: the bytes between rustls and the socket. Never: waits, but in a handshake. Invariant: no
//! plaintext stays inside when a read returns, so that the socket's readiness says all there is to
//! know.

use std::io::{self, Read, Write};

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConnection;

use super::broker::Broker;
use super::error::ConnectError;

/// Ciphertext that waits for the socket at most, per connection: two records of the largest size.
/// rustls would take twice as much.
const CIPHERTEXT_BYTES_MAX: usize = 32 * 1024;
/// Bytes read at once: a thousand acknowledgements.
const READ_BYTES: usize = 4 * 1024;

pub(crate) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
}

/// rustls' state and the socket under it.
pub(crate) struct Encrypted {
    socket: TcpStream,
    tls: ClientConnection,
}

impl Stream {
    /// Connects, and shakes hands if the server is to be spoken to in secret.
    pub(crate) async fn open(broker: &Broker) -> Result<Stream, ConnectError> {
        let socket = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = &broker.tls else {
            return Ok(Stream::Plain(socket));
        };
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| ConnectError::Name(broker.host.clone()))?;
        let connector = TlsConnector::from(tls.config());
        // Boxed: the handshake is large, and most of a connection's life comes after it.
        let (socket, mut tls) = Box::pin(connector.connect(name, socket))
            .await
            .map_err(ConnectError::Tls)?
            .into_inner();
        tls.set_buffer_limit(Some(CIPHERTEXT_BYTES_MAX));
        Ok(Stream::Encrypted(Box::new(Encrypted { socket, tls })))
    }

    /// Takes bytes for the server; `WouldBlock` when it can take none now.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_write(bytes),
            Stream::Encrypted(encrypted) => encrypted.try_write(bytes),
        }
    }

    /// Hands on what was taken; returns whether all of it has left. A plain socket keeps nothing.
    pub(crate) fn try_flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Plain(_) => Ok(true),
            Stream::Encrypted(encrypted) => encrypted.try_flush(),
        }
    }

    /// Tells the server, as far as the socket takes it, that the end which follows is meant.
    pub(crate) fn say_end(&mut self) {
        if let Stream::Encrypted(encrypted) = self {
            encrypted.tls.send_close_notify();
            let _ = encrypted.try_flush();
        }
    }

    /// Whether bytes that were taken wait for the socket.
    pub(crate) fn holds_bytes(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Encrypted(encrypted) => encrypted.tls.wants_write(),
        }
    }

    /// Appends what has arrived; 0 is the end, `WouldBlock` when there is nothing now.
    pub(crate) fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => {
                into.reserve(READ_BYTES);
                socket.try_read_buf(into)
            }
            Stream::Encrypted(encrypted) => encrypted.try_read(into),
        }
    }

    /// Waits until the socket can do what is wanted.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<tokio::io::Ready> {
        match self {
            Stream::Plain(socket) => socket.ready(interest).await,
            Stream::Encrypted(encrypted) => encrypted.socket.ready(interest).await,
        }
    }

    /// Writes everything; for the handshake of MQTT.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(Interest::WRITABLE).await?;
                }
                Err(error) => return Err(error),
            }
            if bytes.is_empty() {
                break;
            }
        }
        while !self.try_flush()? {
            self.ready(Interest::WRITABLE).await?;
        }
        Ok(())
    }

    /// Waits for bytes and appends them; 0 is the end.
    pub(crate) async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            match self.try_read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(Interest::READABLE).await?;
                }
                other => return other,
            }
        }
    }
}

impl Encrypted {
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What was taken before goes first: it makes room.
        let flushed = self.try_flush()?;
        let count = self.tls.writer().write(bytes)?;
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if flushed {
            self.try_flush()?;
        }
        Ok(count)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(&self.socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            let ended = self.tls.read_tls(&mut Socket(&self.socket))? == 0;
            let state = match self.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The server should hear why, if it still listens.
                    let _ = self.try_flush();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            let there = state.plaintext_bytes_to_read();
            if there > 0 {
                let start = into.len();
                into.resize(start + there, 0);
                self.tls.reader().read_exact(&mut into[start..])?;
                return Ok(there);
            }
            // What brought no plaintext (a ticket, half a record) is no reason to stop.
            if ended || state.peer_has_closed() {
                return Ok(0);
            }
        }
    }
}

/// The socket as rustls wants it: without waiting.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
